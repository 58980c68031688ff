from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.slots import Schedule, Slot, between, latest, parse, upcoming

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Almaty", "Australia/Lord_Howe", "Pacific/Apia")
SCHEDULES = (
    "every hour",
    "every day at 02:30",
    "every weekday at 23:30",
    "every sunday at 01:59",
    "*/17 1-3 * * *",
    "30 2 1,15 * *",
    "45 2 * * *",
    "15,45 2,3 * mar,oct sun",
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def texts(slots: tuple[Slot, ...]) -> list[str]:
    return [slot.text for slot in slots]


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("every hour", "0 * * * *"),
        ("every day at 08:00", "0 8 * * *"),
        ("Every  Weekday at 7:05", "5 7 * * mon-fri"),
        ("every sunday at 23:59", "59 23 * * sun"),
        ("every Fri at 00:00", "0 0 * * fri"),
        ("*/15 6-9 * JAN mon,wed-FRI", "*/15 6-9 * jan mon,wed-fri"),
    ],
)
def test_a_schedule_reads_as_it_is_written(text: str, cron: str) -> None:
    assert parse(text, "Asia/Almaty") == Schedule(text, "Asia/Almaty", cron)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no schedule: write"),
        ("hourly", "is no schedule: write"),
        ("every other day please now", "is no schedule: write"),
        ("every day at 24:00", "24:00 is no time of day"),
        ("every day at 08:60", "08:60 is no time of day"),
        ("every someday at 08:00", "'someday' is no day"),
        ("0 8 * * 1", "cron counts weekdays from Sunday, APScheduler from Monday"),
        ("0 8 * * mon#1", "write names"),
        ("0 8 * * */2", "write names"),
        ("0 8 * * sat-mon", "minimum value"),
        ("0 25 * * *", "maximum value"),
        ("0 8x * * *", "'8x' is no cron field"),
        ("0 8 1 * mon", "cron takes either, APScheduler both"),
        ("0 8 30 feb *", "never comes"),
        ("\u0660 \u0668 * * *", "is no cron field"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("*", r"\*")):
        parse(text, "Asia/Almaty")


