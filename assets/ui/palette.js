// The palette's list: which entry is chosen.
import { all, one } from "./dom.js";

let chosen = 0;

const entries = () => all("#palette li:not([hidden]) [role=option]");

export const choose = (index) => {
  const found = entries();
  if (!found.length) return;
  chosen = (index + found.length) % found.length;
  all("#palette [role=option]").forEach((entry) => entry.classList.remove("chosen"));
  found[chosen].classList.add("chosen");
  found[chosen].scrollIntoView({ block: "nearest" });
  one("#palette input")?.setAttribute("aria-activedescendant", found[chosen].id);
};

export const chooseNext = (step) => choose(chosen + step);

export const goToChosen = () => entries()[chosen]?.click();

export const resetPalette = (dialog) => {
  const input = one("input", dialog);
  input.value = "";
  input.dispatchEvent(new Event("input", { bubbles: true })); // filter.js shows all entries
  input.focus();
};
