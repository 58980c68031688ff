"""Killed at any point, the next run ends in the state of one that was never disturbed.

Each walk is a command on a home. It is killed (SIGKILL) at Python's audit events and at the system
calls that change something; then the same command runs once more, and all that can be seen is held
against an undisturbed run: documents and letters by their bytes, every row of the record, every
file's name, so that nothing temporary stays.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from factories import GOLDEN

from faults.harness import (
    KILLED,
    LATER,
    STRACE,
    Server,
    State,
    Walk,
    calls,
    copy,
    launch,
    peopled,
    plant,
    traced,
)
from faults.server import fingerprint

pytestmark = [pytest.mark.faults, pytest.mark.slow]

Choose = Callable[[Sequence[Any], int], list[Any]]


def a_pass(server: Server, folder: Path) -> Walk:
    return Walk(peopled(server, folder), "run --json")


def a_first_pass(_server: Server, folder: Path) -> Walk:
    """Make the state folder, the record and its tables, too."""
    return Walk(plant(folder, "stamped_tight.txt", "unknown.txt"), "run")


def a_later_pass(server: Server, folder: Path) -> Walk:
    """Correct an article, drop a digest, bring new ones, replace and remove documents."""
    home = peopled(server, folder)
    server.run(home, "run")
    plant(folder, "stamped_spread.txt", "unstamped_lead.txt")
    tight = folder / "seeds/stamped_tight.txt"
    tight.write_text(tight.read_text().replace(".\n", ", and more is to come.\n"))
    (folder / "seeds/unknown.txt").unlink()
    (home / "feeds.toml").write_text("[feeds]\nentries = 4\n")
    return Walk(home, "run", {"FEEDS_NOW": LATER})


def a_sending(server: Server, folder: Path) -> Walk:
    home = peopled(server, folder)
    server.run(home, "run --no-send")
    return Walk(home, "send")


def a_sending_at_once(server: Server, folder: Path) -> Walk:
    home = peopled(server, folder)
    server.run(home, "run --archive")
    shutil.copy(GOLDEN / "digests/stamped_spread.txt", folder / "seeds")
    server.run(home, "run --no-send")
    return Walk(home, "send --now", {"FEEDS_NOW": LATER})


def a_subscription(_server: Server, folder: Path) -> Walk:
    """Make the state folder and the record."""
    return Walk(plant(folder), "subscribers add you@example.org --channels sport")


WALKS = (a_pass, a_first_pass, a_later_pass, a_sending, a_sending_at_once, a_subscription)
_SAMPLE = {a_pass: 18}  # events; of the other walks, 6 each
_CALLS = 100  # system calls of each walk in the whole: all of them would take two hours


@pytest.fixture(scope="module", params=WALKS, ids=lambda walk: walk.__name__)
def walk(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Walk, State, int]:
    """Return a walk, its state when undisturbed, and how many of its events a sample takes."""
    made: Walk = request.param(server, tmp_path_factory.mktemp(request.param.__name__))
    home = copy(made.home, "undisturbed")
    launch(home, made.command, made.environ)
    return made, server.state(home, made.environ), _SAMPLE.get(request.param, 6)


def mended(server: Server, walk: Walk, home: Path, undisturbed: State) -> list[str]:
    """Run a walk to its end in a home that was disturbed; return what differs from undisturbed."""
    done = server.run(home, walk.command, walk.environ)
    assert "Traceback" not in done.err
    return server.state(home, walk.environ).unlike(undisturbed)


def test_killed_at_any_event_it_ends_as_if_undisturbed(
    walk: tuple[Walk, State, int],
    server: Server,
    whole: bool,
    choose: Choose,
    tally: Counter[str],
) -> None:
    """Events between which nothing changed on disk are one case: the whole kills at one of each."""
    made, undisturbed, sampled = walk
    events = server.events(made, copy(made.home, "counted"))
    cases: dict[int, str] = {}
    if whole:
        cases = server.cases(made, copy(made.home, "watched"))
        assert server.state(made.home.with_name("watched"), made.environ).unlike(undisturbed) == []
    unclean = {}
    for event in cases or choose(range(1, events + 1), sampled):
        home = copy(made.home)
        assert server.run(home, made.command, made.environ, kill=event).status == KILLED
        assert not cases or fingerprint(home) == cases[event]
        if unlike := mended(server, made, home, undisturbed):
            unclean[event] = unlike
    tally["events of commands killed at"] += events if whole else sampled
    tally["different states of the disk among them"] += len(cases)
    assert unclean == {}


@pytest.mark.skipif(not STRACE, reason="strace is not installed")
def test_killed_at_any_system_call_it_ends_as_if_undisturbed(
    walk: tuple[Walk, State, int],
    server: Server,
    whole: bool,
    choose: Choose,
    tally: Counter[str],
) -> None:
    made, undisturbed, sampled = walk
    home = copy(made.home)
    traced(made, home)
    points = list(calls(home))
    assert len(points) > 20
    unclean = {}
    for call in choose(points, _CALLS if whole else max(2, sampled // 3)):
        home = copy(made.home)
        done = traced(made, home, f"{call.name}:signal=KILL:when={call.number}", only=[call.name])
        assert done.status == KILLED
        tally["system calls killed at"] += 1
        if unlike := mended(server, made, home, undisturbed):
            unclean[f"{call.name} {call.number} {call.line}"] = unlike
    assert unclean == {}
