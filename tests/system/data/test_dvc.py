"""Splits under DVC: pushed, removed and pulled against an emulator, and every failure of that.

DVC takes seconds to start: what can be tried in one run of it is one test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shelfmark.config.load import load_config
from shelfmark.core import storage
from shelfmark.data import dvc
from shelfmark.data.dvc import pull_data, pull_splits, push_data, set_remote
from shelfmark.data.prepare import prepare_splits
from shelfmark.data.splits import Splits
from shelfmark.errors import ShelfmarkError
from tests.conftest import ROOT, paths_in
from tests.support.moments import kill_group_when

TRACKED = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "data.dvc")
Log = Callable[[], str]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A fresh clone, as far as DVC sees it."""
    for name in TRACKED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def prepare(clone: Path, *overrides: str) -> Splits:
    return prepare_splits(load_config([*overrides, *paths_in(clone)]))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")
            if path.is_file()}  # fmt: skip


def test_after_inv_data_on_a_fresh_clone_dvc_has_nothing_to_say(clone: Path) -> None:
    prepare(clone)
    (clone / "data" / ".partial-1-left").mkdir()
    (clone / "data" / ".partial-1-left" / "spill.arrow").write_bytes(b"x")
    dvc.add_to_cache(clone / "data")
    command = [sys.executable, "-m", "dvc", "status"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("Data and pipelines are up to date.\n", 0)
    assert (clone / "data.dvc").read_bytes() == (ROOT / "data.dvc").read_bytes()


def test_a_folder_that_differs_from_its_pointer_is_not_cached(clone: Path) -> None:
    splits = prepare(clone)
    (splits.folder / "train.parquet").write_bytes(
        bytes((splits.folder / "train.parquet").stat().st_size)
    )
    dvc.add_to_cache(clone / "data")
    (splits.folder / "more").write_bytes(b"")
    dvc.add_to_cache(clone / "data")
    assert not (clone / ".dvc" / "cache").exists()
    dvc.add_to_cache(clone / "elsewhere")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_what_is_pushed_and_wiped_comes_back_also_after_a_killed_push(
    clone: Path, gcs: str, log: Log
) -> None:
    set_remote("bucket", clone)
    data = clone / "data"
    prepare(clone)
    for number in range(100):
        path = data / "mine" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(f"{number}\n".encode() * 1000)
    before = contents(data)

    config = clone / ".dvc" / "config"
    usual = config.read_text()
    config.write_text(f"{usual}    jobs = 1\n")  # one after the other: a kill finds it at work
    code = "import sys; from pathlib import Path; from shelfmark.data.dvc import push_data"
    command = [sys.executable, "-c", f"{code}; push_data(Path(sys.argv[1]))", str(data)]
    killed = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    bucket, _ = storage.filesystem_for(gcs)
    kill_group_when(killed, lambda: 5 < len(bucket.find(gcs)) < len(before))
    config.write_text(usual)

    push_data(data)
    assert len(bucket.find(gcs)) == len(before) + 1  # and their listing
    assert "commit the pointer: git commit data.dvc" not in log()  # the killed one changed it
    shutil.rmtree(data)
    shutil.rmtree(clone / ".dvc" / "cache")
    (data / "other").mkdir(parents=True)
    (data / "other" / "splits").write_bytes(b"of mine")
    (data / "mine").mkdir()
    (data / "mine" / "7.txt").write_bytes(b"changed here")

    pull_data(data)
    assert (data / "other" / "splits").read_bytes() == b"of mine"
    assert contents(data / "mine") == {"7.txt": b"changed here"}
    assert f"{data / 'mine'} differs from the tracked one, and is kept" in log()
    shutil.rmtree(data / "mine")
    pull_data(data)  # all of it is in the cache
    assert contents(data) == before


def test_training_pulls_the_splits_it_needs_and_makes_others(
    clone: Path, gcs: str, log: Log
) -> None:
    set_remote("bucket", clone)
    first = prepare(clone)
    push_data(clone / "data")
    assert first.folder.name in str(dvc.read_pointer(clone / "data").digests())  # type: ignore[union-attr]
    before = contents(clone / "data")
    shutil.rmtree(clone / "data")
    shutil.rmtree(clone / ".dvc" / "cache")
    prepare(clone)
    assert f"{first.folder} pulled from gs://bucket/dvc" in log()
    assert contents(clone / "data") == before

    # From here on DVC's cache answers: nothing is asked of the bucket.
    other = prepare(clone, "data.min_words=25")
    assert f"{other.folder} is not tracked by {clone}/data.dvc" in log()
    shutil.rmtree(first.folder)
    prepare(clone)
    assert log().count(f"{first.folder} pulled") == 2
    assert contents(first.folder) == {path.partition("/")[2]: it for path, it in before.items()}

    shutil.rmtree(first.folder)

    def unlike(folder: Path) -> None:
        raise ShelfmarkError(f"{len(contents(folder))} files of another making")

    assert not pull_splits(first.folder, unlike)
    assert f"{first.folder} is made here, not pulled: 4 files of another making" in log()
    assert not first.folder.exists()
    assert other.folder.exists()


def test_splits_of_another_making_are_not_taken(clone: Path) -> None:
    from shelfmark.data.splits import check_splits

    splits = prepare(clone)
    identity = {name: splits.card[name] for name in ("recipe", "source_sha256", "config")}
    check_splits(splits.folder, identity)
    with pytest.raises(ShelfmarkError, match="have another source or config"):
        check_splits(splits.folder, identity | {"recipe": 0})
    (splits.folder / "test.parquet").write_bytes(b"")
    with pytest.raises(ShelfmarkError, match="test.parquet is missing or not the file"):
        check_splits(splits.folder, identity)


def test_without_a_bucket_nothing_is_tried_and_one_line_explains_the_setting(
    clone: Path, log: Log
) -> None:
    folder = prepare(clone).folder
    assert "pulled" not in log()
    assert not pull_splits(folder.with_name("other"), lambda folder: None)
    for act in (push_data, pull_data):
        with pytest.raises(ShelfmarkError) as error:
            act(clone / "data")
        assert str(error.value) == (
            f"no bucket is set for {clone / 'data'}: run shelfmark cloud-init --bucket NAME, or "
            "dvc remote modify gcs url gs://NAME/dvc; all else works without"
        )


def test_a_wrong_bucket_is_one_line_and_training_goes_on(clone: Path, gcs: str, log: Log) -> None:
    set_remote("no-such-bucket", clone)
    prepare(clone)
    assert log().count("made here, not pulled: gs://no-such-bucket/dvc: does not exist; check") == 1
    for act in (push_data, pull_data):
        with pytest.raises(ShelfmarkError, match="gs://no-such-bucket/dvc: does not exist; check"):
            act(clone / "data")


@pytest.mark.usefixtures("no_google")
def test_without_credentials_training_goes_on(clone: Path, log: Log) -> None:
    set_remote("bucket", clone)
    prepare(clone)
    assert "made here, not pulled: gs://bucket/dvc: no Google credentials; log in with" in log()
    with pytest.raises(ShelfmarkError, match="gs://bucket/dvc: no Google credentials"):
        push_data(clone / "data")


def test_an_error_of_dvc_is_one_line(clone: Path) -> None:
    prepare(clone)
    text = (clone / ".dvc" / "config").read_text().replace("gs://YOUR-BUCKET/dvc", "nope://place")
    (clone / ".dvc" / "config").write_text(text)
    with pytest.raises(ShelfmarkError, match="^dvc: .*Unsupported URL type nope://") as error:
        push_data(clone / "data")
    assert "\n" not in str(error.value)


def test_an_empty_folder_is_not_pushed(clone: Path) -> None:
    set_remote("bucket", clone)
    with pytest.raises(
        ShelfmarkError, match="there are no splits in .*: make them with shelfmark data"
    ):
        push_data(clone / "data")


def test_a_pull_needs_a_pointer(clone: Path) -> None:
    (clone / "data.dvc").unlink()
    with pytest.raises(ShelfmarkError, match=r"there is no .*data.dvc: nothing is tracked here"):
        pull_data(clone / "data")


@pytest.mark.parametrize(
    ("bucket", "url"),
    [
        ("papers", "gs://papers/dvc"),
        ("gs://papers", "gs://papers/dvc"),
        ("gs://my.papers-1/a/b/", "gs://my.papers-1/a/b"),
    ],
)
def test_the_bucket_is_set_and_replaced(clone: Path, bucket: str, url: str) -> None:
    path = clone / ".dvc" / "config"
    before = path.read_text()
    other = "['remote \"other\"']\n    url = /mnt/papers\n"
    for text in (before, f"{other}{before}", before.partition("['remote")[0]):
        path.write_text(text)
        assert set_remote("first", clone) == path
        set_remote(bucket, clone)
        assert dvc.find_remote(clone / "data") == url
        assert ("/mnt/papers" in path.read_text()) == ("/mnt/papers" in text)
        assert path.read_text().count("gs://") == 1
    assert "analytics = false" in path.read_text()


@pytest.mark.parametrize("bucket", ["", "A", "my bucket", "gs://", "a/../b c"])
def test_a_name_that_no_bucket_has_is_refused(clone: Path, bucket: str) -> None:
    with pytest.raises(ShelfmarkError, match="is not a bucket name"):
        set_remote(bucket, clone)


def test_the_bucket_of_no_repository_is_not_set(tmp_path: Path) -> None:
    with pytest.raises(ShelfmarkError, match="there is no .*config: run this in the repository"):
        set_remote("papers", tmp_path)


def test_the_bucket_of_this_clone_alone_wins(clone: Path) -> None:
    (clone / ".dvc" / "config.local").write_text("['remote \"gcs\"']\n    url = gs://mine/dvc\n")
    assert dvc.find_remote(clone / "data") == "gs://mine/dvc"


def test_a_damaged_file_of_the_cache_is_not_laid_out(clone: Path) -> None:
    splits = prepare(clone)
    dvc.add_to_cache(clone / "data")
    known = dvc.read_pointer(clone / "data")
    assert known is not None
    sums = known.digests()
    assert sums == dvc.file_digests(clone / "data")
    name = f"{splits.folder.name}/card.json"
    path = dvc.cache_path(known.folder, sums[name])
    path.chmod(0o644)
    path.write_bytes(b"{}")
    (clone / "there").mkdir()
    with pytest.raises(ShelfmarkError, match="is damaged: remove it and pull again"):
        dvc.restore_files(known.folder, {name: sums[name]}, clone / "there")
    listing = dvc.cache_path(known.folder, known.listing)
    listing.chmod(0o644)
    listing.write_bytes(b'[{"md5": "0", "relpath": "../out"}]')
    with pytest.raises(ShelfmarkError, match="lists a file outside the folder: ../out"):
        known.digests()
