// What the first bytes of a file say that it is. The rules are those of
// shelfmark.core.formats.signatures; the page unpacks gzip alone, and reads no Parquet and no Arrow.

const TAR_BLOCK = 512; // bytes of a header
const CHECKSUM = [148, 156]; // its place in the header
const FORMS = {
  "a file of bzip2": /^BZh[1-9](?:1AY&SY|\x17rE8P\x90|$)/,
  "a file of xz": /^\xfd7zXZ\x00/,
  "a file of lzma": /^\x5d\x00[^]{3}(?:\xff{8}|[^]{5}\x00{3})/,
  "a file of zstd": /^(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/,
  "a file of lz4": /^\x04\x22\x4d\x18/,
  "a Word, Excel or PowerPoint document": /^PK\x03\x04[^]{26}(?:\[Content_Types\]\.xml|_rels\/)/,
  "an OpenDocument or EPUB document": /^PK\x03\x04[^]{26}mimetype/,
  "a Java archive": /^PK\x03\x04[^]{26}META-INF\//,
  "a zip archive": /^PK(?:\x03\x04|\x05\x06|\x07\x08)/,
  "a Parquet file": /^PAR1/,
  "an Arrow file": /^ARROW1/,
  "an Arrow stream": /^\xff{4}[^]{3}\x00/,
};
const UNREADABLE = {
  "a PDF document": /^%PDF-/,
  "a PostScript document": /^%!PS/,
  "an old Word, Excel or PowerPoint document": /^\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1/,
  "a 7z archive": /^7z\xbc\xaf\x27\x1c/,
  "a RAR archive": /^Rar!\x1a\x07/,
  "a file of compress (.Z)": /^\x1f[\x9d\xa0]/,
  "a file of snappy": /^\xff\x06\x00\x00sNaPpY/,
  "a cpio archive": /^(?:0707[0-9]{2}|\xc7\x71)/,
  "an encrypted Parquet file": /^PARE/,
  "an ORC file": /^ORC/,
  "a Feather file of version 1": /^FEA1/,
  "an Avro file": /^Obj\x01/,
  "an SQLite database": /^SQLite format 3\x00/,
  "an HDF5 file": /^\x89HDF\r\n\x1a\n/,
  "a NumPy array": /^\x93NUMPY/,
  "a pickle": /^\x80[\x02-\x05][\x95cX}\]K(]/,
  "an image": /^(?:\x89PNG|\xff\xd8\xff|GIF8[79]a|II\x2a\x00|MM\x00\x2a)/,
  "a program": /^(?:\x7fELF|MZ[^]{2}[^]\x00)/,
  "an RTF document": /^\{\\rtf/,
};
const UNREADABLE_TEXT = {
  "an HTML page": /^(?:<!doctype\s+html|<html\b)/i,
  "an XML document": /^(?:<\?xml\b|<rss\b|<feed\b|<oai-pmh\b)/i,
  "a Git LFS pointer": /^version https:\/\/git-lfs\.github\.com\//i,
  "a DVC pointer": /^outs:\s+- (?:md5|etag|hash|path):/i,
  "a TeX document": /^(?:\\documentclass\b|\\begin\{document\})/i,
  "a BibTeX file": /^@(?:article|inproceedings|misc|book|string|comment|preamble)\s*\{/i,
  "an RIS file": /^TY  - [A-Z]/i,
};

const find = (names, text) =>
  Object.keys(names).find((name) => names[name].test(text)) ?? "";

/** Returns bytes as a text of as many characters, which a regular expression searches. */
export const binary = (bytes) =>
  Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

export const isGzip = (bytes) => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Returns what the first bytes of a file that the page does not read are, or "". */
export function nameUnreadable(bytes) {
  const start = binary(bytes.subarray(0, TAR_BLOCK));
  return find(FORMS, start) || (isTar(bytes) && "a tar archive") || find(UNREADABLE, start);
}

/** Returns what a text that holds no papers is, or "". */
export const nameUnreadableText = (text) =>
  find(UNREADABLE_TEXT, text.slice(0, 1000).trimStart().slice(0, 200));

// The checksum of the header tells it from any text, also where there is no "ustar".
function isTar(bytes) {
  if (bytes.length < TAR_BLOCK) return false;
  const [from, to] = CHECKSUM;
  const written = /^ *([0-7]+)[ \0]*$/.exec(binary(bytes.subarray(from, to)));
  const sum = bytes.subarray(0, TAR_BLOCK).reduce(
    (total, byte, at) => total + (at >= from && at < to ? 32 : byte), 0);
  return written !== null && parseInt(written[1], 8) === sum;
}
