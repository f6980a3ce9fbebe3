// The modules of assets/ui, one behaviour a test.
import assert from "node:assert/strict";
import test from "node:test";

import { el, Event, install, page } from "./dom.mjs";

install();
const ui = (name) => import(new URL(`../../../assets/ui/${name}.js`, import.meta.url));
const address = await ui("address");
const answers = await ui("answers");
const copy = await ui("copy");
const countdown = await ui("countdown");
const dialogs = await ui("dialogs");
const filter = await ui("filter");
const focus = await ui("focus");
const forms = await ui("forms");
const hasty = await ui("hasty");
const json = await ui("json");
const keyboard = await ui("keyboard");
const palette = await ui("palette");
const passkeys = await ui("passkeys");
const restore = await ui("restore");
const runs = await ui("runs");
const session = await ui("session");
const times = await ui("times");
const view = await ui("view");
[runs, dialogs, copy, forms, filter, keyboard, palette, focus].forEach((part) => part.start());

const press = (key, target = document.body, options = {}) => {
  const event = new Event("keydown", { key, ...options });
  target.dispatchEvent(event);
  return event;
};

const type = (input, text) => {
  input.value = text;
  input.dispatchEvent(new Event("input"));
};

test("a button opens its dialog, and another closes it", () => {
  const closer = el("button", { "data-close-dialog": "1" });
  const dialog = el("dialog", { id: "make-key" }, closer);
  const opener = el("button", { "data-open-dialog": "make-key" });
  page(opener, dialog);

  opener.click();
  const opened = dialog.open;
  closer.click();

  assert.deepEqual([opened, dialog.open], [true, false]);
});

test("a click beside a dialog closes it", () => {
  const dialog = el("dialog", { open: "" });
  page(dialog);

  dialog.click();

  assert.equal(dialog.open, false);
});

test("a link in the palette closes every dialog that is open", () => {
  const link = el("a");
  const drawer = el("dialog", { class: "drawer", open: "" });
  const palette = el("dialog", { class: "palette", open: "" }, link);
  page(drawer, palette);

  link.click();

  assert.deepEqual([drawer.open, palette.open], [false, false]);
});

test("a refused form opens its dialog once, at the field with the error", () => {
  const wrong = el("input", { "aria-invalid": "true" });
  const dialog = el("dialog", { id: "connect", "data-reopen": "1" }, el("input"), wrong);
  page(dialog);

  dialogs.reopen();
  const first = [dialog.open, document.activeElement];
  dialog.close();
  dialogs.reopen();

  assert.deepEqual(first, [true, wrong]);
  assert.equal(dialog.open, false);
});

test("a busy button takes one click until the server has answered", () => {
  const button = el("button", { "data-busy-on-click": "1" });
  page(button);
  let clicks = 0;
  button.addEventListener("click", () => { clicks += 1; });

  button.click();
  button.click(2);
  button.click();
  const whileBusy = clicks;
  button.setAttribute("aria-busy", "false");
  button.click();

  assert.deepEqual([whileBusy, clicks], [1, 2]);
});

const consoleForm = (attributes, ...children) => el(
  "form",
  { "data-page-id": "ada.1", "data-run-token": "t1", "data-running": "", ...attributes },
  el("input", { name: "tool", value: "orders_list" }),
  ...children,
  el("div", { hidden: "", "data-restore-note": "kept" }),
  el("div", { hidden: "", "data-restore-note": "lost" }),
  el("button", { type: "submit" }),
);

const submits = (form) => {
  let count = 0;
  form.addEventListener("submit", () => { count += 1; });
  return () => count;
};

test("a form runs once for each token", () => {
  const form = consoleForm({ "data-run-token": "once-1" });
  page(form);
  const count = submits(form);

  form.submit();
  const isBusy = form.querySelector("button").getAttribute("aria-busy");
  form.submit();
  const first = count();
  form.dataset.runToken = "once-2";
  runs.markBusy();
  const isFree = form.querySelector("button").getAttribute("aria-busy");
  form.submit();

  assert.deepEqual([isBusy, first, isFree, count()], ["true", 1, "false", 2]);
});

