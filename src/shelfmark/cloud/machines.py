"""The machine types that Vertex AI trains on, without accelerators, as its manual lists them.

The service itself is the judge, and has further types in some regions: a new one is added here.
Source: cloud.google.com/vertex-ai/docs/training/configure-compute#machine-types
"""

from __future__ import annotations

AS_OF = "2025-01"  # the state of the list below

# Gigabytes of memory for each core, and how many cores there are to choose from.
_FAMILIES: dict[str, tuple[float, tuple[int, ...]]] = {
    "e2-standard": (4, (4, 8, 16, 32)),
    "e2-highmem": (8, (2, 4, 8, 16)),
    "e2-highcpu": (1, (16, 32)),
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
}
DISKS = ("pd-ssd", "pd-standard")
