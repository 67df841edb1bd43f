// Loads what a page asks for: an element with data-module="NAME" is handed to the default export of NAME.js. A page is
// complete without it.
for (const element of document.querySelectorAll("[data-module]")) {
  for (const name of element.dataset.module.split(" ")) {
    import(`./${name}.js`).then((module) => module.default(element), (error) => console.error(name, error));
  }
}

// Times are shown as the clock of this browser has them.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && !document.cookie.split("; ").includes(`__Host-zone=${zone}`)) {
  document.cookie = `__Host-zone=${zone}; Path=/; Max-Age=31536000; Secure; SameSite=Lax`;
}

// Where the browser does not trust the certificate there is no worker, and nothing that needs one.
navigator.serviceWorker?.register("/sw.js").catch((error) => console.info(error.message));

// A live page knows from its stream whether the server can be heard. Another one asks when the browser says that the network
// has gone: it may be wrong, where the server is reached by a tunnel or is this machine. A page that has just come needs no
// word of it, and must not move under the finger; without a connection the worker's comes.
if (!document.querySelector('[data-module~="live"]')) {
  const tellConnection = async () => {
    const reached = navigator.onLine || await fetch("/robots.txt", { cache: "no-store" }).then(() => true, () => false);
    document.querySelector("[data-offline]").hidden = reached;
    for (const name of ["is-offline", "is-unknown"]) document.documentElement.classList.toggle(name, !reached);
  };
  addEventListener("online", tellConnection);
  addEventListener("offline", tellConnection);
}
