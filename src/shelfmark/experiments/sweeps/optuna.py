"""Sweeps on this machine: Optuna chooses, SQLite stores, processes share the trials."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import orjson
from loguru import logger
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from shelfmark.core import console, files, parallel
from shelfmark.data.splits import open_splits
from shelfmark.errors import ShelfmarkError
from shelfmark.experiments.sweeps.programs import LOSS, STEPS
from shelfmark.experiments.sweeps.spec import Parameter, Values
from shelfmark.experiments.sweeps.trial import Outcome, Plan, run_trial

BUSY = 60  # seconds to wait for another process that writes to the database
ABOUT = "about"  # the attribute of a study that describes what its trials share
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


def search_with_optuna(plan: Plan, database: Path, trials: int, workers: int) -> list[Outcome]:
    """Bring a study to a number of trials, and return the outcomes of all of them.

    Trials that a killed run left running start again; its finished trials stay.

    Raises:
        ShelfmarkError: another run works on the study, it belongs to another search, a worker was
            killed, or no trial was completed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _exclusive(database):
        study = _open_study(plan, database, 0)
        _check_about(study, plan, database)
        _requeue_killed(study)
        if plan.sweep.method == "grid":
            trials = _enqueue_grid(study, plan, trials)
        left = trials - sum(_counts(trial) for trial in study.trials)
        logger.success("{} of {} trials are done", trials - max(left, 0), trials)
        work = functools.partial(_run_one, plan, database, len(study.trials))
        for number in parallel.map_in_order(
            work, range(left), workers if workers > 1 else 0, wait_on_interrupt=False
        ):
            _log_outcome(plan, study, number)
        outcomes = [_outcome(plan, trial) for trial in study.trials if _counts(trial)]
    if not any(outcome.state == "complete" for outcome in outcomes):
        why = next((outcome.why for outcome in outcomes if outcome.why), "there were none")
        raise ShelfmarkError(f"sweep {plan.name}: no trial was completed: {why}")
    return outcomes


@contextlib.contextmanager
def _exclusive(database: Path) -> Iterator[None]:
    """Lock a study: trials marked as running are then those of a killed run."""
    path = database.with_suffix(".lock")
    with files.report_write_errors(database):
        database.parent.mkdir(parents=True, exist_ok=True)
        lock = files.try_lock(path)
    if lock is None:
        raise ShelfmarkError(f"{database}: another run works on this study; give it more --workers")
    with lock:
        yield


def _open_study(plan: Plan, database: Path, seed: int) -> Study:
    """Open or create a study, with a sampler of a given seed."""
    url = f"sqlite:///{database.resolve()}"
    try:
        return optuna.create_study(
            storage=optuna.storages.RDBStorage(
                url.replace("{", "{{").replace("}", "}}"),
                engine_kwargs={"connect_args": {"timeout": BUSY}},
            ),
            sampler=_sampler(plan, seed),
            pruner=_pruner(plan),
            study_name=database.stem,
            direction=plan.sweep.metric.goal,
            load_if_exists=True,
        )
    except Exception as error:  # of SQLite, SQLAlchemy and Alembic
        raise ShelfmarkError(f"{database}: no study: {str(error).splitlines()[0]}") from error


def _sampler(plan: Plan, seed: int) -> BaseSampler:
    return TPESampler(seed=seed) if plan.sweep.method == "bayes" else RandomSampler(seed=seed)


def _pruner(plan: Plan) -> optuna.pruners.BasePruner:
    early = plan.sweep.early_terminate
    if early is None:
        return optuna.pruners.NopPruner()
    runs = plan.sweep.runs
    steps = max(runs.most_steps(plan.settings(values)) for values in plan.sweep.candidates())
    return optuna.pruners.HyperbandPruner(
        min_resource=early.first,
        max_resource=max(early.max_iter or steps, early.first),
        reduction_factor=early.eta,
    )


def _check_about(study: Study, plan: Plan, database: Path) -> None:
    """Raise if the study is of another search, whose figures cannot be compared."""
    settings, runs = plan.settings(plan.sweep.candidates()[0]), plan.sweep.runs
    shared = settings.model_dump(mode="json", include=set(runs.sections))
    shared[runs.main].pop("n_jobs")
    parameters = {
        key: found.model_dump(mode="json") for key, found in plan.sweep.parameters.items()
    }
    about = {
        "papers": open_splits(plan.splits).digest,
        "metric": plan.sweep.metric.model_dump(),
        "parameters": parameters,
        "configuration": shared,
    }
    before = study.user_attrs.get(ABOUT)
    if before is None:
        study.set_user_attr(ABOUT, about)
        return
    for name, found in orjson.loads(orjson.dumps(about)).items():
        if before.get(name) != found:
            raise ShelfmarkError(
                f"{database} is of a search with other {name}: choose a new study, --study NAME"
            )


