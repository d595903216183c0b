"""The commands: `uv run inv --list`, and `uv run inv --help TASK` for one of them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from invoke import Context, task

from shelfmark.cli.cloud import cancel, jobs, logs, preflight, submit  # noqa: F401
from shelfmark.cli.deploying import build, cloud_init, deploy, rollback  # noqa: F401
from shelfmark.cli.overrides import (
    OVERRIDE,
    NamedTask,
    OverridesTask,
    bring,
    configured,
    run,
    uv,
    with_choices,
)

# Invoke forbids it, and each command would compile its libraries anew, which takes it seconds.
sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
ROOT = Path(__file__).parent
EXTRAS = ("wandb", "sweep", "dvc", "gs", "dask", "cloud", "drift")  # what the tests try
BENCHES = ("data", "features", "models", "growth")
ASKED = ("cluster",)  # measured only when named


class TierTask(OverridesTask):
    """A task that takes the word `all`."""

    wanted = re.compile(r"^all$")


class BenchTask(OverridesTask):
    """The same, with the names of benchmarks among the words."""

    wanted = re.compile(rf"^(?:{'|'.join(BENCHES + ASKED)})$|{OVERRIDE.pattern}")


@task(
    klass=OverridesTask,
    help={
        "push": "track the folder of the splits by DVC and copy it to the bucket",
        "pull": "fetch from the bucket what data.dvc tracks and is missing here",
    },
)
@with_choices
def data(c: Context, overrides: list[str], push: bool = False, pull: bool = False) -> None:
    """Make the Parquet splits and the data card.

    With --push or --pull alone no splits are made.
    """
    from shelfmark.core import console
    from shelfmark.data import dvc as versioning
    from shelfmark.data import pointer
    from shelfmark.data.prepare import prepare_splits

    with console.one_line_errors():
        settings = configured(overrides)
        folder = Path(settings.paths.data)
        if push or pull:
            versioning.check_remote(folder)
            bring("dvc", extra="dvc")
        if pull:
            versioning.pull(folder)
        if overrides or not (push or pull):
            prepare_splits(settings)
            pointer.remember(folder)
        if push:
            versioning.push(folder)


@task(klass=OverridesTask)
@with_choices
def train(c: Context, overrides: list[str]) -> None:
    """Make the splits where they are missing, train, measure on validation, save the model."""
    if "tracking=wandb" in overrides:
        bring("wandb", extra="wandb")
    if "engine=dask" in overrides:
        bring("distributed", extra="dask")
    from shelfmark.cloud.job import main

    main(overrides)


@task(help={"folder": "folder of the reports", "seconds": "longest time for all"})
def sync(c: Context, folder: str = "reports", seconds: float = 3600.0) -> None:
    """Send the runs to W&B that it does not have: recorded offline, killed or cut off."""
    bring("wandb", extra="wandb")
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("what has not been sent stays where it was"):
        from shelfmark.training import wandb_sync

        if not wandb_sync.sync(Path(folder), seconds):
            print(f"nothing to send in {folder}")


@task(
    klass=NamedTask,
    help={
        "trials": "how many in all, with those done before; the file's run_cap when not given",
        "workers": "processes that share the trials",
        "study": "name or path.db of another study; at W&B, a sweep to take part in",
        "engine": "auto, wandb or optuna; auto: wandb with an account, else optuna",
    },
)
def sweep(
    c: Context,
    overrides: list[str],
    trials: int = 0,
    workers: int = 1,
    study: str = "",
    engine: str = "auto",
) -> None:
    """Search configurations as a file of configs/sweep says, and print the best as an experiment.

    Takes the overrides of train, for all trials:
      sweep fast
      sweep stacked data=snapshot data.path=arxiv.zip --trials 100 --workers 2
    """
    from shelfmark.core import console

    console.configure_logging("SUCCESS")
    with console.one_line_errors("the same command goes on with the trials that are left"):
        from shelfmark.experiments.sweeps import run as sweep

        name, *rest = overrides if overrides and "=" not in overrides[0] else ["fast", *overrides]
        chosen, why = sweep.choose(engine)
        bring(chosen, extra=sweep.EXTRAS[chosen])
        print(f"sweep {name} by {chosen}: {why}", file=sys.stderr)
        sweep.run(name, rest, trials, workers, study, chosen)


@task(
    help={
        "model": "name of a model in the models folder",
        "split": "test, validation or train",
        "baselines": "fit and compare the baselines too",
        "models": "folder of the models",
        "reports": "folder of the reports",
    }
)
def evaluate(
    c: Context,
    model: str = "latest",
    split: str = "test",
    baselines: bool = True,
    models: str = "models",
    reports: str = "reports",
) -> None:
    """Measure a model on the test split, beside two baselines: figures, table and pictures."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.evaluation import evaluate

        evaluate.show(
            evaluate.evaluate_model(Path(models, model), Path(reports), split, baselines=baselines)
        )


