"""The door that stays: digests as they land, editions on their schedule, through all that happens."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feeds import app as opened
from feeds import config, inbox, pipeline
from feeds import publish as files
from feeds.app import App
from feeds.config import Settings
from feeds.errors import ConfigError, DigestError, StoreError
from feeds.inbox.settle import Hint
from feeds.schedule import Bell, Watch, service, watch
from feeds.schedule.alarm import Alarm
from feeds.schedule.pulse import STALE, Pulse
from feeds.store.notes import Note
from feeds.store.subscribers import ACTIVE, Wish

NOW = datetime(2026, 1, 3, 6, 30, tzinfo=UTC)  # 11:30 in Almaty
MINUTE = timedelta(minutes=1)


class Clock:
    """Wall and monotonic time, which go on together unless the wall's is set."""

    def __init__(self) -> None:
        self.wall, self.steady = NOW, 0.0

    def go_on(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds)


class Desk:
    """An installation that is watched, with a clock to turn."""

    def __init__(self, app: App, clock: Clock) -> None:
        self.clock = clock
        self.wanted, self.pulse = service.Wanted(), Pulse(lambda: clock.steady)
        self.loop = Watch(
            replace(app, now=lambda: clock.wall),
            lambda: None,
            self.wanted,
            self.pulse,
            lambda: clock.steady,
        )

    @property
    def app(self) -> App:
        return self.loop.app

    @property
    def seeds(self) -> Path:
        return self.app.settings.seeds_folder

    def round(self, after: float = 0.0) -> float:
        self.clock.go_on(after)
        return self.loop.round()

    def titles(self) -> set[str]:
        return {entry.article.title for entry in self.app.store.entries.newest()}

    def slots(self) -> list[tuple[str, str]]:
        return [(one.slot, one.state) for one in self.app.store.editions.newest()][::-1]


def digest(title: str, day: int = 2) -> str:
    return f"{day:02}.01.2026, 09:00 5\n\n{title}\n\nThe parliament said {title} on Monday.\n \n"


def settings(folder: Path, text: str = "") -> Settings:
    file = folder / "feeds.toml"
    file.write_text(text)
    flags = {name: str(folder / name) for name in ("seeds", "out", "state")}
    return config.load(flags, {}, file)


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """Return a watched installation with an empty seeds/; a mark `toml` configures it."""
    (tmp_path / "seeds").mkdir()
    mark = request.node.get_closest_marker("toml")
    with opened.open_app(settings(tmp_path, mark.args[0] if mark else ""), {}) as app:
        made = Desk(app, Clock())
        yield made
        made.loop.close()


def told(desk: Desk, name: str, hint: Hint) -> None:
    """Wait until events have told so much of a file; a minute is for ever here."""
    for _ in range(6000):
        if desk.loop._watcher._hints.get(name) is hint:
            return
        time.sleep(0.01)
    raise AssertionError(name)


# Digests


def test_a_written_digest_is_read_once_it_has_settled(desk: Desk) -> None:
    (desk.seeds / "a.txt").write_text(digest("Parliament passes the budget"))
    assert desk.round() == 2.0
    assert desk.titles() == set()
    desk.round(after=1.9)
    assert desk.titles() == set()
    desk.round(after=0.1)
    assert desk.titles() == {"Parliament passes the budget"}
    assert (desk.app.out / "politics/atom.xml").exists()


def test_a_digest_that_is_renamed_in_is_read_at_once(desk: Desk, tmp_path: Path) -> None:
    desk.round()
    (tmp_path / "whole").write_text(digest("Parliament passes the budget"))
    (tmp_path / "whole").rename(desk.seeds / "a.txt")
    told(desk, "a.txt", Hint.ARRIVED)
    desk.round()
    assert desk.titles() == {"Parliament passes the budget"}
    assert "Parliament passes the budget" in (desk.app.out / "politics/atom.xml").read_text()


