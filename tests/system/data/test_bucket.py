"""Papers read from a bucket: the same splits as from a local file, or a one-line error."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfmark.config.schema import Config
from shelfmark.core import files, storage
from shelfmark.data import readers, sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import SPLITS, Splits
from shelfmark.data.streams import PaperStream
from shelfmark.errors import ShelfmarkError
from tests.support.gcs import BUCKET, running
from tests.support.moments import PATIENCE
from tests.support.packing import zipped

Settings = Callable[..., Config]


def put(address: str, content: bytes) -> str:
    if not content:  # the emulator takes an empty body from multipart alone
        system, path = storage.filesystem_for(address)
        system.pipe_file(path, content)
        return address
    bucket, _, name = address.removeprefix("gs://").partition("/")
    host = os.environ["STORAGE_EMULATOR_HOST"]
    query = urlencode({"uploadType": "media", "name": name})
    url = f"{host}/upload/storage/v1/b/{bucket}/o?{query}"
    kind = {"Content-Type": "application/octet-stream"}
    with urlopen(Request(url, content, kind), timeout=PATIENCE):
        return address


def as_parquet(lines: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    rows = [orjson.loads(line) for line in lines.splitlines()]
    kept = [{name: row[name] for name in ("id", "title", "abstract", "categories", "comments",
                                          "versions")} for row in rows]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(kept), packed, row_group_size=500)
    return bytes(packed.getvalue().to_pybytes())


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("papers.json", bytes),
        ("papers.json.gz", gzip.compress),
        ("papers.zip", zipped),
        ("papers.parquet", as_parquet),
    ],
)
def test_any_format_gives_the_splits_of_a_file_here(
    gcs: str, settings: Settings, snapshot_file: Path, splits: Splits, name: str,
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(storage, "BLOCK", 1 << 18)  # many requests a file
    content = pack(snapshot_file.read_bytes())
    address = put(f"{gcs}/in/{name}", content)
    splits_again = prepare_splits(settings(address))
    for split in SPLITS:
        assert splits_again.read(split).equals(splits.read(split))
    (here := snapshot_file.with_name(f"here-{name}")).write_bytes(content)
    assert splits_again.card["source_sha256"] == files.sha256(here)
    assert prepare_splits(settings(here)).folder == splits_again.folder  # the path is no part of it


def test_a_folder_a_pattern_and_a_list_in_a_bucket_are_listed(
    gcs: str, settings: Settings, snapshot_file: Path, tmp_path: Path
) -> None:
    lines = snapshot_file.read_bytes().splitlines(keepends=True)
    parts = {f"part{number}.jsonl": b"".join(lines[number::3]) for number in (0, 1, 2)}
    parts = {"part9.jsonl": parts["part0.jsonl"], "part10.jsonl.gz": gzip.compress(
        parts["part1.jsonl"]), "below/part11.jsonl": parts["part2.jsonl"]}  # fmt: skip
    (here := tmp_path / "here").mkdir()
    for name, content in parts.items():
        put(f"{gcs}/dumps/{name}", content)
        (here / Path(name).name).write_bytes(content)
    put(f"{gcs}/dumps/README.md", b"notes")
    local = prepare_splits(settings([f"{here}/part9.jsonl", f"{here}/part10.jsonl.gz"]))
    for value in (f"{gcs}/dumps", f"{gcs}/dumps/", f"{gcs}/dumps/part*", f"{gcs}/dumps/*",
                  f"[{gcs}/dumps/part9.jsonl,{here}/part10.jsonl.gz]"):  # fmt: skip
        assert prepare_splits(settings(value)).folder == local.folder
    every = prepare_splits(settings(f"{gcs}/dumps/**/*.json*"))
    names = [source["file"] for source in every.card["sources"]]
    assert names == ["part11.jsonl", "part9.jsonl", "part10.jsonl.gz"]
    assert PaperStream(f"{gcs}/dumps").files == [
        f"{gcs}/dumps/part9.jsonl", f"{gcs}/dumps/part10.jsonl.gz"
    ]  # fmt: skip
    for value, reason in {
        f"{gcs}/dumps/*.zip": f"data.path: no file matches {gcs}/dumps/\\*.zip",
        f"{gcs}/nothing": f"{gcs}/nothing: does not exist",
        "gs://no-bucket/*.zip": "no-bucket",
    }.items():
        with pytest.raises(ShelfmarkError, match=reason):
            prepare_splits(settings(value))


def test_an_unchanged_file_is_read_once_and_a_changed_one_again(
    gcs: str, settings: Settings, snapshot_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = put(f"{gcs}/papers.json", snapshot_file.read_bytes())
    first = prepare_splits(settings(address))
    with monkeypatch.context() as closed:
        closed.setattr(storage, "open_remote", None)
        assert prepare_splits(settings(address)).folder == first.folder
    lines = snapshot_file.read_bytes().splitlines(keepends=True)
    put(address, b"".join(lines[1:]))
    assert prepare_splits(settings(address)).folder != first.folder


def test_a_file_that_changes_while_it_is_read_makes_no_splits(
    gcs: str, settings: Settings, snapshot_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    content = snapshot_file.read_bytes()
    address = put(f"{gcs}/papers.json", content)
    stream = sources.read_records

    def changing(*arguments: object) -> object:
        yield from stream(*arguments)  # type: ignore[arg-type]
        put(address, content[: content.rindex(b"\n", 0, -1) + 1])

    monkeypatch.setattr(sources, "read_records", changing)
    with pytest.raises(ShelfmarkError, match=f"{address} changed while it was read: run again"):
        prepare_splits(settings(address))
    assert [path for path in (tmp_path / "data").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("address", [f"gs://{BUCKET}/none.zip", "gs://no-bucket/papers.zip"])
def test_what_is_not_there_is_one_line(
    gcs: str, settings: Settings, tmp_path: Path, address: str
) -> None:
    with pytest.raises(ShelfmarkError, match=f"{address}: does not exist; check the names of the"):
        prepare_splits(settings(address))
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("no_google")
def test_missing_credentials_are_one_line(settings: Settings) -> None:
    with pytest.raises(ShelfmarkError, match="gs://b/papers.zip: no Google credentials; log in"):
        prepare_splits(settings("gs://b/papers.zip"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.json", b"", "is empty"),
        ("torn.zip", zipped(b"{}")[:50], "damaged or truncated"),
        ("torn.json.gz", gzip.compress(b"{}" * 100)[:20], "damaged or truncated"),
        ("torn.parquet", b"PAR1", "not a readable Parquet file"),
    ],
    ids=["empty", "zip", "gzip", "parquet"],  # the bytes hold the time
)
def test_a_damaged_file_is_one_line(
    gcs: str, settings: Settings, name: str, content: bytes, said: str
) -> None:
    address = put(f"{gcs}/{name}", content)
    with pytest.raises(ShelfmarkError, match=f"{address}.*{said}") as error:
        prepare_splits(settings(address))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["papers.json", "papers.json.gz", "papers.zip"])
def test_a_storage_that_dies_half_way_is_one_line(
    name: str, snapshot_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "BLOCK", 1 << 14)
    monkeypatch.setattr(storage, "BUFFER", 1 << 12)
    monkeypatch.setattr(
        "gcsfs.retry.asyncio", SimpleNamespace(sleep=lambda seconds: asyncio.sleep(seconds / 100))
    )
    packs = {".gz": gzip.compress, ".zip": zipped}
    content = packs.get(Path(name).suffix, bytes)(snapshot_file.read_bytes() * 8)
    with running() as (url, process):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        address = put(f"gs://{BUCKET}/{name}", content)
        records = sources.read_records("snapshot", address, {})
        next(records)
        process.kill()
        process.wait()
        with pytest.raises(ShelfmarkError, match=f"{address}: .*(connect|disconnect)") as error:
            list(records)
    assert "\n" not in str(error.value)


def test_a_file_to_classify_is_read_from_there_too(gcs: str) -> None:
    address = put(f"{gcs}/texts.txt", b"a robot arm\na galaxy\n")
    assert [list(batch) for batch in readers.read_batches(address)] == [
        [(1, {"text": "a robot arm\n"}), (2, {"text": "a galaxy\n"})]
    ]
