// A button that prints the page.
export default function print(element) {
  element.hidden = false;
  element.querySelector("button").addEventListener("click", () => window.print());
}
