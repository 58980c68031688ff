"""The clock goes forward, back, and over changes of the hour: one edition a slot, no article twice.

Months in a minute: the corridor's verbs under a clock of our own, in steps of 10 to 30 minutes with
steps back in between; and a few real processes under `faketime`.
"""

from __future__ import annotations

import email
import email.policy
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from faults.harness import FEEDS, surroundings
from feeds import app as opened
from feeds import config, inbox, pipeline
from feeds.app import App
from feeds.store.subscribers import Wish

pytestmark = [pytest.mark.faults, pytest.mark.slow]

CHANGES = (
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Asia/Almaty", datetime(2024, 2, 29, 18, tzinfo=UTC)),
)
SCHEDULES = ("every hour", "every day at 02:30", "every day at 23:30")
TOPICS = ("parliament passed the budget", "team won the cup", "hospital for patients opened")
_LINK = re.compile(r"articles/[0-9a-v]{2}/([0-9a-v]+)\.html")


@dataclass(slots=True)
class Clock:
    """A clock that is set by hand."""

    now: datetime

    def __call__(self) -> datetime:
        """Return the time it shows."""
        return self.now


@pytest.fixture
def opened_at(tmp_path: Path) -> Iterator[Callable[[str, str, Clock], App]]:
    """Return what opens an application in an empty folder, under a zone, a schedule and a clock."""
    contexts = ExitStack()
    number = count()

    def open_at(zone: str, schedule: str, clock: Clock) -> App:
        folder = tmp_path / str(next(number))
        (folder / "seeds").mkdir(parents=True)
        file = folder / "feeds.toml"
        file.write_text(
            f'[publication]\ntimezone = "{zone}"\n[[edition]]\nname = "news"\ncron = "{schedule}"\n'
        )
        flags = {name: str(folder / name) for name in ("seeds", "out", "state")}
        app = contexts.enter_context(opened.open_app(config.load(flags, {}, file), {}))
        app = replace(app, now=clock)
        for address, channels in (("all@example.org", ()), ("sport@example.org", ("sport",))):
            wish = Wish(address, channels)
            app.store.subscribers.add(wish, clock(), state="active", reason="test", revive=True)
        return app

    with contexts:
        yield open_at


def tick(app: App) -> None:
    """Do what a pass does, but for `out/`."""
    for sighting in inbox.scan(app.settings.seeds_folder).sightings:
        pipeline.ingest(app, sighting)
    pipeline.compose(app, app.now())
    for slotted in pipeline.due(app, app.now()):
        pipeline.send(app, slotted)


def write_digest(folder: Path, number: int, now: datetime, zone: str) -> None:
    """Put a digest of one article in place of the one before it, dated now."""
    stamp = now.astimezone(ZoneInfo(zone)).strftime("%d.%m.%Y, %H:%M")
    about = TOPICS[number % len(TOPICS)]
    text = (
        f"{stamp} 5\n\nArticle {number} of the day\n\nNumber {number}: the {about}, it says.\n \n"
    )
    (folder / "seeds/digest.txt").write_text(text)


def wander(app: App, clock: Clock, chance: random.Random, until: datetime, zone: str) -> datetime:
    """Tick on to a moment, now and then back; return the latest moment that the clock showed."""
    number, latest = 0, clock.now
    while clock.now < until:
        if chance.random() < 0.4:
            number += 1
            write_digest(app.settings.seeds_folder.parent, number, clock.now, zone)
        tick(app)
        latest = max(latest, clock.now)
        step = chance.uniform(10, 30)
        if chance.random() < 0.15:
            step = -chance.uniform(5, 150)
        clock.now += timedelta(minutes=step)
    return latest


def walls(zone: str, schedule: str, first: str, last: str) -> list[str]:
    """Return the slots from one to another, found in another way than the product finds them."""
    if schedule == "every hour":
        at = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        shown = []
        while (text := f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}") <= last:
            shown.append(text)
            at += timedelta(hours=1)
        return sorted(set(shown))
    day, days = datetime.fromisoformat(first).date(), []
    while f"{day}{first[10:]}" <= last:
        days.append(f"{day}{first[10:]}")
        day += timedelta(days=1)
    return days


