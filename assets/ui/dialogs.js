// Native dialogs: open, close, and open again when a refused form comes back.
import { all, one } from "./dom.js";
import { resetPalette } from "./palette.js";

export const openDialog = (id) => {
  const dialog = document.getElementById(id);
  // above any dialog that is open: Esc closes the top one only
  if (dialog && !dialog.open) dialog.showModal();
  if (dialog && id === "palette") resetPalette(dialog);
  return dialog;
};

const onClick = (event) => {
  const target = event.target;
  const opener = target.closest?.("[data-open-dialog]");
  if (opener) {
    event.preventDefault();
    openDialog(opener.dataset.openDialog);
  } else if (target.closest?.("[data-close-dialog]")) {
    target.closest("dialog")?.close();
  } else if (target.tagName === "DIALOG") {
    target.close(); // the backdrop belongs to the dialog
  } else if (target.closest?.("dialog.drawer a, dialog.palette a")) {
    // a link leaves them all
    all("dialog[open]").reverse().forEach((dialog) => dialog.close());
  } else if (target.closest?.("dialog.palette button")) {
    target.closest("dialog").close();
  }
};

export const start = () => document.addEventListener("click", onClick);

export const reopen = () => all('dialog[data-reopen="1"]').forEach((dialog) => {
  if (dialog.dataset.reopened || dialog.open) return;
  dialog.dataset.reopened = "1";
  openDialog(dialog.id);
  // what was typed to confirm came back with the form
  all("input[data-confirm]", dialog).forEach((input) => {
    if (input.value) input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  (one("[aria-invalid=true]", dialog) || one("input:not([type=hidden])", dialog))?.focus();
});
