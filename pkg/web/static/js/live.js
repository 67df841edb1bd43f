// Keeps an element as the server has it: every message of /live means that something changed, and then the element's
// page is asked for its part again. While nothing can be heard the element says so by data-stale.
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
      delete element.dataset.stale;
    } catch {
      element.dataset.stale = "";
    } finally {
      asking = false;
      if (again) { again = false; refresh(); }
    }
  }

  const source = new EventSource("/live");
  source.addEventListener("open", refresh);
  source.addEventListener("change", refresh);
  source.addEventListener("error", () => { element.dataset.stale = ""; });
}

// put replaces the content and gives the focus back to the element of the same id.
function put(element, html) {
  const focused = document.activeElement && element.contains(document.activeElement) ? document.activeElement.id : "";
  const parsed = new DOMParser().parseFromString(html, "text/html");
  element.replaceChildren(...parsed.body.childNodes);
  if (focused) document.getElementById(focused)?.focus();
  element.dispatchEvent(new CustomEvent("refreshed", { bubbles: true }));
}
