// The table of the answers to a file of papers: sorting, filtering, download.

import * as csv from "./csv.js";
import { listingLink } from "./arxiv.js";
import { byId, count, element, percent } from "./dom.js";
import { STATES, stateOf } from "./verdict.js";

const PAGE = 200; // rows put on the page at a time
const DELAY = 32; // a thirty-second more rows than before are drawn at once

const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const lists = ({ cross_lists: suggested = [] }) => suggested.map(({ category }) => category);

function agreement({ primary }) {
  if (!primary) return "";
  if (!primary.known) return `${primary.category}: unknown to the model`;
  return `${primary.category}: ${primary.agrees ? "agrees" : "disagrees"}`;
}

function verdict({ answer }) {
  const { scope, reason } = answer;
  const state = stateOf(answer);
  const out = scope !== "in";
  const word = `${state[0].toUpperCase()}${state.slice(1)}`;
  return element("span", { class: "graded", title: out && reason },
    element("span", { class: `state ${state}` }, word),
    out && reason && " ",
    out && reason && element("small", {}, reason));
}

/** Returns the place of a row's state among all, or nothing for a row with an error. */
const grade = ({ answer }) => (answer.error ? "" : STATES.indexOf(stateOf(answer)));

// The name of a column, its value for a row, its nodes where it is not plain text, and what the
// rows are sorted by where that is not the value.
const COLUMNS = [
  { name: "Line", value: (row) => row.line, number: true },
  { name: "Paper", value: (row) => row.shown },
  { name: "Category", value: ({ answer }) => answer.category ?? "",
    cell: ({ answer }) => listingLink(answer.category) },
  { name: "Name", value: ({ answer }) => answer.name ?? "" },
  { name: "Probability", value: ({ answer }) => answer.confidence ?? "", number: true,
    cell: ({ answer }) => percent(answer.confidence) },
  { name: "Verdict", value: ({ answer }) => stateOf(answer) ?? "", cell: verdict, rank: grade },
  { name: "Also fits", value: ({ answer }) => lists(answer).join(" "),
    cell: ({ answer }) => element("span", { class: "codes" },
      ...lists(answer).map((label) => element("span", {}, label))) },
  { name: "Author’s category", value: ({ answer }) => agreement(answer), own: true },
];

/** Returns a table that grows by `add`; a click on a paper calls `open` with its row. */
export function createTable(open) {
  let rows = [];
  let sorted = { column: COLUMNS[0], down: false };
  let shown = PAGE;
  let elements = new WeakMap();
  let own = false; // whether a row names its author's category
  let drawn = 0; // rows that the table knew when it was drawn last

  const columns = () => COLUMNS.filter((column) => own || !column.own);

  function chosen() {
    const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const unsure = byId("unsure").checked;
    const { column, down } = sorted;
    const key = column.rank ?? column.value;
    return rows
      .filter((row) => !unsure || row.answer.confident === false)
      .filter((row) => words.every((word) => searched(row).includes(word)))
      .sort((a, b) => compare(key(a), key(b), down) || a.line - b.line);
  }

  function render() {
    drawn = rows.length;
    const found = chosen();
    const focused = document.activeElement;
    byId("rows").replaceChildren(...found.slice(0, shown).map(line));
    if (byId("rows").contains(focused)) focused.focus(); // a moved node loses the focus
    const part = found.length === rows.length ? "" : `${found.length.toLocaleString("en")} of `;
    byId("caption").textContent = [part + count(rows.length, "paper"), ...summary(rows)].join(", ");
    byId("more").hidden = found.length <= shown;
  }

  function line(row) {
    if (!elements.has(row)) elements.set(row, rowElement(row));
    return elements.get(row);
  }

  function rowElement(row) {
    const all = columns();
    const paper = row.query ? openButton(row) : row.shown;
    const first = [
      element("td", { class: "number" }, row.line),
      element("th", { scope: "row", class: "paper" }, paper),
    ];
    if (row.answer.error) {
      const error = element("td", { colspan: all.length - 2 }, `Error: ${row.answer.error}`);
      return element("tr", { class: "refused" }, ...first, error);
    }
    const rest = all.slice(2).map(({ value, cell, number }) =>
      element("td", { class: number && "number" }, cell ? cell(row) : value(row)));
    return element("tr", {}, ...first, ...rest);
  }

  function openButton(row) {
    const title = "Show the words that decided";
    const button = element("button", { type: "button", title }, row.shown);
    button.addEventListener("click", () => open(row));
    return button;
  }

  function headers() {
    const cells = columns().map((column) => {
      const button = element("button", { type: "button" }, column.name);
      button.addEventListener("click", () => {
        sorted = { column, down: sorted.column === column && !sorted.down };
        mark();
        render();
      });
      return element("th", { scope: "col", class: column.number && "number" }, button);
    });
    byId("columns").replaceChildren(...cells);
    mark();
  }

  function mark() {
    for (const [place, column] of columns().entries()) {
      const header = byId("columns").children[place];
      if (sorted.column !== column) header.removeAttribute("aria-sort");
      else header.setAttribute("aria-sort", sorted.down ? "descending" : "ascending");
    }
  }

  function download() {
    const cells = ({ line, id, shown: paper, answer }) => [line, id, paper, answer.category,
      answer.name, answer.confidence, answer.error ? "" : answer.confident,
      answer.verdict, answer.scope, answer.reason, lists(answer).join(" "),
      answer.primary?.category, answer.primary?.agrees, answer.error];
    const head = ["line", "id", "paper", "category", "name", "confidence", "confident",
      "verdict", "scope", "reason", "cross_lists", "primary", "agrees", "error"];
    // The byte order mark at the start lets spreadsheets recognise UTF-8.
    const written = `\ufeff${csv.write([head, ...chosen().map(cells)])}`;
    const href = URL.createObjectURL(new Blob([written], { type: "text/csv" }));
    element("a", { href, download: "shelfmark.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  }

  byId("filter").addEventListener("input", render);
  byId("unsure").addEventListener("change", render);
  byId("download").addEventListener("click", download);
  byId("more").addEventListener("click", () => {
    shown += PAGE;
    render();
  });

  return {
    clear() {
      rows = [];
      own = false;
      sorted = { column: COLUMNS[0], down: false };
      shown = PAGE;
      byId("filter").value = "";
      byId("unsure").checked = false;
      headers();
      render();
    },
    /** Adds rows. Of many they appear some at a time, for all are sorted again each time. */
    add(more) {
      rows.push(...more);
      if (rows.length - drawn > rows.length / DELAY) this.draw();
    },
    /** Shows every row. */
    draw() {
      const before = own;
      own = rows.some((row) => row.answer.primary);
      if (own !== before) {
        elements = new WeakMap();
        headers();
      }
      render();
    },
  };
}

function searched(row) {
  const values = COLUMNS.map(({ value }) => value(row));
  return [...values, row.id, row.answer.reason, row.answer.error].join(" ").toLowerCase();
}

// Rows with an error have no value, and stay at the end in both directions.
function compare(a, b, down) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = typeof a === "number" ? a - b : order.compare(a, b);
  return down ? -difference : difference;
}

// How many rows there are of each state, as far as it occurs.
function summary(rows) {
  const counts = new Map([...STATES, "error"].map((state) => [state, 0]));
  for (const { answer } of rows) {
    const state = answer.error ? "error" : stateOf(answer);
    counts.set(state, counts.get(state) + 1);
  }
  return [...counts]
    .filter(([, number]) => number)
    .map(([state, number]) =>
      state === "error" ? count(number, state) : `${number.toLocaleString("en")} ${state}`);
}
