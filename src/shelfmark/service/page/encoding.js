// The bytes of a file as text, whose lines end in a line feed alone. The rules are those of
// shelfmark.core.formats.encoding.

import { binary, isGzip, nameUnreadable, nameUnreadableText } from "./signatures.js";

export const MAX_BYTES = 100e6; // bytes of a file, also unpacked
const HEAD = 1 << 16; // bytes by which the encoding is found
const MOST_LAYERS = 8; // a file that is packed in itself has no last one
const SHORTEST = 20; // bytes of a compressed file
const PACKED = /\.(gz|bz2|xz|lzma|zst|lz4|zip)$/i;
const WESTERN = "windows-1252";
const MOST_WESTERN = 0.2; // share of letters that are not ASCII
const UNDEFINED = [0x81, 0x8d, 0x8f, 0x90, 0x9d]; // bytes that Windows-1252 leaves out
const CONTROLS = /[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]/g;
const MOST_CONTROLS = 0.02; // share of the bytes of a text
const NOT_UTF8 = "\udcff"; // stands for bytes that are no UTF-8: no text may hold it
// The four bytes of UTF-32 begin with the two of UTF-16. Without a mark: the zero bytes of ASCII.
const MARKS = [
  ["utf-8", /^\xef\xbb\xbf/],
  ["utf-32le", /^\xff\xfe\0\0/],
  ["utf-32be", /^\0\0\xfe\xff/],
  ["utf-16le", /^\xff\xfe/],
  ["utf-16be", /^\xfe\xff/],
  ["utf-32le", /^(?:[^\0]\0\0\0){2}/],
  ["utf-32be", /^(?:\0\0\0[^\0]){2}/],
  ["utf-16le", /^(?:[^\0]\0){4}/],
  ["utf-16be", /^(?:\0[^\0]){4}/],
];

const fatal = (encoding) => new TextDecoder(encoding, { fatal: true });
const hasUndefined = (bytes) => UNDEFINED.some((byte) => bytes.includes(byte));
const countOf = (text, pattern) => (text.match(pattern) ?? []).length;

/** Returns the bytes of a file, unpacked, and its name without the suffix of gzip. */
export async function unpack(file) {
  let name = file.name;
  let bytes = new Uint8Array(await file.arrayBuffer());
  for (let layer = 0; isGzip(bytes); layer++) {
    if (layer === MOST_LAYERS) throw new Error(`${name} is packed more than ${MOST_LAYERS} times.`);
    bytes = await gunzip(bytes, name);
    name = name.replace(/\.gz$/i, "");
  }
  if (PACKED.test(name) && bytes.length < SHORTEST) throw damaged(name);
  return { bytes, name };
}

async function gunzip(bytes, name) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const pieces = [];
  let size = 0;
  try {
    for (const reader = stream.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      size += value.length;
      if (size > MAX_BYTES) break;
    }
  } catch {
    throw damaged(name);
  }
  if (size > MAX_BYTES) throw new Error(`${name} is larger than 100 MB when unpacked.`);
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

const damaged = (name) =>
  new Error(`${name} is damaged, truncated, or packed in several parts. Unpack it first.`);

/** Returns the text of a file, and a note on its encoding or "". */
export function decode(bytes, name) {
  refuse(name, nameUnreadable(bytes));
  const head = bytes.subarray(0, HEAD);
  const encoding = findEncoding(head, name);
  const text = plain(decodeAll(bytes, encoding, name));
  refuse(name, nameUnreadableText(text));
  const note = encoding === WESTERN ? "It is not UTF-8, and is read as Windows-1252 (Latin-1)." : "";
  return { text, note };
}

function refuse(name, kind) {
  if (!kind) return;
  throw new Error(
    `${name} seems to be ${kind}. The page reads lines of text, JSON and CSV, plain or in gzip.`);
}

const plain = (text) => (text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text);

function findEncoding(head, name) {
  const start = binary(head);
  const marked = MARKS.find(([, pattern]) => pattern.test(start));
  if (marked) return marked[0];
  if (countOf(start, CONTROLS) > MOST_CONTROLS * head.length + 1) {
    refuse(name, "binary data of an unknown kind");
  }
  if (looksLikeUtf8(head)) return "utf-8";
  const most = MOST_WESTERN * head.length;
  if (hasUndefined(head) || countOf(start, /[\x80-\xff]/g) > most) {
    throw new Error(`${name} is neither UTF-8, UTF-16 nor Latin-1. Convert it to UTF-8.`);
  }
  return WESTERN;
}

// Also where few signs are damaged, whose lines are refused alone; the last sign may be cut.
function looksLikeUtf8(head) {
  try {
    fatal("utf-8").decode(head, { stream: true });
    return true;
  } catch {
    const text = new TextDecoder().decode(head);
    const damagedSigns = countOf(text, /\ufffd/g);
    return countOf(text, /[^\x00-\x7f]/gu) - damagedSigns > damagedSigns;
  }
}

function decodeAll(bytes, encoding, name) {
  try {
    if (encoding.startsWith("utf-32")) return decodeUtf32(bytes, encoding === "utf-32le");
    if (encoding === WESTERN && hasUndefined(bytes)) {
      throw new RangeError(encoding);
    }
    return fatal(encoding).decode(bytes);
  } catch {
    if (encoding === "utf-8") return decodeDamaged(bytes);
    const named = encoding.toUpperCase();
    throw new Error(`${name} begins as ${named}, and goes on as no text of it.`);
  }
}

// Text in which a sign that no text may hold marks each place that is not UTF-8.
function decodeDamaged(bytes) {
  const lines = [];
  const decoder = fatal("utf-8");
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(10, from);
    const line = bytes.subarray(from, end < 0 ? bytes.length : end + 1);
    from += line.length;
    try {
      lines.push(decoder.decode(line));
    } catch {
      lines.push(new TextDecoder().decode(line).replaceAll("\ufffd", NOT_UTF8));
    }
  }
  return lines.join("");
}

function decodeUtf32(bytes, little) {
  if (bytes.length % 4) throw new RangeError("cut");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const signs = [];
  for (let at = 0; at < bytes.length; at += 4) {
    signs.push(String.fromCodePoint(view.getUint32(at, little)));
  }
  return signs.join("").replace(/^\ufeff/, "");
}
