"""Small indexes, built from files of records with an encoder of hashed words."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from shelfmark.arxiv.papers import Paper
from shelfmark.config.load import load_index_config
from shelfmark.config.search import IndexSettings
from shelfmark.embeddings.locate import locate_encoder
from shelfmark.search.build.build import build_index
from shelfmark.search.index import Index
from tests.support import hashed_encoder
from tests.support.records import Record, created, lines, record

NOUNS = """
robot grasp depth image object hand galaxy star dust black hole gauge field string brane lattice
theorem group ring ideal module scheme sheaf prime number proof network attention token language
speech parser corpus quark boson neutrino detector muon laser plasma photon qubit gate circuit
market price risk option asset cell protein gene neuron cortex graph tree path colour flow heat
""".split()
CATEGORIES = ("cs.RO", "cs.CL", "hep-th", "math.AG", "astro-ph.GA", "quant-ph", "q-bio.NC")
OPEN: list[Index] = []
FIRST_DAY = date(2010, 1, 1)


def paper_record(number: int, **changes: Any) -> Record:
    """Return the record of a paper of random words, always the same for a number."""
    rng = random.Random(number)
    words = [*rng.sample(NOUNS, 20), f"unique{number}"]
    categories = tuple(rng.sample(CATEGORIES, rng.randint(1, 3)))
    paper = Paper(
        f"1501.{number:05d}",
        f"On {' '.join(words[:4])} {number}",
        f"We study {' '.join(words)}.",
        categories,
        FIRST_DAY + timedelta(days=number),
    )
    return record(paper, **changes)


def paper_records(numbers: Iterable[int]) -> list[Record]:
    """Return the records of papers."""
    return [paper_record(number) for number in numbers]


def newer(number: int, version: int = 2, **changes: Any) -> Record:
    """Return a later record of a paper."""
    versions = [
        {"version": f"v{n}", "created": created(FIRST_DAY + timedelta(days=number + n - 1))}
        for n in range(1, version + 1)
    ]
    return paper_record(number, versions=versions, update_date="2025-01-01", **changes)


def write_records(path: Path, records: Sequence[Any]) -> Path:
    """Write records as JSON lines, and return the path."""
    path.write_bytes(lines(list(records)))
    return path


def index_settings(folder: Path, papers: Path | None = None, *overrides: str) -> IndexSettings:
    """Return the configuration of an index in a folder, of the papers of a file."""
    source = ["data=snapshot", f"data.path={papers}"] if papers else []
    return load_index_config(
        [*source, f"paths.index={folder / 'index'}", f"paths.encoders={folder / 'encoders'}",
         *overrides]
    )  # fmt: skip


def save_encoder(folder: Path, name: str = "hashed", size: int = 64, seed: int = 1) -> Path:
    """Save an encoder of hashed words, whose family is registered, and return its folder."""
    settings = hashed_encoder.make_settings(size=size, seed=seed)
    texts = [one["abstract"] for one in paper_records(range(200))]
    return hashed_encoder.save_encoder(folder / "encoders", texts, name, settings=settings)


def build(folder: Path, records: Sequence[Any], *overrides: str) -> IndexSettings:
    """Build an index of records by the encoder `hashed`, which is saved; return its settings."""
    settings = index_settings(folder, write_records(folder / "papers.jsonl", records), *overrides)
    with locate_encoder("hashed", settings.paths.encoders) as located:
        build_index(settings, located)
    return settings


def open_index(settings: IndexSettings, before: Index | None = None) -> Index:
    """Open the index of a configuration, until `close_all`."""
    path, encoders = Path(settings.paths.index), settings.paths.encoders
    index = Index.open(path, encoders=encoders, before=before)
    OPEN.append(index)
    return index


def close_all() -> None:
    """Close the indexes that `open_index` has opened."""
    while OPEN:
        OPEN.pop().close()
