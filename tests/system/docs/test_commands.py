"""Every command of the README and of docs/ is run here, or not_run.toml lists it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

import tasks
from shelfmark.cli.parsing.overrides import OVERRIDE
from shelfmark.cloud import spec
from shelfmark.config.load import load_config
from tests.support.moments import PATIENCE, until
from tests.support.serving import free_port
from tests.system.docs.commands import (
    PAGES,
    ROOT,
    Entry,
    blocks,
    commands,
    entries,
    entry_of,
    modules_of,
    task_of,
)
from tests.system.docs.sandbox import Sandbox

posix = pytest.mark.skipif(os.name == "nt", reason="runs bash and ends it by signals")


@pytest.fixture(scope="module")
def sandbox(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox(home, tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="module")
def port(sandbox: Sandbox) -> Iterator[int]:
    """The port of a service, for blocks that ask one and start none."""
    port = free_port()
    with sandbox.bash("uv run inv serve --model quick", port) as process:

        def answers() -> bool:
            assert process.poll() is None, sandbox.output()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(answers)
        yield port


def to_run(page: str, block: list[str]) -> list[str]:
    """Return the commands of a block that are not listed as not run."""
    return [command for command in block if entry_of(page, command) is None]


def run(sandbox: Sandbox, commands: list[str], port: int) -> None:
    """Run commands in one shell, without those that an earlier page had."""
    new = [one for one in commands if bare(one) not in sandbox.done]
    if not new:
        return
    with sandbox.bash("".join(new), port) as process:
        try:
            status = process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            status = None
    assert status == 0, "".join(new) + sandbox.output()
    assert "Traceback" not in sandbox.output()
    # What asks a service, starts one or sets something is run each time.
    sandbox.done |= {bare(one) for one in new if not re.search(r"curl|export|&\n", one)}


def bare(command: str) -> str:
    return shlex.join(shlex.split(command, comments=True))


# Those of docs/api.md are run, and their answers compared, by test_api_examples.py.
@posix
@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/api.md"])
def test_the_commands_of_a_page_work(
    request: pytest.FixtureRequest, sandbox: Sandbox, page: str
) -> None:
    for block in blocks(page):
        typed = to_run(page, block)
        served = "curl" in "".join(typed) and "serve" not in "".join(typed)
        run(sandbox, typed, request.getfixturevalue("port") if served else free_port())


@posix
@pytest.mark.parametrize("page", ["README.md", "docs/library.md"])
def test_the_python_lines_of_a_page_work(sandbox: Sandbox, page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    name = Path(page).stem
    (sandbox.folder / f"{name}.py").write_text("\n".join(lines), encoding="utf-8")
    latest = sandbox.folder / "models" / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to("quick")
    if page == "docs/library.md":  # its encoder
        for block in blocks(page):
            run(sandbox, to_run(page, block), free_port())
    run(sandbox, [f"uv run python {name}.py > {name}.txt\n"], free_port())
    assert "cs.RO" in (sandbox.folder / f"{name}.txt").read_text()


def test_no_entry_of_the_list_is_stale() -> None:
    used = {entry_of(page, one) for page in PAGES for block in blocks(page) for one in block}
    assert [one for one in entries() if one not in used] == []
    assert None in used  # there are commands that are run


@pytest.mark.parametrize("page", sorted({one.page for one in entries()}))
def test_a_listed_test_runs_the_command(page: str) -> None:
    for command in (one for block in blocks(page) for one in block):
        entry = entry_of(page, command)
        if entry is None or entry.test is None:
            continue
        file, name = entry.test
        text = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), entry
        assert calls(text, command), f"{file} does not call {command}"


def calls(text: str, command: str) -> bool:
    """Whether a test file, or what it shares with others, names a command's task, program or path,
    or imports what does its work.
    """
    for helper in re.findall(r"^from tests\.support\.(\w+) import", text, re.MULTILINE):
        text += (ROOT / "tests" / "support" / f"{helper}.py").read_text(encoding="utf-8")
    task = task_of(command)
    names = "|".join(map(re.escape, [task, *modules_of(task)]))
    return bool(
        re.search(rf"""["' /]{re.escape(task)}["' ]""", text)
        or re.search(rf"from shelfmark[\w.]* import .*\b({names})\b", text)
        or re.search(rf"""["']shelfmark\.({names})["']""", text)
    )


def test_commands_are_split_and_the_longest_beginning_counts() -> None:
    code = (
        "uv run inv a  # first\nKEY=1 uv run --extra x inv b \\\n   --more\nshelfmark c -d '{\n}'\n"
    )
    result = commands(code)
    assert [task_of(one) for one in result] == ["a", "b", "c"]
    listed = [
        Entry("page", "b", "short"),
        Entry("page", "b --more", "long"),
        Entry("page", "c", ""),
    ]
    assert [entry_of("page", one, listed) for one in result] == [None, listed[1], listed[2]]
    assert entry_of("another page", result[1], listed) is None
    assert entry_of("page", "uv run inv bench", listed) is None  # a word, not its first letters


def test_a_command_that_fails_is_noticed(sandbox: Sandbox) -> None:
    wrong = ["uv run inv predict --model none --text a\n"]
    with pytest.raises(AssertionError, match="no model in models"):
        run(sandbox, wrong, free_port())


def overrides() -> list[str]:
    """Return the cells of the pages' tables that hold overrides."""
    lines = []
    for page in PAGES:
        column = None
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
            cells = line.strip("| ").split(" | ") if line.startswith("|") else []
            heads = [place for place, cell in enumerate(cells) if cell in ("override", "add")]
            if heads or not cells:
                column = heads[0] if heads else None
            elif column is not None and "---" not in line:
                lines.append(cells[column])
    return lines


def typed_in(cell: str) -> list[list[str]]:
    """Return the overrides of each code of a cell, without the quotes of the shell."""
    codes = [shlex.split(code) for code in re.findall(r"`([^`]+)`", cell)]
    return [code for code in codes if OVERRIDE.match(code[0]) and not code[0][0].isupper()]


@pytest.mark.parametrize("cell", overrides())
def test_the_overrides_of_the_tables_compose(cell: str) -> None:
    words: dict[str, str] = {}
    for code in typed_in(cell):
        # Of alternatives the later one, beside what it may need of the others.
        words |= {word.partition("=")[0]: word for word in code}
        given = list(words.values())
        if any(word.lstrip("+").startswith("cloud") for word in given):
            spec.compose_submission(["cloud=vertex_cpu", *given])
        else:
            load_config(given)


def test_there_are_overrides_in_the_tables() -> None:
    assert sum(bool(typed_in(cell)) for cell in overrides()) > 30


def test_every_command_in_a_sentence_is_one() -> None:
    known = {
        name: {flag.replace("_", "-") for one in task.get_arguments() for flag in one.names}
        for name, task in tasks.namespace.tasks.items()
    }
    known |= {
        name: {flag.removeprefix("--") for one in command.params for flag in one.opts}
        for name, command in tasks.COMMANDS.items()
    }
    count = 0
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"),
                      flags=re.MULTILINE | re.DOTALL)  # fmt: skip
        for task, rest in re.findall(r"`(?:uv run )?(?:inv|shelfmark) ([a-z][\w-]*)([^`]*)`", text):
            assert task in known, (page, task)
            for flag in re.findall(r"--([a-z][\w-]*)", rest):
                assert flag.removeprefix("no-") in known[task] | {"help"}, (page, task, flag)
            count += 1
    assert count > 60
