"""The runs on disk that a report shows, their figures and their pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from loguru import logger
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from shelfmark.core import files
from shelfmark.errors import ShelfmarkError, nearest

PAGE, FIGURES = "README.md", "figures"  # of the report
METRICS, CARD, DRIFT = "metrics.json", "card.json", "drift.json"
EVALUATION_PICTURES = (
    "confusion.png", "reliability.png", "coverage.png", "promises.png", "strangers.png",
    "suggestions.png",
)  # fmt: skip
ENCODERS, ENCODER_PICTURES = "encoders", ("quality.png",)  # the folder and the kind of their runs
PRIVATE_KEYS = ("examples",)  # of a drift report: the texts of papers are not published
# The keywords of a PNG under which a chart names its run and the time of its figures.
RUN_KEYWORD, CREATED_KEYWORD = "Source", "Creation Time"
COLOURS = 64  # enough for charts, at a quarter of the bytes


@dataclass(frozen=True)
class Run:
    """One run: its figures and its pictures.

    Args:
        name: of its folder among the figures of the report.
        figures: the content of `metrics.json`; it has `kind`, `created`, `command` and, except for
            data, `model`.
        pictures: files of charts that show these figures.
    """

    name: str
    figures: dict[str, Any]
    pictures: tuple[Path, ...] = ()

    @property
    def model(self) -> str:
        """The name of its model."""
        return str(self.figures.get("model"))

    @property
    def command(self) -> str | None:
        """The command that made it, if it was recorded."""
        return self.figures.get("command")

    @property
    def created(self) -> str | None:
        """The time of its figures in ISO 8601, if it was recorded."""
        return self.figures.get("created")

    @property
    def synthetic(self) -> bool:
        """Whether its papers are synthetic."""
        return bool(self.figures.get("synthetic"))


@dataclass
class Runs:
    """All runs of a report, those of each kind in the order of their creation.

    Args:
        evaluations: on the test split, one of each model.
        trainings: by the model's name.
        data: the splits that those models were trained on.
        drift: the newest comparison with new papers.
        robustness: one of each model.
        loads: one of each model.
        encoders: evaluations of encoders on the test split, one of each first encoder.
    """

    evaluations: list[Run] = field(default_factory=list)
    trainings: dict[str, Run] = field(default_factory=dict)
    data: list[Run] = field(default_factory=list)
    drift: Run | None = None
    robustness: list[Run] = field(default_factory=list)
    loads: list[Run] = field(default_factory=list)
    encoders: list[Run] = field(default_factory=list)

    def all_runs(self) -> list[Run]:
        """Return the runs of every kind."""
        drift = [self.drift] if self.drift else []
        models = [*self.trainings.values(), *self.evaluations]
        measured = [*self.robustness, *self.loads, *self.encoders]
        return [*self.data, *models, *drift, *measured]


def find_runs(
    reports: Path,
    models: Path,
    data: Path,
    names: Sequence[str] = (),
    published: Runs | None = None,
) -> Runs:
    """Return the newest run of each kind and model.

    Args:
        reports: folder of the runs.
        models: folder of the models, whose cards describe their training.
        data: folder of the splits.
        names: the models to report; by default all that were evaluated on the test split. The
            comparison with new papers is the newest one, whatever its model, and encoders are
            reported in any case.
        published: the runs of the last report, which stand for those that are not on disk.

    Raises:
        ShelfmarkError: there is no run, a named model was not evaluated, or a file is damaged.
    """
    published = published or Runs()
    newest = _find_newest(reports, published)
    evaluated = _select_kind(newest, "evaluation")
    for name in names:
        if name not in evaluated:
            raise ShelfmarkError(
                f"no evaluation of {name} on the test split in {reports}"
                f"{nearest(name, evaluated)}; evaluate it: shelfmark evaluate --model {name}"
            )
    wanted = set(names) or {run.model for run in newest.values()}
    runs = Runs(
        evaluations=[evaluated[name] for name in names or evaluated],
        drift=_find_drift(reports) or published.drift,
        robustness=[
            run for model, run in _select_kind(newest, "robustness").items() if model in wanted
        ],
        loads=[run for model, run in _select_kind(newest, "load").items() if model in wanted],
        encoders=_find_encoders(reports, published),
    )
    if not runs.all_runs():
        raise ShelfmarkError(
            f"no run to report in {reports}: train and evaluate a model, "
            "shelfmark train, shelfmark evaluate"
        )
    runs.trainings = _find_trainings(models, runs.evaluations, published)
    runs.data = _find_data(data, runs, published)
    return runs


def _find_newest(reports: Path, published: Runs) -> dict[tuple[str, str], Run]:
    """Return the newest run of each kind and model, oldest first, those on disk before others."""
    paths = sorted(reports.glob(f"*/{METRICS}"))
    recorded = [run for path in paths if (run := _read_run(path))]
    newest = {(run.figures["kind"], run.model): run for run in sorted(recorded, key=_creation_time)}
    for run in (*published.evaluations, *published.robustness, *published.loads):
        newest.setdefault((run.figures["kind"], run.model), run)
    return dict(sorted(newest.items(), key=lambda item: _creation_time(item[1])))


def _find_encoders(reports: Path, published: Runs) -> list[Run]:
    """Return the evaluations of encoders on the test split, those on disk before others."""
    found = {run.name: run for run in published.encoders}
    for path in sorted(reports.glob(f"{ENCODERS}/*/{METRICS}")):
        figures = read_figures(path)
        if figures.get("kind") == ENCODERS and figures.get("split") == "test":
            pictures = find_pictures(path.parent, figures.get("created"), ENCODER_PICTURES)
            run = Run(f"{path.parent.name}-{ENCODERS}", figures, pictures)
            found[run.name] = run
    return sorted(found.values(), key=_creation_time)


def find_origin(reports: Path, run: Run) -> Path:
    """Return the figures that a run of a report was made from, which a clone does not have."""
    if run.figures.get("kind") == ENCODERS:
        return reports / ENCODERS / run.name.removesuffix(f"-{ENCODERS}") / METRICS
    return reports / run.name / ("latest/" + DRIFT if run.name == "drift" else METRICS)


def _find_trainings(models: Path, evaluations: Sequence[Run], published: Runs) -> dict[str, Run]:
    """Return the training of each evaluated model, that of the last report if it has no folder."""
    trainings = {}
    for run in evaluations:
        training = _read_training(models / run.model)
        if training is None and run in published.evaluations:
            training = published.trainings.get(run.model)
        if training is not None:
            trainings[run.model] = training
    return trainings


def find_unshown(reports: Path, runs: Runs, published: Runs) -> list[Run]:
    """Return the runs of the last report that a new one does not show, and that are not on disk.

    Args:
        reports: folder of the runs.
        runs: those of the new report.
        published: those of the last one.
    """
    shown = {run.name for run in runs.all_runs()}
    measured = [*published.evaluations, *published.robustness, *published.loads]
    away = [run for run in measured if not find_origin(reports, run).exists()]
    models = {run.model for run in away}
    trainings = [run for model, run in published.trainings.items() if model in models]
    splits = [run for run in published.data if models & set(run.figures.get("models", []))]
    return [run for run in (*away, *trainings, *splits) if run.name not in shown]


def read_page(reports: Path) -> str:
    """Return the page of a report in Markdown.

    Raises:
        ShelfmarkError: there is no report.
    """
    try:
        return files.read_bytes(reports / PAGE).decode()
    except OSError as error:
        raise ShelfmarkError(f"no report in {reports}: write it with shelfmark report") from error


def read_published_runs(reports: Path, models: Sequence[str]) -> Runs:
    """Return the runs that a written report shows, from its own figures.

    Args:
        reports: folder of the report.
        models: those of the report, in its order; all of them if empty.

    Raises:
        ShelfmarkError: a file is damaged.
    """
    kinds: dict[str, list[Run]] = {}
    for path in sorted((reports / FIGURES).glob(f"*/{METRICS}")):
        pictures = tuple(sorted(path.parent.glob("*.png")))
        run = Run(path.parent.name, read_figures(path), pictures)
        if _is_of(run, models):
            kinds.setdefault(run.figures["kind"], []).append(run)
    order = {model: number for number, model in enumerate(models)}
    for runs in kinds.values():
        runs.sort(key=lambda run: order.get(run.figures.get("models", [run.model])[0], len(order)))
    return Runs(
        evaluations=kinds.get("evaluation", []),
        trainings={run.model: run for run in kinds.get("training", [])},
        data=kinds.get("data", []),
        drift=next(iter(kinds.get("drift", [])), None),
        robustness=kinds.get("robustness", []),
        loads=kinds.get("load", []),
        encoders=sorted(kinds.get(ENCODERS, []), key=_creation_time),
    )


def _is_of(run: Run, models: Sequence[str]) -> bool:
    """Whether a published run is of one of these models, or of any model if none is named."""
    if not models or run.figures["kind"] in ("drift", ENCODERS):
        return True
    return not set(models).isdisjoint(run.figures.get("models", [run.model]))


def read_figures(path: Path) -> dict[str, Any]:
    """Return the content of a file of figures.

    Raises:
        ShelfmarkError: the file cannot be read, or is not a JSON object.
    """
    try:
        figures = orjson.loads(files.read_bytes(path))
    except (OSError, orjson.JSONDecodeError) as error:
        raise ShelfmarkError(f"{path} cannot be read: {error}; repeat that run") from error
    if not isinstance(figures, dict):
        raise ShelfmarkError(f"{path} has no figures; repeat that run")
    return figures


def find_pictures(folder: Path, created: str | None, names: Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the pictures of a run's folder, or those named, that are marked with its figures.

    Raises:
        ShelfmarkError: a picture is damaged.
    """
    shown = []
    for path in sorted(folder.glob("*.png")):
        if names and path.name not in names:
            continue
        if read_picture_source(path) == (folder.name, created):
            shown.append(path)
        else:
            logger.warning("{} does not show the figures beside it: left out", path)
    return tuple(shown)


