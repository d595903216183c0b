"""`shelfmark predict`, `harvest` and `classify-new`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shelfmark.cli.encoders import encoders_option
from shelfmark.cli.parsing.command import Command, Number, Whole
from shelfmark.cli.parsing.options import (
    LocalPath,
    expand_home,
    local_model,
    model_option,
    models_option,
    models_or_bucket_option,
    without_empty,
)


@click.command("predict", cls=Command)
@click.option("--text", default="", help="One text to classify.")
@click.option(
    "--file", "files", multiple=True,
    callback=without_empty,
    help="Text, JSON, CSV, Parquet or Arrow, packed or not; - for standard input. A folder, a "
    "pattern in quotes, or the option again names several files.",
)  # fmt: skip
@click.option(
    "--out", default="-",
    help="File to write, as .jsonl, .csv, .tsv or .parquet, compressed (.gz, .zst, …) or not; JSON "
    "lines on standard output if not given.",
)  # fmt: skip
@model_option
@click.option(
    "--top-k", type=Whole(1), default=5, show_default=True,
    help="Number of categories in the ranking.",
)  # fmt: skip
@click.option(
    "--explain", is_flag=True, help="Add the words that contribute most to each prediction."
)
@models_or_bucket_option
def predict(
    text: str, files: tuple[str, ...], out: str, model: str, top_k: int, explain: bool, models: str
) -> None:
    """Classify one text, or a file of papers, into JSON lines, CSV, TSV or Parquet."""
    from shelfmark.errors import ShelfmarkError
    from shelfmark.models import predict

    if bool(text) == bool(files):
        raise ShelfmarkError("give --text TEXT or --file FILE (- for standard input)")
    out = expand_home(out)
    with local_model(models, model) as folder:
        if text:
            predict.predict_text(folder, text, out, top_k, explain)
        else:
            predict.predict_file(folder, files, out, top_k, explain).require_papers()


add_to_index_option = click.option(
    "--index", type=LocalPath(), default=None,
    help="Folder of an index; the harvest is added to it too.",
)  # fmt: skip
STOPPED = "the papers received so far are kept, the same command resumes"


def repository_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a harvest to a command."""
    for option in (
        click.option(
            "--interval", type=Number(min=0), default=3.0, show_default=True,
            help="Seconds between two requests.",
        ),
        click.option(
            "--url", default="",
            help="Base URL of another OAI-PMH repository with the format arXivRaw.",
        ),
        click.option(
            "--contact", default="",
            help="Your e-mail address or page, sent to arXiv with each request.",
        ),
        click.option(
            "--sets", default="",
            help="Groups, archives or categories, as cs,math.AG; those of the last harvest if not "
            "given.",
        ),
        click.option(
            "--since", default="",
            help="First day of the changes, as 2026-11-01; that of the last harvest if not given.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("harvest", cls=Command, stopped=STOPPED)
@repository_options
@click.option(
    "--out", type=LocalPath(file=True), default="harvest/papers.jsonl", show_default=True,
    help="File to write or to update, of JSON lines; - for standard output.",
)  # fmt: skip
@add_to_index_option
@encoders_option
def harvest(
    since: str, sets: str, contact: str, url: str, interval: float, out: Path, index: Path | None,
    encoders: str,
) -> None:  # fmt: skip
    """Fetch new papers from arXiv by OAI-PMH into a file for data=snapshot."""
    from shelfmark.arxiv import harvest, oai
    from shelfmark.core.output import targets
    from shelfmark.errors import ShelfmarkError

    asked = oai.Repository(url or oai.ARXIV, contact, interval)
    out = Path("/dev/stdout") if out == Path("-") else out
    if index is not None and targets.is_stream(out):
        raise ShelfmarkError("--index: the papers are added from a file: give --out FILE")
    _require_index(index)
    done = harvest.harvest_papers(out, since, sets.split(","), asked)
    # Standard output may be where the papers went.
    streamed = targets.is_stream(out)
    click.echo(done, err=streamed)
    _add_to_index(done.path, index, encoders)
    click.echo(oai.THANKS, err=streamed)


def _require_index(index: Path | None) -> None:
    """Check that there is an index to add to, before hours of requests."""
    if index is not None:
        from shelfmark.search.manifest import read_manifest

        read_manifest(index)


def _add_to_index(papers: Path, index: Path | None, encoders: str) -> None:
    """Add the papers of a harvest to an index, and delete those that arXiv has deleted."""
    if index is not None:
        from shelfmark.config.load import load_index_config
        from shelfmark.search.build.add import add_papers

        settings = load_index_config()
        paths = settings.paths.model_copy(update={"index": str(index), "encoders": encoders})
        changes = add_papers(settings.model_copy(update={"paths": paths}), papers)
        click.echo(f"{index}: {changes}")


@click.command("classify-new", cls=Command, stopped=STOPPED)
@repository_options
@model_option
@click.option(
    "--folder", type=LocalPath(), default="harvest", show_default=True,
    help="Folder of the papers and the tables.",
)  # fmt: skip
@click.option(
    "--days", type=Whole(0), default=30, show_default=True,
    help="Leave out papers submitted more than so many days before --since, as updates.",
)  # fmt: skip
@models_option
@add_to_index_option
@encoders_option
def classify_new(
    since: str, sets: str, contact: str, url: str, interval: float, model: str, folder: Path,
    days: int, models: Path, index: Path | None, encoders: str,
) -> None:  # fmt: skip
    """Harvest and classify new papers, and write the moderators' table as CSV and HTML."""
    from shelfmark.arxiv import harvest, oai
    from shelfmark.reports import moderators

    chosen = moderators.check_model(models / model, days)  # before hours of fetching
    _require_index(index)
    asked = oai.Repository(url or oai.ARXIV, contact, interval)
    done = harvest.harvest_papers(folder / "papers.jsonl", since, sets.split(","), asked)
    click.echo(done)
    _add_to_index(done.path, index, encoders)
    click.echo(moderators.write_table(chosen, done, folder, days))
    click.echo(oai.THANKS)


COMMANDS = (predict, harvest, classify_new)
