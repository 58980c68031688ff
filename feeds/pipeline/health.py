"""How things stand: what was looked at, whether it is well, and what mends it.

`checks` are quick and are asked often, by `feeds status` and by whoever watches a machine. `examine` is
thorough, for `feeds doctor`: it reads the whole record, every document and every seed, works when the
record can't be opened, and changes nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feeds import app as opened
from feeds import inbox
from feeds.app import App
from feeds.config import Settings
from feeds.errors import BackupError, FeedsError, UsageError
from feeds.pipeline import backups, mailcheck, upkeep
from feeds.pipeline.archive import RECORD, SECRET
from feeds.pipeline.checks import Check
from feeds.store import backup as copies
from feeds.store.notes import Note
from feeds.store.schema import REVISIONS

__all__ = ["LEAST_FREE", "Check", "checks", "examine"]

LEAST_FREE = 100_000_000
"""Bytes of disk that must be free, at least; below 5 % of the disk, 1 GB."""

_SHARE, _ENOUGH = 0.05, 1_000_000_000
_SKEW = timedelta(minutes=10)
_GRACE = timedelta(hours=1)  # a backup may take a while
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_INOTIFY = Path("/proc/sys/fs/inotify")
_WANTED = {"max_user_watches": 1024, "max_user_instances": 16, "max_queued_events": 1024}


def checks(app: App, now: datetime) -> list[Check]:
    """Return the quick checks of an open record."""
    settings = app.settings
    seeds, index = settings.seeds_folder, app.out / "index.html"
    found = [
        Check("record", ok=True, detail=f"{settings.state_folder / RECORD} opens"),
        _there("seeds", seeds.is_dir(), f"{seeds}/", "make this folder, or name another: --seeds"),
        _there("out", index.is_file(), str(index), "`feeds run` writes it"),
        *mailcheck.quick(app, now),
        _clock(app, now),
        *_disks(settings),
    ]
    if (backup := _backup(app, now)) is not None:
        found.append(backup)
    if unread := app.store.digests.quarantined():
        found.append(Check("digests", ok=True, detail=f"{len(unread)} in quarantine"))
    return found


def examine(settings: Settings, environ: Mapping[str, str]) -> list[Check]:
    """Return every check; works when the record can't be opened, and changes nothing."""
    now = opened.clock(environ)()
    private = _private(settings)  # before SQLite puts files of its own beside the record
    whole = _record(settings)
    found = [*whole, *private, *_seeds(settings), _writable(settings), *_disks(settings)]
    if all(check.ok for check in whole) and _current(settings):
        try:
            with opened.open_app(settings, environ) as app:
                known = {check.name for check in found}
                found += [check for check in checks(app, now) if check.name not in known]
                found += [*_key(app), *_swept(upkeep.survey(app), app)]
                found += mailcheck.examine(app, now)
        except FeedsError as error:
            mend = "mend that, and ask `feeds doctor` again"
            found.append(Check("opening", ok=False, detail=str(error), advice=mend))
    found += [_lock(settings), *_leftovers(settings, now), *_newest(settings)]
    found += [*_fixed(environ), *_address(settings), *_inotify(_INOTIFY)]
    return found


def _there(name: str, ok: bool, detail: str, advice: str) -> Check:
    return Check(name, ok, detail if ok else f"{detail} is missing", "" if ok else advice)


def _clock(app: App, now: datetime) -> Check:
    last = app.store.upkeep.last_write()
    if last is None or now >= last - _SKEW:
        return Check("clock", ok=True, detail=f"{now:%Y-%m-%d %H:%M} UTC")
    detail = f"{now:%Y-%m-%d %H:%M} UTC is before the record's last write, {last:%Y-%m-%d %H:%M}"
    return Check("clock", ok=False, detail=detail, advice="set the clock: `timedatectl` shows it")


def _disks(settings: Settings) -> list[Check]:
    """Check each disk that is written to, once."""
    found, seen = [], set()
    for name, folder in (("disk", settings.state_folder), ("disk out", settings.out_folder)):
        there = _nearest(folder)
        device = there.stat().st_dev
        if device not in seen:
            seen.add(device)
            found.append(_disk(name, there))
    return found


def _disk(name: str, folder: Path) -> Check:
    usage = shutil.disk_usage(folder)
    least = max(LEAST_FREE, min(int(usage.total * _SHARE), _ENOUGH))
    detail = f"{usage.free / 1e9:,.1f} GB free below {folder}"
    if usage.free >= least:
        return Check(name, ok=True, detail=detail)
    advice = f"make room: {least / 1e9:,.1f} GB should be free"
    return Check(name, ok=False, detail=detail, advice=advice)


