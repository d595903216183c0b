"""Days and moments as people write them; all days are those of UTC, as arXiv's are.

A form is read where only one reading is possible, or where there is one convention: `8/1/93` is
in August, as in the files on Kaggle.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

# The first paper, math/9201239, carries a date of 1986, though arXiv began in 1991.
FIRST_YEAR = 1986
SHORT = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# English, as in the records, whatever the locale.
NAMES = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
         "October", "November", "December")  # fmt: skip
MONTHS = {name: number for number, name in enumerate(SHORT, 1)}
_MONTHS = {
    name.casefold(): number for names in (SHORT, NAMES) for number, name in enumerate(names, 1)
}
_MONTHS["sept"] = 9
# Hours from UTC, of which other zones of letters are taken to be. Source: RFC 5322, obs-zone; the
# zones of Europe are as common as those.
ZONES = {"bst": 1, "cet": 1, "west": 1, "cest": 2, "eet": 2, "eest": 3, "msk": 3, "edt": -4,
         "est": -5, "cdt": -5, "cst": -6, "mdt": -6, "mst": -7, "pdt": -7, "pst": -8}  # fmt: skip

_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
_YEAR = r"(?P<year>\d{4}|'?\d\d)"
_NUMBER = r"(?P<number>\d{1,2})"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+)?"
_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?"
    r"(?:\s?(?P<half>[ap])\.?m\.?)?"
)
_ZONE = r"(?P<zone>[a-z]{1,5}|[+-]\d\d(?::?\d\d)?)(?:\s*\([\w ]+\))?"
# The zone of a day without a time is ignored: the day is the one that stands there.
_REST = rf"(?:(?:,?\s+(?:at\s+)?|T){_TIME}(?:\s*{_ZONE})?|Z|[+-]\d\d:\d\d)?"
FORMS = [
    re.compile(rf"{_WEEKDAY}{form}", re.IGNORECASE | re.ASCII)
    for form in (
        rf"(?P<year>\d{{4}})(?P<sign>[-/.]){_NUMBER}(?P=sign){_DAY}{_REST}",
        rf"(?P<year>\d{{4}})(?P<number>\d\d)(?P<day>\d\d){_REST}",
        rf"{_DAY}(?:\s+|-)(?:of\s+)?{_MONTH}(?:,?\s+|-){_YEAR}{_REST}",
        rf"{_MONTH}\s+{_DAY}(?:,\s*|\s+){_YEAR}{_REST}",
        rf"{_MONTH}\s+{_DAY}\s+{_TIME}(?:\s+{_ZONE})?\s+{_YEAR}",  # of the C library
        rf"{_NUMBER}/{_DAY}/{_YEAR}{_REST}",
    )
]
_BASIC = re.compile(r"(\d{8}T\d\d)(\d\d)(\d\d)?(?:\.\d+)?(.*)", re.ASCII)
_EPOCH = re.compile(r"\d{9,10}(?:\.\d+)?|\d{12,13}", re.ASCII)


def parse_moment(text: str) -> datetime:
    """Return the moment of a date with or without a time, in UTC.

    Forms: ISO 8601 and its compact form; RFC 5322 and RFC 822, with or without the day of the week;
    `1 August 1993`, `Aug 1, 1993`, `8/1/93` (the month first); seconds or milliseconds since 1970.
    A time without a zone is of UTC. Of years of two digits, those up to the next year are of 20xx.

    Raises:
        ValueError: it has another form, or the day does not exist; the text is the reason.
    """
    stripped = text.strip()
    if _EPOCH.fullmatch(stripped):
        seconds = float(stripped)
        return datetime.fromtimestamp(seconds / (1 if seconds < 1e11 else 1000), UTC)
    stripped = _BASIC.sub(_spread_time, stripped)
    match = next((found for form in FORMS if (found := form.fullmatch(stripped))), None)
    if match is None:
        raise ValueError(f"not a date: {text!r:.60}")
    return _moment(match.groupdict(), text)


def parse_day(text: str) -> date:
    """Return the day of a paper by UTC, of a date with or without a time.

    Raises:
        ValueError: as `parse_moment`, or the year is before 1986 or after the next one; the text
            is the reason.
    """
    day = parse_moment(text).date()
    if not FIRST_YEAR <= day.year <= last_year():
        raise ValueError(f"an impossible year: {text!r:.60}")
    return day


def last_year() -> int:
    """Return the last year that a paper may be of: the next one."""
    # A clock that was set back makes no paper of today impossible.
    return max(datetime.now(UTC).year, 2026) + 1


def _spread_time(match: re.Match[str]) -> str:
    """Return `20070402T19:18:42Z` for `20070402T191842Z`."""
    hour, minute, second, zone = match.groups()
    return f"{hour}:{minute}{f':{second}' if second else ''}{zone}"


def _moment(parts: dict[str, str | None], text: str) -> datetime:
    month = parts.get("number") or _MONTHS[str(parts["month"]).casefold()]
    try:
        day = datetime(_full_year(str(parts["year"])), int(month), int(str(parts["day"])))
        moment = (day + _time_of_day(parts)).replace(tzinfo=_zone(parts.get("zone")))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"not a date: {text!r:.60}") from None


def _full_year(year: str) -> int:
    if len(year) == 4:
        return int(year)
    short = int(year.lstrip("'"))
    return 2000 + short if 2000 + short <= last_year() else 1900 + short


def _time_of_day(parts: dict[str, str | None]) -> timedelta:
    hour, minute, second = (int(parts.get(x) or 0) for x in ("hour", "minute", "second"))
    half = (parts.get("half") or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError
    hour = hour % 12 + 12 * (half == "p") if half else hour
    # The last second of some days is 60; 24:00 is the end of a day.
    if minute > 59 or second > 60 or hour > 24 or (hour == 24 and minute + second):
        raise ValueError
    return timedelta(hours=hour, minutes=minute, seconds=min(second, 59))


def _zone(zone: str | None) -> timezone:
    if not zone or zone.isalpha():
        return timezone(timedelta(hours=ZONES.get((zone or "").lower(), 0)))
    minutes = 60 * int(zone[1:3]) + int(zone[3:].lstrip(":") or 0)
    return timezone(timedelta(minutes=-minutes if zone[0] == "-" else minutes))