test("a form whose run has not ended is not sent", () => {
  const form = consoleForm({ "data-run-token": "running", "data-running": "1" });
  page(form);
  const count = submits(form);

  form.submit();

  assert.equal(count(), 0);
});

test("what deletes is sent when its id was typed", () => {
  const typed = el("input", { "data-confirm": "1042" });
  const dialog = el("dialog", { id: "confirm-run" }, typed, el("button", { type: "submit" }));
  const form = consoleForm({ "data-run-token": "d1", "data-confirm-run": "" }, dialog);
  page(form);
  const count = submits(form);

  form.submit(); // asks the server
  Object.assign(form.dataset, { runToken: "d2", confirmRun: "d2" });
  runs.askToConfirm();
  const asked = [dialog.open, document.activeElement === typed];
  const button = dialog.querySelector("button");
  const before = button.disabled;
  type(typed, "1043");
  form.submit();
  const refused = count();
  type(typed, " 1042 ");
  const after = button.disabled;
  form.submit();

  assert.deepEqual(asked, [true, true]);
  assert.deepEqual([before, after, refused, count()], [true, false, 1, 2]);
  assert.equal(dialog.open, false);
});

test("a posted form is busy at once and sends what was pasted without spaces", async () => {
  const key = el("input", { "data-trim": "1" });
  const button = el("button", { type: "submit" });
  const form = el("form", { method: "post" }, key, button);
  page(form);
  key.value = " secret\n";

  form.submit();
  await new Promise((done) => { setTimeout(done, 5); });

  assert.deepEqual([key.value, button.disabled], ["secret", true]);
});

test("a form that is sent from the dialog that asks says so, and no other does", () => {
  const answer = el("input", { name: "confirmed" });
  const button = el("button", { type: "submit" });
  const dialog = el("dialog", { id: "confirm-run" }, answer, button);
  const form = consoleForm({ "data-run-token": "q1", "data-confirm-run": "" }, dialog);
  page(form);

  form.submit();
  const first = answer.value;
  Object.assign(form.dataset, { runToken: "q2", confirmRun: "q2" });
  runs.askToConfirm();
  const asked = [dialog.open, button.disabled, document.activeElement === button];
  form.submit();

  assert.deepEqual([first, asked], ["", [true, false, true]]);
  assert.deepEqual([answer.value, dialog.open], ["1", false]);
});

test("a password is shown and hidden again", () => {
  const button = el("button", { "data-reveal": "key", "aria-pressed": "false" });
  const input = el("input", { id: "key", type: "password" });
  page(button, input);

  button.click();
  const shown = [input.type, button.textContent, button.getAttribute("aria-pressed")];
  button.click();

  assert.deepEqual(shown, ["text", "Hide", "true"]);
  assert.deepEqual([input.type, button.textContent], ["password", "Show"]);
});

test("a copy says so, and copies nothing while there is nothing", async () => {
  const copied = [];
  const clipboard = { writeText: async (text) => { copied.push(text); } };
  Object.defineProperty(globalThis, "navigator", { value: { clipboard }, configurable: true });
  const source = el("pre", { id: "result" });
  const button = el("button", { "data-copy": "result" });
  button.textContent = "Copy";
  page(button, source);

  await copy.copyFrom(button);
  source.textContent = "{}";
  await copy.copyFrom(button);

  assert.deepEqual([copied, button.textContent], [["{}"], "Copied"]);
});

test("a list shows the entries that have every word, and says when there is none", () => {
  const entries = ["List orders", "Get an order", "List stores"].map(
    (words) => el("li", { "data-filter-text": words }),
  );
  const group = el("div", { id: "tools" }, el("ul", { "data-filter-group": "x" }, ...entries));
  const empty = el("p", { "data-filter-empty": "1", hidden: "" });
  const input = el("input", { "data-filter": "tools" });
  page(input, group, empty);

  type(input, "ORDER list");
  const found = entries.map((entry) => entry.hidden);
  type(input, "nothing like it");

  assert.deepEqual(found, [false, true, true]);
  assert.equal(empty.hidden, false);
  assert.equal(group.querySelector("ul").hidden, true);
});

