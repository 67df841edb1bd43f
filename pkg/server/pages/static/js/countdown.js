// Counts down what is left: an element with data-left="SECONDS" shows data-text with {1} for the seconds. What the server
// sent last counts, whatever the clocks of the two say.
export default function countdown(element) {
  let ends = 0;
  function read() {
    const left = element.querySelector("[data-left]");
    ends = left ? performance.now() + 1000 * Number(left.dataset.left) : 0;
    show();
  }
  function show() {
    const left = element.querySelector("[data-left]");
    if (!left) return;
    const seconds = Math.max(0, Math.round((ends - performance.now()) / 1000));
    left.textContent = left.dataset.text.replace("{1}", seconds);
  }
  element.addEventListener("refreshed", read);
  setInterval(show, 1000);
  read();
}
