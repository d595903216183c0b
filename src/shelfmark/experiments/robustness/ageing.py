"""How a model ages: trained on papers up to the end of a year, and tested on later years."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
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
from shelfmark.data.splits import CARD, SPLITS, Splits, SplitWriter, open_splits, outside_name
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.robustness.figures import (
    YearFigures,
    Years,
    make_sample,
    predict_papers,
    score,
)
from shelfmark.models.artifact import Model
from shelfmark.training import train

LATER = 4  # tested years after the last one of training
NEWEST = 0.1  # share of the training papers for early stopping and calibration
TRAINED, TESTED = 500, 100  # papers at least


@dataclass(frozen=True)
class Pool:
    """Papers to split by time.

    Args:
        papers: of the model's labels.
        outside: of other labels.
    """

    papers: pa.Table
    outside: pa.Table

    @classmethod
    def of(cls, splits: Splits, with_test: bool) -> Pool:
        """Return the papers of splits; those of the test split only on request."""
        names = [name for name in SPLITS if name != "test" or with_test]
        return cls(
            pa.concat_tables([splits.read(name) for name in names]),
            pa.concat_tables([splits.outside(name).read() for name in names]),
        )


def parse_years(years: str, papers: pa.Table) -> list[int]:
    """Return the years of an option such as 2013,2014, sorted and without duplicates.

    Raises:
        ShelfmarkError: a word is no year, or a year has no papers before or after its end.
    """
    span = pc.min_max(papers["submitted"]).as_py()
    first, last = span["min"].year, span["max"].year
    result = set()
    for word in years.split(","):
        if not word.strip().isdecimal():
            raise ShelfmarkError(f"--years: {word!r} is no year; give them as 2013,2014,2015")
        year = int(word)
        if not first <= year < last:
            raise ShelfmarkError(
                f"--years: {year}: the papers are of {first} to {last}, so that years from "
                f"{first} to {last - 1} have papers before and after their end"
            )
        result.add(year)
    return sorted(result)


def measure_years(
    model: Model, splits: Splits, pool: Pool, years: list[int], most: int, seed: int
) -> Years:
    """Train to the end of each year by a model's configuration, and test on later years.

    Args:
        model: gives the configuration.
        splits: of the model.
        pool: the papers to split by time.
        years: the last year of each training.
        most: the largest number of tested papers of a year.
        seed: of the tested sample.
    """
    result: Years = {"years": {}, "years_trained": {}, "years_left_out": {}}
    for year in years:
        parts = split_by_year(pool.papers, year)
        if why := reason_to_skip(parts, year):
            logger.warning("years: {} is left out: {}", year, why)
            result["years_left_out"][str(year)] = why
            continue
        logger.info(
            "years: training on {:,} papers to the end of {}", parts["train"].num_rows, year
        )
        earlier = train_until(model, splits, parts, pool.outside, year)
        tables = sample_later_years(parts["test"], year, most, seed)
        result["years"][str(year)] = _test_on_years(earlier, tables)
        result["years_trained"][str(year)] = parts["train"].num_rows
    return result


def _test_on_years(model: Model, tables: dict[int, pa.Table]) -> dict[str, YearFigures]:
    rows: dict[str, YearFigures] = {}
    with console.progress("answering", sum(x.num_rows for x in tables.values())) as bar:
        for year, table in tables.items():
            sample = make_sample(model, table)
            figures = score(sample, predict_papers(model, sample, sample.papers, bar))
            rows[str(year)] = {**figures, "papers": table.num_rows}
    return rows


def split_by_year(papers: pa.Table, year: int) -> dict[str, pa.Table]:
    """Split papers by time: test after the year, validation the newest tenth before its end."""
    end = date(year + 1, 1, 1)
    days = papers["submitted"]
    before, after = papers.filter(pc.less(days, end)), papers.filter(pc.greater_equal(days, end))
    cut = _cut(before) if before.num_rows else end
    submitted = before["submitted"]
    return {
        "train": before.filter(pc.less(submitted, cut)),
        "validation": before.filter(pc.greater_equal(submitted, cut)),
        "test": after,
    }


def _cut(papers: pa.Table) -> date:
    days: list[date] = sorted(papers["submitted"].to_pylist())
    return days[int(len(days) * (1 - NEWEST))]


def reason_to_skip(parts: dict[str, pa.Table], year: int) -> str | None:
    """Return the reason that a year cannot be measured, None if it can."""
    count = parts["train"].num_rows
    if count < TRAINED:
        return f"{count:,} papers to train on, {TRAINED:,} are needed"
    if len(pc.unique(parts["train"]["label"])) < 2:
        return "its papers have a single label"
    if not sample_later_years(parts["test"], year, 1, 0):
        return f"none of the {LATER} years after has {TESTED:,} papers"
    return None


def sample_later_years(papers: pa.Table, year: int, most: int, seed: int) -> dict[int, pa.Table]:
    """Return a random sample of the papers of each of the four later years.

    Years with too few papers are left out.
    """
    numbers = pc.year(papers["submitted"]).to_numpy()
    samples = {}
    for then in sorted(set(numbers.tolist())):
        rows = np.flatnonzero(numbers == then)
        if len(rows) >= TESTED and then <= year + LATER:
            rows = np.random.default_rng([seed, then]).permutation(rows)[:most]
            samples[then] = papers.take(np.sort(rows))
    return samples


def train_until(
    old: Model, splits: Splits, parts: dict[str, pa.Table], outside: pa.Table, year: int
) -> Model:
    """Train on the parts by a model's configuration; nothing stays on disk.

    Args:
        old: gives the configuration.
        splits: of the model.
        parts: the papers of each split.
        outside: papers of other labels, of any time.
        year: the last one of the training.

    Raises:
        ShelfmarkError: the papers do not allow it, or the disk.
    """
    values: dict[str, Any] = orjson.loads(orjson.dumps(old.card.config))
    cuts = {"validation": _first(parts["validation"]), "test": f"{year + 1}-01-01"}
    values["data"] |= {"split": "time", "cuts": cuts}
    settings = validate_config(Config, values)
    with (
        tempfile.TemporaryDirectory() as name,
        files.report_write_errors(Path(name)),
        checkpoint.temporary_checkpoint() as stages,
    ):
        new = _write_splits(splits, parts, _split_alike(outside, parts), Path(name))
        title = f"{old.version}-to-{year}"
        model, _ = train.fit_and_measure(settings, title, title, new, lambda *_: None, stages)
    return model


def _first(papers: pa.Table) -> str:
    first: date = pc.min(papers["submitted"]).as_py()
    return first.isoformat()


def _split_alike(papers: pa.Table, parts: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Split papers where the parts of others begin."""
    cuts = [pc.min(parts[name]["submitted"]) for name in ("validation", "test")]
    after = [pc.greater_equal(papers["submitted"], cut) for cut in cuts]
    masks = (pc.invert(after[0]), pc.and_not(after[0], after[1]), after[1])
    return {name: papers.filter(mask) for name, mask in zip(SPLITS, masks, strict=True)}


def _write_splits(
    splits: Splits, parts: dict[str, pa.Table], outside: dict[str, pa.Table], folder: Path
) -> Splits:
    """Write the parts as new splits."""
    for split in SPLITS:
        for name, papers in ((f"{split}.parquet", parts), (outside_name(split), outside)):
            with SplitWriter(folder / name) as writer:
                writer.add(papers[split])
    counts, beside = (
        {split: tables[split].num_rows for split in SPLITS} for tables in (parts, outside)
    )
    card = splits.card | {"splits": counts, "outside": beside}
    (folder / CARD).write_bytes(orjson.dumps(card))
    return open_splits(folder)
