"""Word for the operator by mail, when something needs a person.

One mail a day at most, whatever the number of reasons, so that it is still read after a year; and one
for each edition that waits for its approval. None when all is well. No reason names a subscriber. The
mail goes into the queue that all mail is in: while the mail server is down it waits, after a restore as
well.
"""

from __future__ import annotations

import logging
import shlex
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr

from feeds import app as opened
from feeds import tokens
from feeds.app import App
from feeds.model import ALL, DeliveryState
from feeds.pipeline import backups, delivery, messages, post
from feeds.pipeline.composing import thaw
from feeds.pipeline.despatch import Pace
from feeds.store.editions import PASSED, SKIPPED, SUPERSEDED, Slotted

log = logging.getLogger(__name__)

_FIRST = timedelta(days=1)  # what the first notice looks back to
_SLOTS = 50  # that are looked at, of each name
_LATEST = 20  # entries, of which some may be old ones that were corrected
_PATIENCE = timedelta(hours=1)  # with whoever sets all up, and is about to send the first letters
_LASTING = 2  # failed connections in a row; after one it is tried again in a minute
_NAMED = 5  # files or editions that one reason names
_DAILY, _APPROVE = "operator:", "approve:"  # how the keys of messages begin


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the operator is told: in a few words, in a paragraph, and the commands that help."""

    brief: str
    lines: tuple[str, ...]
    commands: tuple[str, ...] = ()


def tell(app: App, now: datetime) -> int:
    """Queue what the operator is to be told, if there is an address; return how many messages.

    Harmless when repeated: a day, in the publication's zone, and an edition have one message each. The
    caller holds the lock.
    """
    if app.settings.operator.email is None or delivery.held(app) is not None:
        return 0
    asked = [one for one in app.store.editions.awaiting() if _ask(app, one, now)]
    day = f"{app.publication.local(now):%Y-%m-%d}"
    if app.store.messages.newest(f"{_DAILY}{day}") is not None:
        return len(asked)
    last = app.store.messages.newest(_DAILY)
    found = list(reasons(app, last or now - _FIRST, now))
    if not found:
        return len(asked)
    return len(asked) + _queue(app, f"{_DAILY}{day}", _subject(app, found), _body(app, found), now)


def post_now(app: App, now: datetime, pace: Pace | None = None) -> None:
    """Send what waits of mail that is no letter, unless the mail server is left in peace.

    For a single pass, whose notices are made after its letters went.
    """
    known = post.trouble(app)
    if delivery.held(app) is None and (known is None or now >= known.until):
        post.check(app.settings)
        messages.send(app, now, pace or Pace(app.settings.mail.rate))


def reasons(app: App, since: datetime, now: datetime) -> Iterator[Reason]:
    """Yield what the operator is to be told: what came up after `since`, and what lasts."""
    for look in (_silence, _quarantine, _unsent, _server, _waiting, _passed, _backup):
        yield from look(app, since, now)


# What there may be to say.


def _silence(app: App, _since: datetime, now: datetime) -> Iterator[Reason]:
    """No digest brought anything for long; nothing is said before the first one came."""
    last = app.store.entries.last_seq()
    came = [one.first_seen for one in app.store.entries.arrived(last - 1, last)]
    came += [one.first_seen for one in app.store.entries.window(ALL.slug, _LATEST, None)]
    came += [one.first_seen for one in app.store.digests.quarantined()]
    if came and now - max(came) > app.settings.operator.silent_after:
        yield Reason(
            "no digest came",
            (
                f"No digest with anything new came since {_when(app, max(came))}.",
                f"See whether what writes to {app.settings.seeds_folder}/ still does.",
            ),
            ("feeds status",),
        )


def _quarantine(app: App, since: datetime, _now: datetime) -> Iterator[Reason]:
    every = app.store.digests.quarantined()
    fresh = [one for one in every if one.first_seen > since]
    if fresh:
        files = _plural(len(fresh), "file")
        there = f" ({len(every)} in all)" if len(every) > len(fresh) else ""
        yield Reason(
            f"{files} not read",
            (
                f"{files} could not be read and went into quarantine{there}:",
                *_some([f"{one.file}: {one.detail}" for one in fresh]),
                "A file stays where it is, and is read again when it changes.",
            ),
            (f"feeds check {shlex.quote(str(app.settings.seeds_folder / fresh[0].file))}",),
        )


def _unsent(app: App, since: datetime, _now: datetime) -> Iterator[Reason]:
    """Letters of an edition came to nothing, or may have.

    Told of an edition when it is new, and once more when the next one has come, which ends it.
    """
    said: list[str] = []
    letters = 0
    for settings in app.settings.editions:
        latest = app.store.editions.newest(settings.name, composed=True, limit=_SLOTS)
        for newer, one in zip((None, *latest), latest, strict=False):
            if max(one.decided, newer.decided if newer else one.decided) <= since:
                break
            failed = len(app.store.deliveries.of(one.id, DeliveryState.FAILED))
            doubtful = len(app.store.deliveries.of(one.id, DeliveryState.UNCERTAIN))
            parts = [f"{failed} failed for good"] if failed else []
            parts += [f"{doubtful} may have arrived or not"] if doubtful else []
            if parts:
                letters += failed + doubtful
                said.append(f"{one.name} {one.slot}: {', '.join(parts)}")
    if said:
        yield Reason(
            f"{_plural(letters, 'letter')} not delivered",
            ("Letters did not arrive, or may not have:", *_some(said)),
            ("feeds status", "feeds doctor"),
        )


def _server(app: App, _since: datetime, _now: datetime) -> Iterator[Reason]:
    known = post.trouble(app) if app.settings.mail.transport == "smtp" else None
    if known is not None and known.tries >= _LASTING:
        yield Reason(
            "the mail server takes no letters",
            (
                f"The mail server took no letters, {known.tries} times in a row: {known.reason}.",
                "They wait, and are tried again.",
            ),
            ("feeds doctor", "feeds send"),
        )


def _waiting(app: App, _since: datetime, now: datetime) -> Iterator[Reason]:
    """Letters wait for a person: the very first ones, and those of an edition to be approved."""
    unsent = app.store.editions.unsent() if delivery.awaits_hand(app) else []
    if any(one.decided <= now - _PATIENCE for one in unsent):
        yield Reason(
            "the first letters wait",
            ("Letters wait: the first ones over SMTP go only by hand. Look at one before.",),
            ("feeds edition preview", "feeds send --dry-run", "feeds send"),
        )
    today = app.publication.local(now).date()
    late = [
        one
        for one in app.store.editions.awaiting()
        if app.publication.local(one.decided).date() < today  # before, it had a mail of its own
    ]
    if late:
        yield Reason(
            f"{_plural(len(late), 'edition')} to approve",
            ("Still to be approved:", *_some([f"{one.name} {one.slot}" for one in late])),
            tuple(_approve(app, one) for one in late[:_NAMED]),
        )


def _passed(app: App, since: datetime, _now: datetime) -> Iterator[Reason]:
    found = [
        one
        for settings in app.settings.editions
        for one in app.store.editions.newest(settings.name, limit=_SLOTS)
        if one.decided > since and one.state in PASSED
    ]
    whys = {
        SKIPPED: "nothing new had come, or feeds did not run",
        SUPERSEDED: "not approved before the next slot",
    }
    if found:
        editions = _plural(len(found), "edition")
        yield Reason(
            f"{editions} skipped",
            (
                f"{editions} did not go out:",
                *_some([f"{one.name} {one.slot}: {whys[one.state]}" for one in found]),
            ),
            ("feeds edition list",),
        )


def _backup(app: App, _since: datetime, _now: datetime) -> Iterator[Reason]:
    if (failed := backups.failure(app)) is not None:
        yield Reason(
            "the backup failed",
            (f"The backup of {_when(app, failed[0])} failed: {failed[1]}",),
            ("feeds backup FILE", "feeds doctor"),
        )


# The mail.


def _ask(app: App, slotted: Slotted, now: datetime) -> bool:
    """Queue the mail that asks for an edition's approval; return False when it went before."""
    key = f"{_APPROVE}{slotted.name}:{slotted.slot}"
    if app.store.messages.newest(key) is not None:
        return False
    made = thaw(slotted)
    lines = (
        f"The edition {slotted.name} {slotted.slot} is composed, and waits for your approval:",
        "",
        f"{made.subject}",
        f"{_plural(len(made.briefs), 'article')}",
        "",
        "$ feeds edition preview --browser",
        f"$ {_approve(app, slotted)}",
        "",
        "Before that, `feeds edition drop`, `lead` and `note` change it. If the next slot",
        "comes first, nothing of this edition goes; its articles go with the next one.",
        *_foot(app),
    )
    about = f"{app.publication.title}: {slotted.name} {slotted.slot} waits for your approval"
    return bool(_queue(app, key, about, lines, now))


