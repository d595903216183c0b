"""The groups of the configuration: the folders of `configs/` that config.yaml chooses from.

Other folders there, such as that of the sweeps, are read by others and never by Hydra.
"""

from __future__ import annotations

import re
from pathlib import Path

CONFIGS = Path(__file__).parents[3] / "configs"
CHOICE = re.compile(r"^  - (\w+): \w+", re.MULTILINE)  # a line of the defaults: `- data: sample`
NO_CHOICE = {"account"}  # taken in by the others of its group
CLOUD = "cloud"  # what this group and its keys say is for `inv submit` alone


def groups() -> dict[str, list[str]]:
    """Return the choices of each group, for help and hints; `cloud/machine` is within `cloud`."""
    base = (CONFIGS / "config.yaml").read_text(encoding="utf-8")
    return {
        folder.relative_to(CONFIGS).as_posix(): sorted(
            file.stem for file in folder.glob("*.yaml") if file.stem not in NO_CHOICE
        )
        for name in sorted(CHOICE.findall(base))
        for folder in sorted([CONFIGS / name, *(CONFIGS / name).glob("*/")])
    }


def is_cloud(override: str) -> bool:
    """Whether an override is about the cloud: cloud=vertex_cpu, cloud/machine=…, cloud.region=…."""
    key = override.lstrip("+~").partition("=")[0]
    return key == CLOUD or key.startswith((f"{CLOUD}.", f"{CLOUD}/"))
