"""Files named by a list, a folder or a pattern: which, in which order, and the errors."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shelfmark.data import inputs
from shelfmark.errors import ShelfmarkError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bucket() -> Iterator[Callable[[str, bytes], str]]:
    """Return a function that writes a file at an address of a filesystem in memory."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    system = MemoryFileSystem()

    def put(name: str, content: bytes = b"{}\n") -> str:
        system.pipe_file(f"/{name}", content)
        return f"memory:///{name}"

    yield put
    MemoryFileSystem.store.clear()


def put(*names: str, content: bytes = b"{}\n") -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def found(value: str | list[str]) -> list[str]:
    return [
        file if isinstance(file, str) else file.as_posix()
        for file in inputs.find_files(value, "--file")
    ]


def refused(value: str | list[str]) -> str:
    with pytest.raises(ShelfmarkError) as caught:
        inputs.find_files(value, "--file")
    assert "\n" not in str(caught.value)
    return str(caught.value)


LISTS = {
    "a.zip": ["a.zip"],
    "a,b.zip": ["a,b.zip"],
    "[a.zip]": ["a.zip"],
    "[a.zip,b.jsonl.zst,harvest/papers.jsonl]": ["a.zip", "b.jsonl.zst", "harvest/papers.jsonl"],
    " [ a.zip , b.zip, ] ": ["a.zip", "b.zip"],
    '["a,b.zip",c d.zip]': ["a,b.zip", "c d.zip"],
    "['a,b.zip', 'c.zip']": ["a,b.zip", "c.zip"],
    "[o'neill.zip,it's.zip]": ["o'neill.zip", "it's.zip"],
    "[gs://b/a.zip,gs://b/d/*.json]": ["gs://b/a.zip", "gs://b/d/*.json"],
    "[a[1].zip,b[2].zip]": ["a[1].zip", "b[2].zip"],
    "[ab].jsonl": ["[ab].jsonl"],
    "[a]/[b]": ["[a]/[b]"],
    "[]": [],
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("text", LISTS)
def test_a_text_in_brackets_is_a_list(text: str) -> None:
    assert inputs.split_list(text) == LISTS[text]


@pytest.mark.usefixtures("here")
def test_lists_of_several_options_are_one() -> None:
    assert inputs.split_list(["a.zip", "[b.zip,c.zip]"]) == ["a.zip", "b.zip", "c.zip"]


@pytest.mark.usefixtures("here")
def test_files_come_in_the_order_of_the_list() -> None:
    put("z.json", "a.json", "d/m.json")
    assert found(["z.json", "d", "a.json"]) == ["z.json", "d/m.json", "a.json"]
    assert found("[z.json,d/m.json,a.json]") == ["z.json", "d/m.json", "a.json"]


@pytest.mark.usefixtures("here")
def test_files_of_a_pattern_come_in_natural_order() -> None:
    put(*(f"d/{name}.json" for name in ("b10", "b9", "B1", "a", "b09", "b1x", "b1")))
    assert found("d/*.json") == [
        f"d/{name}.json" for name in ("B1", "a", "b1", "b1x", "b09", "b9", "b10")
    ]
    assert found("d/b?.json") == ["d/b1.json", "d/b9.json"]
    assert found("d/[aB]*.json") == ["d/B1.json", "d/a.json"]


@pytest.mark.usefixtures("here")
def test_two_stars_reach_folders_below() -> None:
    put("d/1.json", "d/e/2.json", "d/e/f/10.json", "d/e/f/9.json", "d/e/notes.md")
    every = ["d/1.json", "d/e/2.json", "d/e/f/9.json", "d/e/f/10.json"]
    assert found("d/**/*.json") == every
    assert found("d/**") == every
    assert found("**/f/*.json") == every[2:]
    assert found("d/*/*.json") == ["d/e/2.json"]


@pytest.mark.usefixtures("here")
def test_links_that_loop_end() -> None:
    put("d/e/1.json")
    Path("d/e/loop").symlink_to("..", target_is_directory=True)
    Path("d/e/self").symlink_to(".", target_is_directory=True)
    assert found("d/**/*.json") == ["d/e/1.json"]


IN_A_FOLDER = (
    "a.json", "b.jsonl.gz", "c.NDJSON", "d.csv", "e.tsv", "f.txt.xz", "g.parquet", "h.arrow",
    "i.zip", "j.zst", "k.tar.gz", "l.tgz",
)  # fmt: skip
NOT_IN_A_FOLDER = (
    ".gitignore", ".data.jsonl", ".partial-123-a.json", "README", "README.txt", "LICENSE.txt",
    "a.md", "data.dvc", "papers.jsonl.harvest.json", "papers.jsonl.partial", "card.json",
    "moderators-2026-11-01.csv", "moderators-2026-11-01.html", "_SUCCESS", "_metadata", "Makefile",
    "SHA256SUMS", "below/x.json",
)  # fmt: skip


@pytest.mark.usefixtures("here")
def test_a_folder_stands_for_the_files_of_papers_directly_in_it(log: Callable[[], str]) -> None:
    put(*(f"d/{name}" for name in IN_A_FOLDER))
    put(*(f"d/{name}" for name in NOT_IN_A_FOLDER), content=b"something else\n")
    wanted = sorted(f"d/{name}" for name in IN_A_FOLDER)
    assert sorted(found("d")) == sorted(found("d/")) == sorted(found("d/*")) == wanted
    assert "--file: d: 12 files are read, not LICENSE.txt, Makefile, README" in log()
    assert ".gitignore" not in log()


@pytest.mark.usefixtures("here")
def test_a_file_without_a_suffix_is_known_by_its_beginning() -> None:
    put("d/xaa", "d/xab")
    put("d/xac", content=b'\xef\xbb\xbf \n[{"id": 1}]')
    put("d/xad", content=b"a text\n")
    put("d/xae", content=b"")
    put("d/xaf", content=gzip.compress(b"{}"))
    assert found("d") == ["d/xaa", "d/xab", "d/xac", "d/xaf"]


@pytest.mark.usefixtures("here")
def test_a_pattern_takes_other_suffixes_too_and_no_notes() -> None:
    put("d/a.dat", "d/b.dat", "d/README.dat", "d/.c.dat")
    assert found("d/*.dat") == ["d/a.dat", "d/b.dat"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "name", ["a*.json", "a[1].json", "[a,b].json", "[a,b]", "a,b.json", "?.json", "-x.json", "a b"]
)
def test_a_file_of_that_very_name_comes_first(name: str) -> None:
    put(name, "a1.json", "b.json", "a.json", "x.json")
    assert found(name) == [name]
    assert found([name, "b.json"]) == [name, "b.json"]


@pytest.mark.usefixtures("here")
def test_a_folder_of_that_very_name_comes_first() -> None:
    put("[ab]/1.json", "a/2.json")
    assert found("[ab]") == ["[ab]/1.json"]


@pytest.mark.usefixtures("here")
def test_a_pattern_in_a_folder_of_that_very_name() -> None:
    put("old [1]/b[2]/1.json", "old [1]/b[2]/2.json", "old [1]/b2/3.json")
    assert found("old [1]/b[2]/*.json") == ["old [1]/b[2]/1.json", "old [1]/b[2]/2.json"]
    assert found("old [1]/b?/*.json") == ["old [1]/b2/3.json"]
    with pytest.raises(ShelfmarkError, match="no file matches"):
        found("old [1]/none.json")


@pytest.mark.usefixtures("here")
def test_no_file_is_read_twice(tmp_path: Path) -> None:
    put("d/a.json", "d/b.json")
    Path("link.json").symlink_to("d/b.json")
    os.link("d/a.json", "hard.json")
    named = ["d/b.json", "d", "link.json", "hard.json", "d/*.json", str(tmp_path / "d" / "a.json")]
    assert found(named) == ["d/b.json", "d/a.json"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("none.json", "--file: there is no file none.json"),
        ("[a.json,none.json]", "--file: there is no file none.json"),
        ("*.parquet", "--file: no file matches *.parquet"),
        ("none/**/*.json", "--file: no file matches none/**/*.json"),
        ("a**", "--file: no file matches a**"),
        ("*.md", "--file: no file matches *.md, only README.md"),
        ("[a*.json,*.zip]", "--file: no file matches *.zip"),
        ("empty", "--file: no file of papers lies in empty"),
        ("notes", "--file: no file of papers lies in notes, only README.md, a.md"),
        ("notes/*", "--file: no file of papers lies in notes/*, only README.md, a.md"),
        ("[a.json,void.json]", "--file: void.json is empty"),
        ("voids", "--file: voids/void.json is empty"),
        ("[]", "--file is an empty list: give the path of a file, --file=FILE"),
        ("[a.json,-]", "--file: - for standard input cannot be one of several files"),
        ("a.json,b.json", "--file: there is no file a.json,b.json; several files are a list, "
         "--file=[FILE,FILE]"),
        ("", "--file is not set: give the path of a file, --file=FILE"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line(value: str, line: str) -> None:
    put("a.json", "README.md", "notes/README.md", "notes/a.md")
    put("void.json", "voids/void.json", content=b"")
    Path("empty").mkdir()
    assert refused(value) == line


def test_a_name_longer_than_any_is_one_line(here: Path) -> None:
    assert refused("x" * 5000).startswith("--file: there is no file xxx")
    assert refused(f"[{'x' * 300},{'y' * 300}]") == f"--file: there is no file {'x' * 300}"
    assert refused("a\0b") == r"--file: there is no file a\x00b"


def test_a_bucket_is_listed_as_a_folder_is(bucket: Callable[..., str]) -> None:
    for name in (
        "d/b10.json",
        "d/b9.json",
        "d/README.md",
        "d/.hidden.json",
        "d/e/x.json",
        "a*b.json",
    ):
        bucket(name)
    two = ["memory:///d/b9.json", "memory:///d/b10.json"]
    below = "memory:///d/e/x.json"
    assert found("memory:///d") == found("memory:///d/") == found("memory:///d/b*.json") == two
    assert found("memory:///d/**/*.json") == [*two, below]
    assert found("[memory:///d/e/x.json,memory:///d]") == [below, *two]
    assert found("memory:///a*b.json") == ["memory:///a*b.json"]
    assert refused("memory:///d/*.zip") == "--file: no file matches memory:///d/*.zip"
    assert "memory:///none.json: does not exist" in refused("memory:///none.json")


def test_names_are_as_short_as_they_can_be() -> None:
    places = [Path("/x/a/papers.json"), Path("b/papers.json"), "gs://c/y/a/other.zip", None]
    assert inputs.short_names(places) == ["a/papers.json", "b/papers.json", "other.zip", ""]
    assert inputs.short_names([Path("/deep/below/one.zip")]) == ["one.zip"]
