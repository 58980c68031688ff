"""Letters kept as files, for people to look at or for another program to send. I/O.

A letter is on disk before it gets its name, and gets the same name whenever it is delivered again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from feeds.errors import DeliveryError
from feeds.model import Delivery, DeliveryState, Letter

_LEFT = re.compile(r"\.[A-Za-z0-9_.-]+\.eml\.tmp")
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Folder:
    """The transport that keeps each letter as a file: `daily-2026-01-02T0800-7.eml`.

    The name says edition, slot and the subscriber's number, never an address. Files are readable by
    their owner alone (mode 0600, the folder 0700) and appear whole, by rename. Delivered again, the
    same file is written again.
    """

    path: Path

    def deliver(self, delivery: Delivery, letter: Letter) -> DeliveryState:
        """Write one letter; it is on disk when this returns `written`.

        Raises:
            DeliveryError: as of `keep`.
        """
        self.keep(file_name(delivery.edition, delivery.slot, delivery.subscriber), letter)
        return DeliveryState.WRITTEN

    def keep(self, name: str, letter: Letter) -> None:
        """Write a message under a name.

        Raises:
            DeliveryError: the folder can't be written to, which may pass; or the name can't be that of a
                file, which can't.
        """
        if not _SAFE.fullmatch(name):
            reason = f"{name!r} can't be the name of a file"
            raise DeliveryError(letter.recipient, None, reason, permanent=True)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self.path / name, letter.data)
        except OSError as error:
            reason = f"{self.path}: {error.strerror}"
            if error.errno == errno.ENOSPC:
                reason += "; make room and run again: the letter waits"
            raise DeliveryError(letter.recipient, None, reason, permanent=False) from error


def file_name(edition: str, slot: str, subscriber: int) -> str:
    """Return the name of the file that holds a letter."""
    return f"{edition}-{slot.replace(':', '')}-{subscriber}.eml"


def discard(folder: Path, names: Collection[str], before: float) -> int:
    """Remove letters by their names; return how many there were.

    What killed passes left beside them goes, too, if it was last written before a moment, in seconds
    since 1970.

    Raises:
        OSError: a file can't be removed.
    """
    if not folder.is_dir():
        return 0
    removed = 0
    for path in folder.iterdir():
        if path.name in names:
            path.unlink(missing_ok=True)
            removed += 1
        elif _LEFT.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < before:
                    path.unlink()
    return removed


def _write(path: Path, data: bytes) -> None:
    """Write a private file that is either whole or absent, also after a loss of power."""
    # One name for each letter: what a crash left behind is written over, and never piles up.
    temporary = path.with_name(f".{path.name}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
