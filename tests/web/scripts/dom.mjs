// A page without a browser, as far as the modules of assets/ui ask it: elements, simple selectors,
// events that are captured and that bubble, dialogs and focus.

const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

class Target {
  #listeners = [];

  addEventListener(type, listener, options) {
    const capture = options === true || Boolean(options?.capture);
    this.#listeners.push({ type, listener, capture });
  }

  hear(event, capture) {
    for (const known of this.#listeners) {
      if (event.isStopped) return;
      if (known.type === event.type && known.capture === capture) known.listener(event);
    }
  }
}

export class Event {
  constructor(type, options = {}) {
    Object.assign(this, options);
    this.type = type;
    this.isStopped = false;
    this.defaultPrevented = false;
  }

  preventDefault() {
    this.defaultPrevented = true;
  }

  stopImmediatePropagation() {
    this.isStopped = true;
  }
}

// One part of a selector: tag, .class, #id, [name], [name=value], :not([name]).
const PART = /^([\w-]+)|\.([\w-]+)|#([\w-]+)|\[([\w-]+)(?:="?([^\]"]*)"?)?\]|:not\(([^)]+)\)/g;

const fits = (element, compound) => {
  for (const [, tag, name, id, attribute, value, not] of compound.matchAll(PART)) {
    if (tag && element.tagName.toLowerCase() !== tag) return false;
    if (name && !element.classList.contains(name)) return false;
    if (id && element.id !== id) return false;
    if (attribute && !element.hasAttribute(attribute)) return false;
    if (attribute && value !== undefined && element.getAttribute(attribute) !== value) return false;
    if (not && fits(element, not)) return false;
  }
  return true;
};

const fitsPath = (element, path) => {
  const compounds = path.trim().split(/\s+/);
  if (!fits(element, compounds.pop())) return false;
  for (let at = element.parentElement; at && compounds.length; at = at.parentElement) {
    if (fits(at, compounds.at(-1))) compounds.pop();
  }
  return compounds.length === 0;
};