def _approve(app: App, slotted: Slotted) -> str:
    which = f" --edition {slotted.name}" if len(app.settings.editions) > 1 else ""
    return f"feeds edition approve {slotted.slot.replace(':', '')}{which}"


def _subject(app: App, found: Sequence[Reason]) -> str:
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{app.publication.title}: {found[0].brief}{more}"


def _body(app: App, found: Sequence[Reason]) -> Iterator[str]:
    for number, reason in enumerate(found, 1):
        first, *rest = reason.lines
        yield f"{number}. {first}" if len(found) > 1 else first
        yield from rest
        yield from (f"$ {command}" for command in reason.commands)
        yield ""
    yield "Such a mail comes once a day at most, and not at all when nothing is wrong."
    yield from _foot(app)


def _foot(app: App) -> Iterator[str]:
    yield ""
    yield "--"
    yield f"feeds on {socket.gethostname()}, record in {app.settings.state_folder.absolute()}"


def _queue(app: App, key: str, subject: str, lines: Iterable[str], now: datetime) -> int:
    """Queue a message to the operator; return 0 when one of this key was queued before."""
    from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

    token = tokens.mint(opened.secret(app), "notice", key)
    message = letters.Notice(
        email=parseaddr(app.settings.operator.email or "")[1],
        message_id=f"<{token}@{opened.mail_domain(app)}>",
        moment=now,
        subject=subject,
        lines=tuple(lines),
    )
    letter = letters.notice(message, app.publication, post.identity(app))
    queued = app.store.messages.queue(key, None, letter, now)
    if queued:
        log.info("operator told key=%s", key)
    return int(queued)


def _some(lines: Sequence[str]) -> Iterator[str]:
    """Yield the first of many lines, as a list, and how many more there are."""
    yield from (f"- {line}" for line in lines[:_NAMED])
    if len(lines) > _NAMED:
        yield f"- and {len(lines) - _NAMED} more"


def _when(app: App, moment: datetime) -> str:
    return f"{app.publication.day(moment)}, {app.publication.local(moment):%H:%M}"


def _plural(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
