"""The editions on record, one a slot: what became of each, and what an editor has to say to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from feeds.model import DeliveryState, EntryId
from feeds.store.database import Database, insert, pairs
from feeds.store.deliveries import queue
from feeds.store.outgoing import WAITING
from feeds.store.schema import deliveries, drafts, due, editions, meta

OPEN, COMPOSED, SKIPPED, SUPERSEDED = "open", "composed", "skipped", "superseded"
"""States of a slot: composed while nobody subscribed; composed; passed over with nothing new; composed,
but not approved when the next slot had come."""

AWAITED, GIVEN = "awaited", "given"
"""The approval of an edition that an editor has to approve before anything of it goes."""

PASSED = (SKIPPED, SUPERSEDED)
"""States of a slot of which nothing went, nor will."""

_REVISED = "editions_revised"  # a key of `meta`; see `Editions.revised`


@dataclass(frozen=True, slots=True)
class Slotted:
    """A slot on record. `content` is the frozen edition, None when the slot was skipped.

    `through` is the seq of the last entry considered, `change` the last change of the record then. The
    next edition starts after those of the last one that stands (see `Editions.newest`), so that what a
    skipped slot passed over, or a superseded one held, is considered again.
    """

    id: int
    name: str
    slot: str
    fires: datetime
    state: str
    through: int
    decided: datetime
    content: str | None
    change: int = 0
    approval: str | None = None

    @property
    def waits(self) -> bool:
        """Whether nothing of it goes until it is approved."""
        return self.approval == AWAITED and self.state not in PASSED


@dataclass(frozen=True, slots=True)
class Turn:
    """A slot that has come and is not decided yet."""

    name: str
    slot: str
    fires: datetime


class Editions:
    """Records editions, with the deliveries that each begins with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(
        self, name: str | None = None, *, composed: bool = False, limit: int | None = None
    ) -> list[Slotted]:
        """Return slots, the latest first, of one name or all.

        `composed` leaves those that stand: neither skipped nor superseded, nor waiting for approval.
        """
        query = sa.select(editions).order_by(editions.c.fires.desc(), editions.c.name)
        if name is not None:
            query = query.where(editions.c.name == name)
        if composed:
            query = query.where(_STANDS)
        return self._load(query.limit(limit))

    def last(self, name: str, *, composed: bool = False) -> Slotted | None:
        """Return the latest slot of a name, None when there is none."""
        return next(iter(self.newest(name, composed=composed, limit=1)), None)

    def made(self, name: str, limit: int) -> list[Slotted]:
        """Return the editions of a name that stand, in the order they were composed, the last first.

        That isn't the order of their slots when one was composed by hand while a slot waited.
        """
        query = sa.select(editions).where(editions.c.name == name, _STANDS)
        return self._load(query.order_by(editions.c.id.desc()).limit(limit))

    def last_fires(self, name: str) -> datetime | None:
        """Return when the latest decided slot of a name fired, None when there is none."""
        query = sa.select(sa.func.max(editions.c.fires)).where(editions.c.name == name)
        with self._database.read() as connection:
            found: datetime | None = connection.scalar(query)
        return found

    def newest_id(self) -> int:
        """Return the id of the edition that stands whose slot is the latest; 0 when there is none."""
        query = sa.select(editions.c.id).where(_STANDS)
        latest = query.order_by(editions.c.fires.desc(), editions.c.name).limit(1)
        with self._database.read() as connection:
            return connection.scalar(latest) or 0

    def composed_after(self, number: int, also: Collection[int] = ()) -> list[Slotted]:
        """Return the editions that stand with a higher id, and some `also`, in the order of ids."""
        wanted = (editions.c.id > number) | editions.c.id.in_(sorted(also))
        query = sa.select(editions).where(wanted, _STANDS)
        return self._load(query.order_by(editions.c.id))

    def unsent(self) -> list[Slotted]:
        """Return the editions with deliveries that wait to be made, in the order they were composed.

        Those that wait for approval are left out.
        """
        held = (deliveries.c.state == DeliveryState.UNCERTAIN) & deliveries.c.next_try.is_(None)
        waiting = sa.select(deliveries.c.edition).where(deliveries.c.state.in_(WAITING), ~held)
        query = sa.select(editions).where(editions.c.id.in_(waiting), _STANDS)
        return self._load(query.order_by(editions.c.id))

    def awaiting(self, name: str | None = None) -> list[Slotted]:
        """Return the editions that wait for approval, of one name or all, the earliest slot first."""
        query = sa.select(editions).where(_WAITS).order_by(editions.c.fires, editions.c.name)
        return self._load(query.where(editions.c.name == name) if name is not None else query)

    def find(self, slot: str) -> list[Slotted]:
        """Return the editions of a slot, of every name, by name; also those that never went."""
        query = sa.select(editions).where(editions.c.slot == slot, editions.c.state != SKIPPED)
        return self._load(query.order_by(editions.c.name))

    def get(self, number: int) -> Slotted:
        """Return an edition as it stands now."""
        [found] = self._load(sa.select(editions).where(editions.c.id == number))
        return found

    def carrying(self, name: str, entry: EntryId, since: datetime) -> list[Slotted]:
        """Return the editions of a name that stand and may have carried an entry, the latest first.

        Their text names it somewhere. `since` is when the entry came; none before may know it.
        """
        query = sa.select(editions).where(
            editions.c.name == name,
            editions.c.decided >= since,
            editions.c.content.contains(entry),
            _STANDS,
        )
        return self._load(query.order_by(editions.c.fires.desc()))

    def reaching(self, name: str, through: int) -> list[Slotted]:
        """Return the editions of a name that stand and considered the record just through an entry."""
        query = sa.select(editions).where(
            editions.c.name == name, editions.c.through == through, _STANDS
        )
        return self._load(query.order_by(editions.c.fires))

    def superseded(self, name: str, after: int) -> list[Slotted]:
        """Return what was composed of a name from entries after one, and never went, or waits."""
        query = sa.select(editions).where(
            editions.c.name == name,
            editions.c.through > after,
            (editions.c.state == SUPERSEDED) | _WAITS,
        )
        return self._load(query.order_by(editions.c.fires))

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
        """Decide a slot, with its deliveries by subscriber; return False when it is decided already.

        Editions of the name that still wait for approval are superseded: their letters never go.
        """
        values = {key: value for key, value in asdict(slot).items() if key != "id"}
        with self._database.write() as connection:
            if connection.scalar(_DECIDED, values) is not None:
                return False
            connection.execute(
                sa.delete(due).where(due.c.name == slot.name, due.c.slot == slot.slot)
            )
            _supersede(connection, slot)
            still_open = sa.update(editions).where(
                editions.c.name == slot.name, editions.c.state == OPEN
            )
            connection.execute(still_open.values(state=COMPOSED))
            number = insert(connection, editions, values)
            queue(connection, number, message_ids, slot.decided)
            return True

    def approve(self, number: int) -> bool:
        """Let an edition go that waits for approval; return False when it doesn't wait (any more)."""
        waiting = sa.update(editions).where(editions.c.id == number, _WAITS)
        with self._database.write() as connection:
            if connection.execute(waiting.values(approval=GIVEN)).rowcount == 0:
                return False
            _note_revised(connection, number)
            return True

    def rewrite(self, number: int, edit: Callable[[str], str]) -> bool:
        """Replace what an edition holds by what `edit` makes of it; return False when it is too late.

        That is once one of its letters was tried, or made ready (see `drafts`), or it is superseded. All
        in one transaction: whoever sends has to read the edition anew when it makes the first draft.
        """
        tried = sa.select(deliveries.c.id).where(
            deliveries.c.edition == number,
            (deliveries.c.state != DeliveryState.QUEUED) | deliveries.c.draft.is_not(None),
        )
        drafted = sa.select(drafts.c.id).where(drafts.c.edition == number)
        row = sa.select(editions.c.content).where(
            editions.c.id == number, editions.c.state.not_in(PASSED)
        )
        with self._database.write() as connection:
            content = connection.scalar(row)
            if content is None or any(
                connection.scalar(sa.select(sa.exists(one))) for one in (tried, drafted)
            ):
                return False
            changed = sa.update(editions).where(editions.c.id == number)
            connection.execute(changed.values(content=edit(content)))
            _note_revised(connection, number)
            return True

    def revised(self) -> dict[int, int]:
        """Return the editions whose pages are to be made again: by id, with the count of revisions then.

        Read them before the editions, and hand them to `made_again` after the pages are written.
        """
        with self._database.read() as connection:
            return {int(key): at for key, at in _revisions(connection)["open"].items()}

    def revisions(self) -> int:
        """Return how often any edition was revised: what is made from editions depends on it."""
        with self._database.read() as connection:
            return int(_revisions(connection)["count"])

    def made_again(self, revised: Mapping[int, int]) -> None:
        """Strike off revisions whose pages were written, but those of an edition revised since."""
        if not revised:
            return
        with self._database.write() as connection:
            known = _revisions(connection)
            known["open"] = {
                key: at for key, at in known["open"].items() if revised.get(int(key)) != at
            }
            _put_revisions(connection, known)

    def count(self) -> dict[str, int]:
        """Return how many slots are on record by state."""
        query = sa.select(editions.c.state, sa.func.count()).group_by(editions.c.state)
        with self._database.read() as connection:
            return pairs(connection, query)