export class Element extends Target {
  constructor(tag, attributes = {}, ...children) {
    super();
    this.tagName = tag.toUpperCase();
    this.attributes = new Map();
    this.childNodes = [];
    this.parentElement = null;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(this.tagName)) this.value = "";
    this.text = "";
    for (const [name, value] of Object.entries(attributes)) this.setAttribute(name, String(value));
    this.append(...children);
  }

  get id() { return this.getAttribute("id") || ""; }
  get name() { return this.getAttribute("name") || ""; }
  get type() { return this.getAttribute("type") || ""; }
  set type(value) { this.setAttribute("type", value); }
  get method() { return this.getAttribute("method") || "get"; }
  get className() { return this.getAttribute("class") || ""; }
  set className(value) { this.setAttribute("class", value); }
  get hidden() { return this.hasAttribute("hidden"); }
  set hidden(value) { this.toggle("hidden", value); }
  get open() { return this.hasAttribute("open"); }
  set open(value) { this.toggle("open", value); }
  get disabled() { return this.hasAttribute("disabled"); }
  set disabled(value) { this.toggle("disabled", value); }
  get children() { return this.childNodes.filter((child) => child instanceof Element); }
  get childElementCount() { return this.children.length; }
  get textContent() {
    const parts = this.childNodes.map((child) => child.textContent ?? String(child));
    return this.text + parts.join("");
  }
  set textContent(text) {
    this.childNodes = [];
    this.text = text;
  }
  get isConnected() {
    return this === document.documentElement || Boolean(this.parentElement?.isConnected);
  }
  get elements() {
    return Object.fromEntries(this.querySelectorAll("[name]").map((input) => [input.name, input]));
  }
  get form() { return this.closest("form"); }

  get dataset() {
    const element = this;
    return new Proxy({}, {
      get: (_, name) => element.getAttribute(`data-${kebab(name)}`) ?? undefined,
      set: (_, name, value) => {
        element.setAttribute(`data-${kebab(name)}`, String(value));
        return true;
      },
    });
  }

  get classList() {
    const names = () => this.className.split(" ").filter(Boolean);
    return {
      contains: (name) => names().includes(name),
      add: (name) => { this.className = [...new Set([...names(), name])].join(" "); },
      remove: (name) => { this.className = names().filter((other) => other !== name).join(" "); },
      toggle: (name, isThere) => this.classList[isThere ? "add" : "remove"](name),
    };
  }

  toggle(name, isThere) {
    if (isThere) this.setAttribute(name, "");
    else this.attributes.delete(name);
  }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  hasAttribute(name) { return this.attributes.has(name); }
  setAttribute(name, value) {
    this.attributes.set(name, value);
    if (name === "value") this.value = value;
  }
  removeAttribute(name) { this.attributes.delete(name); }

  append(...children) {
    for (const child of children) {
      if (child instanceof Element) child.parentElement = this;
      this.childNodes.push(child);
    }
  }
  replaceChildren(...children) {
    this.childNodes = [];
    this.append(...children);
  }
  remove() {
    const siblings = this.parentElement.childNodes;
    siblings.splice(siblings.indexOf(this), 1);
    this.parentElement = null;
  }

  matches(selector) { return selector.split(",").some((path) => fitsPath(this, path)); }
  closest(selector) {
    if (this.matches(selector)) return this;
    return this.parentElement?.closest(selector) ?? null;
  }
  querySelectorAll(selector) {
    return this.children.flatMap((child) => [
      ...(child.matches(selector) ? [child] : []),
      ...child.querySelectorAll(selector),
    ]);
  }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }

  showModal() { this.open = true; }
  close() { this.open = false; }
  focus() { document.activeElement = this; }
  scrollIntoView() { this.wasScrolledTo = true; }
  getBoundingClientRect() { return { top: 0, bottom: 0, height: 0 }; }

  dispatchEvent(event) {
    event.target = this;
    const path = [];
    for (let at = this; at; at = at.parentElement) path.push(at);
    path.push(document, globalThis.window);
    for (const at of [...path].reverse()) at.hear(event, true);
    for (const at of path) at.hear(event, false);
    return !event.defaultPrevented;
  }
  click(detail = 1) { return this.dispatchEvent(new Event("click", { detail })); }
  requestSubmit() { this.submit(); }
  submit(submitter = null) { return this.dispatchEvent(new Event("submit", { submitter })); }
}

export const el = (tag, attributes, ...children) => new Element(tag, attributes, ...children);

class Document extends Target {
  constructor() {
    super();
    this.body = new Element("body");
    this.documentElement = new Element("html", {}, this.body);
    this.activeElement = this.body;
    this.hidden = false;
  }
  getElementById(id) { return this.documentElement.querySelector(`#${id}`); }
  querySelector(selector) { return this.documentElement.querySelector(selector); }
  querySelectorAll(selector) { return this.documentElement.querySelectorAll(selector); }
  createElement(tag) { return new Element(tag); }
}

class Storage {
  #kept = new Map();
  getItem(key) { return this.#kept.get(key) ?? null; }
  setItem(key, value) { this.#kept.set(key, value); }
  removeItem(key) { this.#kept.delete(key); }
}

// Set once for each test file, before a module of assets/ui is imported.
export const install = () => {
  const window = new Target();
  Object.assign(globalThis, {
    window,
    addEventListener: window.addEventListener.bind(window),
    document: new Document(),
    localStorage: new Storage(),
    sessionStorage: new Storage(),
    Event,
    location: { search: "", pathname: "/console", reload() {} },
    history: { state: null, replaceState(_, __, to) { this.shown = to; } },
    innerHeight: 800,
    CSS: { escape: (text) => text },
  });
};

// The page has these elements alone from now on.
export const page = (...elements) => {
  document.body.replaceChildren(...elements);
  document.activeElement = document.body;
};

