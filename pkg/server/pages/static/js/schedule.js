// Offers every time zone that the browser knows, and its own where none is set.
export default function schedule(form) {
  const zone = form.elements.zone;
  if (!zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
  const known = Intl.supportedValuesOf?.("timeZone");
  if (!known) return;
  zone.list.replaceChildren(...known.map((name) => Object.assign(document.createElement("option"), { value: name })));
}
