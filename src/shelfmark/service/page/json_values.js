// JSON values in an array, or indented over several lines. The rules are those of
// shelfmark.core.formats.json_values: a value that is broken is refused alone.

const ARRAY = /^\s*\[\s*(?:\{|\]|$)/; // of objects, or cut by the end of its line
const WITHIN = /[{[,:]$/; // the end of a line within a value
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/i;

/** Parses a record of JSON: {record} or {error}. */
export function parseRecord(content) {
  try {
    const record = JSON.parse(content);
    const lone = LONE_SURROGATE.test(content) && LONE_SURROGATE.test(JSON.stringify(record));
    if (!lone && content.isWellFormed()) return { record };
    return { error: "broken JSON: a character that is half of a pair, or not UTF-8" };
  } catch (error) {
    return { error: `broken JSON: ${error.message}` };
  }
}

/** Whether the first line that is not blank begins an array. */
export const isArray = (first) => ARRAY.test(first);

/** Whether a text holds JSON values in an array or indented, by its first lines. */
export function isSpread(first, second) {
  if (isArray(first)) return true;
  if (!WITHIN.test(first.trim()) || isJson(first)) return false;
  return /^\s*["}]/.test(second);
}

/** Whether a text is one JSON value. */
export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Yields {line, content, record|error}; `line` is the number of the value. */
export function* readValues(text) {
  const reader = new ValueReader(text);
  let line = 0;
  for (const at of brackets(text)) {
    const content = "[{".includes(text[at]) ? reader.open(at) : reader.close(at);
    if (content) yield { line: ++line, content, ...parseRecord(content) };
  }
  reader.end();
}

/** Yields the places of the brackets that stand in no text. */
function* brackets(text) {
  const token = /["[\]{}]/g;
  for (let match = token.exec(text); match; match = token.exec(text)) {
    if (match[0] === '"') token.lastIndex = endOfText(text, match.index);
    else yield match.index;
  }
}

function endOfText(text, start) {
  const sign = /["\\]/g;
  sign.lastIndex = start + 1;
  for (let match = sign.exec(text); match; match = sign.exec(text)) {
    if (match[0] === '"') return sign.lastIndex;
    sign.lastIndex++;
  }
  return text.length;
}

class ValueReader {
  constructor(text) {
    this.text = text;
    this.depth = 0; // brackets that are open
    this.inArray = false;
    this.comma = false; // whether one is due before the next value
    this.start = -1; // of the value, negative between values
    this.gap = 0; // end of the value or bracket before
  }

  open(at) {
    if (this.start < 0) {
      this.checkGap(at);
      if (this.depth || this.text[at] === "{") this.start = at;
      else [this.inArray, this.comma, this.gap] = [true, false, at + 1];
    }
    this.depth++;
  }

  /** Closes a bracket, and returns the value that it ends. */
  close(at) {
    this.depth--;
    if (this.depth < 0) throw this.error(at, "a bracket is closed that was not opened");
    if (this.start < 0) {
      this.checkGap(at, true);
      [this.inArray, this.comma, this.gap] = [false, false, at + 1];
      return "";
    }
    if (this.depth !== Number(this.inArray)) return "";
    const value = this.text.slice(this.start, at + 1);
    [this.start, this.gap, this.comma] = [-1, at + 1, true];
    return value;
  }

  end() {
    if (this.depth) {
      const at = this.start < 0 ? this.gap : this.start;
      throw this.error(at, "a bracket is opened and not closed, or the file is cut");
    }
    this.checkGap(this.text.length, true);
  }

  checkGap(end, closing = false) {
    const between = this.text.slice(this.gap, end).trim();
    const due = this.inArray && this.comma && !closing ? "," : "";
    if (between === due) return;
    const shown = between.slice(0, 40) || "nothing";
    throw this.error(this.gap, `'${shown}' stands where '${due || "an object"}' should be`);
  }

  error(at, problem) {
    return new Error(`line ${this.text.slice(0, at).split("\n").length}: ${problem}`);
  }
}
