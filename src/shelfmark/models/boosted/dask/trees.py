"""Boosted trees on a Dask cluster by `xgboost.dask`, with a checkpoint to resume from."""

from __future__ import annotations

import concurrent.futures
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import dask
import dask.array
import numpy as np
import xgboost
from distributed import Queue, get_client
from xgboost import collective
from xgboost.dask import DaskQuantileDMatrix
from xgboost.dask import train as train_together

from shelfmark.config.models import BoostedConfig
from shelfmark.core import console
from shelfmark.models.boosted import boosting
from shelfmark.models.boosted.boosting import (
    KEPT_EVERY,
    BoostingRun,
    CheckTrees,
    Loss,
    Objective,
    Rows,
)
from shelfmark.models.boosted.dask.workers import Workers
from shelfmark.models.protocol import RoundCallback

STAGE = "trees-of-a-cluster"  # other trees than those of one process: neither resumes the other
POLL_SECONDS = 0.1  # between two readings of the reported rounds
AHEAD = 64  # rounds reported and not read after which training waits
UNREAD_SECONDS = 60  # after which it gives up: the process that trains is gone


def grow(
    workers: Workers, run: BoostingRun, objective: Objective, train: Rows, validation: Rows
) -> xgboost.Booster:
    """Grow trees as `boosting.grow` does, each worker with its share of the rows.

    Another order of sums than in one process gives other trees, which are as accurate.

    Raises:
        ShelfmarkError: XGBoost refuses a parameter, or workers are lost too often.
    """
    check = boosting.trees_check(objective, train)
    _, history = run.resume(check, STAGE)
    with boosting.xgboost_errors(), console.progress("growing trees", run.config.rounds) as bar:
        bar.advance(len(history))
        received = len(history)

        def receive(number: int, losses: dict[str, float]) -> None:
            nonlocal received
            if number == received:  # not when a round is repeated after a loss
                received += 1
                run.callback(number, losses)
                bar.advance()

        trainer = _Trainer(workers, run, objective, receive, check)
        return workers.retry_lost_workers("trees", partial(trainer.grow, train, validation))


class _Trainer:
    """Trains in attempts, each of which resumes from the trees kept last."""

    def __init__(
        self,
        workers: Workers,
        run: BoostingRun,
        objective: Objective,
        receive: RoundCallback,
        check: CheckTrees,
    ) -> None:
        self._workers = workers
        self._run = run
        self._objective = objective
        self._receive = receive
        self._check = check

    def grow(self, train: Rows, validation: Rows) -> xgboost.Booster:
        trees, history = self._run.read_kept(self._check, STAGE)
        config = self._run.config
        # Rounds are numbered from 0 each time; their randomness must not repeat that of the first.
        changed = {"seed": self._run.seed + len(history), "verbosity": 0}
        parameters = self._run.parameters(self._objective) | changed
        booster = xgboost.Booster(parameters, model_file=trees) if history else None
        if not boosting.is_finished(config, history):
            del parameters["nthread"]  # each worker has its own
            booster = self._train(parameters, booster, history, train, validation)
        assert booster is not None
        booster.set_param({"nthread": boosting.thread_count(config), "verbosity": 1})
        return boosting.best_trees(config, booster, history)

    def _train(
        self,
        parameters: dict[str, Any],
        booster: xgboost.Booster | None,
        history: list[dict[str, float]],
        train: Rows,
        validation: Rows,
    ) -> xgboost.Booster:
        """Continue from trees; the losses of new rounds are appended to `history`."""
        client, config, objective = self._workers.client, self._run.config, self._objective
        matrix = partial(DaskQuantileDMatrix, client, max_bin=config.max_bin)
        known = matrix(*self._scatter(*train))
        unseen = matrix(*self._scatter(*validation), ref=known)
        queue = Queue(f"shelfmark-{uuid.uuid4()}", client, AHEAD)
        training = _start_thread(
            train_together,
            *(client, parameters, known, config.rounds - len(history)),
            evals=[(known, "train"), (unseen, "validation")],
            obj=objective.slope,
            custom_metric=objective.loss and GlobalMean(objective.loss),
            xgb_model=booster,
            verbose_eval=False,
            callbacks=[RoundReporter(queue.name, config, history)],
            coll_cfg=collective.Config(tracker_host_ip=self._workers.tracker_host()),
        )
        for message in _messages(queue, training):
            history.append(message["losses"])
            self._receive(len(history) - 1, history[-1])
            if message["trees"] is not None:
                self._check(message["trees"])
                self._run.keep(message["trees"], history, STAGE)
        trees: xgboost.Booster = training.result()["booster"]
        return trees

    def _scatter(self, features: Any, targets: Any) -> tuple[Any, Any]:
        """Return rows as two arrays of Dask, with an equal share at each worker."""
        together = self._objective.together
        places = sorted(self._workers.names().items(), key=lambda one: str(one[1]))
        units = len(targets) // together
        shares = min(len(places), units)
        cuts = [together * (units * number // shares) for number in range(shares + 1)]
        blocks: list[list[Any]] = [[], []]
        for (address, _), start, end in zip(places, cuts[:-1], cuts[1:], strict=False):
            parts = [features[start:end], targets[start:end]]
            for block, part in zip(blocks, parts, strict=True):
                [there] = self._workers.client.scatter([part], workers=[address], hash=False)
                block.append(
                    dask.array.from_delayed(
                        dask.delayed(there), part.shape, part.dtype, meta=part[:0]
                    )
                )
        return tuple(dask.array.concatenate(block) for block in blocks)


def _messages(queue: Queue, training: concurrent.futures.Future[Any]) -> Iterator[dict[str, Any]]:
    """Yield the reported rounds until the training ends or fails."""
    try:
        over = False
        while not over:
            over = bool(concurrent.futures.wait([training], POLL_SECONDS).done)
            yield from queue.get(batch=True)
    finally:
        queue.close()


class RoundReporter(xgboost.callback.TrainingCallback):
    """Reports each round, at times with the trees so far; stops as `boosting.is_finished` does."""

    def __init__(self, queue: str, config: BoostedConfig, history: list[dict[str, float]]) -> None:
        self.queue = queue
        self.config = config
        self.history = list(history)

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Record the losses, which are those of all workers."""
        losses = {name: float([*of.values()][-1][-1]) for name, of in evals_log.items()}
        self.history.append(losses)
        over = boosting.is_finished(self.config, self.history)
        if collective.get_rank() == 0:
            due = over or len(self.history) % KEPT_EVERY == 0
            trees = bytes(model.save_raw("ubj")) if due else None
            queue = Queue(self.queue, get_client(), AHEAD)
            queue.put({"losses": losses, "trees": trees}, timeout=UNREAD_SECONDS)
            queue.close()
        return over


class GlobalMean:
    """A mean loss over the rows of all workers, as a custom metric of XGBoost."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def __call__(self, margins: Any, data: xgboost.DMatrix) -> tuple[str, float]:
        """Return the name of the loss and its mean over all workers."""
        rows = data.num_row()
        name, mean = self.loss(margins, data) if rows else ("loss", 0.0)
        total = collective.allreduce(np.array([mean * rows, rows]), collective.Op.SUM)
        return name, float(total[0] / total[1])


def _start_thread(
    work: Callable[..., Any], *args: Any, **named: Any
) -> concurrent.futures.Future[Any]:
    """Call a function in a thread for which Ctrl-C need not wait."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def do() -> None:
        try:
            future.set_result(work(*args, **named))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future
