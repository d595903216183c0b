"""Files: any compression reads the same, and a written file is complete or absent."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError
from tests.support.packing import PACKERS

CONTENT = b"".join(b'{"line": %d, "text": "%d"}\n' % (i, i * 7919) for i in range(3000))
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")
PACKED = {suffix: pack(CONTENT) for suffix, pack in PACKERS.items()}


def dead_process() -> int:
    """Return the number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    return ended.pid


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match=r"^data\.path: there is no file .*nothing\.json$"):
        files.require_file(tmp_path / "nothing.json", "data.path")


@pytest.mark.parametrize("path", [None, ""])
def test_a_path_that_is_not_set(path: str | None) -> None:
    with pytest.raises(ShelfmarkError, match=r"data\.path is not set: .*data\.path=FILE"):
        files.require_file(path, "data.path")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_path_that_cannot_be(name: str) -> None:
    with pytest.raises(ShelfmarkError, match="there is no file"):
        files.require_file(name, "data.path")


def test_a_folder_for_a_path(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="is a folder, a file is needed"):
        files.require_file(tmp_path, "data.path")


@POSIX
def test_a_pipe_for_a_path(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ShelfmarkError, match="is not a regular file"):
        files.require_file(tmp_path / "pipe", "data.path")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    with pytest.raises(ShelfmarkError, match=r"a\.json is empty"):
        files.require_file(tmp_path / "a.json", "data.path")


@POSIX
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.json").chmod(0)
    with pytest.raises(ShelfmarkError, match="cannot be read"):
        files.require_file(tmp_path / "a.json", "data.path")


def test_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert files.require_file(str(tmp_path / "a.json"), "data.path") == tmp_path / "a.json"


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(CONTENT).hexdigest()


def test_a_folder_appears_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    with files.atomic_folder(target) as aside:
        (aside / "a").write_bytes(b"1")
        assert not target.exists()
        assert aside.parent == target.parent, "a rename must not cross file systems"
    assert (target / "a").read_bytes() == b"1"
    assert [path.name for path in target.parent.iterdir()] == ["folder"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, ShelfmarkError, SystemExit])
def test_a_failure_leaves_no_folder(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), files.atomic_folder(tmp_path / "folder") as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "a").write_bytes(b"1")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"old")
    with (
        pytest.raises(ShelfmarkError, match="exists already"),
        files.atomic_folder(tmp_path / "folder"),
    ):
        pytest.fail("must not begin")
    assert (tmp_path / "folder" / "a").read_bytes() == b"old"


def test_a_folder_takes_the_place_of_an_older_one_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "a").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), files.atomic_folder(target, replace=True) as aside:
        (aside / "b").write_bytes(b"half")
        raise KeyboardInterrupt
    assert [path.name for path in target.iterdir()] == ["a"]
    with files.atomic_folder(target, replace=True) as aside:
        (aside / "b").write_bytes(b"new")
        assert (target / "a").exists()
    assert [path.name for path in target.iterdir()] == ["b"]
    with pytest.raises(ShelfmarkError), files.atomic_folder(target, replace=True) as aside:
        aside.rmdir()  # so that it cannot take the place
    assert [path.name for path in target.iterdir()] == ["b"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_appears_meanwhile_wins(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with pytest.raises(ShelfmarkError, match="cannot write"), files.atomic_folder(target) as aside:
        (aside / "a").write_bytes(b"mine")
        target.mkdir()
        (target / "a").write_bytes(b"theirs")
    assert (target / "a").read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("writer", [files.atomic_folder, files.atomic_write])
def test_a_place_that_cannot_be_written(tmp_path: Path, writer: Callable) -> None:  # type: ignore[type-arg]
    (tmp_path / "file").touch()
    with pytest.raises(ShelfmarkError, match="cannot write"), writer(tmp_path / "file" / "a"):
        pytest.fail("must not begin")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.json"
    for content in (b"one", b"two"):
        with files.atomic_write(target) as file:
            file.write(content)
            file.flush()
            assert not target.exists() or target.read_bytes() == b"one"
        assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    with pytest.raises(failure), files.atomic_write(target) as file:
        file.write(b"new")
        raise failure
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


FULL = """
import resource, sys
from pathlib import Path
from shelfmark.core import console
from shelfmark.core import files

target = Path(sys.argv[1])
unlimited = resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, unlimited))
try:
    with console.one_line_errors(), files.atomic_write(target) as file:
        file.write(b"x" * 20_000)
finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
"""


@POSIX
def test_no_room_for_a_file_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"error: cannot write {target}: File too large"]
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@POSIX
def test_leftovers_of_dead_processes_go_and_all_else_stays(tmp_path: Path) -> None:
    alive = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        dead, own, other = dead_process(), os.getpid(), alive.pid
        gone = [f".partial-{dead}-a", f".partial-{dead}-b.json", f".partial-{own}-before"]
        stay = [f".partial-{other}-a", ".partial-", ".partial-x-a", "sample-1", f"partial-{dead}-a"]
        for name in gone + stay:
            if name.endswith(".json"):
                (tmp_path / name).write_bytes(b"half")
            else:
                (tmp_path / name).mkdir()
                (tmp_path / name / "half").write_bytes(b"half")
        files.clear_leftovers(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == set(stay)
    finally:
        alive.communicate(b"\n")


@POSIX
def test_a_link_left_by_a_dead_process_goes_and_what_it_names_stays(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / f".partial-{dead_process()}-latest").symlink_to("model", target_is_directory=True)
    files.clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_to_clear(tmp_path: Path) -> None:
    files.clear_leftovers(tmp_path / "not there")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from shelfmark.core import files

with files.atomic_folder(Path(sys.argv[1])) as aside:
    (aside / "a").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@POSIX
def test_a_killed_process_leaves_no_target(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "folder")], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(files.PARTIAL)
    files.clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
