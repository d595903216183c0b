"""The developers' tasks, and the commands of `shelfmark`: `uv run inv --list` lists both.

`inv train experiment=fast` is `shelfmark train experiment=fast`.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import click
from invoke import Collection, Context, Exit, ParseError, Parser, Program, Task, task

from shelfmark.cli.extras import require_extra
from shelfmark.cli.main import shelfmark
from shelfmark.cli.output import print_table
from shelfmark.cli.parsing.command import Command, run
from shelfmark.cli.parsing.overrides import NameOrOverride, OverridesCommand, choices
from shelfmark.core import environment, provenance
from shelfmark.errors import ShelfmarkError, nearest

# Invoke forbids it, and each command would compile its libraries again, which takes it seconds.
sys.dont_write_bytecode = bool(environment.read("PYTHONDONTWRITEBYTECODE"))
ROOT = Path(__file__).absolute().parent
# What the tests try; the extras sentence and transformer have PyTorch.
EXTRAS = ("wandb", "sweep", "dvc", "gs", "dask", "cloud", "evidently", "landscape", "minilm")
WITH_TORCH = (
    "tests/system/embeddings/test_sentence.py",
    "tests/system/models/transformers",
)
BENCHES = ("data", "features", "models", "growth", "encoders")
ON_REQUEST = ("search", "serve", "cluster")  # measured only when named


def run_program(*command: str, **env: str) -> None:
    """Run a program with its arguments, and exit with its status if it fails."""
    done = subprocess.run(command, env={**os.environ, **env}, check=False)
    if done.returncode:
        raise Exit(code=done.returncode)


def uv(*command: str, groups: Iterable[str] = (), extras: Iterable[str] = ()) -> None:
    """Run a program in the project's environment, with the groups and the extras it needs."""
    needs = [word for group in groups for word in ("--group", group)]
    needs += [word for extra in extras for word in ("--extra", extra)]
    # Compiled at installation, for the many processes that the tests start.
    run_program("uv", "run", "--quiet", *needs, *command, UV_COMPILE_BYTECODE="1")


@click.command(
    "bench",
    cls=OverridesCommand,
    examples=[
        "bench data=snapshot data.path=arxiv.zip data.labels=[cs.AI,cs.CL,cs.CV,cs.LG,cs.RO]",
        "bench features data=snapshot data.path=arxiv.zip",
        "bench growth papers=515560 data=snapshot data.path=[arxiv.zip,more.jsonl.zst]",
        "bench serve name=five",
    ],
)
@click.argument(
    "words", nargs=-1, type=NameOrOverride(choices), metavar="[BENCHMARK]... [OVERRIDES]..."
)
def bench(words: tuple[str, ...]) -> None:
    """Benchmark data, features, models, growth and encoders, or the given ones, in one table.

    The benchmarks search, serve and cluster run only if they are given.

    Overrides, as for train, select for example real papers; for search, those of index. growth
    takes papers=N, the largest number of papers; where the source has fewer, others are spliced.

    serve measures the model name=NAME, if there is one, and else trains one; also=NAME is a second.
    """
    from shelfmark.experiments.benchmarks.speed import run_benchmarks

    named = [word for word in words if "=" not in word and not word.startswith("~")]
    known = [*BENCHES, *ON_REQUEST]
    for name in named:
        if name not in known:
            raise ShelfmarkError(f"{name}: no such benchmark{nearest(name, known)}")
    if "cluster" in named:
        require_extra("distributed", "dask")
    overrides = [word for word in words if word not in named]
    print_table(run_benchmarks(named or list(BENCHES), overrides))


@click.command("test", cls=Command)
@click.argument("tier", type=click.Choice(["all", "coverage", "torch"]), required=False)
def test(tier: str | None) -> None:
    """Run the first tier of the tests: all except tests/system, with only the development group.

    test all installs every extra but those with PyTorch and runs all tests.

    test coverage does the same, and fails if the tests cover too little of the package. To measure
    that makes the tests of the first tier take two thirds longer.

    test torch runs the tests with PyTorch in another environment, with the CPU build of torch,
    where pip finds one in its folders.
    """
    if tier == "torch":
        test_with_torch()
    elif tier in ("all", "coverage"):
        measured = ["--cov"] if tier == "coverage" else []
        uv("pytest", *measured, groups=["dev", "docs", "audit", "weights"], extras=EXTRAS)
    else:
        uv("pytest", "tests/unit", "tests/service", groups=["dev"])


def test_with_torch() -> None:
    """Run the tests that need torch, or say that pip finds no CPU build of it."""
    from scripts import torch_environment

    status = torch_environment.main()
    if status == torch_environment.NO_BUILD:
        return
    if status:
        raise Exit(code=status)
    run_program(str(torch_environment.PYTHON), "-m", "pytest", "--numprocesses", "0", *WITH_TORCH)


