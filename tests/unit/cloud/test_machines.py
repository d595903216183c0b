"""Machines and accelerators: what Vertex AI's lists allow, and one line for anything else."""

from __future__ import annotations

import pytest

from shelfmark.cloud import machines
from shelfmark.errors import ShelfmarkError

T4, V100, A100, L4 = machines.ACCELERATORS


@pytest.mark.parametrize(
    ("machine", "accelerator", "counts"),
    [
        ("n1-standard-4", T4, (1, 2, 4)),
        ("n1-standard-16", T4, (1, 2, 4)),
        ("n1-standard-32", T4, (2, 4)),
        ("n1-highmem-96", T4, (4,)),
        ("n1-standard-8", V100, (1, 2, 4, 8)),
        ("n1-standard-16", V100, (2, 4, 8)),
        ("n1-highcpu-64", V100, (8,)),
        ("g2-standard-8", L4, (1,)),
        ("g2-standard-24", L4, (2,)),
        ("g2-standard-32", L4, (1,)),
        ("g2-standard-96", L4, (8,)),
        ("a2-highgpu-4g", A100, (4,)),
        ("g2-standard-8", T4, ()),
        ("n1-standard-4", L4, ()),
        ("n2-standard-8", T4, ()),
        ("e2-standard-4", V100, ()),
    ],
)
def test_a_machine_takes_the_counts_of_google_s_table(
    machine: str, accelerator: str, counts: tuple[int, ...]
) -> None:
    assert machines.ACCELERATORS[accelerator].counts_of(machine) == counts
    for count in range(10):
        if count in counts:
            machines.check_machine(machine, accelerator, count)
        else:
            with pytest.raises(ShelfmarkError, match="^cloud.machine.accelerator"):
                machines.check_machine(machine, accelerator, count)


def test_every_accelerator_is_for_some_machine_of_the_list() -> None:
    for accelerator in machines.ACCELERATORS.values():
        assert set(accelerator.built_in) <= set(machines.MACHINES)
        assert any(accelerator.counts_of(machine) for machine in machines.MACHINES)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        (("n1-standard-5", None, 0), "cloud.machine.type: no machine 'n1-standard-5'; did you me"),
        (("n1-standard-4", "T4", 1), "no accelerator 'T4'; there are NVIDIA_TESLA_T4, NVIDIA_T"),
        (("n1-standard-4", None, 2), "accelerator_count: 2 of no accelerator: set cloud.machine.a"),
        (("n1-standard-4", L4, 1), "n1-standard-4 takes no NVIDIA_L4; it is for g2-standard$"),
        (("g2-standard-4", T4, 1), "it is for n1-highcpu, n1-highmem, n1-standard$"),
        (("n1-standard-32", T4, 1), "accelerator_count: 1: n1-standard-32 takes 2 or 4 of NVIDIA"),
        (("n1-standard-4", T4, 0), "accelerator_count: 0: n1-standard-4 takes 1, 2 or 4 of NVIDIA"),
        (("g2-standard-48", None, 0), "g2-standard-48 has 4 of NVIDIA_L4: set cloud.machine.acce"),
    ],
)
def test_a_machine_that_does_not_exist_is_one_line(
    wanted: tuple[str, str | None, int], line: str
) -> None:
    with pytest.raises(ShelfmarkError, match=line) as raised:
        machines.check_machine(*wanted)
    assert "\n" not in str(raised.value)


def test_an_accelerator_that_cuda_13_has_left_needs_another_image() -> None:
    for name in (T4, A100, L4):
        machines.check_capability(name)
    with pytest.raises(ShelfmarkError, match="NVIDIA_TESLA_V100 is older than CUDA 13"):
        machines.check_capability(V100)


def test_a_machine_is_described_in_words() -> None:
    described = machines.describe_machine("n1-standard-4", T4, 2)
    assert described == "n1-standard-4: 4 cores, 15 GB, 2 T4 of 16 GB each"
    assert machines.describe_machine("n1-highmem-4", None, 0) == "n1-highmem-4: 4 cores, 26 GB"