def test_a_slow_writer_never_has_half_a_digest_read(desk: Desk) -> None:
    desk.round()
    half = digest("Parliament passes the budget")
    with (desk.seeds / "a.txt").open("w") as file:
        for part in (half, digest("Team wins the cup")):
            file.write(part)
            file.flush()
            told(desk, "a.txt", Hint.WRITING)
            desk.round(after=10)
            desk.round(after=10)
            assert desk.titles() == set()
    told(desk, "a.txt", Hint.CLOSED)
    desk.round()
    desk.round(after=2)
    assert desk.titles() == {"Parliament passes the budget", "Team wins the cup"}


def test_a_digest_that_is_written_for_ever_is_told_of_and_stops_no_other(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.round()
    with (desk.seeds / "endless.txt").open("w") as file:
        for minute in range(12):
            file.write(digest(f"Article {minute}"))
            file.flush()
            told(desk, "endless.txt", Hint.WRITING)
            (desk.seeds / f"{minute}.txt").write_text(digest(f"Report {minute}"))
            desk.round(after=30)
            desk.round(after=30)
    assert len(desk.titles()) >= 11
    assert {title.split()[0] for title in desk.titles()} == {"Report"}
    assert "still being written, not read yet file=endless.txt" in caplog.text


def test_digests_that_wait_for_their_turn_are_not_said_to_be_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("feeds.schedule.BATCH", 1)
    for number in range(3):
        (desk.seeds / f"{number}.txt").write_text(digest(f"Article {number}"))
    desk.round()
    for _ in range(3):
        desk.round(after=601)
    assert len(desk.titles()) == 3
    assert "still being written" not in caplog.text


def test_events_that_were_lost_are_made_good_by_the_next_scan(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.round()
    monkeypatch.setattr(desk.loop._watcher, "take", dict)
    for number in range(3):
        (desk.seeds / f"{number}.txt").write_text(digest(f"Article {number}"))
    assert desk.round(after=1) == 29.0
    desk.round(after=29)
    desk.round(after=2)
    assert len(desk.titles()) == 3


def test_a_new_version_of_a_file_is_read_again(desk: Desk) -> None:
    (desk.seeds / "a.txt").write_text(digest("Article 1"))
    desk.round()
    desk.round(after=2)
    (desk.seeds / "a.txt").write_text(digest("Article 1") + digest("Article 2"))
    told(desk, "a.txt", Hint.CLOSED)
    desk.round(after=1)
    desk.round(after=2)
    assert desk.titles() == {"Article 1", "Article 2"}


def test_a_missing_folder_is_trouble_until_it_is_there(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.seeds.rmdir()
    desk.round()
    desk.round(after=30)
    assert "make this folder" in desk.pulse.troubles()["inbox"]
    assert [one.levelname for one in caplog.records].count("ERROR") == 1
    assert (desk.app.out / "index.html").exists()  # the rest went on
    desk.seeds.mkdir()
    (desk.seeds / "a.txt").write_text(digest("Article 1"))
    desk.round(after=30)
    desk.round(after=2)
    assert desk.pulse.troubles() == {}
    assert desk.titles() == {"Article 1"}


def test_nothing_in_seeds_is_ever_changed(desk: Desk) -> None:
    (desk.seeds / "a.txt").write_text(digest("Article 1"))
    (desk.seeds / "bad.txt").write_text("no digest\n")
    os.mkfifo(desk.seeds / "pipe")
    before = {one.name: one.lstat() for one in desk.seeds.iterdir()}
    desk.round()
    desk.round(after=2)
    assert len(desk.app.store.digests.quarantined()) == 2
    for name, status in before.items():
        after = (desk.seeds / name).lstat()
        assert (after.st_mtime_ns, after.st_ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)


def test_a_large_drop_is_read_in_parts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feeds.schedule.BATCH", 2)
    for number in range(5):
        (desk.seeds / f"{number}.txt").write_text(digest(f"Article {number}"))
    desk.round()
    assert desk.round(after=2) <= 0
    assert desk.titles() == {"Article 0", "Article 1"}
    desk.round()
    desk.round()
    assert len(desk.titles()) == 5


# Slots


def filled(desk: Desk) -> None:
    """Have an article on record, and its first edition."""
    (desk.seeds / "a.txt").write_text(digest("Article 1"))
    desk.round(after=30)
    desk.round(after=2)


def test_an_edition_goes_when_its_slot_has_come(desk: Desk) -> None:
    filled(desk)
    assert desk.slots() == [("2026-01-03T08:00", "open")]
    (desk.seeds / "b.txt").write_text(digest("Article 2", day=3))
    desk.round(after=30)
    desk.round(after=2)
    coming = {one.what: one.at for one in desk.loop._coming}
    assert coming["edition daily"] == datetime(2026, 1, 4, 3, 0, tzinfo=UTC)
    while desk.clock.wall < datetime(2026, 1, 4, 3, 0, tzinfo=UTC):
        desk.round(after=3600)
    assert desk.slots() == [("2026-01-03T08:00", "composed"), ("2026-01-04T08:00", "open")]


def test_a_clock_that_jumps_ahead_has_editions_wait_until_it_is_steady(desk: Desk) -> None:
    filled(desk)
    (desk.seeds / "b.txt").write_text(digest("Article 2", day=3))
    desk.round(after=30)
    desk.round(after=2)
    desk.clock.wall += timedelta(days=1)
    desk.round(after=30)
    desk.clock.wall -= timedelta(days=1)
    for _ in range(4):
        desk.round(after=30)
    assert desk.slots() == [("2026-01-03T08:00", "open")]
    desk.clock.wall += timedelta(days=1)
    for _ in range(3):
        desk.round(after=30)
    assert [slot for slot, _ in desk.slots()] == ["2026-01-03T08:00", "2026-01-04T08:00"]


def test_a_clock_that_is_set_back_repeats_nothing(desk: Desk) -> None:
    filled(desk)
    before = desk.slots()
    for hours in (1, 24, 24 * 30):
        desk.clock.wall = NOW - timedelta(hours=hours)
        for _ in range(4):
            desk.round(after=30)
    desk.clock.wall = NOW
    for _ in range(4):
        desk.round(after=30)
    assert desk.slots() == before


@pytest.mark.toml('[feeds]\nschedule = "every day at 12:00"\n')
def test_channels_wait_for_their_schedule_and_pages_do_not(desk: Desk) -> None:
    desk.round()
    feed = desk.app.out / "politics/atom.xml"
    assert feed.exists()  # what was never made doesn't wait
    filled(desk)
    assert "Article 1" not in feed.read_text()
    assert list((desk.app.out / "articles").glob("*/*.html"))
    while desk.clock.wall < datetime(2026, 1, 3, 7, 0, tzinfo=UTC):
        desk.round(after=300)
    assert "Article 1" in feed.read_text()
    assert {one.what for one in desk.loop._coming} == {"edition daily", "feeds"}


def test_a_backup_a_day_and_a_sweep_a_night_are_made_unasked(desk: Desk) -> None:
    filled(desk)
    backups = desk.app.settings.state_folder / "backups"
    assert len(list(backups.iterdir())) == 1
    lost = next((desk.app.out / "articles").glob("*/*.html"))
    lost.unlink()
    while desk.clock.wall < NOW + timedelta(days=1, minutes=30):
        desk.round(after=3600)
    assert len(list(backups.iterdir())) == 2
    assert lost.exists()


def test_nothing_is_mailed_after_a_restore_until_it_is_released(desk: Desk) -> None:
    wish = Wish("you@example.org", None, None, None)
    desk.app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="asked", revive=False)
    desk.app.store.notes.write(Note.HELD, "a restore")
    filled(desk)
    assert not desk.app.outbox.exists()
    assert "stopped since a restore" in desk.pulse.troubles()["sending"]
    pipeline.let_go(desk.app)
    desk.round(after=30)
    assert len(list(desk.app.outbox.glob("*.eml"))) == 1
    assert desk.pulse.troubles() == {}


# What goes wrong


def test_out_that_cannot_be_written_to_is_trouble_and_mends_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    filled(desk)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files, "_replace", full)
        (desk.seeds / "b.txt").write_text(digest("Article 2"))
        desk.round(after=30)
        desk.round(after=2)
        assert "the disk is full" in desk.pulse.troubles()["publishing"]
        desk.round(after=30)
    desk.round(after=30)
    assert desk.pulse.troubles() == {}
    assert "Article 2" in (desk.app.out / "politics/atom.xml").read_text()
    said = [one.getMessage() for one in caplog.records]
    assert sum("trouble part=publishing" in line for line in said) == 1


def test_a_fault_of_ours_in_one_part_stops_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        raise RecursionError("a fault of ours")

    monkeypatch.setattr(pipeline, "compose", breaks)
    filled(desk)
    assert desk.pulse.troubles() == {"editions": "RecursionError: a fault of ours"}
    assert desk.titles() == {"Article 1"}


def test_a_digest_that_fails_again_and_again_is_trouble_until_it_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.seeds / "a.txt").write_text(digest("Article 1"))
    with monkeypatch.context() as patched:
        patched.setattr(inbox, "load", failing(errno.EMFILE))
        for _ in range(4):
            desk.round(after=30)
            assert "intake" in desk.pulse.troubles() or not desk.titles()
        assert "Too many open files" in desk.pulse.troubles()["intake"]
    desk.round(after=30)
    desk.round(after=2)
    assert desk.titles() == {"Article 1"}
    assert desk.pulse.troubles() == {}


