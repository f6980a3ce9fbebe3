// The palette's list: which entry is chosen. The page itself holds it, so what is seen as chosen is
// what Enter follows, also when the list has changed meanwhile.
import { all, one } from "./dom.js";

const entries = () => all("#palette li:not([hidden]) [role=option]");

const chosenPlace = (found) => found.findIndex((entry) => entry.classList.contains("chosen"));

const mark = (entry) => {
  all("#palette [role=option]").forEach((other) => {
    other.classList.toggle("chosen", other === entry);
    other.setAttribute("aria-selected", String(other === entry));
  });
  one("#palette input")?.setAttribute("aria-activedescendant", entry?.id || "");
};

export const choose = (index) => {
  const found = entries();
  const entry = found.length ? found[(index + found.length) % found.length] : null;
  mark(entry);
  entry?.scrollIntoView({ block: "nearest" });
};

// The pointer chooses as the arrows do, so that there is one chosen entry. It must have moved: a
// list that scrolls under a resting pointer changes nothing.
const onPointerMove = (event) => {
  const entry = event.target.closest?.("#palette [role=option]");
  if (entry && !entry.classList.contains("chosen")) mark(entry);
};

export const start = () => document.addEventListener("pointermove", onPointerMove);

export const chooseNext = (step) => {
  const place = chosenPlace(entries());
  choose(place < 0 ? 0 : place + step);
};

export const goToChosen = () => {
  const found = entries();
  found[chosenPlace(found)]?.click();
};

export const resetPalette = (dialog) => {
  const input = one("input", dialog);
  input.value = "";
  input.dispatchEvent(new Event("input", { bubbles: true })); // filter.js shows all entries
  input.focus();
};
