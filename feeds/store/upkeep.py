"""What the record no longer needs, and when it was last written to.

Rows go in small batches, each a short transaction, so that nobody waits for a clean-up.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from feeds.model import DeliveryState, Outcome
from feeds.store.database import Database, chunks
from feeds.store.editions import PASSED
from feeds.store.notes import Note, put, value_of
from feeds.store.schema import (
    bounces,
    carried,
    changes,
    consents,
    deliveries,
    digests,
    drafts,
    editions,
    entries,
    messages,
    sightings,
    subscribers,
)
from feeds.store.subscribers import GONE, PENDING
from feeds.store.suppressions import forget

FINAL = (
    DeliveryState.WRITTEN,
    DeliveryState.SENT,
    DeliveryState.FAILED,
    DeliveryState.SUPPRESSED,
)
"""States of a delivery that nothing follows."""

_BATCH = 500
_NEWEST = (
    sa.select(sa.func.max(carried.c.entry))
    .join(deliveries, deliveries.c.draft == carried.c.draft)
    .where(
        deliveries.c.id.in_(sa.bindparam("ended", expanding=True)),
        deliveries.c.state.in_((DeliveryState.WRITTEN, DeliveryState.SENT)),
    )
)


class Upkeep:
    """Strikes off what is old; each verb returns how many rows went."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_write(self) -> datetime | None:
        """Return the moment of the newest change, edition, digest or delivery on record."""
        latest = [
            sa.select(moment).order_by(key.desc()).limit(1)
            for moment, key in (
                (changes.c.at, changes.c.seq),
                (editions.c.decided, editions.c.id),
                (digests.c.first_seen, digests.c.id),
                (deliveries.c.at, deliveries.c.id),
            )
        ]
        with self._database.read() as connection:
            found = [connection.scalar(query) for query in latest]
        return max((moment for moment in found if moment is not None), default=None)

    def written(self, before: datetime) -> list[tuple[str, str, int]]:
        """Return edition, slot and subscriber of the letters written as files before a moment."""
        query = (
            sa.select(editions.c.name, editions.c.slot, deliveries.c.subscriber)
            .join(editions)
            .where(deliveries.c.state == DeliveryState.WRITTEN, deliveries.c.at < before)
        )
        with self._database.read() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def written_mail(self, before: datetime) -> list[int]:
        """Return the numbers of the other mail that was written as files before a moment."""
        written = messages.c.state == DeliveryState.WRITTEN
        query = sa.select(messages.c.id).where(written, messages.c.at < before)
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def prune_deliveries(self, before: datetime) -> int:
        """Strike off the deliveries that ended before a moment, but those of a name's latest edition.

        Who received what goes with them. So that no article is mailed twice, the highest number of an
        entry that is forgotten so is noted: up to there all count as received, by everyone.
        """
        # The tables are walked once by id: `at` has no index, and a page of rows costs little.
        after = done = 0
        while (batch := self._ended(after, before)) is not None:
            after, ended = batch
            with self._database.write() as connection:
                _raise_mark(connection, connection.scalar(_NEWEST, {"ended": ended}))
                connection.execute(sa.delete(deliveries).where(deliveries.c.id.in_(ended)))
            done += len(ended)
        if done:
            self._prune_drafts()
        return done

    def _prune_drafts(self) -> None:
        """Strike off the drafts that no delivery is made from any more."""
        used = sa.select(deliveries.c.draft).where(deliveries.c.draft == drafts.c.id)
        with self._database.write() as connection:
            gone = list(connection.scalars(sa.select(drafts.c.id).where(~used.exists())))
            for some in chunks(gone):
                connection.execute(sa.delete(carried).where(carried.c.draft.in_(some)))
                connection.execute(sa.delete(drafts).where(drafts.c.id.in_(some)))

    def prune_quarantine(self, before: datetime) -> int:
        """Strike off what was quarantined first before a moment and lies in seeds/ no more."""
        stale = sa.select(digests.c.id).where(
            digests.c.outcome == Outcome.QUARANTINE,
            digests.c.first_seen < before,
            digests.c.id.not_in(sa.select(sightings.c.digest)),
            digests.c.id.not_in(sa.select(entries.c.digest)),
        )
        return self._strike(digests, stale)

    def prune_consents(self, before: datetime) -> int:
        """Strike off the consents of those who were gone before a moment; that they are stays."""
        left = (
            sa.select(consents.c.subscriber)
            .where(
                consents.c.subscriber.not_in(
                    sa.select(subscribers.c.id).where(subscribers.c.state.not_in(GONE))
                )
            )
            .group_by(consents.c.subscriber)
            .having(sa.func.max(consents.c.at) < before)
        )
        stale = sa.select(consents.c.id).where(consents.c.subscriber.in_(left))
        return self._strike(consents, stale)

    def prune_bounces(self, before: datetime) -> int:
        """Strike off what came back before a moment; whom that suppressed stays so."""
        return self._strike(bounces, sa.select(bounces.c.id).where(bounces.c.at < before))

    def prune_messages(self, before: datetime) -> int:
        """Strike off the mail, other than letters, that ended before a moment."""
        ended = messages.c.state.in_(FINAL) & (messages.c.at < before)
        return self._strike(messages, sa.select(messages.c.id).where(ended))

    def prune_pending(self, before: datetime) -> int:
        """Strike off who was asked before a moment whether they subscribed, and never answered."""
        silent = sa.select(subscribers.c.id).where(
            subscribers.c.state == PENDING, subscribers.c.asked < before
        )
        done = 0
        while True:
            with self._database.write() as connection:
                numbers = list(connection.scalars(silent.limit(_BATCH)))
                forget(connection, numbers)
            done += len(numbers)
            if len(numbers) < _BATCH:
                return done

    def _ended(self, after: int, before: datetime) -> tuple[int, list[int]] | None:
        """Return, of the next deliveries by id, the last id and those to strike off; None at the end."""
        later = editions.alias()
        superseded = sa.exists().where(
            later.c.name == editions.c.name,
            later.c.fires > editions.c.fires,
            later.c.state.not_in(PASSED),
        )
        page = (
            sa.select(deliveries.c.id)
            .where(deliveries.c.id > after)
            .order_by(deliveries.c.id)
            .limit(_BATCH)
        )
        with self._database.read() as connection:
            numbers = list(connection.scalars(page))
            if not numbers:
                return None
            ended = (
                sa.select(deliveries.c.id)
                .join(editions)
                .where(
                    deliveries.c.id.in_(numbers),
                    deliveries.c.state.in_(FINAL),
                    deliveries.c.at < before,
                    superseded,
                )
            )
            return numbers[-1], list(connection.scalars(ended))

    def _strike(self, table: sa.Table, stale: sa.Select[tuple[int]]) -> int:
        done = 0
        while True:
            with self._database.write() as connection:
                numbers = list(connection.scalars(stale.limit(_BATCH)))
                connection.execute(sa.delete(table).where(table.c.id.in_(numbers)))
            done += len(numbers)
            if len(numbers) < _BATCH:
                return done


def _raise_mark(connection: sa.Connection, seq: int | None) -> None:
    known = connection.scalar(value_of(Note.FORGOTTEN))
    if seq is not None and seq > int(known or 0):
        put(connection, Note.FORGOTTEN, str(seq))
