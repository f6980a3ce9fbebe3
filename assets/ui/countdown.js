// Buttons that may be pressed again after a while; without this script the server says the same.
import { all } from "./dom.js";

const SECOND_MS = 1000;

const run = (button) => {
  const words = button.textContent;
  const end = Date.now() + Number(button.dataset.countdown) * SECOND_MS;
  const tick = () => {
    const left = Math.ceil((end - Date.now()) / SECOND_MS);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${words} in ${left} s` : words;
    if (left > 0) setTimeout(tick, SECOND_MS);
  };
  tick();
};

export const start = () => all("[data-countdown]").forEach(run);
