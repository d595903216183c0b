// The search: the address holds the query; whatever changes it changes the address, and asks again.

import { allNames, fullName } from "../arxiv.js";
import { byId, count, duration, element, isWide } from "../dom.js";
import { showError } from "../errors.js";
import { search } from "../service.js";
import { keepTitles, showFilters, showSet } from "./chips.js";
import { fillForm, readForm } from "./form.js";
import { renderHit } from "./hits.js";
import { handleKeys } from "./keys.js";
import { emphasize, offerLandscape } from "./landscape.js";
import { isBlank, newQuery, readAddress, STEPS, toAddress, toBody } from "./query.js";
import { showView } from "./views.js";

let query = newQuery();
let current = new AbortController(); // of the request in flight

/** Offers the search where the service has an index; `problem` is the line of the other view. */
export function startSearch(index, problem) {
  if (!index) {
    if (readAddress(location.hash)) problem.textContent = "This service has no index to search.";
    return;
  }
  byId("views").hidden = false;
  const names = allNames().map(([value, name]) => element("option", { value }, name));
  byId("names").replaceChildren(...names);
  if (index.papers) byId("indexed").textContent = `${count(index.papers, "paper")}`;
  byId("options").open = isWide();
  offerLandscape(index, (id) => change(newQuery({ like: [id] })));
  listen();
  restore();
}

/** Shows what the address holds. */
async function restore() {
  const named = readAddress(location.hash);
  showView(named ? "search" : "classify");
  current.abort();
  if (!named) return;
  query = named;
  fillForm(query);
  await ask();
}

/** Follows a link, or a step back or forward; what had the focus may be gone. */
function follow() {
  const inResults = byId("hits").contains(document.activeElement);
  restore();
  if (byId("search-view").hidden) return;
  if (isBlank(query)) byId("query").focus();
  else if (inResults || !document.activeElement?.checkVisibility()) byId("results-heading").focus();
}

/** Searches for another query, which the address holds from now on. */
async function change(next, { replace = false, focus = "results-heading" } = {}) {
  query = next;
  const address = toAddress(query);
  if (address !== location.hash) {
    if (replace) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
  }
  showView("search");
  fillForm(query);
  byId(focus)?.focus();
  await ask();
}

/** Searches; a new search aborts the old one. */
async function ask() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  byId("search-problem").textContent = "";
  showFilters(query);
  showSet(query, signal);
  document.title = titleOf(query);
  if (isBlank(query)) return showNothing();
  byId("results").setAttribute("aria-busy", "true");
  try {
    await askAndShow(signal);
  } catch (error) {
    if (signal.aborted) return;
    showNothing();
    byId("no-search").hidden = true;
    showError(error, byId("search-problem"), ask);
  } finally {
    if (!signal.aborted) byId("results").removeAttribute("aria-busy");
  }
}

async function askAndShow(signal) {
  const start = performance.now();
  const waiting = (seconds, detail) =>
    state(`${detail || "The service is busy."} Retrying in ${seconds} s.`);
  state("Searching…");
  const answer = await search(toBody(query), { signal, waiting });
  if (signal.aborted) return;
  showAnswer(answer);
  const selected = answer.selected < answer.papers
    ? `${answer.selected.toLocaleString("en")} of ${count(answer.papers, "paper")}`
    : count(answer.papers, "paper");
  const time = duration(performance.now() - start);
  state(`${count(answer.results.length, "result")} among ${selected}, in ${time}.`);
}

function showAnswer({ results, note, unknown, shelf }) {
  const missing = unknown.filter((id) => !note.includes(id)); // that the note does not name
  const notes = [note, missing.length && `The index has no paper ${missing.join(", ")}.`];
  byId("note").textContent = notes.filter(Boolean).join(" ");
  byId("shelf-note").textContent = shelf ? shelfSentence(shelf) : "";
  keepTitles(results);
  const open = new Set(openAbstracts());
  const hits = results.map((hit) => renderHit(hit, query));
  for (const hit of hits) hit.querySelector("details").open = open.has(hit.dataset.id);
  byId("hits").replaceChildren(...hits);
  byId("no-search").hidden = true;
  byId("more-results").hidden = results.length < query.k || query.k >= STEPS.at(-1);
  emphasize(results.map(({ id }) => id), query.like);
}

function shelfSentence({ category, probability, weight }) {
  const named = [category, fullName(category)].filter(Boolean).join(" ");
  return `The shelf of the query is ${named}, at ${Math.round(100 * probability)}\u00a0%; ` +
    `it weighs ${Math.round(100 * weight)}\u00a0%.`;
}

function openAbstracts() {
  return [...document.querySelectorAll(".hit:has(details[open])")].map((hit) => hit.dataset.id);
}

function showNothing() {
  state("");
  byId("note").textContent = "";
  byId("shelf-note").textContent = "";
  byId("hits").replaceChildren();
  byId("no-search").hidden = false;
  byId("more-results").hidden = true;
  emphasize([], []);
}

function titleOf({ text, title, like }) {
  const subject = text || title || (like.length && `papers like ${like.join(", ")}`);
  return `${subject ? `${subject} · ` : ""}Search · Shelfmark`;
}

const state = (text) => {
  byId("search-status").textContent = text;
};

async function showMore() {
  const shown = byId("hits").children.length;
  const k = STEPS.find((step) => step > query.k);
  await change({ ...query, k }, { replace: true });
  byId("hits").children[shown]?.focus();
}

function listen() {
  addEventListener("popstate", follow);
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    change(readForm(query), { focus: "query" });
  });
  byId("search-form").addEventListener("change", ({ target }) => {
    if (target.id !== "query" && target.id !== "name") change(readForm(query), { focus: target.id });
  });
  byId("search-form").addEventListener("query", ({ detail }) => change(detail));
  byId("filters").addEventListener("query", ({ detail }) => change(detail));
  byId("more-results").addEventListener("click", showMore);
  byId("hits").addEventListener("click", ({ target }) => {
    const { list } = target.dataset;
    if (list) change(withPaper(list, target.closest(".hit").dataset.id));
  });
  for (const list of ["category", "exclude"]) {
    byId(`add-${list}`).addEventListener("click", () => addFilter(list));
  }
  handleKeys();
}

function addFilter(list) {
  const name = byId("name").value.trim();
  if (!name) return byId("name").focus();
  const form = readForm(query);
  change({ ...form, [list]: [...new Set([...form[list], name])] }, { focus: "name" });
}

/** Returns the query with another paper that the results are to be like, or unlike. */
function withPaper(list, id) {
  return { ...query, k: STEPS[0], [list]: [...query[list], id] };
}