@task(
    help={
        "model": "name of a model in the models folder",
        "split": "validation, test or train",
        "papers": "at most so many papers, and of each year",
        "seed": "settles which, and how they are changed",
        "years": "train to the end of each, 2013,2014, and test on the four years after",
        "models": "folder of the models",
        "reports": "folder of the reports",
    }
)
def robustness(
    c: Context,
    model: str = "latest",
    split: str = "validation",
    papers: int = 2000,
    seed: int = 7,
    years: str = "",
    models: str = "models",
    reports: str = "reports",
) -> None:
    """Measure a model on mistyped, cut, stuffed and otherwise changed papers, and over time."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the last report is as it was"):
        from shelfmark.experiments.robustness import report as robustness_report
        from shelfmark.experiments.robustness import run as robustness

        robustness_report.show(
            robustness.run(Path(models, model), Path(reports), split, papers, seed, years)
        )


@task(
    help={
        "text": "one text to classify",
        "file": "text lines, JSON lines, CSV or Parquet, compressed or not; - for standard input",
        "out": "file to write; standard output when not given",
        "model": "name of a model in the models folder",
        "top_k": "how many categories the ranking shows",
        "explain": "tell with each answer which words decided",
        "models": "folder of the models",
    }
)
def predict(
    c: Context,
    text: str = "",
    file: str = "",
    out: str = "-",
    model: str = "latest",
    top_k: int = 5,
    explain: bool = False,
    models: str = "models",
) -> None:
    """Classify one text, or a file of papers, into JSON lines."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.errors import ShelfmarkError
        from shelfmark.models import predict

        if bool(text) == bool(file):
            raise ShelfmarkError("give --text TEXT or --file FILE (- for standard input)")
        folder = Path(models, model)
        if text:
            predict.predict_text(folder, text, out, top_k, explain)
        else:
            predict.predict_file(folder, file, out, top_k, explain)


HARVEST = {
    "since": "first day of the changes wanted, 2026-11-01; that of the last harvest if not given",
    "sets": "groups, archives or categories, as cs,math.AG; those of the last harvest if not given",
    "contact": "your e-mail address or page, told to arXiv with each request",
    "url": "base URL of another OAI-PMH repository with the format arXivRaw",
    "interval": "seconds between two requests",
}


@task(help={**HARVEST, "out": "file to write, or to bring up to date"})
def harvest(
    c: Context,
    since: str = "",
    sets: str = "",
    out: str = "harvest/papers.jsonl",
    contact: str = "",
    url: str = "",
    interval: float = 3.0,
) -> None:
    """Bring new papers from arXiv by OAI-PMH into a file as data=snapshot reads it."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the papers received so far are kept, the same command resumes"):
        from shelfmark.arxiv import harvest, oai

        asked = oai.Repository(url or oai.ARXIV, contact, interval)
        print(harvest.harvest_papers(Path(out), since, sets.split(","), asked))
        print(oai.THANKS)


@task(
    name="classify-new",
    help={
        **HARVEST,
        "model": "name of a model in the models folder",
        "folder": "where the papers and the tables are kept",
        "days": "papers submitted so many days before --since are updates of old ones, left out",
        "models": "folder of the models",
    },
)
def classify_new(
    c: Context,
    since: str = "",
    sets: str = "",
    model: str = "latest",
    folder: str = "harvest",
    days: int = 30,
    contact: str = "",
    url: str = "",
    interval: float = 3.0,
    models: str = "models",
) -> None:
    """Harvest, classify what is new, and write the moderators' table as CSV and as a page."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the papers received so far are kept, the same command resumes"):
        from shelfmark.arxiv import harvest, oai
        from shelfmark.reports import moderators as moderation

        chosen = moderation.chosen(Path(models, model), days)  # before hours of fetching
        asked = oai.Repository(url or oai.ARXIV, contact, interval)
        done = harvest.harvest_papers(Path(folder, "papers.jsonl"), since, sets.split(","), asked)
        print(done)
        print(moderation.write(chosen, done, Path(folder), days))
        print(oai.THANKS)