@task
def format(c: Context) -> None:
    """Format the code."""
    uv("ruff", "format", groups=["dev"])
    uv("ruff", "check", "--fix", groups=["dev"])


@task
def lint(c: Context) -> None:
    """Check format, lint rules, imports, types and the hashes of the locked packages."""
    uv("ruff", "format", "--check", groups=["dev"])
    uv("ruff", "check", groups=["dev"])
    uv("lint-imports", groups=["dev"])
    uv("mypy", groups=["dev"], extras=EXTRAS)  # whose types it reads
    run_program(sys.executable, str(ROOT / "scripts" / "check_hashes.py"))


@task(help={"serve": "serve it at http://localhost:8001, and rebuild it if docs/ changes"})
def docs(c: Context, serve: bool = False) -> None:
    """Build the documentation into site/; a warning is an error."""
    uv("python", "-m", "scripts.make_site", *(["--serve"] if serve else []), groups=["docs"])
    if not serve:
        uv("zensical", "build", "--strict", groups=["docs"])


@task(lint, docs)
def check(c: Context) -> None:
    """Run all checks before a commit: lint, types, documentation, all tests."""
    run(test, ["all"], "inv test")


@task(help={"upgrade": "take the newest versions that are a week old, also of uv"})
def lock(c: Context, upgrade: bool = False) -> None:
    """Lock the versions of all dependencies and the hashes of their files, without addresses."""
    if upgrade:
        newer = ["--upgrade", "--exclude-newer", "7 days"]
        run_program("uv", "lock", *newer)
        compiled = ["--custom-compile-command", "uv run inv lock --upgrade", "--no-annotate"]
        pin = ["uv", "pip", "compile", "--quiet", "--generate-hashes", *newer, *compiled]
        run_program(*pin, "--output-file", ".ci/uv.txt", ".ci/uv.in")
    run_program("uv", "lock")
    everything = ["--frozen", "--all-extras", "--all-groups", "--no-emit-project", "--no-annotate"]
    run_program("uv", "export", "--quiet", *everything, "--output-file", ".ci/hashes.txt")
    run_program(sys.executable, str(ROOT / "scripts" / "shorten_lock.py"))


@task(help={"dry-run": "only count the packages"})
def audit(c: Context, dry_run: bool = False) -> None:
    """Look up known vulnerabilities of all locked packages, of each extra, group and platform."""
    uv("python", "-m", "scripts.audit", *(["--dry-run"] if dry_run else []), groups=["audit"])


COMMANDS = {**shelfmark.commands, "bench": bench, "test": test}


def _task_of(command: click.Command) -> Task[None]:
    """Return a task that lists a command; called by another task, it has no words."""

    def body(c: Context) -> None:
        if status := run(command, [], f"inv {command.name}"):
            raise Exit(code=status)

    body.__doc__ = (command.help or "").partition("\n")[0]
    return Task(body, name=command.name)


def _forward() -> None:
    """Run the command that `inv NAME WORDS…` names: Invoke's parser takes no such words."""
    typed = Parser(initial=Program().initial_context, ignore_unknown=True).parse_argv(sys.argv[1:])
    asked = typed[0].args
    name, *words = typed.unparsed or [asked.help.value or ""]
    if not name or asked.complete.value or asked.list.value:
        return
    if not asked.help.value:
        _require_root()
    if name in COMMANDS:
        words = ["--help", *words] if asked.help.value else words
        raise SystemExit(run(COMMANDS[name], words, f"inv {name}"))
    try:
        Parser(contexts=namespace.to_contexts()).parse_argv([name, *words])
    except ParseError as error:
        raise SystemExit(f"error: {_describe_mistake(error)}") from None


def _require_root() -> None:
    """End in a subfolder of the checkout, where relative paths would lead elsewhere."""
    if ROOT in Path.cwd().parents:
        raise SystemExit(
            f"error: inv works at the root of the checkout: cd {shlex.quote(str(ROOT))}; "
            "shelfmark works in any folder"
        )


def _describe_mistake(error: ParseError) -> str:
    """Return what Invoke's parser objects to, with the nearest name."""
    unknown = re.fullmatch(r"No idea what '(.*)' is!", str(error), re.DOTALL)
    if unknown is None:
        return f"{str(error).rstrip('.!')} (see inv --help)"
    word = unknown[1]
    if not word.startswith("-"):
        close = nearest(word, namespace.task_names)
        return f"no such command {word!r}{close} (see inv --list)"
    flags = error.context.flags if error.context else Program().initial_context.flags
    name = f" {error.context.name}" if error.context else ""
    return f"no such option {word!r}{nearest(word, flags)} (see inv{name} --help)"


namespace = Collection(
    format, lint, docs, check, lock, audit, *(_task_of(command) for command in COMMANDS.values())
)
if provenance.is_invoke():
    _forward()
    if hasattr(signal, "SIGPIPE"):  # `inv --list | head`: of Invoke's own output, nobody reads more
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
