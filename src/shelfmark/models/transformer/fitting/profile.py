"""A profile of some steps of a training: a trace for Chrome, and a table of operators."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule
from transformers import TrainerCallback

WAIT, WARM_UP, STEPS = 2, 2, 6  # steps: not profiled, profiled and dropped, and kept
ROWS = 20  # of the table
TRACE, PAGE = "trace.json.gz", "README.md"


class StepProfiler(TrainerCallback):  # type: ignore[misc]
    """Profiles some of the first steps of a training."""

    def __init__(self) -> None:
        activities = [ProfilerActivity.CPU]
        self._sort = "self_cpu_time_total"
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
            self._sort = "self_cuda_time_total"
        self._profile = profile(
            activities=activities,
            schedule=schedule(wait=WAIT, warmup=WARM_UP, active=STEPS, repeat=1),
            record_shapes=True,
        )

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start."""
        self._profile.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count a step."""
        self._profile.step()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop."""
        self._profile.stop()

    def files(self) -> dict[str, bytes]:
        """Return the files of the profile: the trace, packed, and a page with the table."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trace.json")
            self._profile.export_chrome_trace(str(path))
            trace = gzip.compress(path.read_bytes(), mtime=0)
        table = self._profile.key_averages().table(sort_by=self._sort, row_limit=ROWS)
        page = (
            f"# Profile of {STEPS} steps of the training\n\n"
            f"`{TRACE}` opens in Perfetto and in Chrome (chrome://tracing). The operators that "
            f"take longest:\n\n```text\n{table.strip()}\n```\n"
        )
        return {TRACE: trace, PAGE: page.encode()}
