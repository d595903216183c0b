"""A written file goes where the user means: into a device or a pipe, and through a link."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelfmark.core import files
from shelfmark.errors import OutputClosedError, ShelfmarkError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="devices, pipes and links of POSIX")
AS_ROOT = os.name != "nt" and os.geteuid() == 0
NULL, FULL = (1, 3), (1, 7)  # numbers of the devices on Linux


def write(target: Path, content: bytes = b"new") -> None:
    with files.atomic_write(target) as file:
        file.write(content)


def make_device(path: Path, numbers: tuple[int, int]) -> Path:
    """Make a device in a folder of the test, which only root may; never touch those in /dev."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(*numbers))
    except PermissionError:
        pytest.skip("only root may make devices")
    return path


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def reading(pipe: Path) -> Iterator[Callable[[], bytes]]:
    """A reader of the pipe, and what it has read at the end."""
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    thread.start()

    def ended() -> bytes:
        thread.join()
        return read[0]

    yield ended
    thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="numbers of Linux")
def test_a_device_stays_and_takes_what_is_written(tmp_path: Path) -> None:
    device = make_device(tmp_path / "null", NULL)
    (tmp_path / "link").symlink_to("null")
    for target in (device, tmp_path / "link"):
        write(target)
    assert stat.S_ISCHR(device.lstat().st_mode)
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"null", "link"}


@pytest.mark.skipif(sys.platform != "linux", reason="numbers of Linux")
def test_a_full_device_is_one_line(tmp_path: Path) -> None:
    device = make_device(tmp_path / "full", FULL)
    with pytest.raises(ShelfmarkError, match=r"^cannot write .*full: No space left on device$"):
        write(device)
    assert stat.S_ISCHR(device.lstat().st_mode)
    assert list(tmp_path.iterdir()) == [device]


def test_a_pipe_stays_and_its_reader_gets_the_content(
    pipe: Path, reading: Callable[[], bytes]
) -> None:
    write(pipe, b"line\n" * 100_000)
    assert reading() == b"line\n" * 100_000
    assert pipe.is_fifo()
    assert list(pipe.parent.iterdir()) == [pipe]


def test_a_link_to_a_pipe(pipe: Path, reading: Callable[[], bytes]) -> None:
    link = pipe.with_name("link")
    link.symlink_to(pipe)
    write(link)
    assert reading() == b"new"
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_pipe_whose_reader_ends(pipe: Path) -> None:
    reader = subprocess.Popen(["head", "-c", "1", str(pipe)], stdout=subprocess.PIPE)
    with pytest.raises(OutputClosedError):  # which ends a command in silence
        write(pipe, b"x" * 1_000_000)
    assert reader.communicate()[0] == b"x"
    assert pipe.is_fifo()


def test_a_socket_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        with pytest.raises(ShelfmarkError, match="^cannot write socket: "):
            write(Path("socket"))
    assert Path("socket").is_socket()


@pytest.mark.parametrize("place", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}"])
@pytest.mark.parametrize("linked", [False, True])
def test_an_open_file_is_written_where_it_stands(tmp_path: Path, place: str, linked: bool) -> None:
    if not Path(place.format("")).is_dir():
        pytest.skip("this system has no such folder")
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("ab") as opened:
        target = Path(place.format(opened.fileno()))
        if linked:
            (tmp_path / "link").symlink_to(target)
            target = tmp_path / "link"
        write(target, b"one\n")
        write(target, b"two\n")
        opened.write(b"after\n")
    assert log.read_text() == "before\none\ntwo\nafter\n"


