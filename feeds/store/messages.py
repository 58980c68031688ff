"""Mail on record that is no letter: questions to subscribers, word for the operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from feeds.model import DeliveryState, Letter
from feeds.store.database import Database, into
from feeds.store.outgoing import UNDER_WAY, WAITING, Outgoing, is_time
from feeds.store.schema import messages


@dataclass(frozen=True, slots=True)
class Message:
    """A message on record; `letter` is as it goes out, but for its sender and a signature."""

    id: int
    subscriber: int | None
    tries: int
    letter: Letter


class Messages(Outgoing):
    """Records it until it is sent."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, messages)

    def due(self, now: datetime, limit: int = 500) -> list[Message]:
        """Return what is to be sent now, by id."""
        query = sa.select(messages).where(
            messages.c.state.in_(WAITING), is_time(messages, now), messages.c.data.is_not(None)
        )
        with self._database.read() as connection:
            page = connection.execute(query.order_by(messages.c.id).limit(limit)).mappings()
            return [_message(row) for row in page]

    def give_up(self, longest: datetime, now: datetime) -> None:
        """End what was tried first before a moment and came to nothing."""
        late = (messages.c.state == DeliveryState.DEFERRED) & (messages.c.tried < longest)
        with self._database.read() as connection:
            if connection.scalar(sa.select(messages.c.id).where(late).limit(1)) is None:
                return
        with self._database.write() as connection:
            ended = {"state": DeliveryState.FAILED, "next_try": None, "at": now}
            connection.execute(sa.update(messages).where(late).values(ended))

    def clear(self) -> None:
        """Forget the text of what is sent, or came to nothing."""
        ended = messages.c.state.not_in((*WAITING, *UNDER_WAY)) & messages.c.data.is_not(None)
        with self._database.write() as connection:
            connection.execute(sa.update(messages).where(ended).values(data=None))

    def queue(self, key: str, subscriber: int | None, letter: Letter, now: datetime) -> bool:
        """Record a message to be sent; return False, and change nothing, when the key is there.

        `key` says what the message is for, so that it goes out once.
        """
        values = {
            "key": key,
            "subscriber": subscriber,
            "recipient": letter.recipient,
            "message_id": letter.message_id,
            "subject": letter.subject,
            "data": letter.data,
            "state": DeliveryState.QUEUED,
            "tries": 0,
            "at": now,
        }
        there = sa.select(messages.c.id).where(messages.c.key == key)
        with self._database.write() as connection:
            if connection.scalar(there) is not None:
                return False
            connection.execute(into(messages), values)
        return True

    def newest(self, prefix: str) -> datetime | None:
        """Return when a message whose key begins so was last queued or sent, None when none was."""
        query = sa.select(sa.func.max(messages.c.at)).where(
            messages.c.key.startswith(prefix, autoescape=True)
        )
        with self._database.read() as connection:
            found: datetime | None = connection.scalar(query)
        return found


def _message(row: sa.RowMapping) -> Message:
    letter = Letter(row["recipient"], row["message_id"], row["subject"], row["data"])
    return Message(row["id"], row["subscriber"], row["tries"], letter)
