"""The nightly work: what was lost is made again, what changed is read again, what is old goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from feeds import app as opened
from feeds import config, outbox, pipeline, publish
from feeds.app import App
from feeds.config import EditionSettings
from feeds.model import DeliveryState, Document
from feeds.pipeline import upkeep
from feeds.pipeline.upkeep import Swept
from feeds.store import schema
from feeds.store.notes import Note
from feeds.store.outgoing import Ended
from feeds.store.subscribers import UNSUBSCRIBED, Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
DIGEST = "{:%d.%m.%Y}, 09:00 5\n\n{}\n\nThe parliament passed the state budget on {:%A}.\n \n"


def write(app: App, name: str, title: str, day: datetime = NOW) -> Path:
    path = app.settings.seeds_folder / name
    path.write_text(DIGEST.format(day, title, day))
    return path


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return the application after one pass over two digests, with one subscriber."""
    (tmp_path / "seeds").mkdir()
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    settings = config.load(flags, {}, Path("/dev/null"))
    with opened.open_app(settings, {"FEEDS_NOW": NOW.isoformat()}) as app:
        write(app, "a.txt", "Parliament passes the budget")
        write(app, "b.txt", "Parliament debates a law")
        join(app, "you@example.org")
        pipeline.run(app)
        yield app


def join(app: App, email: str, *channels: str) -> None:
    wish = Wish(email, channels or None)
    app.store.subscribers.add(wish, NOW, state="active", reason="test", revive=True)


def at(app: App, now: datetime) -> App:
    """Return the application at another time."""
    return replace(app, now=lambda: now)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def rows(app: App, table: sa.Table) -> int:
    with app.store._database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_a_sweep_of_what_is_well_changes_nothing(app: App) -> None:
    made = app.store.documents.made()
    documents = len(list(app.store.documents.all()))
    assert upkeep.sweep(app) == Swept(documents=documents, digests=2)
    assert app.store.documents.made() == made
    assert app.store.notes.moment(Note.SWEPT) == NOW


