"""Gathers the pages of the site in build/pages: those of docs/, and those made of the code.

A link of docs/ to a file of the project leads to a page that shows the file, so that the site is
whole wherever it is published. Zensical builds it from there; `inv docs` calls both.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts import config_page, reference_pages

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = ROOT / "build" / "pages"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LANGUAGE = {".py": "python", ".yaml": "yaml", ".json": "json", ".sh": "bash", ".toml": "toml"}
ADDRESS = "localhost:8001"  # beside the service


def main(words: list[str]) -> None:
    """Write all pages; with `--serve`, show them, and write them again whenever docs/ changes."""
    gather(PAGES)
    if "--serve" not in words:
        return
    command = [sys.executable, "-m", "zensical", "serve", "--dev-addr", ADDRESS]
    with subprocess.Popen(command, cwd=ROOT) as shown:
        before = state()
        try:
            while shown.poll() is None:
                time.sleep(1)
                if (now := state()) != before:
                    gather(PAGES)
                    before = now
        except KeyboardInterrupt:
            shown.terminate()


def state() -> dict[Path, float]:
    """Return when each file of docs/ was last changed."""
    return {path: path.stat().st_mtime for path in DOCS.rglob("*") if path.is_file()}


def gather(folder: Path) -> None:
    """Write all pages into a folder; files that stay as they were are not touched."""
    pages = {"reference/configuration.md": config_page.page(),
             "reference/commands.md": reference_pages.commands(),
             **reference_pages.api()}  # fmt: skip
    for file in sorted(DOCS.glob("*.md")):
        pages[file.name] = file.read_text(encoding="utf-8")
    pages["environment.md"] = reference_pages.environment(pages["environment.md"])
    shown: dict[str, Path] = {}
    pages = {name: with_links(name, text, shown) for name, text in pages.items()}
    pages |= {name: file_page(path) for name, path in shown.items()}
    for old in folder.rglob("*.md"):
        if old.relative_to(folder).as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    shutil.copytree(DOCS / "pictures", folder / "pictures", dirs_exist_ok=True)


def with_links(name: str, text: str, shown: dict[str, Path]) -> str:
    """Return a page whose links to files of the project lead to pages, noted in `shown`.

    Raises:
        ValueError: a link leads to what is not there.
    """

    def moved(match: re.Match[str]) -> str:
        place, anchor = match[1], match[2] or ""
        inside = Path(os.path.normpath(DOCS / Path(name).parent / place))
        if inside.is_relative_to(DOCS):
            return match[0]
        if not inside.exists():
            raise ValueError(f"{name}: {place} is not there")
        if inside == ROOT / "README.md":
            page = "index.md"
        else:
            # Zensical passes over names that begin with a dot.
            page = f"files/{inside.relative_to(ROOT).as_posix().lstrip('.')}.md"
            shown[page] = inside
        return f"]({os.path.relpath(page, Path(name).parent).replace(os.sep, '/')}{anchor})"

    parts = FENCED.split(text)  # those at odd places are code
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def file_page(path: Path) -> str:
    """Return a page that shows a file, or each file of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    lines = [f"# {path.relative_to(ROOT).as_posix()}", ""]
    for file in files:
        if file.is_file():
            lines += [f"## {file.name}", ""] if path.is_dir() else []
            content = file.read_text(encoding="utf-8").rstrip("\n")
            lines += [f"````{LANGUAGE.get(file.suffix, 'text')}", content, "````", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
