// The address says what is on the screen.
import { all } from "./dom.js";

const shownBefore = new WeakMap();

// Whether the address changes to `wanted`. A page that has just been drawn still says what was
// there before, so an address that asks for something is left alone then.
export const isNew = (wanted, before, search) =>
  Boolean(wanted) && wanted !== before && wanted !== search && Boolean(before || !search);

export const update = () => all("[data-query]").forEach((place) => {
  const before = shownBefore.get(place);
  const wanted = place.dataset.query;
  shownBefore.set(place, wanted);
  if (isNew(wanted, before, location.search)) {
    history.replaceState(history.state, "", location.pathname + wanted);
  }
});
