"""Write the report: the page of all runs on disk, with the figures and pictures that it shows.

`reports/README.md` is the page, `reports/figures/<run>/` has the `metrics.json` of each run and the
pictures of the page. They are small enough for git, which the runs themselves are not.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import orjson
from loguru import logger
from markdown_it import MarkdownIt
from markdown_it.token import Token

from shelfmark.core import files, pages, provenance
from shelfmark.errors import ShelfmarkError
from shelfmark.reports import sections
from shelfmark.reports.collect import (
    FIGURES,
    METRICS,
    PAGE,
    Run,
    Runs,
    find_runs,
    find_unshown,
    read_page,
    read_published_runs,
    shrink_picture,
)

COMMAND = "shelfmark report"
MOST_ROWS = 20  # of a table that is not folded
CODE = re.compile(r"`(.+?)`")
MODELS = re.compile(r"--models[ =]([\w,.-]+)")
COMMENT = re.compile(r"<!--(?:[^<]|<(?!!--))*?-->")


def write_report(
    reports: Path = Path("reports"),
    models: Path = Path("models"),
    data: Path = Path("data"),
    names: Sequence[str] = (),
) -> Path:
    """Write the report and return its page; the previous report stays until this one is complete.

    Runs of the previous report that are not on disk stay in it, as in a clone of the repository. If
    models are named, the page shows those alone, and the figures of all others that are not on disk
    stay too.

    Args:
        reports: folder of the runs, where the report is written too.
        models: folder of the models.
        data: folder of the splits.
        names: the models to report; by default all that were evaluated on the test split.

    Raises:
        ShelfmarkError: there is no run, a file is damaged, or the disk is full.
    """
    published = read_published_runs(reports, ())
    runs = find_runs(reports, models, data, names, published)
    files.clear_leftovers(reports)
    with (
        files.atomic_write(reports / PAGE) as page,
        files.atomic_folder(reports / FIGURES, replace=True) as figures,
    ):
        _copy_figures([*runs.all_runs(), *find_unshown(reports, runs, published)], figures, reports)
        page.write(render_report(runs, provenance.command()).encode())
    logger.info("report: {}", reports / PAGE)
    return reports / PAGE


def render_report(runs: Runs, command: str | None) -> str:
    """Return the report in Markdown, which depends on nothing but the runs.

    Args:
        runs: those it shows.
        command: that writes it, if it is known.
    """
    page = pages.render(
        "reports/templates/report.md",
        command=command or COMMAND,
        synthetic=any(run.synthetic for run in runs.all_runs()),
        data=[sections.describe_data(run) for run in runs.data],
        comparison=sections.compare_models(runs),
        trainings=runs.trainings,
        errors=[sections.describe_errors(run) for run in runs.evaluations],
        drift=sections.describe_drift(runs.drift) if runs.drift else None,
        robustness=[sections.describe_robustness(run) for run in runs.robustness],
        loads=[sections.describe_load(run) for run in runs.loads],
        encoders=[sections.describe_encoders(run) for run in runs.encoders],
        missing=_missing_runs(runs),
        most_rows=MOST_ROWS,
        code=sections.code,
        count="{:,}".format,
        minute=_minute,
    )
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def rewrite_page(reports: Path) -> Path:
    """Write the page of a report again from its own figures, after a change of its wording.

    Raises:
        ShelfmarkError: there is no report, or its figures are damaged.
    """
    command = next(iter(CODE.findall(read_page(reports))), None)
    models = MODELS.findall(command or "")
    runs = read_published_runs(reports, models[0].split(",") if models else ())
    with files.atomic_write(reports / PAGE) as file:
        file.write(render_report(runs, command).encode())
    return reports / PAGE


def _missing_runs(runs: Runs) -> dict[str, str]:
    """Return each kind of run that is missing, with the command that makes it."""
    model = runs.evaluations[-1].model if runs.evaluations else "latest"
    kinds: dict[str, tuple[str, object]] = {
        "evaluation on the test split": ("evaluate --model {}", runs.evaluations),
        "comparison with new papers": ("drift --model {} --papers FILE", runs.drift),
        "measurement of robustness": ("robustness --model {}", runs.robustness),
        "load test": ("load-test --model {}", runs.loads),
        "evaluation of encoders": ("evaluate-encoder", runs.encoders),
    }
    return {
        kind: f"shelfmark {command.format(model)}"
        for kind, (command, found) in kinds.items()
        if not found
    }


def _minute(created: str | None) -> str:
    return f"{created[:16].replace('T', ' ')} UTC" if created else "at a time not recorded"


def _copy_figures(runs: Sequence[Run], folder: Path, reports: Path) -> None:
    """Copy the figures of each run, and its pictures in fewer bytes."""
    for run in runs:
        target = folder / run.name
        target.mkdir(parents=True)
        (target / METRICS).write_bytes(_serialise(run))
        for picture in run.pictures:
            if picture.parent.parent == reports / FIGURES:  # of the last report, and small
                small = files.read_bytes(picture)
            else:
                small = shrink_picture(picture, run.name, run.figures["created"])
            (target / picture.name).write_bytes(small)


def _serialise(run: Run) -> bytes:
    """Return a run's figures as JSON with one key a line, so that git shows what changed."""
    rows = (orjson.dumps(key) + b": " + orjson.dumps(x) for key, x in run.figures.items())
    return b"{\n" + b",\n".join(rows) + b"\n}\n"


def render_html(text: str, folder: Path) -> str:
    """Return a report as one HTML page that needs no other file: its pictures are embedded.

    Args:
        text: the report in Markdown.
        folder: of its pictures.

    Raises:
        ShelfmarkError: a picture is missing, or lies outside the folder.
    """
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    tokens = reader.parse(COMMENT.sub("", text))
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                child.attrs["src"] = _embed_picture(str(child.attrs["src"]), folder)
            if child.type == "link_open" and "://" not in str(child.attrs.get("href")):
                child.attrs.pop("href")  # the file that it names does not come with the page
    content = reader.renderer.render(tokens, reader.options, {})
    content = content.replace("<table>", '<div class="scroll" tabindex="0"><table>')
    content = content.replace("</table>", "</table></div>")
    return pages.render("reports/templates/report.html", title=_title(tokens), content=content)


def _title(tokens: list[Token]) -> str:
    return next((token.content for token in tokens if token.type == "inline"), "Reports")


def _embed_picture(source: str, folder: Path) -> str:
    """Return a picture as a data URL."""
    path = (folder / unquote(source)).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise ShelfmarkError(
            f"{folder / source} is missing: write the report again, shelfmark report"
        )
    return f"data:image/png;base64,{base64.b64encode(files.read_bytes(path)).decode()}"
