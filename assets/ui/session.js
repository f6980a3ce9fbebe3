// A session that has ended leads to the sign-in page, which the server draws.
import { one } from "./dom.js";

const ASK_EVERY_MS = 3000;

// The framework has gone to an address that only the server can draw.
export const loadFromServer = () => {
  if (one("[data-served]")) location.reload();
};

// Without a session the server takes no websocket, so the page would try again for ever. To any
// page it answers with the way to the sign-in page.
export const leaveIfEnded = async () => {
  if (!one(".offline")) return;
  try {
    const { type } = await fetch(location.pathname + location.search, {
      method: "HEAD",
      redirect: "manual",
      cache: "no-store",
    });
    if (type === "opaqueredirect") location.reload();
  } catch {
    // there is no server: the page itself tries again
  }
};

export const start = () => {
  setInterval(leaveIfEnded, ASK_EVERY_MS);
};