def failing(number: int) -> Any:
    """Return what opens nothing, for a reason that passes."""

    def load(*_: Any) -> None:
        raise DigestError("a.txt", "failing", os.strerror(number))

    return load


def test_letters_that_cannot_go_are_trouble(desk: Desk) -> None:
    wish = Wish("you@example.org", None, None, None)
    desk.app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="asked", revive=False)
    desk.app.outbox.write_text("in the way")
    filled(desk)
    assert desk.pulse.troubles()["letters"] == "1 not delivered, as said before"
    desk.app.outbox.unlink()
    desk.round(after=30)
    assert desk.pulse.troubles() == {}


def test_a_clock_that_jumps_a_year_ahead_prunes_nothing_and_stops_no_night(desk: Desk) -> None:
    wish = Wish("you@example.org", None, None, None)
    desk.app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="asked", revive=False)
    filled(desk)
    desk.clock.wall += timedelta(days=400)
    desk.round(after=30)
    assert len(list(desk.app.outbox.glob("*.eml"))) == 1
    desk.round(after=30)
    desk.round(after=30)  # by now it is taken for right
    desk.clock.wall -= timedelta(days=400)
    lost = next((desk.app.out / "articles").glob("*/*.html"))
    lost.unlink()
    for _ in range(30):
        desk.round(after=3600)
    assert lost.exists()


