// Shortcuts: Ctrl K, Ctrl Enter, g and a letter, ?, /, and the arrows in the palette.
import { one } from "./dom.js";
import { openDialog } from "./dialogs.js";
import { chooseNext, goToChosen } from "./palette.js";

const SEQUENCE_MS = 1000; // between g and the letter of a page

let startedAt = 0;

const isTyping = (element) =>
  Boolean(element?.isContentEditable) || /^(INPUT|TEXTAREA|SELECT)$/.test(element?.tagName);

const onPaletteKey = (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in steps) {
    event.preventDefault();
    chooseNext(steps[event.key]);
  } else if (event.key === "Enter") {
    event.preventDefault();
    goToChosen();
  } else if (event.key === "Tab") {
    event.preventDefault(); // the field is all that there is; beside it what is typed is lost
  }
};

const focusSearch = () => {
  const search = one("main input[type=search]");
  if (search) search.focus();
  else openDialog("palette");
};

// Ctrl Enter runs the console's form, wherever the keyboard is in it.
const runForm = (event) => {
  const form = event.target.closest?.("form[data-page-id]")
    || (one("dialog[open]") ? null : one("form[data-page-id]"));
  if (!form) return;
  event.preventDefault();
  if (!event.repeat) form.requestSubmit();
};

const onKey = (event) => {
  const palette = document.getElementById("palette");
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && palette) {
    event.preventDefault();
    openDialog("palette");
    return;
  }
  if (palette?.open) {
    onPaletteKey(event);
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    runForm(event);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || one("dialog[open]")) return;
  if (Date.now() - startedAt < SEQUENCE_MS) {
    startedAt = 0;
    const link = one(`.side a[data-shortcut="${CSS.escape(event.key)}"]`);
    if (!link) return;
    event.preventDefault();
    link.click();
  } else if (event.key === "g") {
    startedAt = Date.now();
  } else if (event.key === "?") {
    event.preventDefault();
    openDialog("shortcuts");
  } else if (event.key === "/") {
    event.preventDefault();
    focusSearch();
  }
};

export const start = () => document.addEventListener("keydown", onKey);
