"""The report's pictures: which run one shows, as its file says, and a copy small enough for git."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from shelfmark.errors import ShelfmarkError

# The keywords under which `pictures.save` writes them.
RUN, CREATED = "Source", "Creation Time"
COLOURS = 64  # enough for charts, at a quarter of the bytes


class Mark(NamedTuple):
    """What a picture says of itself: the run's name and the time of its figures; None: nothing."""

    run: str | None
    created: str | None


def mark(path: Path) -> Mark:
    """Return which run a picture shows.

    Raises:
        ShelfmarkError: it is no picture.
    """
    with _opened(path) as image:
        return Mark(image.info.get(RUN), image.info.get(CREATED))


def smaller(path: Path, run: str, created: str) -> bytes:
    """Return a picture with fewer colours, marked with the run it shows, as a PNG.

    Raises:
        ShelfmarkError: it is no picture.
    """
    with _opened(path) as image:
        info = PngImagePlugin.PngInfo()
        info.add_text(RUN, run)
        info.add_text(CREATED, created)
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    made = io.BytesIO()
    few.save(made, "PNG", optimize=True, pnginfo=info)
    return made.getvalue()


def _opened(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise ShelfmarkError(f"{path} is no readable picture: {error}") from error
    return image
