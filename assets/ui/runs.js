// The console's form: it runs once for each token that the server gives it, and asks before it
// deletes. Its button keeps the focus while it is busy, so it is never disabled.
import { all, one } from "./dom.js";
import { openDialog } from "./dialogs.js";

let sentToken = "";
let askedFor = "";

export const isRunning = (form) =>
  Boolean(form.dataset.running) || form.dataset.runToken === sentToken;

// The server asks in a dialog: it names the store and shows what would change, and the id of what
// is deleted is typed there once more.
const isConfirmed = (form) => {
  const dialog = one("dialog", form);
  const input = dialog && one("[data-confirm]", dialog);
  const answer = dialog && one("input[name=confirmed]", dialog);
  if (answer) answer.value = dialog.open ? "1" : "";
  if (dialog?.open) return !input || input.value.trim() === input.dataset.confirm;
  if (input) input.value = "";
  return true;
};

const onSubmit = (event) => {
  const form = event.target;
  if (form.dataset?.runToken === undefined) return;
  if (isRunning(form) || !isConfirmed(form)) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  sentToken = form.dataset.runToken;
  one("dialog[open]", form)?.close();
  all("[data-restore-note]", form).forEach((note) => {
    note.hidden = true;
  });
  markBusy();
};

export const start = () => addEventListener("submit", onSubmit, true); // before the framework's

export const markBusy = () => all("form[data-run-token]").forEach((form) => {
  const isBusy = String(isRunning(form));
  all("button[type=submit]", form).forEach((button) => {
    button.setAttribute("aria-busy", isBusy);
    button.setAttribute("aria-disabled", isBusy);
  });
});

export const askToConfirm = () => all("form[data-confirm-run]").forEach((form) => {
  const asks = form.dataset.confirmRun;
  const dialog = one("dialog", form);
  if (asks === askedFor || !dialog) return;
  askedFor = asks;
  if (!asks) {
    dialog.close();
    return;
  }
  const input = one("[data-confirm]", dialog);
  const button = one("button[type=submit]", dialog);
  button.disabled = Boolean(input);
  openDialog(dialog.id);
  (input || button).focus();
});
