"""How a subscription begins, changes and ends, on a person's own word or the operator's.

Who signs up, on the web or by an import, is asked by mail and subscribed by their answer alone (double
opt-in). Nobody is taken back but by their own answer, or by the operator's `add`. Every end of a
subscription is also on file outside the record (see `suppressed`).

Nothing here tells whether an address is on record, and no address gets into a log.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parseaddr
from itertools import islice

from feeds import app as opened
from feeds import tokens
from feeds.app import App
from feeds.errors import FeedsError, StoreError, UsageError
from feeds.model import Letter, Subscriber
from feeds.pipeline import post, suppressed
from feeds.pipeline.progress import report
from feeds.store.subscribers import (
    ACTIVE,
    COMPLAINED,
    ERASED,
    GONE,
    PENDING,
    QUESTION,
    UNSUBSCRIBED,
    Wish,
    normalise,
    rank,
)

log = logging.getLogger(__name__)

ANSWER_WITHIN = timedelta(days=14)
"""How long a question by mail may be answered."""

_BATCH = 1_000  # wishes of an import in one transaction


def preferences_url(app: App, person: Subscriber) -> str | None:
    """Return the page of a subscription, which also takes a one-click POST; None without `public_url`.

    It has at most 77 characters as long as `public_url` has 40 and fewer than a thousand million
    people have subscribed.
    """
    token = tokens.subscription(opened.secret(app), person)
    public = app.settings.web.public_url
    return f"{public}u/{token}" if public else None


def sign_up(app: App, email: str, wish: Wish, now: datetime, origin: str = "web") -> None:
    """Ask by mail whether the owner of an address wants what somebody entered for it.

    The mail is queued, not sent. An address gets one a day at most; who subscribes already gets none,
    and changes nothing by it. Harmless when repeated: a mail that a kill prevented is made up for.

    Raises:
        UsageError: it is no address.
        DeliveryError: no mail can be written to it.
    """
    try:
        wish = replace(wish, email=normalise(email))
    except ValueError as error:
        raise UsageError(str(error)) from error
    _ask(app, wish, now, origin)


def ask_pending(app: App, now: datetime, most: int = 500) -> int:
    """Ask by mail those who were imported and not asked yet, some at a time; return how many.

    The mail is queued, not sent. One who can't be asked stops nothing.
    """
    waiting = app.store.subscribers.unasked(now, most)
    for person in waiting:
        try:
            _ask(app, Wish(person.email), now, "import")
        except StoreError:
            raise
        except FeedsError as error:
            report(log, error, "question not written", str(person.id))
    return len(waiting)


def confirm(app: App, token: str, now: datetime, how: str = "on the web") -> bool:
    """Begin the subscription that a question by mail was about; False when the token isn't its answer.

    It is good once, for two weeks, and dies when a newer question is asked, or when they leave.
    """
    if _questioned(app, token, now) is None:
        return False
    with suppressed.turn(app, now) as turn:
        found = _questioned(app, token, now)
        if found is None:
            return False
        person, asked = found
        again = person.token_version + (person.state in GONE)
        turn.note(person.email, suppressed.LIFTED, now, again)
        suppressed.unblock(app, person.email)
        done = app.store.subscribers.confirm(person.id, asked, now, f"confirmed {how}")
    log.info("subscription confirmed subscriber=%d", person.id)
    return done


def leave(app: App, token: str, now: datetime, how: str) -> bool:
    """End the subscription of a token; False when it is none that holds. Harmless when repeated."""
    if (person := subscription(app, token)) is None:
        return False
    end(app, person, UNSUBSCRIBED, now, f"left {how}")
    return True


def end(app: App, person: Subscriber, kind: str, now: datetime, reason: str) -> bool:
    """End a subscription as `unsubscribed`, `bounced` or `complained`; return whether that is news."""
    with suppressed.turn(app, now) as turn:
        there = app.store.subscribers.get(person.id)
        if there is None:
            return False
        asked = app.store.subscribers.asked(person.id)
        if rank(there.state) < rank(kind) or asked is not None:
            turn.note(there.email, kind, now, there.token_version)
        news = app.store.subscribers.suppress(there.id, kind, now, reason)
    if news:
        log.info("subscription ended subscriber=%d kind=%s", person.id, kind)
    return news


def subscription(app: App, token: str) -> Subscriber | None:
    """Return whose subscription a token is for, ended ones too, None when it doesn't hold."""
    number = tokens.number_of(token)
    person = app.store.subscribers.get(number) if number is not None else None
    if person is None:
        return None
    holds = tokens.same(token, tokens.subscription(opened.secret(app), person))
    return person if holds else None


def change(app: App, token: str, wish: Wish, now: datetime) -> bool:
    """Record what the subscriber of a token wants from now on; False when it doesn't hold, or ended.

    Of the wish all but the address counts.
    """
    person = subscription(app, token)
    if person is None or person.state in GONE:
        return False
    app.store.subscribers.change(person.id, wish, now, "changed on the web")
    return True


def erase(app: App, token: str, now: datetime) -> bool:
    """Erase whoever a token is of, see `forget`; False when it doesn't hold."""
    if (person := subscription(app, token)) is None:
        return False
    forget(app, person, now)
    return True


def forget(app: App, who: Subscriber | str, now: datetime) -> None:
    """Take a person, or whoever has an address, off the record with all that is kept of them.

    A keyed hash of the address stays: nothing but their own confirmation brings it back.

    Raises:
        NotFoundError: nobody by that address.
    """
    person = app.store.subscribers.find(who) if isinstance(who, str) else who
    names = suppressed.files_of(app, person.id)
    with suppressed.turn(app, now) as turn:
        turn.note(person.email, ERASED, now, person.token_version)
        hashed = tokens.address_hash(turn.key, person.email)
        app.store.suppressions.block({hashed: ERASED}, now)
        app.store.subscribers.erase(person.id, now, "erased")
    suppressed.discard(app, names)
    log.info("subscriber erased subscriber=%d", person.id)


