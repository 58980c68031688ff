"""When a file in seeds/ is complete. Pure.

In: how a file looks, and what events told of it. Out: whether it may be read. A writer that renames a
whole file into the folder says all there is to say. Whatever is written in place has to look the same
for as long as `settle`, and, where events tell so, to be closed. Time is that of a monotonic clock: a
file's own times may lie in the future, or come from the clock of another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from feeds.inbox import Sighting

PATIENCE = 120.0
"""Seconds after which a file that still looks the same counts as complete although nothing told that
it was closed: its writer may hold it open for ever, or the event was lost."""


class Hint(Enum):
    """What events told last of a file; `LOOK` only says that something did."""

    LOOK = auto()
    WRITING = auto()
    CLOSED = auto()
    ARRIVED = auto()


@dataclass(frozen=True, slots=True)
class Pending:
    """A file that is not read yet: how it looks and what was told.

    Since when it looks so, and when it was first seen, are in monotonic seconds.
    """

    sighting: Sighting
    since: float
    first: float
    hint: Hint = Hint.LOOK


def observe(before: Pending | None, sighting: Sighting, hint: Hint | None, time: float) -> Pending:
    """Return what is known of a file after another look at it; `hint` is None when nothing was told."""
    last = hint or Hint.LOOK
    if last is Hint.LOOK and before is not None:
        last = before.hint
    first = before.first if before is not None else time
    if before is not None and before.sighting == sighting:
        return Pending(sighting, before.since, first, last)
    if hint is None and last is Hint.ARRIVED:
        last = Hint.LOOK  # written to after it came
    return Pending(sighting, time, first, last)


def told(hints: Mapping[str, Hint], path: str) -> Hint | None:
    """Return what was told of a file; one in a folder that was moved in has arrived with it."""
    hint = hints.get(path)
    if hint in {None, Hint.LOOK}:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if hints.get("/".join(parts[:depth])) is Hint.ARRIVED:
                return Hint.ARRIVED
    return hint


def ready_at(pending: Pending, settle: float) -> float:
    """Return when a file may be read if it looks the same until then, in monotonic seconds."""
    if pending.hint is Hint.ARRIVED:
        return pending.since
    return pending.since + (max(settle, PATIENCE) if pending.hint is Hint.WRITING else settle)
