"""The commands of the pages: what stands in their blocks of bash, and the marks above these."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[3]
# In the order in which a user meets them.
FIRST = ("README.md", "docs/start.md", "docs/kaggle.md")
PAGES = [*FIRST, *sorted({f"docs/{x.name}" for x in (ROOT / "docs").glob("*.md")} - {*FIRST})]
BLOCK = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = re.compile(
    r"<!-- (?:not run(?: \((?P<some>[^)]*)\))?: (?P<reason>\S.*)"
    r"|run by (?P<test>tests/\S+\.py::\w+)(?: \((?P<those>[^)]*)\))?) -->"
)
SHARED = {"shelfmark", "cloud", "console", "errors", "files", "account", "gcloud", "ShelfmarkError"}
TASKS = ("tasks.py", "src/shelfmark/cli/deploying.py", "src/shelfmark/cli/cloud.py")


@dataclass(frozen=True)
class Mark:
    """Why a command of the block below is not run here; of those with one of its words, if any."""

    text: str
    test: str | None
    words: tuple[str, ...]

    def covers(self, command: str) -> bool:
        return not self.words or any(word in command for word in self.words)


@dataclass(frozen=True)
class Block:
    """A block of bash: its commands, and its marks."""

    page: str
    commands: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def run(self) -> list[str]:
        """Return the commands that no mark takes out."""
        return [x for x in self.commands if not any(mark.covers(x) for mark in self.marks)]


def blocks(page: str, text: str | None = None) -> list[Block]:
    """Return the blocks of a page.

    Raises:
        ValueError: a comment above a block looks like a mark and is none.
    """
    text = (ROOT / page).read_text(encoding="utf-8") if text is None else text
    found = []
    for above, code in BLOCK.findall(text):
        marks = []
        for line in above.splitlines():
            match = MARK.fullmatch(line)
            if match is None:
                raise ValueError(f"{page}: {line}: neither 'not run: WHY' nor 'run by FILE::TEST'")
            words = match["some"] or match["those"] or ""
            marks.append(Mark(line, match["test"], tuple(filter(None, words.split(", ")))))
        found.append(Block(page, commands(code), marks))
    return found


def commands(code: str) -> list[str]:
    """Divide bash into commands: lines, joined where a quote is open or a backslash ends one."""
    found, waiting = [], ""
    for line in code.splitlines(keepends=True):
        waiting += line
        try:
            words = shlex.split(waiting, comments=True)
        except ValueError:  # a quote is open
            continue
        if not waiting.rstrip("\n").endswith("\\"):
            found += [waiting] if words else []
            waiting = ""
    assert not waiting.strip(), waiting
    return found


def task_of(command: str) -> str:
    """Return the task that a command runs, or the path it asks for, its script or its program."""
    words = [word for word in shlex.split(command, comments=True) if "=" not in word[1:]]
    if words[0] == "curl":
        return "/" + next(word for word in words if "localhost:" in word).partition("/")[2]
    if "inv" in words:
        return words[words.index("inv") + 1]
    if words[:2] == ["uv", "run"]:
        rest = words[2:]
        while rest[0].startswith("--"):
            rest = rest[2 if rest[0] in ("--extra", "--group") else 1 :]
        is_script = rest[0] == "python" and rest[1].endswith(".py")
        return PurePosixPath(rest[1]).name if is_script else rest[0]
    return words[0]


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