test("the palette opens by Ctrl K, goes round, and Enter follows the chosen entry", () => {
  const options = ["home", "stores"].map((id) => el("a", { id, role: "option" }));
  const input = el("input", { "data-filter": "palette-list" });
  const items = options.map((option) => el("li", { "data-filter-text": option.id }, option));
  const palette = el(
    "dialog", { id: "palette", class: "palette" }, input, el("ul", { id: "palette-list" }, ...items),
  );
  page(palette);
  const followed = [];
  options.forEach((option) => option.addEventListener("click", () => followed.push(option.id)));

  press("k", document.body, { ctrlKey: true });
  const opened = [palette.open, document.activeElement === input];
  press("ArrowUp", input);
  const chosen = input.getAttribute("aria-activedescendant");
  const tab = press("Tab", input);
  press("Enter", input);

  assert.deepEqual(opened, [true, true]);
  assert.equal(tab.defaultPrevented, true);
  assert.deepEqual([chosen, followed], ["stores", ["stores"]]);
});

test("the pointer and the arrows choose one entry of the palette between them", () => {
  const options = ["home", "stores", "console"].map((id) => el("a", { id, role: "option" }));
  const items = options.map((option) => el("li", { "data-filter-text": option.id }, option));
  const input = el("input", { "data-filter": "palette-list" });
  page(el("dialog", { id: "palette" }, input, el("ul", { id: "palette-list" }, ...items)));
  press("k", document.body, { ctrlKey: true });
  const chosen = () => options.filter((option) => option.classList.contains("chosen"));
  const selected = () => options.map((option) => option.getAttribute("aria-selected"));

  options[2].dispatchEvent(new Event("pointermove"));
  const byPointer = [chosen().map((option) => option.id), selected()];
  press("ArrowUp", input);

  assert.deepEqual(byPointer, [["console"], ["false", "false", "true"]]);
  assert.deepEqual(chosen().map((option) => option.id), ["stores"]);
});

test("Enter follows the entry that is seen as chosen when the palette's list has changed", () => {
  const option = (id) => el("a", { id, role: "option" });
  const item = (entry) => el("li", { "data-filter-text": entry.id }, entry);
  const [home, console_, store] = ["home", "console", "store"].map(option);
  const input = el("input", { "data-filter": "palette-list" });
  const list = el("ul", { id: "palette-list" }, item(home), item(console_));
  page(el("dialog", { id: "palette" }, input, list));
  const followed = [];
  [home, console_, store].forEach(
    (entry) => entry.addEventListener("click", () => followed.push(entry.id)),
  );
  press("k", document.body, { ctrlKey: true });
  press("ArrowDown", input);

  list.replaceChildren(item(home), item(store), item(console_)); // a store was added elsewhere
  press("Enter", input);

  assert.deepEqual(followed, ["console"]);
});

test("Ctrl Enter runs the console's form once for each press", () => {
  const field = el("textarea");
  const form = el("form", { "data-page-id": "a.b" }, field);
  page(form, el("button"));
  let sent = 0;
  form.addEventListener("submit", () => { sent += 1; });

  const pressed = press("Enter", field, { ctrlKey: true });
  press("Enter", field, { ctrlKey: true, repeat: true });
  press("Enter", document.body, { metaKey: true });
  press("Enter", field);

  assert.equal(sent, 2);
  assert.equal(pressed.defaultPrevented, true);
});

test("Ctrl Enter in another dialog runs nothing", () => {
  const form = el("form", { "data-page-id": "a.b" });
  page(form, el("dialog", { open: "" }, el("input")));
  let sent = 0;
  form.addEventListener("submit", () => { sent += 1; });

  press("Enter", document.querySelector("dialog input"), { ctrlKey: true });

  assert.equal(sent, 0);
});

test("g and a letter go to a page, but not while somebody types", () => {
  const link = el("a", { "data-shortcut": "s" });
  const input = el("input");
  page(el("aside", { class: "side" }, link), input);
  let visits = 0;
  link.addEventListener("click", () => { visits += 1; });

  press("g", input);
  press("s", input);
  const typed = visits;
  press("g");
  press("s");

  assert.deepEqual([typed, visits], [0, 1]);
});

