"""The record is damaged: either nobody sees it, or a clear error, and the damaged file as it was.

A command that refuses names the file and the way out. What it refused it has not written to: a
damaged record may be all that there is.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from test_walk import tree

from faults.harness import GARBAGE, KILLED, Server, State, Told, Walk, copy

pytestmark = [pytest.mark.faults, pytest.mark.slow]

Choose = Callable[[Sequence[Any], int], list[Any]]

PAGE = 4096
READERS = ("articles", "status", "edition list", "subscribers list", "edition preview")


def refuses(done: Told) -> bool:
    """Whether a command says that the record is damaged, and what to do."""
    return done.status == 1 and "feeds.db" in done.err and "backup" in done.err


def ends_well(server: Server, walk: Walk, home: Path, undisturbed: State) -> str:
    """Run a pass over a damaged record; return what is wrong with how it ended, or nothing."""
    record = home / ".feeds/feeds.db"
    before, out = hashlib.sha256(record.read_bytes()).digest(), tree(home / "out")
    done = server.run(home, walk.command, walk.environ)
    if "Traceback" in done.err:
        return f"traceback: {done.err}"
    if done.status == 1:
        if not refuses(done):
            return f"unclear: {done.err}"
        if hashlib.sha256(record.read_bytes()).digest() != before:
            return "written to, then refused"
        return "" if tree(home / "out") == out else "published, then refused"
    try:
        unlike = server.state(home, walk.environ).unlike(undisturbed)
    except (AssertionError, sqlite3.DatabaseError) as error:
        return f"goes on over damage: {error}"
    return f"goes on and differs: {unlike[:3]}" if unlike else ""


def pages(home: Path) -> int:
    """Return how many pages a record has."""
    return (home / ".feeds/feeds.db").stat().st_size // PAGE


def test_a_record_cut_short_is_refused_and_left_alone(
    walk: tuple[Walk, State], server: Server, choose: Choose, whole: bool
) -> None:
    made, undisturbed = walk
    size = pages(made.home) * PAGE
    sizes = [1, 99, 100, PAGE // 2, PAGE, *range(PAGE * 2, size, PAGE), size - PAGE // 2, size - 1]
    wrong = {}
    for length in choose(sizes, len(sizes) if whole else 6):
        home = copy(made.home)
        with (home / ".feeds/feeds.db").open("r+b") as file:
            file.truncate(length)
        if found := ends_well(server, made, home, undisturbed):
            wrong[length] = found
    assert wrong == {}


def test_a_page_that_is_garbage_is_met_with_an_error_or_harms_no_document(
    walk: tuple[Walk, State], server: Server, choose: Choose, whole: bool, tally: Counter[str]
) -> None:
    """A pass doesn't read the whole record: a page that it has no need of is for `doctor` to find."""
    made, undisturbed = walk
    wrong = {}
    for page in choose(range(pages(made.home)), pages(made.home) if whole else 12):
        home = copy(made.home)
        flipped = flip(home / ".feeds/feeds.db", page)
        done = server.run(home, "run", made.environ)
        with (home / ".feeds/feeds.db").open("rb") as file:
            file.seek(page * PAGE)
            kept = file.read(PAGE) == flipped
        if "Traceback" in done.err or not (refuses(done) or done.status == 0):
            wrong[page] = f"unclear: {done}"
        elif refuses(done) and not kept:
            wrong[page] = "written over, then refused"
        elif done.status == 0 and tree(home / "out") != undisturbed.out:
            wrong[page] = "published something else"
        elif done.status == 0 and tree(home / ".feeds/outbox") != undisturbed.letters:
            wrong[page] = "mailed something else"
        tally["pages of the record flipped"] += 1
        tally["of them met with an error"] += refuses(done)
    assert wrong == {}


def flip(record: Path, page: int) -> bytes:
    """Turn round every bit of a page; return what it holds then."""
    with record.open("r+b") as file:
        file.seek(page * PAGE)
        flipped = bytes(byte ^ 0xFF for byte in file.read(PAGE))
        file.seek(page * PAGE)
        file.write(flipped)
    return flipped


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"not a database at all " * 5, b""])
def test_a_record_that_is_none_is_refused_and_left_alone(
    walk: tuple[Walk, State], server: Server, garbage: bytes
) -> None:
    """An empty file where letters and pages were made is a loss as well, and no new beginning."""
    made, undisturbed = walk
    home = copy(made.home)
    record = home / ".feeds/feeds.db"
    record.write_bytes(garbage + record.read_bytes()[len(garbage) :] if garbage else b"")
    assert ends_well(server, made, home, undisturbed) == ""


def test_reading_commands_refuse_a_damaged_record_too(
    walk: tuple[Walk, State], server: Server
) -> None:
    made, _ = walk
    home = copy(made.home)
    record = home / ".feeds/feeds.db"
    record.write_bytes(GARBAGE + record.read_bytes()[len(GARBAGE) :])
    before = record.read_bytes()
    for command in (*READERS, "subscribers add other@example.org", "send"):
        done = server.run(home, command)
        assert refuses(done), (command, done)
        assert "Traceback" not in done.err
    assert record.read_bytes() == before


def lose(log: Path) -> None:
    log.unlink()


def cut(log: Path) -> None:
    data = log.read_bytes()
    log.write_bytes(data[: len(data) // 2])


def spoil(log: Path) -> None:
    data = log.read_bytes()
    log.write_bytes(data[: len(data) // 2] + b"\xff" * (len(data) - len(data) // 2))


@pytest.mark.parametrize("harm", [lose, cut, spoil])
def test_a_log_harmed_after_a_kill_loses_no_more_than_the_log(
    walk: tuple[Walk, State],
    server: Server,
    choose: Choose,
    whole: bool,
    harm: Callable[[Path], None],
) -> None:
    """What the log held, or its second half, is done again, to the same bytes."""
    made, undisturbed = walk
    events = server.events(made, copy(made.home))
    wrong = {}
    for event in choose(range(1, events), 60 if whole else 4):
        home = copy(made.home)
        assert server.run(home, "run", made.environ, kill=event).status == KILLED
        log = home / ".feeds/feeds.db-wal"
        if log.exists():
            harm(log)
        if found := ends_well(server, made, home, undisturbed):
            wrong[event] = found
    assert wrong == {}


def test_a_newer_record_is_refused_by_every_command_and_left_alone(
    walk: tuple[Walk, State], server: Server
) -> None:
    made, undisturbed = walk
    home = copy(made.home)
    with closing(sqlite3.connect(home / ".feeds/feeds.db")) as record:
        record.execute("UPDATE alembic_version SET version_num = '9999'")
        record.commit()
    assert ends_well(server, made, home, undisturbed) == ""
    for command in (*READERS, "run", "send"):
        done = server.run(home, command)
        assert done.status == 1
        assert "upgrade feeds, or restore a backup" in done.err
