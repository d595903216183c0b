"""Days, months, years and categories as people write them."""

from __future__ import annotations

from datetime import date

import pytest

from shelfmark.search.query.values import parse_category, parse_since, parse_until


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2018", date(2018, 1, 1), date(2018, 12, 31)),
        ("2018-02", date(2018, 2, 1), date(2018, 2, 28)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("2018-05-31", date(2018, 5, 31), date(2018, 5, 31)),
        (" 2018-12 ", date(2018, 12, 1), date(2018, 12, 31)),
    ],
)
def test_a_month_or_a_year_lasts_from_its_first_to_its_last_day(
    text: str, first: date, last: date
) -> None:
    assert (parse_since(text), parse_until(text)) == (first, last)


@pytest.mark.parametrize(
    "text",
    ["", "18", "2018-5", "2018-13", "2018-00", "2018-02-30", "2018-05-00", "0000", "0000-02",
     "２０１８", "2018-05-31T00:00", "31.5.2018", "last year"],
)  # fmt: skip
def test_any_other_text_is_refused_with_the_right_forms(text: str) -> None:
    for parse in (parse_since, parse_until):
        with pytest.raises(ValueError, match="2018-05-31, 2018-05 or 2018"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("cs.RO", "cs.RO"), ("CS.ro", "cs.RO"), ("cs", "cs"), ("physics", "physics"),
     ("hep-th", "hep-th"), ("cmp-lg", "cs.CL"), ("cs.SY", "eess.SY")],
)  # fmt: skip
def test_a_category_has_its_current_name(text: str, name: str) -> None:
    assert parse_category(text) == name


def test_an_unknown_category_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"did you mean stat\.ML"):
        parse_category("stats.ML")
    with pytest.raises(ValueError, match="no such category"):
        parse_category("cs.ZZ")
    with pytest.raises(ValueError, match="no such category"):
        parse_category("x" * 100_000)


def test_a_category_that_the_index_has_is_known() -> None:
    assert parse_category("CS.zz", {"cs.ZZ"}) == "cs.ZZ"
