"""Backup and restore: the record with its keys in one file, and back.

**Restore survives a kill at any moment.** Nothing of the present record is touched before the archive is
unpacked into `restoring/`, held against its manifest, examined page by page, brought to this version's
tables and stopped from mailing. Then, with nobody having the record open:

1. What is committed goes from the -wal into the present file, so that the file alone is the record. A
   kill leaves the old record.
2. The present files are kept under a second name in `replaced-.../`. A kill leaves the old record.
3. What lies beside the file is removed. After 1 there is nothing, but for a record too damaged to be
   read: its -wal must go before the new file comes, or it would be played into it. A kill leaves the
   damaged record, whole in `replaced-.../`.
4. One rename puts the new record in place of the old. There is no moment without a record: the next
   command would make an empty one, and all of seeds/ would be mailed again.
5. The key follows by a rename of its own. A kill before leaves the new record with the old key, which
   mails nothing; restoring again puts the key in place.
6. So does the file of suppressions, which holds what both files did. The new record has applied it
   already: whoever left since the backup was made has left. A kill before leaves the present file,
   from which the record, as it notes another size, brings itself up to date.

Power loss is a kill: each step is on disk before the next begins. The key that signs letters is put
where `mail.dkim_key` says if nothing is there, else beside the record.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feeds import __version__
from feeds.app import App
from feeds.config import Settings
from feeds.errors import BackupError, FeedsError, StoreError, UsageError
from feeds.pipeline import archive, suppressed
from feeds.pipeline.archive import DKIM, RECORD, SECRET, SUPPRESSED, Manifest, sync
from feeds.store import Store
from feeds.store import backup as copies
from feeds.store.notes import Note
from feeds.store.schema import REVISIONS
from feeds.text import printable

log = logging.getLogger(__name__)

RESTORING = "restoring"
"""The folder below the state folder in which a restore prepares the new record."""

_MAKING = ".backup-"
_OURS = re.compile(r"feeds-(\d{8}T\d{6}Z)\.tar\.gz")
_LEFT = re.compile(r"\.feeds-\d{8}T\d{6}Z\.tar\.gz\.\w+\.tmp")
_STAMP = "%Y%m%dT%H%M%SZ"
_PATIENCE = timedelta(hours=1)  # after a backup that failed


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `replaced` holds what stood there before, if anything did.

    `signer` is where the key that signs letters was put, None when it was there or there was none.
    """

    manifest: Manifest
    replaced: Path | None
    rekeyed: bool
    signer: Path | None = None


def backup(app: App, file: Path) -> Path:
    """Write the record and its keys to a new file, mode 0600, while others use the record.

    Raises:
        UsageError: there is something by that name, or no folder to put it in.
        BackupError: it can't be written, or the record is damaged.
    """
    if os.path.lexists(file):
        raise UsageError(f"{file} is there already; name another, or move it away")
    settings = app.settings
    for public in (settings.out_folder, settings.seeds_folder):
        if file.resolve().is_relative_to(public.resolve()):
            raise UsageError(f"{file} would lie in {public}; a backup holds addresses and the key")
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent} is no folder; make it, or name another place")
    state = app.settings.state_folder
    with _explained(file), tempfile.TemporaryDirectory(prefix=_MAKING, dir=state) as made:
        folder = Path(made)  # mode 0700
        app.store.copy_to(folder / RECORD)
        if faults := copies.examine(folder / RECORD):
            reason = f"the record is damaged ({faults[0]}); see `feeds doctor`"
            raise BackupError(str(file), reason)
        # The file of suppressions after the record: it may know more, never less.
        beside = {SECRET: state / SECRET, SUPPRESSED: state / SUPPRESSED}
        if settings.mail.dkim_key is not None:
            beside[DKIM] = settings.mail.dkim_key
        for name, path in beside.items():
            with suppress(FileNotFoundError):
                _copy(path, folder / name)
        schema = copies.revision(folder / RECORD) or ""
        archive.pack(file, folder, __version__, schema, app.now())
    return file


