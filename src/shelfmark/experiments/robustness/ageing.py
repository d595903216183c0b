"""How a model ages: trained on papers up to a year's end, tested on those of the years after."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from loguru import logger

from shelfmark.config.load import validate_config
from shelfmark.config.schema import Config
from shelfmark.core import checkpoint, console, files
from shelfmark.data.splits import CARD, SPLITS, Splits, SplitWriter, open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.robustness.figures import answer, figures, sample_of
from shelfmark.models.artifact import Model
from shelfmark.training import train

LATER = 4  # years after
NEWEST = 0.1  # share of the papers before the cut that stop and calibrate
TRAINED, TESTED = 500, 100  # papers that it takes at least


def pool(splits: Splits, with_test: bool) -> pa.Table:
    """Return the papers to divide anew; those of the test split only when they are asked for."""
    names = [name for name in SPLITS if name != "test" or with_test]
    return pa.concat_tables([splits.read(name) for name in names])


def wanted(years: str, papers: pa.Table) -> list[int]:
    """Return the years of an option such as 2013,2014, each once, rising.

    Raises:
        ShelfmarkError: one is no year, or has no paper before its end or none after.
    """
    span = pc.min_max(papers["submitted"]).as_py()
    first, last = span["min"].year, span["max"].year
    found = set()
    for word in years.split(","):
        if not word.strip().isdecimal():
            raise ShelfmarkError(f"--years: {word!r} is no year; give them as 2013,2014,2015")
        year = int(word)
        if not first <= year < last:
            raise ShelfmarkError(
                f"--years: {year}: the papers are of {first} to {last}, so that years from "
                f"{first} to {last - 1} have papers before and after their end"
            )
        found.add(year)
    return sorted(found)


def over_years(
    model: Model, splits: Splits, pool: pa.Table, years: list[int], most: int, seed: int
) -> dict[str, Any]:
    """Train to the end of each year by a model's own configuration, and test on later ones.

    Args:
        model: whose configuration it is.
        splits: its data.
        pool: the papers to divide anew.
        years: the last year of each training.
        most: papers of a year that are tested on, at most.
        seed: settles which.

    Returns:
        years, for each trained year the figures of each tested one; years_trained, how many papers
        each model was fitted on; years_left_out, why one is missing.
    """
    found: dict[str, Any] = {"years": {}, "years_trained": {}, "years_left_out": {}}
    for year in years:
        parts = divided(pool, year)
        if why := lacking(parts, year):
            logger.warning("years: {} is left out: {}", year, why)
            found["years_left_out"][str(year)] = why
            continue
        logger.info(
            "years: training on {:,} papers to the end of {}", parts["train"].num_rows, year
        )
        made = trained(model, splits, parts, year)
        tables = later(parts["test"], year, most, seed)
        with console.progress("answering", sum(x.num_rows for x in tables.values())) as bar:
            rows = {}
            for then, table in tables.items():
                sample = sample_of(made, table)
                told = figures(sample, answer(made, sample, sample.papers, bar))
                rows[str(then)] = {**told, "papers": table.num_rows}
        found["years"][str(year)] = rows
        found["years_trained"][str(year)] = parts["train"].num_rows
    return found


def divided(papers: pa.Table, year: int) -> dict[str, pa.Table]:
    """Divide papers by time: test after the year, validation the newest tenth before its end."""
    end = date(year + 1, 1, 1)
    days = papers["submitted"]
    before, after = papers.filter(pc.less(days, end)), papers.filter(pc.greater_equal(days, end))
    cut = _cut(before) if before.num_rows else end
    known = before["submitted"]
    return {
        "train": before.filter(pc.less(known, cut)),
        "validation": before.filter(pc.greater_equal(known, cut)),
        "test": after,
    }


def _cut(papers: pa.Table) -> date:
    days: list[date] = sorted(papers["submitted"].to_pylist())
    return days[int(len(days) * (1 - NEWEST))]


def lacking(parts: dict[str, pa.Table], year: int) -> str | None:
    """Return why such parts of a year tell nothing, None if they do."""
    count = parts["train"].num_rows
    if count < TRAINED:
        return f"{count:,} papers to train on, {TRAINED:,} are needed"
    if len(pc.unique(parts["train"]["label"])) < 2:
        return "its papers have one label alone"
    if not later(parts["test"], year, 1, 0):
        return f"none of the {LATER} years after has {TESTED:,} papers"
    return None


def later(papers: pa.Table, year: int, most: int, seed: int) -> dict[int, pa.Table]:
    """Return the papers of each of the four years after, at most so many, drawn by chance.

    Years with too few are left out.
    """
    numbers = pc.year(papers["submitted"]).to_numpy()
    found = {}
    for then in sorted(set(numbers.tolist())):
        rows = np.flatnonzero(numbers == then)
        if len(rows) >= TESTED and then <= year + LATER:
            rows = np.random.default_rng([seed, then]).permutation(rows)[:most]
            found[then] = papers.take(np.sort(rows))
    return found


def trained(old: Model, splits: Splits, parts: dict[str, pa.Table], year: int) -> Model:
    """Train on the parts by a model's own configuration; nothing of it stays on disk.

    Raises:
        ShelfmarkError: the papers do not allow it, or the disk.
    """
    values: dict[str, Any] = orjson.loads(orjson.dumps(old.card["config"]))
    cuts = {"validation": _first(parts["validation"]), "test": f"{year + 1}-01-01"}
    values["data"] |= {"split": "time", "cuts": cuts}
    settings = validate_config(Config, values)
    with (
        tempfile.TemporaryDirectory() as name,
        files.report_write_errors(Path(name)),
        checkpoint.temporary_checkpoint() as stages,
    ):
        own = _written(splits, parts, Path(name))
        title = f"{old.version}-to-{year}"
        made, _ = train.fit_and_measure(settings, title, title, own, lambda *_: None, stages)
    return made


def _first(papers: pa.Table) -> str:
    first: date = pc.min(papers["submitted"]).as_py()
    return first.isoformat()


def _written(splits: Splits, parts: dict[str, pa.Table], folder: Path) -> Splits:
    """Write the parts as splits of their own."""
    for split in SPLITS:
        with SplitWriter(folder / f"{split}.parquet") as writer:
            writer.add(parts[split])
    counts = {split: parts[split].num_rows for split in SPLITS}
    (folder / CARD).write_bytes(orjson.dumps(splits.card | {"splits": counts}))
    return open_splits(folder)
