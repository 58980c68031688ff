"""What the driver did and what it saw, as far as it must show in the end."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from press import Piece


@dataclass(frozen=True, slots=True)
class Paper:
    """A file in seeds/ as it was put there: its bytes' hash, its look, its articles, and when.

    `numbers` is empty for what can't be read; `tick` is the round before which it was complete.
    """

    name: str
    sha256: str
    look: tuple[int, ...]
    numbers: tuple[int, ...]
    hours: float
    tick: int


@dataclass(slots=True)
class Account:
    """The driver's own account, which plays no part in what the product does.

    `pieces` holds each article as it should stand on record, `papers` each file that should lie in
    seeds/, `ids` each id that was seen, `letters` the hash of each letter, `carried` what each address
    was sent, `done` counts what happened, `broken` the promises that don't hold; `slowest` is the
    longest stop in seconds.
    """

    pieces: dict[int, Piece] = field(default_factory=dict)
    teasers: set[int] = field(default_factory=set)
    papers: dict[str, Paper] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    message_ids: dict[str, str] = field(default_factory=dict)
    carried: dict[str, set[int]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def wrong(self, what: str) -> None:
        """Note a broken promise, once, and say it at once."""
        if what not in self.broken:
            self.broken.append(what)
            print(f"BROKEN: {what}", flush=True)


def look(path: Path) -> tuple[int, ...]:
    """Return what changes when anybody writes to a file or its inode."""
    status = os.lstat(path)
    return (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
