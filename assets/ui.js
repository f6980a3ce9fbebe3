// What pages do in the browser beside the framework. Native modules, no inline code; works on every
// page, with and without the framework. `orderdesk build` makes one file of them.
//
// Pages and scripts agree on these attributes (drawn by components/ and pages/, and by
// routes/html_pages.py). An id is the id of an element of the page.
//
// | Attribute          | On               | Meaning                                               |
// |--------------------|------------------|-------------------------------------------------------|
// | data-open-dialog   | button           | opens the dialog of that id                           |
// | data-close-dialog  | button           | closes the dialog that it stands in                   |
// | data-reopen="1"    | dialog           | is open when the page comes: its form was refused     |
// | data-busy-on-click | button           | busy from the click on until the server has answered  |
// | data-answer-in     | form             | its answer is shown in the element of that id         |
// | data-answer        | part of a page   | what that element shows of it                         |
// | data-copy          | button           | copies the text or value of the element of that id    |
// | data-copy-label    | part of a button | the words that become "Copied"                        |
// | data-download      | button           | saves the text of the element of that id as a file    |
// | data-file          | the same button  | the name of the file                                  |
// | data-reveal        | button           | shows and hides the password field of that id         |
// | data-trim          | input            | spaces around what is pasted or sent are dropped      |
// | data-countdown     | button           | works after so many seconds, and counts them          |
// | data-settle        | button           | works once the page was seen for so many milliseconds |
// | data-confirm       | input            | the submit button works once this text is typed       |
// | data-tick          | button           | ticks these values among the boxes beside it alone    |
// | data-filter        | input            | filters the list of that id while somebody types      |
// | data-filter-text   | entry of a list  | the words that the entry is found by                  |
// | data-filter-group  | part of the list | hidden when none of its entries is shown              |
// | data-filter-empty  | beside the list  | shown when no entry is                                |
// | data-shortcut      | link of the menu | `g` and then this key goes there                      |
// | data-query         | part of the page | the address's query, as it is for what is shown       |
// | data-time          | time             | "ago": runs on; "clock": in the zone of the browser   |
// | data-zone          | hidden input     | gets the zone of the browser as its value             |
// | data-server-time   | the frame        | the server's time when it drew the page               |
// | data-run-token     | form             | the token of its next run; a form runs once for each  |
// | data-running="1"   | form             | its run has not ended                                 |
// | data-confirm-run   | form             | the server asks to confirm: its dialog opens          |
// | data-error-focus   | around fields    | changes when the first field with an error gets focus |
// | data-page-id       | form             | "<account>.<id>": another when the server forgot it   |
// | data-restore-note  | part of a form   | "kept" or "lost": shown when the server forgot it     |
// | data-result        | part of the page | the id of the call whose result is shown              |
// | data-served        | part of the page | the server draws this address, and it is loaded       |
// | data-highlight     | pre              | its JSON gets colours                                 |
// | data-json-tree     | div              | becomes a tree of the JSON in the element of that id  |
// | data-passkey       | form             | "create" or "get": asks the authenticator before it   |
// |                    |                  | is sent; shown where the browser knows passkeys       |
// | data-question      | the same form    | the address that says what the authenticator is asked |
// | data-passkey-wrong | part of the form | shown with the words for what went wrong              |
// | data-no-passkeys   | part of the page | hidden where the browser knows passkeys               |
//
// `data-label` on a cell is read by look.css alone.
import * as address from "./ui/address.js";
import * as answers from "./ui/answers.js";
import * as copy from "./ui/copy.js";
import * as countdown from "./ui/countdown.js";
import * as dialogs from "./ui/dialogs.js";
import { runAll } from "./ui/dom.js";
import * as filter from "./ui/filter.js";
import * as focus from "./ui/focus.js";
import * as forms from "./ui/forms.js";
import * as hasty from "./ui/hasty.js";
import * as json from "./ui/json.js";
import * as keyboard from "./ui/keyboard.js";
import * as palette from "./ui/palette.js";
import * as passkeys from "./ui/passkeys.js";
import * as restore from "./ui/restore.js";
import * as runs from "./ui/runs.js";
import * as session from "./ui/session.js";
import * as theme from "./ui/theme.js";
import * as times from "./ui/times.js";
import * as view from "./ui/view.js";

const PARTS = [
  theme, runs, answers, dialogs, copy, countdown, forms, filter, keyboard, palette, focus, session,
  times, passkeys, hasty,
];
runAll(PARTS.map((part) => part.start));

// Once for each frame in which the page has changed. Focus comes first and errors last: an error's
// field keeps the focus that it is given.
const settle = () => runAll([
  session.loadFromServer,
  focus.keep,
  dialogs.reopen,
  json.highlight,
  json.growTrees,
  runs.markBusy,
  runs.askToConfirm,
  restore.restore,
  address.update,
  times.update,
  view.showChosenTool,
  view.showResult,
  focus.showError,
]);
let isPlanned = false;
const plan = () => {
  if (isPlanned) return;
  isPlanned = true;
  requestAnimationFrame(() => {
    isPlanned = false;
    settle();
  });
};
new MutationObserver(plan).observe(document.documentElement, {
  childList: true,
  subtree: true,
  characterData: true,
  attributes: true,
  attributeFilter: [
    "data-reopen",
    "data-run-token",
    "data-running",
    "data-confirm-run",
    "data-error-focus",
    "data-query",
    "data-server-time",
    "datetime",
  ],
});
plan();
