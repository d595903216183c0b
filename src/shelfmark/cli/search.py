"""`shelfmark index` and `search`: an index of papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shelfmark.cli.encoders import encoder_option, encoders_option, local_encoder
from shelfmark.cli.parsing.command import Command, Number, Whole
from shelfmark.cli.parsing.options import LocalPath
from shelfmark.cli.parsing.overrides import (
    INDEX_GROUPS,
    OverridesCommand,
    index_overrides_argument,
    load_index_settings,
)

if TYPE_CHECKING:
    from datetime import date

    from shelfmark.config.search import IndexSettings
    from shelfmark.embeddings.locate import LocatedEncoder

OF_ADDITIONS = ("paths.", "data.max_bad=", "log_level=")
index_option = click.option(
    "--index", type=LocalPath(), default="index", show_default=True, help="Folder of the index."
)


def require_paths(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Return paths; an empty one, as of a variable that is not set, is refused."""
    if not all(value.strip() for value in values):
        raise click.BadParameter("the path is empty", context, parameter)
    return values


@click.command(
    "index",
    cls=OverridesCommand,
    groups=INDEX_GROUPS,
    stopped="the index is unchanged; the same command goes on",
)
@click.option(
    "--add", "files", multiple=True, callback=require_paths,
    help="Add the papers of a file in the layout of arXiv's snapshot, such as a harvest, to the "
    "index; newer records replace older ones. Several with the option again.",
)  # fmt: skip
@encoder_option
@index_overrides_argument
def build_index(overrides: tuple[str, ...], files: tuple[str, ...], encoder: str) -> None:
    """Build an index of papers, or add papers to it.

    Without any encoder, one is trained first, on the same papers.
    """
    settings = load_index_settings(overrides)
    from shelfmark.cli.extras import require_extra
    from shelfmark.search.build import add, build
    from shelfmark.search.vectors.methods import choose_method

    method = choose_method(settings.index, settings.engine, 1, settings.seed)
    for module, extra in method.needs.items():
        require_extra(module, extra)
    if files:
        _require_folders_alone(overrides, encoder)
        click.echo(str(add.add_papers(settings, files)))
        return
    with _encoder(encoder, settings, overrides) as located:
        build.build_index(settings, located)
    click.echo(settings.paths.index)


def _require_folders_alone(overrides: tuple[str, ...], encoder: str) -> None:
    """Check that an addition is asked for nothing that the index has decided already."""
    from shelfmark.artifacts.aliases import LATEST
    from shelfmark.errors import ShelfmarkError

    if encoder != LATEST:
        raise ShelfmarkError("--add uses the encoder that made the index: leave --encoder away")
    for word in overrides:
        if not word.startswith(OF_ADDITIONS):
            raise ShelfmarkError(
                f"{word}: --add takes paths.index, paths.encoders, data.max_bad and log_level alone"
            )


@contextmanager
def _encoder(
    encoder: str, settings: IndexSettings, overrides: tuple[str, ...]
) -> Iterator[LocatedEncoder]:
    """Yield the encoder; if there is none at all, one is trained."""
    from loguru import logger

    from shelfmark.artifacts.aliases import LATEST
    from shelfmark.core import storage

    encoders = settings.paths.encoders
    missing = not storage.is_remote(encoders) and not Path(encoders, LATEST).exists()
    if encoder == LATEST and missing:
        from shelfmark.config.load import load_encoder_config
        from shelfmark.training.train_encoder import train_encoder

        logger.info("no encoder in {}: training one, as train-encoder does", encoders)
        own = [x for x in overrides if x.partition(".")[0].partition("=")[0] not in INDEX_GROUPS]
        train_encoder(load_encoder_config(own))
    with local_encoder(encoder, encoders) as located:
        yield located


def _parse(parse: Callable[[str], Any]) -> Callable[..., Any]:
    """Return a callback that parses the value of an option, or all of its values."""

    def convert(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                names = [name for part in value for name in part.split(",") if name.strip()]
                return tuple(parse(name) for name in names)
            return parse(value) if value else None
        except ValueError as error:
            raise click.BadParameter(f"{value}: {error}", context, parameter) from None

    return convert


def _parse_since(text: str) -> date:
    from shelfmark.search.query.values import parse_since

    return parse_since(text)


def _parse_until(text: str) -> date:
    from shelfmark.search.query.values import parse_until

    return parse_until(text)


@click.command("search", cls=Command)
@click.argument("text", required=False, default="")
@click.option("--like", multiple=True, help="Identifier of a paper whose neighbours are wanted.")
@click.option("--unlike", multiple=True, help="Identifier of a paper to stay away from.")
@click.option("--k", type=Whole(1, 1000), default=10, show_default=True, help="Number of papers.")
@click.option("--category", multiple=True, help="Category, archive or group of the papers.")
@click.option("--exclude", multiple=True, help="Category, archive or group of no paper.")
@click.option("--primary", is_flag=True, help="--category is the primary one.")
@click.option("--since", callback=_parse(_parse_since), help="First day, month or year: 2018-05.")
@click.option("--until", callback=_parse(_parse_until), help="Last day, month or year.")
@click.option(
    "--words", type=Number(0, 1), default=0.7, show_default=True,
    help="Weight of the words; that of the meaning is the rest.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as into a pipe.")
@index_option
@encoders_option
def search(
    text: str,
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    k: int,
    category: tuple[str, ...],
    exclude: tuple[str, ...],
    primary: bool,
    since: date | None,
    until: date | None,
    words: float,
    as_json: bool,
    index: Path,
    encoders: str,
) -> None:
    """Find papers by a text, an identifier, an address or a title.

    The text is a few words, a title or a whole abstract.
    """
    import sys

    import orjson

    from shelfmark.search.filters import Filters
    from shelfmark.search.index import Index
    from shelfmark.search.query.search_query import SearchQuery
    from shelfmark.search.query.show import show_result

    filters = Filters(_names(category), _names(exclude), since, until, primary)
    query = SearchQuery(
        text, like=_names(like), unlike=_names(unlike), k=k, filters=filters, words=words,
        explain=True,
    )  # fmt: skip
    [result] = Index.open(index, encoders=encoders, whole=False).search([query])
    if as_json or not sys.stdout.isatty():
        click.echo(orjson.dumps(result.to_json()))
    else:
        click.echo(show_result(result))


def _names(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return names that are given with commas between them, or by the option again."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


COMMANDS = (build_index, search)
