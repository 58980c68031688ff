"""Messages of a Maildir, a file, or a pipe. I/O: files.

A Maildir's unread messages are read; `Message.done` marks one as seen, in `cur/`, and deletes nothing
(https://cr.yp.to/proto/maildir.html). A file or a pipe holds one message, or many as an mbox (RFC 4155).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from feeds.errors import MailboxError
from feeds.mailbox.mime import LIMIT
from feeds.mailbox.places import Message
from feeds.text import printable

_LINE = 1 << 16  # bytes of a line that are read at once
_INFO = ":2,"  # what stands before the flags in the name of a file
_SEEN = "S"


def maildir(folder: Path) -> Iterator[Message]:
    """Yield the unread messages of a Maildir, by the names of their files, which begin with a time.

    What vanishes meanwhile, or is no regular file, is passed over.

    Raises:
        MailboxError: the folder is no Maildir, or can't be read; for a single message, after the rest.
    """
    if not is_maildir(folder):
        raise MailboxError(
            _name(folder), "this is no Maildir: it needs the folders new, cur and tmp"
        )
    try:
        names = [("new", name) for name in os.listdir(folder / "new")]  # noqa: PTH208 -- names alone
        names += [("cur", name) for name in os.listdir(folder / "cur") if not _seen(name)]  # noqa: PTH208
    except OSError as error:
        raise _error(folder, error) from error
    broken: OSError | None = None
    for place, name in sorted(names, key=lambda each: each[1]):
        try:
            data = None if name.startswith(".") else _start(folder / place / name)
        except OSError as error:
            broken = error
            continue
        if data is not None:
            yield Message(data, partial(_mark, folder, place, name))
    if broken is not None:
        raise _error(folder, broken) from broken


def is_maildir(folder: Path) -> bool:
    """Return whether a folder is a Maildir."""
    return all((folder / name).is_dir() for name in ("new", "cur", "tmp"))


def opened(path: Path) -> Iterator[Message]:
    """Yield the messages of a file, or the unread ones of a Maildir.

    Raises:
        MailboxError: it can't be read, or holds no message.
    """
    if path.is_dir():
        yield from maildir(path)
        return
    try:
        with path.open("rb") as file:
            yield from piped(file, _name(path))
    except OSError as error:
        raise _error(path, error) from error


def piped(stream: BinaryIO, name: str = "standard input") -> Iterator[Message]:
    """Yield the messages that a stream holds: many if its first line begins with `From `, else one.

    The stream is read to its end, so that who writes into it is not cut off; the start of one message
    at a time is kept.

    Raises:
        MailboxError: there is nothing in it.
    """
    first = stream.readline(_LINE)
    many = first.startswith(b"From ")
    kept, size, blank, any_yet = (
        [] if many else [first],
        len(first),
        not first.strip(),
        bool(first.strip()),
    )
    while line := stream.readline(_LINE):
        if many and blank and line.startswith(b"From "):
            yield Message(b"".join(kept))
            kept, size, blank = [], 0, False
            continue
        any_yet = any_yet or bool(line.strip())
        if size < LIMIT:
            kept.append(line)
            size += len(line)
        blank = not line.strip()
    if not any_yet:
        raise MailboxError(name, "there is no message in it; pipe one in, or name a file")
    yield Message(b"".join(kept)[:LIMIT])


def _seen(name: str) -> bool:
    return _SEEN in name.partition(_INFO)[2]


def _start(path: Path) -> bytes | None:
    """Return the start of a file; a link, a FIFO or a device is never opened."""
    try:
        if not path.is_file() or path.is_symlink():
            return None
        with path.open("rb") as file:
            return file.read(LIMIT)
    except FileNotFoundError:
        return None


def _mark(folder: Path, place: str, name: str) -> None:
    """Mark a message as seen; one that a mail program has moved or marked meanwhile is found again."""
    base = name.partition(_INFO)[0]
    path = folder / place / name
    try:
        if path.exists():
            _move(path, folder / "cur")
            return
        for other in list((folder / "cur").iterdir()):
            if other.name.partition(_INFO)[0] == base and not _seen(other.name):
                _move(other, folder / "cur")
    except OSError as error:
        raise _error(folder, error) from error


def _move(path: Path, cur: Path) -> None:
    base, _, flags = path.name.partition(_INFO)
    target = cur / f"{base}{_INFO}{''.join(sorted({*flags, _SEEN}))}"
    if target.exists():
        raise FileExistsError(None, "another message has that name")
    path.rename(target)


def _error(path: Path, error: OSError) -> MailboxError:
    return MailboxError(
        _name(path), f"{error.strerror or 'it fails'}; check that it can be read and written"
    )


def _name(path: Path) -> str:
    return printable(str(path))
