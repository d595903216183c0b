"""The commands: `uv run inv --list`, and `uv run inv --help TASK` for one of them."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from invoke import Argument, Context, Exit, Task, task

ROOT = Path(__file__).parent
OVERRIDE = re.compile(r"^(?:\+{0,2}[A-Za-z_][\w./@-]*=|~[A-Za-z_])")
BENCHES = ("data", "features", "models", "growth")


class Words(Argument):
    """A positional argument that takes every following word of its kind, none or many.

    Invoke asks a positional argument for its value to learn whether it still wants words: this one
    wants them until it has as many as stand behind its task's name on the command line.
    """

    def __init__(self, name: str, wanted: re.Pattern[str], task_name: str, help: str) -> None:
        super().__init__(name=name, kind=list, positional=True, help=help)
        self._wanted = wanted
        self._task_name = task_name
        self._copies = 0
        self._turn = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Words:
        # The parser copies its prototype each time the task's name appears.
        twin = copy.copy(self)
        twin._copies, twin._turn = 0, self._copies
        twin.raw_value, twin._value = [], []
        self._copies += 1
        return twin

    @property
    def value(self) -> list[str] | None:
        """The words, or None while more are to come."""
        words: list[str] = self._value
        return None if len(words) < self._expected() else words

    @value.setter
    def value(self, word: str) -> None:
        self._value = [*self._value, word]

    def _expected(self) -> int:
        """Count the words behind the turn-th appearance of the task's name."""
        counts: list[int] = []
        mine = False
        for word in sys.argv[1:]:
            if self._wanted.match(word) and mine:
                counts[-1] += 1
            elif not word.startswith("-"):
                mine = word == self._task_name
                counts += [0] * mine
        return counts[self._turn] if self._turn < len(counts) else 0


class OverridesTask(Task):  # type: ignore[type-arg]
    """A task whose argument `overrides` takes bare words such as `experiment=fast`."""

    wanted = OVERRIDE

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments of the task's signature, `overrides` as `Words`."""
        return [
            Words("overrides", self.wanted, self.name, "any number of key=value, +key=value, ~key")
            if argument.name == "overrides"
            else argument
            for argument in super().get_arguments(ignore_unknown_help)
        ]


class BenchTask(OverridesTask):
    """The same, with the names of benchmarks among the words."""

    wanted = re.compile(rf"^(?:{'|'.join(BENCHES)})$|{OVERRIDE.pattern}")


def run(*command: str, **env: str) -> None:
    """Run a command as it is typed, and end with its status if it fails."""
    done = subprocess.run(command, env={**os.environ, **env}, check=False)
    if done.returncode:
        raise Exit(code=done.returncode)


def uv(*command: str, group: str | None = None, extra: str | None = None) -> None:
    """Run a command in the project's environment, with the group and extra it needs."""
    needs = [*(["--group", group] if group else []), *(["--extra", extra] if extra else [])]
    # Compiled at installation, for the many processes that the tests start.
    run("uv", "run", "--quiet", *needs, *command, UV_COMPILE_BYTECODE="1")


def configured(overrides: list[str]) -> Any:
    """Return the configuration of some overrides, logging set up by it."""
    from shelfmark import config, console

    settings = config.load(overrides)
    console.set_up(settings.log_level)
    return settings


def choices() -> str:
    """Return the configuration groups and their choices, for help texts."""
    folders = sorted(folder for folder in (ROOT / "configs").iterdir() if folder.is_dir())
    return "\n".join(
        f"  {folder.name}={'|'.join(sorted(file.stem for file in folder.glob('*.yaml')))}"
        for folder in folders
    )


def with_choices(body: Any) -> Any:
    """Append the configuration groups, read from `configs/`, to a task's help."""
    body.__doc__ += f"""
Groups:
{choices()}

Any key of configs/ can be set: {body.__name__} experiment=fast model.max_depth=4
  data=snapshot data.path=arxiv.zip data.labels=[cs.AI,cs.CL]
  data=csv "data.path=my papers.csv" data.level=archive
  +model.params.gamma=1
"""
    return body


