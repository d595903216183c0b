// The papers to classify, from the fields of the form or from a file.

import * as csv from "./csv.js";

const MAX_CHARACTERS = 50_000; // characters of a text
const MAX_BYTES = 100e6; // bytes of a file
const SHOWN = 140; // characters of a paper in the table
const TEXTS = ["text", "title", "abstract", "summary"]; // columns of a file
const READ = [...TEXTS, "id", "primary", "categories"];
export const NO_TEXT = "no text: give text, or title and abstract";

const trimmed = (value) => (typeof value === "string" ? value.trim() : "");

/** Returns the query for a paper; without a title its abstract is a text. */
export function toQuery({ title, abstract, primary }) {
  const query = trimmed(title) ? { title, abstract: abstract ?? "" } : { text: abstract ?? "" };
  return trimmed(primary) ? { ...query, primary: primary.trim() } : query;
}

/** Returns why a query is invalid, or "". */
export function findProblem(query) {
  const texts = [query.title, query.abstract, query.text];
  if (!texts.some(trimmed)) return NO_TEXT;
  const tooLong = (text) =>
    text?.length > MAX_CHARACTERS && Array.from(text).length > MAX_CHARACTERS;
  return texts.some(tooLong) ? `longer than ${MAX_CHARACTERS.toLocaleString("en")} characters` : "";
}

/** Returns the rows of a file: {line, id, shown, query} or {line, shown, error}. */
export async function readFile(file) {
  const kind = file.name.toLowerCase().split(".").pop();
  const reader = { txt: lines, jsonl: jsonLines, ndjson: jsonLines, csv: table }[kind];
  if (!reader) throw new Error(`${file.name} is not a .txt, .jsonl or .csv file.`);
  if (file.size > MAX_BYTES) throw new Error(`${file.name} is larger than 100 MB.`);
  const rows = reader(await file.text());
  if (!rows.length) throw new Error(`${file.name} contains no paper.`);
  return rows;
}

function numbered(text) {
  return text
    .split(/\r?\n/)
    .map((content, index) => ({ line: index + 1, content }))
    .filter(({ content }) => content.trim());
}

function lines(text) {
  return numbered(text).map(({ line, content }) => row(line, { text: content }));
}

function jsonLines(text) {
  return numbered(text).map(({ line, content }) => {
    try {
      const record = JSON.parse(content);
      if (record && typeof record === "object" && !Array.isArray(record)) return row(line, record);
      return unreadable(line, content, "not an object with text, or title and abstract");
    } catch (error) {
      return unreadable(line, content, `broken JSON: ${error.message}`);
    }
  });
}

function table(text) {
  for (const separator of [",", ";", "\t"]) {
    const [head, ...rows] = csv.parse(text, separator);
    const names = head?.cells.map((name) => name.trim().toLowerCase()) ?? [];
    if (!TEXTS.some((name) => names.includes(name))) continue;
    // Only the columns read: a long header must not be copied for each short row.
    const places = [...names.entries()].filter(([, name]) => READ.includes(name));
    return rows.map(({ line, cells, open }) => {
      if (open) return unreadable(line, cells.join(separator), "a quote is not closed");
      return row(line, Object.fromEntries(places.map(([place, name]) => [name, cells[place]])));
    });
  }
  throw new Error("The first line has no column text, title, abstract or summary.");
}

function row(line, record) {
  const { text, title, id } = record;
  const abstract = text ?? (record.abstract || record.summary);
  const heading = text == null ? title : null;
  if ([heading, abstract].some((value) => value != null && typeof value !== "string")) {
    return unreadable(line, JSON.stringify(record), "text, title or abstract is not text", id);
  }
  const query = toQuery({ title: heading, abstract, primary: primary(record) });
  const shown = start(trimmed(title) || trimmed(abstract));
  const error = findProblem(query);
  return error ? unreadable(line, shown, error, id) : { line, id, shown, query };
}

function unreadable(line, content, error, id) {
  return { line, id, shown: start(content), error };
}

// arXiv's own records list a paper's categories, the primary one first.
function primary({ primary, categories }) {
  const own = trimmed(primary) || (Array.isArray(categories) ? categories[0] : categories);
  return trimmed(own).split(/[\s,;]+/)[0];
}

function start(text) {
  const characters = Array.from(text.replace(/\s+/g, " ").trim());
  if (characters.length <= SHOWN) return characters.join("");
  return `${characters.slice(0, SHOWN - 1).join("").trimEnd()}…`;
}
