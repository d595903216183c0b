"""The names of authors, in one form whatever the source."""

from __future__ import annotations

import pytest

from shelfmark.arxiv.authors import MOST_AUTHORS, parse_authors


@pytest.mark.parametrize(
    ("authors", "names"),
    [
        ("Ileana Streinu, Louis Theran", ["streinu, ileana", "theran, louis"]),
        (r"Paul Erd\H{o}s and J. A. Smith", ["erdos, paul", "smith, j a"]),
        ("A. Bee (CERN, Geneva), C. Dee", ["bee, a", "dee, c"]),
        ("Plato", ["plato"]),
        ([["Abu-Shammala", "Wael", ""], ["Erdős", "P.", "Jr"]], ["abu-shammala, wael", "erdos, p"]),
        ([["Plato"]], ["plato"]),
        ("Ann Bee, Ann Bee", ["bee, ann"]),
        ("", []),
        (None, []),
        (["Ann Bee"], []),
        ([[None, 3]], []),
        ({"a": 1}, []),
    ],
)
def test_authors_become_surname_and_given_names(authors: object, names: list[str]) -> None:
    assert parse_authors(authors) == names


def test_a_paper_has_no_more_than_a_limit_of_authors() -> None:
    many = [[f"A{'b' * (i % 97)}c{chr(97 + i // 97 % 26)}", ""] for i in range(3 * MOST_AUTHORS)]
    assert len(parse_authors(many)) <= MOST_AUTHORS
