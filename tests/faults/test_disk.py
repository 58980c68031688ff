"""The disk is full, at each writer: a clear error, nothing torn; with room again all is as it should be.

Full in two ways: a system call answers ENOSPC (strace), at its n-th time or from then on; and a real
file system of few blocks, filled up but for so many bytes.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_walk import tree

from faults.harness import (
    ROOT,
    STRACE,
    TRIED_AGAIN,
    Call,
    Server,
    State,
    Told,
    Walk,
    calls,
    copy,
    mounted,
    rows,
    traced,
)

pytestmark = [pytest.mark.faults, pytest.mark.slow]

Choose = Callable[[Sequence[Any], int], list[Any]]

LASTING = ("pwrite64", "fsync", "fdatasync", "ftruncate")
PASSING = ("write", "openat", "mkdirat", "mkdir")  # met elsewhere, too: once is enough


def amiss(done: Told, home: Path, undisturbed: State, old: Mapping[str, str]) -> list[str]:
    """Return what isn't as it should be while the disk is full."""
    found = []
    if done.status not in {0, 1, 3} or "Traceback" in done.err:
        found.append(f"status {done.status}: {done.err}")
    if done.status and "make room" not in done.err:
        found.append(f"no way out: {done.err}")
    if done.status and not (".feeds" in done.err or "at=" in done.err):
        found.append(f"no place: {done.err}")
    rows(home)
    for name, found_hash in tree(home / "out").items():
        if found_hash not in {old.get(name), undisturbed.out.get(name)}:
            found.append(f"torn: {name}")
    return found


def matters(call: Call) -> bool:
    """Whether a call meets the disk: neither stdout nor stderr, and no reader's file."""
    return call.name in {*LASTING, *PASSING} and not call.line.startswith(("1,", "2,"))


@pytest.mark.skipif(not STRACE, reason="strace is not installed")
def test_no_writer_leaves_anything_torn_on_a_full_disk(
    walk: tuple[Walk, State], server: Server, whole: bool, choose: Choose, tally: Counter[str]
) -> None:
    made, undisturbed = walk
    home = copy(made.home)
    traced(made, home)
    points = [call for call in calls(home) if matters(call)]
    assert {call.name for call in points} >= {"write", "pwrite64", "fsync", "fdatasync", "openat"}
    old = tree(made.home / "out")
    wrong = {}
    for call in choose(points, 100 if whole else 9):
        home = copy(made.home)
        when = f"{call.number}+" if call.name in LASTING else f"{call.number}"
        done = traced(made, home, f"{call.name}:error=ENOSPC:when={when}", only=[call.name])
        found = amiss(done, home, undisturbed, old)
        server.run(home, "run", made.environ)
        unlike = server.state(home, made.environ).unlike(undisturbed)
        found += [part for part in unlike if part != TRIED_AGAIN]
        if found:
            wrong[f"{call.name} {when} {call.line}"] = found
        tally["writers met a full disk"] += 1
    assert wrong == {}


@pytest.mark.skipif(not ROOT, reason="only root may mount a small disk")
@pytest.mark.parametrize("place", [".feeds", "out"])
def test_a_small_disk_that_fills_up_harms_nothing(
    walk: tuple[Walk, State], server: Server, whole: bool, choose: Choose, place: str
) -> None:
    made, undisturbed = walk
    old = tree(made.home / "out")
    wrong = {}
    statuses = set()
    for left in choose(range(0, 600_000, 4096), 150 if whole else 5):
        home = copy(made.home)
        kept = shutil.move(home / place, home / "kept")
        with mounted(home / place, "-o", "size=3m,mode=700"):
            shutil.copytree(kept, home / place, dirs_exist_ok=True)
            shutil.rmtree(kept)
            fill(home / place / "filler", left)
            done = server.run(home, "run", made.environ)
            (home / place / "filler").unlink()
            found = amiss(done, home, undisturbed, old)
            server.run(home, "run", made.environ)
            unlike = server.state(home, made.environ).unlike(undisturbed)
            found += [part for part in unlike if part != TRIED_AGAIN]
        statuses.add(done.status)
        if found:
            wrong[left] = found
    assert wrong == {}
    assert statuses - {0}


def fill(filler: Path, left: int) -> None:
    """Fill a disk but for so many bytes."""
    free = shutil.disk_usage(filler.parent).free
    filler.write_bytes(bytes(max(0, free - left)))
