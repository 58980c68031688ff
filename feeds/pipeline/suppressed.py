"""The file of suppressions, `.feeds/suppressed.jsonl`: who gets nothing, outside the record.

A record that is lost or restored forgets who left since its backup was made; this file does not. One
line of JSON says one act: a keyed hash of the address, the kind, the moment, and from which version of
the subscription on its links hold. No address stands in it. Lines are only ever added.

**A kill between file and record leaves nobody subscribed who left.** Within a `turn`, which one process
has at a time, the line is on disk before the record changes; the record notes up to which byte it has
applied the file, and whoever comes next applies the rest first. So does `catch_up`, before anything is
sent. A line that a crash tore is passed over: its act was never confirmed to anybody.

Hashes depend on the key. Where a restore exchanged it, `replaced-.../` still holds the one before. Under
another key, everyone on record who is gone gets a line anew.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from feeds import app as opened
from feeds import outbox, tokens
from feeds.app import App
from feeds.errors import StoreError
from feeds.store import Store
from feeds.store.subscribers import ERASED, GONE, rank

FILE = "suppressed.jsonl"
"""Its name in the state folder, and in a backup."""

LIFTED = "lifted"
"""The kind of a line that takes back those before it: a person's own confirmation, or `add`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One act: `bounced`, `unsubscribed`, `complained`, `erased` or `lifted`; `at` is RFC 3339, UTC.

    Links of the subscription hold from `version` on.
    """

    hash: str
    kind: str
    at: str
    version: int = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to say who gets nothing, or something again; see `turn`."""

    path: Path
    descriptor: int
    key: bytes = field(repr=False)

    def note(self, email: str, kind: str, now: datetime, version: int = 1) -> None:
        """Put an act on disk, before it goes on record."""
        self.note_all([email], kind, now, version)

    def note_all(self, emails: Iterable[str], kind: str, now: datetime, version: int = 1) -> None:
        """Put the same act of several people on disk."""
        moment = now.astimezone(UTC).isoformat()
        hashes = [tokens.address_hash(self.key, email) for email in emails]
        lines = [Line(one, kind, moment, version) for one in hashes]
        append(self.path, self.descriptor, lines)


@contextmanager
def turn(app: App, now: datetime) -> Iterator[Turn]:
    """Hold the file alone, with the record level with it; note in the record what is applied after.

    When the caller fails, what was noted is applied by the next turn.

    Raises:
        StoreError: the file can't be read or written.
    """
    path = app.settings.state_folder / FILE
    with _alone(path) as descriptor:
        _level(app, path, descriptor, now)
        before = os.fstat(descriptor).st_size
        yield Turn(path, descriptor, opened.secret(app))
        if (size := os.fstat(descriptor).st_size) != before:
            app.store.suppressions.mark(size, _name(opened.secret(app)))


def catch_up(app: App, now: datetime) -> None:
    """Apply what the file says and the record doesn't know yet; costs two looks when there is nothing.

    Called before anything is sent. Harmless when repeated.
    """
    path = app.settings.state_folder / FILE
    try:
        size = path.stat().st_size if path.exists() else 0
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error
    through = app.store.suppressions.through()
    if size:
        level = through == (size, _name(opened.secret(app)))
    else:
        level = not _anyone(app.store) if through is None else through[0] == 0
    if not level:
        with turn(app, now):
            pass


def blocks(app: App, emails: Sequence[str]) -> dict[str, str]:
    """Return those normalised addresses that no import brings back, each with the kind."""
    if not emails or not app.store.suppressions.any_blocked():
        return {}
    known = keys(app.settings.state_folder, app.environ)
    hashes = {tokens.address_hash(key, email): email for key in known for email in emails}
    found = app.store.suppressions.blocked(hashes)
    return {hashes[one]: kind for one, kind in found.items()}


def unblock(app: App, email: str) -> None:
    """Let an address be imported again."""
    if not app.store.suppressions.any_blocked():
        return
    known = keys(app.settings.state_folder, app.environ)
    app.store.suppressions.unblock([tokens.address_hash(key, email) for key in known])


def keys(state: Path, environ: Mapping[str, str], *others: Path) -> list[bytes]:
    """Return the keys that hashes may be made with, the present one first, as far as they can be read.

    `others` are further files that may hold one.
    """
    found: list[bytes] = []
    if given := environ.get("FEEDS_SECRET"):
        found.append(given.encode())
    elif named := environ.get("FEEDS_SECRET_FILE"):
        with suppress(OSError):
            found.append(Path(named).read_bytes().strip())
    for path in (*others, state / "secret", *sorted(state.glob("replaced-*/secret"))):
        with suppress(OSError):
            found.append(path.read_bytes())
    return list(dict.fromkeys(key for key in found if key))


