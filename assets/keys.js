// Keyboard, dialogs, copying and small comforts. Works on every page, with and without the framework; no inline code anywhere.
(() => {
  "use strict";
  const one = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // The theme that the web app remembers, for pages that it does not draw.
  if (!document.documentElement.classList.contains("light") && !document.documentElement.classList.contains("dark")) {
    let saved = null;
    try { saved = localStorage.getItem("theme"); } catch { /* storage may be refused */ }
    if (saved === "light" || saved === "dark") document.documentElement.classList.add(saved);
  }

  const open = (id) => {
    const dialog = document.getElementById(id);
    if (dialog && !dialog.open) dialog.showModal();  // above whatever is open: Esc closes the top thing only
    return dialog;
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copies);
    if (!source) return;
    const text = "value" in source ? source.value : source.textContent;
    if (!text) return;  // what is still on its way is not copied
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // no clipboard without https: select the text, so that Ctrl C does it
      done = false;
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
    }
    const words = one("[data-copy-words]", button) || button;
    const before = button.dataset.before || words.textContent;
    button.dataset.before = before;
    words.textContent = done ? "Copied" : "Press Ctrl C";
    setTimeout(() => { words.textContent = before; }, 2000);
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    if (target.closest(".skip")) { event.preventDefault(); document.getElementById("main")?.focus(); return; }  // the router would only change the address
    const opener = target.closest("[data-opens]");
    if (opener) { event.preventDefault(); openWith(opener.dataset.opens); return; }
    if (target.closest("[data-closes]")) { target.closest("dialog")?.close(); return; }
    const copier = target.closest("[data-copies]");
    if (copier) { copy(copier); return; }
    const shower = target.closest("[data-shows]");
    if (shower) {
      const input = document.getElementById(shower.dataset.shows);
      const hidden = input.type === "password";
      input.type = hidden ? "text" : "password";
      shower.setAttribute("aria-pressed", String(hidden));
      shower.textContent = hidden ? "Hide" : "Show";
      return;
    }
    if (target instanceof HTMLDialogElement) { target.close(); return; }  // the backdrop belongs to the dialog
    if (target.closest("dialog.drawer a, dialog.palette a")) all("dialog[open]").reverse().forEach((dialog) => dialog.close());  // whoever goes elsewhere leaves them all
    else if (target.closest("dialog.palette button")) target.closest("dialog").close();
  });

  // What takes its time is done once for each press: busy from the click on, until the server has said that it is done. A double click is one press.
  document.addEventListener("click", (event) => {  // before the framework hears of it
    const button = event.target instanceof Element ? event.target.closest("[data-acts]") : null;
    if (!button) return;
    if (event.detail > 1 || button.getAttribute("aria-busy") === "true") { event.preventDefault(); event.stopImmediatePropagation(); return; }
    button.setAttribute("aria-busy", "true");
    button.setAttribute("aria-disabled", "true");
  }, true);

  // A form with a run key runs once: its button is busy from the click on until the server has given the next key. It keeps the focus, so it is not disabled.
  let lastRun = "";
  addEventListener("submit", (event) => {  // before the framework hears of it
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || form.dataset.run === undefined) return;
    if (form.dataset.running || form.dataset.run === lastRun || !isConfirmed(form)) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    lastRun = form.dataset.run;
    one("dialog[open]", form)?.close();
    all("[data-remark]", form).forEach((remark) => { remark.hidden = true; });
    busy();
  }, true);
  // What deletes asks first: the server names the thing and its store, and the thing's id is typed once more.
  const isConfirmed = (form) => {
    const dialog = one("dialog", form);
    const input = dialog && one("[data-confirms]", dialog);
    if (dialog?.open) return input.value.trim() === input.dataset.confirms;
    if (input) input.value = "";
    return true;
  };
  let lastAsked = "";
  const ask = () => all("form[data-asks]").forEach((form) => {
    const asked = form.dataset.asks, dialog = one("dialog", form);
    if (asked === lastAsked || !dialog) return;
    lastAsked = asked;
    if (!asked) { dialog.close(); return; }
    one("button[type=submit]", dialog).disabled = true;
    open(dialog.id);
    one("[data-confirms]", dialog).focus();
  });
  const busy = () => all("form[data-run]").forEach((form) => {
    const works = String(Boolean(form.dataset.running) || form.dataset.run === lastRun);
    all("button[type=submit]", form).forEach((button) => { button.setAttribute("aria-busy", works); button.setAttribute("aria-disabled", works); });
  });

  // A form says that it works, and cannot be sent twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || form.method !== "post") return;
    all("input[data-trim]", form).forEach((input) => { input.value = input.value.trim(); });
    const button = event.submitter || one("button[type=submit]", form);
    if (button) setTimeout(() => { button.setAttribute("aria-busy", "true"); button.disabled = true; });
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();  // the back button shows nothing of an ended session
    all("button[aria-busy=true]").forEach((button) => { button.removeAttribute("aria-busy"); button.disabled = false; });
  });

  // What was pasted with a line break or a space at its end is meant without.
  document.addEventListener("paste", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || !input.hasAttribute("data-trim")) return;
    event.preventDefault();
    input.setRangeText((event.clipboardData?.getData("text") || "").trim(), input.selectionStart, input.selectionEnd, "end");
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // A typed confirmation frees its button.
  document.addEventListener("input", (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement)) return;
    if (input.dataset.confirms !== undefined) {
      const button = one("button[type=submit]", input.closest("dialog") || input.form);
      if (button) button.disabled = input.value.trim() !== input.dataset.confirms;
    }
    if (input.dataset.filters) filter(input);
  });

  const filter = (input) => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const list = document.getElementById(input.dataset.filters);
    if (!list) return;
    let shown = 0;
    all("[data-words]", list).forEach((entry) => {
      entry.hidden = !words.every((word) => entry.dataset.words.toLowerCase().includes(word));
      if (!entry.hidden) shown += 1;
    });
    all("[data-group]", list).forEach((group) => { group.hidden = !one("[data-words]:not([hidden])", group); });
    const none = one("[data-none]", list.parentElement);
    if (none) none.hidden = shown > 0;
    choose(0);
  };

  // The palette
  const entries = () => all("#palette li:not([hidden]) [role=option]");
  let chosen = 0;
  const choose = (index) => {
    const found = entries();
    if (!found.length) return;
    chosen = (index + found.length) % found.length;
    all("#palette [role=option]").forEach((entry) => entry.classList.remove("chosen"));
    found[chosen].classList.add("chosen");
    found[chosen].scrollIntoView({ block: "nearest" });
    one("#palette input")?.setAttribute("aria-activedescendant", found[chosen].id);
  };
  const openWith = (id) => {
    const dialog = open(id);
    if (dialog && id === "palette") {
      const input = one("input", dialog);
      input.value = "";
      filter(input);
      input.focus();
    }
  };

  const typing = (element) => element instanceof HTMLElement && (element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName));
  let waitingForPlace = 0;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && document.getElementById("palette")) { event.preventDefault(); openWith("palette"); return; }
    const palette = document.getElementById("palette");
    if (palette?.open) {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); choose(chosen + (event.key === "ArrowDown" ? 1 : -1)); }
      if (event.key === "Enter") { event.preventDefault(); entries()[chosen]?.click(); }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || one("dialog[open]")) return;
    if (Date.now() - waitingForPlace < 1000) {
      waitingForPlace = 0;
      const place = one(`.side a[data-key="${CSS.escape(event.key)}"]`);
      if (place) { event.preventDefault(); place.click(); }
      return;
    }
    if (event.key === "g") waitingForPlace = Date.now();
    else if (event.key === "?") { event.preventDefault(); openWith("shortcuts"); }
    else if (event.key === "/") {
      event.preventDefault();
      const search = one("main input[type=search]");
      if (search) search.focus(); else openWith("palette");
    }
  });

  // A form that came back opens its dialog again, and JSON gets its colours, whenever the page has changed.
  const reopen = () => all('dialog[data-reopens="1"]').forEach((dialog) => {
    if (dialog.dataset.reopened || dialog.open) return;
    dialog.dataset.reopened = "1";
    open(dialog.id);
    (one("[aria-invalid=true]", dialog) || one("input:not([type=hidden])", dialog))?.focus();
  });
  const JSON_PARTS = /("(?:[^"\\\n]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b/g;
  const colour = () => {
    if (!globalThis.CSS?.highlights) return;
    const ranges = { key: [], text: [], number: [], word: [] };
    all("[data-json]").forEach((block) => {
      const node = block.firstChild;
      if (!node || node.nodeType !== Node.TEXT_NODE || node.length > 300000) return;
      for (const match of node.data.matchAll(JSON_PARTS)) {
        const range = new StaticRange({ startContainer: node, startOffset: match.index, endContainer: node, endOffset: match.index + (match[1] || match[0]).length });
        ranges[match[2] ? "key" : match[1] ? "text" : /[tfn]/.test(match[0][0]) ? "word" : "number"].push(range);
      }
    });
    Object.entries(ranges).forEach(([name, found]) => CSS.highlights.set(`json-${name}`, new Highlight(...found.slice(0, 60000))));
  };
  // A result as a tree: the first level stands open, others fill when they are opened. Numbers keep their digits.
  class Digits { constructor(text) { this.text = text; } }
  const element = (tag, name, text) => { const made = document.createElement(tag); made.className = name; made.textContent = text; return made; };
  const leaf = (value) => (value instanceof Digits
    ? element("span", "json-number", value.text)
    : element("span", typeof value === "string" ? "json-text" : "json-word", JSON.stringify(value)));
  const branch = (name, value, depth) => {
    const item = document.createElement("li");
    const entries = value && typeof value === "object" && !(value instanceof Digits) ? Object.entries(value) : [];
    if (!entries.length) {
      item.append(element("span", "json-key", name), ": ", value && typeof value === "object" && !(value instanceof Digits) ? element("span", "dim", "empty") : leaf(value));
      return item;
    }
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const words = Array.isArray(value) ? ["entry", "entries"] : ["field", "fields"];
    summary.append(element("span", "json-key", name), " ", element("span", "dim small", `${entries.length} ${words[entries.length === 1 ? 0 : 1]}`));
    details.append(summary);
    const fill = () => { if (details.childElementCount === 1) details.append(grown(entries, depth + 1)); };
    details.addEventListener("toggle", fill);
    if (depth < 1) { fill(); details.open = true; }
    item.append(details);
    return item;
  };
  const grown = (entries, depth) => {
    const list = document.createElement("ul");
    list.append(...entries.map(([name, value]) => branch(name, value, depth)));
    return list;
  };
  const planted = new WeakMap();
  const grow = () => all("[data-tree]").forEach((place) => {
    const text = document.getElementById(place.dataset.tree)?.textContent || "";
    if (planted.get(place) === text) return;
    planted.set(place, text);
    try {
      const value = JSON.parse(text, (_, part, context) => (typeof part === "number" ? new Digits(context?.source ?? String(part)) : part));
      place.replaceChildren(grown(Object.entries(value), 0));
    } catch {
      place.replaceChildren(element("p", "dim", "This result is no tree. Look at it as Raw."));
    }
  });

  // The address says what is on the screen. A page that has just been drawn still says what was there before, so an address that asks for something is left alone then.
  const said = new WeakMap();
  const address = () => all("[data-address]").forEach((place) => {
    const before = said.get(place), wanted = place.dataset.address;
    said.set(place, wanted);
    if (wanted && wanted !== before && wanted !== location.search && (before || !location.search)) history.replaceState(history.state, "", location.pathname + wanted);
  });

  // The chosen tool is in view on its list, which scrolls by itself.
  let lastTool = null;
  const showTool = () => {
    const list = document.getElementById("tools"), tool = list && one("[aria-pressed=true]", list);
    if (!tool || tool === lastTool) return;
    lastTool = tool;
    const { top, bottom } = tool.getBoundingClientRect(), around = list.getBoundingClientRect();
    if (top < around.top || bottom > around.bottom) list.scrollTop += top - around.top - (around.height - tool.offsetHeight) / 2;
  };

  // A result that comes outside the window (below the form on a phone, above the history) is brought into it.
  let lastResult = "";
  const bring = () => {
    const region = one("[data-result]");
    const call = region?.dataset.result || "";
    if (call === lastResult) return;
    lastResult = call;
    const { top } = call ? region.getBoundingClientRect() : { top: 0 };
    if (call && (top < 0 || top > innerHeight - 160)) region.scrollIntoView({ block: "start" });
  };
  // What was typed into the console's form is the browser's alone. When the server has forgotten the page it draws the form anew: what stood in it is
  // written in again, and the page says so. A page that is loaded anew then has nothing to write in, and says that.
  const MEMORY = "orderdesk-memory";
  const memory = (text) => {
    try {
      if (text === undefined) return sessionStorage.getItem(MEMORY) || "";
      if (text) sessionStorage.setItem(MEMORY, text); else sessionStorage.removeItem(MEMORY);
    } catch { /* storage may be refused */ }
    return "";
  };
  const typed = (form) => all(".input[name]:not([type=password])", form).filter((input) => !input.closest("dialog"));
  const bringBack = (form, before) => {
    if (form.elements.tool.value !== before.elements.tool.value) return "lost";
    const fields = typed(form);
    let differs = false;
    typed(before).forEach((input) => {
      const field = fields.find((other) => other.name === input.name);
      if (!field || field.value === input.value) return;
      field.value = input.value;
      differs = true;
      const folded = field.closest("details");
      if (folded) folded.open = true;
    });
    return differs || before.dataset.running || before.dataset.run === lastRun ? "kept" : "";
  };
  let drawn = null;
  const keep = () => {
    if (one(".alone")) memory("");  // whoever signs in begins anew
    const form = one("form[data-memory]");
    if (!form?.dataset.memory || form === drawn) return;
    const before = drawn, known = memory();
    drawn = form;
    memory(form.dataset.memory);
    if (!known || known === form.dataset.memory) return;
    const remark = before ? (before.dataset.memory.split(".")[0] === form.dataset.memory.split(".")[0] ? bringBack(form, before) : "") : "lost";
    if (remark) one(`[data-remark=${remark}]`, form).hidden = false;
  };

  // The first field at fault gets the focus, out of a closed “More arguments” too.
  let lastFault = "";
  const blame = () => {
    const place = one("[data-fault]");
    const fault = place?.dataset.fault || "";
    if (fault === lastFault) return;
    lastFault = fault;
    const field = fault && one("[aria-invalid=true]", place);
    if (!field) return;
    const folded = field.closest("details");
    if (folded) folded.open = true;
    field.focus();
  };
  // Focus that went with what it stood on, a menu of the page before or a button that is gone, comes to the content.
  let held = null;
  addEventListener("pointerdown", () => { held = null; }, true);
  addEventListener("focusin", (event) => { held = event.target; });
  const hold = () => {
    if (held && !held.isConnected && document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
  };
  let asked = false;
  const settle = () => { asked = false; hold(); reopen(); colour(); grow(); busy(); ask(); keep(); address(); showTool(); bring(); blame(); };
  const look = () => { if (!asked) { asked = true; requestAnimationFrame(settle); } };
  new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["data-reopens", "data-run", "data-running", "data-asks", "data-fault", "data-address"] });
  look();

  // Pages that show what is going on ask again while somebody looks.
  let touched = Date.now();
  ["pointermove", "keydown", "scroll"].forEach((name) => addEventListener(name, () => { touched = Date.now(); }, { passive: true }));
  setInterval(() => {
    if (document.hidden || Date.now() - touched > 300000) return;
    all("button[data-every]").forEach((button) => button.click());
  }, 5000);
})();
