// Forms that the browser posts, busy buttons, trimmed pastes and typed confirmations.
import { all, one } from "./dom.js";

// What takes its time is done once for each press: the button is busy until the server has said
// that it is done. A double click is one press.
const onBusyClick = (event) => {
  const button = event.target.closest?.("[data-busy-on-click]");
  if (!button) return;
  if (event.detail > 1 || button.getAttribute("aria-busy") === "true") {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  button.setAttribute("aria-busy", "true");
  button.setAttribute("aria-disabled", "true");
};

const onTickClick = (event) => {
  const button = event.target.closest?.("[data-tick]");
  if (!button) return;
  const values = button.dataset.tick.split(",");
  all("input[type=checkbox]", button.closest("fieldset") || button.form).forEach((box) => {
    box.checked = values.includes(box.value);
  });
};

// A posted form shows that it works, and cannot be sent twice.
const onSubmit = (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  all("input[data-trim]", form).forEach((input) => {
    input.value = input.value.trim();
  });
  const button = event.submitter || one("button[type=submit]", form);
  if (!button) return;
  // after the browser has collected the form: a disabled button would not be among its values
  setTimeout(() => {
    button.setAttribute("aria-busy", "true");
    button.disabled = true;
  });
};

const onPageShow = (event) => {
  if (event.persisted) location.reload(); // the back button shows nothing of an ended session
  all("button[aria-busy=true]").forEach((button) => {
    button.removeAttribute("aria-busy");
    button.disabled = false;
  });
};

const onPaste = (event) => {
  const input = event.target;
  if (input.tagName !== "INPUT" || !input.hasAttribute("data-trim")) return;
  event.preventDefault();
  const text = (event.clipboardData?.getData("text") || "").trim();
  input.setRangeText(text, input.selectionStart, input.selectionEnd, "end");
  input.dispatchEvent(new Event("input", { bubbles: true }));
};

const onInput = (event) => {
  const input = event.target;
  if (input.tagName !== "INPUT" || input.dataset.confirm === undefined) return;
  const button = one("button[type=submit]", input.closest("dialog") || input.form);
  if (button) button.disabled = input.value.trim() !== input.dataset.confirm;
};

export const start = () => {
  document.addEventListener("click", onBusyClick, true); // before the framework's own listener
  document.addEventListener("click", onTickClick);
  document.addEventListener("submit", onSubmit);
  document.addEventListener("paste", onPaste);
  document.addEventListener("input", onInput);
  addEventListener("pageshow", onPageShow);
};
