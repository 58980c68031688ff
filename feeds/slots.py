"""Schedules: text and zone > the wall-clock slots at which something is due. A tool, pure.

A slot is a wall-clock time such as `2026-03-29T02:30`, and that text is its identity: a repeated hour
makes one slot and a missing hour makes one too. Cron arithmetic (APScheduler's trigger) is therefore
done on wall-clock times without a zone, and only then is each turned into an instant, by RFC 5545,
section 3.3.5: a time that occurs twice means the first; one that doesn't occur is read with the
offset before the gap (02:30 in Berlin's gap is 03:30 by the new time). Left to itself the trigger
fires twice in a repeated hour.

The only module that imports `apscheduler.triggers` (0.1 s): whoever starts fast imports this late.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_AT = re.compile(r"every (\w+) at (\d{1,2}):(\d{2})", re.ASCII)
# APScheduler reads the start of an expression and ignores the rest ("mon#1" is taken for "mon").
_SPAN = r"(?:\*|\d+(?:-\d+)?)(?:/\d+)?"
_NUMBERS = re.compile(rf"{_SPAN}(?:,{_SPAN})*", re.ASCII)
_NAME = f"(?:{'|'.join(_DAYS)})"
_NAMED = re.compile(rf"\*|{_NAME}(?:-{_NAME})?(?:,{_NAME}(?:-{_NAME})?)*")
_FORMS = "`every hour`, `every day|weekday|DAYNAME at HH:MM`, or five cron fields"

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_HORIZON = timedelta(days=366 * 9)  # 29 February can be 8 years away, and nothing is further


@dataclass(frozen=True, slots=True)
class Schedule:
    """When something is due: the text as people wrote it, its IANA zone, and its five cron fields."""

    text: str
    timezone: str
    cron: str


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One turn of a schedule: the instant it fires (UTC), and its wall-clock text, its identity."""

    fires: datetime
    text: str