test("the address changes with the page, and an address that asks for something stays", () => {
  assert.equal(address.isNew("?tool=a", undefined, "?call=1"), false);
  assert.equal(address.isNew("?tool=a", undefined, ""), true);
  assert.equal(address.isNew("?tool=b", "?tool=a", "?tool=a"), true);
  assert.equal(address.isNew("?tool=a", "?tool=a", "?tool=a"), false);
  assert.equal(address.isNew("", "?tool=a", "?tool=a"), false);
});

const limit = (value) => el("input", { class: "input", name: "limit", value });

test("what was typed is written into the form that the server draws anew", () => {
  sessionStorage.removeItem("orderdesk-page");
  const before = consoleForm({ "data-page-id": "ada.1", "data-run-token": "r1" }, limit("5"));
  page(before);
  restore.restore();
  before.querySelector("[name=limit]").value = "7";
  const after = consoleForm({ "data-page-id": "ada.2", "data-run-token": "r2" }, limit("5"));
  page(after);

  restore.restore();

  assert.equal(after.querySelector("[name=limit]").value, "7");
  assert.equal(after.querySelector("[data-restore-note=kept]").hidden, false);
});

test("what one account typed is never written into the form of another", () => {
  const before = consoleForm({ "data-page-id": "ada.3", "data-run-token": "r3" }, limit("5"));
  page(before);
  restore.restore();
  before.querySelector("[name=limit]").value = "7";
  const after = consoleForm({ "data-page-id": "bert.4", "data-run-token": "r4" }, limit("5"));
  page(after);

  restore.restore();

  assert.equal(after.querySelector("[name=limit]").value, "5");
  assert.equal(after.querySelector("[data-restore-note=kept]").hidden, true);
});

test("the first field with an error gets the focus once, out of a closed part", () => {
  const field = el("input", { "aria-invalid": "true" });
  const folded = el("details", {}, field);
  const place = el("section", { "data-error-focus": "e1" }, folded);
  page(place);

  focus.showError();
  const first = document.activeElement;
  document.activeElement = document.body;
  focus.showError();

  assert.deepEqual([first, folded.open], [field, true]);
  assert.equal(document.activeElement, document.body);
});

test("focus that left the page comes to the content", () => {
  const main = el("main", { id: "main" });
  const button = el("button");
  page(main, button);
  button.dispatchEvent(new Event("focusin"));

  button.remove();
  focus.keep();

  assert.equal(document.activeElement, main);
});

test("a result that comes outside the window is brought into it once", () => {
  const region = el("section", { "data-result": "01CALL" });
  region.getBoundingClientRect = () => ({ top: 2000 });
  page(region);

  view.showResult();
  const first = region.wasScrolledTo;
  region.wasScrolledTo = false;
  view.showResult();

  assert.deepEqual([first, region.wasScrolledTo], [true, false]);
});

test("each part of JSON has its kind", () => {
  const text = '{"a": "b: 1", "c": -1.5e3, "d": null}';

  const parts = json.jsonParts(text).map(({ kind, start, end }) => [kind, text.slice(start, end)]);

  assert.deepEqual(parts, [
    ["key", '"a"'], ["text", '"b: 1"'], ["key", '"c"'], ["number", "-1.5e3"], ["key", '"d"'],
    ["word", "null"],
  ]);
});

test("a tree keeps every digit and fills a branch when it is opened", () => {
  const place = el("div", { "data-json-tree": "result" });
  const source = el("pre", { id: "result" });
  source.textContent = '{"order": {"meta": {"cart": 123456789012345678}, "none": []}}';
  page(place, source);

  json.growTrees();
  const closed = place.textContent;
  const branches = place.querySelectorAll("details");
  branches.at(-1).dispatchEvent(new Event("toggle"));

  assert.ok(!closed.includes("123456789012345678"));
  assert.ok(closed.includes("empty"));
  assert.ok(place.textContent.includes("123456789012345678"));
});

test("what is no JSON is no tree", () => {
  const place = el("div", { "data-json-tree": "result" });
  const source = el("pre", { id: "result" });
  source.textContent = "{broken";
  page(place, source);

  json.growTrees();

  assert.equal(place.textContent, "This result is no tree. Look at it as Raw.");
});

