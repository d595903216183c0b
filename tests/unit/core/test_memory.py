"""The memory of a training: sizes, limits of cgroups, and how many processes fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shelfmark.core import memory
from shelfmark.errors import ShelfmarkError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2_000_000_000),
        ("1.5 GiB", 3 << 29),
        ("500MB", 500_000_000),
        ("64 kB", 64_000),
        ("64kiB", 65_536),
        ("1TB", 10**12),
    ],
)
def test_a_size_is_read_by_its_unit(text: str, size: int) -> None:
    assert memory.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2", "2G", "B", "iB", "GB", "2gb", "2 PB"])
def test_another_text_is_no_size(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        memory.parse_size(text)


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cgroups of a machine without any."""
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "own")
    (tmp_path / "cgroup" / "memory" / "job").mkdir(parents=True)
    (tmp_path / "cgroup" / "job" / "task").mkdir(parents=True)
    return tmp_path / "cgroup"


def test_without_cgroups_the_memory_is_the_machines(cgroups: Path) -> None:
    assert memory.machine_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_least_limit_of_the_cgroups_around_a_process_holds(cgroups: Path) -> None:
    (cgroups.parent / "own").write_text("0::/job/task\n")
    (cgroups / "job" / "task" / "memory.max").write_text("max\n")
    (cgroups / "job" / "memory.max").write_text("500000\n")
    (cgroups / "memory.max").write_text("900000\n")
    assert memory.machine_bytes() == 500_000


def test_a_cgroup_of_version_1_whose_path_is_that_of_the_host_has_its_limit_at_the_root(
    cgroups: Path,
) -> None:
    (cgroups.parent / "own").write_text("5:cpu,cpuacct:/x\n4:memory:/docker/abc\n")
    (cgroups / "memory" / "memory.limit_in_bytes").write_text("700000\n")
    assert memory.machine_bytes() == 700_000
    assert memory.budget_bytes(None) == 350_000


def test_this_process_uses_memory() -> None:
    before = memory.used_bytes()
    taken = bytearray(b"x" * (64 << 20))
    assert memory.used_bytes() - before > len(taken) // 2


def test_as_many_processes_work_as_memory_and_cores_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "used_bytes", lambda: 1000)
    monkeypatch.setattr(memory, "PROCESS", 10)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert memory.count_processes(1000 + 110, 100, "work") == 1
    assert memory.count_processes(1000 + 329, 100, "work") == 2
    assert memory.count_processes(1000 + 9999, 100, "work") == 4


def test_too_little_memory_for_one_process_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "used_bytes", lambda: 1 << 30)
    with pytest.raises(ShelfmarkError) as raised:
        memory.count_processes(2 << 30, 3 << 30, "fitting low_rank-whole")
    assert str(raised.value) == (
        "engine.memory: fitting low_rank-whole needs 3.2 GB, and 1.0 GB of 2.0 GB are left: "
        "raise engine.memory or lower features.max_terms"
    )
