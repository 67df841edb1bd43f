// Keeps an element as the server has it: every "change" of /live means that something of the person changed, and then the
// element's page is asked for its part again. While nothing can be heard the page says so and shows no state as true.
export default function live(element) {
  const address = new URL(element.dataset.live || location.href, location.href);
  address.searchParams.set("fragment", "1");
  let asking = false, again = false;

  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" } });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.statusText);
      put(element, await answer.text());
      tellStale(false);
    } catch {
      tellStale(true);
    } finally {
      asking = false;
      if (again) { again = false; refresh(); }
    }
  }

  listen(refresh);
}

// put replaces what is new in the content and leaves the rest as it is, what is unfolded too: a touch must not miss its
// button because a line elsewhere has changed. The focus goes back to the element of the same id.
function put(element, html) {
  if (element.shown === html) return;
  element.shown = html;
  const focused = document.activeElement && element.contains(document.activeElement) ? document.activeElement.id : "";
  const parsed = new DOMParser().parseFromString(html, "text/html");
  for (const details of element.querySelectorAll("details[open][id]")) parsed.getElementById(details.id)?.setAttribute("open", "");
  replace(element, parsed.body);
  if (focused) document.getElementById(focused)?.focus();
  element.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
}

// replace gives an element the children of another.
function replace(element, other) {
  const now = [...element.childNodes], next = [...other.childNodes];
  if (now.length !== next.length) { element.replaceChildren(...next); return; }
  now.forEach((node, i) => {
    if (node.isEqualNode(next[i])) return;
    if (alike(node, next[i])) replace(node, next[i]);
    else node.replaceWith(next[i]);
  });
}

// alike tells whether two elements differ in nothing but their children.
function alike(a, b) {
  return a instanceof Element && b instanceof Element && a.cloneNode(false).isEqualNode(b.cloneNode(false));
}

// tellStale says that what is shown may be out of date.
function tellStale(stale) {
  forget(stale);
  document.documentElement.classList.toggle("is-offline", stale);
  const bar = document.querySelector("[data-offline]");
  if (bar) bar.hidden = !stale;
}

// forget takes the states off the page: "not known" until the server has told them again.
function forget(yes) { document.documentElement.classList.toggle("is-unknown", yes); }

// The page has one stream for all its elements, and none while nobody looks at it.
const beat = 15_000; // how often the server sends something when nothing changes
const listeners = [];
let source, silence, retry;

function listen(refresh) {
  listeners.push(refresh);
  if (listeners.length > 1) return;
  const look = () => document.hidden ? rest() : start();
  document.addEventListener("visibilitychange", look);
  addEventListener("online", start);
  addEventListener("offline", () => tellStale(true));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", look);
  look();
}

function start() {
  stop();
  const refreshAll = () => { heard(); for (const refresh of listeners) refresh(); };
  source = new EventSource("/live");
  source.addEventListener("open", refreshAll);
  source.addEventListener("change", refreshAll);
  source.addEventListener("beat", heard);
  source.addEventListener("error", () => {
    tellStale(true);
    // The browser tries again by itself, but not where the server refused.
    if (source?.readyState === EventSource.CLOSED) { stop(); retry = setTimeout(start, 2 * beat); }
    for (const refresh of listeners) refresh(); // it says whether somebody is still signed in
  });
}

function heard() {
  clearTimeout(silence);
  silence = setTimeout(() => { tellStale(true); start(); }, 3 * beat);
}

// rest ends the stream while nobody looks. Whoever looks again, after hours perhaps, finds no state from before.
function rest() {
  stop();
  forget(true);
}

function stop() {
  clearTimeout(silence);
  clearTimeout(retry);
  source?.close();
  source = undefined;
}
