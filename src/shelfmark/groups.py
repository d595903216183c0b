"""The groups of the configuration: the folders of `configs/` that config.yaml chooses from.

Other folders there, of sweeps or of a cloud, are read by others and never by Hydra.
"""

from __future__ import annotations

import re
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"
CHOICE = re.compile(r"^  - (\w+): \w+$", re.MULTILINE)  # a line of the defaults: `- data: sample`


def groups(configs: Path = CONFIGS) -> dict[str, list[str]]:
    """Return the choices of each group, for help texts and hints."""
    base = (configs / "config.yaml").read_text(encoding="utf-8")
    return {
        name: sorted(file.stem for file in (configs / name).glob("*.yaml"))
        for name in sorted(CHOICE.findall(base))
    }