def add(app: App, wish: Wish, now: datetime, *, force: bool = False) -> str:
    """Subscribe someone by the operator's act, active at once, or change what they receive.

    Takes back who left or whose letters came back; with `force` also who complained. Returns `added`,
    `changed` or `unchanged`.

    Raises:
        UsageError: they were erased, or complained and it isn't forced.
    """
    with suppressed.turn(app, now) as turn:
        person = app.store.subscribers.seek(wish.email)
        gone = suppressed.blocks(app, [wish.email]).get(wish.email)
        if gone == ERASED:
            raise UsageError(
                "this address was erased; only its owner brings it back, by signing up and confirming"
            )
        if person is not None and person.state != ACTIVE:
            gone = person.state
        if gone == COMPLAINED and not force:
            raise UsageError(
                "they complained of our letters, which harms all others; if they asked you to take"
                " them back, add --force"
            )
        if gone:
            version = person.token_version if person else 1
            turn.note(wish.email, suppressed.LIFTED, now, version + (gone in GONE))
            suppressed.unblock(app, wish.email)
        add_one = app.store.subscribers.add
        return add_one(wish, now, state=ACTIVE, reason="added by the operator", revive=True)


def remove(app: App, address: str, now: datetime) -> None:
    """End a subscription by the operator's act.

    Raises:
        NotFoundError: nobody by that address.
    """
    person = app.store.subscribers.find(address)
    end(app, person, UNSUBSCRIBED, now, "removed by the operator")


def take_in(
    app: App,
    wanted: Iterable[tuple[Wish, str]],
    now: datetime,
    *,
    consent: str | None,
    dry: bool = False,
) -> Counter[str]:
    """Import subscribers: active with the `consent` they gave, else pending until they answer by mail.

    Beside each wish stands the state that the list says, or nothing: who is `pending` there is asked
    here, too; who is gone there is recorded so, unless they are on record already.
    Counts `added`, `changed`, `unchanged`, and by its kind each address that isn't taken: its owner
    `unsubscribed`, `bounced`, `complained` or was `erased`. With `dry` nothing changes.
    """
    done: Counter[str] = Counter()
    if not dry:
        suppressed.catch_up(app, now)
    left = iter(wanted)
    while batch := list(islice(left, _BATCH)):
        blocked = suppressed.blocks(app, [wish.email for wish, _ in batch])
        done.update(blocked.values())
        free = [(wish, said) for wish, said in batch if wish.email not in blocked]
        for kind in GONE:
            gone = [wish for wish, said in free if said == kind]
            done[kind] += len(gone)
            if gone and not dry:
                _take_as_gone(app, gone, kind, now)
        agreed = [wish for wish, said in free if consent and said not in {*GONE, PENDING}]
        asked = [
            wish for wish, said in free if said == PENDING or (not consent and said not in GONE)
        ]
        take = app.store.subscribers.take_in
        done += take(agreed, now, state=ACTIVE, reason=f"imported: {consent}", dry=dry)
        done += take(asked, now, state=PENDING, reason="imported", dry=dry)
    return +done


def _take_as_gone(app: App, wishes: list[Wish], kind: str, now: datetime) -> None:
    there = app.store.subscribers.among([wish.email for wish in wishes])
    fresh = [wish for wish in wishes if wish.email not in there]
    with suppressed.turn(app, now) as turn:
        turn.note_all([wish.email for wish in fresh], kind, now)
        app.store.subscribers.take_in(fresh, now, state=kind, reason="gone in the list imported")


def _questioned(app: App, token: str, now: datetime) -> tuple[Subscriber, datetime] | None:
    """Return whom a question was asked that a token answers, and when; None when it answers none."""
    number = tokens.number_of(token)
    if number is None:
        return None
    person, asked = app.store.subscribers.get(number), app.store.subscribers.asked(number)
    if person is None or asked is None or now - asked > ANSWER_WITHIN:
        return None
    expected = tokens.confirmation(opened.secret(app), person, asked)
    return (person, asked) if tokens.same(token, expected) else None


def _ask(app: App, wish: Wish, now: datetime, origin: str) -> None:
    from feeds.letters import headers  # noqa: PLC0415 -- as below

    headers.address(wish.email)  # nobody is on record whom no mail can reach
    asked = app.store.subscribers.ask(wish, now, f"asked, by {origin}")
    if asked is None:
        return
    person, moment = asked
    key = f"{QUESTION}{person.id}:{moment.isoformat()}"
    app.store.messages.queue(key, person.id, _question(app, person, moment, origin), now)


def _question(app: App, person: Subscriber, asked: datetime, origin: str) -> Letter:
    """Return the mail that asks; its answer is a click, or a mail where there is no public address."""
    from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

    key, mail = opened.secret(app), post.identity(app)
    token = tokens.confirmation(key, person, asked)
    mark = tokens.mint(key, "message-id", "confirm", str(person.id), asked.isoformat())
    public = app.settings.web.public_url or ""
    answers = post.bounce_address(app) or parseaddr(mail.reply_to or mail.sender)[1]
    question = letters.Question(
        message_id=f"<{mark}@{mail.domain}>",
        moment=asked,
        mailto=(answers, token),
        confirm=f"{public}c/{token}" if public.startswith("https://") else None,
        origin=origin,
    )
    return letters.confirmation(question, person, app.publication, mail)
