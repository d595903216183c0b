"""`shelfmark train-encoder`, `embed`, `evaluate-encoder` and `landscape`: vectors of papers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shelfmark.cli.extras import require_extra, require_training
from shelfmark.cli.output import print_table
from shelfmark.cli.parsing.command import Command, Whole
from shelfmark.cli.parsing.options import (
    LocalPath,
    expand_home,
    reports_option,
    without_empty,
)
from shelfmark.cli.parsing.overrides import (
    ENCODER_GROUPS,
    OverridesCommand,
    encoder_overrides_argument,
    load_encoder_settings,
)

if TYPE_CHECKING:
    from shelfmark.config.encoders import EncoderSettings
    from shelfmark.embeddings.locate import LocatedEncoder
    from shelfmark.evaluation.landscape.projection import Method

encoder_option = click.option(
    "--encoder", default="latest", show_default=True,
    help="Name of an encoder in the encoders folder, its folder, or its address.",
)  # fmt: skip
encoders_option = click.option(
    "--encoders", default="encoders", show_default=True,
    help="Folder or bucket (gs://...) of the encoders.",
)  # fmt: skip


@contextlib.contextmanager
def local_encoder(encoder: str, encoders: str) -> Iterator[LocatedEncoder]:
    """Yield an encoder's folder as `locate_encoder` does; the extra that it needs is installed.

    Raises:
        ShelfmarkError: as `locate_encoder`, or the extra is not installed.
    """
    from shelfmark.core import storage
    from shelfmark.embeddings import artifact
    from shelfmark.embeddings.families import family_of
    from shelfmark.embeddings.locate import locate_encoder

    if {place.partition("://")[0] for place in (encoder, encoders)} & set(storage.GOOGLE):
        require_extra("gcsfs", "gs")
    with locate_encoder(expand_home(encoder), expand_home(encoders)) as located:
        for module, extra in family_of(artifact.read_card(located.folder).kind).needs.items():
            require_extra(module, extra)
        yield located


@click.command(
    "train-encoder",
    cls=OverridesCommand,
    groups=ENCODER_GROUPS,
    stopped="the same command resumes after the last finished epoch",
)
@encoder_overrides_argument
def train_encoder(overrides: tuple[str, ...]) -> None:
    """Train an encoder: make missing splits, train, measure on validation, save."""
    if "tracking=wandb" in overrides:
        require_extra("wandb", "wandb")
    from shelfmark.cloud.job import run_in_job
    from shelfmark.config.trainings import ENCODER
    from shelfmark.evaluation.encoders.validation import figures_table
    from shelfmark.training import train_encoder as training

    settings = load_encoder_settings(overrides)
    require_training(settings)

    def train_and_print(settings: EncoderSettings) -> Path:
        result = training.train_encoder(settings)
        if result.metrics is not None:
            print_table(figures_table(result.metrics))
        return result.folder

    run_in_job(settings, ENCODER, train_and_print)


@click.command("embed", cls=Command)
@click.option("--text", default="", help="One text to encode; its vector is printed as JSON.")
@click.option(
    "--file", "files", multiple=True, callback=without_empty,
    help="Text, JSON, CSV, Parquet or Arrow, packed or not; - for standard input. A folder, a "
    "pattern in quotes, or the option again names several files.",
)  # fmt: skip
@click.option("--out", default="", help="File to write the vectors to, as .npy or .parquet.")
@click.option(
    "--ids", default="",
    help="Text file to write the identifiers to, a line for each row of a .npy file.",
)  # fmt: skip
@click.option(
    "--size", type=Whole(1),
    help="Numbers of a vector, one of the sizes on the encoder's card; all if not given.",
)  # fmt: skip
@encoder_option
@encoders_option
def embed_papers(
    text: str, files: tuple[str, ...], out: str, ids: str, size: int | None, encoder: str,
    encoders: str,
) -> None:  # fmt: skip
    """Encode a file of papers into vectors, as .npy or Parquet, or one text into JSON."""
    import orjson

    from shelfmark.embeddings import embed
    from shelfmark.errors import ShelfmarkError

    if bool(text) == bool(files):
        raise ShelfmarkError("give --text TEXT or --file FILE (- for standard input)")
    if text and (out or ids):
        raise ShelfmarkError("--text prints the vector: leave --out and --ids away")
    with local_encoder(encoder, encoders) as located:
        if text:
            click.echo(orjson.dumps(embed.embed_text(located, text, size)))
        else:
            places = expand_home(out), expand_home(ids)
            embed.embed_file(located, files, *places, size).require_papers()


@click.command("evaluate-encoder", cls=Command, stopped="the last report is unchanged")
@click.option(
    "--encoder", "names", multiple=True, default=("latest",), show_default=True,
    help="Name of an encoder in the encoders folder, its folder, or its address; several, with "
    "commas or the option again, in one table.",
)  # fmt: skip
@click.option("--split", default="test", show_default=True, help="test, validation or train.")
@click.option(
    "--baselines/--no-baselines", default=True, show_default=True,
    help="Fit and measure TF-IDF and LSA too.",
)  # fmt: skip
@click.option(
    "--pool", type=Whole(2), default=50_000, show_default=True,
    help="Largest number of papers that a title is searched among; fewer are quicker.",
)  # fmt: skip
@encoders_option
@reports_option
def evaluate_encoder(
    names: tuple[str, ...], split: str, baselines: bool, pool: int, encoders: str, reports: Path
) -> None:
    """Measure encoders on the test split by retrieval metrics and by speed, with two baselines."""
    from shelfmark.evaluation.encoders.run import evaluate_encoders

    wanted = [name for part in names for name in part.split(",") if name] or ["latest"]
    with contextlib.ExitStack() as stack:
        located = [stack.enter_context(local_encoder(name, encoders)) for name in wanted]
        report = evaluate_encoders(located, reports, split, baselines, pool)
    print_table(report.table())


@click.command("landscape", cls=Command, stopped="the last pictures are unchanged")
@encoder_option
@click.option("--split", default="validation", show_default=True, help="validation, test or train.")
@click.option(
    "--papers", type=Whole(1, 50_000), default=20_000, show_default=True,
    help="Largest number of papers; of more, a sample is drawn.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["tsne", "pca"]), default="tsne", show_default=True,
    help="t-SNE, of the extra landscape, or the two principal components.",
)  # fmt: skip
@click.option(
    "--seed", type=Whole(0), default=7, show_default=True,
    help="Random seed that selects the papers, and of t-SNE.",
)  # fmt: skip
@click.option(
    "--index", type=LocalPath(), default=None,
    help="Folder of an index, whose papers are drawn in place of a split's; the page of the "
    "service shows them.",
)  # fmt: skip
@encoders_option
@reports_option
def landscape(
    encoder: str, split: str, papers: int, method: Method, seed: int, index: Path | None,
    encoders: str, reports: Path,
) -> None:  # fmt: skip
    """Draw the vectors of a split's papers in a plane, coloured by group and by category."""
    if method == "tsne":
        require_extra("openTSNE", "landscape")
    from shelfmark.evaluation.landscape.run import draw_index, draw_landscape
    from shelfmark.search.index import Index

    if index is not None:
        with Index.open(index, encoders=encoders, whole=False) as papers_of:
            written = draw_index(papers_of, index, reports, papers, method, seed)
    else:
        with local_encoder(encoder, encoders) as located:
            written = draw_landscape(located, reports, split, papers, method, seed)
    for path in written:
        click.echo(path)


COMMANDS = (train_encoder, embed_papers, evaluate_encoder, landscape)
