"""What a network is fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from shelfmark.config.models import NetworkConfig
from shelfmark.core.arrays import Floats
from shelfmark.models.transformer.fitting.papers import LabelledPapers


@dataclass(frozen=True)
class NetworkTask:
    """What a network is fitted on.

    Args:
        config: of the network.
        section: of the configuration, for errors, as `model`.
        seed: of the draws.
        classes: number of classes.
        train: papers to learn from.
        stopping: papers that stop the training.
        threads: of the machine, None for one a core.
        profile: whether some steps are profiled.
        vectors: the mean rows of both, where the encoder is frozen and they are known already.
        level: of the log lines.
    """

    config: NetworkConfig
    section: str
    seed: int
    classes: int
    train: LabelledPapers
    stopping: LabelledPapers
    threads: int | None
    profile: bool = False
    vectors: tuple[Floats, Floats] | None = None
    level: str = "INFO"
