"""Writes the pages of the site to build/pages: those of docs/, and those generated from the code.

A link of docs/ to a file of the repository becomes a link to a page that shows the file, so that
the site works wherever it is published. Zensical builds the site from build/pages; `inv docs` runs
both steps.
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
    """Write all pages; with `--serve`, serve them, and write them again if docs/ changes."""
    write_pages(PAGES)
    if "--serve" not in words:
        return
    command = [sys.executable, "-m", "zensical", "serve", "--dev-addr", ADDRESS]
    with subprocess.Popen(command, cwd=ROOT) as shown:
        before = modification_times()
        try:
            while shown.poll() is None:
                time.sleep(1)
                if (now := modification_times()) != before:
                    write_pages(PAGES)
                    before = now
        except KeyboardInterrupt:
            shown.terminate()


def modification_times() -> dict[Path, float]:
    """Return the modification time of each file of docs/."""
    return {path: path.stat().st_mtime for path in DOCS.rglob("*") if path.is_file()}


def write_pages(folder: Path) -> None:
    """Write all pages into a folder; unchanged files are not rewritten."""
    pages = {"reference/configuration.md": config_page.render_page(),
             "reference/commands.md": reference_pages.render_commands(),
             **reference_pages.render_api()}  # fmt: skip
    for file in sorted(DOCS.glob("*.md")):
        pages[file.name] = file.read_text(encoding="utf-8")
    pages["environment.md"] = reference_pages.render_environment(pages["environment.md"])
    shown: dict[str, Path] = {}
    pages = {name: rewrite_links(name, text, shown) for name, text in pages.items()}
    pages |= {name: render_file(path) for name, path in shown.items()}
    for old in folder.rglob("*.md"):
        if old.relative_to(folder).as_posix() not in pages:
            old.unlink()
    for name, text in pages.items():
        target = folder / name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    shutil.copytree(DOCS / "pictures", folder / "pictures", dirs_exist_ok=True)


def rewrite_links(name: str, text: str, shown: dict[str, Path]) -> str:
    """Return a page whose links to files of the repository lead to pages, added to `shown`.

    Raises:
        ValueError: the target of a link does not exist.
    """

    def moved(match: re.Match[str]) -> str:
        place, anchor = match[1], match[2] or ""
        inside = Path(os.path.normpath(DOCS / Path(name).parent / place))
        if inside.is_relative_to(DOCS):
            return match[0]
        if not inside.exists():
            raise ValueError(f"{name}: {place} does not exist")
        if inside == ROOT / "README.md":
            page = "index.md"
        else:
            # Zensical ignores names that begin with a dot.
            page = f"files/{inside.relative_to(ROOT).as_posix().lstrip('.')}.md"
            shown[page] = inside
        return f"]({os.path.relpath(page, Path(name).parent).replace(os.sep, '/')}{anchor})"

    parts = FENCED.split(text)  # parts at odd positions are code
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def render_file(path: Path) -> str:
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
