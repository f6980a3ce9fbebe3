// Lists that shrink to what somebody types.
import { all, one } from "./dom.js";
import { choose } from "./palette.js";

export const hasWords = (text, typed) => {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => text.toLowerCase().includes(word));
};

export const filterList = (input) => {
  const list = document.getElementById(input.dataset.filter);
  if (!list) return;
  let shown = 0;
  all("[data-filter-text]", list).forEach((entry) => {
    entry.hidden = !hasWords(entry.dataset.filterText, input.value);
    if (!entry.hidden) shown += 1;
  });
  all("[data-filter-group]", list).forEach((group) => {
    group.hidden = !one("[data-filter-text]:not([hidden])", group);
  });
  const empty = one("[data-filter-empty]", list.parentElement);
  if (empty) empty.hidden = shown > 0;
  choose(0);
};

const onInput = (event) => {
  if (event.target.tagName === "INPUT" && event.target.dataset.filter) filterList(event.target);
};

export const start = () => document.addEventListener("input", onInput);