def _requeue_killed(study: Study) -> None:
    """Put the trials that a killed run left running back into the queue.

    A queued trial has its values even if it had drawn no value yet.
    """
    again = {trial.user_attrs.get("again") for trial in study.trials}
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        drawn = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if drawn and trial.number not in again:
            study.enqueue_trial(drawn, user_attrs={"again": trial.number})
        study.tell(trial.number, state=TrialState.FAIL)


def _enqueue_grid(study: Study, plan: Plan, trials: int) -> int:
    """Queue the first configurations of a grid, and return how many are queued."""
    queued = 0
    for values in plan.sweep.grid():
        if queued == trials:
            break
        drawn = {key: _as_choice(value) for key, value in values.items() if _is_drawn(plan, key)}
        study.enqueue_trial(drawn, skip_if_exists=True)
        queued += 1
    return queued


def _is_drawn(plan: Plan, key: str) -> bool:
    return plan.sweep.parameters[key].distribution != "constant"


def _run_one(plan: Plan, database: Path, before: int, turn: int) -> int:
    """Run one trial, and return its number."""
    console.configure_logging("SUCCESS")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A different seed for each trial, or every process would draw the same values.
    study = _open_study(plan, database, seed=before + turn)
    trial = study.ask()
    try:
        values = _draw_values(plan, trial)
        steps = plan.sweep.runs.most_steps(plan.settings(values))
        figures = run_trial(plan, values, functools.partial(_report, plan, trial, steps))
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except ShelfmarkError as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
    else:
        trial.set_user_attr("figures", figures)
        study.tell(trial, figures[plan.sweep.metric.name])
    return trial.number


def _report(plan: Plan, trial: Trial, steps: int, number: int, losses: dict[str, float]) -> None:
    """Report a step's loss, and prune the trial if others were better after as many steps.

    After its last step there is nothing left to save.

    Raises:
        optuna.TrialPruned: the trial is pruned.
    """
    if (loss := losses.get(LOSS)) is None:
        if plan.sweep.early_terminate is not None and number == 0:
            logger.warning("early_terminate: without a {} loss no trial is stopped early", LOSS)
        return
    # The direction of a study holds for its rounds too.
    trial.report(loss if plan.sweep.metric.goal == "minimize" else -loss, number + 1)
    if number + 1 < steps and trial.should_prune():
        raise optuna.TrialPruned


def _draw_values(plan: Plan, trial: Trial) -> Values:
    drawn = {key: _suggest(trial, key, found) for key, found in plan.sweep.parameters.items()}
    values = plan.sweep.round_values(drawn)
    trial.set_user_attr("values", values)
    return values


def _suggest(trial: Trial, key: str, parameter: Parameter) -> Any:
    kind, low, high = parameter.distribution, parameter.min, parameter.max
    if kind == "constant":
        return parameter.value
    if low is None or high is None:
        by_name = {_as_choice(value): value for value in parameter.values or []}
        return by_name[trial.suggest_categorical(key, list(by_name))]
    if kind == "int_uniform":
        return trial.suggest_int(key, int(low), int(high))
    if kind == "q_uniform":
        return trial.suggest_float(key, low, high, step=parameter.q)
    return trial.suggest_float(key, low, high, log="log" in kind)


def _as_choice(value: Any) -> Any:
    """Return a value as Optuna stores choices: a list as text."""
    return orjson.dumps(value).decode() if isinstance(value, list) else value


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts: a killed one, which starts again, does not."""
    return trial.state in DONE or (trial.state == TrialState.FAIL and "error" in trial.user_attrs)


def _outcome(plan: Plan, trial: FrozenTrial) -> Outcome:
    losses = trial.intermediate_values
    figures = dict(trial.user_attrs.get("figures", {}))
    if trial.state == TrialState.PRUNED and losses:
        figures = {LOSS: min(map(abs, losses.values())), STEPS: len(losses)}
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(
        trial.state, "failed"
    )
    values, why = trial.user_attrs.get("values", {}), trial.user_attrs.get("error", "")
    return Outcome(trial.number, values, state, figures, why)  # type: ignore[arg-type]


def _log_outcome(plan: Plan, study: Study, number: int) -> None:
    """Log the outcome of a trial on one line."""
    outcome, name = _outcome(plan, study.trials[number]), plan.sweep.metric.name
    if outcome.state == "failed":
        logger.warning("trial {} failed: {}", number, outcome.why)
        return
    if outcome.state == "pruned":
        steps = outcome.figures[STEPS]
        text = f"pruned after {steps} {plan.sweep.runs.step}{'s' if steps > 1 else ''}"
    else:
        text = f"{name} {outcome.figures[name]:.4f}, best {study.best_value:.4f}"
    logger.success("trial {}: {}", number, text)
