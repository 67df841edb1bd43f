// The service worker's part in notices: shows what was pushed, closes at one touch, and opens the page for everything else.
// Opening a latch takes the page, so that nobody does it on a locked phone.

// local keeps links on this site, whatever was pushed.
function local(path) {
  return typeof path === "string" && path.startsWith("/") && !path.startsWith("//") ? path : "/";
}

self.addEventListener("push", (event) => {
  let notice = {};
  try { notice = event.data.json(); } catch { /* an empty message still has to be shown */ }
  const actions = [];
  if (notice.close) actions.push({ action: "close", title: notice.closeLabel });
  if (notice.open) actions.push({ action: "open", title: notice.openLabel });
  event.waitUntil(self.registration.showNotification(notice.title || "Latch", {
    body: notice.body || "", tag: notice.tag || "latch", lang: notice.lang || "", silent: Boolean(notice.quiet),
    renotify: !notice.quiet, actions, data: notice,
  }));
});

self.addEventListener("notificationclick", (event) => {
  const notice = event.notification.data || {};
  event.notification.close();
  event.waitUntil(event.action === "close" && notice.close ? closeLatch(notice) : show(local(event.action === "open" ? notice.open : notice.page)));
});

async function closeLatch(notice) {
  let closed = false;
  try {
    const answer = await fetch(local(notice.close), { method: "POST", credentials: "omit", headers: { Accept: "text/plain" } });
    closed = answer.ok;
  } catch { /* said below */ }
  await self.registration.showNotification(closed ? notice.closed : notice.unclosed, {
    body: notice.title, tag: notice.tag, lang: notice.lang, data: { page: "/", title: notice.title },
  });
}

async function show(path) {
  for (const page of await self.clients.matchAll({ type: "window" })) {
    if ("navigate" in page) {
      try {
        await page.navigate(path);
        await page.focus();
        return;
      } catch { /* a page that this worker does not control */ }
    }
  }
  await self.clients.openWindow(path);
}
