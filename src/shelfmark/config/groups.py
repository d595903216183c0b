"""The groups of the configuration: the folders of `configs/` that config.yaml chooses from.

Hydra does not read the other folders there, such as that of the sweeps. This module imports nothing
heavy: the help of the command line needs it.
"""

from __future__ import annotations

import re

from shelfmark.core.project import project_folder

CONFIGS = project_folder("configs")
CHOICE = re.compile(r"^  - (\w+): \w+", re.MULTILINE)  # a line of the defaults: `- data: sample`
NO_CHOICE = {"account"}  # included by the other files of its group
CLOUD = "cloud"  # a group for `shelfmark submit` alone


def list_groups() -> dict[str, list[str]]:
    """Return the choices of each group; `cloud/machine` is a group within `cloud`."""
    base = (CONFIGS / "config.yaml").read_text(encoding="utf-8")
    return {
        folder.relative_to(CONFIGS).as_posix(): sorted(
            file.stem for file in folder.glob("*.yaml") if file.stem not in NO_CHOICE
        )
        for name in sorted(CHOICE.findall(base))
        for folder in sorted([CONFIGS / name, *(CONFIGS / name).glob("*/")])
    }


def is_cloud_override(override: str) -> bool:
    """Whether an override concerns the cloud: cloud=vertex_cpu, cloud/machine=…, cloud.region=…."""
    key = override.lstrip("+~").partition("=")[0]
    return key == CLOUD or key.startswith((f"{CLOUD}.", f"{CLOUD}/"))
