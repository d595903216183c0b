// Parses and writes comma-separated values (RFC 4180).

/** Returns rows as {line, cells}; a quote left open ends with the text and sets `open`. */
export function parse(text, separator = ",") {
  const rows = [];
  let line = 1;
  let row = { line, cells: [] };
  let cell = "";
  let quoted = false;
  const endRow = () => {
    row.cells.push(cell);
    if (row.cells.length > 1 || cell) rows.push(row);
    cell = "";
    row = { line, cells: [] };
  };
  for (let at = 0; at < text.length; at++) {
    const sign = text[at];
    if (sign === "\n") line++;
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (sign === '"' && !cell) quoted = true;
    else if (sign === separator) {
      row.cells.push(cell);
      cell = "";
    } else if (sign === "\n") endRow();
    else if (sign !== "\r" || text[at + 1] !== "\n") cell += sign;
  }
  row.open = quoted;
  endRow();
  return rows;
}

// A spreadsheet runs a cell that starts with one of these as a formula.
const FORMULA = /^[=+\-@\t\r\n]/;

function cell(value) {
  const text = String(value ?? "");
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function write(rows) {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
