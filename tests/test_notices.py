"""The operator is told by mail what needs a person: once a day at most, and never for nothing."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from feeds import app as opened
from feeds import config, letters, pipeline
from feeds.app import App
from feeds.cli import main
from feeds.errors import DeliveryError
from feeds.model import DeliveryState
from feeds.pipeline import notices
from feeds.schedule import Watch
from feeds.schedule.pulse import Pulse
from feeds.schedule.service import Wanted
from feeds.store.notes import Note
from feeds.store.outgoing import Ended
from feeds.store.subscribers import ACTIVE, Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)  # 11:30 in Almaty
DAY = timedelta(days=1)
DIGEST = "02.01.2026, 09:00 5\n\nParliament passes the budget\n\nThe parliament passed it.\n \n"
OPEN = Callable[..., App]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return an installation with an operator, after a pass that read one digest."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(DIGEST)
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    environ = {
        "FEEDS_OPERATOR_EMAIL": "The desk <desk@example.org>",
        "FEEDS_OPERATOR_SILENT_AFTER": "90d",
        "FEEDS_NOW": NOW.isoformat(),
    }
    with opened.open_app(config.load(flags, environ, Path("/dev/null")), environ) as app:
        wish = Wish("reader@example.org")
        app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="r", revive=False)
        pipeline.run(app)
        yield app


def at(app: App, now: datetime) -> App:
    """Return the installation at another time."""
    return replace(app, now=lambda: now)


def told(app: App, now: datetime = NOW) -> list[EmailMessage]:
    """Return the mail that is new to the queue at a moment."""
    before = {one.id for one in app.store.messages.due(now)}
    queued = notices.tell(at(app, now), now)
    new = [one.letter for one in app.store.messages.due(now) if one.id not in before]
    assert len(new) == queued
    assert {one.recipient for one in new} <= {"desk@example.org"}
    messages = [email.message_from_bytes(one.data, policy=email.policy.default) for one in new]
    return [one for one in messages if isinstance(one, EmailMessage)]


def text(message: EmailMessage) -> str:
    return str(message.get_content()).replace("\r\n", "\n")


def quarantine(app: App, name: str, now: datetime = NOW) -> None:
    (app.settings.seeds_folder / name).write_text(f"{name}: nothing that a format explains\n")
    pipeline.run(at(app, now), send_letters=False)


def with_edition(app: App, **changes: Any) -> App:
    edition = replace(app.settings.editions[0], **changes)
    return replace(app, settings=replace(app.settings, editions=(edition,)))


def test_nothing_is_mailed_when_nothing_is_wrong(app: App) -> None:
    assert told(app) == []
    assert told(app, NOW + timedelta(hours=20)) == []


def test_nobody_is_told_without_an_address(app: App) -> None:
    quarantine(app, "bad.txt")
    operator = replace(app.settings.operator, email=None)
    assert told(replace(app, settings=replace(app.settings, operator=operator))) == []


def test_silence_is_told_after_the_time_that_is_set_and_each_day_while_it_lasts(app: App) -> None:
    operator = replace(app.settings.operator, silent_after=timedelta(hours=26))
    app = replace(app, settings=replace(app.settings, operator=operator))
    assert told(app, NOW + timedelta(hours=26)) == []
    [message] = told(app, NOW + timedelta(hours=26, minutes=1))
    assert message["Subject"] == "News digest: no digest came"
    assert "since 2 January 2026, 11:30." in text(message)
    assert "\n$ feeds status\n" in text(message)
    assert told(app, NOW + timedelta(hours=30)) == []
    assert len(told(app, NOW + timedelta(hours=50))) == 1
    (app.settings.seeds_folder / "b.txt").write_text(DIGEST.replace("budget", "law on water"))
    pipeline.run(at(app, NOW + 3 * DAY), send_letters=False)
    assert not any("no digest" in one["Subject"] for one in told(app, NOW + 3 * DAY))


def test_an_installation_that_never_read_anything_is_not_silent(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    environ = {"FEEDS_OPERATOR_EMAIL": "desk@example.org", "FEEDS_NOW": NOW.isoformat()}
    with opened.open_app(config.load(flags, environ, Path("/dev/null")), environ) as app:
        pipeline.run(app)
        assert told(app, NOW + 9 * DAY) == []


def test_a_day_is_one_of_the_publications_zone(app: App) -> None:
    quarantine(app, "bad.txt")
    assert len(told(app)) == 1
    evening = datetime(2026, 1, 2, 18, 59, tzinfo=UTC)
    quarantine(app, "worse.txt", evening)
    assert told(app, evening) == []
    [message] = told(app, evening + timedelta(minutes=1))  # midnight in Almaty
    assert "worse.txt" in text(message)


def test_a_quarantined_file_is_told_once_with_its_reason_and_the_command_that_helps(
    app: App,
) -> None:
    quarantine(app, "a bad one.txt")
    [message] = told(app)
    assert message["Subject"] == "News digest: 1 file not read"
    assert "- a bad one.txt: " in text(message)
    assert "$ feeds check '" in text(message)
    quarantine(app, "second.txt", NOW + timedelta(hours=1))
    [message] = told(app, NOW + timedelta(hours=20))
    assert "second.txt" in text(message)
    assert "a bad one.txt" not in text(message)
    assert "(2 in all)" in text(message)
    for number in range(7):
        quarantine(app, f"{number}.txt", NOW + timedelta(hours=25))
    [message] = told(app, NOW + 2 * DAY - timedelta(hours=5))
    assert text(message).count(".txt: ") == 5
    assert "- and 2 more" in text(message)


def test_several_reasons_are_one_mail(app: App) -> None:
    quarantine(app, "bad.txt")
    app.store.notes.write(Note.BACKUP_FAILED, f"{NOW.isoformat()} no room")
    [message] = told(app)
    assert message["Subject"] == "News digest: 1 file not read, and 1 more"
    assert "1. 1 file could not be read" in text(message)
    assert "2. The backup of 2 January 2026, 11:30 failed: no room" in text(message)


def test_a_skipped_edition_is_told(app: App) -> None:
    late = datetime(2026, 1, 3, 6, 30, tzinfo=UTC)
    assert pipeline.compose(at(app, late), late) == {"skipped": 1}
    [message] = told(app, late)
    assert "- daily 2026-01-03T08:00: nothing new had come" in text(message)
    assert told(app, late + timedelta(hours=13)) == []  # the next day, with nothing more to say


def approvable(app: App) -> App:
    """Return the installation with an edition that waits for its editor."""
    asking = with_edition(app, approve="required")
    (app.settings.seeds_folder / "b.txt").write_text(DIGEST.replace("budget", "law on water"))
    pipeline.run(at(asking, NOW + DAY), send_letters=False)
    assert len(app.store.editions.awaiting()) == 1
    return asking


def test_an_edition_to_approve_is_told_at_once_and_reminded_of_the_next_day(app: App) -> None:
    app = approvable(app)
    [message] = told(app, NOW + DAY)
    about = "News digest: daily 2026-01-03T08:00 waits for your approval"
    assert message["Subject"] == about
    assert "\n$ feeds edition approve 2026-01-03T0800\n" in text(message)
    assert "Parliament passes the law on water" in text(message)
    assert told(app, NOW + DAY + timedelta(hours=1)) == []
    [message] = told(app, NOW + DAY + timedelta(hours=13))
    assert message["Subject"] == "News digest: 1 edition to approve"
    assert "\n$ feeds edition approve 2026-01-03T0800\n" in text(message)
    [waiting] = app.store.editions.awaiting()
    app.store.editions.approve(waiting.id)
    assert told(app, NOW + 2 * DAY + timedelta(hours=1)) == []


def test_letters_that_did_not_arrive_are_told_without_an_address(app: App) -> None:
    edition = app.store.editions.last("daily")
    assert edition is not None
    [delivery] = app.store.deliveries.of(edition.id)
    error = "delivery failed: recipient refused: reader@example.org"
    ended = Ended(delivery.id, DeliveryState.FAILED, 550, error)
    app.store.deliveries.mark([ended], [], NOW)
    [message] = told(app)
    assert message["Subject"] == "News digest: 1 letter not delivered"
    assert "- daily 2026-01-02T08:00: 1 failed for good" in text(message)
    assert "reader" not in message.as_string()
    assert told(app, NOW + timedelta(hours=13)) == []


def smtp(app: App) -> App:
    mail = replace(
        app.settings.mail, transport="smtp", sender="n@example.org", unsubscribe="mailto"
    )
    return replace(app, settings=replace(app.settings, mail=mail))


def test_a_mail_server_in_trouble_is_told_when_that_lasts(app: App) -> None:
    app = smtp(app)
    app.store.notes.write(Note.MAILED, NOW.isoformat())
    app.store.notes.write(Note.SERVER, f"{NOW.isoformat()} 1 mail.example.org:587: hung up")
    assert told(app) == []
    app.store.notes.write(Note.SERVER, f"{NOW.isoformat()} 2 mail.example.org:587: hung up")
    [message] = told(app)
    assert "2 times in a row: mail.example.org:587: hung up." in text(message)
    assert "$ feeds doctor" in text(message)


def test_first_letters_that_wait_for_a_hand_are_told_after_an_hour(app: App) -> None:
    edition = app.store.editions.last("daily")
    assert edition is not None
    app.store.deliveries.again(edition.id, None)
    app = smtp(app)
    assert told(app) == []
    [message] = told(app, NOW + timedelta(hours=1))
    assert message["Subject"] == "News digest: the first letters wait"
    assert "$ feeds send --dry-run" in text(message)


def test_after_a_restore_nothing_is_told_until_mail_is_released(app: App) -> None:
    quarantine(app, "bad.txt")
    app.store.notes.write(Note.HELD, "yesterday: restored from a.tar")
    assert told(app) == []
    pipeline.let_go(app)
    assert len(told(app)) == 1


def test_a_notice_waits_in_the_queue_while_the_mail_server_is_down(app: App) -> None:
    app = smtp(app)
    quarantine(app, "bad.txt")
    until = NOW + timedelta(minutes=5)
    app.store.notes.write(Note.SERVER, f"{until.isoformat()} 1 mail.example.org:587: hung up")
    assert len(told(app)) == 1
    notices.post_now(app, NOW)  # would fail: there is no server
    [waiting] = app.store.messages.due(NOW)
    assert waiting.tries == 0


def test_its_key_in_the_record_names_the_day(app: App) -> None:
    quarantine(app, "bad.txt")
    told(app)
    assert app.store.messages.newest("operator:2026-01-02") is not None
    assert app.store.messages.newest("operator:2026-01-03") is None


# The doors.


def test_a_pass_by_hand_or_cron_mails_the_operator_once(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.settings
    monkeypatch.setenv("FEEDS_NOW", NOW.isoformat())
    monkeypatch.setenv("FEEDS_OPERATOR_EMAIL", "desk@example.org")
    (settings.seeds_folder / "bad.txt").write_text("nothing that a format explains\n")
    places = [
        "--seeds", str(settings.seeds_folder), "--out", str(settings.out_folder),
        "--state", str(settings.state_folder),
    ]  # fmt: skip
    for arguments, expected in (
        (["run", "--no-send"], 0),
        (["run"], 1),
        (["run"], 1),
    ):
        with pytest.raises(SystemExit):
            main([*arguments, *places])
        assert len(list(app.outbox.glob("message-*.eml"))) == expected, arguments


def test_a_notice_that_cannot_be_made_fails_no_pass(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(*_: object) -> None:
        raise DeliveryError("", None, "no such address", permanent=True)

    settings = app.settings
    monkeypatch.setenv("FEEDS_NOW", NOW.isoformat())
    monkeypatch.setenv("FEEDS_OPERATOR_EMAIL", "desk@example.org")
    monkeypatch.setattr(letters, "notice", breaks)
    app.store.notes.write(Note.BACKUP_FAILED, f"{NOW.isoformat()} no room")
    with pytest.raises(SystemExit) as ended:
        main([
            "run", "--seeds", str(settings.seeds_folder), "--out", str(settings.out_folder),
            "--state", str(settings.state_folder),
        ])  # fmt: skip
    assert ended.value.code == 0
    assert "operator not told" in capsys.readouterr().err


def test_feeds_watch_tells_the_operator_and_reads_what_came_back_each_hour(
    app: App, tmp_path: Path
) -> None:
    for name in ("new", "cur", "tmp"):
        (tmp_path / "bounces" / name).mkdir(parents=True)
    mail = replace(app.settings.mail, bounces=f"maildir:{tmp_path / 'bounces'}")
    app = replace(app, settings=replace(app.settings, mail=mail))
    quarantine(app, "bad.txt")
    loop = Watch(app, lambda: None, Wanted(), Pulse())
    try:
        loop.round()
        assert app.store.messages.newest("operator:") is not None
        assert app.store.notes.moment(Note.RETURNS) == NOW
        assert not loop._may_read_returns(NOW + timedelta(minutes=59))
        assert loop._may_read_returns(NOW + timedelta(hours=1))
        assert loop._may_read_returns(NOW)  # the clock was set back
    finally:
        loop.close()
