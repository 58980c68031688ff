"""What comes back ends subscriptions by the rules, and nothing forged, foreign or repeated does."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from factories import GOLDEN

from feeds import app as opened
from feeds import config, tokens
from feeds.app import App
from feeds.errors import MailboxError
from feeds.mailbox import Message, addresses
from feeds.model import DeliveryState
from feeds.pipeline import returns, subscriptions
from feeds.store import schema
from feeds.store.editions import COMPOSED
from feeds.store.subscribers import ACTIVE, BOUNCED, COMPLAINED, PENDING, UNSUBSCRIBED, Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
DAY = timedelta(days=1)
BACK = "bounces@news.example.org"
SAMPLE = b"bounces+7.vg2lw5tokqflody3r2smpom7mo4fu@news.example.org"

STATUS = """\
From: MAILER-DAEMON@mx.example.org
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} {said}

--b
Content-Type: text/rfc822-headers

Message-ID: {message_id}
List-Unsubscribe: <https://news.example.org/u/{listed}>

--b--
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return the application with one active subscriber, who was sent five editions, a day each."""
    (tmp_path / "seeds").mkdir()
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    environ = {"FEEDS_MAIL_BOUNCES": BACK}
    found = config.load(flags, environ, Path("/dev/null"))
    with opened.open_app(found, environ | {"FEEDS_NOW": NOW.isoformat()}) as app:
        subscriptions.add(app, Wish("you@example.org"), NOW)
        with app.store._database.write() as connection:
            for number in range(1, 6):
                at = NOW + number * DAY
                edition = {"id": number, "name": "daily", "slot": f"{number}", "fires": at}
                edition |= {"state": COMPOSED, "through": 0, "decided": at, "content": "{}"}
                connection.execute(sa.insert(schema.editions), edition)
                row = {"edition": number, "subscriber": 1, "state": DeliveryState.SENT, "at": at}
                row |= {"message_id": mid(number), "tries": 1}
                connection.execute(sa.insert(schema.deliveries), row)
        yield app


def mid(edition: int) -> str:
    return f"<letter{edition}@news.example.org>"


def state(app: App) -> str:
    return app.store.subscribers.find("you@example.org").state


def verp(app: App) -> str:
    person = app.store.subscribers.find("you@example.org")
    return addresses.verp(BACK, tokens.bounce(opened.secret(app), person))


def link(app: App) -> str:
    return tokens.subscription(opened.secret(app), app.store.subscribers.find("you@example.org"))


def bounce(  # noqa: PLR0913, PLR0917 -- what tests vary
    to: str = BACK,
    status: str = "5.1.1",
    edition: int = 1,
    said: str = "no",
    action: str = "failed",
    listed: str = "x",
) -> bytes:
    return STATUS.format(
        to=to,
        recipient="you@example.org",
        action=action,
        status=status,
        said=said,
        message_id=mid(edition),
        listed=listed,
    ).encode()


def take(app: App, data: bytes, now: datetime = NOW) -> dict[str, int]:
    return dict(returns.take(app, data, now))


# Bounces


def test_a_dead_address_ends_the_subscription_at_once(app: App) -> None:
    assert take(app, bounce(verp(app))) == {"hard": 1, "suppressed": 1}
    assert state(app) == BOUNCED


@pytest.mark.parametrize("by", ["envelope", "letter", "message-id"])
def test_a_letter_is_known_by_its_token_or_its_message_id(app: App, by: str) -> None:
    to = verp(app).upper() if by == "envelope" else BACK
    data = bounce(to, listed=link(app) if by == "letter" else "x")
    if by != "message-id":
        data = data.replace(b"<letter1@", b"<unknown@")
    assert take(app, data) == {"hard": 1, "suppressed": 1}


def test_a_full_mailbox_ends_it_at_the_third_edition_in_a_row(app: App) -> None:
    for edition in (1, 2):
        data = bounce(verp(app), "5.2.2", edition)
        assert take(app, data, NOW + edition * DAY) == {"soft": 1}
    assert state(app) == ACTIVE
    assert take(app, bounce(verp(app), "4.4.7", 3), NOW + 3 * DAY) == {"soft": 1, "suppressed": 1}
    assert state(app) == BOUNCED


def test_a_letter_that_arrived_between_begins_the_count_anew(app: App) -> None:
    for edition in (1, 2, 4, 5):
        take(app, bounce(verp(app), "5.2.2", edition), NOW + edition * DAY)
    assert state(app) == ACTIVE


def test_what_came_back_two_weeks_ago_counts_no_more(app: App) -> None:
    for edition, days in ((1, 1), (2, 2), (3, 17)):
        take(app, bounce(verp(app), "5.2.2", edition), NOW + days * DAY)
    assert state(app) == ACTIVE


def test_the_same_report_read_again_counts_once(app: App) -> None:
    for _ in range(5):
        take(app, bounce(verp(app), "5.2.2", 1))
        take(app, bounce(verp(app), "5.2.2", 9))  # of an edition that is on record no more
    assert state(app) == ACTIVE


def test_a_refusal_as_spam_ends_nothing(app: App) -> None:
    for edition in range(1, 6):
        data = bounce(verp(app), "5.7.1", edition, "blocked as spam")
        assert take(app, data, NOW + edition * DAY) == {"policy": 1}
    assert state(app) == ACTIVE


def test_a_delay_ends_nothing(app: App) -> None:
    for edition in range(1, 6):
        data = bounce(verp(app), "4.4.1", edition, action="delayed")
        assert take(app, data, NOW + edition * DAY) == {"delayed": 1}
    assert state(app) == ACTIVE


def test_who_comes_back_begins_with_a_clean_sheet(app: App) -> None:
    for edition in (1, 2, 3):
        take(app, bounce(verp(app), "5.2.2", edition), NOW + edition * DAY)
    old = verp(app)
    subscriptions.add(app, Wish("you@example.org"), NOW + 4 * DAY)
    assert take(app, bounce(old), NOW + 4 * DAY) == {"ignored": 1}
    assert take(app, bounce(verp(app), "5.2.2", 4), NOW + 4 * DAY) == {"soft": 1}
    assert state(app) == ACTIVE


def test_a_question_to_a_dead_address_ends_it(app: App) -> None:
    subscriptions.sign_up(app, "new@example.org", Wish(""), NOW)
    person = app.store.subscribers.find("new@example.org")
    assert person.state == PENDING
    to = addresses.verp(BACK, tokens.bounce(opened.secret(app), person))
    assert take(app, bounce(to, edition=9)) == {"hard": 1, "suppressed": 1}


# Complaints and requests


def test_a_complaint_ends_it_apart_from_the_rest(app: App) -> None:
    data = (GOLDEN / "reports/arf_abuse.eml").read_bytes()
    assert take(app, data) == {"ignored": 1}
    to = BACK.replace("@", "+").encode()
    ours = re.sub(rb"7\.[a-z2-7]{29}|7\.[A-Za-z0-9_-]{24}", link(app).encode(), data)
    assert to not in ours
    assert take(app, ours) == {"complaints": 1, "suppressed": 1}
    assert state(app) == COMPLAINED


@pytest.mark.parametrize("way", ["subject", "address"])
def test_who_asks_by_mail_leaves(app: App, way: str) -> None:
    to = addresses.worded(BACK, "unsubscribe", link(app)) if way == "address" else BACK
    subject = f"unsubscribe {link(app)}" if way == "subject" else "anything"
    data = f"From: you@example.org\nTo: {to}\nSubject: {subject}\n\n".encode()
    assert take(app, data) == {"unsubscribed": 1, "suppressed": 1}
    assert take(app, data) == {"unsubscribed": 1}
    assert state(app) == UNSUBSCRIBED


def test_who_answers_the_question_by_mail_subscribes(app: App) -> None:
    subscriptions.sign_up(app, "new@example.org", Wish(""), NOW)
    person = app.store.subscribers.find("new@example.org")
    token = tokens.confirmation(opened.secret(app), person, NOW)
    data = f"From: new@example.org\nTo: {BACK}\nSubject: Re: confirm {token}\n\n".encode()
    assert take(app, data) == {"confirmed": 1}
    assert take(app, data) == {"ignored": 1}
    assert app.store.subscribers.find("new@example.org").state == ACTIVE


# What is not ours


def test_forged_and_foreign_reports_change_nothing(app: App) -> None:
    subscriptions.add(app, Wish("they@example.org"), NOW)
    mine, theirs = link(app).partition("."), verp(app).replace("+1.", "+2.")
    forged = [
        bounce(theirs),  # a Message-ID does not make a wrong token good
        bounce(addresses.verp(BACK, f"{mine[0]}.{'A' * 24}")),
        bounce(addresses.verp(BACK, link(app))),  # a token of another purpose
        bounce(BACK, edition=99),
        bounce(BACK, edition=99, listed=f"2.{mine[2]}"),
        b"Subject: unsubscribe 1." + b"A" * 24 + b"\n\n",
        b"Subject: confirm " + link(app).encode() + b"\n\n",
        b"Subject: hello\n\nA person writes.\n",
        b"",
    ]
    for data in forged:
        assert take(app, data) == {"ignored": 1}, data
    assert {one.state for one in app.store.subscribers.all()} == {ACTIVE}


@pytest.mark.parametrize("path", sorted((GOLDEN / "reports").glob("*.eml")), ids=lambda p: p.stem)
def test_reports_of_another_installation_change_nothing(app: App, path: Path) -> None:
    """They are about its subscriber 7, by tokens of its key; there is a subscriber 7 here, too."""
    for number in range(2, 9):
        subscriptions.add(app, Wish(f"{number}@example.org"), NOW)
    done = take(app, path.read_bytes())
    assert done.keys() == {"ignored"}
    assert {one.state for one in app.store.subscribers.all()} == {ACTIVE}


# While sending


def test_a_server_that_knows_no_such_address_is_believed_at_the_second_edition(app: App) -> None:
    for edition, ends in ((4, False), (4, False), (5, True)):
        done = returns.smtp_refusal(app, 1, edition, "5.1.1", 550, NOW + edition * DAY)
        assert done is ends
    assert state(app) == BOUNCED


@pytest.mark.parametrize("status", [None, "5.1.8", "5.7.1", "5.2.2", "4.1.1"])
def test_a_refusal_that_says_nothing_of_the_address_ends_nothing(
    app: App, status: str | None
) -> None:
    for edition in (4, 5):
        assert not returns.smtp_refusal(app, 1, edition, status, 550, NOW)
    assert state(app) == ACTIVE


def test_a_refusal_of_somebody_erased_meanwhile_is_no_trouble(app: App) -> None:
    subscriptions.forget(app, "you@example.org", NOW)
    assert not returns.smtp_refusal(app, 1, 5, "5.1.1", 550, NOW)


# Reading


def test_one_bad_message_stops_no_other_and_stays_unread(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    marked: list[int] = []
    take_one = returns.take

    def breaks(app: App, data: bytes, now: datetime) -> object:
        if data == b"bad":
            raise RecursionError("a fault of ours")
        return take_one(app, data, now)

    monkeypatch.setattr(returns, "take", breaks)
    read = [Message(b"bad", lambda: marked.append(0))]
    read.append(Message(bounce(verp(app)), lambda: marked.append(1)))
    done = returns.read(app, iter(read), NOW)
    assert done == {"messages": 2, "failed": 1, "hard": 1, "suppressed": 1}
    assert marked == [1]
    assert "example.org" not in caplog.text.replace("news.example.org", "")


def test_a_message_that_cannot_be_marked_stops_no_other(app: App) -> None:
    def locked() -> None:
        raise MailboxError("maildir:/m", "it can't be written to")

    read = [Message(bounce(verp(app), "5.2.2", edition), locked) for edition in (1, 2)]
    assert returns.read(app, iter(read), NOW) == {"messages": 2, "soft": 2}


def reading(app: App, setting: str) -> App:
    environ = {"FEEDS_MAIL_BOUNCES": setting}
    flags = {"seeds": str(app.settings.seeds_folder), "out": str(app.out)}
    flags["state"] = str(app.settings.state_folder)
    return opened.reconfigured(app, config.load(flags, environ, Path("/dev/null")))


def test_the_mailbox_of_the_configuration_is_read_once(app: App, tmp_path: Path) -> None:
    for name in ("new", "cur", "tmp"):
        (tmp_path / "mail" / name).mkdir(parents=True)
    (tmp_path / "mail/new/1").write_bytes(bounce(verp(app)))
    with_box = reading(app, f"maildir:{tmp_path / 'mail'}?address={BACK}")
    assert returns.read_returns(with_box, NOW) == {"messages": 1, "hard": 1, "suppressed": 1}
    assert returns.read_returns(with_box, NOW) == {}


def test_where_mail_is_piped_in_there_is_no_mailbox_to_read(app: App) -> None:
    assert returns.read_returns(app, NOW) == {}


def test_no_address_gets_into_the_log(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    returns.read(app, iter([Message(bounce(verp(app)))]), NOW)
    assert "subscription ended subscriber=1 kind=bounced" in caplog.text
    assert "you@" not in caplog.text
