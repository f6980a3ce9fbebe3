// What somebody should see is scrolled into view: the chosen tool, and a result that has come.
import { one } from "./dom.js";

const ROOM = 160; // pixels of a result that are enough to notice it

let shownTool = null;
let shownResult = "";

export const showChosenTool = () => {
  const list = document.getElementById("tools");
  const tool = list && one("[aria-pressed=true]", list);
  if (!tool || tool === shownTool) return;
  shownTool = tool;
  const { top, bottom } = tool.getBoundingClientRect();
  const around = list.getBoundingClientRect();
  if (top >= around.top && bottom <= around.bottom) return;
  list.scrollTop += top - around.top - (around.height - tool.offsetHeight) / 2;
};

// The result stands below the form on a phone, and above the history.
export const showResult = () => {
  const region = one("[data-result]");
  const call = region?.dataset.result || "";
  if (call === shownResult) return;
  shownResult = call;
  if (!call) return;
  const { top } = region.getBoundingClientRect();
  if (top < 0 || top > innerHeight - ROOM) region.scrollIntoView({ block: "start" });
};
