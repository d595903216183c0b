// Reads comma-separated values (RFC 4180) of any separator, strictly. The rules are those of
// shelfmark.core.formats.csv_rows: a row that is not what the header says is refused by its line.

const LONGEST = 1 << 20; // characters of a cell
export const LONGEST_NAME = 40; // characters of a column
const SEPARATORS = [",", ";", "\t", "|"];
const NO_SEPARATOR = "\x1f"; // of a single column: each line is its cell
const OPEN = "a quote is opened and not closed";
const BEHIND = "text follows a closing quote; write a quote within a cell twice";
export const NOT_UTF8 = "is not UTF-8; convert the file with iconv";

/** Returns a column's name as names are compared: without case and blanks. */
export const plainName = (name) => name.replace(/\s+/g, "").toLowerCase();

/** Whether a line is the header of a table: several short names, one of them of a text. */
export function isHeader(line, texts) {
  if (namedSeparator(line)) return true;
  const names = headerCells(line, findSeparator(line, texts)).map(plainName);
  const short = names.every((name) => name.length < LONGEST_NAME);
  return names.length > 1 && short && names.some((name) => texts.includes(name));
}

/** Opens a table: its `names`, its chosen `columns`, and its `rows` {line, content, record|error}. */
export function openTable(text, wanted) {
  const place = { at: 0, line: 1 };
  skipBlank(text, place);
  let first = lineAt(text, place.at);
  const named = namedSeparator(first);
  if (named) {
    place.at += first.length + 1;
    place.line++;
    skipBlank(text, place);
    first = lineAt(text, place.at);
  }
  const separator = named || findSeparator(first, wanted);
  const header = readRow(text, place.at, cellPattern(separator), true);
  if (header.error) throw new Error(`line ${place.line}: ${header.error}`);
  const names = header.cells;
  const columns = chooseColumns(names, wanted);
  const toRecord = rowReader(names, columns, wanted);
  return { names, columns, rows: readRows(text, place, header.at, toRecord, separator) };
}

function* readRows(text, place, start, toRecord, separator) {
  const cellOf = cellPattern(separator);
  let at = start;
  let line = place.line + countLines(text, place.at, at);
  while (at < text.length) {
    const { cells, error, at: end } = readRow(text, at, cellOf, true);
    const content = lineAt(text, at);
    const read = error ? { error } : toRecord(cells);
    if (read) yield { line, content, ...read };
    line += countLines(text, at, end);
    at = end;
  }
}

/** Returns a function from the cells of a row to {record} or {error}; null skips the row. */
function rowReader(names, columns, wanted) {
  const header = names.map((name) => name.trim()).join(NO_SEPARATOR);
  return (cells) => {
    const trimmed = cells.map((cell) => cell.trim());
    // Where files are joined to one, their header is repeated.
    if (!trimmed.some(Boolean) || trimmed.join(NO_SEPARATOR) === header) return null;
    if (cells.length < names.length || trimmed.slice(names.length).some(Boolean)) {
      return { error: `${cells.length} cells under ${names.length} columns; put texts in quotes` };
    }
    return toRecord([...columns].map(([name, at]) => [name, cells[at]]), wanted);
  };
}

function toRecord(fields, wanted) {
  const cells = fields.map(([, cell]) => cell);
  if (cells.length > 1 && cells.every((cell) => wanted.includes(plainName(cell)))) {
    return { error: "a header again, of other columns; read the joined files one by one" };
  }
  return cells.every((cell) => cell.isWellFormed())
    ? { record: Object.fromEntries(fields) }
    : { error: NOT_UTF8 };
}

function chooseColumns(names, wanted) {
  const columns = new Map();
  for (const [at, name] of names.map(plainName).entries()) {
    if (!wanted.includes(name)) continue;
    if (columns.has(name)) {
      const both = `columns ${columns.get(name) + 1} and ${at + 1}`;
      throw new Error(`line 1: ${both} are both named ${name}; rename or remove one`);
    }
    columns.set(name, at);
  }
  return columns;
}

/** Returns the separator that finds most of the wanted columns; of equals, the first. */
function findSeparator(header, wanted) {
  const score = (separator) => {
    const cells = headerCells(header, separator);
    return [cells.filter((cell) => wanted.includes(plainName(cell))).length, cells.length];
  };
  const better = (a, b) => b[0] - a[0] || b[1] - a[1];
  const [best] = SEPARATORS.toSorted((a, b) => better(score(a), score(b)));
  return score(best)[1] > 1 ? best : NO_SEPARATOR;
}

const headerCells = (line, separator) =>
  (line ? readRow(line, 0, cellPattern(separator), false).cells ?? [] : []);

/** Returns the separator that a first line `sep=;` names, or "". */
const namedSeparator = (line) => /^\s*"?sep=([^\r\n])"?$/i.exec(line)?.[1] ?? "";

function lineAt(text, at) {
  const end = text.indexOf("\n", at);
  return text.slice(at, end < 0 ? text.length : end);
}

function skipBlank(text, place) {
  while (place.at < text.length && !lineAt(text, place.at).trim()) {
    place.at += lineAt(text, place.at).length + 1;
    place.line++;
  }
}

function countLines(text, from, to) {
  let count = 0;
  for (let at = text.indexOf("\n", from); at >= 0 && at < to; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

/** Returns the pattern of a cell without quotes, up to the separator or the end of its line. */
function cellPattern(separator) {
  const sign = separator.replace(/[\\\]^-]/, "\\$&");
  return new RegExp(`[^${sign}\\n]*`, "y");
}

/** Reads the row at a place: its cells, or its error, and the place of the next row. */
function readRow(text, start, cellOf, strict) {
  const cells = [];
  const nextLine = () => start + lineAt(text, start).length + 1;
  for (let at = start; ; at++) {
    while (text[at] === " ") at++;
    const { value, end, error } = readCell(text, at, cellOf, strict);
    // The rows that an open quote has swallowed are read on their own.
    if (error) return { error, at: nextLine() };
    cells.push(value);
    at = end;
    if (at >= text.length || text[at] === "\n") return { cells, at: at + 1 };
  }
}

function readCell(text, at, cellOf, strict) {
  if (text[at] !== '"') return readPlain(text, at, cellOf);
  const quoted = readQuoted(text, at + 1);
  if (quoted.error) return strict ? quoted : { value: text.slice(at + 1), end: text.length };
  const behind = readPlain(text, quoted.end, cellOf);
  if (behind.value && strict) return { error: BEHIND };
  return { value: quoted.value + behind.value, end: behind.end };
}

function readPlain(text, at, cellOf) {
  cellOf.lastIndex = at;
  const [value] = cellOf.exec(text);
  return value.length > LONGEST ? { error: OPEN } : { value, end: at + value.length };
}

function readQuoted(text, start) {
  let value = "";
  for (let from = start; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0 || value.length + quote - from > LONGEST) return { error: OPEN };
    value += text.slice(from, quote);
    if (text[quote + 1] !== '"') return { value, end: quote + 1 };
    value += '"';
    from = quote + 2;
  }
}

/** Returns the first names of columns, each in a few characters. */
export function shorten(names) {
  const shown = names.slice(0, 6).map((name) => name.slice(0, LONGEST_NAME)).join(", ");
  return (names.length > 6 ? `${shown}, …` : shown) || "blank lines";
}