def _backup(app: App, now: datetime) -> Check | None:
    """Check the scheduled backups; None when there never was one, since nothing makes them."""
    last, failed = app.store.notes.moment(Note.BACKED_UP), backups.failure(app)
    mend = "`feeds backup FILE` makes one by hand"
    if failed is not None:
        detail = f"failed at {failed[0]:%Y-%m-%d %H:%M} UTC: {failed[1]}"
        return Check("backup", ok=False, detail=detail, advice=mend)
    if last is None:
        return None
    late = _is_watched(app.settings) and now - last > app.settings.backup.every + _GRACE
    detail = f"the last one was made at {last:%Y-%m-%d %H:%M} UTC"
    advice = f"`feeds watch` makes them; {mend}" if late else ""
    return Check("backup", ok=not late, detail=detail, advice=advice)


def _record(settings: Settings) -> list[Check]:
    """Read the whole record, without opening it as one."""
    path = settings.state_folder / RECORD
    if not path.exists() or not path.stat().st_size:
        if (settings.state_folder / SECRET).exists() or backups.scheduled(settings):
            return [_damaged(settings, "the record is lost, its key or a backup is there")]
        detail = f"{path} is not there yet; `feeds run` makes it"
        return [Check("record", ok=True, detail=detail)]
    if faults := copies.examine(path):
        return [_damaged(settings, fault) for fault in faults]
    schema = copies.revision(path)
    if schema is not None and schema not in REVISIONS:
        detail = f"{path} is of a newer version ({schema}; this one knows {REVISIONS[-1]})"
        return [Check("record", ok=False, detail=detail, advice="upgrade feeds")]
    return [Check("record", ok=True, detail=f"{path} is whole, tables of {schema}")]


def _damaged(settings: Settings, fault: str) -> Check:
    file = next((str(one) for one in backups.scheduled(settings) if _is_whole(one)), "FILE")
    return Check(
        "record",
        ok=False,
        detail=f"{settings.state_folder / RECORD}: {fault}",
        advice=f"`feeds restore {file}` puts a backup in its place, and keeps what is there",
    )


def _is_whole(file: Path) -> bool:
    try:
        backups.verify(file)
    except BackupError:
        return False
    return True


def _current(settings: Settings) -> bool:
    """Whether the record is there and of this version: opening it would change nothing."""
    path = settings.state_folder / RECORD
    return path.exists() and copies.revision(path) == REVISIONS[-1]


def _private(settings: Settings) -> list[Check]:
    """Check that nobody else can read the record and its key."""
    state = settings.state_folder
    wanted = {state: 0o700}
    names = (RECORD, *(f"{RECORD}{end}" for end in copies.BESIDE), SECRET)
    wanted |= {state / name: 0o600 for name in names}
    wanted |= dict.fromkeys(backups.scheduled(settings), 0o600)
    loose = [path for path in wanted if path.exists() and path.stat().st_mode & 0o077]
    if not loose:
        return [Check("private", ok=True, detail=f"{state} is readable by its owner alone")]
    return [
        Check(
            "private",
            ok=False,
            detail=f"{path} is readable by others",
            advice=f"`chmod {wanted[path]:o} {path}`",
        )
        for path in loose
    ]


def _seeds(settings: Settings) -> list[Check]:
    try:
        scan = inbox.scan(settings.seeds_folder, settings.seeds.ignore)
    except UsageError as error:
        detail, _, advice = str(error).partition("; ")
        return [Check("seeds", ok=False, detail=detail, advice=advice)]
    folder = settings.seeds_folder
    unreadable = [one for one in scan.refusals if one.reason == "unreadable"]
    unreadable += [
        inbox.Refusal(one.name, "unreadable", "no permission")
        for one in scan.sightings
        if not os.access(folder / one.path, os.R_OK)
    ]
    if not unreadable:
        return [Check("seeds", ok=True, detail=f"{folder}/ holds {len(scan.sightings)} files")]
    detail = f"{len(unreadable)} files can't be read, such as {unreadable[0].name}"
    advice = f"`chmod -R u+rX {folder}`, as the owner of the files"
    return [Check("seeds", ok=False, detail=detail, advice=advice)]


def _key(app: App) -> Iterator[Check]:
    """Yield whether the key is there that letters already sent were made with."""
    if {
        "FEEDS_SECRET",
        "FEEDS_SECRET_FILE",
    } & app.environ.keys() or not app.store.editions.newest_id():
        return
    path = app.settings.state_folder / SECRET
    if not path.exists() or path.stat().st_size < opened.SECRET_BYTES:
        detail = f"{path} is lost or cut short: letters could no longer be left by their links"
        advice = "`feeds restore FILE` puts it back from a backup"
        yield Check("key", ok=False, detail=detail, advice=advice)


def _writable(settings: Settings) -> Check:
    there = _nearest(settings.out_folder)
    if os.access(there, os.W_OK | os.X_OK):
        return Check("writable", ok=True, detail=f"{settings.out_folder}/ can be written to")
    return Check(
        "writable",
        ok=False,
        detail=f"{there} can't be written to by this user",
        advice=f"`chown -R $(id -un) {there}`, or name another folder with --out",
    )