def _supersede(connection: sa.Connection, by: Slotted) -> None:
    """Pass over the editions that wait for approval when a later slot is decided."""
    waiting = sa.select(editions.c.id).where(
        _WAITS, editions.c.name == by.name, editions.c.fires <= by.fires
    )
    if found := list(connection.scalars(waiting)):
        passed = sa.update(editions).where(editions.c.id.in_(found))
        connection.execute(passed.values(state=SUPERSEDED))
        letters = sa.update(deliveries).where(
            deliveries.c.edition.in_(found), deliveries.c.state == DeliveryState.QUEUED
        )
        connection.execute(letters.values(state=DeliveryState.SUPPRESSED, at=by.decided))


def _revisions(connection: sa.Connection) -> dict[str, Any]:
    found = connection.scalar(sa.select(meta.c.value).where(meta.c.key == _REVISED))
    read: dict[str, Any] = json.loads(found) if found else {"count": 0, "open": {}}
    return read


def _put_revisions(connection: sa.Connection, known: Mapping[str, Any]) -> None:
    value = json.dumps(known, separators=(",", ":"))
    there = sa.update(meta).where(meta.c.key == _REVISED).values(value=value)
    if connection.execute(there).rowcount == 0:
        connection.execute(sa.insert(meta), {"key": _REVISED, "value": value})


def _note_revised(connection: sa.Connection, number: int) -> None:
    """Note that an edition's page is to be made again."""
    known = _revisions(connection)
    known["count"] += 1
    known["open"][str(number)] = known["count"]
    _put_revisions(connection, known)


_DECIDED = sa.select(editions.c.id).where(
    editions.c.name == sa.bindparam("name"), editions.c.slot == sa.bindparam("slot")
)
_IS_DUE = sa.select(due.c.name).where(
    due.c.name == sa.bindparam("name"), due.c.slot == sa.bindparam("slot")
)
_WAITS = (editions.c.approval == AWAITED) & editions.c.state.not_in(PASSED)
_STANDS = editions.c.state.not_in(PASSED) & (
    editions.c.approval.is_(None) | (editions.c.approval != AWAITED)
)
