"""The editions on record, one a slot, and the delivery of each to each subscriber."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from feeds.model import Delivery, DeliveryState, EntryId, Subscriber
from feeds.store.database import Database, chunks, insert, pairs
from feeds.store.notes import Note, value_of
from feeds.store.schema import deliveries, due, editions, entries, received

OPEN, COMPOSED, SKIPPED = "open", "composed", "skipped"
"""States of a slot: composed while nobody subscribed, composed, or passed over with nothing new."""

WAITING = (DeliveryState.QUEUED, DeliveryState.DEFERRED)
"""States of a delivery that is still to be made."""


@dataclass(frozen=True, slots=True)
class Slotted:
    """A slot on record. `content` is the frozen edition, None when the slot was skipped.

    `through` is the seq of the last entry considered; the next edition starts after that of the last
    one composed, so that what a skipped slot passed over is considered again.
    """

    id: int
    name: str
    slot: str
    fires: datetime
    state: str
    through: int
    decided: datetime
    content: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A slot that has come and is not decided yet."""

    name: str
    slot: str
    fires: datetime


class Editions:
    """Records editions and deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(
        self, name: str | None = None, *, composed: bool = False, limit: int | None = None
    ) -> list[Slotted]:
        """Return slots, the latest first, of one name or all; `composed` leaves out the skipped."""
        query = sa.select(editions).order_by(editions.c.fires.desc(), editions.c.name)
        if name is not None:
            query = query.where(editions.c.name == name)
        if composed:
            query = query.where(editions.c.state != SKIPPED)
        return self._load(query.limit(limit))

    def last(self, name: str, *, composed: bool = False) -> Slotted | None:
        """Return the latest slot of a name, None when there is none."""
        return next(iter(self.newest(name, composed=composed, limit=1)), None)

    def last_fires(self, name: str) -> datetime | None:
        """Return when the latest decided slot of a name fired, None when there is none."""
        query = sa.select(sa.func.max(editions.c.fires)).where(editions.c.name == name)
        with self._database.read() as connection:
            found: datetime | None = connection.scalar(query)
        return found

    def newest_id(self) -> int:
        """Return the id of the composed edition whose slot is the latest; 0 when there is none."""
        query = sa.select(editions.c.id).where(editions.c.state != SKIPPED)
        latest = query.order_by(editions.c.fires.desc(), editions.c.name).limit(1)
        with self._database.read() as connection:
            return connection.scalar(latest) or 0

    def composed_after(self, number: int) -> list[Slotted]:
        """Return the editions with a higher id, in its order."""
        query = sa.select(editions).where(editions.c.id > number, editions.c.state != SKIPPED)
        return self._load(query.order_by(editions.c.id))

    def unsent(self) -> list[Slotted]:
        """Return the editions with deliveries that wait to be made, in the order they were composed."""
        waiting = sa.select(deliveries.c.edition).where(deliveries.c.state.in_(WAITING))
        query = sa.select(editions).where(editions.c.id.in_(waiting))
        return self._load(query.order_by(editions.c.id))

    def find(self, slot: str) -> list[Slotted]:
        """Return the editions of a slot, of every name, by name."""
        query = sa.select(editions).where(editions.c.slot == slot, editions.c.state != SKIPPED)
        return self._load(query.order_by(editions.c.name))

    def _load(self, query: sa.Select[Any]) -> list[Slotted]:
        with self._database.read() as connection:
            return [Slotted(**row) for row in connection.execute(query).mappings()]

    def fall_due(self, turns: Sequence[Turn]) -> None:
        """Put slots on record that have come, but for those that are decided or there already."""
        with self._database.write() as connection:
            for turn in turns:
                there = connection.scalar(_DECIDED, asdict(turn)) or connection.scalar(
                    _IS_DUE, asdict(turn)
                )
                if there is None:
                    connection.execute(sa.insert(due), asdict(turn))

    def due(self, name: str) -> list[Turn]:
        """Return the slots of a name that have come and are not decided, the oldest first."""
        query = sa.select(due.c.name, due.c.slot, due.c.fires).where(due.c.name == name)
        with self._database.read() as connection:
            return [Turn(*row) for row in connection.execute(query.order_by(due.c.fires))]

    def claim(self, turn: Turn, by: str, now: datetime, until: datetime) -> bool:
        """Lease a due slot to a worker, unless another holds it; a worker has its own again."""
        free = due.c.lease_until.is_(None) | (due.c.lease_until <= now) | (due.c.lease_by == by)
        lease = sa.update(due).where(due.c.name == turn.name, due.c.slot == turn.slot, free)
        with self._database.write() as connection:
            return connection.execute(lease.values(lease_by=by, lease_until=until)).rowcount > 0

    def give_back(self, turn: Turn) -> None:
        """End the lease of a slot that stays due."""
        lease = sa.update(due).where(due.c.name == turn.name, due.c.slot == turn.slot)
        with self._database.write() as connection:
            connection.execute(lease.values(lease_by=None, lease_until=None))

    def record(self, slot: Slotted, message_ids: Mapping[int, str]) -> bool:
        """Decide a slot, with its deliveries by subscriber; return False when it is decided already."""
        values = {
            "name": slot.name,
            "slot": slot.slot,
            "fires": slot.fires,
            "state": slot.state,
            "through": slot.through,
            "decided": slot.decided,
            "content": slot.content,
        }
        with self._database.write() as connection:
            if connection.scalar(_DECIDED, values) is not None:
                return False
            connection.execute(
                sa.delete(due).where(due.c.name == slot.name, due.c.slot == slot.slot)
            )
            still_open = sa.update(editions).where(
                editions.c.name == slot.name, editions.c.state == OPEN
            )
            connection.execute(still_open.values(state=COMPOSED))
            number = insert(connection, editions, values)
            _queue(connection, number, message_ids, slot.decided)
            return True

    def join(self, edition: int, message_ids: Mapping[int, str], now: datetime) -> None:
        """Queue deliveries of an open edition for subscribers who have none of it yet."""
        query = sa.select(deliveries.c.subscriber).where(deliveries.c.edition == edition)
        with self._database.write() as connection:
            there = set(connection.scalars(query))
            fresh = {who: mid for who, mid in message_ids.items() if who not in there}
            _queue(connection, edition, fresh, now)

    def deliveries(self, edition: int, *states: DeliveryState) -> list[Delivery]:
        """Return the deliveries of an edition in these states (all when none is named), by id."""
        query = (
            sa.select(deliveries, editions.c.name, editions.c.slot)
            .join(editions)
            .where(deliveries.c.edition == edition)
            .order_by(deliveries.c.id)
        )
        if states:
            query = query.where(deliveries.c.state.in_(states))
        with self._database.read() as connection:
            return [
                Delivery(
                    row["id"],
                    row["name"],
                    row["slot"],
                    row["subscriber"],
                    DeliveryState(row["state"]),
                    row["message_id"],
                )
                for row in connection.execute(query).mappings()
            ]

    def kept_waiting(self, edition: int, since: datetime) -> set[int]:
        """Return who still waits for an edition that was composed before this one, and since then."""
        query = (
            sa.select(deliveries.c.subscriber)
            .join(editions)
            .where(
                deliveries.c.state.in_(WAITING),
                editions.c.id < edition,
                editions.c.decided >= since,
            )
        )
        with self._database.read() as connection:
            return set(connection.scalars(query))

    def settle(
        self,
        delivery: Delivery,
        state: DeliveryState,
        now: datetime,
        *,
        carried: Iterable[EntryId] = (),
        error: str | None = None,
    ) -> None:
        """Record where a delivery stands, and the entries that it carried to its subscriber."""
        values = {"state": state, "at": now, "error": error, "tries": deliveries.c.tries + 1}
        update = sa.update(deliveries).where(deliveries.c.id == delivery.id).values(values)
        seqs = sa.select(entries.c.seq).where(entries.c.id.in_(list(carried)))
        with self._database.write() as connection:
            connection.execute(update)
            now_carried = set(connection.scalars(seqs))
            had = sa.select(received.c.entry).where(
                received.c.subscriber == delivery.subscriber, received.c.entry.in_(now_carried)
            )
            fresh = now_carried - set(connection.scalars(had))
            rows = [
                {"subscriber": delivery.subscriber, "entry": seq, "delivery": delivery.id}
                for seq in sorted(fresh)
            ]
            if rows:
                connection.execute(sa.insert(received), rows)

    def freeze(
        self, delivery: Delivery, person: Subscriber, among: Sequence[EntryId]
    ) -> tuple[Subscriber, frozenset[EntryId]]:
        """Return the terms of a letter: its subscriber, and which of these entries they had before.

        They are fixed when first asked for: wishes changed since, and letters sent since, play no part
        when a letter is made again.
        """
        row = deliveries.c.id == delivery.id
        with self._database.write() as connection:
            terms = connection.scalar(sa.select(deliveries.c.terms).where(row))
            if terms is None:
                terms = _terms(connection, person, among)
                connection.execute(sa.update(deliveries).where(row).values(terms=terms))
        then = replace(
            person, channels=tuple(terms["channels"]), languages=tuple(terms["languages"])
        )
        return then, frozenset(map(EntryId, terms["received"]))

    def count(self) -> dict[str, int]:
        """Return how many slots are on record by state."""
        query = sa.select(editions.c.state, sa.func.count()).group_by(editions.c.state)
        with self._database.read() as connection:
            return pairs(connection, query)

    def count_deliveries(self) -> dict[str, int]:
        """Return how many deliveries are in each state, the empty ones included."""
        query = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
        with self._database.read() as connection:
            found: dict[str, int] = pairs(connection, query)
        return {state.value: found.get(state.value, 0) for state in DeliveryState}


_DECIDED = sa.select(editions.c.id).where(
    editions.c.name == sa.bindparam("name"), editions.c.slot == sa.bindparam("slot")
)
_IS_DUE = sa.select(due.c.name).where(
    due.c.name == sa.bindparam("name"), due.c.slot == sa.bindparam("slot")
)


def _terms(
    connection: sa.Connection, person: Subscriber, among: Sequence[EntryId]
) -> dict[str, list[str]]:
    # Who received entries up to this number is forgotten (see `upkeep`): nobody is sent them again.
    forgotten = int(connection.scalar(value_of(Note.FORGOTTEN)) or 0)
    theirs = sa.select(received.c.entry).where(received.c.subscriber == person.id)
    sent = sa.select(entries.c.id).where((entries.c.seq <= forgotten) | entries.c.seq.in_(theirs))
    had: list[str] = []
    for some in chunks(among):  # a first edition may hold a whole archive
        had += connection.scalars(sent.where(entries.c.id.in_(some)))
    return {
        "channels": [*person.channels],
        "languages": [*person.languages],
        "received": sorted(had),
    }


def _queue(
    connection: sa.Connection, edition: int, message_ids: Mapping[int, str], now: datetime
) -> None:
    rows = [
        {
            "edition": edition,
            "subscriber": subscriber,
            "state": DeliveryState.QUEUED,
            "message_id": message_id,
            "tries": 0,
            "at": now,
        }
        for subscriber, message_id in sorted(message_ids.items())
    ]
    if rows:
        connection.execute(sa.insert(deliveries), rows)
