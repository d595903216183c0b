"""The machines and accelerators that Vertex AI trains on, as its manual lists them.

The service itself decides, and has further types in some regions: add a new one here.
Source: cloud.google.com/vertex-ai/docs/training/configure-compute
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shelfmark.errors import ShelfmarkError, nearest

AS_OF = "2025-01"
# Gigabytes of memory for each core, and how many cores there are to choose from.
_FAMILIES: dict[str, tuple[float, tuple[int, ...]]] = {
    "e2-standard": (4, (4, 8, 16, 32)),
    "e2-highmem": (8, (2, 4, 8, 16)),
    "e2-highcpu": (1, (16, 32)),
    "g2-standard": (4, (4, 8, 12, 16, 24, 32, 48, 96)),
    "n1-standard": (3.75, (4, 8, 16, 32, 64, 96)),
    "n1-highmem": (6.5, (2, 4, 8, 16, 32, 64, 96)),
    "n1-highcpu": (0.9, (16, 32, 64, 96)),
    "n2-standard": (4, (4, 8, 16, 32, 48, 64, 80)),
    "n2-highmem": (8, (2, 4, 8, 16, 32, 48, 64, 80)),
    "n2-highcpu": (1, (16, 32, 48, 64, 80)),
    "n2d-standard": (4, (4, 8, 16, 32, 48, 64, 80, 96, 128, 224)),
    "n2d-highmem": (8, (2, 4, 8, 16, 32, 48, 64, 80, 96)),
    "n2d-highcpu": (1, (16, 32, 48, 64, 80, 96, 128, 224)),
    "c2-standard": (4, (4, 8, 16, 30, 60)),
    "m1-ultramem": (24.025, (40, 80, 160)),
    "m1-megamem": (14.93, (96,)),
}
# Cores and gigabytes of memory by the machine's type.
MACHINES = {
    f"{family}-{cores}": (cores, cores * memory)
    for family, (memory, sizes) in _FAMILIES.items()
    for cores in sizes
} | {f"a2-highgpu-{count}g": (12 * count, 85.0 * count) for count in (1, 2, 4, 8)}
DISKS = ("pd-ssd", "pd-standard")


@dataclass(frozen=True)
class Accelerator:
    """A type of GPU, and the machines that take it.

    Args:
        name: its short name, as in the names of quotas.
        memory: of one, in gigabytes.
        capability: its compute capability, which a build of PyTorch supports or not.
        most_cores: of an N1 machine for each that is attached; 0 if N1 machines take none.
        counts: how many may be attached to one N1 machine.
        built_in: the machines that have it without attaching, and how many each has.
    """

    name: str
    memory: int
    capability: float
    most_cores: int = 0
    counts: tuple[int, ...] = ()
    built_in: dict[str, int] = field(default_factory=dict)

    def counts_of(self, machine: str) -> tuple[int, ...]:
        """Return how many a machine can have; empty if it takes none."""
        if machine in self.built_in:
            return (self.built_in[machine],)
        if not machine.startswith("n1-"):
            return ()
        return tuple(n for n in self.counts if MACHINES[machine][0] <= n * self.most_cores)


ACCELERATORS = {
    "NVIDIA_TESLA_T4": Accelerator("T4", 16, 7.5, 24, (1, 2, 4)),
    "NVIDIA_TESLA_V100": Accelerator("V100", 16, 7.0, 12, (1, 2, 4, 8)),
    "NVIDIA_TESLA_A100": Accelerator(
        "A100", 40, 8.0, built_in={f"a2-highgpu-{count}g": count for count in (1, 2, 4, 8)}
    ),
    "NVIDIA_L4": Accelerator(
        "L4",
        24,
        8.9,
        built_in={
            f"g2-standard-{cores}": count
            for count, sizes in {1: (4, 8, 12, 16, 32), 2: (24,), 4: (48,), 8: (96,)}.items()
            for cores in sizes
        },
    ),
}
# Of PyTorch in the image for GPUs, which is built for CUDA 13.
# Source: github.com/pytorch/pytorch/blob/main/RELEASE.md#pytorch-cuda-support-matrix
LEAST_CAPABILITY = 7.5


def check_machine(kind: str, accelerator: str | None = None, count: int = 0) -> None:
    """Check that there is such a machine, and that it takes so many of the accelerator.

    Raises:
        ShelfmarkError: it is not in the list; names what is possible.
    """
    if kind not in MACHINES:
        raise ShelfmarkError(
            f"cloud.machine.type: no machine {kind!r}{nearest(kind, MACHINES)} "
            f"(Vertex AI's list of {AS_OF})"
        )
    if accelerator is None:
        _check_bare(kind, count)
        return
    check_accelerator(accelerator)
    possible = ACCELERATORS[accelerator].counts_of(kind)
    if not possible:
        raise ShelfmarkError(
            f"cloud.machine.accelerator: {kind} takes no {accelerator}; it is for "
            f"{', '.join(_fitting(accelerator))}"
        )
    if count not in possible:
        raise ShelfmarkError(
            f"cloud.machine.accelerator_count: {count}: {kind} takes "
            f"{_either(possible)} of {accelerator}"
        )


def check_accelerator(name: str) -> None:
    """Check that there is such an accelerator.

    Raises:
        ShelfmarkError: it is not in the list.
    """
    if name not in ACCELERATORS:
        raise ShelfmarkError(
            f"cloud.machine.accelerator: no accelerator {name!r}{nearest(name, ACCELERATORS)}; "
            f"there are {', '.join(ACCELERATORS)} (Vertex AI's list of {AS_OF})"
        )


def check_capability(accelerator: str) -> None:
    """Check that the PyTorch of the image for GPUs runs on an accelerator.

    Raises:
        ShelfmarkError: it does not; says which image would.
    """
    check_accelerator(accelerator)
    if ACCELERATORS[accelerator].capability < LEAST_CAPABILITY:
        raise ShelfmarkError(
            f"cloud.machine.accelerator: {accelerator} is older than CUDA 13, with which the "
            "image train-gpu has PyTorch: choose NVIDIA_TESLA_T4 or NVIDIA_L4, or name an image "
            "with PyTorch for CUDA 12.6, cloud.image=…"
        )


def describe_machine(kind: str, accelerator: str | None, count: int) -> str:
    """Return a machine of the list in words: n1-standard-4: 4 cores, 15 GB, 1 T4 of 16 GB each."""
    cores, memory = MACHINES[kind]
    found = ACCELERATORS[accelerator] if accelerator else None
    more = f", {count} {found.name} of {found.memory} GB each" if found else ""
    return f"{kind}: {cores} cores, {memory:.0f} GB{more}"


def _check_bare(kind: str, count: int) -> None:
    """Check a machine to which no accelerator is attached."""
    if count:
        raise ShelfmarkError(
            f"cloud.machine.accelerator_count: {count} of no accelerator: set "
            "cloud.machine.accelerator, as NVIDIA_TESLA_T4"
        )
    for name, accelerator in ACCELERATORS.items():
        if kind in accelerator.built_in:
            raise ShelfmarkError(
                f"cloud.machine.accelerator: {kind} has {accelerator.built_in[kind]} of {name}: "
                f"set cloud.machine.accelerator={name} "
                f"cloud.machine.accelerator_count={accelerator.built_in[kind]}"
            )


def _either(counts: tuple[int, ...]) -> str:
    """Return counts as a person lists them: 1, 2 or 4."""
    *others, last = map(str, counts)
    return f"{', '.join(others)} or {last}" if others else last


def _fitting(accelerator: str) -> list[str]:
    """Return the families of machines that take an accelerator."""
    names = (name for name in MACHINES if ACCELERATORS[accelerator].counts_of(name))
    return sorted({name.rpartition("-")[0] for name in names})
