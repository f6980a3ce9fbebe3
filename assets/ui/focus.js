// Where the keyboard is: at the first field with an error, and never nowhere.
import { one } from "./dom.js";

let held = null; // the element that had the focus last
let shownError = "";
const LONG = 0.6; // of the window: what is higher has no place between its bars

const focusContent = (options) => document.getElementById("main")?.focus(options);

// When the element with the focus has left the page (a menu of the page before, a button that is
// gone), the content gets the focus.
export const keep = () => {
  if (held && !held.isConnected && document.activeElement === document.body) {
    focusContent({ preventScroll: true });
  }
};

// The field may stand in a closed "More arguments".
export const showError = () => {
  const place = one("[data-error-focus]");
  const error = place?.dataset.errorFocus || "";
  if (error === shownError) return;
  shownError = error;
  const field = error && one("[aria-invalid=true]", place);
  if (!field) return;
  const folded = field.closest("details");
  if (folded) folded.open = true;
  field.focus({ preventScroll: true });
  // its label and the error are seen too, above the bar that stays at the bottom; of a long one the
  // beginning
  const shown = field.closest(".field") || field;
  const isLong = shown.offsetHeight > innerHeight * LONG;
  shown.scrollIntoView({ block: isLong ? "start" : "center" });
};

export const start = () => {
  addEventListener("pointerdown", () => {
    held = null;
  }, true);
  addEventListener("focusin", (event) => {
    held = event.target;
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.(".skip")) return;
    event.preventDefault(); // the router would only change the address
    focusContent();
  });
};
