"""Sources: found by name, with checked options, digested by the papers that they read."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from datetime import date
from pathlib import Path

import pytest

from shelfmark.arxiv.papers import BrokenRecord, Paper
from shelfmark.config import groups
from shelfmark.config.load import load_config
from shelfmark.core import files
from shelfmark.data import sources
from shelfmark.data.prepare import prepare_splits
from shelfmark.errors import ShelfmarkError

# What somebody adds: one module and one yaml, nothing else.
MODULE = """
from datetime import date
from shelfmark.arxiv.papers import BadRecordError, Paper

SYNTHETIC = False

def read_records(path, marker="|"):
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            yield number, (number, line.rstrip().split(marker))

def parse_paper(record):
    number, parts = record
    if len(parts) != 2:
        raise BadRecordError("not two parts")
    return Paper(f"1501.{number:05d}", "A title", parts[1], (parts[0],), date(2015, 1, 1))
"""
YAML = """
source: barred
path: null
options:
  marker: "|"
"""


@pytest.fixture
def barred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new source in place; return a file for it."""
    package, configs = tmp_path / "package", tmp_path / "configs"
    package.mkdir()
    (package / "barred.py").write_text(MODULE, encoding="utf-8")
    shutil.copytree(groups.CONFIGS, configs)
    (configs / "data" / "barred.yaml").write_text(YAML, encoding="utf-8")
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(package)])
    monkeypatch.setattr(groups, "CONFIGS", configs)
    lines = [f"cs.{'AI' if i % 2 else 'CL'}|{f'word{i} ' * 20}\n" for i in range(400)]
    (tmp_path / "papers.txt").write_text("".join(lines), encoding="utf-8")
    return tmp_path / "papers.txt"


def test_a_new_source_is_a_file_and_a_yaml(barred: Path, tmp_path: Path) -> None:
    overrides = ["data=barred", f'data.path="{barred}"', f'paths.data="{tmp_path / "data"}"']
    splits = prepare_splits(load_config(overrides))
    assert splits.folder.name.startswith("barred-")
    assert splits.card["kept"] == 400
    assert splits.card["source_sha256"] == files.sha256(barred)
    with pytest.raises(ShelfmarkError, match="line 1: not two parts; 400 of 400"):
        prepare_splits(load_config([*overrides, "data.options.marker=word1"]))


def test_every_data_config_names_a_source_and_every_source_has_one() -> None:
    folder = Path(inspect.getfile(sources)).parent
    modules = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert modules == set(groups.list_groups()["data"])
    for name in modules:
        assert load_config([f"data={name}"]).data.source == name


@pytest.mark.parametrize("name", ["csv", "sample", "snapshot"])
def test_a_source_offers_what_is_asked_of_it(name: str) -> None:
    source = sources.find_source(name)
    assert source.SYNTHETIC is (name == "sample")
    assert next(iter(inspect.signature(source.read_records).parameters)) == "path"
    given = load_config([f"data={name}"]).data.options
    assert set(given) == set(list(inspect.signature(source.read_records).parameters)[1:])


@pytest.mark.parametrize("name", ["kaggle", "", "__init__", "sources.csv", "../csv", "os"])
def test_a_source_there_is_not(name: str) -> None:
    with pytest.raises(ShelfmarkError, match="there are csv, sample, snapshot") as caught:
        sources.find_source(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "takes"), [("snapshot", "none"), ("csv", "none"), ("sample", "papers")]
)
def test_an_option_a_source_does_not_take(name: str, takes: str) -> None:
    with pytest.raises(ShelfmarkError) as caught:
        sources.read_records(name, None, {"spam": 1})
    assert str(caught.value) == f"data.options.spam: source {name} takes {takes}"


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"anything")
    wanted = hashlib.sha256(b"anything").hexdigest()
    assert sources.source_digest("snapshot", tmp_path / "a.json", {}) == wanted


def test_the_digest_of_made_papers_follows_the_papers() -> None:
    one, other = (sources.source_digest("sample", None, {"papers": number}) for number in (30, 31))
    assert one != other
    assert one == sources.source_digest("sample", None, {"papers": 30})


@pytest.mark.parametrize("name", ["snapshot", "csv"])
def test_a_source_of_files_needs_a_path(name: str) -> None:
    with pytest.raises(ShelfmarkError, match="data.path is not set"):
        sources.source_digest(name, None, {})
    with pytest.raises(ShelfmarkError, match="data.path is not set"):
        next(sources.read_records(name, None, {}))


def test_papers_and_broken_records_are_values() -> None:
    paper = Paper("1501.00001", "t", "a", ("cs.AI",), date(2015, 1, 1))
    assert paper == Paper("1501.00001", "t", "a", ("cs.AI",), date(2015, 1, 1), "")
    assert BrokenRecord(1, "a") != BrokenRecord(2, "a")
    with pytest.raises(AttributeError):
        paper.id = "1501.00002"  # type: ignore[misc]