@task(
    help={
        "host": "address to listen on",
        "port": "port to listen on; $PORT when not given, else 8000",
        "model": "name of a model in the models folder",
        "workers": "server processes; $SHELFMARK_WORKERS when not given, else 1",
    }
)
def serve(
    c: Context, host: str = "127.0.0.1", port: int = 0, model: str = "", workers: int = 0
) -> None:
    """Serve the page at /, POST /predict, GET /health, /ready, /model, /metrics, /docs."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.service import server

        server.serve(host, port, model, workers)


@task(
    klass=NamedTask,
    help={
        "models": "folder or bucket (gs://...) of the models that the service loads",
        "alias": "the name that the service loads by: SHELFMARK_MODEL",
        "source": "folder of the version, to be copied to the bucket",
        "reports": "folder of the reports",
        "force": "let pass figures that are worse or cannot be compared",
        "dry_run": "check only",
        "back": "give the alias back to the version that had it before",
    },
)
def promote(
    c: Context,
    overrides: list[str],
    models: str = "models",
    alias: str = "production",
    source: str = "",
    reports: str = "reports",
    force: bool = False,
    dry_run: bool = False,
    back: bool = False,
) -> None:
    """Give a version the alias that the service loads, once it has passed every check."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("nothing was promoted"):
        from shelfmark.errors import ShelfmarkError
        from shelfmark.evaluation import promote

        if len(overrides) != (0 if back else 1):
            raise ShelfmarkError("name the version, promote VERSION, or go back, promote --back")
        if back:
            print(promote.roll_back(models, alias))
            return
        (version,) = overrides
        if not promote.promote_version(
            version, models, alias, source, Path(reports), force, dry_run
        ):
            raise ShelfmarkError(f"{version} is not promoted: a check failed")


@task(
    name="ship-log",
    help={"folder": "folder of the prediction log", "to": "folder or bucket (gs://...) to move to"},
)
def ship_log(c: Context, folder: str, to: str) -> None:
    """Move the closed files of the prediction log to a folder or a bucket."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("what has not been moved stays where it was"):
        from shelfmark.monitoring import shipping

        print(f"{shipping.ship_log(Path(folder), to)} files moved to {to}")


@task(
    name="load-test",
    help={
        "url": "a service that runs (its key in $SHELFMARK_API_KEY); one is started when not given",
        "file": "papers to ask about, as predict --file reads them; synthetic when not given",
        "users": "how many ask at the same time",
        "seconds": "length of each phase",
        "workers": "processes of the service that is started",
        "model": "name of a model in the models folder",
        "models": "folder of the models",
        "reports": "folder of the reports",
    },
)
def load_test(
    c: Context,
    url: str = "",
    file: str = "",
    users: int = 32,
    seconds: float = 30.0,
    workers: int = 1,
    model: str = "latest",
    models: str = "models",
    reports: str = "reports",
) -> None:
    """Put many users on the service; fail past a budget of speed, errors or memory."""
    bring("locust", group="dev")
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.experiments.benchmarks import load as load_test

        load_test.run(url, file, users, seconds, workers, model, models, reports)


@task(
    klass=OverridesTask,
    help={
        "log": "folder of the prediction log, a file of it, or gs://bucket/folder",
        "papers": "file of papers, with labels or without: Parquet, JSON lines, CSV, text",
        "labels": "file of papers that names the true labels of those in the log, by id",
        "since": "from when on: 7d, 24h, 90m, 2w or 2026-11-01; all when not given",
        "retrain_if": "train a new model when there is drift, and keep it only if it is better",
        "harvest": "papers to train it on, in arXiv's format, for --retrain-if",
        "model": "name of a model in the models folder",
        "models": "folder of the models",
        "reports": "folder of the reports",
    },
)
def drift(
    c: Context,
    overrides: list[str],
    log: str = "",
    papers: str = "",
    labels: str = "",
    since: str = "",
    retrain_if: bool = False,
    harvest: str = "",
    model: str = "latest",
    models: str = "models",
    reports: str = "reports",
) -> None:
    """Compare new papers with those of validation: status 0 no drift, 2 drift, 3 too little data.

    Limits are the keys of configs/drift.yaml: inv drift --log logs --since 7d level=0.01
    """
    bring("evidently", extra="drift")
    from shelfmark.core import console, storage

    if log.partition("://")[0] in storage.GOOGLE:
        bring("gcsfs", extra="gs")

    console.configure_logging()
    with console.one_line_errors("the last report is as it was"):
        from shelfmark.config.drift import load_drift_config
        from shelfmark.core import files
        from shelfmark.monitoring import detect

        limits = load_drift_config(overrides)
        if retrain_if:  # a mistake shows before the work
            files.require_file(harvest, "--harvest")
        found = detect.detect_drift(
            Path(models, model), Path(reports), limits,
            log=log, papers=papers, since=since, truth=labels,
        )  # fmt: skip
        if retrain_if and found["alarm"]:
            from shelfmark.training import retrain

            retrain.run(Path(models, model), Path(harvest), Path(reports), limits)
        raise SystemExit(detect.EXIT_STATUS[found["verdict"]])


@task(
    help={
        "host": "address to listen on",
        "port": "port to listen on; $PORT when not given, else 8000",
    }
)
def monitor(c: Context, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve drift: POST /drift/run, GET /drift/latest, the page /monitoring, /health, /metrics."""
    bring("evidently", extra="drift")
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.service import monitor

        monitor.serve(host, port)


