"""What becomes of a slot: after a downtime, while an editor thinks, and when an article was wrong."""

from __future__ import annotations

import email
import email.policy
import json
import logging
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import make_article

from feeds import app as opened
from feeds import config, editions, pipeline
from feeds.app import App
from feeds.cli import main
from feeds.errors import NotFoundError, UsageError
from feeds.model import Correction, Edition
from feeds.pipeline import composing
from feeds.store import entries
from feeds.store.editions import (
    AWAITED,
    COMPOSED,
    GIVEN,
    OPEN,
    PASSED,
    SKIPPED,
    SUPERSEDED,
    Slotted,
)
from feeds.store.subscribers import Wish

ARTICLES = (
    ("Parliament passes the budget", "The parliament passed the state budget on Monday."),
    ("Team wins the cup final", "The national football team won the cup in the final."),
    ("Doctors open a new hospital", "A hospital for patients was opened by doctors."),
    ("Grain harvest ends early", "Farmers ended the harvest of wheat and barley before the rain."),
    ("Court sentences a thief", "A court sentenced a man to prison for the theft of a car."),
)


@dataclass(frozen=True, slots=True)
class House:
    """A folder with seeds and a configuration, opened anew for each moment."""

    folder: Path

    def digest(self, name: str, day: int, number: int, hour: int = 6, body: str = "") -> None:
        """Write a digest of one article, published at an hour in Almaty."""
        title, words = ARTICLES[number]
        stamp = f"{day:02}.01.2026, {hour:02}:00 5"
        text = f"{stamp}\n\n{title}\n\n{body or words}\n \n"
        (self.folder / "seeds" / name).write_text(text)

    @contextmanager
    def at(self, moment: str) -> Iterator[App]:
        """Open the application at a moment of January 2026 in UTC, as `2T03:30` (08:30 in Almaty)."""
        day, _, time = moment.partition("T")
        with self.on(datetime.fromisoformat(f"2026-01-{int(day):02}T{time}:00Z")) as app:
            yield app

    @contextmanager
    def on(self, moment: datetime) -> Iterator[App]:
        """Open the application at any moment."""
        flags = {name: str(self.folder / name) for name in ("seeds", "out", "state")}
        found = config.load(flags, {}, self.folder / "feeds.toml")
        with opened.open_app(found, {"FEEDS_NOW": moment.isoformat()}) as app:
            yield app

    def run(self, moment: str, *, send: bool = True) -> dict[str, int]:
        """Do one pass; return what became of the slots."""
        with self.at(moment) as app:
            done = pipeline.run(app, send_letters=send)
            assert done.clean, done
            return dict(done.editions)


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> House:
    """Return a house with one subscriber; the mark `toml` gives what its edition is told."""
    (tmp_path / "seeds").mkdir()
    mark = request.node.get_closest_marker("toml")
    (tmp_path / "feeds.toml").write_text(mark.args[0] if mark else "")
    made = House(tmp_path)
    with made.at("1T00:00") as app:
        add = app.store.subscribers.add
        add(Wish("you@example.org"), app.now(), state="active", reason="test", revive=True)
    return made


def slots_of(app: App) -> dict[str, str]:
    """Return the state of each slot on record, by its day and hour."""
    return {one.slot[8:13]: one.state for one in reversed(app.store.editions.newest())}


def carried(app: App) -> dict[str, list[str]]:
    """Return the titles that each edition on record carries, by its day."""
    return {
        one.slot[8:10]: [brief.title for brief in pipeline.thaw(one).briefs]
        for one in reversed(app.store.editions.newest())
        if one.content
    }


def titled(*numbers: int) -> list[str]:
    return [ARTICLES[number][0] for number in numbers]


def latest(app: App) -> Slotted:
    found = app.store.editions.newest(limit=1)
    return found[0]


def frozen(app: App) -> Edition:
    return pipeline.thaw(latest(app))


def letters(app: App) -> list[str]:
    """Return edition and slot of every letter in the outbox."""
    return sorted(path.name.rpartition("-")[0] for path in app.outbox.glob("*.eml"))


# After a downtime


def fall_behind(house: House) -> None:
    """Have an edition of 2 January, then nobody look until the 5th; a digest landed each day."""
    house.digest("2.txt", 2, 0)
    assert house.run("2T03:30") == {"composed": 1}
    for day in (3, 4, 5):
        house.digest(f"{day}.txt", day, day - 2)


