"""Room 4: the record. I/O.

In: digests with their articles and topics, decided slots, subscribers. Out: the same as values, and
what was published from them. The database is SQLite, one file with no service; the same SQL runs on
PostgreSQL. Nothing of SQLAlchemy leaves this room.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from feeds.store import backup, migrate
from feeds.store.database import Database
from feeds.store.deliveries import Deliveries
from feeds.store.digests import Digests
from feeds.store.documents import Documents
from feeds.store.editions import Editions
from feeds.store.entries import Entries
from feeds.store.messages import Messages
from feeds.store.notes import Note, Notes
from feeds.store.subscribers import Subscribers
from feeds.store.suppressions import Suppressions
from feeds.store.upkeep import Upkeep


class Store:
    """The record, open; its parts are one for each group of tables."""

    def __init__(self, place: Path | str) -> None:
        """Open the record at a path (SQLite) or a URL, and bring its tables up to date.

        Raises:
            StoreError: it can't be opened.
            SchemaError: it was written by a newer version.
        """
        self._door = backup.Door(place.parent) if isinstance(place, Path) else None
        try:
            self._database = Database(place)
        except BaseException:
            self._leave()
            raise
        self.digests = Digests(self._database)
        self.entries = Entries(self._database)
        self.documents = Documents(self._database)
        self.editions = Editions(self._database)
        self.deliveries = Deliveries(self._database)
        self.subscribers = Subscribers(self._database)
        self.suppressions = Suppressions(self._database)
        self.messages = Messages(self._database)
        self.notes = Notes(self._database)
        self.upkeep = Upkeep(self._database)
        try:
            with self._database.read() as connection:
                behind = migrate.is_behind(connection, self._database.place)
            if behind:
                with self._database.write() as connection:
                    migrate.upgrade(connection, self._database.place)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the record."""
        self._database.close()
        self._leave()

    def _leave(self) -> None:
        if self._door is not None:
            self._door.close()

    def copy_to(self, path: Path) -> None:
        """Write one state of the record to a new file, mode 0600, while others write.

        Raises:
            StoreError: the record can't be read, or the copy can't be written.
        """
        backup.copy(Path(self._database.place), path)

    def examine(self) -> tuple[str, ...]:
        """Return what is wrong with the record, nothing when it is whole; reads all of it."""
        return backup.examine(Path(self._database.place))

    def is_in_place(self) -> bool:
        """Whether the record's file was neither taken away nor replaced since it was opened."""
        return self._database.is_in_place()

    def authority(self, default: str) -> str:
        """Return the authority of ids (RFC 4151: `domain,date`), fixed when it is first asked for."""
        return self.notes.settle(Note.AUTHORITY, default)
