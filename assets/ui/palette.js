// The palette's list: which entry is chosen.
import { all, one } from "./dom.js";

let chosen = 0;

const entries = () => all("#palette li:not([hidden]) [role=option]");

const mark = (entry) => {
  all("#palette [role=option]").forEach((other) => {
    other.classList.toggle("chosen", other === entry);
    other.setAttribute("aria-selected", String(other === entry));
  });
  one("#palette input")?.setAttribute("aria-activedescendant", entry.id);
};

export const choose = (index) => {
  const found = entries();
  if (!found.length) return;
  chosen = (index + found.length) % found.length;
  mark(found[chosen]);
  found[chosen].scrollIntoView({ block: "nearest" });
};

// The pointer chooses as the arrows do, so that there is one chosen entry. It must have moved: a
// list that scrolls under a resting pointer changes nothing.
const onPointerMove = (event) => {
  const entry = event.target.closest?.("#palette [role=option]");
  const place = entry ? entries().indexOf(entry) : -1;
  if (place < 0 || place === chosen) return;
  chosen = place;
  mark(entry);
};

export const start = () => document.addEventListener("pointermove", onPointerMove);

export const chooseNext = (step) => choose(chosen + step);

export const goToChosen = () => entries()[chosen]?.click();

export const resetPalette = (dialog) => {
  const input = one("input", dialog);
  input.value = "";
  input.dispatchEvent(new Event("input", { bubbles: true })); // filter.js shows all entries
  input.focus();
};