// The last test: it starts every module again.
test("a page that the server draws is loaded from there", () => {
  let reloads = 0;
  location.reload = () => { reloads += 1; };
  page(el("div"));
  session.loadFromServer();
  page(el("div", { "data-served": "1" }));
  session.loadFromServer();

  assert.equal(reloads, 1);
});

test("a page without a connection is loaded again once its session has ended", async () => {
  const asked = [];
  let reloads = 0;
  let answer = async () => ({ type: "basic" });
  location.reload = () => { reloads += 1; };
  globalThis.fetch = (...given) => {
    asked.push(given);
    return answer();
  };
  page(el("div"));
  await session.leaveIfEnded(); // it has a connection
  page(el("div", { class: "offline" }));
  await session.leaveIfEnded(); // the server is back, and the session lives
  answer = async () => {
    throw new TypeError("no server");
  };
  await session.leaveIfEnded();
  const before = reloads;
  answer = async () => ({ type: "opaqueredirect" });
  await session.leaveIfEnded();

  assert.deepEqual([asked.length, before, reloads], [3, 0, 1]);
  assert.equal(asked[0][1].method, "HEAD");
  assert.equal(asked[0][1].redirect, "manual");
});

test("a module that fails is reported and does not stop the others", async () => {
  const frames = [];
  const reported = [];
  Object.assign(globalThis, {
    MutationObserver: class {
      observe() {}
    },
    requestAnimationFrame: (draw) => frames.push(draw),
    reportError: (error) => reported.push(error),
    setInterval: () => 0,
  });
  const broken = el("form", { "data-confirm-run": "t9" }, el("dialog")); // nothing to confirm with
  const place = el("div", { "data-query": "?tool=orders_get" });
  page(broken, place);
  address.update();
  place.dataset.query = "?tool=orders_list";

  await import(new URL("../../../assets/ui.js", import.meta.url));
  frames.forEach((draw) => draw());

  assert.equal(reported.length, 1);
  assert.equal(history.shown, "/console?tool=orders_list");
});

const NOON = Date.parse("2026-11-28T12:00:00.000Z");
const inZone = (zone, act) => {
  const before = process.env.TZ;
  process.env.TZ = zone;
  try {
    return act();
  } finally {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  }
};

test("a time is told in the largest unit, and never of the future", () => {
  const seconds = [-5, 0, 59, 60, 3599, 3600, 86399, 86400, 29 * 86400];

  assert.deepEqual(seconds.map((gone) => times.ago(NOON, NOON + gone * 1000)), [
    "0 s ago", "0 s ago", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "23 h ago",
    "1 d ago", "29 d ago",
  ]);
});

test("an old time is a date, and an exact one names its zone, that of the browser", () => {
  const late = Date.parse("2026-06-25T22:30:05.000Z");

  assert.equal(inZone("Asia/Tokyo", () => times.ago(late, NOON)), "26 Jun 2026");
  assert.equal(inZone("Asia/Tokyo", () => times.exact(late)), "26 Jun 2026, 07:30:05 GMT+9");
  assert.match(inZone("America/Chicago", () => times.exact(late)), /^25 Jun 2026, 17:30:05 \S+$/);
});

test("times run by the server's clock, and the exact one is on hover", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: NOON + 600000 }); // ten minutes ahead
  const call = el("time", { "data-time": "ago", datetime: "2026-11-28T11:59:30.000+00:00" });
  const hour = el("time", { "data-time": "clock", datetime: "2026-11-28T11:30:00.000+00:00" });
  const never = el("time", { "data-time": "ago", datetime: "" });
  never.textContent = "Never";
  page(el("div", { "data-server-time": "2026-11-28T12:00:00.000+00:00" }, call, hour, never));

  inZone("Asia/Kathmandu", times.update);
  const first = call.textContent;
  t.mock.timers.tick(31000);
  inZone("Asia/Kathmandu", times.update);

  assert.deepEqual([first, call.textContent], ["30 s ago", "1 min ago"]);
  assert.equal(call.getAttribute("title"), "28 Nov 2026, 17:44:30 GMT+5:45");
  assert.equal(hour.textContent, "17:15");
  assert.deepEqual([never.textContent, never.getAttribute("title")], ["Never", null]);
});

