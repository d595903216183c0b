"""The commands in the pages' blocks of bash, and the list of those that are not run."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[3]
# In the order in which a user meets them.
FIRST = ("README.md", "docs/start.md", "docs/kaggle.md")
PAGES = [*FIRST, *sorted({f"docs/{x.name}" for x in (ROOT / "docs").glob("*.md")} - {*FIRST})]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = Path(__file__).with_name("not_run.toml")
SHARED = {"shelfmark", "cloud", "console", "errors", "files", "account", "gcloud", "ShelfmarkError"}
TASKS = (
    "tasks.py",
    *(f"src/shelfmark/cli/{x.name}" for x in (ROOT / "src/shelfmark/cli").glob("*.py")),
)


@dataclass(frozen=True)
class Entry:
    """An entry of the list of commands that are not run: a beginning, and a test or a reason."""

    page: str
    beginning: str
    why: str

    @property
    def test(self) -> tuple[str, str] | None:
        """The file and the name of the test that runs such a command."""
        file, colons, name = self.why.partition("::")
        return (file, name) if colons else None

    def fits(self, command: str) -> bool:
        return f"{' '.join(words_of(command))} ".startswith(f"{self.beginning} ")


def entries() -> list[Entry]:
    pages = tomllib.loads(NOT_RUN.read_text(encoding="utf-8"))
    return [Entry(page, *one) for page, listed in pages.items() for one in listed.items()]


def entry_of(page: str, command: str, listed: Iterable[Entry] | None = None) -> Entry | None:
    """Return the entry with the longest beginning that fits a command of a page, if any does."""
    listed = entries() if listed is None else listed
    fitting = [one for one in listed if one.page == page and one.fits(command)]
    return max(fitting, key=lambda one: len(one.beginning), default=None)


def blocks(page: str) -> list[list[str]]:
    """Return the commands of each block of bash of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [commands(code) for code in BLOCK.findall(text)]


def commands(code: str) -> list[str]:
    """Divide bash into commands: lines, joined where a quote is open or a backslash ends one."""
    lines, waiting = [], ""
    for line in code.splitlines(keepends=True):
        waiting += line
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:  # a quote is open
            continue
        if not waiting.rstrip("\n").endswith("\\"):
            lines += [waiting] if words else []
            waiting = ""
    assert not waiting.strip(), waiting
    return lines


def words_of(command: str) -> list[str]:
    """Return the words of a command, without variables, `uv run` and `inv` or `shelfmark`."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    while len(words) > 1 and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if words[:2] == ["uv", "run"]:
        words = words[2:]
        while words[0].startswith("--"):
            words = words[2 if words[0] in ("--extra", "--group") else 1 :]
    return words[1:] if words[0] in ("inv", "shelfmark") else words


def task_of(command: str) -> str:
    """Return the task that a command runs, or the path it asks for, its script or its program."""
    words = words_of(command)
    if words[0] == "curl":
        return "/" + next(word for word in words if "localhost:" in word).partition("/")[2]
    is_script = words[0] == "python" and words[1].endswith(".py")
    return PurePosixPath(words[1]).name if is_script else words[0]


def modules_of(task: str) -> set[str]:
    """Return the modules that do the work of a task, as its function imports them."""
    for file in TASKS:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
        if own := functions.get(task.replace("-", "_")):
            called = {one.id for one in ast.walk(own) if isinstance(one, ast.Name)}
            helpers = [functions[name] for name in called & {*functions} if name[0] == "_"]
            return set().union(*map(_imported, [own, *helpers])) - SHARED
    return set()


def _imported(function: ast.FunctionDef) -> set[str]:
    imports = [one for one in ast.walk(function) if isinstance(one, ast.ImportFrom)]
    return {
        name
        for one in imports
        for name in [*(alias.name for alias in one.names), str(one.module).rpartition(".")[2]]
    }
