"""What comes back: bounces and complaints end subscriptions, and mail that asks for it does.

The rules:

- A dead address (status 5.1.x of RFC 3463, about the recipient) ends the subscription at once; when our
  own server says so while we send, which may be its own mistake, at the second edition.
- A full mailbox, or a server that was not reached in time, counts: three editions in a row within 14
  days end it. One between them that was sent and did not come back begins the count anew.
- A refusal as spam or by policy (x.7.x) is about us. It is counted for the operator and ends nothing: a
  provider that blocks us for some days must not cost all its subscribers.
- A complaint ends it at once, and apart from the rest: not even an import with consent takes back who
  complained.

Mail is written by strangers. A report counts when its token, or else the Message-ID of the letter, is
ours; all others change nothing. The same report read twice counts once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from feeds import app as opened
from feeds import tokens
from feeds.app import App
from feeds.errors import ConfigError, MailboxError, StoreError
from feeds.model import Subscriber
from feeds.pipeline import subscriptions
from feeds.pipeline.progress import report as tell
from feeds.store.subscribers import BOUNCED, COMPLAINED, UNSUBSCRIBED
from feeds.store.suppressions import COMPLAINT, HARD, SOFT

if TYPE_CHECKING:
    from feeds.mailbox import Message
    from feeds.mailbox.reports import Report

log = logging.getLogger(__name__)

COUNTED = (
    "messages", "hard", "soft", "policy", "delayed", "complaints", "unsubscribed", "confirmed",
    "suppressed", "ignored", "failed",
)  # fmt: skip
"""What is counted: messages read, reports by kind, and subscriptions that ended by them."""

_SOFT_WITHIN, _SOFT_MOST = timedelta(days=14), 3
_REFUSED_WITHIN, _REFUSED_MOST = timedelta(days=90), 2
_OF_SENDER = (
    "5.1.5",
    "5.1.7",
    "5.1.8",
    "5.1.9",
)  # these say nothing of the recipient (RFC 3463, 3.2)


def read_returns(app: App, now: datetime) -> Counter[str]:
    """Read the mailbox of the configuration; count as `COUNTED` says, nothing where there is none.

    Harmless when repeated: what is read is marked so, and counts once anyway.

    Raises:
        MailboxError: it can't be read.
        ConfigError: `mail.bounces` names no place.
    """
    from feeds import mailbox  # noqa: PLC0415 -- imaplib

    if app.settings.mail.bounces is None:
        return Counter()
    try:
        where = mailbox.place(app.settings.mail.bounces)
    except ValueError as error:
        raise ConfigError("mail.bounces", "configuration", str(error)) from error
    if where.way is mailbox.Way.PIPE:  # the mail server hands each message to `feeds bounces -`
        return Counter()
    return read(app, mailbox.messages(where, opened.password(app, "bounces", "mail")), now)


def read(app: App, messages: Iterable[Message], now: datetime) -> Counter[str]:
    """Act on what some messages report; one that can't be read stays unread and stops no other."""
    done: Counter[str] = Counter()
    for message in messages:
        done["messages"] += 1
        try:
            done += take(app, message.data, now)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- one message never stops the others
            tell(log, error, "returned mail not read", str(done["messages"]))
            done["failed"] += 1
            continue
        try:
            message.done()
        except MailboxError as error:  # it comes again, and counts no more
            log.warning("returned mail not marked as read: %s", error)
    if done:
        log.info("returned mail %s", " ".join(f"{name}={n}" for name, n in done.items()))
    return done


def take(app: App, data: bytes, now: datetime) -> Counter[str]:
    """Act on what one message reports; count its reports, and whom they suppress."""
    from feeds.mailbox import reports  # noqa: PLC0415 -- imaplib, with the rest of the room

    done: Counter[str] = Counter()
    for one in reports.read(data):
        kind, ended = _act(app, one, now)
        done[kind] += 1
        done["suppressed"] += ended
    return +done


def smtp_refusal(  # noqa: PLR0913, PLR0917 -- what the server said, and of what
    app: App, subscriber: int, edition: int, status: str | None, code: int | None, now: datetime
) -> bool:
    """Count that the server refused a recipient for good; return whether that ends the subscription.

    `status` is the enhanced code (RFC 3463), without which a reply `code` tells too little.
    """
    if code is None or status is None or not _is_dead(status):
        return False
    person = app.store.subscribers.get(subscriber)
    if person is None:
        return False
    app.store.suppressions.came_back(subscriber, HARD, status, edition, now)
    since = now - _REFUSED_WITHIN
    if app.store.suppressions.count(subscriber, HARD, since, edition) < _REFUSED_MOST:
        return False
    reason = f"the server knows no such address ({code} {status})"
    return subscriptions.end(app, person, BOUNCED, now, reason)


def _act(app: App, one: Report, now: datetime) -> tuple[str, bool]:
    """Return what a report counts as, and whether it ended a subscription."""
    if one.token and one.kind in {"unsubscribe", "confirm"}:
        return _request(app, one.kind, one.token, now)
    found = _about(app, one) if one.kind in {"bounce", "complaint", "delayed"} else None
    if found is None:
        return "ignored", False
    person, edition = found
    if one.kind == "delayed":
        return "delayed", False
    if one.kind == "complaint":
        app.store.suppressions.came_back(person.id, COMPLAINT, None, edition, now)
        return "complaints", subscriptions.end(app, person, COMPLAINED, now, one.reason)
    return _bounce(app, one, person, edition, now)


def _request(app: App, kind: str, token: str, now: datetime) -> tuple[str, bool]:
    if kind == "confirm":
        good = subscriptions.confirm(app, token, now, "by mail")
        return ("confirmed" if good else "ignored"), False
    person = subscriptions.subscription(app, token)
    if person is None:
        return "ignored", False
    news = subscriptions.end(app, person, UNSUBSCRIBED, now, "left by mail")
    return "unsubscribed", news


def _bounce(
    app: App, one: Report, person: Subscriber, edition: int | None, now: datetime
) -> tuple[str, bool]:
    if one.hard:
        app.store.suppressions.came_back(person.id, HARD, one.status, edition, now)
        return "hard", subscriptions.end(app, person, BOUNCED, now, one.reason)
    if one.status is not None and one.status[2:].startswith("7."):
        return "policy", False
    app.store.suppressions.came_back(person.id, SOFT, one.status, edition, now)
    since = now - _SOFT_WITHIN
    often = app.store.suppressions.count(person.id, SOFT, since, edition) >= _SOFT_MOST
    return "soft", often and subscriptions.end(app, person, BOUNCED, now, one.reason)


def _about(app: App, one: Report) -> tuple[Subscriber, int | None] | None:
    """Return whose letter a report is about, and of which edition, None when it isn't ours.

    A token that is not ours is not made good by a Message-ID.
    """
    known = app.store.suppressions.delivery(one.message_id) if one.message_id else None
    if one.token is None:
        person = app.store.subscribers.get(known[0]) if known else None
        return (person, known[1]) if person is not None and known else None
    number = tokens.number_of(one.token)
    person = app.store.subscribers.get(number) if number is not None else None
    if person is None:
        return None
    key = opened.secret(app)
    returned = one.origin == "envelope"
    expected = tokens.bounce(key, person) if returned else tokens.subscription(key, person)
    if not tokens.same(one.token, expected):
        return None
    return person, known[1] if known and known[0] == person.id else None


def _is_dead(status: str) -> bool:
    return status.startswith("5.1.") and status not in _OF_SENDER
