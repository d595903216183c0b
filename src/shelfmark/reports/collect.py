"""The runs on disk that a report draws from, as each command left them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from loguru import logger

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError, nearest
from shelfmark.reports import charts

PAGE, FIGURES = "README.md", "figures"  # of the report
METRICS, CARD, DRIFT = "metrics.json", "card.json", "drift.json"
SHOWN = ("confusion.png", "reliability.png")  # of an evaluation
TOO_MUCH = ("examples",)  # of a drift report: texts of papers stay here


@dataclass(frozen=True)
class Run:
    """One run: what it measured, and the pictures of it.

    Args:
        name: its folder's name among the report's figures.
        figures: what `metrics.json` holds; `kind`, `created`, `command` and, but for data, `model`.
        pictures: files that show these figures.
    """

    name: str
    figures: dict[str, Any]
    pictures: tuple[Path, ...] = ()

    @property
    def model(self) -> str:
        """The name of the model it is about."""
        return str(self.figures.get("model"))


@dataclass
class Runs:
    """All runs of a report, those of each kind by the time they were made.

    Args:
        evaluations: on the test split, one of each model.
        trainings: by the model's name.
        data: the splits that those models learnt from.
        drift: the newest comparison.
        robustness: one of each model.
        loads: one of each model.
    """

    evaluations: list[Run] = field(default_factory=list)
    trainings: dict[str, Run] = field(default_factory=dict)
    data: list[Run] = field(default_factory=list)
    drift: Run | None = None
    robustness: list[Run] = field(default_factory=list)
    loads: list[Run] = field(default_factory=list)

    def every(self) -> list[Run]:
        """Return all of them."""
        drift = [self.drift] if self.drift else []
        models = [*self.trainings.values(), *self.evaluations]
        return [*self.data, *models, *drift, *self.robustness, *self.loads]


def find(reports: Path, models: Path, data: Path, names: Sequence[str] = ()) -> Runs:
    """Return the newest run of each kind and model.

    Args:
        reports: folder of the runs.
        models: folder of the models, whose cards tell of their training.
        data: folder of the splits.
        names: the models to tell of; without any, all that were measured on the test split. The
            comparison with new papers is the newest, of whatever model.

    Raises:
        ShelfmarkError: there is no run, a model that was named was not measured, or a file is
            damaged.
    """
    found = [run for path in sorted(reports.glob(f"*/{METRICS}")) if (run := _run(path))]
    newest = {(run.figures["kind"], run.model): run for run in sorted(found, key=_created)}
    measured = _of_kind(newest, "evaluation")
    for name in names:
        if name not in measured:
            raise ShelfmarkError(
                f"no evaluation of {name} on the test split in {reports}{nearest(name, measured)}; "
                f"make it: inv evaluate --model {name}"
            )
    wanted = set(names) or {run.model for run in newest.values()}
    told = Runs(
        evaluations=[measured[name] for name in names or measured],
        drift=_drift(reports),
        robustness=[x for m, x in _of_kind(newest, "robustness").items() if m in wanted],
        loads=[x for m, x in _of_kind(newest, "load").items() if m in wanted],
    )
    if not told.every():
        raise ShelfmarkError(
            f"no run to report in {reports}: train a model and measure it, inv train, inv evaluate"
        )
    for run in told.evaluations:
        if (training := _training(models / run.model)) is not None:
            told.trainings[run.model] = training
    told.data = _data(data, told)
    return told


def read(path: Path) -> dict[str, Any]:
    """Return what a file of figures holds.

    Raises:
        ShelfmarkError: it cannot be read, or holds no object.
    """
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ShelfmarkError(f"{path} cannot be read: {error}; make that run again") from error
    if not isinstance(found, dict):
        raise ShelfmarkError(f"{path} holds no figures; make that run again")
    return found


def pictures_of(folder: Path, created: str | None, names: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the pictures of a run's folder, or those named, that say they show its very figures.

    Raises:
        ShelfmarkError: one is damaged.
    """
    shown = []
    for path in sorted(folder.glob("*.png")):
        if names and path.name not in names:
            continue
        if charts.mark(path) == (folder.name, created):
            shown.append(path)
        else:
            logger.warning("{} does not show the figures beside it: left out", path)
    return tuple(shown)


def _run(path: Path) -> Run | None:
    """Return the run of a file, None if a report does not tell of its kind."""
    figures = read(path)
    if "per_class" in figures:  # evaluations of before do not say what they are
        figures = {"kind": "evaluation", "created": None, "command": None, **figures}
    kind = figures.get("kind")
    if kind == "evaluation":
        if figures.get("split") != "test":
            return None
        return Run(path.parent.name, figures, pictures_of(path.parent, figures["created"], SHOWN))
    if kind in ("robustness", "load"):
        pictures = pictures_of(path.parent, figures.get("created"))
        return Run(path.parent.name, figures, pictures)
    return None


def _created(run: Run) -> str:
    return run.figures.get("created") or ""


def _of_kind(newest: dict[tuple[str, str], Run], kind: str) -> dict[str, Run]:
    """Return the runs of a kind by their models, oldest first."""
    return {model: run for (one, model), run in newest.items() if one == kind}


def _drift(reports: Path) -> Run | None:
    """Return the newest comparison, without the papers it quotes."""
    for path in sorted(reports.glob(f"drift/[0-9]*/{DRIFT}"), reverse=True):
        figures = {"kind": "drift", "command": None, "synthetic": False, **read(path)}
        words = figures.pop("words", None)  # kept beside what else the test of words says
        figures["tests"] = [one | {"words": words if one["test"] == "text" else None}
                            for one in figures["tests"]]  # fmt: skip
        return Run("drift", {k: v for k, v in figures.items() if k not in TOO_MUCH})
    return None


def _training(folder: Path) -> Run | None:
    """Return what a model's card tells of its training, None where it is gone."""
    if not (folder / CARD).is_file():
        return None
    card = read(folder / CARD)
    seconds = card.get("seconds", {})
    figures = {
        "kind": "training",
        "model": card["name"],
        "created": card.get("created"),
        "command": card.get("command"),
        "git_commit": card.get("git_commit"),
        "rounds": card.get("rounds"),
        "seconds": {**seconds, "total": sum(seconds.values())} if seconds else {},
        "validation": card.get("metrics", {}).get("validation", {}),
    }
    return Run(f"{card['name']}-training", figures)


def _data(folder: Path, told: Runs) -> list[Run]:
    """Return the cards of the splits that the models learnt from, each once."""
    cards = {files.sha256(path): path for path in sorted(folder.glob(f"*/{CARD}"))}
    learnt: dict[str, list[str]] = {}
    for run in told.evaluations:
        learnt.setdefault(run.figures.get("data_card_sha256", ""), []).append(run.model)
    found = []
    for digest, models in learnt.items():
        if (path := cards.get(digest)) is None:
            logger.warning("the splits that {} learnt from are gone", ", ".join(models))
            continue
        first = min((told.trainings[x] for x in models if x in told.trainings), key=_created,
                    default=None)  # fmt: skip
        made = {key: first.figures[key] if first else None for key in ("command", "created")}
        figures = {"kind": "data", **made, "models": models, "sha256": digest, **read(path)}
        found.append(Run(f"data-{path.parent.name}", figures))
    return found