def _swept(found: upkeep.Found, app: App) -> Iterator[Check]:
    """Yield what a sweep would put right."""
    mend = "`feeds run --sweep` makes them again"
    lost = [path for paths in found.lost.values() for path in paths]
    detail = f"{len(lost)} of {found.documents} lost or changed"
    if lost:
        yield Check("documents", ok=False, detail=f"{detail}, such as {lost[0]}", advice=mend)
    else:
        yield Check("documents", ok=True, detail=f"{found.documents} below {app.out}/ as recorded")
    if found.changed:
        detail = f"{len(found.changed)} changed unseen in seeds/, such as {found.changed[0]}"
        mend = "`feeds run --sweep` reads them again"
        yield Check("digests", ok=False, detail=detail, advice=mend)
    if found.strays:
        detail = f"{len(found.strays)} of a killed pass, such as {found.strays[0]}"
        mend = "`feeds run --sweep` removes them"
        yield Check("leftovers", ok=False, detail=detail, advice=mend)


def _lock(settings: Settings) -> Check:
    holder = _holder(settings)
    said = f"held by {holder}" if holder else "nobody works on the record now"
    return Check("lock", ok=True, detail=said)


def _is_watched(settings: Settings) -> bool:
    """Whether `feeds watch`, which makes backups, is at work."""
    return (_holder(settings) or "").startswith("feeds watch")


def _holder(settings: Settings) -> str | None:
    """Return who holds the lock, by the name it left: trying the lock could turn a pass away."""
    try:
        holder = (settings.state_folder / "lock").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    process = re.search(r"\(process (\d+)\)", holder)
    return holder if process and _alive(int(process[1])) else None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True  # another user's
    except (OSError, OverflowError):
        return False
    return True


def _leftovers(settings: Settings, now: datetime) -> Iterator[Check]:
    """Yield what killed commands left in the state folder."""
    state = settings.state_folder
    if (state / backups.RESTORING).exists():
        detail = f"a restore was cut short: {state / backups.RESTORING}"
        advice = "`feeds restore FILE` again: until then the record or its key is the old one"
        yield Check("restore", ok=False, detail=detail, advice=advice)
    if there := backups.leftovers(settings, (now - _GRACE).timestamp()):
        detail = f"{len(there)} of a killed backup, such as {there[0]}"
        yield Check("leftovers", ok=False, detail=detail, advice="`feeds run --sweep` removes them")


def _newest(settings: Settings) -> Iterator[Check]:
    """Yield whether the newest scheduled backup is whole, if there is one."""
    for file in backups.scheduled(settings)[:1]:
        try:
            made = backups.verify(file).made
        except BackupError as error:
            mend = "`feeds backup FILE` makes a new one"
            yield Check("backups", ok=False, detail=str(error), advice=mend)
        else:
            said = f"{file} of {made.astimezone(UTC):%Y-%m-%d %H:%M} UTC is whole"
            yield Check("backups", ok=True, detail=said)


def _fixed(environ: Mapping[str, str]) -> Iterator[Check]:
    if fixed := environ.get("FEEDS_NOW"):
        detail = f"FEEDS_NOW={fixed} stands in for the clock"
        yield Check("now", ok=False, detail=detail, advice="`unset FEEDS_NOW`; it is for tests")


def _address(settings: Settings) -> Iterator[Check]:
    """Yield a check of `base_url` when something else in the configuration says "public"."""
    base = settings.publication.base_url
    host, mail = settings.web.host, settings.mail
    public = {
        f"mail.from is {mail.sender}": mail.sender is not None,
        f"mail.transport is {mail.transport}": mail.transport != "folder",
        f"web.host is {host}": host is not None and host not in _LOOPBACK,
    }
    said = next((text for text, is_public in public.items() if is_public), None)
    if said and urllib.parse.urlsplit(base).hostname in _LOOPBACK:
        detail = f"{said}, but base_url is {base}: links lead readers to their own machine"
        advice = "set base_url below [publication] in feeds.toml to the public address of out/"
        yield Check("address", ok=False, detail=detail, advice=advice)


def _inotify(folder: Path) -> Iterator[Check]:
    """Yield the limits of inotify(7) that are too low for a watcher; nothing where there are none."""
    for name, wanted in _WANTED.items():
        try:
            limit = int((folder / name).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        if limit < wanted:
            detail = f"fs.inotify.{name} is {limit}: digests are seen late"
            advice = f"`sysctl fs.inotify.{name}={wanted}`, and a file in /etc/sysctl.d/ to keep it"
            yield Check("inotify", ok=False, detail=detail, advice=advice)


def _nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above that is there."""
    path = folder.absolute()
    while not path.exists():
        path = path.parent
    return path if path != folder.absolute() else folder