test("a time that the server writes again is right after the page has changed", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: NOON });
  const call = el("time", { "data-time": "ago", datetime: "2026-11-28T11:58:00.000+00:00" });
  page(el("div", { "data-server-time": "2026-11-28T12:00:00.001+00:00" }, call));
  times.update();

  call.setAttribute("datetime", "2026-11-28T11:59:59.000+00:00");
  call.textContent = "an hour ago";
  times.update();

  assert.equal(call.textContent, "1 s ago");
});

test("a button counts the seconds until it may be pressed", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const button = el("button", { "data-countdown": "60" });
  button.textContent = "Send it again";
  page(button);

  countdown.start();
  const first = [button.disabled, button.textContent];
  t.mock.timers.tick(59_000);
  const late = [button.disabled, button.textContent];
  t.mock.timers.tick(1000);

  assert.deepEqual(first, [true, "Send it again in 60 s"]);
  assert.deepEqual(late, [true, "Send it again in 1 s"]);
  assert.deepEqual([button.disabled, button.textContent], [false, "Send it again"]);
});

test("a button that gives something away takes no hasty click", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const button = el("button", { "data-settle": "700" });
  page(button);
  const click = () => {
    const event = new Event("click", { detail: 1 });
    button.dispatchEvent(event);
    return event.defaultPrevented;
  };

  hasty.start();
  const first = [button.disabled, click()];
  t.mock.timers.tick(700);
  const settled = [button.disabled, click()];
  document.hear(new Event("visibilitychange"), false);
  const again = [button.disabled, click()];
  t.mock.timers.tick(700);

  assert.deepEqual([first, settled, again], [[true, true], [false, false], [false, true]]);
  assert.equal(click(), false);
});

// ------------------------------------------------------------------ passkeys

const passkeyForm = (act) => {
  const token = el("input", { name: "form_token" });
  token.value = "a token";
  const credential = el("input", { name: "credential" });
  const words = el("span");
  const wrong = el("div", { "data-passkey-wrong": "" }, words);
  wrong.hidden = true;
  const button = el("button", { type: "submit" });
  const form = el(
    "form",
    { method: "post", "data-passkey": act, "data-question": "/question" },
    token, credential, wrong, button,
  );
  form.hidden = true;
  form.sent = 0;
  form.submit = () => {
    form.sent += 1;
  };
  return { form, button, words, wrong, credential };
};

const withPasskeys = (answers, { status = 200, type = "basic" } = {}) => {
  globalThis.PublicKeyCredential = class {};
  navigator.credentials = answers;
  globalThis.fetch = async (address, options) => {
    globalThis.fetched = { address, token: options.body.get("form_token") };
    return {
      ok: status < 300 && type === "basic",
      status,
      type,
      json: async () => ({
        challenge: "_-8",
        user: { id: "AQI", name: "Ada" },
        excludeCredentials: [{ id: "Aw", type: "public-key" }],
      }),
    };
  };
};

test("bytes travel as base64url and come back", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);

  assert.deepEqual([...passkeys.toBytes(passkeys.toText(bytes))], [...bytes]);
  assert.equal(passkeys.toText(Uint8Array.of(255, 239)), "_-8");
});

test("a passkey form is shown where the browser knows passkeys, and not elsewhere", () => {
  const { form } = passkeyForm("get");
  const note = el("p", { "data-no-passkeys": "" });
  page(form, note);
  delete globalThis.PublicKeyCredential;
  passkeys.start();
  const without = [form.hidden, Boolean(note.hidden)];
  withPasskeys({});
  passkeys.start();

  assert.deepEqual([without, [form.hidden, note.hidden]], [[true, false], [false, true]]);
});

