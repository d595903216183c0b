"""Finished stages: each computed once, complete or absent, never shared by two live runs."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from shelfmark.core import checkpoint
from shelfmark.core.checkpoint import MANIFEST, MAX_AGE, STRUCTURE, UNFINISHED, Checkpoint
from shelfmark.errors import ShelfmarkError
from tests.support.moments import until

POSIX = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")


def not_again() -> Any:
    raise AssertionError("done before")


def leave(root: Path, key: str = "key") -> Path:
    """Leave what a run that fails leaves: one finished stage."""
    with pytest.raises(ZeroDivisionError), checkpoint.open_checkpoint(root, key) as stages:
        stages.compute_once("words", lambda: [1, 2])
        raise ZeroDivisionError
    return stages.folder


def test_a_stage_is_done_once_and_found_by_the_next_run(
    tmp_path: Path, log: Callable[[], str]
) -> None:
    folder = leave(tmp_path)
    assert log() == ""
    with checkpoint.open_checkpoint(tmp_path, "key") as stages:
        assert stages.folder == folder
        assert stages.compute_once("words", not_again) == [1, 2]
        assert stages.compute_once("scores", lambda: 3) == 3
        assert stages.compute_once("scores", not_again) == 3
    assert log() == "INFO words: read from the checkpoint\n"


def test_stages_go_once_the_work_is_done_and_stay_when_it_fails(tmp_path: Path) -> None:
    leave(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    with checkpoint.open_checkpoint(tmp_path, "key"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_key_finds_nothing_and_takes_nothing_away(tmp_path: Path) -> None:
    folder = leave(tmp_path)
    with checkpoint.open_checkpoint(tmp_path, "other") as stages:
        assert "words" not in stages
        assert stages.load("words") is None
    assert list(tmp_path.iterdir()) == [folder]


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    arrays = [
        np.random.default_rng(0).normal(size=(3, 4)).astype(kind)
        for kind in (np.float32, np.float64)
    ]
    stages = Checkpoint(tmp_path)
    with pytest.raises(ValueError, match="the rows of an array should follow one another"):
        stages.save("arrays", [np.asfortranarray(arrays[0])])
    stages.save("arrays", arrays)
    for before, after in zip(arrays, stages.load("arrays"), strict=True):
        assert after.dtype == before.dtype
        assert after.strides == before.strides
        assert after.tobytes() == before.tobytes()
        after += 1  # as a step of the work may do with what it has made


def test_a_stage_that_fails_half_way_is_not_there_and_hurts_none_before(tmp_path: Path) -> None:
    stages = Checkpoint(tmp_path)
    stages.save("trees", "good")
    for name in ("words", "trees"):
        with pytest.raises(pickle.PicklingError, match=r"a structure holds no builtins\.set"):
            stages.save(name, [np.zeros(1_000_000), {1, 2}])
    assert "words" not in stages
    assert stages.load("trees") == "good"
    assert [path.name for path in tmp_path.iterdir()] == ["trees.zip"]


WRITER = """
import sys
from pathlib import Path
from shelfmark.core.checkpoint import Checkpoint
stages = Checkpoint(Path(sys.argv[1]))
for number in range(1_000_000):
    stages.save("trees", [number] * 20_000)
"""


@POSIX
def test_a_killed_writer_leaves_a_whole_stage(tmp_path: Path) -> None:
    stages = Checkpoint(tmp_path)
    run = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    until(lambda: "trees" in stages or run.poll() is not None)
    for _ in range(20):  # a reader at any moment
        stored = stages.load("trees")
        assert stored == stored[:1] * 20_000
    run.send_signal(signal.SIGKILL)
    run.wait()
    stored = stages.load("trees")
    assert stored == stored[:1] * 20_000


@pytest.mark.parametrize("content", [b"", b"spam", pickle.dumps([1] * 999)])
def test_a_damaged_stage_is_one_line_that_names_the_file_to_remove(
    tmp_path: Path, content: bytes
) -> None:
    folder = leave(tmp_path)
    (folder / "words.zip").write_bytes(content)
    with (
        pytest.raises(ShelfmarkError) as raised,
        checkpoint.open_checkpoint(tmp_path, "key") as stages,
    ):
        stages.compute_once("words", not_again)
    said = str(raised.value)
    assert said.startswith(f"{folder / 'words.zip'} was not opened: ")
    assert said.endswith(f"; remove {folder} to start again")
    assert "\n" not in said


def rewrite(path: Path, contents: dict[str, bytes], digests: bool = True) -> None:
    """Put other contents into the file of a stage, with the digests that fit them."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | contents
    if digests:
        manifest = orjson.loads(members[MANIFEST])
        manifest["files"] |= {n: hashlib.sha256(c).hexdigest() for n, c in contents.items()}
        members[MANIFEST] = orjson.dumps(manifest)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_file_of_a_stage_that_is_not_the_one_of_its_digest_is_noticed(tmp_path: Path) -> None:
    stages = Checkpoint(tmp_path)
    stages.save("scores", np.arange(6.0))
    path = tmp_path / "scores.zip"
    with zipfile.ZipFile(path) as archive:
        content = bytearray(archive.read("00-array.npy"))
    content[-1] ^= 1
    rewrite(path, {"00-array.npy": bytes(content)}, digests=False)
    with pytest.raises(ShelfmarkError, match=r"00-array\.npy is damaged; remove"):
        stages.load("scores")