def parse(schedule: str, timezone: str) -> Schedule:
    """Return the schedule that `schedule` spells in the IANA zone `timezone`.

    Weekdays go by name alone: cron counts them from Sunday, APScheduler from Monday. A day of the
    month and a weekday together are refused: cron takes days that are either, APScheduler both.

    Raises:
        ValueError: the text is no schedule, it never comes, or there is no such zone; says why.
    """
    _zone(timezone)
    text = " ".join(schedule.lower().split())
    cron = _cron(text)
    if next(_walls(cron, datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001 -- a wall-clock time
        raise ValueError(f"{schedule!r} never comes: no year has such a day")
    return Schedule(schedule, timezone, cron)


def latest(schedule: Schedule, now: datetime) -> Slot | None:
    """Return the latest slot at or before `now`, or None when there was none since 1970.

    Cheap for any schedule: the slot is found by halving, not by counting up to it.
    """
    bound = _bounds(schedule, now)[1]
    # At most the wall-clock times of one change of the clock are stepped over here.
    while (wall := _last_wall(schedule.cron, bound)) is not None:
        slot = _slot(schedule, wall)
        if slot is not None and slot.fires <= now:
            return between(schedule, slot.fires - _MINUTE, now)[-1]
        bound = wall - _MINUTE
    return None


def upcoming(schedule: Schedule, now: datetime, count: int) -> tuple[Slot, ...]:
    """Return the next `count` slots after `now`, the soonest first."""
    head = tuple(islice(_after(schedule, now), count))
    # Around a missing hour the order of instants isn't that of wall-clock times; but the soonest
    # `count` are none later than the last of any `count`.
    return between(schedule, now, max(head).fires)[:count] if head else ()


def between(schedule: Schedule, after: datetime, now: datetime) -> tuple[Slot, ...]:
    """Return the slots after `after` up to and with `now`, the oldest first; O(slots)."""
    first, last = _bounds(schedule, after)[0], _bounds(schedule, now)[1]
    found = []
    for wall in _walls(schedule.cron, first):
        if wall > last:
            break
        slot = _slot(schedule, wall)
        if slot is not None and after < slot.fires <= now:
            found.append(slot)
    return tuple(sorted(found))


def _after(schedule: Schedule, now: datetime) -> Iterator[Slot]:
    """Yield the slots after `now` in wall-clock order."""
    for wall in _walls(schedule.cron, _bounds(schedule, now)[0]):
        slot = _slot(schedule, wall)
        if slot is not None and slot.fires > now:
            yield slot


def _slot(schedule: Schedule, wall: datetime) -> Slot | None:
    """Return the slot of a scheduled wall-clock time.

    None for a time in a gap of the clock when the time that the clock shows instead is scheduled as
    well: `every hour` has nothing to do twice in one minute.
    """
    fires = wall.replace(tzinfo=_zone(schedule.timezone)).astimezone(UTC)
    shown = _wall(schedule, fires)
    if shown != wall and next(_walls(schedule.cron, shown), None) == shown:
        return None
    return Slot(fires, wall.isoformat(timespec="minutes"))


def _wall(schedule: Schedule, moment: datetime) -> datetime:
    """Return what clocks in the schedule's zone show at `moment`, naive."""
    return moment.astimezone(_zone(schedule.timezone)).replace(tzinfo=None, fold=0)


def _bounds(schedule: Schedule, moment: datetime) -> tuple[datetime, datetime]:
    """Return the least and the greatest wall-clock time that may mean `moment`.

    They differ when an offset changes within a day of it.
    """
    around = (moment - _DAY, moment, moment + _DAY)
    plain = moment.astimezone(UTC).replace(tzinfo=None)
    shifts = [_wall(schedule, at) - at.astimezone(UTC).replace(tzinfo=None) for at in around]
    return plain + min(shifts), plain + max(shifts)


def _walls(cron: str, first: datetime) -> Iterator[datetime]:
    """Yield the wall-clock times of `cron` from `first` on, ascending; none when it never comes."""
    at: datetime | None = first.replace(tzinfo=UTC)
    while (at := _trigger(cron).get_next_fire_time(None, at)) is not None:
        yield at.replace(tzinfo=None)
        at += _MINUTE


def _last_wall(cron: str, bound: datetime) -> datetime | None:
    """Return the last wall-clock time of `cron` at or before `bound`."""
    span = timedelta(hours=1)
    while (found := next(_walls(cron, bound - span), None)) is None or found > bound:
        span *= 2
        if span > 2 * _HORIZON:
            return None
    # What comes next from `low` on is in time, from `high` on it is not.
    low, high = bound - span, bound + _MINUTE
    while high - low > _MINUTE:
        middle = low + (high - low) / 2
        wall = next(_walls(cron, middle), None)
        if wall is not None and wall <= bound:
            low, found = middle, wall
        else:
            high = middle
    return found


def _cron(text: str) -> str:
    """Return the five cron fields of a schedule in lower case and single spaces."""
    if text == "every hour":
        return "0 * * * *"
    if match := _AT.fullmatch(text):
        return _daily(match[1], int(match[2]), int(match[3]))
    fields = text.split(" ")
    if len(fields) != 5 or text.startswith("every"):  # noqa: PLR2004 -- minute hour day month weekday
        raise ValueError(f"{text!r} is no schedule: write {_FORMS}")
    _check(*fields)
    try:
        _trigger(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no schedule: {error}") from error
    return text


def _daily(day: str, hour: int, minute: int) -> str:
    """Return the cron fields of `every DAY at HH:MM`."""
    if hour > 23 or minute > 59:  # noqa: PLR2004 -- the clock
        raise ValueError(f"{hour:02}:{minute:02} is no time of day")
    days = dict(zip(_NAMES, _DAYS, strict=True)) | dict(zip(_DAYS, _DAYS, strict=True))
    days |= {"day": "*", "weekday": "mon-fri"}
    if day not in days:
        raise ValueError(f"{day!r} is no day: write `day`, `weekday` or a name such as `monday`")
    return f"{minute} {hour} * * {days[day]}"


def _check(minute: str, hour: str, day: str, month: str, weekday: str) -> None:
    """Refuse cron fields that would be read differently from how they are meant."""
    for number, name in enumerate(_MONTHS, 1):
        month = month.replace(name, str(number))
    for field in (minute, hour, day, month):
        if not _NUMBERS.fullmatch(field):
            raise ValueError(f"{field!r} is no cron field of numbers, `*`, ranges and steps")
    if not _NAMED.fullmatch(weekday):
        hint = "cron counts weekdays from Sunday, APScheduler from Monday; " * weekday[:1].isdigit()
        raise ValueError(f"weekday {weekday!r}: {hint}write names, such as mon-fri or sat,sun")
    if day != "*" and weekday != "*":
        raise ValueError(
            "a day of the month and a weekday: cron takes either, APScheduler both; give one"
        )


@cache
def _trigger(cron: str) -> CronTrigger:
    return CronTrigger.from_crontab(cron, timezone=UTC)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: "Europe" is a folder
        raise ValueError(
            f"no time zone {name!r}: write an IANA name, such as Asia/Almaty"
        ) from error
