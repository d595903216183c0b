"""What the first bytes of a file say that it is: a form that is read here, or the name of another.

Signatures: https://en.wikipedia.org/wiki/List_of_file_signatures and the specifications of each.
"""

from __future__ import annotations

import re
import tarfile
from enum import StrEnum

TAR_BLOCK = 512  # bytes of a header


class Form(StrEnum):
    """A form that can be unpacked or read as a table."""

    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    LZMA = "lzma"
    ZSTD = "zstd"
    LZ4 = "lz4"
    ZIP = "zip"
    TAR = "tar"
    PARQUET = "Parquet"
    ARROW = "Arrow"
    ARROW_STREAM = "Arrow stream"


SIGNATURES: dict[Form, bytes] = {
    Form.GZIP: rb"\x1f\x8b",
    Form.BZIP2: rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90|\Z)",
    Form.XZ: rb"\xfd7zXZ\x00",
    # Of .lzma no magic number: properties of the default, a dictionary of whole KiB, and a size.
    Form.LZMA: rb"\x5d\x00[\x00-\xff]{3}(?:\xff{8}|[\x00-\xff]{5}\x00{3})",
    Form.ZSTD: rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18",  # a frame, or one to skip
    Form.LZ4: rb"\x04\x22\x4d\x18",
    Form.ZIP: rb"PK(?:\x03\x04|\x05\x06|\x07\x08)",
    Form.PARQUET: rb"PAR1",
    Form.ARROW: rb"ARROW1",
    Form.ARROW_STREAM: rb"\xff{4}[\x00-\xff]{3}\x00",
}
FORMS = {form: re.compile(pattern, re.DOTALL) for form, pattern in SIGNATURES.items()}

UNREADABLE: dict[str, bytes] = {
    "a PDF document": rb"%PDF-",
    "a PostScript document": rb"%!PS",
    "an old Word, Excel or PowerPoint document": rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a 7z archive": rb"7z\xbc\xaf\x27\x1c",
    "a RAR archive": rb"Rar!\x1a\x07",
    "a file of compress (.Z)": rb"\x1f[\x9d\xa0]",
    "a file of snappy": rb"\xff\x06\x00\x00sNaPpY",
    "a cpio archive": rb"0707[0-9]{2}|\xc7\x71",
    "an encrypted Parquet file": rb"PARE",
    "an ORC file": rb"ORC",
    "a Feather file of version 1": rb"FEA1",  # deprecated; version 2 is Arrow
    "an Avro file": rb"Obj\x01",
    "an SQLite database": rb"SQLite format 3\x00",
    "an HDF5 file": rb"\x89HDF\r\n\x1a\n",
    "a NumPy array": rb"\x93NUMPY",
    "a pickle": rb"\x80[\x02-\x05][\x95cX}\]K(]",
    "an image": rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|II\x2a\x00|MM\x00\x2a",
    "a program": rb"\x7fELF|MZ[\x00-\xff]{2}[\x00-\xff]\x00",
    "an RTF document": rb"\{\\rtf",
}
# Of text, after blanks and in any case. A web page that stands for a download is the usual one.
UNREADABLE_TEXT: dict[str, bytes] = {
    "an HTML page": rb"<!doctype\s+html|<html\b",
    "an XML document": rb"<\?xml\b|<rss\b|<feed\b|<oai-pmh\b",
    "a Git LFS pointer: fetch the file with git lfs pull": rb"version https://git-lfs\.github\.com/",
    "a DVC pointer: fetch the file with dvc pull": rb"outs:\s+- (?:md5|etag|hash|path):",
    "a TeX document": rb"\\documentclass\b|\\begin\{document\}",
    "a BibTeX file": rb"@(?:article|inproceedings|misc|book|string|comment|preamble)\s*\{",
    "an RIS file": rb"TY  - [A-Z]",
}
# A zip that is a document: the beginning of the name of its first or last member.
ZIP_DOCUMENTS = {
    "[Content_Types].xml": "a Word, Excel or PowerPoint document",
    "_rels/": "a Word, Excel or PowerPoint document",
    "mimetype": "an OpenDocument or EPUB document",
    "META-INF/": "a Java archive",
}


def identify_form(head: bytes) -> Form | None:
    """Return the form of a file by its first bytes, of a tar the first 512, None if it has none."""
    for form, pattern in FORMS.items():
        if pattern.match(head):
            return form
    return Form.TAR if _is_tar(head) else None


def _is_tar(head: bytes) -> bool:
    # The checksum of the header tells it from any text, also where there is no "ustar".
    try:
        tarfile.TarInfo.frombuf(head[:TAR_BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def name_unreadable(head: bytes) -> str:
    """Return what the first bytes of a file that no reader takes are, "" if no signature fits."""
    for name, pattern in UNREADABLE.items():
        if re.match(pattern, head, re.DOTALL):
            return name
    return ""


def name_unreadable_text(head: bytes) -> str:
    """Return what a text that holds no papers is, by its beginning, "" if it may hold some."""
    start = head.lstrip()[:200]
    for name, pattern in UNREADABLE_TEXT.items():
        if re.match(pattern, start, re.IGNORECASE):
            return name
    return ""
