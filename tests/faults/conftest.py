"""Fixtures of the fault suite, and what it counted, told at the end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from faults.harness import Server, State, Walk, later

_TALLY: pytest.StashKey[Counter[str]] = pytest.StashKey()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return the fork server."""
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="session")
def walk(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Walk, State]:
    """Return a pass over a home that has published and sent before, and its undisturbed state."""
    return later(server, tmp_path_factory.mktemp("later"))


@pytest.fixture(scope="session")
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether every point is run, or a sample."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> str:
    """Return what chooses the sample."""
    return str(request.config.getoption("--faults-seed"))


@pytest.fixture
def choose(request: pytest.FixtureRequest, seed: str) -> Callable[[Sequence[Any], int], list[Any]]:
    """Return what picks a seeded sample of so many points, in their order."""
    chance = random.Random(f"{seed} {request.node.name}")

    def pick(points: Sequence[Any], number: int) -> list[Any]:
        if number >= len(points):
            return list(points)
        return [points[at] for at in sorted(chance.sample(range(len(points)), number))]

    return pick


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Counter[str]:
    """Return what is counted over the suite."""
    counted: Counter[str] = request.config.stash.setdefault(_TALLY, Counter())
    return counted


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how many points were disturbed."""
    for what, number in config.stash.get(_TALLY, Counter()).items():
        terminalreporter.write_line(f"faults: {number:,} {what}")