@pytest.mark.parametrize("damage", ["lost", "changed", "a link", "a folder"])
def test_what_was_lost_below_out_is_made_again_to_the_same_bytes(
    app: App, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = tree(app.out)
    article = next(iter((app.out / "articles").rglob("*.html")))
    edition = next((app.out / "editions").rglob("*.html"))
    for path in (article, edition, app.out / "sport/rss.xml"):
        data = path.read_bytes()
        path.unlink()
        if damage == "changed":
            path.write_bytes(data.replace(b"a", b"b"))
        elif damage == "a link":
            path.symlink_to("/etc/passwd")
        elif damage == "a folder" and not any(path.parent.iterdir()):
            path.parent.rmdir()
    assert upkeep.sweep(app).lost == 3
    assert "documents lost or changed target=sport count=1 first=sport/rss.xml" in caplog.text
    done = pipeline.run(app)
    assert done.documents["written"] == 3
    assert tree(app.out) == before


def test_only_what_a_killed_pass_left_of_ours_is_removed(app: App) -> None:
    old = (NOW - timedelta(hours=2)).timestamp()
    new = (NOW - timedelta(minutes=59)).timestamp()
    left = {
        "sport/.atom.xml.tmp": old,
        "sport/.rss.xml.tmp": new,
        "sport/.theirs.tmp": old,
        ".hidden": old,
        ".tmp": old,
    }
    for name, changed in left.items():
        (app.out / name).write_text("x")
        os.utime(app.out / name, (changed, changed))
    (app.settings.state_folder / ".backup-x").mkdir()
    (app.settings.state_folder / ".backup-x/feeds.db").write_text("x")
    os.utime(app.settings.state_folder / ".backup-x", (old, old))
    assert upkeep.sweep(app).strays == 1
    assert [name for name in left if not (app.out / name).exists()] == ["sport/.atom.xml.tmp"]
    assert not (app.settings.state_folder / ".backup-x").exists()


def test_a_digest_that_changed_although_it_looks_as_before_is_read_again(app: App) -> None:
    path = app.settings.seeds_folder / "a.txt"
    path.write_text(path.read_text().replace("passes the budget", "rejects an offer!"))
    # What a copy of a disk keeps: the record is told that the file looked as it does now.
    with app.store._database.write() as connection:
        status = path.stat()
        look = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        update = sa.update(schema.sightings).where(schema.sightings.c.name == "a.txt")
        connection.execute(update.values(look=look))
    assert pipeline.run(app).digests == {"unchanged": 2}
    assert upkeep.sweep(app).changed == 1
    done = pipeline.run(app)
    assert (done.digests["read"], done.articles["new"]) == (1, 1)
    assert upkeep.sweep(app).changed == 0


def test_a_digest_that_is_gone_is_known_when_it_comes_back(app: App) -> None:
    path = app.settings.seeds_folder / "a.txt"
    text = path.read_text()
    path.unlink()
    assert upkeep.sweep(app).gone == 1
    assert [one.name for one in app.store.digests.sighted()] == ["b.txt"]
    path.write_text(text)
    done = pipeline.run(app)
    assert (done.digests["read"], done.digests["unchanged"], done.articles) == (0, 2, {})


def test_an_empty_folder_of_seeds_makes_nothing_forgotten(app: App) -> None:
    for path in app.settings.seeds_folder.iterdir():
        path.unlink()
    assert upkeep.sweep(app).gone == 0
    app.settings.seeds_folder.rmdir()
    assert upkeep.sweep(app).digests == 0
    assert len(app.store.digests.sighted()) == 2


# Retention.


def days(number: float) -> timedelta:
    return timedelta(days=number)


def editions(app: App, count: int) -> App:
    """Let an article come and an edition go out, so many times; return the application then."""
    now = app.now()
    for number in range(count):
        now += days(1)
        app = at(app, now)
        write(app, f"{now:%Y%m%d}.txt", f"Parliament passes law number {number}", now)
        assert pipeline.run(app).deliveries["written"] >= 1
    return app


def test_old_deliveries_go_but_never_those_of_the_latest_edition(app: App) -> None:
    app = editions(app, 3)
    assert rows(app, schema.deliveries) == 4
    later = app.now() + days(89)
    assert upkeep.prune(app, later)["deliveries"] == 2  # 92 and 91 days old; 90 is not older
    assert upkeep.prune(app, later + days(400))["deliveries"] == 1
    assert upkeep.prune(app, later + days(400)) == {}
    assert (rows(app, schema.deliveries), rows(app, schema.drafts)) == (1, 1)
    assert rows(app, schema.carried) == 1
    assert app.store.notes.moment(Note.PRUNED) == later + days(400)


def test_what_is_not_ended_stays(app: App) -> None:
    app = editions(app, 1)
    [first, *_] = app.store.deliveries.of(1)
    app.store.deliveries.mark([Ended(first.id, DeliveryState.UNCERTAIN)], [], NOW)
    assert upkeep.prune(app, NOW + days(1000))["deliveries"] == 0


def test_deliveries_outlive_the_longest_age_that_is_mailed(app: App) -> None:
    app = editions(app, 1)
    slow = EditionSettings(
        name="yearly",
        cron="0 8 * * mon",
        timezone=None,
        channels=(),
        languages=(),
        wait=timedelta(hours=3),
        max_age=days(400),
        max_entries=15,
        subject="{lead}",
    )
    settings = replace(app.settings, editions=(*app.settings.editions, slow))
    app = opened.reconfigured(app, settings)
    assert upkeep.prune(app, NOW + days(399))["deliveries"] == 0
    assert upkeep.prune(app, NOW + days(402))["deliveries"] == 1


def test_nobody_is_sent_an_article_twice_after_its_delivery_was_pruned(app: App) -> None:
    app = editions(app, 1)
    app = at(app, app.now() + days(200))
    assert upkeep.prune(app, app.now())["deliveries"] == 1
    for letter in app.outbox.iterdir():
        letter.unlink()
    # A new name starts with the whole archive, whatever its age.
    other = replace(app.settings.editions[0], name="other")
    app = opened.reconfigured(app, replace(app.settings, editions=(other,)))
    join(app, "new@example.org")
    pipeline.run(app)
    sent = b"".join(path.read_bytes() for path in app.outbox.iterdir())
    assert b"Parliament passes the budget" not in sent
    assert b"Parliament debates a law" not in sent


def test_letters_go_by_the_moment_on_record_and_others_stay(app: App) -> None:
    app = editions(app, 9)
    theirs = app.outbox / "theirs.eml"
    theirs.write_text("x")
    old = (NOW - timedelta(hours=2)).timestamp()
    left = app.outbox / ".daily-2026-01-02T0800-1.eml.tmp"
    left.write_text("x")
    for path in app.outbox.iterdir():
        os.utime(path, (old, old))
    assert upkeep.prune(app, app.now())["letters"] == 2
    names = sorted(path.name for path in app.outbox.iterdir())
    assert len(names) == 9
    assert names[0] == outbox.file_name("daily", "2026-01-04T08:00", 1)
    assert theirs.exists()
    assert not left.exists()
    assert upkeep.prune(app, app.now()) == {}


def test_quarantine_and_consents_are_kept_unless_told(app: App) -> None:
    bad = app.settings.seeds_folder / "bad.txt"
    bad.write_text("nothing that a format explains\n")
    (app.settings.seeds_folder / "worse.txt").write_text("nothing either\n")
    pipeline.run(app)
    bad.unlink()
    pipeline.run(app)
    person = app.store.subscribers.find("you@example.org")
    app.store.subscribers.suppress(person.id, UNSUBSCRIBED, NOW, "asked")
    join(app, "stays@example.org")
    later = NOW + days(500)
    assert upkeep.prune(app, later)["quarantine"] == 0
    keep = replace(app.settings.retention, quarantine=days(30), consent=days(400))
    app = opened.reconfigured(app, replace(app.settings, retention=keep))
    assert upkeep.prune(app, NOW + days(29))["quarantine"] == 0
    done = upkeep.prune(app, later)
    assert (done["quarantine"], done["consents"]) == (1, 2)
    assert [one.file for one in app.store.digests.quarantined()] == ["worse.txt"]
    assert rows(app, schema.consents) == 1
    assert app.store.subscribers.find("you@example.org").state == "unsubscribed"


def test_many_rows_go_in_small_batches(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feeds.store.upkeep._BATCH", 2)
    for number in range(6):
        join(app, f"{number}@example.org")
    app = editions(app, 2)
    assert rows(app, schema.deliveries) == 15
    assert upkeep.prune(app, NOW + days(300))["deliveries"] == 8
    assert rows(app, schema.deliveries) == 7


def test_a_document_is_what_its_hash_says(tmp_path: Path) -> None:
    publish.write(tmp_path, [Document("a/b.xml", "text/xml", b"x")])
    right = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert not publish.differs(tmp_path, "a/b.xml", right)
    assert not publish.differs(tmp_path, "a/b.xml", None)
    assert publish.differs(tmp_path, "a/b.xml", "0" * 64)
    assert publish.differs(tmp_path, "a/c.xml", None)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert publish.differs(tmp_path, "link/b.xml", right)
