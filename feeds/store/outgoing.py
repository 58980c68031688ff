"""What leaves by SMTP, letters and other mail alike: its states on record, each committed in time.

A row goes `queued`, `sending` (before MAIL FROM: surely not taken), `dotting` (before the final dot: may
be taken), and to the state it ends in. So after a kill `sending` is sent again, and only as many rows
are in doubt as connections were open (RFC 1047).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from feeds.model import DeliveryState
from feeds.store.database import Database, chunks
from feeds.store.schema import Moment, subscribers
from feeds.store.subscribers import ACTIVE

WAITING = (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.UNCERTAIN)
"""States of what is still to be sent; what is `uncertain` only when it has a next try."""

UNDER_WAY = (DeliveryState.SENDING, DeliveryState.DOTTING)
"""States that only a process at work leaves."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How one try ended."""

    id: int
    state: DeliveryState
    code: int | None = None
    error: str | None = None
    next_try: datetime | None = None


class Outgoing:
    """Keeps the states of one table, `deliveries` or `messages`."""

    def __init__(self, database: Database, table: sa.Table) -> None:
        self._database, self._table = database, table
        these = table.c.id.in_(sa.bindparam("these", expanding=True))
        self._end = (
            sa.update(table)
            .where(these)
            .values(
                state=sa.bindparam("to"),
                code=sa.bindparam("reply"),
                error=sa.bindparam("why"),
                next_try=sa.bindparam("again"),
                at=sa.bindparam("now"),
            )
        )
        sending = [these, table.c.state == DeliveryState.SENDING, *self._active()]
        self._dot = sa.update(table).where(*sending).values(state=_DOTTING)
        self._dotted = sa.select(table.c.id).where(these, table.c.state == _DOTTING)

    def _active(self) -> list[sa.ColumnElement[bool]]:
        """Return the condition that a letter's subscriber has not left meanwhile."""
        if "edition" not in self._table.c:
            return []
        # Row by row: a list of all who are active would be made anew for each letter.
        person = subscribers.c.id == self._table.c.subscriber
        return [sa.exists().where(person, subscribers.c.state == ACTIVE)]

    def recover(self, now: datetime, *, resend: bool) -> tuple[int, int]:
        """Settle what a killed process left; return how many were not sent, and how many are uncertain.

        The caller holds the lock: nobody else sends. What is uncertain is tried again at once with
        `resend`, else it stays for a person to decide.
        """
        doubtful: dict[str, object] = {
            "state": DeliveryState.UNCERTAIN,
            "next_try": now if resend else None,
            "at": now,
        }
        doubtful["error"] = "stopped while the server was taking it"
        state = self._table.c.state
        with self._database.read() as connection:
            left = sa.select(self._table.c.id).where(state.in_(UNDER_WAY)).limit(1)
            if connection.scalar(left) is None:
                return 0, 0
        with self._database.write() as connection:
            sending = sa.update(self._table).where(state == DeliveryState.SENDING)
            unsent = connection.execute(sending.values(state=DeliveryState.QUEUED)).rowcount
            dotting = sa.update(self._table).where(state == DeliveryState.DOTTING)
            return unsent, connection.execute(dotting.values(doubtful)).rowcount

    def let_go(self, now: datetime) -> None:
        """Have what was held as uncertain tried again."""
        table = self._table
        held = (table.c.state == DeliveryState.UNCERTAIN) & table.c.next_try.is_(None)
        with self._database.read() as connection:
            if connection.scalar(sa.select(table.c.id).where(held).limit(1)) is None:
                return
        with self._database.write() as connection:
            connection.execute(sa.update(table).where(held).values(next_try=now))

    def claim(self, numbers: Collection[int], now: datetime) -> set[int]:
        """Mark some as being sent, before MAIL FROM; return those that may be: who left gets nothing."""
        table = self._table
        granted: set[int] = set()
        with self._database.write() as connection:
            for some in chunks(numbers):
                mine = [table.c.id.in_(some), table.c.state.not_in(UNDER_WAY)]
                free = sa.select(table.c.id).where(*mine, *self._active())
                ready = set(connection.scalars(free))
                values = {
                    "state": DeliveryState.SENDING,
                    "tries": table.c.tries + 1,
                    "tried": sa.func.coalesce(table.c.tried, sa.literal(now, Moment())),
                    "at": now,
                }
                connection.execute(sa.update(table).where(table.c.id.in_(ready)).values(values))
                granted |= ready
        return granted

    def mark(self, ended: Sequence[Ended], dotting: Sequence[int], now: datetime) -> set[int]:
        """Commit at once how tries ended, and which are about to be concluded.

        Returns those of `dotting` that may be: whose subscriber left while it was sent may not.
        """
        # Few statements: between any two of them another thread may have its turn.
        alike: dict[tuple[object, ...], list[int]] = {}
        for one in ended:
            alike.setdefault((one.state, one.code, one.error, one.next_try), []).append(one.id)
        with self._database.write() as connection:
            for (state, code, error, again), numbers in alike.items():
                for some in chunks(numbers):
                    values = {"to": state, "reply": code, "why": error, "again": again, "now": now}
                    connection.execute(self._end, values | {"these": some})
            if not dotting:
                return set()
            if connection.execute(self._dot, {"these": dotting}).rowcount == len(dotting):
                return set(dotting)
            return set(connection.scalars(self._dotted, {"these": dotting}))

    def put_back(self, numbers: Collection[int]) -> None:
        """Take back the mark of what was not sent after all, and was no try."""
        table = self._table
        with self._database.write() as connection:
            for some in chunks(numbers):
                mine = sa.update(table).where(
                    table.c.id.in_(some), table.c.state == DeliveryState.SENDING
                )
                values = {"state": DeliveryState.QUEUED, "tries": table.c.tries - 1}
                connection.execute(mine.values(values))


def is_time(table: sa.Table, now: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that what waits may go; what is uncertain has to have a next try."""
    put_off = table.c.next_try.is_not(None) & (table.c.next_try <= now)
    certain = table.c.state != DeliveryState.UNCERTAIN
    return put_off | (table.c.next_try.is_(None) & certain)


_DOTTING = DeliveryState.DOTTING