STANDARD_OUTPUT = """
import sys
from pathlib import Path
from shelfmark.core import files

print("first", flush=True)
with files.atomic_write(Path(sys.argv[1])) as file:
    file.write(b"new\\n")
print("last")
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
@pytest.mark.parametrize("redirected", ["pipe", "file", "socket"])
def test_standard_output_by_its_name(tmp_path: Path, name: str, redirected: str) -> None:
    command = [sys.executable, "-c", STANDARD_OUTPUT, name]
    out = tmp_path / "out"
    out.write_text("before\n")
    if redirected == "file":
        with out.open("ab") as file:
            subprocess.run(command, check=True, stdout=file)
        content = out.read_text()
        assert content.startswith("before\n")
    elif redirected == "socket":
        ours, theirs = socket.socketpair()
        with ours, theirs:
            subprocess.run(command, check=True, stdout=theirs)
            content = ours.recv(100).decode()
    else:
        content = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert content.endswith("first\nnew\nlast\n")
    assert list(tmp_path.iterdir()) == [out]


def test_an_open_file_that_is_closed_or_only_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with (tmp_path / "a").open() as opened:
        with pytest.raises(ShelfmarkError, match=r"cannot write /dev/fd/\d+: "):
            write(Path(f"/dev/fd/{opened.fileno()}"))
        number = opened.fileno()
    with pytest.raises(ShelfmarkError, match=r"cannot write /dev/fd/\d+: Bad file descriptor"):
        write(Path(f"/dev/fd/{number}"))
    assert (tmp_path / "a").read_text() == "old"


def test_the_target_of_a_link_is_replaced_and_the_links_stay(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "near").mkdir()
    real = tmp_path / "big" / "p.jsonl"
    real.write_text("old")
    (tmp_path / "near" / "p.jsonl").symlink_to("../big/p.jsonl")
    (tmp_path / "chain").symlink_to(tmp_path / "near" / "p.jsonl")
    with files.atomic_write(tmp_path / "chain") as file:
        file.write(b"new")
        assert [path.name for path in (tmp_path / "near").iterdir()] == ["p.jsonl"]
        assert len(list((tmp_path / "big").iterdir())) == 2, "the partial file is beside the target"
        assert real.read_text() == "old"
    assert real.read_bytes() == b"new"
    assert (tmp_path / "chain").is_symlink()
    assert (tmp_path / "near" / "p.jsonl").readlink() == Path("../big/p.jsonl")
    assert list((tmp_path / "big").iterdir()) == [real]


def test_a_failure_leaves_the_target_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(KeyboardInterrupt), files.atomic_write(tmp_path / "link") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "link").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"link", "real"}


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no other file system here")
def test_a_link_to_another_file_system(tmp_path: Path) -> None:
    folder = Path("/dev/shm", f"shelfmark-{os.getpid()}")
    folder.mkdir()
    try:
        (folder / "a").write_text("old")
        (tmp_path / "link").symlink_to(folder / "a")
        write(tmp_path / "link")
        assert (folder / "a").read_text() == "new"
        assert (tmp_path / "link").is_symlink()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("target", ["real", "missing/real"])
def test_the_target_of_a_dangling_link_is_made(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    write(tmp_path / "link")
    assert (tmp_path / target).read_text() == "new"
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("writer", [files.atomic_folder, files.atomic_write])
def test_the_folder_that_a_dangling_link_names_is_made(
    tmp_path: Path,
    writer: Callable,  # type: ignore[type-arg]
) -> None:
    (tmp_path / "reports").symlink_to("big/reports", target_is_directory=True)
    with writer(tmp_path / "reports" / "deep" / "a"):
        pass
    assert (tmp_path / "big" / "reports" / "deep" / "a").exists()
    assert (tmp_path / "reports").is_symlink()
    assert [path.name for path in (tmp_path / "big" / "reports" / "deep").iterdir()] == ["a"]


@pytest.mark.parametrize("writer", [files.atomic_folder, files.atomic_write])
@pytest.mark.parametrize("links", [{"a": "a"}, {"a": "b", "b": "a"}])
def test_a_loop_of_links_is_one_line(
    tmp_path: Path,
    writer: Callable,  # type: ignore[type-arg]
    links: dict[str, str],
) -> None:
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    with (
        pytest.raises(ShelfmarkError, match="cannot write .*Too many levels"),
        writer(tmp_path / "a"),
    ):
        pytest.fail("must not begin")
    assert {path.name for path in tmp_path.iterdir()} == set(links)


@pytest.mark.parametrize("linked", [False, True])
def test_a_folder_in_place_of_a_file(tmp_path: Path, linked: bool) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    if linked:
        target = tmp_path / "link"
        target.symlink_to("folder")
    with (
        pytest.raises(ShelfmarkError, match="^cannot write .*: it is a folder, a file is needed$"),
        files.atomic_write(target),
    ):
        pytest.fail("must not begin")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_the_permissions_of_a_replaced_file_stay(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(mode)
    with files.atomic_write(tmp_path / "a") as file:
        file.write(b"new")
        (aside,) = tmp_path.glob(f"{files.PARTIAL}*")
        assert stat.S_IMODE(aside.stat().st_mode) == mode, "nobody else reads a part either"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode
    write(tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) & 0o111 == 0


@pytest.mark.skipif(not AS_ROOT, reason="only root may give files away")
def test_root_leaves_a_replaced_file_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    os.chown(tmp_path / "a", 1234, 1235)
    write(tmp_path / "a")
    status = (tmp_path / "a").stat()
    assert (status.st_uid, status.st_gid) == (1234, 1235)


def test_a_file_that_nobody_may_write_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o444)
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with pytest.raises(ShelfmarkError, match="Permission denied, it is write-protected"):
            write(tmp_path / name)
    assert (tmp_path / "a").read_text() == "old"


def test_a_name_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    name = "é" * 125 + ".json"
    write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    real = tmp_path / "big" / "folder"
    link = tmp_path / "link"
    link.symlink_to("big/folder")
    for content in ("one", "two"):  # which is made, then replaced
        with files.atomic_folder(link, replace=True) as aside:
            (aside / content).touch()
            assert aside.parent.samefile(real.parent)
        assert [path.name for path in real.iterdir()] == [content]
        assert link.is_symlink()
        real.chmod(0o750)
    assert list((tmp_path / "big").iterdir()) == [real]
    assert {path.name for path in tmp_path.iterdir()} == {"big", "link"}
    with files.atomic_folder(link, replace=True):
        pass
    assert stat.S_IMODE(real.stat().st_mode) == 0o750


@pytest.mark.parametrize("replace", [False, True])
def test_a_folder_never_takes_the_place_of_a_file(tmp_path: Path, replace: bool) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(ShelfmarkError), files.atomic_folder(tmp_path / "a", replace=replace):
        pytest.fail("must not begin")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("writer", [files.atomic_folder, files.atomic_write])
def test_a_failure_leaves_no_new_folders(tmp_path: Path, writer: Callable) -> None:  # type: ignore[type-arg]
    (tmp_path / "kept").mkdir()
    with pytest.raises(ValueError), writer(tmp_path / "kept" / "new" / "newer" / "a"):  # noqa: PT011
        assert (tmp_path / "kept" / "new" / "newer").is_dir()
        raise ValueError
    assert list(tmp_path.rglob("*")) == [tmp_path / "kept"]
    with pytest.raises(ValueError), writer(tmp_path / "new" / "a"):  # noqa: PT011
        (tmp_path / "new" / "of another writer").touch()
        raise ValueError
    assert (tmp_path / "new" / "of another writer").exists()


WAITING = """
import sys
from pathlib import Path
from shelfmark.core import console, files

with console.one_line_errors():
    print("started", flush=True)
    with files.atomic_write(Path(sys.argv[1])) as file:
        file.write(b"new")
"""


def test_ctrl_c_ends_the_wait_for_the_reader_of_a_pipe(pipe: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, str(pipe)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err == "stopped: nothing half-written was kept\n"
    assert pipe.is_fifo()
