// Passkeys: a form that asks the authenticator before it is sent. What it asks comes from the
// server, and what it answers goes back in the form; bytes travel as base64url.
import { all, one } from "./dom.js";

const WORDS = {
  NotAllowedError: "No passkey was used: it was cancelled, or took too long. Try again.",
  InvalidStateError: "This device has a passkey of yours already.",
  SecurityError: "Passkeys do not work at this address. Use another way.",
  RateLimited: "Too many tries. Wait a minute, then try again.",
  Ended: "Your session has ended, or you have to confirm who you are first. Reload the page.",
};
const OTHERWISE = "That did not work. Try again, or use another way.";

export const toBytes = (text) => Uint8Array.from(
  atob(text.replace(/-/g, "+").replace(/_/g, "/")),
  (letter) => letter.charCodeAt(0),
);

export const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-")
  .replace(/\//g, "_")
  .replace(/=+$/, "");

const described = (known) => (known || []).map((one) => ({ ...one, id: toBytes(one.id) }));

// The question as the browser takes it.
export const questionOf = (options) => ({
  ...options,
  challenge: toBytes(options.challenge),
  ...(options.user && { user: { ...options.user, id: toBytes(options.user.id) } }),
  ...(options.excludeCredentials && {
    excludeCredentials: described(options.excludeCredentials),
  }),
  ...(options.allowCredentials && { allowCredentials: described(options.allowCredentials) }),
});

// The answer as the server takes it.
export const answerOf = (credential) => {
  const { response } = credential;
  const bytes = (name) => (response[name] ? { [name]: toText(response[name]) } : {});
  return {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    response: {
      ...bytes("clientDataJSON"),
      ...bytes("attestationObject"),
      ...bytes("authenticatorData"),
      ...bytes("signature"),
      ...bytes("userHandle"),
      ...(response.getTransports && { transports: response.getTransports() }),
    },
  };
};

const refused = (name) => Object.assign(new Error(name), { name });

const ask = async (form) => {
  const given = new URLSearchParams();
  const token = form.elements.form_token;
  if (token) given.set("form_token", token.value);
  const answer = await fetch(form.dataset.question, {
    method: "POST",
    body: given,
    redirect: "manual",
    headers: { accept: "application/json" },
  });
  if (answer.status === 429) throw refused("RateLimited");
  if (answer.type === "opaqueredirect" || answer.status === 403) throw refused("Ended");
  if (!answer.ok) throw refused("Failed");
  return questionOf(await answer.json());
};

const show = (form, words) => {
  const place = one("[data-passkey-wrong]", form);
  place.hidden = !words;
  const span = one("span", place);
  span.setAttribute("role", "alert");
  span.textContent = words;
};

// Asks the authenticator, and sends the form with its answer.
export const run = async (form, button) => {
  if (button.getAttribute("aria-busy") === "true") return; // a double click is one press
  button.setAttribute("aria-busy", "true");
  show(form, "");
  try {
    const publicKey = await ask(form);
    const credential = await navigator.credentials[form.dataset.passkey]({ publicKey });
    form.elements.credential.value = JSON.stringify(answerOf(credential));
    form.submit();
  } catch (error) {
    show(form, WORDS[error.name] || OTHERWISE);
    button.removeAttribute("aria-busy");
  }
};

const onSubmit = (event) => {
  const form = event.target;
  if (!form.dataset?.passkey) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  run(form, event.submitter || one("button[type=submit]", form));
};

export const start = () => {
  document.addEventListener("submit", onSubmit, true); // before the other forms' own listener
  if (!globalThis.PublicKeyCredential || !navigator.credentials) return;
  all("form[data-passkey]").forEach((form) => {
    form.hidden = false;
  });
  all("[data-no-passkeys]").forEach((part) => {
    part.hidden = true;
  });
};
