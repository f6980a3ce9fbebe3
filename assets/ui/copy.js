// Buttons that copy, that save a file, and that show a password.
import { one } from "./dom.js";

const SHOWN_MS = 2000;

export const copyFrom = async (button) => {
  const source = document.getElementById(button.dataset.copy);
  const text = source && ("value" in source ? source.value : source.textContent);
  if (!text) return; // what is still on its way is not copied
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = false; // no clipboard without https: select the text, so that Ctrl C copies it
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }
  const label = one("[data-copy-label]", button) || button;
  button.dataset.before ||= label.textContent;
  label.textContent = done ? "Copied" : "Press Ctrl C";
  setTimeout(() => {
    label.textContent = button.dataset.before;
  }, SHOWN_MS);
};

export const reveal = (button) => {
  const input = document.getElementById(button.dataset.reveal);
  const wasHidden = input.type === "password";
  input.type = wasHidden ? "text" : "password";
  button.setAttribute("aria-pressed", String(wasHidden));
  button.textContent = wasHidden ? "Hide" : "Show";
};

// The file is made here: no address has what it holds.
const download = (button) => {
  const source = document.getElementById(button.dataset.download);
  const address = URL.createObjectURL(new Blob([`${source.textContent}\n`]));
  const link = Object.assign(document.createElement("a"), {
    href: address,
    download: button.dataset.file,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};

const onClick = (event) => {
  const saver = event.target.closest?.("[data-download]");
  if (saver) download(saver);
  const copier = event.target.closest?.("[data-copy]");
  if (copier) copyFrom(copier);
  const revealer = event.target.closest?.("[data-reveal]");
  if (revealer) reveal(revealer);
};

export const start = () => document.addEventListener("click", onClick);