def _read_run(path: Path) -> Run | None:
    """Return the run of a file, or None if its kind is not part of a report."""
    figures = read_figures(path)
    if "per_class" in figures:  # older evaluations do not name their kind
        figures = {"kind": "evaluation", "created": None, "command": None, **figures}
    kind = figures.get("kind")
    if kind == "evaluation":
        if figures.get("split") != "test":
            return None
        pictures = find_pictures(path.parent, figures["created"], EVALUATION_PICTURES)
        return Run(path.parent.name, figures, pictures)
    if kind in ("robustness", "load"):
        pictures = find_pictures(path.parent, figures.get("created"))
        return Run(path.parent.name, figures, pictures)
    return None


def _creation_time(run: Run) -> str:
    return run.figures.get("created") or ""


def _select_kind(newest: dict[tuple[str, str], Run], kind: str) -> dict[str, Run]:
    """Return the runs of a kind by their models, oldest first."""
    return {model: run for (one, model), run in newest.items() if one == kind}


def _find_drift(reports: Path) -> Run | None:
    """Return the newest comparison, without the papers that it quotes."""
    for path in sorted(reports.glob(f"drift/[0-9]*/{DRIFT}"), reverse=True):
        figures = {"kind": "drift", "command": None, "synthetic": False, **read_figures(path)}
        words = figures.pop("words", None)  # they belong to the test of the words
        figures["tests"] = [one | {"words": words if one["test"] == "text" else None}
                            for one in figures["tests"]]  # fmt: skip
        return Run("drift", {k: v for k, v in figures.items() if k not in PRIVATE_KEYS})
    return None