def test_a_stage_that_unpacks_to_more_than_its_size_is_refused(tmp_path: Path) -> None:
    stages = Checkpoint(tmp_path)
    stages.save("scores", np.zeros(100_000))
    path = tmp_path / "scores.zip"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ShelfmarkError, match="its members have more bytes than it has"):
        stages.load("scores")


def test_a_stage_whose_members_overlap_is_refused(tmp_path: Path) -> None:
    stages = Checkpoint(tmp_path)
    stages.save("scores", np.zeros(100_000))
    with zipfile.ZipFile(tmp_path / "scores.zip", "a") as archive:
        archive.writestr("more", b"")  # so that the directory is written again
        archive.filelist += [archive.getinfo("00-array.npy")] * 9
    with pytest.raises(ShelfmarkError, match="its members have more bytes than it has"):
        stages.load("scores")


def test_a_foreign_stage_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    proof = tmp_path / "it ran"

    class Malicious:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(proof),)

    folder, content = leave(tmp_path), pickle.dumps(Malicious(), 4)
    rewrite(folder / "words.zip", {STRUCTURE: content})
    with (
        pytest.raises(ShelfmarkError, match=r"it is damaged or foreign: .*; remove .* again"),
        checkpoint.open_checkpoint(tmp_path, "key") as stages,
    ):
        stages.compute_once("words", not_again)
    assert not proof.exists()


def test_two_live_runs_never_share_stages(tmp_path: Path) -> None:
    with checkpoint.open_checkpoint(tmp_path, "key") as first:
        first.save("words", "mine")
        with checkpoint.open_checkpoint(tmp_path, "key") as second:
            assert second.folder != first.folder
            assert "words" not in second
            second.save("words", "yours")
        assert first.load("words") == "mine"
        assert list(tmp_path.iterdir()) == [first.folder]
    assert list(tmp_path.iterdir()) == []


def test_what_two_runs_have_left_is_gone_once_one_succeeds(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), checkpoint.open_checkpoint(tmp_path, "key") as stages:
        leave(tmp_path)
        stages.save("words", [1])
        raise ZeroDivisionError
    assert len(list(tmp_path.iterdir())) == 2
    with checkpoint.open_checkpoint(tmp_path, "key"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_saved_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), checkpoint.open_checkpoint(tmp_path, "key"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


HOLDER = """
import sys, time
from pathlib import Path
from shelfmark.core import checkpoint
with checkpoint.open_checkpoint(Path(sys.argv[1]), "key") as stages:
    stages.save("words", [1, 2])
    (stages.folder / f".partial-{sys.argv[2]}-trees.zip").write_bytes(b"half")
    print("ready", flush=True)
    time.sleep(36_000)
"""


def test_the_stages_of_a_dead_run_are_taken_over_and_those_of_a_live_one_are_not(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    command = [sys.executable, "-c", HOLDER, str(tmp_path), str(ended.pid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stdout.readline().strip() == b"ready"
        with checkpoint.open_checkpoint(tmp_path, "key") as stages:
            assert "words" not in stages
        run.kill()
    with checkpoint.open_checkpoint(tmp_path, "key") as stages:
        assert stages.load("words") == [1, 2]
        assert {path.name for path in stages.folder.iterdir()} == {"words.zip", "lock"}
    assert list(tmp_path.iterdir()) == []


def test_old_stages_are_forgotten_unless_a_run_is_still_at_them(tmp_path: Path) -> None:
    def age(folder: Path, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(folder, (then, then))

    old, recent = leave(tmp_path, "old"), leave(tmp_path, "recent")
    foreign = tmp_path / f"{UNFINISHED}123-of-an-earlier-version"
    foreign.mkdir()
    age(old, MAX_AGE + 3600)
    age(foreign, MAX_AGE + 3600)
    age(recent, MAX_AGE - 3600)
    with checkpoint.open_checkpoint(tmp_path, "live") as live:
        live.save("words", 1)
        age(live.folder, MAX_AGE + 3600)
        with checkpoint.open_checkpoint(tmp_path, "key"):
            pass
        assert live.load("words") == 1
        assert set(tmp_path.iterdir()) == {recent, live.folder}


def test_whether_something_is_left_is_known_and_it_can_be_forgotten(tmp_path: Path) -> None:
    assert not checkpoint.has_unfinished(tmp_path / "not there", "key")
    leave(tmp_path)
    leave(tmp_path, "key2")
    assert checkpoint.has_unfinished(tmp_path, "key")
    checkpoint.remove_unfinished(tmp_path, "key")
    assert not checkpoint.has_unfinished(tmp_path, "key")
    assert checkpoint.has_unfinished(tmp_path, "key2")


def test_what_is_nested_in_a_stage_goes_when_the_stage_is_saved(tmp_path: Path) -> None:
    stages = Checkpoint(tmp_path)
    parts = stages.nest_stage("model")
    parts.save("epoch", 1)
    assert stages.nest_stage("model").load("epoch") == 1
    assert "model" not in stages
    stages.save("model", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]
    assert "epoch" not in stages.nest_stage("model")


def test_temporary_stages_are_gone_with_the_block() -> None:
    with checkpoint.temporary_checkpoint() as stages:
        assert stages.compute_once("words", lambda: 1) == 1
        assert stages.compute_once("words", not_again) == 1
    assert not stages.folder.exists()


def test_a_place_that_cannot_be_written_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with (
        pytest.raises(ShelfmarkError, match="^cannot write .*models.*: "),
        checkpoint.open_checkpoint(tmp_path / "models", "key"),
    ):
        pass
