"""The file of a backup: a tar of the record and what goes with it, with a manifest of what each must be.

Members stand in this order and no other is known: `manifest.json` (format, version of feeds, revision
of the tables, when it was made, size and SHA-256 of the others), `feeds.db`, and, as far as there are
any, `secret`, `suppressed.jsonl` and `dkim.pem`, the key that signs letters; regular files in POSIX
ustar blocks, compressed when the name ends in .gz or .tgz. `tar` lists and extracts it. Format 1 knew
nothing of the last two, and is read as well.

Reading trusts nothing: blocks are read one by one by what the manifest says, so that neither a path, a
link, an extended header nor a compressed bomb is ever acted upon, and memory stays at a chunk.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from feeds.errors import BackupError, UsageError

RECORD, SECRET, SUPPRESSED = "feeds.db", "secret", "suppressed.jsonl"
"""Names of members, as in the state folder."""

DKIM, MANIFEST = "dkim.pem", "manifest.json"

FORMAT = 2
_READ = (1, FORMAT)
COMPRESSED = (".gz", ".tgz")

Stream = IO[bytes] | gzip.GzipFile

_MEMBERS = (RECORD, SECRET, SUPPRESSED, DKIM)  # in their order
_SMALL = 1 << 16  # bytes of a manifest or a key, at most
_CHUNK = 1 << 20
_LEVEL = 3  # a tenth larger than at 9, in a third of the time (measured)
_BLOCK = tarfile.BLOCKSIZE
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_GZIP = b"\x1f\x8b"  # RFC 1952, section 2.3.1


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a backup: its size in bytes, and the SHA-256 of them."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself; `schema` is the revision of its tables, `made` in UTC."""

    feeds: str
    schema: str
    made: datetime
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of all members."""
        return sum(member.size for member in self.members)

    @property
    def keyed(self) -> bool:
        """Whether the key is in it."""
        return self.holds(SECRET)

    def holds(self, name: str) -> bool:
        """Whether a member of this name is in it."""
        return any(member.name == name for member in self.members)


def pack(file: Path, folder: Path, feeds: str, schema: str, made: datetime) -> Manifest:
    """Write what a folder holds as one archive, mode 0600, that appears whole or not at all.

    Raises:
        UsageError: there is something by that name.
        BackupError: it can't be written.
    """
    there = [name for name in _MEMBERS if (folder / name).exists()]
    manifest = Manifest(feeds, schema, made, tuple(_member(folder / name) for name in there))
    with _explained(file), _appearing(file) as raw:
        if file.name.endswith(COMPRESSED):
            with gzip.GzipFile("", "wb", _LEVEL, raw, int(made.timestamp())) as stream:
                _fill(stream, folder, manifest)
        else:
            _fill(raw, folder, manifest)
    return manifest


def unpack(file: Path, into: Path | None = None) -> Manifest:
    """Hold an archive against its manifest, and write its members into a folder if one is named.

    Raises:
        BackupError: it can't be read, is no backup, or is not whole; what was written stays.
    """
    with _explained(file), _reading(file) as stream:
        manifest = _manifest(file, stream)
        if into is not None and manifest.size > (free := _room(into)):
            raise BackupError(
                str(file), f"needs {manifest.size:,} bytes below {into}; {free:,} are free"
            )
        for member in manifest.members:
            name, size = _header(file, stream)
            if (name, size) != (member.name, member.size):
                raise BackupError(str(file), f"its manifest says nothing of this {name!r}")
            _check(file, stream, member, None if into is None else into / member.name)
        # Up to the end, where gzip keeps its own check; tar fills its last 10 kB with zeros.
        rest = _exactly(file, stream, _BLOCK) + stream.read(_SMALL)
        if rest.strip(b"\0") or stream.read(1):
            raise BackupError(str(file), "holds more than its manifest says")
    return manifest


def _member(path: Path) -> Member:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Member(path.name, file.tell(), digest.hexdigest())


def _fill(stream: Stream, folder: Path, manifest: Manifest) -> None:
    said = asdict(manifest) | {"format": FORMAT, "made": manifest.made.isoformat()}
    text = json.dumps(said, indent=1).encode()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_info(MANIFEST, len(text), manifest.made), io.BytesIO(text))
        for member in manifest.members:
            with (folder / member.name).open("rb") as file:
                tar.addfile(_info(member.name, member.size, manifest.made), file)


def _info(name: str, size: int, made: datetime) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(made.timestamp())
    return info


@contextmanager
def _appearing(file: Path) -> Iterator[Stream]:
    """Open a file that appears at the end, synced; never in place of another."""
    descriptor, name = tempfile.mkstemp(".tmp", f".{file.name}.", file.parent)  # mode 0600
    beside = Path(name)
    try:
        with open(descriptor, "wb") as raw:  # noqa: PTH123 -- a descriptor
            yield raw
            raw.flush()
            os.fsync(descriptor)
        _put(beside, file)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    sync(file.parent)


def _put(beside: Path, file: Path) -> None:
    """Give a file its name, unless another has it."""
    try:
        os.link(beside, file)  # unlike a rename, never over another
    except FileExistsError:
        raise
    except OSError as error:  # a file system without links
        if os.path.lexists(file):
            raise FileExistsError from error
        beside.rename(file)


def sync(folder: Path) -> None:
    """Put the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise UsageError(f"{file} is there already; name another, or move it away") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BackupError(str(file), f"is damaged or cut short ({error})") from error
    except OSError as error:
        raise BackupError(str(file), error.strerror or str(error)) from error


