"""How long a training would take on more workers than were measured: an estimate, no measurement.

Each stage is Amdahl's law through the times of one worker and of two; what is moved grows by as
much with each worker as with the second, and goes one byte after the other through one link.
Source: Amdahl 1967, Validity of the single processor approach to achieving large scale computing
capabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST = 64  # workers up to which one looks

Times = Mapping[str, float]  # seconds of each stage, and the bytes "moved"


@dataclass(frozen=True)
class Scaling:
    """What was measured, and what bounds it.

    Args:
        one: by one worker of one thread.
        two: by two of them.
        most: how many workers a stage can use at most, where there is a limit.
        link: bytes a second of the network.
    """

    one: Times
    two: Times
    most: Mapping[str, int]
    link: float

    def seconds(self, workers: int) -> float:
        """Return the estimate for so many workers of one thread each."""
        stages = [name for name in self.one if name != "moved"]
        moved = self.one["moved"] + (workers - 1) * max(self.two["moved"] - self.one["moved"], 0)
        work = sum(self._stage(name, min(workers, self.most.get(name, workers))) for name in stages)
        return work + moved / self.link

    def pays_from(self, alone: float) -> int | None:
        """Return the fewest workers that take less than one machine alone, None if too many."""
        enough = (count for count in range(1, MOST + 1) if self.seconds(count) < alone)
        return next(enough, None)

    def _stage(self, name: str, workers: int) -> float:
        one, two = self.one[name], self.two[name]
        shared = min(max(2 * (one - two), 0), one)
        return one - shared + shared / workers
