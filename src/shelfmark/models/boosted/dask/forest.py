"""Trees grown by `xgboost.dask` over all workers of a cluster, kept on the way, gone on with."""

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

from shelfmark.config.schema import ModelConfig
from shelfmark.core import console
from shelfmark.models.boosted import boosting
from shelfmark.models.boosted.boosting import KEPT_EVERY, Growth, Loss, Objective, Rows
from shelfmark.models.boosted.dask.workers import Workers

STAGE = (
    "trees-of-a-cluster"  # other trees than those of one process: neither goes on from the other
)
LISTENED = 0.1  # seconds between two looks at what the growing trees tell
AHEAD = 64  # rounds told and not heard after which growth waits
UNHEARD = 60  # seconds after which it gives up: whoever wanted the trees is gone

Hear = Callable[[int, dict[str, float]], None]


def grow(
    workers: Workers, growth: Growth, objective: Objective, train: Rows, validation: Rows
) -> xgboost.Booster:
    """Grow trees as `boosting.grow` does, each worker with its share of the rows.

    Sums are made in another order than in one process, so these are other trees, as good.

    Raises:
        ShelfmarkError: XGBoost refuses a parameter, or workers are lost time and again.
    """
    _, told = growth.begin(STAGE)
    with boosting.refusals(), console.progress("growing trees", growth.config.rounds) as bar:
        bar.advance(len(told))
        heard = len(told)

        def hear(number: int, losses: dict[str, float]) -> None:
            nonlocal heard
            if number == heard:  # not when a round is grown again after a loss
                heard += 1
                growth.on_round(number, losses)
                bar.advance()

        grower = _Grower(workers, growth, objective, hear)
        return workers.outliving("trees", partial(grower.grow, train, validation))


class _Grower:
    """One attempt after the other, each from the trees that are kept."""

    def __init__(self, workers: Workers, growth: Growth, objective: Objective, hear: Hear) -> None:
        self._workers = workers
        self._growth = growth
        self._objective = objective
        self._hear = hear

    def grow(self, train: Rows, validation: Rows) -> xgboost.Booster:
        kept = self._growth.stages.load(STAGE) or {"trees": None, "losses": []}
        told, config = list(kept["losses"]), self._growth.config
        # Rounds are numbered from 0 each time; their chance is not to be that of the first again.
        changed = {"seed": self._growth.seed + len(told), "verbosity": 0}
        parameters = self._growth.parameters(self._objective) | changed
        booster = xgboost.Booster(parameters, model_file=bytearray(kept["trees"])) if told else None
        if not boosting.done(config, told):
            del parameters["nthread"]  # each worker has its own
            booster = self._train(parameters, booster, told, train, validation)
        assert booster is not None
        booster.set_param({"nthread": boosting.threads(config), "verbosity": 1})
        return boosting.chosen(config, booster, told)

    def _train(
        self,
        parameters: dict[str, Any],
        booster: xgboost.Booster | None,
        told: list[dict[str, float]],
        train: Rows,
        validation: Rows,
    ) -> xgboost.Booster:
        """Grow on from trees; `told` has the losses of their rounds and gets those that follow."""
        client, config, objective = self._workers.client, self._growth.config, self._objective
        matrix = partial(DaskQuantileDMatrix, client, max_bin=config.max_bin)
        known = matrix(*self._placed(*train))
        unseen = matrix(*self._placed(*validation), ref=known)
        queue = Queue(f"shelfmark-{uuid.uuid4()}", client, AHEAD)
        grown = _begun(
            train_together,
            *(client, parameters, known, config.rounds - len(told)),
            evals=[(known, "train"), (unseen, "validation")],
            obj=objective.slope,
            custom_metric=objective.loss and _Together(objective.loss),
            xgb_model=booster,
            verbose_eval=False,
            callbacks=[_Teller(queue.name, config, told)],
            coll_cfg=collective.Config(tracker_host_ip=self._workers.meeting_place()),
        )
        for message in _messages(queue, grown):
            told.append(message["losses"])
            self._hear(len(told) - 1, told[-1])
            if message["trees"] is not None:
                self._growth.keep(message["trees"], told, STAGE)
        trees: xgboost.Booster = grown.result()["booster"]
        return trees

    def _placed(self, features: Any, targets: Any) -> tuple[Any, Any]:
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


def _messages(queue: Queue, grown: concurrent.futures.Future[Any]) -> Iterator[dict[str, Any]]:
    """Yield what the growing trees tell, until they are grown or fail."""
    try:
        over = False
        while not over:
            over = bool(concurrent.futures.wait([grown], LISTENED).done)
            yield from queue.get(batch=True)
    finally:
        queue.close()


class _Teller(xgboost.callback.TrainingCallback):
    """Tells of each round, at times with the trees so far, and stops as `boosting.done` says."""

    def __init__(self, queue: str, config: ModelConfig, told: list[dict[str, float]]) -> None:
        self.queue = queue
        self.config = config
        self.told = list(told)

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Take in the losses, which are those of all workers."""
        losses = {name: float([*of.values()][-1][-1]) for name, of in evals_log.items()}
        self.told.append(losses)
        over = boosting.done(self.config, self.told)
        if collective.get_rank() == 0:
            due = over or len(self.told) % KEPT_EVERY == 0
            trees = bytes(model.save_raw("ubj")) if due else None
            queue = Queue(self.queue, get_client(), AHEAD)
            queue.put({"losses": losses, "trees": trees}, timeout=UNHEARD)
            queue.close()
        return over


class _Together:
    """A mean loss over the rows of all workers."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def __call__(self, margins: Any, data: xgboost.DMatrix) -> tuple[str, float]:
        rows = data.num_row()
        name, mean = self.loss(margins, data) if rows else ("loss", 0.0)
        total = collective.allreduce(np.array([mean * rows, rows]), collective.Op.SUM)
        return name, float(total[0] / total[1])


def _begun(work: Callable[..., Any], *args: Any, **named: Any) -> concurrent.futures.Future[Any]:
    """Do work in a thread that Ctrl-C need not wait for."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def do() -> None:
        try:
            future.set_result(work(*args, **named))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future
