// The keys of the search: from the line to the results and through them, and back.

import { byId } from "../dom.js";

const STEP = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };

export function handleKeys() {
  byId("query").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" || !byId("hits").firstElementChild) return;
    event.preventDefault();
    byId("hits").firstElementChild.focus();
  });
  byId("name").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return; // which would search, without the filter
    event.preventDefault();
    byId("add-category").click();
  });
  byId("hits").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const hit = event.target.closest(".hit");
    const details = hit.querySelector("details");
    if (event.key in STEP) step(hit, STEP[event.key]);
    else if (event.key === "Escape" && details.open) fold(details, hit);
    else if (event.key === "Escape") byId("query").focus();
    else if (event.key === "Enter" && event.target === hit) details.open = !details.open;
    else return;
    event.preventDefault();
  });
}

function step(hit, by) {
  const next = by > 0 ? hit.nextElementSibling : hit.previousElementSibling;
  if (next) next.focus();
  else if (by < 0) byId("query").focus();
  else byId("more-results").focus(); // nothing where there are no more
}

function fold(details, hit) {
  details.open = false;
  hit.focus();
}
