// What narrows a search, as chips: its filters, and the papers that the results are like or unlike.

import { fullName } from "../arxiv.js";
import { byId, element } from "../dom.js";
import { search } from "../service.js";
import { filtersOf } from "./query.js";

const MOST = 64; // searches of a request
const titles = new Map(); // of papers, by their identifiers

/** Shows the filters of a query. */
export function showFilters(query) {
  const filters = filtersOf(query, fullName);
  byId("filters").replaceChildren(
    ...filters.map(([word, value, without]) => chip(value, without, { word })));
  byId("filters").hidden = !filters.length;
}

/** Keeps the titles of papers, should they come into a set. */
export function keepTitles(papers) {
  for (const { id, title } of papers) titles.set(id, title);
}

/** Shows the papers of a query; titles that are not known yet follow. */
export async function showSet(query, signal) {
  drawSet(query);
  const ids = [...query.like, ...query.unlike].filter((id) => !titles.has(id)).slice(0, MOST);
  if (!ids.length) return;
  try {
    const body = { searches: ids.map((id) => ({ text: id, k: 1 })) };
    const { searches } = await search(body, { signal, attempts: 1 });
    keepTitles(searches.flatMap(({ results = [] }) => results.filter(({ id }) => ids.includes(id))));
  } catch {
    return; // the identifiers stay
  }
  if (!signal.aborted) drawSet(query);
}

function drawSet(query) {
  const papers = (list, word) => query[list].map((id) => {
    const without = { ...query, [list]: query[list].filter((other) => other !== id) };
    return chip(titles.get(id) ?? id, without, { word, kind: `${list}-chip` });
  });
  const { title, abstract } = query;
  const paper = title || abstract;
  const without = { ...query, title: "", abstract: "" };
  byId("set").replaceChildren(
    ...(paper ? [chip(paper, without, { word: "like" })] : []),
    ...papers("like", "like"), ...papers("unlike", "unlike"));
  byId("set").hidden = !byId("set").children.length;
}

/** Returns a chip that, when removed, says which query is left. */
function chip(text, without, { word, kind = "" }) {
  const name = `Remove: ${word} ${text}`;
  const remove = element("button", { type: "button", "aria-label": name, title: name }, "×");
  remove.addEventListener("click", () =>
    remove.dispatchEvent(new CustomEvent("query", { bubbles: true, detail: without })));
  return element("li", { class: `chip ${kind}` },
    element("span", {}, element("b", {}, word), ` ${text}`), remove);
}
