"""Who gets nothing any more, and why: letters that came back, complaints, and who was erased.

The file beside the record says the same (`pipeline.suppressed`); `through` tells how far it is applied.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from feeds.model import DeliveryState
from feeds.store.database import Database, chunks, pairs
from feeds.store.schema import (
    blocks,
    bounces,
    consents,
    deliveries,
    editions,
    messages,
    meta,
    subscribers,
)

HARD, SOFT, COMPLAINT = "hard", "soft", "complaint"

_THROUGH = "suppressed_through"
_SAME = timedelta(days=1)  # two reports without an edition within this time are taken for one


class Suppressions:
    """Records what came back, and hashes of addresses that no import brings back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def through(self) -> tuple[int, str] | None:
        """Return up to which byte the file of suppressions is applied, and under which key.

        None before it ever was.
        """
        with self._database.read() as connection:
            found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == _THROUGH))
        if found is None:
            return None
        size, _, key = str(found).partition(" ")
        return int(size), key

    def mark(self, through: int, key: str) -> None:
        """Note that the file is applied up to a byte, under a key of this name."""
        value = f"{through} {key}"
        update = sa.update(meta).where(meta.c.key == _THROUGH).values(value=value)
        with self._database.write() as connection:
            if connection.execute(update).rowcount == 0:
                connection.execute(sa.insert(meta), {"key": _THROUGH, "value": value})

    def blocked(self, hashes: Collection[str]) -> dict[str, str]:
        """Return those of some hashes that are blocked, each with the kind it is blocked for."""
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for some in chunks(hashes):
                query = sa.select(blocks.c.hash, blocks.c.kind).where(blocks.c.hash.in_(some))
                found |= pairs(connection, query)
        return found

    def any_blocked(self) -> bool:
        """Return whether any address at all is blocked."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(blocks.c.hash).limit(1)) is not None

    def all_blocked(self) -> dict[str, str]:
        """Return every hash that is blocked, with its kind."""
        with self._database.read() as connection:
            return pairs(connection, sa.select(blocks.c.hash, blocks.c.kind))

    def block(self, hashes: Mapping[str, str], now: datetime) -> None:
        """Block hashes of addresses, each for a kind, in place of the kind it had."""
        values = [{"hash": one, "kind": kind, "at": now} for one, kind in hashes.items()]
        with self._database.write() as connection:
            _unblock(connection, hashes)
            if values:
                connection.execute(sa.insert(blocks), values)

    def unblock(self, hashes: Collection[str]) -> None:
        """Let addresses be imported again: their owners asked for it."""
        with self._database.write() as connection:
            _unblock(connection, hashes)

    def came_back(
        self, subscriber: int, kind: str, status: str | None, edition: int | None, now: datetime
    ) -> bool:
        """Record a letter that came back, or a complaint; return False when it is known already.

        It is known when the same was said of the same edition, or, where no edition is known, on the
        same day.
        """
        known = sa.select(bounces.c.id).where(
            bounces.c.subscriber == subscriber, bounces.c.kind == kind
        )
        if edition is not None:
            known = known.where(bounces.c.edition == edition)
        else:
            known = known.where(bounces.c.edition.is_(None), bounces.c.at > now - _SAME)
        values = {"subscriber": subscriber, "kind": kind, "status": status, "at": now}
        with self._database.write() as connection:
            if connection.scalar(known.limit(1)) is not None:
                return False
            connection.execute(sa.insert(bounces), values | {"edition": edition})
        return True

    def count(self, subscriber: int, kind: str, since: datetime, edition: int | None = None) -> int:
        """Return how many letters in a row came back so, since a moment.

        A letter of an edition before this one that was sent and never came back begins a new row.
        """
        returned = sa.select(bounces.c.edition).where(
            bounces.c.subscriber == subscriber, bounces.c.edition.is_not(None)
        )
        arrived = sa.select(deliveries.c.edition, deliveries.c.at).where(
            deliveries.c.subscriber == subscriber,
            deliveries.c.state == DeliveryState.SENT,
            deliveries.c.edition.not_in(returned),
        )
        if edition is not None:
            arrived = arrived.where(deliveries.c.edition < edition)
        row = sa.select(bounces.c.edition, bounces.c.at).where(
            bounces.c.subscriber == subscriber, bounces.c.kind == kind, bounces.c.at >= since
        )
        with self._database.read() as connection:
            last = connection.execute(arrived.order_by(deliveries.c.edition.desc())).first()
            found = connection.execute(row).all()
        if last is None:
            return len(found)
        return sum(of > last[0] if of is not None else at > last[1] for of, at in found)

    def delivery(self, message_id: str) -> tuple[int, int] | None:
        """Return subscriber and edition of the letter with a Message-ID, None when none is on record."""
        query = sa.select(deliveries.c.subscriber, deliveries.c.edition).where(
            deliveries.c.message_id == message_id
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return (row[0], row[1]) if row is not None else None

    def letters(self, number: int) -> list[tuple[str, str]]:
        """Return edition and slot of every delivery to a subscriber."""
        query = (
            sa.select(editions.c.name, editions.c.slot)
            .join(deliveries)
            .where(deliveries.c.subscriber == number)
        )
        with self._database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def mail(self, number: int) -> list[int]:
        """Return the numbers of all other mail to a subscriber."""
        query = sa.select(messages.c.id).where(messages.c.subscriber == number)
        with self._database.read() as connection:
            return list(connection.scalars(query))


def forget(connection: sa.Connection, numbers: Sequence[int]) -> None:
    """Strike subscribers off with all that belongs to them, inside the caller's transaction."""
    for some in chunks(numbers):
        for table in (bounces, messages, deliveries, consents):
            connection.execute(sa.delete(table).where(table.c.subscriber.in_(some)))
        connection.execute(sa.delete(subscribers).where(subscribers.c.id.in_(some)))


def _unblock(connection: sa.Connection, hashes: Collection[str]) -> None:
    for some in chunks(hashes):
        connection.execute(sa.delete(blocks).where(blocks.c.hash.in_(some)))