def test_a_record_that_is_taken_away_ends_the_loop(desk: Desk) -> None:
    desk.round()
    (desk.app.settings.state_folder / "feeds.db").rename(desk.app.settings.state_folder / "gone")
    with pytest.raises(StoreError, match="taken away"):
        desk.round(after=30)


def test_a_stop_is_heeded_between_two_files(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = pipeline.ingest

    def stopping(*arguments: Any, **more: Any) -> Any:
        desk.wanted.stop = True
        return ingest(*arguments, **more)

    for number in range(3):
        (desk.seeds / f"{number}.txt").write_text(digest(f"Article {number}"))
    desk.round()
    monkeypatch.setattr(pipeline, "ingest", stopping)
    desk.round(after=2)
    assert len(desk.titles()) == 1
    assert not list((desk.app.out / "articles").glob("*/*.html"))


def test_a_changed_configuration_is_taken_on_and_a_wrong_one_is_not(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk.round()
    desk.loop.reload(lambda: settings(tmp_path, '[publication]\ntitle = "The Desk"\n'))
    desk.round()
    assert "The Desk" in (desk.app.out / "index.html").read_text()
    with pytest.raises(ConfigError):
        settings(tmp_path, '[publication]\ntitel = "The Desk"\n')
    desk.loop.reload(lambda: settings(tmp_path, '[publication]\ntitel = "The Desk"\n'))
    assert desk.app.publication.title == "The Desk"
    assert "the old one stays" in caplog.text
    elsewhere = replace(settings(tmp_path), state_folder=tmp_path / "other")
    desk.loop.reload(lambda: elsewhere)
    assert desk.app.publication.title == "The Desk"


def test_rounds_with_nothing_to_do_say_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    filled(desk)
    caplog.clear()
    for _ in range(20):
        desk.round(after=30)
    assert caplog.records == []


# Around the loop


def test_the_bell_wakes_the_loop_and_many_rings_wake_it_once() -> None:
    bell = Bell()
    for _ in range(1000):
        bell.ring()
    bell.wait(60)
    assert bell._rung.empty()


def test_the_alarm_rings_for_what_has_come() -> None:
    rung: list[bool] = []
    alarm = Alarm(lambda: rung.append(True))
    alarm.set([datetime.now(UTC) + timedelta(days=1)])
    assert not rung
    alarm.set([datetime.now(UTC) - MINUTE])
    for _ in range(6000):
        if rung:
            break
        time.sleep(0.01)
    alarm.close()
    assert rung == [True]


def test_a_loop_that_hangs_is_unhealthy() -> None:
    clock = [0.0]
    pulse = Pulse(lambda: clock[0])
    assert pulse.troubles() == {}
    clock[0] = STALE + 1
    assert "no round has ended" in pulse.troubles()["loop"]


def test_figures_are_in_the_form_of_prometheus(desk: Desk) -> None:
    filled(desk)
    figures = desk.pulse.metrics().decode()
    assert 'feeds_digests_total{outcome="read"} 1.0' in figures
    assert 'feeds_articles_total{outcome="new"} 1.0' in figures
    assert "feeds_healthy 1.0" in figures
    assert 'feeds_next_timestamp_seconds{what="edition daily"} 1.7674956e+09' in figures
    assert 'feeds_on_record{what="articles"} 1.0' in figures


def test_signals_ask_to_stop_and_to_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[bool] = []
    before = signal.getsignal(signal.SIGTERM)
    with service.signals(lambda: rung.append(True)) as wanted:
        os.kill(os.getpid(), signal.SIGHUP)
        assert (wanted.reload, wanted.stop) == (True, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert wanted.stop
        os.kill(os.getpid(), signal.SIGTERM)  # comes with the first, as by timeout(1)
        monkeypatch.setattr(service, "_TOGETHER", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert len(rung) == 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_systemd_is_told_that_the_loop_is_ready_and_that_it_ends(
    desk: Desk, tmp_path: Path
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        app = replace(desk.app, environ={"NOTIFY_SOCKET": str(path)})
        wanted = service.Wanted()
        bell = Bell()
        bell.ring()

        def stop() -> Settings:
            wanted.stop = True
            return app.settings

        wanted.reload = True
        watch(app, bell, wanted, Pulse(), stop)
        heard = [channel.recv(1000).decode() for _ in range(4)]
    assert heard[0].startswith("READY=1\n")  # before the first round, which may be long
    assert heard[1].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert heard[2].startswith("READY=1\nSTATUS=next: edition daily at ")
    assert heard[3] == "STOPPING=1"


def test_without_systemd_nobody_is_told() -> None:
    service.notify({}, "READY=1")
    service.notify({"NOTIFY_SOCKET": "@feeds-nobody-listens"}, "READY=1")
