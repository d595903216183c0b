"""Whether a number in a text is the rounding of one among some figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

DATE = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?"
# Not what belongs to a name: top-3, F1, p95.
NUMBER = (
    r"(?<![A-Za-z_]-)(?<![\w.])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?(?:\s?%)?"
)
TOKEN = re.compile(f"{DATE}|{NUMBER}")
SLACK = Decimal("1.000001")  # a float times 100 is not always what it should be


@dataclass(frozen=True)
class Source:
    """Figures that a text may take its numbers from.

    Args:
        tree: the figures.
        model: the model of their run.
        whole: whether those deeper in the tree count too.
    """

    tree: Any
    model: str
    whole: bool

    def about(self, name: str) -> list[Source]:
        """Return what lies below a key of this name, or the entries that have it for a value."""
        if isinstance(self.tree, dict):
            if name in self.tree:
                return [Source(self.tree[name], self.model, True)]
            return [self] if name in self.tree.values() else []
        if isinstance(self.tree, list):
            items = (Source(item, self.model, True) for item in self.tree)
            return [found for item in items for found in item.about(name)]
        return []

    def leaves(self) -> Iterator[Any]:
        """Go through the numbers, the texts and the keys."""
        if self.whole or not isinstance(self.tree, dict):
            yield from _leaves(self.tree)
        else:
            yield from (x for x in self.tree.values() if not isinstance(x, (dict, list)))


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        yield from tree
        for below in tree.values():
            yield from _leaves(below)
    elif isinstance(tree, list):
        for below in tree:
            yield from _leaves(below)
    else:
        yield tree


def narrowed(sources: list[Source], names: Iterable[str]) -> list[Source]:
    """Return what sources say of some names, models, keys or entries: nothing of an unknown one."""
    for name in names:
        of_model = [source for source in sources if source.model == name]
        sources = of_model or [found for source in sources for found in source.about(name)]
    return sources


def unfounded(text: str, sources: list[Source]) -> list[str]:
    """Return the numbers and dates of a text that are not among the figures of its sources."""
    leaves = [leaf for source in sources for leaf in source.leaves()]
    numbers = [
        Decimal(leaf)
        for leaf in leaves
        if isinstance(leaf, (int, float)) and not isinstance(leaf, bool)
    ]
    texts = " ".join(leaf.replace("T", " ") for leaf in leaves if isinstance(leaf, str))
    return [
        token
        for token in TOKEN.findall(text)
        if not (_quoted(token, texts) or _rounded(token, numbers))
    ]


def _quoted(token: str, texts: str) -> bool:
    """Whether a date, or a number within words, stands there just so."""
    return re.search(rf"(?<![\w.,-]){re.escape(token)}(?![\w.,]?\w)", texts) is not None


def _rounded(token: str, numbers: list[Decimal]) -> bool:
    if re.fullmatch(DATE, token):
        return False
    shown = Decimal(token.rstrip("%").strip().replace(",", "").replace("−", "-"))
    exponent = shown.as_tuple().exponent
    assert isinstance(exponent, int)  # a number that the pattern lets through is finite
    reach = SLACK * Decimal(1).scaleb(exponent) / 2
    scale = 100 if token.endswith("%") else 1
    return any(abs(number * scale - shown) <= reach for number in numbers)
