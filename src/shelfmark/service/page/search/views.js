// The two views of the page, to classify and to search; the address says which is shown.

import { byId } from "../dom.js";

const VIEWS = ["classify", "search"];

/** Shows a view, and hides the other. */
export function showView(name) {
  for (const view of VIEWS) {
    byId(`${view}-view`).hidden = view !== name;
    const link = byId(`${view}-link`);
    if (view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