def restore(
    settings: Settings, file: Path, now: datetime, environ: Mapping[str, str] | None = None
) -> Restored:
    """Put the record of a backup in place of the present one, and stop all mail until it is released.

    Who left since it was made stays so; `environ` may give the key by which they are known. The caller
    holds the lock of the state folder. The present record may be damaged or missing; it is
    kept in `replaced-.../`, never deleted. See the module's docstring for what a kill leaves.

    Raises:
        BackupError: the archive is no whole backup, or of a newer version; nothing has changed.
        StoreError: the present record is in use.
    """
    state = settings.state_folder
    fresh = state / RESTORING
    with _explained(file):
        shutil.rmtree(fresh, ignore_errors=True)  # what a killed restore left behind
        fresh.mkdir(mode=0o700)
        try:
            manifest = archive.unpack(file, fresh)
            _prove(file, fresh / RECORD, manifest)
            with copies.alone(state):
                keys = suppressed.keys(state, environ or {}, fresh / SECRET)
                _prepare(fresh, state, file, keys, now)
                rekeyed = manifest.keyed and not _same(state / SECRET, fresh / SECRET)
                replaced = _exchange(state, fresh, now, rekeyed=rekeyed)
                signer = _put_signer(settings, fresh / DKIM)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    log.info("record restored file=%s", file)
    return Restored(manifest, replaced, rekeyed, signer)


def verify(file: Path) -> Manifest:
    """Hold a backup against its manifest; writes nothing.

    Raises:
        BackupError: it is not whole.
    """
    return archive.unpack(file)


