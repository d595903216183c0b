"""N-grams and rows stay on the workers of a cluster, whatever their number and memory."""

from __future__ import annotations

import os
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pyarrow as pa
import pytest
import scipy.sparse as sp

from shelfmark.config.load import load_config
from shelfmark.core.arrays import SmallInts
from shelfmark.core.checkpoint import Checkpoint, temporary_checkpoint
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted.dask import workers
from shelfmark.models.boosted.dask.engine import DaskEngine, open_engine
from shelfmark.models.boosted.dask.rows import ClusterRows
from shelfmark.models.boosted.features import FastFeatureUnion
from shelfmark.models.boosted.fitting.engine import FitTask
from shelfmark.models.boosted.fitting.rows import (
    PaperLabels,
    PartRows,
    TrainingRows,
    gather_rows,
)
from shelfmark.models.boosted.scorers import Bayes, Svm
from shelfmark.tfidf.corpus.fields import Field
from shelfmark.tfidf.corpus.learn import learn_vocabulary
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer
from tests.support.moments import FOREVER, until

pytestmark = pytest.mark.filterwarnings(
    # What Dask and its event loop leave to the garbage collector, most of all of a killed worker.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

CLASSES = 3
GROUPS = (30, 30, 30, 30, 30, 11)
LIMIT = 500_000_000  # bytes of a worker, which takes half of it before it works
# Rows of 640 MB: more than a worker may use.
MANY = (125,) * 64
WIDE = 10_000  # stored features of a paper


@dataclass(frozen=True)
class Part:
    """A part of a corpus in memory."""

    texts: list[str]
    classes: SmallInts

    def read(self) -> tuple[list[str], SmallInts]:
        return self.texts, self.classes


@dataclass(frozen=True)
class Papers:
    """Papers in groups, which counts how often each group is read."""

    groups: tuple[int, ...]
    reads: list[int] = field(default_factory=list)

    def read(self, columns: list[str] | None = None) -> pa.Table:
        return pa.concat_tables(self.read_group(number) for number in range(len(self.groups)))

    def read_group(self, number: int, columns: list[str] | None = None) -> pa.Table:
        self.reads.append(number)
        return pa.table({"text": texts(number, self.groups[number])})


@dataclass(frozen=True)
class WideFields:
    """Fields that give each text many features, in a moment."""

    terms: int = 4 * WIDE

    def transform(self, texts: list[str]) -> sp.csr_matrix:
        data = np.full((len(texts), WIDE), 0.5, np.float32)
        columns = np.arange(WIDE) + np.array([len(text) for text in texts])[:, None]
        ends = WIDE * np.arange(len(texts) + 1)
        return sp.csr_matrix((data.ravel(), columns.ravel(), ends), (len(texts), self.terms))


@dataclass(frozen=True)
class Fit:
    """A task that fits a scorer; its needs are estimated for blocks of a row group of a split."""

    scorer: Any
    estimated: bool = False

    def fit(self, rows: TrainingRows, states: Checkpoint | None = None) -> Any:
        return self.scorer.fit_rows(rows)

    def memory(self, rows: TrainingRows) -> int:
        return int(self.scorer.memory(rows)) if self.estimated else 0

    def stages(self) -> dict[str, FitTask]:
        return {}


@dataclass(frozen=True)
class Gather:
    """A task that holds all rows, until its process is killed."""

    def fit(self, rows: TrainingRows, states: Checkpoint | None = None) -> Any:
        whole = gather_rows(rows)
        until(lambda: whole.features.nnz == 0, FOREVER)
        raise AssertionError("it was not killed")

    def memory(self, rows: TrainingRows) -> int:
        return 0  # so that it is tried

    def stages(self) -> dict[str, FitTask]:
        return {}


def texts(seed: int, count: int) -> list[str]:
    words = [f"word{k}" for k in range(80)]
    rng = np.random.default_rng(seed)
    return ["{}\n{}".format(*(" ".join(rng.choice(words, 12)) for _ in "ab")) for _ in range(count)]


def labels(papers: int) -> PaperLabels:
    rng = np.random.default_rng(2)
    classes = np.eye(CLASSES, dtype=np.uint8)[rng.integers(0, CLASSES, papers)]
    return PaperLabels.of_indicator(np.hstack([classes, classes]), CLASSES)


def fitted_fields() -> FastFeatureUnion:
    vectorizer = FastTfidfVectorizer(ngram_range=(1, 2), dtype=np.float32)
    return FastFeatureUnion([("text", vectorizer.fit(texts(0, 40)))])


def opened(count: int, *overrides: str) -> Any:
    settings = ["engine=dask", f"engine.workers={count}", "engine.timeout=600", *overrides]
    return open_engine(load_config(settings).engine)


@pytest.fixture(scope="module")
def cluster() -> Iterator[DaskEngine]:
    with opened(2) as engine:
        yield engine


@pytest.fixture
def stages() -> Iterator[Checkpoint]:
    with temporary_checkpoint() as stages:
        yield stages


def blocks_of(rows: TrainingRows) -> list[tuple[bytes, ...]]:
    return [
        tuple(a.tobytes() for a in (one.papers, one.features.indices, one.features.data))
        for one in rows.blocks(np.random.default_rng(4))
    ]


@pytest.mark.parametrize("max_terms", [None, 200])
def test_terms_are_those_of_one_machine(
    cluster: DaskEngine, stages: Checkpoint, max_terms: int | None
) -> None:
    rng = np.random.default_rng(3)
    parts = [
        Part(texts(seed, count), rng.integers(-1, CLASSES, count).astype(np.int32))
        for seed, count in enumerate([0, 60, 1, 40, 90])
    ]
    own = {"dtype": np.float32, "ngram_range": (1, 2), "min_df": 3}
    fields = [
        Field("text", FastTfidfVectorizer(**own)),
        Field("title", FastTfidfVectorizer(**own, max_features=150), optional=True),
    ]
    here = learn_vocabulary(fields, parts, CLASSES, max_terms, stages.folder, workers=0)
    there = cluster.learn_vocabulary(fields, parts, CLASSES, max_terms, stages)
    assert len(here) == len(there) == 2
    for one, other in zip(here, there, strict=True):
        assert one is not None
        assert other is not None
        assert [*one.vocabulary_.items()] == [*other.vocabulary_.items()]
        assert one.idf_.tobytes() == other.idf_.tobytes()
    assert sum(len(one.vocabulary_) for one in here if one) > 100


def test_a_corpus_without_terms_is_the_error_of_one_machine(
    cluster: DaskEngine, stages: Checkpoint
) -> None:
    empty = [Part(["", "?"], np.zeros(2, np.int32))]
    with pytest.raises(ValueError, match="empty vocabulary"):
        cluster.learn_vocabulary([Field("text", FastTfidfVectorizer())], empty, 2, None, stages)


def test_blocks_are_those_of_one_machine_and_come_back_when_a_worker_is_lost(
    cluster: DaskEngine, stages: Checkpoint, log: Callable[[], str]
) -> None:
    fields, known, papers = fitted_fields(), labels(sum(GROUPS)), Papers(GROUPS)
    here = PartRows(stages.folder, GROUPS, fields.terms, known, 5)
    for part, count in enumerate(GROUPS):
        here.write_part(part, fields.transform(texts(part, count)))
    there = cluster.make_rows(fields, papers, known, stages, 5)
    assert there.shape == here.shape
    assert there.stored == here.stored
    assert blocks_of(there) == blocks_of(here)
    assert sorted(papers.reads) == [*range(len(GROUPS))]

    assert isinstance(there, ClusterRows)
    lost = len(there.write_missing().workers[0][1])
    address = there.write_missing().workers[0][0]
    os.kill(cluster._client.run(os.getpid)[address], signal.SIGKILL)
    until(lambda: address not in cluster._workers.names())
    cluster.fit_to_checkpoint([("bayes", Fit(Bayes()))], stages, there)
    assert len(papers.reads) == len(GROUPS) + lost  # those of the other are still there
    assert blocks_of(there) == blocks_of(here)
    ours, wanted = stages.load("bayes"), Bayes().fit_rows(here)
    assert ours.weights_.tobytes() == wanted.weights_.tobytes()


def test_a_folder_that_cannot_be_written_is_one_line(
    cluster: DaskEngine, stages: Checkpoint
) -> None:
    cluster._client.run(put_files_in_the_way, cluster._folder)
    try:
        with pytest.raises(ShelfmarkError, match=f"{cluster._folder}.*File exists"):
            cluster.make_rows(fitted_fields(), Papers(GROUPS), labels(sum(GROUPS)), stages, 5)
    finally:
        cluster._client.run(clear_the_way, cluster._folder)


def put_files_in_the_way(name: str, dask_worker: Any) -> None:
    folder = Path(dask_worker.local_directory, name)
    if folder.exists():
        folder.rename(folder.with_suffix(".aside"))
    folder.touch()


def clear_the_way(name: str, dask_worker: Any) -> None:
    Path(dask_worker.local_directory, name).unlink()


def folders(dask_worker: Any) -> list[str]:
    return [path.name for path in Path(dask_worker.local_directory).glob("shelfmark-*")]


def leave_folder(dask_worker: Any) -> None:
    Path(dask_worker.local_directory, "shelfmark-Client-gone").mkdir()


def test_files_go_with_their_training_and_those_of_a_killed_one_with_the_next(
    cluster: DaskEngine, stages: Checkpoint
) -> None:
    client = cluster._client
    client.run(leave_folder)
    address = client.scheduler.address
    with opened(2, f"engine.scheduler={address}") as other:
        rows = other.make_rows(fitted_fields(), Papers(GROUPS), labels(sum(GROUPS)), stages, 5)
        assert len(rows.write_missing().workers) == 2
        names = [name for some in client.run(folders).values() for name in some]
        assert names.count(other._folder) == 2
        assert "shelfmark-Client-gone" not in names
    names = [name for some in client.run(folders).values() for name in some]
    assert other._folder not in names


def peak_memory() -> int:
    """Return the most memory that this process has had, without mapped files where told."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return psutil.Process().memory_info().rss


@pytest.mark.parametrize("count", [2, 4])
def test_papers_that_one_limited_process_cannot_hold_are_trained(
    count: int, stages: Checkpoint, log: Callable[[], str]
) -> None:
    fields = cast(FastFeatureUnion, WideFields())
    with opened(count, f"engine.memory={LIMIT // 10**6}MB") as engine:
        tracemalloc.start()
        rows = engine.make_rows(fields, Papers(MANY), labels(sum(MANY)), stages, 5)
        assert 8 * rows.stored > LIMIT
        engine.fit_to_checkpoint([("bayes", Fit(Bayes()))], stages, rows)
        assert tracemalloc.get_traced_memory()[1] < 8 * rows.stored / 10
        tracemalloc.stop()
        assert len(rows.write_missing().workers) == count
        assert max(engine._client.run(peak_memory).values()) < LIMIT
    assert stages.load("bayes").weights_.shape == (4 * WIDE, CLASSES)
    assert "lost" not in log()


def test_what_needs_more_memory_than_a_worker_has_is_one_line(
    stages: Checkpoint, log: Callable[[], str]
) -> None:
    fields = cast(FastFeatureUnion, WideFields())
    with opened(2, f"engine.memory={LIMIT // 10**6}MB") as engine:
        rows = engine.make_rows(fields, Papers(MANY), labels(sum(MANY)), stages, 5)
        with pytest.raises(ShelfmarkError, match=r"fitting svm needs 2\.\d GB.* raise engine.mem"):
            engine.fit_to_checkpoint([("svm", Fit(Svm(), estimated=True))], stages, rows)
        with pytest.raises(ShelfmarkError, match=r"2 workers used more .* raise engine.memory"):
            engine.fit_to_checkpoint([("all", Gather())], stages, rows)
    assert "a worker was lost: it used more memory than its limit" in log()
    assert workers.KILLED == 1