test("a passkey form asks the authenticator and sends its answer once", async () => {
  const asked = [];
  withPasskeys({
    create: async ({ publicKey }) => {
      asked.push(publicKey);
      return {
        id: "Ag",
        rawId: Uint8Array.of(2).buffer,
        type: "public-key",
        response: {
          clientDataJSON: Uint8Array.of(1).buffer,
          attestationObject: Uint8Array.of(3).buffer,
          getTransports: () => ["internal"],
        },
      };
    },
  });
  const { form, button, credential, wrong } = passkeyForm("create");
  page(form);

  await Promise.all([passkeys.run(form, button), passkeys.run(form, button)]);

  assert.deepEqual(globalThis.fetched, { address: "/question", token: "a token" });
  assert.equal(asked.length, 1);
  assert.deepEqual([...asked[0].challenge], [255, 239]);
  assert.deepEqual([...asked[0].user.id], [1, 2]);
  assert.deepEqual([...asked[0].excludeCredentials[0].id], [3]);
  assert.deepEqual(JSON.parse(credential.value), {
    id: "Ag",
    rawId: "Ag",
    type: "public-key",
    response: { clientDataJSON: "AQ", attestationObject: "Aw", transports: ["internal"] },
  });
  assert.deepEqual([form.sent, wrong.hidden], [1, true]);
});

test("a passkey that was not used says why, and can be tried again", async () => {
  for (const [name, answer, words] of [
    ["NotAllowedError", {}, /cancelled, or took too long/],
    ["InvalidStateError", {}, /a passkey of yours already/],
    ["TypeError", {}, /did not work/],
    ["", { status: 429 }, /Too many tries/],
    ["", { status: 403 }, /confirm who you are/],
    ["", { type: "opaqueredirect", status: 0 }, /session has ended/],
  ]) {
    withPasskeys({
      get: async () => {
        throw Object.assign(new Error(), { name });
      },
    }, answer);
    const one = passkeyForm("get");
    page(one.form);

    await passkeys.run(one.form, one.button);

    assert.match(one.words.textContent, words);
    assert.deepEqual([one.form.sent, one.wrong.hidden], [0, false]);
    assert.equal(one.button.getAttribute("aria-busy"), null);
  }
});

test("a passkey form is not sent without an answer, nor by the other forms' script", () => {
  withPasskeys({ get: () => new Promise(() => {}) });
  const { form, button } = passkeyForm("get");
  page(form);
  const event = new Event("submit", { submitter: button });

  form.dispatchEvent(event);

  assert.deepEqual([event.defaultPrevented, event.isStopped, form.sent], [true, true, 0]);
});

const answerForm = (answer, { redirected = "" } = {}) => {
  const sent = [];
  const button = el("button", { type: "submit", "aria-busy": "true", disabled: "" });
  const form = el("form", { method: "post", "data-answer-in": "made" }, button);
  const place = el("div", { id: "made" });
  globalThis.FormData = class {};
  globalThis.DOMParser = class { parseFromString() { return answer; } };
  document.importNode = (node) => node;
  document.createElement = (tag) => el(tag);
  globalThis.location = { assign: (url) => sent.push(url) };
  globalThis.fetch = async () => {
    if (!answer && !redirected) throw new TypeError("offline");
    return { redirected: Boolean(redirected), url: redirected, text: async () => "" };
  };
  page(form, place);
  return { form, place, button, sent };
};

test("the answer of a form is shown in its place, which gets the focus", async () => {
  const shown = el("div", { "data-answer": "1" });
  const { form, place, button } = answerForm(el("main", {}, el("p"), shown));

  await answers.send(form, place);

  assert.deepEqual(place.children, [shown]);
  assert.equal(document.activeElement, place);
  assert.deepEqual([button.disabled, button.getAttribute("aria-busy")], [false, null]);
});

test("a form that was refused leads to where that is said, and shows nothing", async () => {
  const { form, place, sent } = answerForm(null, { redirected: "/confirm" });

  await answers.send(form, place);

  assert.deepEqual([place.children, sent], [[], ["/confirm"]]);
});

test("an error page gives its words, and no answer says so", async () => {
  const words = el("p");
  words.textContent = "Ask an owner.";
  const refused = answerForm(el("html", {}, el("main", {}, words)));
  await answers.send(refused.form, refused.place);
  assert.equal(refused.place.textContent, "Ask an owner.");

  const lost = answerForm(null);
  await answers.send(lost.form, lost.place);
  assert.match(lost.place.textContent, /No answer came/);
});
