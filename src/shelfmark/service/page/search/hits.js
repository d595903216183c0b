// The papers that a search finds, as entries of a list.

import { fullName } from "../arxiv.js";
import { element, styled } from "../dom.js";
import { markRuns } from "../marks.js";
import { newQuery, toAddress } from "./query.js";

const MOST_AUTHORS = 8; // that are named; the others are counted
const MOST_WORDS = 6; // of those that decided
const DAY = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeZone: "UTC" });

/** Returns the entry of a paper; `query` is the search that found it. */
export function renderHit(hit, query) {
  const mark = marker(hit.why);
  return element("li", { class: "hit", tabindex: "-1", "data-id": hit.id, "aria-label": hit.title },
    element("h3", {}, paperLink(hit, mark)),
    element("p", { class: "authors" }, shorten(hit.authors)),
    shelf(hit),
    hit.why.length > 0 && words(hit.why),
    element("details", {},
      element("summary", {}, "Abstract"),
      element("p", { class: "abstract" }, ...mark(hit.abstract))),
    actions(hit, query));
}

/** Returns a link to the page of a paper at arXiv. */
export function paperLink(hit, mark = (text) => [text]) {
  return element("a", { href: hit.url, rel: "noopener" }, ...mark(hit.title));
}

export const submittedOn = ({ submitted }) => DAY.format(new Date(submitted));

export function similarityOf({ similarity }) {
  return similarity === null ? "found by its words" : `similarity ${similarity.toFixed(2)}`;
}

/** Returns whether a paper is the one that was asked about. */
export function isSamePaper(hit, title = "") {
  const plain = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
  return hit.match !== null || (title !== "" && plain(hit.title) === plain(title));
}

function shorten(authors) {
  const names = authors.split(", ");
  const more = names.length - MOST_AUTHORS;
  if (more < 2) return authors;
  return `${names.slice(0, MOST_AUTHORS).join(", ")} and ${more.toLocaleString("en")} more`;
}

function shelf(hit) {
  const others = hit.categories.filter((category) => category !== hit.category);
  const changed = hit.updated && hit.updated !== hit.submitted;
  const bar = styled(element("span", {}), "inline-size", `${100 * Math.max(hit.similarity, 0)}%`);
  return element("p", { class: "shelf" },
    element("span", { class: "spine" }, hit.category), " ",
    element("span", {}, fullName(hit.category)), " ",
    others.length > 0 && element("span", { class: "also" }, `also ${others.join(", ")} `),
    element("time", { datetime: hit.submitted,
      title: changed ? `Revised on ${DAY.format(new Date(hit.updated))}` : null },
    submittedOn(hit)), " ",
    element("span", { class: "similarity" }, similarityOf(hit),
      hit.similarity !== null && element("span", { class: "bar", "aria-hidden": "true" }, bar)),
    hit.match && element("strong", { class: "match" },
      hit.match === "id" ? "The paper of this identifier" : "The paper of this title"));
}

function words(why) {
  const items = why.slice(0, MOST_WORDS).map(({ word, share }) =>
    element("li", {}, element("mark", { class: share < 0 ? "away" : "towards" }, word),
      ` ${percentOf(share)}`));
  return element("ul", { class: "why", "aria-label": "Words that make it similar" }, ...items);
}

const percentOf = (share) => `${Math.round(100 * share)}\u00a0%`.replace("-", "−");

function actions(hit, query) {
  const { category, exclude, since, until, primary, words: weight, shelf: boost } = query;
  const kept = { category, exclude, since, until, primary, words: weight, shelf: boost };
  const more = toAddress(newQuery({ ...kept, like: [hit.id] }));
  const link = (text, href, rel = null) =>
    element("a", { href, rel, "aria-label": `${text}: ${hit.title}` }, text);
  const button = (text, list) =>
    element("button", { type: "button", "data-list": list, "aria-label": `${text}: ${hit.title}` },
      text);
  return element("p", { class: "actions" },
    link("arXiv", hit.url, "noopener"), link("PDF", hit.pdf, "noopener"),
    link("More like this", more),
    button("Add to set", "like"), button("Less like this", "unlike"));
}

/** Returns a function that marks the words that decided in a text, by their shares. */
function marker(why) {
  const shares = new Map(why.map(({ word, share }) => [plain(word), share]));
  if (!shares.size) return (text) => [text];
  const longestFirst = [...shares.keys()].sort((a, b) => b.length - a.length);
  const any = longestFirst.map((word) => word.split(" ").map(escape).join("[\\s-]+")).join("|");
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${any})(?![\\p{L}\\p{N}])`, "giu");
  return (text) => {
    const sums = new Float64Array(text.length);
    for (const { 0: found, index } of text.matchAll(pattern)) {
      sums.fill(shares.get(plain(found)) ?? 0, index, index + found.length);
    }
    return markRuns(sums, (from, to) => text.slice(from, to), 0, text.length, percentOf);
  };
}

const plain = (text) => text.toLowerCase().replace(/[\s-]+/g, " ");
const escape = (text) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