def due_backup(app: App, now: datetime) -> Path | None:
    """Make the scheduled backup when it is due; return its file, if one was made and is whole.

    One that fails is an error in the log and in `feeds status`, and is tried again after an hour; older
    ones are removed only after the new one was read back.
    """
    if not _is_due(app, now):
        return None
    folder = folder_of(app.settings)
    try:
        with _explained(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        made = _make(app, folder / f"feeds-{now.astimezone(UTC):{_STAMP}}.tar.gz")
        _rotate(folder, app.settings.backup.keep, made, now)
        app.store.notes.mark(Note.BACKED_UP, now)
        app.store.notes.strike(Note.BACKUP_FAILED)
    except (FeedsError, OSError) as error:
        log.error("backup failed: %s", error)
        with suppress(StoreError):  # of the same cause, perhaps: the disk is full
            app.store.notes.write(Note.BACKUP_FAILED, f"{now.astimezone(UTC).isoformat()} {error}")
        return None
    return made


def folder_of(settings: Settings) -> Path:
    """Return the folder of scheduled backups."""
    return settings.state_folder / "backups"


def scheduled(settings: Settings) -> list[Path]:
    """Return the scheduled backups, the newest first by the moment in their names."""
    return sorted(_listed(folder_of(settings), _OURS), reverse=True)


def leftovers(settings: Settings, before: float) -> list[Path]:
    """Return what killed backups left behind.

    Only what was last changed before a moment, in seconds since 1970.
    """
    state = settings.state_folder
    there = [*state.glob(f"{_MAKING}*"), *_listed(folder_of(settings), _LEFT)]
    return sorted(path for path in there if _changed(path) < before)


def failure(app: App) -> tuple[datetime, str] | None:
    """Return when the last scheduled backup failed and why, None when it went well."""
    said = app.store.notes.read(Note.BACKUP_FAILED)
    if said is None:
        return None
    moment, _, reason = said.partition(" ")
    return datetime.fromisoformat(moment), reason


def _make(app: App, file: Path) -> Path:
    """Make a backup and read it back; one that isn't whole doesn't stay."""
    made = backup(app, file)
    try:
        verify(made)
    except BackupError:
        made.unlink(missing_ok=True)
        raise
    return made


def _is_due(app: App, now: datetime) -> bool:
    failed, every = failure(app), app.settings.backup.every
    if failed and timedelta() <= now - failed[0] < min(_PATIENCE, every):
        return False
    last = app.store.notes.moment(Note.BACKED_UP)
    return last is None or not timedelta() <= now - last < every  # or the clock was set back


def _rotate(folder: Path, keep: int, made: Path, now: datetime) -> None:
    """Remove the older backups. Names from the future, of a wrong clock, count as the oldest."""
    latest = f"feeds-{now.astimezone(UTC):{_STAMP}}.tar.gz"
    there = sorted(_listed(folder, _OURS), key=lambda path: (path.name <= latest, path.name))
    for path in there[:-keep]:
        if path != made:
            path.unlink(missing_ok=True)


def _listed(folder: Path, names: re.Pattern[str]) -> list[Path]:
    """Return the regular files of a folder with such names; none when there is no folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if names.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    return []


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return float("inf")  # it has vanished


def _prove(file: Path, record: Path, manifest: Manifest) -> None:
    """Examine an unpacked record.

    Raises:
        BackupError: it is damaged, no record of ours, or of a newer version.
    """
    if faults := copies.examine(record):
        raise BackupError(str(file), f"the record in it is damaged ({faults[0]})")
    schema = copies.revision(record)
    if schema is None:
        raise BackupError(str(file), "holds a database, but no record of feeds")
    if schema not in REVISIONS:
        raise BackupError(
            str(file),
            f"its tables are of a newer version ({schema}; this one knows {REVISIONS[-1]});"
            f" restore it with feeds {printable(manifest.feeds)} or newer",
        )


def _prepare(fresh: Path, state: Path, file: Path, keys: list[bytes], now: datetime) -> None:
    """Make an unpacked record fit to take the present one's place.

    It brings nobody back who has left since, mails nothing, and has `out/` made again. The files of
    suppressions become one.
    """
    record, why = fresh / RECORD, f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC: restored from"
    lines = suppressed.merge(fresh / SUPPRESSED, state / SUPPRESSED)
    (fresh / SUPPRESSED).unlink(missing_ok=True)
    size = suppressed.write(fresh / SUPPRESSED, lines) if lines else 0
    with Store(record) as store:  # brings its tables up to date
        suppressed.apply(store, lines, keys, now)
        if lines:  # under no key: the next look at the file holds all of it against the record
            store.suppressions.mark(size, "")
        store.documents.forget()
        store.notes.write(Note.HELD, f"{why} {printable(file.name)}")
    if not copies.settle(record):
        raise BackupError(str(file), "the record in it can't be written to")
    with record.open("rb") as written:
        os.fsync(written.fileno())


def _exchange(state: Path, fresh: Path, now: datetime, *, rekeyed: bool) -> Path | None:
    """Put the new record in place of the present one; return where that one is kept, if any was."""
    record = state / RECORD
    if record.exists():
        copies.settle(record)
    beside = [state / f"{RECORD}{end}" for end in copies.BESIDE]
    present = [record, *beside, *((state / SECRET,) if rekeyed else ())]
    replaced = _keep(state, [path for path in present if os.path.lexists(path)], now)
    for path in beside:
        path.unlink(missing_ok=True)
    sync(state)
    (fresh / RECORD).replace(record)
    sync(state)
    if rekeyed:
        (fresh / SECRET).replace(state / SECRET)
        sync(state)
    if (fresh / SUPPRESSED).exists():
        (fresh / SUPPRESSED).replace(state / SUPPRESSED)
        sync(state)
    return replaced


def _put_signer(settings: Settings, fresh: Path) -> Path | None:
    """Put the key that signs letters where it belongs; what is there is never written over."""
    wanted = settings.mail.dkim_key
    if not fresh.exists() or (wanted is not None and _same(wanted, fresh)):
        return None
    beside = settings.state_folder / DKIM
    free = wanted is not None and not os.path.lexists(wanted) and wanted.parent.is_dir()
    target = wanted if wanted is not None and free else beside
    if target == beside and os.path.lexists(beside):
        if _same(beside, fresh):
            return None
        beside.unlink()
    _copy(fresh, target)
    sync(target.parent)
    return target


def _keep(state: Path, paths: list[Path], now: datetime) -> Path | None:
    """Give files a second name in a folder of their own; they keep the first."""
    if not paths:
        return None
    folder = _new_folder(state, f"replaced-{now.astimezone(UTC):{_STAMP}}")
    for path in paths:
        try:
            os.link(path, folder / path.name, follow_symlinks=False)
        except OSError:  # a file system without links
            _copy(path, folder / path.name)
    sync(folder)
    sync(state)
    return folder


def _new_folder(state: Path, name: str) -> Path:
    """Make a folder by this name, with a number if there is one already."""
    number = 1
    while True:
        folder = state / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return folder


def _copy(path: Path, into: Path) -> None:
    """Copy a file as a new one of mode 0600, synced."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with path.open("rb") as source, open(os.open(into, flags, 0o600), "wb") as target:  # noqa: PTH123 -- a descriptor
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())


def _same(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except FileNotFoundError:
        return False


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise BackupError(str(file), str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise BackupError(str(file), f"{where}{error.strerror or error}") from error
