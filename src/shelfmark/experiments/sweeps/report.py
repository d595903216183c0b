"""What a sweep found: a table of its best trials, and the best as an experiment to commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from shelfmark.config import groups
from shelfmark.core import console, files
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps.spec import SECTIONS, Values
from shelfmark.experiments.sweeps.trial import LOSS, Outcome, Plan

SHOWN = 10
FIGURES = {LOSS: "loss", "log_loss": "log loss", "accuracy": "accuracy", "macro_f1": "macro F1"}


def best_first(plan: Plan, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the trials that were completed, the best first."""
    metric = plan.sweep.metric
    complete = [outcome for outcome in outcomes if outcome.state == "complete"]
    return sorted(complete, key=lambda x: x.figures[metric.name], reverse=metric.goal == "maximize")


def show(plan: Plan, outcomes: list[Outcome]) -> None:
    """Print a table of the best trials, and how many were given up or failed."""
    metric, ranked = plan.sweep.metric.name, best_first(plan, outcomes)
    given_up = sum(outcome.state == "pruned" for outcome in outcomes)
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    counts = f"{len(ranked)} trials completed, {given_up} given up, {failed} failed"
    table = Table(title=f"{plan.name}: {counts}", title_justify="left")
    figures = FIGURES if metric in FIGURES else {metric: metric, **FIGURES}
    drawn = [k for k, x in plan.sweep.parameters.items() if x.distribution != "constant"]
    for name in ("trial", *figures.values(), "rounds", *map(_short, drawn)):
        table.add_column(name, justify="right")
    for outcome in ranked[:SHOWN]:
        table.add_row(
            str(outcome.number),
            *(_number(outcome.figures.get(key)) for key in figures),
            str(outcome.figures["rounds"]),
            *(_number(outcome.values.get(key)) for key in drawn),
        )
    console.STDOUT.print(table)


def _short(key: str) -> str:
    return key.rpartition(".")[2]


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def experiment(plan: Plan, best: Outcome) -> str:
    """Return a trial as the yaml of an experiment.

    It holds the parameters of the sweep, and what the command line says of seed, features, model
    and predict; the papers stay those of the command line.
    """
    from omegaconf import OmegaConf

    settings = plan.settings(best.values).model_dump(mode="json")
    chosen = {k: v for k, _, v in (x.partition("=") for x in plan.overrides) if k in _groups()}
    chosen |= {k: str(v) for k, v in best.values.items() if k in _groups()}
    keys = [override.lstrip("+~").partition("=")[0] for override in plan.overrides]
    nested: Values = {}
    for key in dict.fromkeys([*keys, *best.values]):
        if key.partition(".")[0] in SECTIONS and key not in (*_groups(), "model.n_jobs"):
            _put(nested, key.split("."), _at(settings, key))
    defaults = [chosen["experiment"]] if chosen.get("experiment", "null") != "null" else []
    lines = ["# @package _global_", f"# {_told(plan, best)}"]
    if others := [f"override /model: {chosen['model']}"] if "model" in chosen else []:
        defaults = [*defaults, *others]
    if defaults:
        lines += ["defaults:", *(f"  - {default}" for default in defaults), ""]
    return "\n".join([*lines, OmegaConf.to_yaml(OmegaConf.create(nested))])


def _told(plan: Plan, best: Outcome) -> str:
    """Say where a configuration comes from and how good it was."""
    named = {"validation": "loss of a round", **{k: v for k, v in FIGURES.items() if k != LOSS}}
    figures = [
        f"{name} {best.figures[key]:.4f}"
        for key, name in named.items()
        if best.figures.get(key) is not None
    ]
    papers = [x for x in plan.overrides if x.startswith("data")]
    on = f" on {' '.join(papers)}" if papers else ""
    return f"Trial {best.number} of the sweep {plan.name}{on}: on validation {', '.join(figures)}."


def _groups() -> set[str]:
    return set(groups.list_groups())


def _at(settings: Values, key: str) -> Any:
    found: Any = settings
    for part in key.split("."):
        found = found[part]
    return found


def _put(nested: Values, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        nested = nested.setdefault(part, {})
    nested[parts[-1]] = value


def write(plan: Plan, outcomes: list[Outcome], target: Path) -> str:
    """Write the best trial as an experiment, and return its text.

    Raises:
        ShelfmarkError: no trial was completed, or the disk does not take the file.
    """
    ranked = best_first(plan, outcomes)
    if not ranked:
        raise ShelfmarkError(f"sweep {plan.name}: no trial was completed")
    text = experiment(plan, ranked[0])
    with files.atomic_write(target) as file:
        file.write(text.encode())
    return text