def read(path: Path, start: int = 0) -> list[Line]:
    """Return the lines of a file from a byte on; what is torn or strange is passed over.

    Raises:
        OSError: it is there, and can't be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            found = [_line(raw) for raw in file]
    except FileNotFoundError:
        return []
    return [line for line in found if line is not None]


def merge(one: Path, other: Path) -> list[Line]:
    """Return the lines of two files, none lost: in the order of the longer, or else of their moments."""
    first, second = read(one), read(other)
    shorter, longer = sorted((first, second), key=len)
    if longer[: len(shorter)] == shorter:
        return longer
    return sorted(dict.fromkeys([*first, *second]), key=lambda line: line.at)


def write(path: Path, lines: Sequence[Line]) -> int:
    """Write lines to a new file of mode 0600, synced; return its size in bytes."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        append(path, descriptor, lines)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def append(path: Path, descriptor: int, lines: Iterable[Line]) -> None:
    """Add lines at the end of a file, synced; after a torn line they begin anew.

    Raises:
        StoreError: they can't be written.
    """
    text = "".join(f"{json.dumps(asdict(line))}\n" for line in lines)
    if not text:
        return
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            text = f"\n{text}"
        data = text.encode()
        os.lseek(descriptor, 0, os.SEEK_END)
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error


def apply(store: Store, lines: Iterable[Line], known: Sequence[bytes], now: datetime) -> None:
    """Put the record in step with acts in the order they came.

    Nobody is made active by that. Who is not on record is blocked, as for an erased person.
    """
    said: dict[str, list[tuple[int, Line]]] = {}
    for number, line in enumerate(lines):
        said.setdefault(line.hash, []).append((number, line))
    if not said:
        return
    verdicts = {one: _last(acts).kind for one, acts in said.items()}
    for person in store.subscribers.iterate():
        hashes = [tokens.address_hash(key, person.email) for key in known]
        acts = sorted(act for one in hashes for act in said.get(one, ()))
        if not acts:
            continue
        last = _last(acts)
        _settle(store, person.id, last, now)
        # Who is on record needs no block, but for one who is erased.
        kind = ERASED if last.kind == ERASED else LIFTED
        verdicts |= dict.fromkeys((one for one in hashes if one in said), kind)
    lifted = [one for one, kind in verdicts.items() if kind == LIFTED]
    store.suppressions.unblock(lifted)
    store.suppressions.block({one: verdicts[one] for one in verdicts.keys() - set(lifted)}, now)


def _settle(store: Store, number: int, last: Line, now: datetime) -> None:
    reason = f"{last.kind} at {last.at}, as the file of suppressions says"
    if last.kind == ERASED:
        store.subscribers.erase(number, now, reason)
        return
    store.subscribers.raise_version(number, last.version)
    if last.kind != LIFTED:
        store.subscribers.suppress(number, last.kind, now, reason)


def files_of(app: App, number: int) -> set[str]:
    """Return the names that mail to a subscriber has in the outbox, if it was written as files."""
    letters = app.store.suppressions.letters(number)
    names = {outbox.file_name(edition, slot, number) for edition, slot in letters}
    return names | {f"message-{one}.eml" for one in app.store.suppressions.mail(number)}


def discard(app: App, names: Collection[str]) -> None:
    """Remove mail from the outbox by its names.

    Raises:
        StoreError: it can't be removed.
    """
    try:
        outbox.discard(app.outbox, names, 0.0)
    except OSError as error:
        raise StoreError(str(app.outbox), error.strerror or str(error)) from error


@contextmanager
def _alone(path: Path) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _level(app: App, path: Path, descriptor: int, now: datetime) -> None:
    """Apply what the record doesn't know.

    A file that was lost, or never there, or is of another key, gets a line for everyone who is gone.
    """
    through, size = app.store.suppressions.through(), os.fstat(descriptor).st_size
    own = _name(opened.secret(app))
    if through == (size, own):
        return
    whole = through is None or through[0] > size or through[1] != own
    try:
        lines = read(path, 0 if whole or through is None else through[0])
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error
    apply(app.store, lines, keys(app.settings.state_folder, app.environ), now)
    if whole:
        append(path, descriptor, _missing(app, lines, now))
    app.store.suppressions.mark(os.fstat(descriptor).st_size, own)


def _name(key: bytes) -> str:
    """Return what a key is known by."""
    return tokens.address_hash(key, "")[:16]


def _missing(app: App, lines: Iterable[Line], now: datetime) -> Iterator[Line]:
    """Yield what the record knows and the file doesn't."""
    moment = now.astimezone(UTC).isoformat()
    there = {line.hash: line.kind for line in lines}
    key = opened.secret(app)
    for person in app.store.subscribers.iterate(*GONE):
        hashed = tokens.address_hash(key, person.email)
        if there.get(hashed, LIFTED) == LIFTED:
            yield Line(hashed, person.state, moment, person.token_version)
    for hashed, kind in app.store.suppressions.all_blocked().items():
        if hashed not in there:
            yield Line(hashed, kind, moment)


def _anyone(store: Store) -> bool:
    there = store.subscribers.count()
    return any(there.get(state) for state in GONE) or store.suppressions.any_blocked()


def _last(acts: Iterable[tuple[int, Line]]) -> Line:
    """Return the last word of one person's acts: the strongest since the last that took all back."""
    last: Line | None = None
    version = 1
    for _, line in acts:
        version = max(version, line.version)
        weaker = (
            last is not None
            and LIFTED not in {last.kind, line.kind}
            and rank(line.kind) < rank(last.kind)
        )
        last = last if weaker else line
    assert last is not None  # nobody without an act comes here
    return replace(last, version=version)


def _line(raw: bytes) -> Line | None:
    try:
        said = json.loads(raw)
        line = Line(str(said["hash"]), str(said["kind"]), str(said["at"]), int(said["version"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return line if line.kind in {*GONE, ERASED, LIFTED} else None
