"""Shipping: a file is complete in one place at any time, and at the end only at the target."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from shelfmark.monitoring import shipping
from shelfmark.monitoring.shipping import ship_log

CONTENT = {f"{number}.jsonl": b'{"number":%d}\n' % number * 1000 for number in range(5)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with closed files."""
    folder = tmp_path / "log"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def memory() -> Iterator[str]:
    """A place that behaves as a bucket does."""
    yield "memory://bucket/deep"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["folder", "url of a folder", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> str:
    """Every kind of place to ship to."""
    there = tmp_path / "there" / "deep"
    return {"folder": str(there), "url of a folder": there.as_uri(), "memory": memory}[
        request.param
    ]


def read_target(target: str) -> dict[str, bytes]:
    filesystem, place = fsspec.core.url_to_fs(target)
    names = filesystem.find(place)
    return {name.rpartition("/")[2]: filesystem.cat_file(name) for name in names}


def here(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {shipping.LOCK}


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_a_link_to_the_file_itself_is_no_copy(folder: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "0.jsonl").symlink_to(folder / "0.jsonl")
    (there / "1.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(ShelfmarkError, match=r"0\.jsonl is a link to .*, the file to ship"):
        ship_log(folder, str(there))
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    (there / "0.jsonl").unlink()
    assert ship_log(folder, str(there)) == len(CONTENT)
    assert {name: (there / name).read_bytes() for name in CONTENT} == CONTENT
    assert (tmp_path / "elsewhere.jsonl").read_bytes() == CONTENT["1.jsonl"]


def test_closed_files_move(folder: Path, target: str) -> None:
    assert ship_log(folder, target) == 5
    assert read_target(target) == CONTENT
    assert here(folder) == set()
    assert ship_log(folder, target) == 0


def test_a_slash_at_the_end_changes_nothing(folder: Path, target: str) -> None:
    assert ship_log(folder, f"{target}/") == 5
    assert read_target(target) == CONTENT


def test_what_is_there_already_just_goes_and_what_is_torn_there_is_mended(
    folder: Path, target: str
) -> None:
    ship_log(folder, target)
    for name in ("0.jsonl", "1.jsonl", "2.jsonl"):
        (folder / name).write_bytes(CONTENT[name])
    filesystem, place = fsspec.core.url_to_fs(target)
    filesystem.pipe_file(f"{place}/1.jsonl", CONTENT["1.jsonl"][:100])
    filesystem.pipe_file(f"{place}/2.jsonl", bytes(len(CONTENT["2.jsonl"])))
    assert ship_log(folder, target) == 3
    assert read_target(target) == CONTENT
    assert here(folder) == set()


def test_what_is_there_is_not_sent_again(
    folder: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem, place = fsspec.core.url_to_fs(memory)
    for name, content in CONTENT.items():
        filesystem.pipe_file(f"{place}/{name}", content)
    monkeypatch.setattr(MemoryFileSystem, "put_file", None)
    assert ship_log(folder, memory) == 5


def test_a_living_file_stays_and_a_dead_one_is_shipped(folder: Path, tmp_path: Path) -> None:
    held = files.try_lock(folder / "living.jsonl.open")
    (folder / "dead.jsonl.open").write_bytes(b"{}\n")
    assert ship_log(folder, str(tmp_path / "there")) == 6
    assert "dead.jsonl" in read_target(str(tmp_path / "there"))
    assert here(folder) == {"living.jsonl.open"}
    assert held
    held.close()


def test_what_does_not_arrive_whole_stays_here(
    folder: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = MemoryFileSystem.put_file

    def torn(self: Any, here: str, there: str, **rest: Any) -> None:
        put(self, here, there, **rest)
        self.pipe_file(there, b"{")

    monkeypatch.setattr(MemoryFileSystem, "put_file", torn)
    with pytest.raises(ShelfmarkError, match=r"0.jsonl has 1 bytes and not the 13000 of .*again"):
        ship_log(folder, memory)
    assert here(folder) == set(CONTENT)
    monkeypatch.undo()
    assert ship_log(folder, memory) == 5
    assert read_target(memory) == CONTENT


SHIP = """
import sys
from pathlib import Path
from shelfmark.monitoring.shipping import ship_log
sys.stdin.readline()
print(ship_log(Path(sys.argv[1]), sys.argv[2]))
"""


def test_two_at_once_ship_each_file_once(tmp_path: Path) -> None:
    folder, there = tmp_path / "log", tmp_path / "there"
    folder.mkdir()
    content = {f"{number:03}.jsonl": b'{"number":%d}\n' % number * 100 for number in range(300)}
    for name, lines in content.items():
        (folder / name).write_bytes(lines)
    command = [sys.executable, "-c", SHIP, str(folder), str(there)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for run in both:
        run.stdin.write("go\n")
        run.stdin.flush()
    counts = [int(run.communicate()[0]) for run in both]
    assert [run.returncode for run in both] == [0, 0]
    assert sum(counts) == 300
    assert read_target(str(there)) == content
    assert here(folder) == set()


KILLED = """
import os, signal, sys
from pathlib import Path
from shelfmark.monitoring import shipping

copy, copied = shipping._copy, 0

def killed(file, filesystem, there):
    global copied
    copy(file, filesystem, there)
    copied += 1
    if copied == 3:
        os.kill(os.getpid(), signal.SIGKILL)

shipping._copy = killed
shipping.ship_log(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_the_next_takes_up_where_a_killed_one_was(folder: Path, tmp_path: Path) -> None:
    target = str(tmp_path / "there")
    command = [sys.executable, "-c", KILLED, str(folder), target]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert here(folder) == {"2.jsonl", "3.jsonl", "4.jsonl"}
    assert set(read_target(target)) == {"0.jsonl", "1.jsonl", "2.jsonl"}
    assert ship_log(folder, target) == 3
    assert read_target(target) == CONTENT


def test_no_room_at_the_target_is_one_line_and_nothing_is_lost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*rest: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shipping.shutil, "copyfileobj", full)
    with pytest.raises(ShelfmarkError, match="cannot write .*0.jsonl: No space left on device"):
        ship_log(folder, str(tmp_path / "there"))
    assert here(folder) == set(CONTENT)
    assert list((tmp_path / "there").glob(f"{files.PARTIAL}*")) == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("", "no target: give a folder or an address like gs://bucket/folder"),
        ("nope://bucket", "nope://bucket: Protocol not known: nope"),
    ],
)
def test_a_target_that_is_none_is_one_line(folder: Path, target: str, said: str) -> None:
    with pytest.raises(ShelfmarkError) as error:
        ship_log(folder, target)
    assert str(error.value) == said


def test_a_bucket_that_refuses_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*rest: Any, **named: Any) -> None:
        raise RuntimeError("403: no access\nand a page of more")

    monkeypatch.setattr(MemoryFileSystem, "put_file", refused)
    with pytest.raises(ShelfmarkError) as error:
        ship_log(folder, "memory://closed")
    assert str(error.value) == "memory://closed: 403: no access"
    assert here(folder) == set(CONTENT)


def test_a_folder_cannot_be_shipped_into_itself(folder: Path) -> None:
    for target in (str(folder), folder.as_uri(), f"{folder}/../log"):
        with pytest.raises(ShelfmarkError, match="is the folder to ship from"):
            ship_log(folder, target)
    assert here(folder) == set(CONTENT)


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="there is no folder .* to ship from"):
        ship_log(tmp_path / "log", str(tmp_path / "there"))


def test_nothing_is_done_while_another_ships(folder: Path, tmp_path: Path) -> None:
    held = files.try_lock(folder / shipping.LOCK)
    assert held
    assert ship_log(folder, str(tmp_path / "there")) == 0
    held.close()
    assert ship_log(folder, str(tmp_path / "there")) == 5
