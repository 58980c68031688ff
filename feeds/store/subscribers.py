"""The subscribers on record. Addresses stand here and nowhere else: never in a log, never in out/."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from feeds.errors import NotFoundError
from feeds.model import Subscriber
from feeds.store import rows
from feeds.store.database import Database, insert, pairs
from feeds.store.schema import consents, subscribers

ACTIVE, PENDING, UNSUBSCRIBED = "active", "pending", "unsubscribed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a subscriber wants: empty means all, None whatever it was before (all, for a new one).

    `email` is normalised (see `normalise`).
    """

    email: str
    channels: tuple[str, ...] | None = None
    editions: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None


class Subscribers:
    """Records who receives letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, state: str | None = None) -> list[Subscriber]:
        """Return the subscribers by id, in one state or all."""
        query = sa.select(subscribers).order_by(subscribers.c.id)
        if state is not None:
            query = query.where(subscribers.c.state == state)
        with self._database.read() as connection:
            return [rows.subscriber(row) for row in connection.execute(query).mappings()]

    def find(self, email: str) -> Subscriber:
        """Return the subscriber with this address.

        Raises:
            NotFoundError: nobody by that address.
        """
        try:
            query = sa.select(subscribers).where(subscribers.c.email == normalise(email))
        except ValueError as error:
            raise NotFoundError("subscriber", email) from error
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFoundError("subscriber", email)
        return rows.subscriber(row)

    def add(self, wish: Wish, now: datetime, *, state: str, reason: str, revive: bool) -> str:
        """Record a wish; return `added`, `changed`, `unchanged` or `refused`.

        Who is there already gets the new wishes, and who is pending becomes active when `state` says
        so. Who left is taken back only with `revive`: an import never brings back someone who
        unsubscribed. `reason` goes into the consent log.
        """
        there = sa.select(subscribers).where(subscribers.c.email == wish.email)
        with self._database.write() as connection:
            row = connection.execute(there).mappings().first()
            if row is None:
                fresh = {"email": wish.email, "state": state, "joined": now, "token_version": 1}
                new = insert(connection, subscribers, _NO_WISHES | _wishes(wish) | fresh)
                _log(connection, new, state, reason, now)
                return "added"
            if row["state"] == UNSUBSCRIBED and not revive:
                return "refused"
            values = _changes(row, wish, state)
            if not values:
                return "unchanged"
            update = sa.update(subscribers).where(subscribers.c.id == row["id"])
            connection.execute(update.values(values))
            _log(connection, row["id"], str(values.get("state", "changed")), reason, now)
            return "changed"

    def remove(self, email: str, now: datetime, reason: str) -> None:
        """End a subscription; the address stays on record, so that no import brings it back.

        Raises:
            NotFoundError: nobody by that address.
        """
        found = self.find(email)
        update = sa.update(subscribers).where(subscribers.c.id == found.id)
        with self._database.write() as connection:
            connection.execute(update.values(state=UNSUBSCRIBED))
            _log(connection, found.id, UNSUBSCRIBED, reason, now)

    def count(self) -> dict[str, int]:
        """Return how many subscribers are in each state."""
        query = sa.select(subscribers.c.state, sa.func.count()).group_by(subscribers.c.state)
        with self._database.read() as connection:
            return pairs(connection, query)


def normalise(email: str) -> str:
    """Return an address as it is compared and kept: no outer spaces, the domain in lower case.

    The local part is case-sensitive by RFC 5321, section 2.4, but no provider of today tells cases
    apart, and one person must not be two subscribers: it is folded, too.

    Raises:
        ValueError: it is no address of the form name@domain.
    """
    address = email.strip()
    local, at, domain = address.rpartition("@")
    bad = any(character.isspace() or not character.isprintable() for character in address)
    quotes = any(mark in address for mark in '<>()[]\\,;:"')
    if not (at and local and domain) or bad or quotes or "@" in local or len(address) > 254:  # noqa: PLR2004 -- RFC 5321, 4.5.3.1.3
        raise ValueError("an address has the form name@example.org")
    if "." in (local[0], local[-1], domain[0], domain[-1]) or ".." in address:
        raise ValueError("an address has the form name@example.org, without a stray dot")
    return f"{local.lower()}@{domain.lower()}"


_NO_WISHES: dict[str, object] = {"channels": [], "editions": [], "languages": []}


def _wishes(wish: Wish) -> dict[str, object]:
    """Return the columns that a wish says something of."""
    said = {"channels": wish.channels, "editions": wish.editions, "languages": wish.languages}
    return {key: list(value) for key, value in said.items() if value is not None}


def _changes(row: sa.RowMapping, wish: Wish, state: str) -> dict[str, object]:
    """Return what a wish changes of a subscriber on record."""
    values = {key: value for key, value in _wishes(wish).items() if row[key] != value}
    if row["state"] == UNSUBSCRIBED:
        return values | {"state": state, "token_version": row["token_version"] + 1}
    if row["state"] == PENDING and state == ACTIVE:
        values["state"] = ACTIVE
    return values


def _log(connection: sa.Connection, subscriber: int, kind: str, text: str, now: datetime) -> None:
    values = {"subscriber": subscriber, "kind": kind, "text": text, "at": now}
    connection.execute(sa.insert(consents).values(values))
