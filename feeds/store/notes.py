"""What the record knows of itself: one value a key, kept with everything else in a backup."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from feeds.store.database import Database
from feeds.store.schema import meta


class Note(StrEnum):
    """The keys that there are. Moments are kept as RFC 3339 in UTC."""

    AUTHORITY = "id_authority"
    HELD = "held"
    BACKED_UP = "backed_up"
    SWEPT = "swept"
    PRUNED = "pruned"
    FEEDS_SLOT = "feeds_slot"
    BACKUP_FAILED = "backup_failed"
    FORGOTTEN = "received_by_all_through"
    MAILED = "mailed"
    SERVER = "mail_server"
    RETURNS = "returns_read"


class Notes:
    """Reads and writes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, note: Note) -> str | None:
        """Return a value, None when nothing was ever noted."""
        with self._database.read() as connection:
            found: str | None = connection.scalar(value_of(note))
        return found

    def write(self, note: Note, value: str) -> None:
        """Note a value in place of what stood there."""
        with self._database.write() as connection:
            put(connection, note, value)

    def strike(self, note: Note) -> bool:
        """Take a note off the record; return whether there was one."""
        with self._database.write() as connection:
            return connection.execute(sa.delete(meta).where(meta.c.key == note)).rowcount > 0

    def moment(self, note: Note) -> datetime | None:
        """Return when something was last done, None when it never was."""
        found = self.read(note)
        return datetime.fromisoformat(found) if found else None

    def mark(self, note: Note, now: datetime) -> None:
        """Note that something was done."""
        self.write(note, now.astimezone(UTC).isoformat())

    def settle(self, note: Note, default: str) -> str:
        """Return a value that is fixed when it is first asked for."""
        known = self.read(note)
        if known is not None:
            return known
        with self._database.write() as connection:
            if connection.scalar(value_of(note)) is None:  # no other process was first
                connection.execute(sa.insert(meta), {"key": note, "value": default})
            return str(connection.scalar(value_of(note)))


def put(connection: sa.Connection, note: Note, value: str) -> None:
    """Note a value inside the caller's transaction."""
    if connection.execute(_UPDATE, {"note": note, "value": value}).rowcount == 0:
        connection.execute(sa.insert(meta), {"key": note, "value": value})


_UPDATE = (
    sa.update(meta).where(meta.c.key == sa.bindparam("note")).values(value=sa.bindparam("value"))
)


def value_of(note: Note) -> sa.Select[Any]:
    """Return the query for a note's value."""
    return sa.select(meta.c.value).where(meta.c.key == note)
