"""The corridor: one bad thing never stops the others, and every verb is harmless when run twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feeds import app as opened
from feeds import channels, config, digests, editions, inbox, letters, outputs, pipeline
from feeds.app import App
from feeds.digests import stamp_first
from feeds.errors import StoreError
from feeds.model import Digest, Document, Entry, Feed, Letter
from feeds.store.subscribers import UNSUBSCRIBED, Wish

DAY = "2026-01-0{day}T06:30:00Z"


def text(day: int, title: str, words: str) -> str:
    return f"0{day}.01.2026, 09:00 5\n\n{title}\n\n{words}\n \n"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return the application over three digests in an empty folder, on 3 January 2026."""
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "a.txt").write_text(
        text(1, "Parliament passes the budget", "The parliament passed the state budget on Monday.")
    )
    (seeds / "b.txt").write_text(
        text(2, "Team wins the cup final", "The national football team won the cup in the final.")
    )
    (seeds / "c.txt").write_text(
        text(2, "Doctors open a new hospital", "A hospital for patients was opened by doctors.")
    )
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {}, Path("/dev/null"))
    with opened.open_app(found, {"FEEDS_NOW": DAY.format(day=3)}) as app:
        yield app


def test_a_digest_that_breaks_a_parser_stops_no_other(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read = digests.read

    def breaks(digest: Digest, zone: object) -> object:
        if digest.name == "b.txt":
            raise RecursionError("a fault of ours")
        return read(digest, zone)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(digests, "read", breaks)
    done = pipeline.run(app)
    assert (done.digests["read"], done.digests["failed"]) == (2, 1)
    assert not done.clean
    [entry] = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert "b.txt" in entry.getMessage()
    assert entry.exc_info
    monkeypatch.undo()
    again = pipeline.run(app)
    assert (again.digests["read"], again.articles["new"]) == (1, 1)
    assert again.clean


def test_a_channel_that_cannot_be_written_stops_no_other(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.out.mkdir()
    (app.out / "sport").write_text("in the way")
    done = pipeline.run(app)
    assert [failure.split(":")[0] for failure in done.failures] == ["sport"]
    assert (app.out / "health/atom.xml").exists()
    assert "a link or a file stands where a folder belongs" in caplog.text
    assert "Traceback" not in caplog.text
    (app.out / "sport").unlink()
    assert pipeline.run(app).clean
    assert (app.out / "sport/atom.xml").exists()


def test_a_letter_that_cannot_be_written_waits_for_the_next_pass(app: App) -> None:
    wish = Wish("you@example.org")
    app.store.subscribers.add(wish, app.now(), state="active", reason="test", revive=True)
    app.outbox.write_text("in the way")
    done = pipeline.run(app)
    assert (done.deliveries["deferred"], done.clean) == (1, False)
    app.outbox.unlink()
    again = pipeline.run(app)
    assert (again.deliveries["written"], again.clean) == (1, True)
    assert len(list(app.outbox.iterdir())) == 1


def test_a_broken_record_stops_the_pass(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise StoreError("feeds.db", "database or disk is full")

    monkeypatch.setattr(app.store.digests, "record", full)
    with pytest.raises(StoreError):
        pipeline.run(app)
    monkeypatch.undo()
    assert pipeline.run(app).articles["new"] == 3


def test_every_verb_is_harmless_when_run_twice(app: App) -> None:
    pipeline.run(app)
    now = app.now()
    assert pipeline.compose(app, now) == {}
    for target in pipeline.targets(app):
        assert pipeline.publish(app, target)["written"] == 0
    assert pipeline.due(app, now) == []


def test_a_channel_that_is_no_more_loses_its_documents(app: App) -> None:
    pipeline.run(app)
    app.store.documents.claim("old", {"old/atom.xml": "", "old/index.html": ""})
    (app.out / "old").mkdir()
    for name in ("atom.xml", "index.html", "theirs.txt"):
        (app.out / "old" / name).write_text("x")
    done = pipeline.run(app)
    assert done.documents["removed"] == 2
    assert [path.name for path in (app.out / "old").iterdir()] == ["theirs.txt"]
    assert pipeline.run(app).documents["removed"] == 0


def test_only_what_changed_is_made_again(app: App) -> None:
    pipeline.run(app)
    before = {path: path.stat().st_mtime_ns for path in app.out.rglob("*") if path.is_file()}
    (app.settings.seeds_folder / "d.txt").write_text(
        text(3, "Parliament debates a law", "The parliament debated a law on elections on Friday.")
    )
    pipeline.run(app)
    changed = {
        str(path.relative_to(app.out))
        for path in app.out.rglob("*")
        if path.is_file() and before.get(path) != path.stat().st_mtime_ns
    }
    folders = {name.split("/")[0] for name in changed}
    assert "politics/atom.xml" in changed
    assert "sport/atom.xml" not in changed
    assert folders <= {"politics", "all", "articles", "feeds.opml", "index.html"}


def test_a_format_learned_later_reads_what_was_quarantined(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamp_first, "sniff", lambda _lines: 0.0)
    done = pipeline.run(app)
    assert done.digests["quarantined"] == 3
    assert pipeline.run(app).digests["unchanged"] == 3
    monkeypatch.undo()
    monkeypatch.setattr(digests, "VERSION", "next")
    assert pipeline.run(app).articles["new"] == 3
    assert app.store.digests.quarantined() == []


def test_a_pass_with_nothing_new_opens_no_file_and_renders_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(app)

    def never(*_arguments: object, **_more: object) -> None:
        raise AssertionError

    monkeypatch.setattr(inbox, "load", never)
    for verb in ("render", "article", "edition", "catalogues"):
        monkeypatch.setattr(outputs, verb, never)
    done = pipeline.run(app)
    assert (done.digests, done.failures) == ({"unchanged": 3}, [])


def test_one_new_digest_renders_its_own_articles_and_channels_alone(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run(app)
    made: list[str] = []
    article, render = outputs.article, outputs.render

    def note_article(entry: Entry, *rest: Any) -> Document:
        made.append(entry.article.title)
        return article(entry, *rest)

    def note_feed(feed: Feed, *rest: Any) -> Iterator[Document]:
        made.append(feed.channel.slug)
        return render(feed, *rest)

    monkeypatch.setattr(outputs, "article", note_article)
    monkeypatch.setattr(outputs, "render", note_feed)
    (app.settings.seeds_folder / "d.txt").write_text(
        text(3, "Team loses the cup match", "The national football team lost a match on Saturday.")
    )
    pipeline.run(app)
    [entry] = app.store.entries.newest(1)
    also = channels.secondary(entry.topics, app.publication.channels)
    assert sorted(made) == sorted(["Team loses the cup match", entry.channel, *also, "all"])


def test_an_edition_that_cannot_be_composed_stops_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_arguments: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(editions, "compose", breaks)
    done = pipeline.run(app)
    assert (done.editions, done.articles["new"], done.clean) == ({"failed": 1}, 3, False)
    assert "edition failed at=daily: a fault of ours" in caplog.text
    monkeypatch.undo()
    assert pipeline.run(app).editions == {"composed": 1}


def test_a_letter_that_breaks_stops_no_other(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        wish = Wish(f"{name}@example.org")
        app.store.subscribers.add(wish, app.now(), state="active", reason="test", revive=True)
    address = letters.address

    def breaks(draft: letters.Draft, to: letters.Addressee) -> Letter:
        if to.email.startswith("a"):
            raise RuntimeError("a fault of ours")
        return address(draft, to)

    monkeypatch.setattr(letters, "address", breaks)
    assert pipeline.run(app).deliveries == {"written": 1, "deferred": 1}
    monkeypatch.undo()
    assert pipeline.run(app).deliveries == {"written": 1}


def test_nobody_is_sent_an_article_twice_nor_another_letter_again(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "a.txt").write_text(
        text(1, "Parliament passes the budget", "The parliament passed the state budget on Monday.")
    )
    toml = tmp_path / "feeds.toml"
    toml.write_text(
        '[[edition]]\nname = "morning"\ncron = "every day at 07:00"\n'
        '[[edition]]\nname = "noon"\ncron = "every day at 10:00"\n'
    )
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {}, toml)

    def one_pass(at: str) -> None:
        with opened.open_app(found, {"FEEDS_NOW": at}) as app:
            add = app.store.subscribers.add
            add(Wish("a@example.org"), app.now(), state="active", reason="r", revive=True)
            pipeline.run(app)

    one_pass("2026-01-01T04:30:00Z")  # 09:30 in Almaty: only the morning edition has come
    outbox = tmp_path / "state/outbox"
    [first] = outbox.iterdir()
    before = first.read_bytes()
    (seeds / "b.txt").write_text(
        text(1, "Team wins the cup final", "The national football team won the cup in the final.")
    )
    one_pass("2026-01-01T06:00:00Z")
    [noon] = outbox.glob("noon-*")
    assert b"Team wins the cup final" in noon.read_bytes()
    assert b"Parliament passes" not in noon.read_bytes()
    first.unlink()
    with opened.open_app(found, {"FEEDS_NOW": "2026-01-01T06:30:00Z"}) as app:
        add = app.store.subscribers.add
        wish = Wish("a@example.org", ("sport",))
        assert add(wish, app.now(), state="active", reason="r", revive=True) == "changed"
        for slotted in app.store.editions.find("2026-01-01T07:00"):
            assert pipeline.send(app, slotted, again=True) == {"written": 1}
    assert first.read_bytes() == before


def test_a_letter_that_waits_keeps_the_next_edition_from_carrying_the_same(tmp_path: Path) -> None:
    """Both are due when the disk is full, and both could carry the article."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(
        text(1, "Parliament passes the budget", "The parliament passed the state budget on Monday.")
    )
    toml = tmp_path / "feeds.toml"
    toml.write_text('[[edition]]\nname = "one"\n[[edition]]\nname = "two"\n')
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {}, toml)
    with opened.open_app(found, {"FEEDS_NOW": DAY.format(day=3)}) as app:
        add = app.store.subscribers.add
        add(Wish("a@example.org"), app.now(), state="active", reason="r", revive=True)
        app.outbox.write_text("in the way")
        assert pipeline.run(app).deliveries == {"deferred": 1}
        app.outbox.unlink()
        assert pipeline.run(app).deliveries == {"written": 1, "suppressed": 1}
        assert [path.name for path in app.outbox.iterdir()] == ["one-2026-01-03T0800-1.eml"]


def test_who_left_gets_no_letter_again_and_stays_on_record_as_served(app: App) -> None:
    wish = Wish("a@example.org")
    app.store.subscribers.add(wish, app.now(), state="active", reason="test", revive=True)
    pipeline.run(app)
    [person] = app.store.subscribers.all()
    app.store.subscribers.suppress(person.id, UNSUBSCRIBED, app.now(), "asked")
    before = app.store.deliveries.count()
    [path] = app.outbox.iterdir()
    path.unlink()
    for slotted in app.store.editions.newest():
        assert pipeline.send(app, slotted, again=True) == {}
    assert app.store.deliveries.count() == before
    assert list(app.outbox.iterdir()) == []


def test_a_changed_zone_decides_no_slot_twice(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(
        text(1, "Parliament passes the budget", "The parliament passed the state budget on Monday.")
    )
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    counts = []
    for zone, hour in (("Asia/Almaty", 4), ("Europe/Berlin", 9), ("Europe/Berlin", 10)):
        toml = tmp_path / "feeds.toml"
        toml.write_text(f'[publication]\ntimezone = "{zone}"\n')
        found = config.load(flags, {}, toml)
        with opened.open_app(found, {"FEEDS_NOW": f"2026-01-02T{hour:02}:30:00Z"}) as app:
            counts.append(pipeline.run(app).editions)
    assert counts == [{"composed": 1}, {}, {}]


def test_a_slot_that_nothing_decided_is_skipped_when_the_next_has_come(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(
        text(1, "Parliament passes the budget", "The parliament passed the state budget on Monday.")
    )
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {}, Path("/dev/null"))
    counts = []
    for day in (2, 3, 4, 5):  # each time half an hour after the slot, within its wait
        with opened.open_app(found, {"FEEDS_NOW": f"2026-01-0{day}T03:30:00Z"}) as app:
            counts.append(pipeline.run(app).editions)
            states = [(one.slot[8:10], one.state) for one in app.store.editions.newest()]
    assert counts == [{"composed": 1}, {}, {"skipped": 1}, {"skipped": 1}]
    assert states == [("04", "skipped"), ("03", "skipped"), ("02", "composed")]
