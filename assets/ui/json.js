// JSON in colours, and as a tree whose numbers keep their digits.
import { all } from "./dom.js";

const PARTS =
  /("(?:[^"\\\n]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b/g;
const LONGEST = 300000; // characters of a text that gets colours
const MOST_RANGES = 60000;

// What to colour: {kind, start, end} for each key, text, number and word of the text.
export const jsonParts = (text) => [...text.matchAll(PARTS)].map((match) => {
  const isWord = /[tfn]/.test(match[0][0]);
  return {
    kind: match[2] ? "key" : match[1] ? "text" : isWord ? "word" : "number",
    start: match.index,
    end: match.index + (match[1] || match[0]).length,
  };
});

export const highlight = () => {
  if (!globalThis.CSS?.highlights) return;
  const ranges = { key: [], text: [], number: [], word: [] };
  all("[data-highlight]").forEach((block) => {
    const node = block.firstChild;
    if (!node || node.nodeType !== Node.TEXT_NODE || node.length > LONGEST) return;
    jsonParts(node.data).forEach(({ kind, start, end }) => ranges[kind].push(new StaticRange({
      startContainer: node,
      startOffset: start,
      endContainer: node,
      endOffset: end,
    })));
  });
  Object.entries(ranges).forEach(([kind, found]) => {
    CSS.highlights.set(`json-${kind}`, new Highlight(...found.slice(0, MOST_RANGES)));
  });
};

// A number as it stands in the text: JavaScript's own would lose digits of a long id.
export class Digits {
  constructor(text) {
    this.text = text;
  }
}

export const parseKeepingDigits = (text) => JSON.parse(text, (_, value, context) => (
  typeof value === "number" ? new Digits(context?.source ?? String(value)) : value
));

const element = (tag, name, text) => {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
};

const isBranch = (value) => value && typeof value === "object" && !(value instanceof Digits);

const leaf = (value) => {
  if (isBranch(value)) return element("span", "dim", "empty");
  if (value instanceof Digits) return element("span", "json-number", value.text);
  const name = typeof value === "string" ? "json-text" : "json-word";
  return element("span", name, JSON.stringify(value));
};

const branch = (name, value, depth) => {
  const item = document.createElement("li");
  const entries = isBranch(value) ? Object.entries(value) : [];
  if (!entries.length) {
    item.append(element("span", "json-key", name), ": ", leaf(value));
    return item;
  }
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  const [singular, plural] = Array.isArray(value) ? ["entry", "entries"] : ["field", "fields"];
  const count = `${entries.length} ${entries.length === 1 ? singular : plural}`;
  summary.append(element("span", "json-key", name), " ", element("span", "dim small", count));
  details.append(summary);
  const fill = () => {
    if (details.childElementCount === 1) details.append(listOf(entries, depth + 1));
  };
  details.addEventListener("toggle", fill); // a branch fills when it is opened
  if (depth < 1) {
    fill();
    details.open = true;
  }
  item.append(details);
  return item;
};

const listOf = (entries, depth) => {
  const list = document.createElement("ul");
  list.append(...entries.map(([name, value]) => branch(name, value, depth)));
  return list;
};

const grownFrom = new WeakMap(); // the text that each tree was made of

export const growTrees = () => all("[data-json-tree]").forEach((place) => {
  const text = document.getElementById(place.dataset.jsonTree)?.textContent || "";
  if (grownFrom.get(place) === text) return;
  grownFrom.set(place, text);
  try {
    place.replaceChildren(listOf(Object.entries(parseKeepingDigits(text)), 0));
  } catch {
    const words = "This result is no tree. Look at it as Raw.";
    place.replaceChildren(element("p", "dim", words));
  }
});
