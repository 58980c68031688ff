"""Room 2: stamps, the lines that date an article. Pure.

In: one line. Out: what it says as an aware time. A stamp is the whole line, never a part of one:
scores, ages and dates in prose are not looked at. The day comes first; nothing is guessed or filled
in. A stamp in the hour that a clock change repeats is the earlier of the two (`fold=0`, PEP 495).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from feeds.model import Precision

YEARS = range(1990, 2100)
"""Years that a stamp may have: before, a zone's offset may hold seconds, which RFC 3339 can't say."""

_STAMP = re.compile(
    r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})(?:, ?([0-9]{2}):([0-9]{2})(?: (.{1,20}))?)?"
)
# What may stand in the place of the views: no word of prose.
_VIEWS = re.compile(r"[0-9]{1,3}(?:[ .,'’][0-9]{3})+|[0-9]{1,10}")  # noqa: RUF001 -- Swiss style
_ODD_VIEWS = re.compile(r"[^\w\s]+|\S*[0-9]\S*|[0-9 ]+")
_MONTHS = range(1, 13)
_NOON = "12"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a stamp says; `moment` is None when there is no such date or time.

    `counted` says that something stands in the place of the views, `views` is the number if it is
    one. `timed` says that the line has the form with a time, `misfit` that its second number is no
    month: a sign of dates with the month first, which are never read.
    """

    moment: datetime | None
    timed: bool
    counted: bool = False
    views: int | None = None
    misfit: bool = False

    @property
    def precision(self) -> Precision | None:
        """How exact the stamp is; a day alone stands at noon."""
        if self.moment is None:
            return None
        return Precision.MINUTE if self.timed else Precision.DAY


def is_stamp(text: str) -> bool:
    """Whether the line has the form of a stamp, possible or not."""
    return _groups(text) is not None


def read_stamp(text: str, zone: ZoneInfo) -> Stamp | None:
    """Return the stamp that a line is: `DD.MM.YYYY`, `DD.MM.YYYY, HH:MM` or the latter and views.

    Local to `zone`. None when the line is anything else.
    """
    groups = _groups(text)
    if groups is None:
        return None
    day, month, year, hour, minute, views = groups
    moment = _moment((year, month, day, hour or _NOON, minute or "0"), zone)
    misfit = int(month) not in _MONTHS
    return Stamp(moment, hour is not None, views is not None, _views(views), misfit)


def _groups(text: str) -> tuple[str, str, str, str | None, str | None, str | None] | None:
    found = _STAMP.fullmatch(text.replace("\xa0", " "))
    if found is None:
        return None
    day, month, year, hour, minute, views = found.groups()
    if views and not (_VIEWS.fullmatch(views) or _ODD_VIEWS.fullmatch(views)):
        return None
    return day, month, year, hour, minute, views


def _moment(fields: tuple[str, str, str, str, str], zone: ZoneInfo) -> datetime | None:
    year, month, day, hour, minute = map(int, fields)
    if year not in YEARS:
        return None
    try:
        return datetime(year, month, day, hour, minute, tzinfo=zone)
    except ValueError:
        return None


def _views(text: str | None) -> int | None:
    if not text or not _VIEWS.fullmatch(text):
        return None
    return int(re.sub("[^0-9]", "", text))