@task(klass=OverridesTask)
@with_choices
def data(c: Context, overrides: list[str]) -> None:
    """Make the Parquet splits and the data card."""
    from shelfmark import console, preprocess

    with console.one_line_errors():
        preprocess.prepare(configured(overrides))


@task(klass=OverridesTask)
@with_choices
def train(c: Context, overrides: list[str]) -> None:
    """Make the splits where they are missing, train, measure on validation, save the model."""
    from importlib.util import find_spec

    if "tracking=wandb" in overrides and find_spec("wandb") is None:
        uv("python", "-m", "shelfmark.train", *overrides, extra="wandb")
        return
    from shelfmark.train import main

    main(overrides)


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
    from shelfmark import console

    console.set_up()
    with console.one_line_errors():
        from shelfmark import evaluate

        evaluate.show(
            evaluate.evaluate(Path(models, model), Path(reports), split, baselines=baselines)
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
    from shelfmark import console

    console.set_up()
    with console.one_line_errors():
        from shelfmark import predict
        from shelfmark.errors import ShelfmarkError

        if bool(text) == bool(file):
            raise ShelfmarkError("give --text TEXT or --file FILE (- for standard input)")
        folder = Path(models, model)
        if text:
            predict.predict_text(folder, text, out, top_k, explain)
        else:
            predict.predict_file(folder, file, out, top_k, explain)


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
    from shelfmark import console

    console.set_up()
    with console.one_line_errors():
        from shelfmark import server

        server.serve(host, port, model, workers)


@task(
    name="ship-log",
    help={"folder": "folder of the prediction log", "to": "folder or bucket (gs://...) to move to"},
)
def ship_log(c: Context, folder: str, to: str) -> None:
    """Move the closed files of the prediction log to a folder or a bucket."""
    from shelfmark import console

    console.set_up()
    with console.one_line_errors("what has not been moved stays where it was"):
        from shelfmark import shipping

        print(f"{shipping.ship(Path(folder), to)} files moved to {to}")


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
) -> None:
    """Put many users on the service; fail past a budget of speed, errors or memory."""
    from importlib.util import find_spec

    if find_spec("locust") is None:
        uv("python", "-m", "invoke", *sys.argv[1:], group="dev")
        return
    from shelfmark import console

    console.set_up()
    with console.one_line_errors():
        from shelfmark import load_test

        load_test.run(url, file, users, seconds, workers, model, models)


@task(klass=BenchTask)
def bench(c: Context, overrides: list[str]) -> None:
    """Measure data, features, models and growth, or those named, and print one table of ratios.

    Takes the overrides of train, so that it runs on real papers too:
      bench data=snapshot data.path=arxiv.zip data.labels=[cs.AI,cs.CL,cs.CV,cs.LG,cs.RO]
      bench features data=snapshot data.path=arxiv.zip
    """
    from shelfmark import console

    names = [word for word in overrides if word in BENCHES] or list(BENCHES)
    with console.one_line_errors():
        from shelfmark import bench

        bench.run(names, [word for word in overrides if word not in BENCHES])


@task
def test(c: Context) -> None:
    """Install what the tests need and run them all, with coverage."""
    uv("pytest", group="dev", extra="wandb")


@task
def format(c: Context) -> None:
    """Bring the code into its one form."""
    uv("ruff", "format", group="dev")
    uv("ruff", "check", "--fix", group="dev")


@task
def lint(c: Context) -> None:
    """Check the code's form and its types."""
    uv("ruff", "format", "--check", group="dev")
    uv("ruff", "check", group="dev")
    uv("mypy", group="dev")


@task(lint, test)
def check(c: Context) -> None:
    """Everything that must hold before a commit: the form, the types, the tests."""


@task
def lock(c: Context) -> None:
    """Settle the versions of all dependencies, in the lock's short form that names no index."""
    run("uv", "lock")
    run(sys.executable, str(ROOT / "scripts" / "shorten_lock.py"))
