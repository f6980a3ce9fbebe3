// The two questions that every module asks of the page.

export const one = (selector, from = document) => from.querySelector(selector);

export const all = (selector, from = document) => [...from.querySelectorAll(selector)];