@pytest.mark.parametrize("zone", ["", "Mars/Base", "Europe", "../etc/passwd", "Asia/Almaty\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        parse("every hour", zone)


def test_a_slot_is_the_wall_clock_and_its_instant() -> None:
    daily = parse("every day at 08:00", "Asia/Almaty")
    assert latest(daily, NOW) == Slot(utc("2026-01-02T03:00"), "2026-01-02T08:00")
    assert latest(daily, utc("2026-01-02T03:00")) == latest(daily, NOW)
    assert latest(daily, utc("2026-01-02T02:59")) == Slot(
        utc("2026-01-01T03:00"), "2026-01-01T08:00"
    )
    assert texts(upcoming(daily, NOW, 2)) == ["2026-01-03T08:00", "2026-01-04T08:00"]
    assert upcoming(daily, NOW, 0) == ()


def test_between_leaves_out_its_start_and_takes_its_end() -> None:
    hourly = parse("every hour", "UTC")
    found = between(hourly, utc("2026-01-02T03:00"), utc("2026-01-02T05:00"))
    assert texts(found) == ["2026-01-02T04:00", "2026-01-02T05:00"]


def test_weekdays_are_those_of_the_zone() -> None:
    weekly = parse("every monday at 00:30", "Asia/Almaty")
    assert latest(weekly, NOW) == Slot(utc("2025-12-28T19:30"), "2025-12-29T00:30")
    weekdays = parse("every weekday at 08:00", "Asia/Almaty")
    assert texts(upcoming(weekdays, NOW, 2)) == ["2026-01-05T08:00", "2026-01-06T08:00"]


@pytest.mark.parametrize(
    ("zone", "time", "day", "fires"),
    [
        ("Europe/Berlin", "02:30", "2026-10-25", "2026-10-25T00:30"),  # repeated hour
        ("America/New_York", "01:30", "2026-11-01", "2026-11-01T05:30"),
        ("Asia/Almaty", "23:30", "2024-02-29", "2024-02-29T17:30"),
        ("Europe/Berlin", "02:30", "2026-03-29", "2026-03-29T01:30"),  # missing hour
        ("America/New_York", "02:30", "2026-03-08", "2026-03-08T07:30"),
        ("Pacific/Apia", "08:00", "2011-12-31", "2011-12-30T18:00"),  # missing day before
    ],
)
def test_a_repeated_and_a_missing_hour_make_one_slot(
    zone: str, time: str, day: str, fires: str
) -> None:
    daily = parse(f"every day at {time}", zone)
    moment = utc(fires)
    week = between(daily, moment - timedelta(days=3.5), moment + timedelta(days=3.5))
    assert Slot(moment, f"{day}T{time}") in week
    assert len(week) == len(set(texts(week))) == len({slot.fires for slot in week})
    assert len(week) >= 6


def test_almaty_waits_25_hours_on_the_night_it_turned_back() -> None:
    daily = parse("every day at 08:00", "Asia/Almaty")
    before, after = upcoming(daily, utc("2024-02-29T00:00"), 2)
    assert (before.text, after.text) == ("2024-02-29T08:00", "2024-03-01T08:00")
    assert after.fires - before.fires == timedelta(hours=25)


@pytest.mark.parametrize(
    ("zone", "day", "slots", "longest"),
    [("Europe/Berlin", "2026-03-28T23:00", 23, 1), ("Europe/Berlin", "2026-10-24T22:00", 24, 2)],
)
def test_every_hour_never_fires_twice_in_one_minute(
    zone: str, day: str, slots: int, longest: int
) -> None:
    hourly = parse("every hour", zone)
    start = utc(day)  # local midnight
    found = between(
        hourly, start - timedelta(minutes=1), start + timedelta(hours=slots, minutes=30)
    )
    gaps = {(b.fires - a.fires) // timedelta(hours=1) for a, b in pairwise(found)}
    assert max(gaps) == longest
    assert min(gaps) == 1


def test_a_missing_time_may_come_after_a_later_one() -> None:
    """02:45 doesn't occur and is read as 03:45, after 03:15."""
    twice = parse("15,45 2,3 * mar sun", "Europe/Berlin")
    found = upcoming(twice, utc("2026-03-29T00:00"), 2)
    assert texts(found) == ["2026-03-29T03:15", "2026-03-29T03:45"]
    odd = parse("15 3 * mar sun", "Europe/Berlin")
    assert texts(upcoming(odd, utc("2026-03-29T00:00"), 1)) == ["2026-03-29T03:15"]


def test_a_rare_slot_is_found_far_back() -> None:
    leap = parse("0 8 29 feb *", "UTC")
    assert latest(leap, NOW) == Slot(utc("2024-02-29T08:00"), "2024-02-29T08:00")
    assert latest(leap, utc("2104-02-29T07:59")) == Slot(
        utc("2096-02-29T08:00"), "2096-02-29T08:00"
    )
    assert latest(leap, utc("1971-01-01T00:00")) is None
    assert texts(upcoming(leap, NOW, 2)) == ["2028-02-29T08:00", "2032-02-29T08:00"]


def test_latest_does_not_count_through_the_year(monkeypatch: pytest.MonkeyPatch) -> None:
    from feeds import slots  # noqa: PLC0415 -- its private reader is counted

    asked = 0
    walls = slots._walls

    def counted(cron: str, first: datetime) -> object:
        nonlocal asked
        for wall in walls(cron, first):
            asked += 1
            yield wall

    burst = parse("* * 1 jan *", "UTC")  # 1440 slots, all of them half a year ago
    monkeypatch.setattr(slots, "_walls", counted)
    found = latest(burst, utc("2026-07-01T00:00"))
    assert found == Slot(utc("2026-01-01T23:59"), "2026-01-01T23:59")
    assert asked < 60


moments = st.one_of(
    st.datetimes(datetime.fromisoformat("2010-01-01"), datetime.fromisoformat("2030-01-01")),
    *(
        st.datetimes(datetime.fromisoformat(day) - timedelta(days=2), datetime.fromisoformat(day))
        for day in (
            "2026-03-30",
            "2026-10-26",
            "2024-03-01",
            "2026-04-06",
            "2012-01-01",
            "2026-11-02",
        )
    ),
).map(lambda moment: moment.replace(tzinfo=UTC, second=0, microsecond=0))


@given(st.sampled_from(SCHEDULES), st.sampled_from(ZONES), moments)
def test_latest_between_and_upcoming_agree(text: str, zone: str, now: datetime) -> None:
    schedule = parse(text, zone)
    found = latest(schedule, now)
    assert found is not None
    assert found.fires <= now
    assert between(schedule, found.fires, now) == ()
    later = upcoming(schedule, now, 3)
    assert between(schedule, now, later[-1].fires) == later
    assert latest(schedule, later[0].fires - timedelta(minutes=1)) == found
    assert latest(schedule, later[0].fires) == later[0]


@given(st.sampled_from(SCHEDULES), st.sampled_from(ZONES), moments, st.integers(1, 4000))
def test_ticks_make_the_same_slots_however_often_they_come(
    text: str, zone: str, start: datetime, minutes: int
) -> None:
    schedule = parse(text, zone)
    end = start + timedelta(minutes=minutes)
    middle = start + timedelta(minutes=minutes // 3)
    whole = between(schedule, start, end)
    assert between(schedule, start, middle) + between(schedule, middle, end) == whole
    assert len({slot.text for slot in whole}) == len(whole)
    assert len({slot.fires for slot in whole}) == len(whole)


@given(st.sampled_from(ZONES), moments)
def test_a_slot_fires_when_the_clock_shows_it_if_it_ever_does(zone: str, now: datetime) -> None:
    for slot in upcoming(parse("*/20 * * * *", zone), now, 10):
        shown = slot.fires.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")
        wall = datetime.fromisoformat(slot.text).replace(tzinfo=ZoneInfo(zone))
        missing = wall.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(
            tzinfo=None
        ) != wall.replace(tzinfo=None)
        assert missing or shown == slot.text
