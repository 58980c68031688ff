"""Copies of the record and what can be said of a file that may not open. I/O; knows SQLite.

A copy is made by `VACUUM INTO`: one state of the record, consistent while others write
(https://sqlite.org/lang_vacuum.html); a copy of the file alone would lack what stands in its -wal.

The folder of the record is its door: whoever has the record open holds it shared (flock), and only who
holds it alone may put another file in its place. SQLite itself cannot tell that a file was exchanged
below it: an old -wal would be played into the new record, or a new one removed by an old process
(https://sqlite.org/howtocorrupt.html, section 4).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from feeds.errors import StoreError

BESIDE = ("-wal", "-shm", "-journal")
"""Ends of the names of what SQLite keeps beside a database."""

_FEW = 5  # faults that are told; a damaged file has thousands
_TRIES, _PAUSE = 50, 0.1  # 5 s
_BUSY = 10.0  # seconds
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)
_PRIMARY = 0xFF  # of an extended code, https://sqlite.org/rescode.html


def copy(place: Path, path: Path) -> None:
    """Write one state of a record to `path`, a new file of mode 0600, while others use the record.

    Raises:
        StoreError: the record can't be read, or the copy can't be written.
    """
    try:
        os.close(
            os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        )  # SQLite takes it empty
        with closing(_open(place, "ro")) as connection:
            connection.execute("VACUUM INTO ?", (str(path),))
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error
    except sqlite3.Error as error:
        raise StoreError(str(place), f"no copy can be made: {error}") from error


def examine(path: Path) -> tuple[str, ...]:
    """Return what is wrong with the database in a file, nothing when it is whole; changes nothing.

    Reads all of it: every page, every index, every reference.
    """
    return _faults(path, "integrity_check")


def glance(path: Path) -> tuple[str, ...]:
    """Return as `examine` does, without holding indexes against tables: for a start after a crash."""
    return _faults(path, "quick_check")


def revision(path: Path) -> str | None:
    """Return the revision of the tables in a file, None when there are none, or it can't be read."""
    try:
        with closing(_open(path, "ro")) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error:
        return None
    return str(found[0]) if found else None


def settle(path: Path) -> bool:
    """Put everything that is committed into the file itself, so that nothing is left beside it.

    Needs the door alone. Returns False when the file is damaged beyond that: then it stays as it is,
    and so does what lies beside it.

    Raises:
        StoreError: the file is sound, but something is in the way.
    """
    try:
        with closing(_open(path, "ro")) as connection:  # which leaves a damaged file alone
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with closing(_open(path, "rw")) as connection:
            [mode] = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _DAMAGED:
            return False
        raise StoreError(str(path), str(error)) from error
    if mode != "delete":
        raise StoreError(str(path), "another program has it open")
    return True


class Door:
    """A hold on the folder of a record: shared while it is open, alone to exchange its file."""

    def __init__(self, folder: Path) -> None:
        """Take it shared; waits while another process exchanges the record."""
        self._descriptor = _folder(folder)
        with suppress(OSError):  # a file system without locks: there `alone` is refused
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let go; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the door alone: nobody has the record open, and nobody can open it meanwhile.

    Raises:
        StoreError: after 5 s somebody still has it open, or the file system has no locks.
    """
    descriptor = _folder(folder)
    try:
        for patience in range(_TRIES, -1, -1):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not patience:
                    reason = "another command has the record open; wait for it to end, or stop it"
                    raise StoreError(str(folder), reason) from error
                time.sleep(_PAUSE)
            except OSError as error:
                raise StoreError(str(folder), f"can't be locked: {error.strerror}") from error
        yield
    finally:
        os.close(descriptor)


def _folder(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(str(folder), error.strerror or str(error)) from error


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file that is there; read-only, SQLite neither repairs it nor empties its -wal."""
    address = f"file:{urllib.parse.quote(str(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=_BUSY)


def _faults(path: Path, check: str) -> tuple[str, ...]:
    try:
        with closing(_open(path, "ro")) as connection:
            said = connection.execute(f"PRAGMA {check}({_FEW})").fetchall()
            found = [" ".join(str(row[0]).split()) for row in said if row[0] != "ok"]
            strays = connection.execute("PRAGMA foreign_key_check").fetchmany(_FEW)
            found += [f"a row of {row[0]} refers to none of {row[2]}" for row in strays]
    except sqlite3.Error as error:
        return (str(error),)
    return tuple(dict.fromkeys(found))
