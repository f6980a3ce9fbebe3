// The two questions that every module asks of the page, and how the modules run beside each other.

export const one = (selector, from = document) => from.querySelector(selector);

export const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// Runs each of them. One that fails is reported, and does not stop those after it.
export const runAll = (steps) => steps.forEach((step) => {
  try {
    step();
  } catch (error) {
    reportError(error);
  }
});