@contextmanager
def _reading(file: Path) -> Iterator[Stream]:
    """Open an archive, compressed or not; a FIFO would block, a device never end."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as raw:  # noqa: PTH123 -- a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BackupError(str(file), "is no regular file")
        if raw.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream
        else:
            yield raw


def _header(file: Path, stream: Stream) -> tuple[str, int]:
    """Return name and size of the next member, which must be a plain regular file."""
    try:
        info = tarfile.TarInfo.frombuf(_exactly(file, stream, _BLOCK), "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise BackupError(str(file), "is no backup made by `feeds backup`") from error
    if info.type not in _PLAIN or info.name not in {MANIFEST, *_MEMBERS} or info.size < 0:
        raise BackupError(str(file), f"holds {info.name!r}, which no backup of ours does")
    return info.name, info.size


def _manifest(file: Path, stream: Stream) -> Manifest:
    name, size = _header(file, stream)
    if name != MANIFEST or size > _SMALL:
        raise BackupError(str(file), "does not begin with a manifest")
    text = _exactly(file, stream, size + _padding(size))[:size]
    try:
        said = json.loads(text)
        if said["format"] not in _READ:
            reason = f"is of format {said['format']!r}, this version reads {FORMAT}; upgrade feeds"
            raise BackupError(str(file), reason)
        return _understood(said)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BackupError(str(file), "its manifest can't be read") from error


def _understood(said: Mapping[str, Any]) -> Manifest:
    """Return a manifest; raises `ValueError`, `TypeError` or `KeyError` when it is none."""
    members = tuple(
        Member(str(one["name"]), int(one["size"]), str(one["sha256"])) for one in said["members"]
    )
    names = [one.name for one in members]
    if names[:1] != [RECORD] or names != [name for name in _MEMBERS if name in names]:
        raise ValueError("members")
    small = {SECRET, DKIM}
    if any(one.size < 0 or (one.name in small and one.size > _SMALL) for one in members):
        raise ValueError("sizes")
    made = datetime.fromisoformat(said["made"])
    if made.utcoffset() is None:
        raise ValueError("made")
    return Manifest(str(said["feeds"]), str(said["schema"]), made, members)


def _check(file: Path, stream: Stream, member: Member, path: Path | None) -> None:
    """Read a member, into a new file of mode 0600 if one is named."""
    with _sink(path) as sink:
        digest, left = hashlib.sha256(), member.size
        while left:
            chunk = _exactly(file, stream, min(left, _CHUNK))
            digest.update(chunk)
            if sink is not None:
                sink.write(chunk)
            left -= len(chunk)
    _exactly(file, stream, _padding(member.size))
    if digest.hexdigest() != member.sha256:
        raise BackupError(str(file), f"{member.name} in it is damaged: not the SHA-256 it had")


@contextmanager
def _sink(path: Path | None) -> Iterator[Stream | None]:
    if path is None:
        yield None
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as sink:  # noqa: PTH123 -- a descriptor
        yield sink
        sink.flush()
        os.fsync(sink.fileno())


def _exactly(file: Path, stream: Stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise BackupError(str(file), "is cut short")
    return data


def _padding(size: int) -> int:
    return -size % _BLOCK


def _room(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