@task(
    name="bench-drift",
    klass=OverridesTask,
    help={
        "draws": "windows of each size without drift",
        "repeats": "windows of each size of each kind of drift",
    },
)
def bench_drift(c: Context, overrides: list[str], draws: int = 200, repeats: int = 40) -> None:
    """Measure how often inv drift cries wolf and how often it sees the wolf, on real papers.

    bench-drift data=snapshot data.path=../shared/arxiv/arxiv.zip
    """
    bring("evidently", extra="drift")
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors():
        from shelfmark.experiments.benchmarks import drift as drift_bench

        drift_bench.run(overrides, draws, repeats)


@task(
    help={
        "models": "names of the models to tell of, as five,twelve; without, all that were measured",
        "reports": "folder of the runs, in which the report is written",
        "models_folder": "folder of the models",
        "data_folder": "folder of the splits",
    }
)
def report(
    c: Context,
    models: str = "",
    reports: str = "reports",
    models_folder: str = "models",
    data_folder: str = "data",
) -> None:
    """Write reports/README.md, with its figures and pictures, from the runs on disk."""
    from shelfmark.core import console

    console.configure_logging()
    with console.one_line_errors("the last report is as it was"):
        from shelfmark.reports import write as report

        names = [name for name in models.split(",") if name]
        report.write(Path(reports), Path(models_folder), Path(data_folder), names)


@task(klass=BenchTask)
def bench(c: Context, overrides: list[str]) -> None:
    """Measure data, features, models and growth, or those named, and print one table of ratios.

    One more is measured only when it is named: cluster.

    Takes the overrides of train, so that it runs on real papers too:
      bench data=snapshot data.path=arxiv.zip data.labels=[cs.AI,cs.CL,cs.CV,cs.LG,cs.RO]
      bench features data=snapshot data.path=arxiv.zip
    """
    from shelfmark.core import console

    known = BENCHES + ASKED
    names = [word for word in overrides if word in known] or list(BENCHES)
    if "cluster" in names:
        bring("distributed", extra="dask")
    with console.one_line_errors():
        from shelfmark.experiments.benchmarks import speed as bench

        bench.run(names, [word for word in overrides if word not in known])


@task(klass=TierTask)
def test(c: Context, overrides: list[str]) -> None:
    """Run the first tier of the tests: all but tests/system, with the development group alone.

    test all: install every extra and run all tests, with coverage of the package.
    """
    if overrides:
        uv("pytest", "--cov", groups=["dev", "docs"], extras=EXTRAS)
    else:
        uv("pytest", "tests/unit", "tests/service", groups=["dev"])


@task
def format(c: Context) -> None:
    """Bring the code into its one form."""
    uv("ruff", "format", groups=["dev"])
    uv("ruff", "check", "--fix", groups=["dev"])


@task
def lint(c: Context) -> None:
    """Check the code's form and its types."""
    uv("ruff", "format", "--check", groups=["dev"])
    uv("ruff", "check", groups=["dev"])
    uv("lint-imports", groups=["dev"])
    uv("mypy", groups=["dev"], extras=EXTRAS)  # whose types it reads


@task(help={"serve": "show it at http://localhost:8001 and anew with each change of docs/"})
def docs(c: Context, serve: bool = False) -> None:
    """Build the site of the documentation into site/, a warning being an error."""
    uv("python", "-m", "scripts.make_site", *(["--serve"] if serve else []), groups=["docs"])
    if not serve:
        uv("zensical", "build", "--strict", groups=["docs"])


@task(lint, docs)
def check(c: Context) -> None:
    """Everything that must hold before a commit: the form, the types, the pages, all tests."""
    test(c, ["all"])


@task
def lock(c: Context) -> None:
    """Settle the versions of all dependencies, in the lock's short form that names no index."""
    run("uv", "lock")
    run(sys.executable, str(ROOT / "scripts" / "shorten_lock.py"))
