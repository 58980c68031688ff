"""Backup and restore are killed at any point: a whole file or none, the old record or the new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from test_walk import tree

from faults.harness import KILLED, Server, State, Walk, copy, rows

pytestmark = [pytest.mark.faults, pytest.mark.slow]

Choose = Callable[[Sequence[Any], int], list[Any]]

FILE = "backup.tar.gz"
_IDLE = range(
    4, 10
)  # bytes of gzip's header that nothing depends on: time, effort, system (RFC 1952)


@pytest.fixture(scope="module")
def backed_up(walk: tuple[Walk, State], server: Server) -> Walk:
    """Return a restore over a record that went on after its backup was made."""
    made, _ = walk
    home = copy(made.home, "backed_up")
    assert server.run(home, f"backup {FILE}", made.environ).status == 0
    assert server.run(home, "run", made.environ).status == 0
    assert server.run(home, "subscribers add late@example.org", made.environ).status == 0
    return Walk(home, f"restore {FILE}", made.environ)


def restored(server: Server, walk: Walk, name: str) -> Mapping[str, tuple[str, ...]]:
    """Return the rows of the record after an undisturbed restore into a copy."""
    home = copy(walk.home, name)
    assert server.run(home, walk.command, walk.environ).status == 0
    return rows(home)


def test_a_restore_that_is_killed_leaves_the_old_record_or_the_new(
    backed_up: Walk, server: Server, choose: Choose, whole: bool, tally: Counter[str]
) -> None:
    old, new = rows(copy(backed_up.home)), restored(server, backed_up, "restored")
    assert old != new
    events = server.events(backed_up, copy(backed_up.home))
    seen = set()
    for event in choose(range(1, events + 1), events if whole else 12):
        home = copy(backed_up.home)
        assert server.run(home, backed_up.command, backed_up.environ, kill=event).status == KILLED
        found = rows(home)
        assert found in (old, new), event
        seen.add(found == new)
        assert server.run(home, backed_up.command, backed_up.environ).status == 0, event
        assert rows(home) == new, event
        left = {path.name for path in (home / ".feeds").iterdir()}
        kept = {name for name in left if name.startswith("replaced-")}
        assert left - kept == {"feeds.db", "lock", "outbox", "secret", "suppressed.jsonl"}, event
        assert kept, event
        tally["events of restore killed at"] += 1
    assert seen == {True, False} or not whole


def test_a_backup_that_is_killed_is_a_whole_file_or_none(
    backed_up: Walk, server: Server, choose: Choose, whole: bool, tally: Counter[str]
) -> None:
    """The record is as it was, and what the next backup holds is the same."""
    made = Walk(backed_up.home, "backup other.tar.gz", backed_up.environ)
    old = rows(copy(made.home))
    alone = copy(made.home, "alone")
    assert server.run(alone, made.command, made.environ).status == 0
    wanted = (alone / "other.tar.gz").read_bytes()
    events = server.events(made, copy(made.home))
    for event in choose(range(1, events + 1), events if whole else 8):
        home = copy(made.home)
        out = tree(home / "out")
        assert server.run(home, made.command, made.environ, kill=event).status == KILLED
        file = home / "other.tar.gz"
        assert not file.exists() or file.read_bytes() == wanted, event
        assert rows(home) == old, event
        assert server.run(home, "backup again.tar.gz", made.environ).status == 0, event
        assert (home / "again.tar.gz").read_bytes() == wanted, event
        assert tree(home / "out") == out
        tally["events of backup killed at"] += 1


def test_a_restore_of_a_damaged_file_changes_nothing(
    backed_up: Walk, server: Server, choose: Choose, whole: bool
) -> None:
    """Whatever byte of it is turned round, or wherever it ends."""
    data = (backed_up.home / FILE).read_bytes()
    home = copy(backed_up.home)
    record = home / ".feeds/feeds.db"
    old = record.read_bytes()
    for at in choose(range(len(data)), 200 if whole else 12):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            (home / FILE).write_bytes(damaged)
            done = server.run(home, backed_up.command, backed_up.environ)
            if done.status == 0:
                assert at in _IDLE, at
                home = copy(backed_up.home)
                record = home / ".feeds/feeds.db"
                continue
            assert (done.status, "Traceback" in done.err) == (1, False), (at, done.err)
            assert record.read_bytes() == old
