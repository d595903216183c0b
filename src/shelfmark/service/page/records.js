// The records of a text: lines of text, JSON, or rows of a table. The rules are those of
// shelfmark.core.formats.records: what a text holds is settled by its beginning.

import { isHeader, NOT_UTF8, openTable, shorten } from "./csv_rows.js";
import { isArray, isJson, isSpread, parseRecord, readValues } from "./json_values.js";

const HEAD = 1 << 16; // characters of a line by which its kind is found
const NOT_BLANK = /[^ \t\r\n\f\v\x1a]/; // the last: the sign that DOS wrote at the end of a text
const JSON_OBJECT = /^[ \t\r\n\f\v]*\{[ \t\r\n\f\v]*(?:"|\}|$)/; // TeX has other signs there
const JSON_SUFFIX = /\.(json|jsonl|ndjson)$/i;
const TABLE_SUFFIX = /\.(csv|tsv|tab)$/i;
// Byte order marks and, of JSON text sequences, record separators.
const MARKS = /(^|\n)[\ufeff\x1e]+/g;

/** Returns the records {line, content, record|error} of a text, as they are read. */
export function openRecords(text, name, wanted, texts) {
  const [first = "", second = ""] = firstLines(text);
  const kind = kindOf(first, name, texts);
  if (kind === "JSON" && isSpread(first, second)) return readValues(text);
  const unmarked = text.replace(MARKS, "$1");
  if (kind === "table") return tableRows(unmarked, wanted, texts);
  return readLines(unmarked, kind === "JSON" && JSON_SUFFIX.test(name));
}

function kindOf(first, name, texts) {
  const start = first.trim();
  if (JSON_OBJECT.test(start) || isArray(start)) return "JSON";
  if (TABLE_SUFFIX.test(name) || isHeader(start, texts)) return "table";
  return JSON_SUFFIX.test(name) ? "JSON" : "text";
}

/** Returns the first two lines that are not blank. */
function firstLines(text) {
  const lines = [];
  for (let from = 0; from < text.length && lines.length < 2; ) {
    const end = text.indexOf("\n", from);
    const line = text.slice(from, end < 0 ? text.length : end);
    if (line.trim()) lines.push(line.slice(0, HEAD));
    from += line.length + 1;
  }
  return lines;
}

function tableRows(text, wanted, texts) {
  const { names, columns, rows } = openTable(text, wanted);
  if (texts.some((name) => columns.has(name))) return rows;
  const needed = `${texts.slice(0, -1).join(", ")} or ${texts.at(-1)}`;
  throw new Error(`has no column ${needed}, only ${shorten(names)}`);
}

function* readLines(text, onlyJson) {
  for (const [index, content] of text.split("\n").entries()) {
    if (!NOT_BLANK.test(content)) continue;
    const asJson = onlyJson || JSON_OBJECT.test(content) || isJsonArray(content);
    yield { line: index + 1, content, ...(asJson ? parseRecord(content) : parseText(content)) };
  }
}

// A line that is a JSON array, such as one of texts, is no paper; TeX writes none.
const isJsonArray = (content) => content.trimStart().startsWith("[") && isJson(content);

const parseText = (content) =>
  content.isWellFormed() ? { record: { text: content } } : { error: NOT_UTF8 };
