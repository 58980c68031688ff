"""The connection to the record: transactions, and errors in this project's words.

SQLite as measured: WAL, so that readers and one writer work side by side; `synchronous=FULL`, since a
commit lost to a power cut would mail a letter twice; every write begins IMMEDIATE, since a transaction
that read first cannot be upgraded and fails whatever the timeout (https://sqlite.org/lang_transaction.html).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from feeds.errors import StoreError

T = TypeVar("T")

_BUSY_MS = 10_000
_VARIABLES = 500
_WAL_TRIES, _WAL_PAUSE = 40, 0.05  # 2 s
_PRAGMAS = (
    f"busy_timeout={_BUSY_MS}",
    "synchronous=FULL",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "secure_delete=FAST",  # what was erased doesn't stay in pages that are written anyway
    f"journal_size_limit={64 << 20}",
)


class Database:
    """An SQLite file, or any SQLAlchemy URL."""

    def __init__(self, place: Path | str) -> None:
        if isinstance(place, Path):
            self.place = str(place)
            self._inode: int | None = _create_private(place)
            url = sa.URL.create("sqlite", database=str(place))
        else:
            url = sa.make_url(place)
            self.place = url.render_as_string(hide_password=True)
            self._inode = None
        # Errors would tell the values of a statement, addresses among them.
        self._engine = sa.create_engine(url, hide_parameters=True)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _on_connect)
            sa.event.listen(self._engine, "begin", _on_begin)
        self._writer = self._engine.execution_options(feeds_write=True)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of the record and changes nothing."""
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that may write; waits at most 10 s for another writer."""
        with self._explained(), self._writer.begin() as connection:
            yield connection

    def wipe(self) -> None:
        """Empty SQLite's log, as far as no other process reads, so that what was erased isn't in it."""
        if self._engine.dialect.name == "sqlite":
            with self._explained(), self._engine.connect() as connection:
                connection.rollback()
                connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def is_in_place(self) -> bool:
        """Whether the file that was opened still stands at its path: none else may be written to."""
        if self._inode is None:
            return True
        try:
            return Path(self.place).stat().st_ino == self._inode
        except OSError:
            return False

    def close(self) -> None:
        """Give back every connection."""
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise StoreError(self.place, _advice(str(error.orig))) from error


def insert(connection: sa.Connection, table: sa.Table, values: Mapping[str, object]) -> int:
    """Insert one row and return the number that the database gave it."""
    key = connection.execute(into(table), values).inserted_primary_key
    assert key is not None  # every table here has one
    return int(key[0])


@cache
def into(table: sa.Table) -> sa.Insert:
    """Return the statement that inserts into a table; made once: that takes longer than to run it."""
    return sa.insert(table)


def pairs(connection: sa.Connection, query: sa.Select[Any]) -> dict[Any, Any]:
    """Return the rows of a query over two columns, the first as keys."""
    return {row[0]: row[1] for row in connection.execute(query)}


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items in lists short enough for one statement: old SQLite takes 999 variables."""
    left = list(items)
    for start in range(0, len(left), _VARIABLES):
        yield left[start : start + _VARIABLES]


def _create_private(path: Path) -> int:
    """Make the file before SQLite does, readable by its owner alone; SQLite's -wal follows suit.

    One that is there isn't opened: to close it would drop the locks that this process has on it
    (https://sqlite.org/howtocorrupt.html, section 2.2). Returns its inode.
    """
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        return path.stat().st_ino
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 -- a DBAPI connection
    connection.isolation_level = None  # the driver would begin DEFERRED by itself
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    _refuse_cut(connection)
    _enter_wal(connection)


def _refuse_cut(connection: Any) -> None:  # noqa: ANN401 -- the same
    """Refuse a file that ends within a page: SQLite takes that for whole, and writes to it.

    A log that holds something may hold the rest: a full disk can leave them so.
    """
    [page] = connection.execute("PRAGMA page_size").fetchone()
    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    log = path.with_name(f"{path.name}-wal")
    if path.is_file() and path.stat().st_size % page and not (log.exists() and log.stat().st_size):
        raise StoreError(str(path), _advice("malformed: its last page is cut short"))


def _enter_wal(connection: Any) -> None:  # noqa: ANN401 -- the same
    """Switch to WAL. The first switch of a new file fails at once when two meet: no timeout applies."""
    for patience in range(_WAL_TRIES, -1, -1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if not patience:
                raise
            time.sleep(_WAL_PAUSE)
        else:
            return


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("feeds_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _advice(reason: str) -> str:
    """Add the way out to what the database says."""
    if "malformed" in reason or "not a database" in reason:
        return f"{reason}; the file is damaged: `feeds restore FILE` puts a backup in its place"
    if "decode" in reason:  # SQLite's next words are what can't be decoded
        return _advice("malformed text")
    if "locked" in reason:
        return f"{reason}: another process is writing; try again"
    if "full" in reason:
        return f"{reason}; make room on the disk and run again: nothing committed is lost"
    if "I/O" in reason:  # so SQLite says when there is no room for the log's index, or no sync
        return f"{reason}; the disk is full or fails: make room and run again, nothing committed is lost"
    return reason
