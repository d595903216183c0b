"""Encode texts of the command line: one text, or a file of papers as a stream of vectors."""

from __future__ import annotations

import functools
import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfmark.core.output import targets
from shelfmark.data import readers
from shelfmark.data.batches import (
    EncodedBatch,
    FileSummary,
    Item,
    count_batch,
    file_of,
    papers_of,
    parse_batch,
    read_distributable,
    write_batches,
)
from shelfmark.data.inputs import Setting
from shelfmark.data.readers import InvalidRecord
from shelfmark.data.streams import PaperStream, RecordBatch
from shelfmark.embeddings import artifact, writing
from shelfmark.embeddings.locate import LocatedEncoder
from shelfmark.embeddings.sizes import choose_size
from shelfmark.embeddings.writing import Row, VectorFormat
from shelfmark.errors import ShelfmarkError

if TYPE_CHECKING:
    from shelfmark.embeddings.artifact import OpenEncoder


def embed_text(located: LocatedEncoder, text: str, size: int | None = None) -> dict[str, Any]:
    """Return the vector of one text as JSON holds it, with the name and the digest of its encoder.

    Raises:
        ShelfmarkError: the text is blank, the encoder cannot be opened, or vectors cannot be cut
            to this size.
    """
    asked = readers.parse_record(1, {"text": text})
    if isinstance(asked, InvalidRecord):
        raise ShelfmarkError(f"--text: {asked.error}")
    encoder = artifact.load(located.folder, digest=located.digest)
    [vector] = encoder.encode([encoder.text(asked.title, asked.abstract)], size)
    about = {"encoder": encoder.name, "digest": encoder.digest, "size": len(vector)}
    return about | {"vector": vector.tolist()}


def embed_file(
    located: LocatedEncoder, source: Setting, out: str, ids: str = "", size: int | None = None
) -> FileSummary:
    """Encode files, or `-` for standard input, by an encoder.

    Each record has a row, in order. In .npy, a record that holds no paper has a row of zeros; in
    Parquet, its vector is null, and `error` says why. Of several files, each row of Parquet names
    its `file`, and of a paper in several the newest record is encoded. The output appears whole at
    the end, or not at all. A long file is shared among processes.

    Args:
        located: the encoder.
        source: the files, as `inputs.find_files` takes them, or `-`.
        out: path of a .npy or .parquet file.
        ids: path of a text file of the identifiers, a line for each row of a .npy file.
        size: one of the encoder's smaller sizes, to which vectors are cut.

    Raises:
        ShelfmarkError: a file or the encoder cannot be read, vectors cannot be cut to this size,
            or the output cannot be written, or is a file that is read.
    """
    kind = writing.parse_kind(out, ids)
    card = artifact.read_card(located.folder)
    stream = PaperStream(source)
    targets.require_apart(out, stream.files)
    if ids:
        targets.require_apart(ids, stream.files, "--ids")
    output = VectorFormat(
        kind, choose_size(size, card.size, card.sizes), located.folder.name, located.digest,
        stream.is_several, ids,
    )  # fmt: skip
    batches, distributed = read_distributable(stream)
    if distributed:
        work = functools.partial(_encode_in_worker, located, output)
    else:
        encoder = artifact.load(located.folder, digest=located.digest)
        work = functools.partial(_encode_batch, encoder, output)
    summary = FileSummary("encoded")
    with output.open(out) as sink:
        write_batches(batches, work, sink, summary, "encoding", distributed=distributed)
    return summary


def _encode_in_worker(
    located: LocatedEncoder, output: VectorFormat, batch: RecordBatch
) -> EncodedBatch:
    return _encode_batch(_encoder_of_worker(located), output, batch)


@functools.cache
def _encoder_of_worker(located: LocatedEncoder) -> OpenEncoder:
    encoder = artifact.load(located.folder, threads=1, digest=located.digest)
    gc.freeze()  # or the collector walks through all libraries again and again
    return encoder


def _encode_batch(encoder: OpenEncoder, output: VectorFormat, batch: RecordBatch) -> EncodedBatch:
    items = parse_batch(batch)
    texts = [encoder.text(*paper) for paper in papers_of(items)]
    vectors = np.zeros((len(items), output.size), np.float32)
    if texts:
        vectors[_has_paper(items)] = encoder.encode(texts, output.size)
    rows = [_row(item) for item in items]
    return count_batch(batch, items, output.encode(file_of(batch), rows, vectors))


def _has_paper(items: Sequence[Item]) -> Any:
    return np.array([not isinstance(item, InvalidRecord) for item in items])


def _row(item: Item) -> Row:
    return Row(item.line, item.id, item.error if isinstance(item, InvalidRecord) else None)
