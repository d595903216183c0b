"""The engine of a training: the processes of this machine, or a Dask cluster."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from threadpoolctl import threadpool_limits

from shelfmark.config.schema import EngineConfig
from shelfmark.core import console, memory, parallel, project
from shelfmark.core.checkpoint import Checkpoint
from shelfmark.errors import ShelfmarkError
from shelfmark.models.boosted import boosting
from shelfmark.models.boosted.boosting import BoostingRun, Objective, Rows
from shelfmark.models.boosted.fitting.rows import PaperLabels, PartRows, TrainingRows
from shelfmark.tfidf.corpus.fields import CorpusPart, Field
from shelfmark.tfidf.corpus.learn import BUDGET, PART_BYTES, learn_vocabulary
from shelfmark.tfidf.vectorizer import FastTfidfVectorizer

if TYPE_CHECKING:  # the service runs without pyarrow and XGBoost
    import xgboost

    from shelfmark.data.splits import PaperGroups
    from shelfmark.models.boosted.features import FastFeatureUnion

WORTH_DISTRIBUTING = (
    1 << 26
)  # stored features x columns: less does not repay the start of processes


WORTH_SHARING = 4  # groups of papers: fewer do not repay the start of processes
WORDS = "words"  # the stage of the fitted fields
ROWS = "rows"  # the folder of the rows
TERM_BYTES = 150  # of memory, for each term of the fields that a process has loaded
PAPER_BYTES = 12_000  # of memory, for each paper of a group: its text, its words and its row


class FitTask(Protocol):
    """A fit that another process can do."""

    def fit(self, rows: TrainingRows, states: Checkpoint | None = None) -> Any:
        """Return what a checkpoint can hold; `states` is where a long fit saves its state."""

    def memory(self, rows: TrainingRows) -> int:
        """Return about how many bytes the fit takes."""

    def stages(self) -> dict[str, FitTask]:
        """Return the long parts of the fit by the names of their results in its `states`.

        They may be fitted before, in any order; the fit reads those that it finds.
        """


class Engine(Protocol):
    """The expensive parts of a training, computed on this machine or on a cluster.

    Attributes:
        budget: bytes of memory of all processes of this machine.
    """

    budget: int

    def learn_vocabulary(
        self,
        fields: Sequence[Field],
        parts: Sequence[CorpusPart],
        classes: int,
        max_terms: int | None,
        checkpoint: Checkpoint,
    ) -> list[FastTfidfVectorizer | None]:
        """Return exactly the result of `tfidf.corpus.learn.learn_vocabulary`."""

    def make_rows(
        self,
        fields: FastFeatureUnion,
        papers: PaperGroups,
        labels: PaperLabels,
        checkpoint: Checkpoint,
        seed: int,
    ) -> TrainingRows:
        """Return the TF-IDF rows of training papers by fitted fields.

        Args:
            fields: of the texts and titles, saved in the checkpoint as the stage `WORDS`.
            papers: with a text each.
            labels: of the papers.
            checkpoint: where the rows are kept that an earlier run made.
            seed: of the order of the rows.
        """

    def worth_distributing(self, work: int) -> bool:
        """Whether `fit_to_checkpoint` is worth its overhead; work is stored features x columns."""

    def fit_to_checkpoint(
        self, named: Sequence[tuple[str, FitTask]], checkpoint: Checkpoint, rows: TrainingRows
    ) -> None:
        """Fit each task on the rows, and save its result in the checkpoint, under its name."""

    def grow(
        self, run: BoostingRun, objective: Objective, train: Rows, validation: Rows
    ) -> xgboost.Booster:
        """Grow trees as `boosting.grow` does; another order of sums gives other trees.

        Raises:
            ShelfmarkError: XGBoost refuses a parameter.
        """


class LocalEngine:
    """This machine: one process, and more processes for large work.

    Args:
        budget: bytes of memory that all processes together may use; None for half of what the
            machine has.
    """

    def __init__(self, budget: int | None = None) -> None:
        self.budget = memory.budget_bytes(None) if budget is None else budget

    def learn_vocabulary(
        self,
        fields: Sequence[Field],
        parts: Sequence[CorpusPart],
        classes: int,
        max_terms: int | None,
        checkpoint: Checkpoint,
    ) -> list[FastTfidfVectorizer | None]:
        """Count in processes, which leave their counts in files of the checkpoint's folder."""
        few = len(parts) < WORTH_SHARING
        workers = 0 if few else memory.fitting_processes(self.budget, PART_BYTES)
        most = min(BUDGET, self.budget // 2)  # the words of the corpus take the rest
        return learn_vocabulary(fields, parts, classes, max_terms, checkpoint.folder, workers, most)

    def make_rows(
        self,
        fields: FastFeatureUnion,
        papers: PaperGroups,
        labels: PaperLabels,
        checkpoint: Checkpoint,
        seed: int,
    ) -> TrainingRows:
        """Weigh the groups of papers in processes, each of which writes a part of the rows."""
        folder = checkpoint.folder / ROWS
        folder.mkdir(exist_ok=True)
        rows = PartRows(folder, tuple(papers.groups), fields.terms, labels, seed)
        missing = rows.missing()
        if len(missing) < WORTH_SHARING:
            work, workers = partial(_write_part, fields, papers, rows), 0
        else:
            work = partial(_write_part_in_process, checkpoint, papers, rows)
            needed = writing_bytes(fields, max(papers.groups))
            workers = memory.count_processes(self.budget, needed, "weighing words")
        with console.progress("weighing words", len(missing)) as bar:
            for _ in parallel.map_in_order(work, missing, workers):
                bar.advance()
        return rows

    def worth_distributing(self, work: int) -> bool:
        """Whether the work takes longer than the start of processes."""
        return work > WORTH_DISTRIBUTING

    def fit_to_checkpoint(
        self, named: Sequence[tuple[str, FitTask]], checkpoint: Checkpoint, rows: TrainingRows
    ) -> None:
        """Fit each task in a process, which saves its result; as many at once as memory allows.

        The stages of all tasks come first, so that there is work for more processes than tasks.
        """
        stages = [
            (f"{name}/{stage}", part)
            for name, task in named
            for stage, part in task.stages().items()
        ]
        missing = [(name, part) for name, part in stages if name not in checkpoint]
        work = partial(_fit_and_save, rows, checkpoint)
        for workers, some in [*self.share_memory(missing, rows), *self.share_memory(named, rows)]:
            for _ in parallel.map_in_order(work, some, workers, wait_on_interrupt=False):
                pass

    def share_memory(
        self, named: Sequence[tuple[str, FitTask]], rows: TrainingRows
    ) -> list[tuple[int, list[tuple[str, FitTask]]]]:
        """Return the tasks by how many of them may be done at once.

        Raises:
            ShelfmarkError: memory is too small for one of them alone.
        """

        def workers(item: tuple[str, FitTask]) -> int:
            name, task = item
            return memory.count_processes(self.budget, task.memory(rows), f"fitting {name}")

        counted = [(workers(item), item) for item in named]
        numbers = sorted({number for number, _ in counted}, reverse=True)
        return [(number, [item for count, item in counted if count == number])
                for number in numbers]  # fmt: skip

    def grow(
        self, run: BoostingRun, objective: Objective, train: Rows, validation: Rows
    ) -> xgboost.Booster:
        """Grow in the threads of this process."""
        return boosting.grow(run, objective, train, validation)


LOCAL = LocalEngine()


@contextlib.contextmanager
def open_engine(config: EngineConfig) -> Iterator[Engine]:
    """Yield the engine of a configuration, ready to work.

    Raises:
        ShelfmarkError: there is no such cluster, or its workers have other versions.
    """
    if config.kind == "local":
        yield LocalEngine(memory.budget_bytes(config.memory))
        return
    try:
        from shelfmark.models.boosted.dask import engine as dask_engine
    except ModuleNotFoundError as error:
        how = project.install_command("dask")
        raise ShelfmarkError(f"engine=dask needs the dask extra: {how}") from error
    with dask_engine.open_engine(config) as engine:
        yield engine


def writing_bytes(fields: FastFeatureUnion, papers: int) -> int:
    """Return about how many bytes it takes to weigh a group of papers in a process."""
    return fields.terms * TERM_BYTES + papers * PAPER_BYTES


def _write_part(fields: FastFeatureUnion, papers: PaperGroups, rows: PartRows, part: int) -> None:
    texts = papers.read_group(part, ["text"])["text"].to_pylist()
    rows.write_part(part, fields.transform(texts))


def _write_part_in_process(
    checkpoint: Checkpoint, papers: PaperGroups, rows: PartRows, part: int
) -> None:
    with threadpool_limits(1):  # the others have the other cores
        _write_part(_fields_of_process(checkpoint.folder), papers, rows, part)


@functools.cache
def _fields_of_process(folder: Path) -> FastFeatureUnion:
    """Return the fitted fields, which each process loads once."""
    fields: FastFeatureUnion = Checkpoint(folder).load(WORDS)
    return fields


def _fit_and_save(rows: TrainingRows, checkpoint: Checkpoint, named: tuple[str, FitTask]) -> None:
    name, task = named
    with threadpool_limits(1):  # the others have the other cores
        checkpoint.save(name, task.fit(rows, checkpoint.nest_stage(name)))
