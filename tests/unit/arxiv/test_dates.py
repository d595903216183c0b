"""Dates as people write them: one day for every form, and none for what no paper can be of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfmark.arxiv import dates
from shelfmark.arxiv.dates import parse_day, parse_moment

ZONES = st.integers(-12 * 4, 14 * 4).map(
    lambda quarters: timezone(timedelta(minutes=15 * quarters))
)
MOMENTS = st.datetimes(
    datetime(1986, 1, 2),
    datetime(2026, 12, 30),
    timezones=ZONES,
).map(lambda moment: moment.replace(microsecond=0))


@given(MOMENTS)
def test_a_moment_is_the_same_in_every_form(moment: datetime) -> None:
    utc = moment.astimezone(UTC)
    forms = [
        moment.isoformat(),
        moment.isoformat(" "),
        f"{moment:%Y%m%dT%H%M%S%z}",
        f"{utc:%Y-%m-%dT%H:%M:%S}Z",
        f"{utc:%Y-%m-%dT%H:%M:%S}.123456Z",
        f"{utc:%Y-%m-%d %H:%M:%S}",
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        format_datetime(moment),
        format_datetime(utc, usegmt=True),
        f"{moment:%d %b %Y %H:%M:%S %z}",
        f"{utc:%a, %d %b %y %H:%M:%S} -0000",
        f"{utc:%a %b %d %H:%M:%S} UTC {utc.year}",
        f"{utc:%m/%d/%Y %I:%M:%S %p}",
        str(int(moment.timestamp())),
        str(int(moment.timestamp()) * 1000),
    ]
    assert {form: parse_moment(form) for form in forms} == dict.fromkeys(forms, utc)


@given(st.dates(date(1986, 1, 1), date(2026, 12, 31)))
def test_a_day_is_the_same_in_every_form(day: date) -> None:
    forms = [
        day.isoformat(), f"{day:%Y%m%d}", f"{day:%Y/%m/%d}", f"{day:%Y.%m.%d}",
        f"{day.day} {day:%B %Y}", f"{day:%B} {day.day}, {day.year}", f"{day:%d-%b-%Y}",
        f"{day:%b %d %Y}", f"{day:%A, %d %B %Y}", f"{day.month}/{day.day}/{day:%y}",
        f"{day:%m/%d/%Y}", f"{day:%d %b %y}", f"{day:%d %b '%y}", f"{day}Z", f"{day}+05:00",
    ]  # fmt: skip
    assert {form: parse_day(form) for form in forms} == dict.fromkeys(forms, day)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Mon, 2 Apr 2007 19:18:42 GMT", date(2007, 4, 2)),
        ("Mon, 02 Apr 07 19:18:42 GMT", date(2007, 4, 2)),
        ("2 Apr 07 19:18 EST", date(2007, 4, 3)),
        ("2 Apr 07 18:18 EST", date(2007, 4, 2)),
        ("Mon, 02 Apr 2007 23:30:00 -0500 (EST)", date(2007, 4, 3)),
        ("Tue, 03 Apr 2007 01:30:00 +0200", date(2007, 4, 2)),
        ("2007-04-02T23:30:00-05:00", date(2007, 4, 3)),
        ("2007-04-02T24:00:00Z", date(2007, 4, 3)),
        ("2005-12-31T23:59:60Z", date(2005, 12, 31)),
        ("2007-04-02T19:18Z", date(2007, 4, 2)),
        ("2007-04-02T19:18:42,5+0000", date(2007, 4, 2)),
        ("20070402T1918Z", date(2007, 4, 2)),
        ("2007-4-2", date(2007, 4, 2)),
        ("2 Apr 2007 19:18:42 XYZ", date(2007, 4, 2)),
        ("Monday, 2nd of April 2007", date(2007, 4, 2)),
        ("Sept. 30th, 1993", date(1993, 9, 30)),
        ("Thurs, 30 sept 93", date(1993, 9, 30)),
        ("APRIL 2, 2007 at 7:18 p.m.", date(2007, 4, 2)),
        ("4/2/2007 12:05 AM", date(2007, 4, 2)),
        ("Fri, 31 Dec 99 23:59:59 GMT", date(1999, 12, 31)),
        ("Sat, 1 Jan 00 00:00:00 GMT", date(2000, 1, 1)),
        ("Fri, 25 Apr 86 15:39:49 GMT", date(1986, 4, 25)),
        ("  8/1/93 \n", date(1993, 8, 1)),
    ],
)
def test_dates_of_letters_files_and_feeds(text: str, day: date) -> None:
    assert parse_day(text) == day


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "1993", "2007-04", "April 2007", "31/12/1999", "13/13/13", "8-1-93",
     "1.8.1993", "2007-13-01", "2007-02-29", "31 Feb 2007", "0 Jan 2007", "2 Abr 2007",
     "2007-04-02T25:00:00Z", "2007-04-02T19:60Z", "2007-04-02 7:00 xm pm", "13:00 pm",
     "2007-04-02T24:00:01Z", "20071301", "070402", "7", "-1", "1e9", "nan", "2007-04-02 spam",
     "2 Apr 2007 19:18:42 GMT spam", "\u0662\u0660\u0660\u0667-04-02", "2007-04-02\0",
     "Mon, 2 Apr 2007 19:18:42 +2500"],
)  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match="^not a date: ") as caught:
        parse_day(text)
    assert len(str(caught.value)) < 80


@pytest.mark.parametrize(
    "text",
    ["1985-12-31", "1970-01-01T00:00:00Z", "0001-01-01", "9999-12-31", "2107-04-02", "19070402",
     "Mon, 2 Apr 0007 19:18:42 GMT", "14 October 1066", "8/1/1893", "2 Apr 70", "8/1/69",
     "100000000", "9999999999"],
)  # fmt: skip
def test_an_impossible_year(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(an impossible year|not a date): "):
        parse_day(text)


def test_papers_may_be_of_the_next_year_and_of_no_later_one() -> None:
    year = datetime.now(UTC).year
    assert parse_day(f"{year + 1}-12-31").year == year + 1
    assert parse_day(f"31 Dec {(year + 1) % 100:02d}").year == year + 1
    with pytest.raises(ValueError, match=f"an impossible year: '{year + 2}-01-01'"):
        parse_day(f"{year + 2}-01-01")


@pytest.mark.parametrize(
    "text", [" " * 50_000, "1" * 50_000, "1 " * 25_000, "2 Apr 2007" + " " * 50_000 + "x"]
)
def test_a_long_text_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="not a date"):
        parse_day(text)


def test_the_names_of_months_are_english() -> None:
    assert [dates.MONTHS[name] for name in dates.SHORT] == list(range(1, 13))
