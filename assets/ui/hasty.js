// Buttons that no click presses which was meant for something else: a window that lay above and
// closes at the first half of a double click, or a page that changes under the pointer. They work
// once the page has been seen for a moment, and again after each time that it was hidden.
import { all } from "./dom.js";

let seenSince = 0;

const onClick = (event) => {
  const button = event.target.closest?.("[data-settle]");
  if (!button || Date.now() - seenSince >= Number(button.dataset.settle)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
};

const noteSeen = () => {
  seenSince = Date.now();
};

export const start = () => {
  noteSeen();
  all("[data-settle]").forEach((button) => {
    button.disabled = true;
    setTimeout(() => {
      button.disabled = false;
    }, Number(button.dataset.settle));
  });
  // here a disabled button would lose the focus of the keyboard
  document.addEventListener("visibilitychange", noteSeen);
  document.addEventListener("click", onClick, true); // before the form's own listeners
};
