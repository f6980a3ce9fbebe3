// What was typed into the console's form is the browser's alone. When the server has forgotten the
// page it draws the form anew: what stood in it is written in again, and a note says so. A page
// that was loaded again in between has nothing to write in, and its note says that.
import { all, one } from "./dom.js";
import { isRunning } from "./runs.js";

const KEY = "orderdesk-page";

const savedPage = () => {
  try {
    return sessionStorage.getItem(KEY) || "";
  } catch {
    return ""; // storage may be refused
  }
};

const savePage = (id) => {
  try {
    if (id) sessionStorage.setItem(KEY, id);
    else sessionStorage.removeItem(KEY);
  } catch {
    // storage may be refused
  }
};

const typedInputs = (form) =>
  all(".input[name]:not([type=password])", form).filter((input) => !input.closest("dialog"));

const accountOf = (form) => form.dataset.pageId.split(".")[0];

// Which note is shown: "kept", "lost", or "" when nothing had been typed.
export const writeBack = (form, before) => {
  if (form.elements.tool.value !== before.elements.tool.value) return "lost";
  const inputs = typedInputs(form);
  let differs = false;
  typedInputs(before).forEach((old) => {
    const input = inputs.find((other) => other.name === old.name);
    if (!input || input.value === old.value) return;
    input.value = old.value;
    differs = true;
    const folded = input.closest("details");
    if (folded) folded.open = true;
  });
  return differs || isRunning(before) ? "kept" : "";
};

let drawn = null; // the form that was on the screen last

export const restore = () => {
  if (one(".alone")) savePage(""); // after signing in everything starts afresh
  const form = one("form[data-page-id]");
  if (!form?.dataset.pageId || form === drawn) return;
  const before = drawn;
  const known = savedPage();
  drawn = form;
  savePage(form.dataset.pageId);
  if (!known || known === form.dataset.pageId) return;
  let note = "lost";
  // what one account typed is never shown to another
  if (before) note = accountOf(before) === accountOf(form) ? writeBack(form, before) : "";
  if (note) one(`[data-restore-note=${note}]`, form).hidden = false;
};
