// Forms whose answer is shown in the page, in a place that the framework keeps empty: a new key,
// which no state may hold. Without this script the answer is a page of its own.
import { one } from "./dom.js";

const LOST = "No answer came. Reload the page to see what was done.";

const alertOf = (words) => {
  const callout = document.createElement("div");
  callout.className = "callout red";
  callout.setAttribute("role", "alert");
  callout.textContent = words;
  return callout;
};

// The part of the answer that is shown; of an error page, its words.
const partOf = (page) => one("[data-answer]", page)
  || alertOf(one("main p", page)?.textContent || LOST);

export const send = async (form, place) => {
  const body = new URLSearchParams(new FormData(form));
  let part;
  try {
    const answer = await fetch(form.action, { method: "POST", body });
    if (answer.redirected) { // what went wrong is said there, at its field
      location.assign(answer.url);
      return;
    }
    const html = await answer.text();
    part = partOf(new DOMParser().parseFromString(html, "text/html"));
  } catch {
    part = alertOf(LOST);
  }
  place.replaceChildren(document.importNode(part, true));
  place.focus();
  const button = one("button[type=submit]", form);
  button.disabled = false;
  button.removeAttribute("aria-busy");
};

const onSubmit = (event) => {
  const form = event.target;
  const place = document.getElementById(form.dataset?.answerIn || "");
  if (!place || event.defaultPrevented) return;
  event.preventDefault();
  send(form, place);
};

export const start = () => document.addEventListener("submit", onSubmit);
