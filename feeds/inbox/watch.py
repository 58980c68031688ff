"""Events of the folder of seeds: hints to look, never the truth. I/O, in a thread of watchdog.

Measured: when the kernel's queue of 16,384 events overflows, what came after is lost without an error;
nothing tells of a write on another machine of a network mount, nor that the folder itself was
replaced. So whoever uses this scans as well, every `pace` seconds.

Full inotify events tell a file that was renamed into the folder (moved, from nowhere) from one that was
written and closed. Where the platform doesn't, files settle by how they look.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from watchdog.events import (
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from feeds.inbox.settle import Hint

log = logging.getLogger(__name__)

PACE, REMOTE_PACE = 30.0, 5.0
"""Seconds between two scans: of a local folder, and of one that tells nothing of other machines."""

_TOLD = [FileMovedEvent, DirMovedEvent, FileCreatedEvent, FileModifiedEvent, FileClosedEvent]
_OCTAL = re.compile(r"\\([0-7]{3})")
_REMOTE = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "fuse",
    "virtiofs",
    "vboxsf",
)


class Watcher:
    """Collects hints about one folder, also after it was replaced, and calls `ring` at the first."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._lock = Lock()
        self._hints: dict[str, Hint] = {}
        self._observer: BaseObserver | None = None
        self._followed: tuple[str, int, int] | None = None
        self.pace = PACE

    def follow(self, folder: Path) -> None:
        """Watch a folder, unless it is watched already; it may be missing, or be replaced at any time.

        Where events can't be had (no more watches, a platform without), scans come faster instead.
        """
        try:
            status = folder.stat()
        except OSError:
            self.close()
            return
        followed = (str(folder), status.st_dev, status.st_ino)
        if followed == self._followed:
            return
        self.close()
        self.pace = REMOTE_PACE if is_remote(folder) else PACE
        try:
            self._observer = _observer()
            handler = _Handler(str(folder.resolve()), self._told)
            self._observer.schedule(handler, handler.root, recursive=True, event_filter=_TOLD)
            self._observer.start()
        except OSError as error:
            log.warning(
                "no events for seeds=%s: %s; it is scanned every %g s", folder, error, REMOTE_PACE
            )
            self._observer = None
            self.pace = REMOTE_PACE
        self._followed = followed

    def take(self) -> dict[str, Hint]:
        """Return what was told since this was last asked, by path below the folder."""
        with self._lock:
            taken, self._hints = self._hints, {}
        return taken

    def close(self) -> None:
        """Watch no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()
        self._observer = self._followed = None

    def _told(self, name: str, hint: Hint) -> None:
        with self._lock:
            first = not self._hints
            self._hints[name] = hint
        if first:
            self._ring()


class _Handler(FileSystemEventHandler):
    """Turns events into hints, in the order in which they happened."""

    def __init__(self, root: str, tell: Callable[[str, Hint], None]) -> None:
        self.root = root
        self._tell = tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Tell of the file or folder that an event leaves behind."""
        moved = isinstance(event, (FileMovedEvent, DirMovedEvent))
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        name = os.path.relpath(path, self.root) if path else ""
        if name and not name.startswith(".."):
            self._tell(name, _hint(event))


def _hint(event: FileSystemEvent) -> Hint:
    if isinstance(event, (FileMovedEvent, DirMovedEvent)):
        return Hint.ARRIVED
    if isinstance(event, FileModifiedEvent):
        return Hint.WRITING
    return Hint.CLOSED if isinstance(event, FileClosedEvent) else Hint.LOOK


def _observer() -> BaseObserver:
    if sys.platform == "linux":
        from watchdog.observers.inotify import InotifyObserver  # noqa: PLC0415 -- Linux only

        return InotifyObserver(generate_full_events=True)
    return Observer()


def is_remote(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether a folder lies on a mount that tells nothing of what other machines write.

    As proc(5) describes `mountinfo`: the last mount whose point the folder lies below decides.
    """
    try:
        rows = os.fsdecode(mounts.read_bytes()).split("\n")
    except OSError:
        return False
    place, kind, longest = folder.resolve(), "", -1
    for row in rows:
        about, dash, system = row.partition(" - ")
        if not dash:
            continue
        # Spaces and the like stand as octal escapes: getmntent(3).
        point = Path(_OCTAL.sub(lambda found: chr(int(found[1], 8)), about.split(" ")[4]))
        if place.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = system.split(" ")[0], len(point.parts)
    return kind.startswith(_REMOTE)