def carried(outbox: Path) -> dict[str, list[str]]:
    """Return the ids of the articles that each subscriber was sent, by the number in a letter's name."""
    found: dict[str, list[str]] = {}
    for path in sorted(outbox.glob("*.eml")):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        part = message.get_body(("plain",))
        assert part is not None
        ids = set(_LINK.findall(part.get_content().replace("\n", "")))
        found.setdefault(path.stem.rpartition("-")[2], []).extend(sorted(ids))
    return found


@pytest.mark.parametrize(("zone", "change"), CHANGES, ids=str)
def test_a_slot_has_one_edition_and_no_article_comes_twice(  # noqa: PLR0913, PLR0917 -- fixtures
    opened_at: Callable[[str, str, Clock], App],
    choose: Callable[[Sequence[str], int], list[str]],
    tally: Counter[str],
    whole: bool,
    seed: str,
    zone: str,
    change: datetime,
) -> None:
    for schedule in choose(SCHEDULES, len(SCHEDULES) if whole else 1):
        around = timedelta(days=4) if whole else timedelta(hours=14)
        chance = random.Random(f"{seed} {zone} {change} {schedule}")
        clock = Clock(change - around)
        app = opened_at(zone, schedule, clock)
        wander(app, clock, chance, change + around, zone)
        tally["slots of a wandering clock"] += check_editions(app, zone, schedule)


def check_editions(app: App, zone: str, schedule: str) -> int:
    """Check that every slot was decided once, every article composed once, and mailed at most once.

    Returns how many slots there were.
    """
    slots = sorted(one.slot for one in app.store.editions.newest("news"))
    assert slots == walls(zone, schedule, slots[0], slots[-1])
    assert len(slots) >= (24 if schedule == "every hour" else 1)
    letters = [path.name for path in app.outbox.glob("*.eml")]
    composed = app.store.editions.newest("news", composed=True)
    assert len({name.rpartition("-")[0] for name in letters}) == len(composed)
    received = carried(app.outbox)
    for ids in received.values():
        assert len(ids) == len(set(ids))
    briefs = [brief.entry for one in composed for brief in pipeline.thaw(one).briefs]
    through = max(one.through for one in composed)
    assert sorted(briefs) == sorted(one.id for one in app.store.entries.arrived(0, through))
    assert set(received["1"]) <= set(briefs)
    return len(slots)


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
def test_real_processes_under_a_clock_that_jumps_mail_nothing_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "seeds").mkdir()
    home.mkdir()
    environ = {key: value for key, value in surroundings(home).items() if key != "FEEDS_NOW"}
    moments = (
        "2026-03-28 07:00:00",
        "2026-03-29 06:30:00",  # over the change of the hour in Berlin
        "2026-03-29 05:30:00",  # back before the slot
        "2026-03-30 07:00:00",
        "2026-03-28 07:00:00",  # back by two days
        "2026-03-30 07:10:00",
        "2026-03-31 07:00:00",
        "2026-03-31 07:10:00",
    )

    def feeds(moment: str, *words: str) -> None:
        faked = ["faketime", "--exclude-monotonic", "-f", moment, *FEEDS, *words]
        zoned = environ | {"TZ": "UTC", "FEEDS_PUBLICATION_TIMEZONE": "Europe/Berlin"}
        subprocess.run(faked, cwd=home, env=zoned, check=True, capture_output=True)

    feeds(moments[0], "subscribers", "add", "you@example.org")
    for number, moment in enumerate(moments):
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        write_digest(tmp_path, number, now, "Europe/Berlin")
        feeds(moment, "run")
    slots = [path.name[6:16] for path in sorted((home / ".feeds/outbox").glob("*.eml"))]
    assert slots == ["2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31"]
    [ids] = carried(home / ".feeds/outbox").values()
    assert len(ids) == len(set(ids))
