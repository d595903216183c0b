// The form of the search.

import { byId } from "../dom.js";
import { STEPS } from "./query.js";

/** Writes a query into the form. */
export function fillForm(query) {
  byId("query").value = query.text;
  byId("meaning").value = 1 - query.words;
  byId("boost").value = query.shelf;
  byId("since").value = query.since;
  byId("until").value = query.until;
  byId("primary-only").checked = query.primary;
  byId("name").value = "";
  showWeights();
}

/** Returns the query of the form; what the form does not hold is that of `query`. */
export function readForm(query) {
  const text = byId("query").value;
  return {
    ...query,
    ...(text.trim() && { title: "", abstract: "" }),
    k: STEPS[0],
    text,
    words: rounded(1 - byId("meaning").valueAsNumber),
    shelf: rounded(byId("boost").valueAsNumber),
    since: byId("since").value,
    until: byId("until").value,
    primary: byId("primary-only").checked,
  };
}

const rounded = (number) => Math.round(100 * number) / 100;
const percent = (number) => `${Math.round(100 * number)}\u00a0%`;

// What the sliders stand at, for eyes and for screen readers.
function showWeights() {
  const meaning = byId("meaning").valueAsNumber;
  const boost = byId("boost").valueAsNumber;
  const mix = `${percent(1 - meaning)} words, ${percent(meaning)} meaning`;
  byId("mix").textContent = mix;
  byId("meaning").setAttribute("aria-valuetext", mix);
  byId("boost-value").textContent = boost ? percent(boost) : "off";
  byId("boost").setAttribute("aria-valuetext", boost ? percent(boost) : "off");
}

byId("search-form").addEventListener("input", showWeights);
