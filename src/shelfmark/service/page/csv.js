// Writes comma-separated values (RFC 4180).

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
