// The service worker keeps the page for "no connection" and its style, and nothing else: a latch is never shown from memory.
const offline = "/offline";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(release).then((cache) => cache.addAll([offline, shell])).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter((name) => name !== release).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => caches.match(offline)));
  } else if (new URL(request.url).pathname === shell) {
    event.respondWith(caches.match(shell).then((kept) => kept || fetch(request)));
  }
});

