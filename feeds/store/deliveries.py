"""The deliveries on record: each edition to each subscriber, once; and the drafts they are made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from feeds.model import Delivery, DeliveryState, EntryId, Subscriber
from feeds.store import rows
from feeds.store.database import Database, chunks, insert, pairs
from feeds.store.notes import Note, value_of
from feeds.store.outgoing import UNDER_WAY, WAITING, Outgoing, is_time
from feeds.store.schema import carried, deliveries, drafts, editions, entries, subscribers

REPEATED = (*WAITING, DeliveryState.WRITTEN, DeliveryState.SENT, DeliveryState.FAILED)
"""States of what is made when a slot's letters are repeated by hand."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """What letters are made from: the wishes of their subscribers, and which entries those had before.

    `content` is the draft, once it is `rendered`: None when there is nothing for them.
    """

    id: int
    channels: tuple[str, ...]
    languages: tuple[str, ...]
    received: frozenset[EntryId]
    rendered: bool
    content: bytes | None


class Deliveries(Outgoing):
    """Records deliveries."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, deliveries)

    def join(self, edition: int, message_ids: Mapping[int, str], now: datetime) -> None:
        """Queue deliveries of an open edition for subscribers who have none of it yet."""
        query = sa.select(deliveries.c.subscriber).where(deliveries.c.edition == edition)
        with self._database.write() as connection:
            there = set(connection.scalars(query))
            fresh = {who: mid for who, mid in message_ids.items() if who not in there}
            queue(connection, edition, fresh, now)

    def of(self, edition: int, *states: DeliveryState) -> list[Delivery]:
        """Return the deliveries of an edition in these states (all when none is named), by id."""
        query = _QUERY.where(deliveries.c.edition == edition).order_by(deliveries.c.id)
        if states:
            query = query.where(deliveries.c.state.in_(states))
        with self._database.read() as connection:
            return [_delivery(row) for row in connection.execute(query).mappings()]

    def page(
        self,
        edition: int,
        states: Collection[DeliveryState],
        now: datetime | None,
        *,
        after: int = 0,
        limit: int = 500,
    ) -> list[tuple[Delivery, Subscriber]]:
        """Return the next deliveries of an edition by id, each with its subscriber, active or not.

        With `now` only those whose time has come; one that is uncertain has to have a next try.
        """
        query = _QUERY.where(
            deliveries.c.edition == edition, deliveries.c.state.in_(states), deliveries.c.id > after
        )
        if now is not None:
            query = query.where(is_time(deliveries, now))
        with self._database.read() as connection:
            page = query.order_by(deliveries.c.id).limit(limit)
            found = [_delivery(row) for row in connection.execute(page).mappings()]
            people: dict[int, Subscriber] = {}
            for some in chunks(one.subscriber for one in found):
                who = sa.select(subscribers).where(subscribers.c.id.in_(some))
                for row in connection.execute(who).mappings():
                    people[row["id"]] = rows.subscriber(row)
        return [(one, people[one.subscriber]) for one in found]

    def number(self, edition: int, states: Collection[DeliveryState], now: datetime | None) -> int:
        """Return how many deliveries `page` gives in all."""
        query = sa.select(sa.func.count()).where(
            deliveries.c.edition == edition, deliveries.c.state.in_(states)
        )
        if now is not None:
            query = query.where(is_time(deliveries, now))
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def kept_waiting(self, edition: int, since: datetime) -> set[int]:
        """Return who still waits for an edition that was composed before this one, and since then."""
        query = (
            sa.select(deliveries.c.subscriber)
            .join(editions)
            .where(
                deliveries.c.state.in_((*WAITING, *UNDER_WAY)),
                (deliveries.c.state != DeliveryState.UNCERTAIN)
                | deliveries.c.next_try.is_not(None),
                editions.c.id < edition,
                editions.c.decided >= since,
                editions.c.approval.is_distinct_from("awaited"),
            )
        )
        with self._database.read() as connection:
            return set(connection.scalars(query))

    def suppress(self, numbers: Collection[int], now: datetime, why: str) -> None:
        """End deliveries that are not to be made any more."""
        values = {"state": DeliveryState.SUPPRESSED, "error": why, "at": now, "next_try": None}
        with self._database.write() as connection:
            for some in chunks(numbers):
                update = sa.update(deliveries).where(deliveries.c.id.in_(some))
                connection.execute(update.values(values))

    def pass_over(self, now: datetime) -> int:
        """End letters that were never tried and whose name has a newer edition; return how many."""
        waiting = (
            sa.select(deliveries.c.id)
            .join(editions)
            .where(deliveries.c.state == DeliveryState.QUEUED, _superseded())
        )
        with self._database.read() as connection:
            numbers = list(connection.scalars(waiting))
        if numbers:
            self.suppress(numbers, now, "passed over: the next edition has come")
        return len(numbers)

    def give_up(self, now: datetime, longest: datetime) -> int:
        """End tries by SMTP that came to nothing; return how many.

        Those that began before `longest`, and those for which the next edition of their name has come.
        """
        late = (
            sa.select(deliveries.c.id)
            .join(editions)
            .where(
                deliveries.c.state.in_((DeliveryState.DEFERRED, DeliveryState.UNCERTAIN)),
                deliveries.c.code.is_not(None) | deliveries.c.next_try.is_not(None),
                (deliveries.c.tried < longest) | _superseded(),
            )
        )
        values = {
            "state": DeliveryState.FAILED,
            "error": sa.literal("given up: ") + sa.func.coalesce(deliveries.c.error, ""),
            "next_try": None,
            "at": now,
        }
        with self._database.read() as connection:
            numbers = list(connection.scalars(late))
        if not numbers:
            return 0
        with self._database.write() as connection:
            for some in chunks(numbers):
                update = sa.update(deliveries).where(deliveries.c.id.in_(some))
                connection.execute(update.values(values))
        return len(numbers)

    def again(self, edition: int, subscriber: int | None, *, anew: bool = False) -> None:
        """Queue the letters of an edition once more, of all or of one, as if they were never sent.

        What was delivered to those who left since stays so on record. With `anew` drafts of which no
        letter ever went are rendered again: those of files may hold addresses of this machine alone.
        """
        mine = [
            deliveries.c.edition == edition,
            deliveries.c.state.in_(REPEATED),
            *self._active(),
        ]
        if subscriber is not None:
            mine.append(deliveries.c.subscriber == subscriber)
        values = {"state": DeliveryState.QUEUED, "next_try": None, "tried": None}
        went = deliveries.c.state.in_((DeliveryState.SENT, DeliveryState.UNCERTAIN))
        used = sa.exists().where(deliveries.c.draft == drafts.c.id, went)
        unsent = sa.update(drafts).where(drafts.c.edition == edition, ~used)
        with self._database.write() as connection:
            if anew:
                connection.execute(unsent.values(rendered=False, content=None))
            connection.execute(sa.update(deliveries).where(*mine).values(values))

    def freeze(
        self, wanted: Sequence[tuple[Delivery, Subscriber]], among: Sequence[EntryId]
    ) -> dict[int, int]:
        """Return the draft of each delivery: what its letter is made from.

        That is fixed when first asked for: wishes changed since, and letters sent since, play no part
        when a letter is made again. Those on equal terms share a draft.
        """
        numbers = [delivery.id for delivery, _ in wanted]
        with self._database.write() as connection:
            known: dict[int, int] = {}
            for some in chunks(numbers):
                query = sa.select(deliveries.c.id, deliveries.c.draft)
                fixed = query.where(deliveries.c.id.in_(some), deliveries.c.draft.is_not(None))
                known |= pairs(connection, fixed)
            fresh = [(one, person) for one, person in wanted if one.id not in known]
            had = _had(connection, fresh, among)
            made: dict[str, int] = {}
            for delivery, person in fresh:
                terms = {
                    "channels": [*person.channels],
                    "languages": [*person.languages],
                    "received": had.get(person.id, had[_EVERYONE]),
                }
                text = json.dumps(terms, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
                key = hashlib.sha256(text.encode()).hexdigest()
                if key not in made:
                    made[key] = _draft(connection, delivery, key, terms)
                known[delivery.id] = made[key]
            if fresh:
                linked = [{"known": one.id, "made": known[one.id]} for one, _ in fresh]
                connection.execute(_LINK, linked)
        return known

    def drafts(self, numbers: Iterable[int]) -> dict[int, Frozen]:
        """Return drafts by their numbers."""
        found: dict[int, Frozen] = {}
        with self._database.read() as connection:
            for some in chunks(set(numbers)):
                query = sa.select(drafts).where(drafts.c.id.in_(some))
                for row in connection.execute(query).mappings():
                    found[row["id"]] = _frozen(row)
        return found

    def keep(self, draft: Frozen, content: bytes | None, shown: Sequence[EntryId]) -> Frozen:
        """Put a rendered draft on record with the entries it shows, unless it is; return what stands."""
        row = drafts.c.id == draft.id
        with self._database.write() as connection:
            update = sa.update(drafts).where(row, drafts.c.rendered == sa.false())
            if connection.execute(update.values(rendered=True, content=content)).rowcount:
                seqs: set[int] = set()
                for some in chunks(shown):
                    query = sa.select(entries.c.seq).where(entries.c.id.in_(some))
                    seqs |= set(connection.scalars(query))
                there = sa.select(carried.c.entry).where(carried.c.draft == draft.id)
                seqs -= set(connection.scalars(there))
                for few in chunks(sorted(seqs)):
                    values = [{"draft": draft.id, "entry": seq} for seq in few]
                    connection.execute(sa.insert(carried), values)
            kept = connection.execute(sa.select(drafts).where(row)).mappings().one()
        return _frozen(kept)

    def count(self) -> dict[str, int]:
        """Return how many deliveries are in each state, the empty ones included.

        What is about to be concluded counts as `sending`.
        """
        query = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
        with self._database.read() as connection:
            found: dict[str, int] = pairs(connection, query)
        dotting = found.pop(DeliveryState.DOTTING, 0)
        found[DeliveryState.SENDING] = found.get(DeliveryState.SENDING, 0) + dotting
        shown = (state for state in DeliveryState if state != DeliveryState.DOTTING)
        return {state.value: found.get(state.value, 0) for state in shown}


def _superseded() -> sa.ColumnElement[bool]:
    """Return the condition that an edition's name has a newer one, whose letters go."""
    later = editions.alias()
    return sa.exists().where(
        later.c.name == editions.c.name,
        later.c.id > editions.c.id,
        later.c.content.is_not(None),
        later.c.state != "superseded",
        later.c.approval.is_distinct_from("awaited"),
    )


_ARRIVED = (DeliveryState.WRITTEN, DeliveryState.SENT, DeliveryState.UNCERTAIN)
_EVERYONE = 0  # no subscriber's number: what whoever had nothing of late counts as having
_QUERY = sa.select(deliveries, editions.c.name, editions.c.slot).join(editions)
_LINK = (
    sa.update(deliveries)
    .where(deliveries.c.id == sa.bindparam("known"))
    .values(draft=sa.bindparam("made"))
)


def _delivery(row: sa.RowMapping) -> Delivery:
    return Delivery(
        row["id"],
        row["name"],
        row["slot"],
        row["subscriber"],
        DeliveryState(row["state"]),
        row["message_id"],
        row["tries"],
    )


def _frozen(row: sa.RowMapping) -> Frozen:
    terms = row["terms"]
    return Frozen(
        id=row["id"],
        channels=tuple(terms["channels"]),
        languages=tuple(terms["languages"]),
        received=frozenset(map(EntryId, terms["received"])),
        rendered=row["rendered"],
        content=row["content"],
    )


def _draft(
    connection: sa.Connection, delivery: Delivery, key: str, terms: Mapping[str, Any]
) -> int:
    """Return the draft of these terms, made when there is none yet."""
    mine = sa.select(deliveries.c.edition).where(deliveries.c.id == delivery.id)
    edition = connection.scalar(mine)
    there = sa.select(drafts.c.id).where(drafts.c.edition == edition, drafts.c.key == key)
    if (found := connection.scalar(there)) is not None:
        return int(found)
    return insert(
        connection, drafts, {"edition": edition, "key": key, "terms": terms, "rendered": False}
    )


def _had(
    connection: sa.Connection,
    wanted: Sequence[tuple[Delivery, Subscriber]],
    among: Sequence[EntryId],
) -> dict[int, list[str]]:
    """Return which of these entries each of these people had before, as ids in order."""
    # Who received entries up to this number is forgotten (see `upkeep`): nobody is sent them again.
    forgotten = int(connection.scalar(value_of(Note.FORGOTTEN)) or 0)
    ids: dict[int, str] = {}
    for some in chunks(among):  # a first edition may hold a whole archive
        query = sa.select(entries.c.seq, entries.c.id).where(entries.c.id.in_(some))
        ids |= pairs(connection, query)
    everyone = {seq for seq in ids if seq <= forgotten}
    had: dict[int, set[int]] = {_EVERYONE: everyone}
    shown = _shown(connection, wanted, ids.keys() - everyone)
    for few in chunks(person.id for _, person in wanted) if shown else ():
        query = sa.select(deliveries.c.subscriber, deliveries.c.draft).where(
            deliveries.c.subscriber.in_(few), deliveries.c.state.in_(_ARRIVED)
        )
        for person, draft in connection.execute(query):
            if draft in shown:
                had.setdefault(person, set(everyone)).update(shown[draft])
    return {person: sorted(ids[seq] for seq in seqs) for person, seqs in had.items()}


def _shown(
    connection: sa.Connection,
    wanted: Sequence[tuple[Delivery, Subscriber]],
    among: Collection[int],
) -> dict[int, set[int]]:
    """Return the drafts of other editions that carry any of these entries, and which."""
    found: dict[int, set[int]] = {}
    if not wanted or not among:
        return found
    mine = sa.select(deliveries.c.edition).where(deliveries.c.id == wanted[0][0].id)
    query = (
        sa.select(carried.c.draft, carried.c.entry)
        .join(drafts, drafts.c.id == carried.c.draft)
        .where(
            carried.c.entry.between(min(among), max(among)),
            drafts.c.edition != mine.scalar_subquery(),
        )
    )
    for draft, seq in connection.execute(query):
        if seq in among:
            found.setdefault(draft, set()).add(seq)
    return found


def queue(
    connection: sa.Connection, edition: int, message_ids: Mapping[int, str], now: datetime
) -> None:
    """Queue an edition's letters, inside the caller's transaction."""
    for some in chunks(sorted(message_ids.items())):
        waiting = [
            {
                "edition": edition,
                "subscriber": subscriber,
                "state": DeliveryState.QUEUED,
                "message_id": message_id,
                "tries": 0,
                "at": now,
            }
            for subscriber, message_id in some
        ]
        connection.execute(sa.insert(deliveries), waiting)
