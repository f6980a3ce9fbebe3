// Pages that show what is going on ask again while somebody looks.
import { all } from "./dom.js";

const EVERY_MS = 5000;
const IDLE_MS = 300000;

let touchedAt = Date.now();

export const isLookedAt = (now) => !document.hidden && now - touchedAt <= IDLE_MS;

const refresh = () => {
  if (isLookedAt(Date.now())) all("button[data-refresh]").forEach((button) => button.click());
};

export const start = () => {
  ["pointermove", "keydown", "scroll"].forEach((name) => addEventListener(name, () => {
    touchedAt = Date.now();
  }, { passive: true }));
  setInterval(refresh, EVERY_MS);
};
