// The papers to classify, from the fields of the form or from a file.

import { decode, MAX_BYTES, unpack } from "./encoding.js";
import { LONGEST_NAME, plainName } from "./csv_rows.js";
import { openRecords } from "./records.js";

const MAX_CHARACTERS = 50_000; // characters of a text
const SHOWN = 140; // characters of a paper in the table
const ABSTRACTS = ["abstract", "summary"];
const TEXTS = ["text", "title", ...ABSTRACTS]; // columns of a file
const PAPER = ["id", ...TEXTS];
const READ = [...PAPER, "primary", "categories"];
// Other than white space, control and invisible characters; the fillers of scripts are letters.
const VISIBLE =
  /[^\s\x00-\x1f\x7f\p{Default_Ignorable_Code_Point}]|[\u115f\u1160\u17b4\u17b5\u3164\uffa0]/u;
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
  if (texts.every(isBlank)) return NO_TEXT;
  const tooLong = (text) =>
    text?.length > MAX_CHARACTERS && Array.from(text).length > MAX_CHARACTERS;
  return texts.some(tooLong) ? `longer than ${MAX_CHARACTERS.toLocaleString("en")} characters` : "";
}

/** Reads a file: its `rows`, {line, id, shown, query} or {line, id, shown, error}, and a `note`. */
export async function readFile(file) {
  if (file.size > MAX_BYTES) throw new Error(`${file.name} is larger than 100 MB.`);
  if (!file.size) throw new Error(`${file.name} is empty.`);
  const { bytes, name } = await unpack(file);
  const { text, note } = decode(bytes, name);
  const rows = readRows(text, name);
  if (!rows.length) throw new Error(`${file.name} contains no paper.`);
  return { rows, note };
}

function readRows(text, name) {
  const rows = [];
  try {
    for (const read of openRecords(text, name, READ, TEXTS)) rows.push(toRow(read));
  } catch (error) {
    if (!rows.length) throw new Error(`${name}: ${error.message}.`);
    // The papers before the damage are answered.
    const reason = `${error.message}; the rest of the file is not read`;
    rows.push(refused(rows.at(-1).line + 1, "", reason));
  }
  return rows;
}

function toRow({ line, content, record: read, error }) {
  if (error) return refused(line, content, error);
  if (typeof read !== "object" || read === null || Array.isArray(read)) {
    return refused(line, content, "not an object with text, or title and abstract");
  }
  const fields = Object.entries(read).map(([key, value]) => [fieldName(key), value]);
  const record = Object.fromEntries(fields);
  if (fields.filter(([name]) => PAPER.includes(name)).length > countPaperFields(record)) {
    return refused(line, content, "has two fields of one name, but for capitals and blanks");
  }
  const id = record.id == null ? null : String(record.id).trim();
  const [title, abstract] = textsOf(record);
  for (const [name, value] of [["title", title], ["text or abstract", abstract]]) {
    if (value == null || typeof value === "string") continue;
    return refused(line, content, `${name} is ${typeName(value)}, not text`, id);
  }
  const query = toQuery({ title, abstract, primary: primary(record) });
  const shown = start(trimmed(record.title) || trimmed(abstract));
  const problem = findProblem(query);
  return problem ? refused(line, shown, problem, id) : { line, id, shown, query };
}

/** Returns title and abstract; a text that is not blank stands for both. */
function textsOf(record) {
  if (!isBlank(record.text)) return [null, record.text];
  const name = ABSTRACTS.find((each) => !isBlank(record[each]));
  return [record.title, name ? record[name] : ""];
}

const isBlank = (value) => value == null || (typeof value === "string" && !VISIBLE.test(value));

/** Returns the name of a field as names are compared, as those of columns are. */
const fieldName = (key) => (key.length < LONGEST_NAME ? plainName(key) : "");

const countPaperFields = (record) => PAPER.filter((name) => Object.hasOwn(record, name)).length;

function typeName(value) {
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float";
  if (typeof value === "boolean") return "bool";
  return Array.isArray(value) ? "list" : "dict";
}

function refused(line, content, error, id = null) {
  return { line, id, shown: start(content), error };
}

// arXiv's own records list a paper's categories, the primary one first.
function primary({ primary, categories }) {
  const own = trimmed(primary) || (Array.isArray(categories) ? categories[0] : categories);
  return trimmed(own).split(/[\s,;]+/)[0];
}

function start(text) {
  const characters = Array.from(text.slice(0, 10 * SHOWN).replace(/\s+/g, " ").trim());
  if (characters.length <= SHOWN) return characters.join("");
  return `${characters.slice(0, SHOWN - 1).join("").trimEnd()}…`;
}