def test_one_edition_makes_up_for_a_downtime(house: House) -> None:
    fall_behind(house)
    assert house.run("5T09:00") == {"skipped": 2, "composed": 1}
    with house.at("5T09:00") as app:
        assert slots_of(app) == {
            "02T08": COMPOSED, "03T08": SKIPPED, "04T08": SKIPPED, "05T08": COMPOSED,
        }  # fmt: skip
        assert carried(app)["05"] == titled(3, 2, 1)
        assert letters(app) == ["daily-2026-01-02T0800", "daily-2026-01-05T0800"]


@pytest.mark.toml('[[edition]]\ncatch_up = "each"\n')
def test_each_slot_of_a_downtime_has_what_had_come_by_then(house: House) -> None:
    fall_behind(house)
    house.digest("late.txt", 3, 4, hour=9)  # after the slot of the 3rd
    assert house.run("5T09:00") == {"composed": 3}
    with house.at("5T09:00") as app:
        assert carried(app) == {
            "02": titled(0), "03": titled(1), "04": titled(2, 4), "05": titled(3),
        }  # fmt: skip
        assert len(letters(app)) == 4
    assert house.run("6T09:00") == {"skipped": 1}


@pytest.mark.toml('[[edition]]\ncatch_up = "each"\n')
def test_a_slot_of_a_downtime_by_which_nothing_had_come_is_skipped(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    house.digest("5.txt", 5, 1)
    with caplog.at_level(logging.INFO):
        house.run("5T09:00")
    assert "edition skipped name=daily slot=2026-01-03T08:00: nothing new" in caplog.text
    with house.at("5T09:00") as app:
        assert list(slots_of(app).values()) == [COMPOSED, SKIPPED, SKIPPED, COMPOSED]


@pytest.mark.toml('[[edition]]\ncatch_up = "each"\n')
def test_a_downtime_made_up_for_in_parts_loses_and_repeats_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    fall_behind(house)
    compose = editions.compose

    def breaks(new: object, occasion: editions.Occasion, *rest: object) -> object:
        if occasion.slot.startswith("2026-01-04"):
            raise ValueError("a fault of ours")
        return compose(new, occasion, *rest)  # type: ignore[arg-type]  # handed through

    with house.at("5T09:00") as app:
        monkeypatch.setattr(editions, "compose", breaks)
        assert pipeline.run(app).editions == {"composed": 2, "failed": 1}
        monkeypatch.undo()
    house.digest("5b.txt", 5, 4)
    assert house.run("5T09:30") == {"skipped": 1}
    with house.at("5T09:30") as app:
        found = carried(app)
        assert (found["03"], found["05"]) == (titled(1), titled(3, 2))
        assert slots_of(app)["04T08"] == SKIPPED
    assert house.run("6T03:30") == {"composed": 1}
    with house.at("6T03:30") as app:
        assert carried(app)["06"] == titled(4)


@pytest.mark.toml('[[edition]]\ncatch_up = "skip"\n')
def test_slots_missed_may_be_left_out_and_their_articles_go_with_the_next(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    fall_behind(house)
    with caplog.at_level(logging.INFO):
        assert house.run("5T09:00") == {"skipped": 3}
    assert "edition skipped name=daily slot=2026-01-05T08:00: missed" in caplog.text
    assert house.run("6T03:30") == {"composed": 1}
    with house.at("6T03:30") as app:
        assert carried(app)["06"] == titled(3, 2, 1)


@pytest.mark.toml('[[edition]]\ncatch_up = "skip"\nwait = "5m"\n')
def test_a_slot_is_not_missed_within_an_hour_nor_at_the_first_run(house: House) -> None:
    house.digest("2.txt", 2, 0)
    assert house.run("2T20:00") == {"composed": 1}
    house.digest("3.txt", 3, 1)
    assert house.run("3T04:00") == {"composed": 1}
    house.digest("4.txt", 4, 2)
    assert house.run("4T04:01") == {"skipped": 1}


def test_a_slot_that_waits_goes_on_from_an_edition_by_hand(house: House) -> None:
    house.digest("1.txt", 1, 0)
    house.run("1T03:30")
    assert house.run("2T03:10") == {}
    house.digest("2.txt", 2, 1)
    with house.at("2T03:20") as app:
        done = pipeline.Summary()
        pipeline.take_in(app, pipeline.survey(app, done), done)
        assert composing.compose_now(app, app.now()) == {"composed": 1}
    house.digest("2b.txt", 2, 2)
    assert house.run("2T03:30") == {"composed": 1}
    house.digest("3.txt", 3, 3)
    assert house.run("3T03:30") == {"composed": 1}
    with house.at("3T03:30") as app:
        found = [
            [brief.title for brief in pipeline.thaw(one).briefs]
            for one in reversed(app.store.editions.newest())
        ]
        assert found == [titled(0), titled(2), titled(1), titled(3)]


@pytest.mark.toml('[[edition]]\ncron = "every hour"\ncatch_up = "each"\n')
def test_no_more_than_a_hundred_slots_are_made_up_for(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    house.digest("9.txt", 9, 1)
    house.run("12T03:30")
    with house.at("12T03:30") as app:
        assert len(slots_of(app)) == 1 + 100  # and the latest, which waits
        assert carried(app)["09"] == titled(1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("approve", ["none", "required"])
@pytest.mark.parametrize("policy", ["merge", "each", "skip"])
def test_every_article_is_carried_once_however_time_goes(
    house: House, policy: str, approve: str, seed: int
) -> None:
    chance = random.Random(f"{policy} {approve} {seed}")
    (house.folder / "feeds.toml").write_text(
        f'[[edition]]\ncatch_up = "{policy}"\napprove = "{approve}"\nmax_age = "400d"\n'
    )
    begin, passed = datetime(2026, 1, 1, tzinfo=UTC), timedelta()
    written: set[str] = set()
    left_out: set[str] = set()
    for step in range(16):
        passed += chance.choice([timedelta(hours=h) for h in (1, 5, 11, 24, 24, 90)])
        for number in range(chance.choice([0, 0, 1, 3])):
            title = f"{''.join(chance.choices('bcdfghklmnprst', k=9))} number {step} {number}"
            stamp = begin + passed - timedelta(hours=chance.choice([1, 20, 60]))
            body = " ".join("".join(chance.choices("aeioulmnprst", k=7)) for _ in range(12))
            (house.folder / f"seeds/{step}-{number}.txt").write_text(
                f"{stamp:%d.%m.%Y, %H:%M} 5\n\n{title}\n\n{body}.\n \n"
            )
            written.add(title)
        with house.on(begin + passed) as app:
            pipeline.run(app)
            for one in app.store.editions.awaiting():
                briefs = pipeline.thaw(one).briefs
                if len(briefs) > 1 and chance.random() < 0.5:
                    left_out.add(pipeline.drop(app, one, chance.choice(briefs).entry).title)
                if chance.random() < 0.5:
                    pipeline.approve(app, one)
    morning = (begin + passed).replace(hour=3, minute=30) + timedelta(days=1)
    for day in range(2):
        with house.on(morning + timedelta(days=day)) as app:
            pipeline.run(app)
            for one in app.store.editions.awaiting():
                pipeline.approve(app, one)
    with house.on(morning + timedelta(days=1)) as app:
        carried = Counter(
            brief.title
            for one in app.store.editions.newest()
            if one.state not in PASSED
            for brief in pipeline.thaw(one).briefs
        )
        assert carried == Counter(written - left_out)


@pytest.mark.toml('[[edition]]\nempty = "send"\n')
def test_a_slot_with_nothing_new_can_be_told_with_what_was_corrected(house: House) -> None:
    house.digest("2.txt", 2, 0)
    assert house.run("2T03:30") == {"composed": 1}
    house.digest("3.txt", 2, 0, body="The parliament rejected the state budget on Monday.")
    assert house.run("3T03:30") == {}
    assert house.run("3T06:30") == {"composed": 1}
    with house.at("3T06:30") as app:
        edition = frozen(app)
        assert (edition.briefs, edition.subject) == ((), "News digest · 3 January")
        assert corrections(app) == [(ARTICLES[0][0], "corrected")]
        [letter] = app.outbox.glob("*01-03T0800*")
        message = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default)
        for kind in ("plain", "html"):
            body = message.get_body((kind,))
            assert body is not None
            said = body.get_content()
            assert "Nothing new since the last edition." in said
            assert ARTICLES[0][0] in said
            assert "Top news" not in said
        page = (app.out / edition.path).read_text(encoding="utf-8")
        assert "Nothing new since the last edition." in page
        assert pipeline.fresh(app, app.now()) == []
    house.digest("4.txt", 4, 1)
    assert house.run("4T03:30") == {"composed": 1}
    with house.at("4T03:30") as app:
        assert (carried(app)["04"], corrections(app)) == (titled(1), [])


@pytest.mark.toml('[[edition]]\nempty = "send"\n')
def test_neither_the_first_slot_nor_a_missed_one_is_told_as_empty(house: House) -> None:
    house.digest("2.txt", 2, 0)
    (house.folder / "feeds.toml").write_text(
        '[[edition]]\nempty = "send"\nchannels = ["weather"]\n'
    )
    assert house.run("2T09:00") == {"skipped": 1}
    (house.folder / "feeds.toml").write_text('[[edition]]\nempty = "send"\n')
    assert house.run("3T03:30") == {"composed": 1}
    assert house.run("6T09:00") == {"skipped": 2, "composed": 1}


# Approval

REQUIRED = pytest.mark.toml('[[edition]]\napprove = "required"\n')


@REQUIRED
def test_nothing_goes_before_the_editor_says_so(house: House) -> None:
    house.digest("2.txt", 2, 0)
    assert house.run("2T03:30") == {"composed": 1}
    with house.at("2T03:40") as app:
        assert [one.slot for one in app.store.editions.awaiting()] == ["2026-01-02T08:00"]
        assert pipeline.run(app).deliveries == {}
        assert (letters(app), list((app.out / "editions").glob("*/*"))) == ([], [])
        assert app.store.editions.unsent() == app.store.editions.newest(composed=True) == []
        assert pipeline.preview(app, app.now()) == [frozen(app)]
        pipeline.approve(app, latest(app))
        pipeline.approve(app, latest(app))
        assert (latest(app).approval, app.store.editions.awaiting("daily")) == (GIVEN, [])
        assert pipeline.run(app).deliveries == {"written": 1}
    assert house.run("2T09:00") == {}


@REQUIRED
def test_an_edition_not_approved_in_time_gives_its_articles_to_the_next(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    house.digest("3.txt", 3, 1)
    assert house.run("3T03:30") == {"composed": 1}
    said = "edition superseded, not approved in time name=daily slot=2026-01-02T08:00"
    assert said in caplog.text
    with house.at("3T03:40") as app:
        old, new = reversed(app.store.editions.newest())
        assert (old.state, old.approval, new.waits) == (SUPERSEDED, AWAITED, True)
        assert sorted(carried(app)["03"]) == sorted(titled(0, 1))
        assert app.store.deliveries.count()["suppressed"] == 1
        with pytest.raises(UsageError, match="not approved before the next slot"):
            pipeline.approve(app, old)
        with pytest.raises(UsageError, match="not approved before the next slot"):
            pipeline.note(app, old, "Hello")
        pipeline.approve(app, new)
        assert pipeline.run(app).deliveries == {"written": 1}
        assert letters(app) == ["daily-2026-01-03T0800"]
    house.digest("4.txt", 4, 2)
    assert house.run("4T03:30") == {"composed": 1}
    with house.at("4T03:40") as app:
        assert carried(app)["04"] == titled(2)


@REQUIRED
def test_a_slot_with_nothing_new_supersedes_as_well(house: House) -> None:
    house.digest("1.txt", 1, 0)
    house.run("1T03:30")
    with house.at("1T03:30") as app:
        pipeline.approve(app, latest(app))
    house.digest("2.txt", 2, 1)
    house.run("2T03:30")
    assert house.run("20T09:00") == {"skipped": 18}  # what there is is too old by now
    with house.at("20T09:00") as app:
        assert slots_of(app)["02T08"] == SUPERSEDED
        assert app.store.editions.awaiting() == []


@REQUIRED
def test_what_was_dropped_stays_dropped_when_the_edition_is_superseded(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.digest("2b.txt", 2, 1, hour=7)
    house.run("2T03:30")
    with house.at("2T03:40") as app:
        [gone, _] = frozen(app).briefs
        assert pipeline.drop(app, latest(app), gone.entry[:6]) == gone
    house.digest("3.txt", 3, 2)
    house.run("3T03:30")
    with house.at("3T03:40") as app:
        assert gone.title not in carried(app)["03"]
        assert len(carried(app)["03"]) == 2
        assert app.store.entries.find(gone.entry).id == gone.entry


@REQUIRED
def test_an_edition_by_hand_replaces_one_that_waits_only_when_something_came(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    with house.at("2T05:00") as app:
        assert pipeline.fresh(app, app.now()) == []
        assert composing.compose_now(app, app.now()) == {}
    house.digest("3.txt", 2, 1)
    with house.at("2T06:00") as app:
        pipeline.run(app)
        assert composing.compose_now(app, app.now()) == {"composed": 1}
        assert slots_of(app) == {"02T08": SUPERSEDED, "02T11": COMPOSED}
        assert sorted(brief.title for brief in frozen(app).briefs) == sorted(titled(0, 1))


@pytest.mark.toml('[[edition]]\napprove = "required"\ncatch_up = "each"\n')
def test_where_an_editor_approves_one_edition_makes_up_for_a_downtime(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    with house.at("2T03:40") as app:
        pipeline.approve(app, latest(app))
    for day in (3, 4, 5):
        house.digest(f"{day}.txt", day, day - 2)
    assert house.run("5T09:00") == {"skipped": 2, "composed": 1}


def test_an_edition_that_goes_by_itself_needs_no_approval(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30", send=False)
    with house.at("2T03:30") as app, pytest.raises(UsageError, match="needs no approval"):
        pipeline.approve(app, latest(app))


# The editor's hand


@pytest.fixture
def held(house: House) -> House:
    """Return a house with an edition of three articles, none of whose letters went."""
    for number in range(3):
        house.digest(f"{number}.txt", 2, number, hour=number)
    assert house.run("2T03:30", send=False) == {"composed": 1}
    return house


def test_an_edition_is_changed_before_it_goes_and_not_after(held: House) -> None:
    with held.at("2T04:00") as app:
        first, second, third = sorted(frozen(app).briefs, key=lambda brief: brief.title)
        slotted = pipeline.edition_of(app, "2026-01-02T08:00")
        pipeline.drop(app, slotted, second.entry)
        pipeline.lead(app, slotted, third.entry)
        assert pipeline.note(app, slotted, " Dear\nreaders \n") == "Dear readers"
        edition = frozen(app)
        assert {brief.entry for brief in edition.briefs} == {first.entry, third.entry}
        assert (edition.lead, edition.note) == (third.entry, "Dear readers")
        assert edition.subject == f"{third.title} + 1 more"
        assert app.store.editions.revised() == {slotted.id: 3}
        assert pipeline.run(app).deliveries == {"written": 1}
        for change in (
            lambda: pipeline.drop(app, slotted, first.entry),
            lambda: pipeline.lead(app, slotted, first.entry),
            lambda: pipeline.note(app, slotted, ""),
        ):
            with pytest.raises(UsageError, match="letters of daily 2026-01-02T08:00 have gone"):
                change()
        assert frozen(app) == edition
        assert app.store.entries.find(second.entry).article.title == second.title
    assert held.run("3T09:00") == {"skipped": 1}


def test_an_open_edition_without_letters_can_be_changed(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "feeds.toml").write_text("")
    house = House(tmp_path)
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    with house.at("2T04:00") as app:
        assert latest(app).state == OPEN
        pipeline.note(app, latest(app), "Hello")
        assert (frozen(app).note, latest(app).state) == ("Hello", OPEN)


def test_the_last_article_is_not_dropped_and_a_long_note_not_cut(held: House) -> None:
    with held.at("2T04:00") as app:
        before = frozen(app)
        with pytest.raises(UsageError, match="at most; this one has 2,001"):
            pipeline.note(app, latest(app), "x" * 2001)
        assert pipeline.note(app, latest(app), "x" * 2000)
        assert pipeline.note(app, latest(app), "") == ""
        assert frozen(app) == before
        for brief in before.briefs[:2]:
            pipeline.drop(app, latest(app), brief.entry)
        with pytest.raises(UsageError, match="last article"):
            pipeline.drop(app, latest(app), before.briefs[2].entry)
        assert len(frozen(app).briefs) == 1


def test_an_article_is_named_by_its_unique_start(held: House) -> None:
    with held.at("2T04:00") as app:
        [first, *_] = frozen(app).briefs
        assert pipeline.lead(app, latest(app), first.entry[:8].upper()) == first
        for key in ("", "zz", "0" * 20):
            with pytest.raises(NotFoundError, match="no article of daily 2026-01-02T08:00"):
                pipeline.lead(app, latest(app), key)


@pytest.mark.toml('[[edition]]\nname = "one"\n[[edition]]\nname = "two"\n')
def test_of_several_editions_of_a_slot_one_is_named(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30", send=False)
    with house.at("2T04:00") as app:
        slot = "2026-01-02T08:00"
        with pytest.raises(UsageError, match="by --edition: one, two"):
            pipeline.edition_of(app, slot)
        assert pipeline.edition_of(app, slot, "two").name == "two"
        for wrong in ((slot, "three"), ("2026-01-03T08:00", None)):
            with pytest.raises(NotFoundError):
                pipeline.edition_of(app, *wrong)


def test_a_page_is_made_again_once_for_each_revision(held: House) -> None:
    with held.at("2T04:00") as app:
        store, number = app.store.editions, latest(app).id
        assert (store.revised(), store.revisions()) == ({}, 0)
        pipeline.note(app, latest(app), "One")
        seen = store.revised()
        assert [one.id for one in store.composed_after(number, seen)] == [number]
        pipeline.note(app, latest(app), "Two")  # while the page is made
        store.made_again(seen)
        assert (store.revised(), store.revisions()) == ({number: 2}, 2)
        store.made_again(store.revised())
        assert (store.revised(), store.revisions()) == ({}, 2)


def test_the_page_of_an_edition_follows_the_editor(held: House) -> None:
    with held.at("2T04:00") as app:
        page = app.out / "editions/daily/2026-01-02T0800.html"
        gone, left, _ = sorted(frozen(app).briefs, key=lambda one: one.entry != frozen(app).lead)
        assert gone.title in page.read_text(encoding="utf-8")
        pipeline.drop(app, latest(app), gone.entry)
        pipeline.lead(app, latest(app), left.entry)
        pipeline.note(app, latest(app), "Good morning")
        pipeline.run(app, send_letters=False)
        assert gone.title not in page.read_text(encoding="utf-8")
        assert "Good morning" in page.read_text(encoding="utf-8")
        assert app.store.editions.revised() == {}
        assert pipeline.run(app, send_letters=False).documents["written"] == 0


@REQUIRED
def test_an_edition_has_no_page_before_it_is_approved(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    with house.at("2T04:00") as app:
        pipeline.note(app, latest(app), "Good morning")
        pipeline.run(app)
        page = app.out / "editions/daily/2026-01-02T0800.html"
        assert not page.exists()
        pipeline.approve(app, latest(app))
        pipeline.run(app)
        assert "Good morning" in page.read_text(encoding="utf-8")
        assert "2026-01-02T0800.html" in (app.out / "index.html").read_text(encoding="utf-8")


# Corrections


def corrections(app: App) -> list[tuple[str, str]]:
    return [(one.title, one.kind) for one in frozen(app).corrections]


def test_what_was_corrected_after_it_was_mailed_is_said_once(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.digest("2b.txt", 2, 1)
    house.run("2T03:30")
    house.digest("3.txt", 2, 0, body="The parliament rejected the state budget on Monday.")
    house.digest("3b.txt", 3, 2)
    house.run("3T03:30")
    with house.at("3T03:30") as app:
        [one] = frozen(app).corrections
        entry = app.store.entries.find(one.entry)
        assert one == Correction(
            entry.id, "corrected", one.channels, ARTICLES[0][0], "3 January 2026", entry.path, "en"
        )
        assert one.channels[0] == entry.channel
        assert carried(app)["03"] == titled(2)
    house.digest("4.txt", 4, 3)
    house.run("4T03:30")
    with house.at("4T03:30") as app:
        assert corrections(app) == []


def test_a_correction_waits_for_an_edition_and_ends_with_the_last_word(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    for day, word in ((3, "rejected"), (4, "discussed")):
        house.digest(f"{day}.txt", 2, 0, body=f"The parliament {word} the state budget on Monday.")
        assert house.run(f"{day}T09:00") == {"skipped": 1}
    house.digest("5.txt", 5, 1)
    house.run("5T03:30")
    with house.at("5T03:30") as app:
        assert [one.date for one in frozen(app).corrections] == ["4 January 2026"]


def test_what_was_corrected_before_it_was_mailed_is_none(house: House) -> None:
    house.digest("2.txt", 2, 1)
    house.run("2T03:30")
    house.digest("3.txt", 2, 0)
    house.run("2T09:00")
    house.digest("3b.txt", 2, 0, body="The parliament rejected the state budget on Monday.")
    house.run("3T03:30")
    with house.at("3T03:30") as app:
        assert (carried(app)["03"], corrections(app)) == (titled(0), [])


@pytest.mark.toml('[[edition]]\nname = "sport"\nchannels = ["sport"]\n[[edition]]\nname = "all"\n')
def test_only_an_edition_that_carried_an_article_corrects_it(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.digest("2b.txt", 2, 1)
    house.run("2T03:30")
    house.digest("3.txt", 2, 0, body="The parliament rejected the state budget on Monday.")
    (house.folder / "seeds/3b.txt").write_text(
        "03.01.2026, 07:00 5\n\nTeam loses the cup\n\nThe football team lost the cup final.\n \n"
    )
    house.run("3T03:30")
    with house.at("3T03:30") as app:
        said = {
            one.name: len(pipeline.thaw(one).corrections)
            for one in app.store.editions.find("2026-01-03T08:00")
        }
        assert said == {"all": 1, "sport": 0}


def test_the_latest_twenty_corrections_stand_in_an_edition(house: House) -> None:
    words = ["grain", "court", "hospital", "football", "budget"]

    def write(name: str, verb: str) -> None:
        (house.folder / "seeds" / name).write_text(
            "".join(
                f"02.01.2026, 07:{n:02} 5\n\nReport on {words[n % 5]} number {n}\n\n"
                f"The office {verb} report {n} on {words[n % 5]} at noon.\n \n"
                for n in range(23)
            )
        )

    write("2.txt", "accepted")
    house.run("2T03:30")
    write("3.txt", "returned")
    house.digest("3b.txt", 3, 0)
    house.run("3T03:30")
    with house.at("3T03:30") as app:
        numbers = [int(one.title.split()[-1]) for one in frozen(app).corrections]
        assert numbers == list(range(22, 2, -1))


@pytest.mark.parametrize(
    ("before", "after", "corrected"),
    [
        (("He was there.",), ("He was not there.",), True),
        (("Four died.", "It rained."), ("Five died.", "It rained."), True),
        (("It rained.", "Four died."), ("Four died.",), True),
        (("It rained.", "Four died."), ("Four died.", "It rained."), True),
        (("Four died.",), ("It rained.", "Four died.", "Five were hurt."), False),
        (("Four died.", "It rained."), ("Four died. So it goes.", "And it rained."), False),
        (("Four died.", "It rained."), ("Four died. It rained.",), False),
        (("Four died.",), ('"Four" died!',), False),
    ],
)
def test_what_an_article_says_no_more_is_a_correction(
    before: tuple[str, ...], after: tuple[str, ...], *, corrected: bool
) -> None:
    assert entries._reworded(make_article("A", *before), make_article("A", *after)) is corrected


def test_a_text_that_comes_whole_is_no_correction() -> None:
    cut = make_article("A", "Four people died in a fi", truncated=True)
    assert not entries._reworded(
        cut, make_article("A", "Four people died in a fire.", "It rained.")
    )
    assert entries._reworded(cut, make_article("A", "Five people died in a fire.", "It rained."))
    assert entries._reworded(make_article("A", "One."), make_article("B", "One."))


def test_an_article_withdrawn_is_told_as_that(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    house.digest("3.txt", 3, 1)
    with house.at("3T03:00") as app, app.store._database.write() as connection:
        entries._change(connection, 1, entries.WITHDRAWN, app.now())
    house.run("3T03:30")
    with house.at("3T03:30") as app:
        assert corrections(app) == [(ARTICLES[0][0], "withdrawn")]


# The command line


def shell(house: House, capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    places = [f"--{name}={house.folder / name}" for name in ("seeds", "out", "state")]
    with pytest.raises(SystemExit) as ended:
        main([*words, *places, f"--config={house.folder / 'feeds.toml'}"])
    out, err = capsys.readouterr()
    assert ended.value.code == status, err
    return str(out) + str(err)


@REQUIRED
def test_an_editor_works_from_the_command_line(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("FEEDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEEDS_NOW", "2026-01-02T04:00:00Z")
    for number in range(3):
        house.digest(f"{number}.txt", 2, number, hour=number)
    house.run("2T03:30")
    with house.at("2T04:00") as app:
        first, second, _ = frozen(app).briefs
    slot = "2026-01-02T0800"
    note = house.folder / "note.txt"
    note.write_text("\ufeffGood morning.\n", encoding="utf-8")
    assert "waits for approval 3 articles" in shell(house, capsys, "edition", "list")
    rows = shell(house, capsys, "edition", "list", "--json").splitlines()
    assert json.loads(rows[1]) | {"approval": "awaited", "state": "composed"} == json.loads(rows[1])
    assert second.title in shell(house, capsys, "edition", "drop", slot, second.entry[:10])
    assert first.title in shell(house, capsys, "edition", "lead", slot, first.entry)
    assert "13 characters" in shell(house, capsys, "edition", "note", slot, str(note))
    note.write_bytes(b"\xff")
    assert "no UTF-8" in shell(house, capsys, "edition", "note", slot, str(note), status=2)
    shell(house, capsys, "edition", "drop", slot, "zz", status=1)
    shell(house, capsys, "edition", "approve", "2026-01-03T0800", status=1)
    wrong = ("edition", "approve", slot, "--edition", "weekly")
    shell(house, capsys, *wrong, status=1)
    assert "Approved: daily 2026-01-02T08:00" in shell(house, capsys, "edition", "approve", slot)
    with house.at("2T04:00") as app:
        edition = frozen(app)
        assert (edition.lead, edition.note, len(edition.briefs)) == (
            first.entry, "Good morning.", 2,
        )  # fmt: skip
        assert latest(app).approval == GIVEN


def test_a_preview_opens_in_the_browser(
    held: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def show(address: str) -> bool:
        seen.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", show)
    monkeypatch.setenv("FEEDS_NOW", "2026-01-02T04:00:00Z")
    shell(held, capsys, "edition", "preview", "--browser")
    assert seen == [(held.folder / "state/preview.html").as_uri()]
    assert ARTICLES[0][0] in (held.folder / "state/preview.html").read_text(encoding="utf-8")
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    file = held.folder / "a.html"
    said = shell(held, capsys, "edition", "preview", "--browser", "--html", str(file))
    assert f"No browser could be opened; the letter is in {file}" in said


def test_a_correction_reaches_whoever_was_sent_the_article(house: House) -> None:
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    with house.at("2T20:00") as app:
        add = app.store.subscribers.add
        add(Wish("new@example.org"), app.now(), state="active", reason="test", revive=True)
    house.digest("3.txt", 2, 0, body="The parliament rejected the state budget on Monday.")
    house.digest("3b.txt", 3, 1)
    house.run("3T03:30", send=False)
    with house.at("3T03:30") as app:
        edition = frozen(app)
        people = {person.email: person for person in app.store.subscribers.all("active")}
        deliveries = {one.subscriber: one for one in app.store.deliveries.of(latest(app).id)}
        wanted = [(deliveries[person.id], person) for person in people.values()]
        of = app.store.deliveries.freeze(wanted, editions.mentioned(edition))
        drafts = app.store.deliveries.drafts(of.values())
        told = {}
        for delivery, person in wanted:
            mix = editions.selection(edition, person, drafts[of[delivery.id]].received)
            assert mix is not None
            told[person.email] = len(mix.corrections)
        assert told == {"you@example.org": 1, "new@example.org": 0}


def test_ages_of_corrections_are_not_asked_of_every_edition(house: House) -> None:
    """An edition decided before an entry came can't have carried it: its text is not searched."""
    house.digest("2.txt", 2, 0)
    house.run("2T03:30")
    with house.at("3T03:30") as app:
        [entry] = app.store.entries.newest()
        carrying = app.store.editions.carrying
        assert [one.slot[8:10] for one in carrying("daily", entry.id, entry.first_seen)] == ["02"]
        assert carrying("daily", entry.id, entry.first_seen + timedelta(days=1)) == []
        assert carrying("weekly", entry.id, entry.first_seen) == []