def _read_training(folder: Path) -> Run | None:
    """Return the training that a model's card records, or None if the model is gone."""
    if not (folder / CARD).is_file():
        return None
    card = read_figures(folder / CARD)
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


def _find_data(folder: Path, runs: Runs, published: Runs) -> list[Run]:
    """Return the cards of the splits that the models were trained on, each once."""
    cards = {files.sha256(path): path for path in sorted(folder.glob(f"*/{CARD}"))}
    trained: dict[str, list[str]] = {}
    for run in runs.evaluations:
        trained.setdefault(run.figures.get("data_card_sha256", ""), []).append(run.model)
    last = {run.figures.get("sha256"): run for run in published.data}
    splits = []
    for digest, models in trained.items():
        if (path := cards.get(digest)) is None and digest in last:
            run = last[digest]
            splits.append(replace(run, figures={**run.figures, "models": models}))
            continue
        if path is None:
            logger.warning("the splits that {} was trained on are gone", ", ".join(models))
            continue
        first = min((runs.trainings[x] for x in models if x in runs.trainings), key=_creation_time,
                    default=None)  # fmt: skip
        origin = {key: first.figures[key] if first else None for key in ("command", "created")}
        figures = {"kind": "data", **origin, "models": models, "sha256": digest,
                   **read_figures(path)}  # fmt: skip
        splits.append(Run(f"data-{path.parent.name}", figures))
    return splits


class PictureSource(NamedTuple):
    """The run that a chart names in its PNG, and the time of its figures; None where missing."""

    run: str | None
    created: str | None


def read_picture_source(path: Path) -> PictureSource:
    """Return the run that a chart shows.

    Raises:
        ShelfmarkError: the file is not a readable picture.
    """
    with _open_picture(path) as image:
        return PictureSource(image.info.get(RUN_KEYWORD), image.info.get(CREATED_KEYWORD))


def shrink_picture(path: Path, run: str, created: str) -> bytes:
    """Return a chart with fewer colours, marked with the run that it shows, as a PNG.

    Raises:
        ShelfmarkError: the file is not a readable picture.
    """
    with _open_picture(path) as image:
        info = PngImagePlugin.PngInfo()
        info.add_text(RUN_KEYWORD, run)
        info.add_text(CREATED_KEYWORD, created)
        reduced = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    content = io.BytesIO()
    reduced.save(content, "PNG", optimize=True, pnginfo=info)
    return content.getvalue()


def _open_picture(path: Path) -> Image.Image:
    try:
        with files.open_regular(path) as file:
            image = Image.open(file)
            image.load()
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ShelfmarkError(f"{path} is not a readable picture: {error}") from error
    return image
