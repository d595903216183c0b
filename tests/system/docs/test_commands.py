"""Every command of the README and of docs/ is run here, or a mark above it says who runs it.

`<!-- not run: WHY -->` or `<!-- run by tests/test_x.py::test_name -->` above a block is for all of
its commands, or for those that hold one of the words behind it: `not run (inv bench, curl): WHY`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from invoke.collection import Collection

import tasks
from shelfmark.cli.overrides import OVERRIDE
from shelfmark.cloud import submission
from shelfmark.config.load import load_config
from tests.support.moments import until
from tests.support.serving import free_port
from tests.system.docs.commands import PAGES, ROOT, Block, blocks, modules_of, task_of
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
            assert process.poll() is None, sandbox.said()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(answers)
        yield port


def run(sandbox: Sandbox, block: Block, port: int) -> None:
    """Run the commands of a block that no mark takes out and that no page before had."""
    new = [one for one in block.run() if bare(one) not in sandbox.done]
    if not new:
        return
    with sandbox.bash("".join(new), port) as process:
        try:
            status = process.wait(timeout=400)
        except subprocess.TimeoutExpired:
            status = None
    assert status == 0, "".join(new) + sandbox.said()
    assert "Traceback" not in sandbox.said()
    # What asks a service, starts one or sets something is run each time.
    sandbox.done |= {bare(one) for one in new if not re.search(r"curl|export|&\n", one)}


def bare(command: str) -> str:
    return shlex.join(shlex.split(command, comments=True))


# Those of docs/api.md are run, and their answers compared, by test_api_examples.py.
@posix
@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/api.md"])
def test_what_a_page_says_to_type_works(
    request: pytest.FixtureRequest, sandbox: Sandbox, page: str
) -> None:
    for block in blocks(page):
        typed = "".join(block.run())
        served = "curl" in typed and "inv serve" not in typed
        run(sandbox, block, request.getfixturevalue("port") if served else free_port())


@pytest.mark.parametrize("page", PAGES)
def test_a_mark_is_true(page: str) -> None:
    for block in blocks(page):
        for mark in block.marks:
            covered = [one for one in block.commands if mark.covers(one)]
            assert covered, f"{mark.text} is about no command of its block"
            if mark.test is None:
                continue
            file, _, name = mark.test.partition("::")
            text = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", text, re.MULTILINE), mark.text
            before = block.marks[: block.marks.index(mark)]
            for command in covered:
                if not any(one.covers(command) for one in before):
                    assert calls(text, command), f"{file} does not call {command}"


def calls(text: str, command: str) -> bool:
    """Whether a test file, or what it shares with others, names a command's task, program or path,
    or imports what does its work.
    """
    for helper in re.findall(r"^from tests\.(\w+) import", text, re.MULTILINE):
        text += (ROOT / "tests" / f"{helper}.py").read_text(encoding="utf-8")
    task = task_of(command)
    names = "|".join(map(re.escape, [task, *modules_of(task)]))
    return bool(
        re.search(rf"""["' /]{re.escape(task)}["' ]""", text)
        or re.search(rf"from shelfmark[\w.]* import .*\b({names})\b", text)
        or re.search(rf"""["']shelfmark\.({names})["']""", text)
    )


def test_a_block_without_a_mark_is_run_and_a_wrong_mark_is_told() -> None:
    page = """
<!-- not run (inv b): why -->
<!-- run by tests/test_x.py::test_y (inv c) -->
```bash
inv a  # first
inv b \\
   --more
inv c -d '{
}'
```
"""
    (block,) = blocks("page", page)
    assert [task_of(one) for one in block.commands] == ["a", "b", "c"]
    assert block.run() == ["inv a  # first\n"]
    assert blocks("page", page.replace("<!-- not run (inv b): why -->\n", ""))[0].run() != []
    for wrong in ("not run", "not run:", "run by hand", "run by tests/test_x.py"):
        with pytest.raises(ValueError, match="neither"):
            blocks("page", f"<!-- {wrong} -->\n```bash\na\n```\n")


def test_a_command_that_fails_is_noticed(sandbox: Sandbox) -> None:
    (wrong,) = blocks("page", "```bash\nuv run inv predict --model none --text a\n```\n")
    with pytest.raises(AssertionError, match="no model in models"):
        run(sandbox, wrong, free_port())


def overrides() -> list[str]:
    """Return the cells of the pages' tables that hold overrides."""
    found = []
    for page in PAGES:
        column = None
        for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
            cells = line.strip("| ").split(" | ") if line.startswith("|") else []
            heads = [place for place, cell in enumerate(cells) if cell in ("override", "add")]
            if heads or not cells:
                column = heads[0] if heads else None
            elif column is not None and "---" not in line:
                found.append(cells[column])
    return found


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
            submission.read(["cloud=vertex_cpu", *given])
        else:
            load_config(given)


def test_there_are_overrides_in_the_tables() -> None:
    assert sum(bool(typed_in(cell)) for cell in overrides()) > 30


def test_every_command_in_a_sentence_is_one() -> None:
    known = Collection.from_module(tasks).tasks
    flags = {
        name: {flag.replace("_", "-") for one in task.get_arguments() for flag in one.names}
        for name, task in known.items()
    }
    found = 0
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"),
                      flags=re.MULTILINE | re.DOTALL)  # fmt: skip
        for task, rest in re.findall(r"`(?:uv run )?inv ([a-z][\w-]*)([^`]*)`", text):
            assert task in known, (page, task)
            for flag in re.findall(r"--([a-z][\w-]*)", rest):
                assert flag.removeprefix("no-") in flags[task] | {"help"}, (page, task, flag)
            found += 1
    assert found > 60
