"""Room 1: the folder of seeds, and the bytes of a digest. I/O; writes nothing, ever.

In: a folder. Out: what lies in it (`scan`, the truth about what is there), and one file's bytes as a
digest (`load`). Below the folder nothing but regular files is opened: a FIFO would block, a link may
lead anywhere. Works on a folder that is mounted read-only. `inbox.watch` tells when to look, a hint;
`inbox.settle` decides when a file is complete.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase, translate
from pathlib import Path

from feeds.errors import DigestError, UsageError
from feeds.model import Digest
from feeds.text import printable

PASSING = frozenset({"changing", "vanished", "failing"})
"""Reasons of `load` that are no quarantine: the next pass looks at the file again."""

UNFINISHED = ("*~", "*.tmp", "*.part", "*.swp", "*.crdownload", "*.filepart", "#*#")
"""Names under which editors and downloads keep what isn't finished; left out without a word."""

_UNFINISHED = re.compile("|".join(map(translate, UNFINISHED)))
_CHUNK = 1 << 20
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a file looked when it was scanned: size in bytes, times in nanoseconds since 1970 (UTC).

    Two equal sightings are one unchanged file, which needn't be opened again. `name` is its path
    below the folder, with forward slashes, safe to store and to show. `path` is the same as the
    system knows it, which need not be valid Unicode; it doesn't count in a comparison.
    """

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    path: str = field(default="", compare=False, repr=False)

    @property
    def look(self) -> tuple[int, int, int, int]:
        """What changes when the file changes: size, both times and inode."""
        return (self.size, self.mtime_ns, self.ctime_ns, self.inode)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What lies in the folder but is never opened, and why.

    `reason` is a short code, `symlink`, `special` or `unreadable`; `detail` a sentence for people.
    """

    name: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What a folder holds, sorted by name, by code points: in the same order on every machine."""

    sightings: tuple[Sighting, ...]
    refusals: tuple[Refusal, ...] = ()


def scan(folder: Path, ignore: Sequence[str] = ()) -> Scan:
    """Return the regular files in `folder` and below: one `stat` a file, and none is opened.

    Left out are hidden names, names as in `UNFINISHED` and what a glob of `ignore` matches, which is
    held against the name and against the path below the folder; case counts. A folder left out is
    not entered. The folder itself may be a link; links below it are refused, to folders as well.
    What vanishes meanwhile is forgotten.

    Raises:
        UsageError: the folder is missing, or can't be read.
    """
    try:
        waiting = _entries(folder)
    except OSError as error:
        raise UsageError(
            f"{printable(str(folder))}: {error.strerror}; make this folder, or name another with "
            "--seeds FOLDER or FEEDS_SEEDS"
        ) from error
    root = len(os.path.join(folder, ""))  # noqa: PTH118 -- the length of what stands before names
    seen: list[Sighting | Refusal] = []
    while waiting:
        entry = waiting.pop()
        path = entry.path[root:]
        if left_out(entry.name, path, ignore):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                waiting += _entries(entry)
            else:
                seen.append(_seen(path, entry.stat(follow_symlinks=False)))
        except FileNotFoundError:
            continue
        except OSError as error:
            seen.append(Refusal(printable(path), "unreadable", _why(error)))
    seen.sort(key=lambda one: one.name)
    return Scan(
        tuple(one for one in seen if isinstance(one, Sighting)),
        tuple(one for one in seen if isinstance(one, Refusal)),
    )


def glance(folder: Path, path: str, ignore: Sequence[str] = ()) -> Sighting | None:
    """Return how one file below the folder looks now; None when it takes a scan to say.

    `path` is the path below the folder as the system knows it.
    """
    *parents, name = path.split("/")
    if any(left_out(part, path, ignore) for part in (*parents, name)):
        return None
    try:
        above = folder.joinpath(*parents)
        if parents and above.resolve() != folder.resolve().joinpath(*parents):
            return None  # a link on the way
        seen = _seen(path, (above / name).lstat())
    except OSError:
        return None
    return seen if isinstance(seen, Sighting) else None


def load(folder: Path, sighting: Sighting, now: datetime, max_bytes: int) -> Digest:
    """Return the file of a sighting as a digest received at `now`.

    All bytes come through one descriptor, and the file must look the same before and after, and as it
    was sighted: else it is still being written. No link is followed below `folder`.

    Raises:
        DigestError: with the reason `changing` or `vanished` (see `PASSING`), `too_large` (more than
            `max_bytes`), `symlink`, `special` (no regular file), `unreadable` (no permission), or
            `failing`: the system couldn't just now, as when too many files are open.
    """
    name = sighting.name
    try:
        with _opened(folder, sighting.path or name) as descriptor:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise DigestError(name, "special", f"{_kind(before)}, not a regular file")
            if before.st_size > max_bytes:  # a file of gigabytes is never read into memory
                raise _too_large(name, max_bytes)
            data = _bytes(descriptor, name, max_bytes)
            after = os.fstat(descriptor)
    except OSError as error:
        raise DigestError(name, _reason(error), _why(error)) from error
    looks = {sighting.look, _sighting(name, before).look, _sighting(name, after).look}
    if len(looks) > 1 or len(data) != after.st_size:
        raise DigestError(name, "changing", "the file is still being written")
    return _digest(name, data, now)


def read(path: Path, now: datetime, max_bytes: int) -> Digest:
    """Return a file that a person names as a digest received at `now`; links are followed.

    Raises:
        DigestError: with the reason `missing`, `special` (no regular file: a FIFO may never end),
            `too_large` or `unreadable`.
    """
    name = printable(str(path))
    try:
        with ExitStack() as stack:
            descriptor = _open(stack, path, os.O_NONBLOCK | os.O_NOCTTY)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DigestError(name, "special", f"{_kind(status)}, not a regular file")
            data = _bytes(descriptor, name, max_bytes)
    except OSError as error:
        reason = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        raise DigestError(name, reason, _why(error)) from error
    return _digest(name, data, now)


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def left_out(name: str, path: str, ignore: Sequence[str]) -> bool:
    """Whether a scan passes over a name: hidden, unfinished, or matching a glob of `ignore`."""
    return (
        name.startswith(".")
        or _UNFINISHED.match(name) is not None
        or any(fnmatchcase(name, glob) or fnmatchcase(path, glob) for glob in ignore)
    )


def _seen(path: str, status: os.stat_result) -> Sighting | Refusal:
    if stat.S_ISREG(status.st_mode):
        return _sighting(path, status)
    reason = "symlink" if stat.S_ISLNK(status.st_mode) else "special"
    return Refusal(printable(path), reason, f"{_kind(status)}, not a regular file")


def _sighting(path: str, status: os.stat_result) -> Sighting:
    return Sighting(
        printable(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, path
    )


def _kind(status: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(status.st_mode), "something unknown")


@contextmanager
def _opened(folder: Path, path: str) -> Iterator[int]:
    """Open a file below the folder, step by step, so that no part of its path can be a link."""
    *parents, name = path.split("/")
    with ExitStack() as stack:
        here = _open(stack, folder, os.O_DIRECTORY)
        for parent in parents:
            here = _open(stack, parent, os.O_DIRECTORY | os.O_NOFOLLOW, here)
        # Should the file have become a FIFO or a device, opening mustn't block or seize a terminal.
        yield _open(stack, name, os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, here)


def _open(stack: ExitStack, path: str | Path, flags: int, folder: int | None = None) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=folder)
    stack.callback(os.close, descriptor)
    return descriptor


def _bytes(descriptor: int, name: str, max_bytes: int) -> bytes:
    """Read to the end, at most one byte more than allowed."""
    chunks: list[bytes] = []
    room = max_bytes + 1
    while room and (chunk := os.read(descriptor, min(room, _CHUNK))):
        chunks.append(chunk)
        room -= len(chunk)
    if not room:
        raise _too_large(name, max_bytes)
    return b"".join(chunks)


def _too_large(name: str, max_bytes: int) -> DigestError:
    detail = f"more than {max_bytes:,} bytes; split it, or raise seeds.max_bytes"
    return DigestError(name, "too_large", detail)


def _digest(name: str, data: bytes, now: datetime) -> Digest:
    return Digest(name, data, hashlib.sha256(data).hexdigest(), now)


def _reason(error: OSError) -> str:
    # A parent that has become a link is "not a directory" to O_NOFOLLOW with O_DIRECTORY.
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return "vanished"
    if error.errno in {errno.ELOOP, errno.EMLINK}:  # EMLINK on FreeBSD
        return "symlink"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "unreadable"
    return "special" if error.errno == errno.ENXIO else "failing"  # ENXIO: a socket


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
