"""Whether the service answers papers as `shelfmark predict` does."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.benchmarks.child import run_child
from shelfmark.experiments.benchmarks.client import Client
from shelfmark.experiments.benchmarks.serve import papers
from shelfmark.experiments.benchmarks.serve.papers import Body

TOLERANCE = 1e-6  # of a probability, which has six digits
DIGITS = 9  # of a difference, so that the last of the six may differ by one


def count_differences(
    url: str, models: str, model: str, asked: Sequence[Body], lists: Sequence[Body]
) -> int:
    """Return how many papers the service answers in lists otherwise than the command.

    Args:
        url: of the service.
        models: folder of the models.
        model: name of the model.
        asked: the papers.
        lists: the same papers as bodies of requests.

    Raises:
        ShelfmarkError: the command fails, the service refuses a list, or an answer is missing.
    """
    with contextlib.closing(Client(url)) as client:
        answers = [client.ask("/predict", orjson.dumps(body)) for body in lists]
    served = [one for answer in answers for one in answer["predictions"]]
    predicted = _predict(models, model, asked)
    if not len(served) == len(predicted) == len(asked):
        raise ShelfmarkError(
            f"{len(asked):,} papers: the service answers {len(served):,}, "
            f"inv predict {len(predicted):,}"
        )
    return sum(not is_equal(*pair) for pair in zip(served, predicted, strict=True))


def _predict(models: str, model: str, asked: Sequence[Body]) -> list[Body]:
    """Return the answers of the command."""
    with tempfile.TemporaryDirectory() as folder:
        file = papers.write(asked, Path(folder, "papers.jsonl"))
        answers = Path(folder, "answers.jsonl")
        run_child([sys.executable, "-m", "shelfmark.cli", "predict", "--file", str(file), "--out",
                   str(answers), "--models", models, "--model", model])  # fmt: skip
        return [orjson.loads(line) for line in answers.read_bytes().splitlines()]


def is_equal(served: Body, predicted: Body) -> bool:
    """Whether two answers to a paper are equal, but for what stands beside the answer.

    Args:
        served: of the service, with the name of the model.
        predicted: of the command, with the line and the identifier of the paper.
    """
    answers = [
        {name: value for name, value in one.items() if name not in ("model", "line", "id")}
        for one in (served, predicted)
    ]
    return _are_close(*answers)


def _are_close(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal, floats within the tolerance."""
    if isinstance(one, float) and isinstance(other, float):
        return round(abs(one - other), DIGITS) <= TOLERANCE
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_close, one, other))
    return bool(one == other)
