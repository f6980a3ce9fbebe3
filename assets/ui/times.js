// Times that run: "3 min ago" goes on by itself. Every time is told in the zone of the browser, the
// exact one on hover.
import { all, one } from "./dom.js";

const TICK_MS = 1000;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const DATE = { day: "numeric", month: "short", year: "numeric" };
const CLOCK = { hour: "2-digit", minute: "2-digit" };

const written = (then, form) => new Intl.DateTimeFormat("en-GB", form).format(then);

// As states/times.py says it; both moments in milliseconds.
export const ago = (then, now) => {
  const seconds = Math.max(0, Math.floor((now - then) / 1000));
  if (seconds < MINUTE) return `${seconds} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  if (seconds < 30 * DAY) return `${Math.floor(seconds / DAY)} d ago`;
  return written(then, DATE);
};

export const exact = (then) =>
  written(then, { ...DATE, ...CLOCK, second: "2-digit", timeZoneName: "short" });

const WORDS = { ago, clock: (then) => written(then, CLOCK), exact };

let served = ""; // the server's time, as the page said it last
let ahead = 0; // milliseconds that the clock of this computer is ahead of the server's

const compareClocks = () => {
  const told = one("[data-server-time]")?.dataset.serverTime || "";
  if (!told || told === served) return;
  served = told;
  ahead = Date.now() - Date.parse(told);
};

const write = (time, now) => {
  const then = Date.parse(time.getAttribute("datetime") || "");
  if (Number.isNaN(then)) return;
  const words = WORDS[time.dataset.time](then, now);
  // only what is new: every change of the page is looked at again
  if (time.textContent !== words) time.textContent = words;
  const title = exact(then);
  if (time.getAttribute("title") !== title) time.setAttribute("title", title);
};

const fillZones = () => all("input[data-zone]").forEach((input) => {
  input.value = new Intl.DateTimeFormat().resolvedOptions().timeZone || "";
});

export const update = () => {
  compareClocks();
  fillZones();
  const now = Date.now() - ahead;
  all("time[data-time]").forEach((time) => write(time, now));
};

export const start = () => setInterval(() => {
  if (!document.hidden) update();
}, TICK_MS);
