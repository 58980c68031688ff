"""Mail that is no letter goes out: whether someone subscribed, word for the operator."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from feeds import outbox
from feeds.app import App
from feeds.errors import DeliveryError
from feeds.model import DeliveryState, Letter
from feeds.pipeline import despatch, post
from feeds.pipeline.despatch import Pace, Parcel
from feeds.pipeline.progress import report
from feeds.store.messages import Message
from feeds.store.outgoing import Ended

if TYPE_CHECKING:
    from feeds.dkim import Signer

log = logging.getLogger(__name__)


def send(app: App, now: datetime, pace: Pace) -> None:
    """Send the messages that are due, as letters are; never raises for one of them."""
    app.store.messages.give_up(now - app.settings.mail.give_up, now)
    due = app.store.messages.due(now)
    if not due:
        return
    sign = post.signer(app)
    due = _addressed(app, due)
    if app.settings.mail.transport == "smtp":
        outcome = despatch.despatch(
            app.store.messages,
            [[_parcel(one, sign, now) for one in due]],
            post.connector(app),
            post.rules(app, len(due)),
            app.now,
            pace,
        )
        post.tell(outcome, "messages")
        post.remember(app, outcome)
    else:
        ended = [_file(app, one, sign, now) for one in due]
        app.store.messages.mark(ended, [], app.now())
    app.store.messages.clear()


def _addressed(app: App, due: Sequence[Message]) -> list[Message]:
    """Give messages the sender to which their bounces come back."""
    back = post.back_to(app)
    found: list[Message] = []
    for one in due:
        number = one.subscriber
        person = app.store.subscribers.get(number) if number is not None else None
        found.append(replace(one, letter=replace(one.letter, sender=back(person))))
    return found


def _parcel(message: Message, sign: Signer | None, now: datetime) -> Parcel:
    return Parcel(
        id=message.id,
        domain=message.letter.recipient.rpartition("@")[2],
        tries=message.tries,
        make=_maker(message.letter, sign, now),
    )


def _maker(letter: Letter, sign: Signer | None, now: datetime) -> Callable[[], Letter]:
    return lambda: post.signed(letter, sign, now)


def _file(app: App, message: Message, sign: Signer | None, now: datetime) -> Ended:
    """Write a message into the folder of letters."""
    letter = post.signed(message.letter, sign, now)
    try:
        outbox.Folder(app.outbox).keep(f"message-{message.id}.eml", letter)
    except DeliveryError as error:
        report(log, error, "message failed", str(message.id))
        state = DeliveryState.FAILED if error.permanent else DeliveryState.DEFERRED
        return Ended(message.id, state, error=str(error))
    return Ended(message.id, DeliveryState.WRITTEN)
