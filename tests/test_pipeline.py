"""The corridor: one bad thing never stops the others, and every verb is harmless when run twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from feeds import app as opened
from feeds import config, digests, pipeline
from feeds.app import App
from feeds.digests import stamp_first
from feeds.errors import StoreError
from feeds.model import Digest
from feeds.store.subscribers import Wish

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
    app.store.documents.claim("old", ["old/atom.xml", "old/index.html"])
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
    monkeypatch.setattr(pipeline, "FORMATS", "next")
    monkeypatch.setattr(pipeline.intake, "FORMATS", "next")
    assert pipeline.run(app).articles["new"] == 3
    assert app.store.digests.quarantined() == []
