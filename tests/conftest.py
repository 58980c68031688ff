"""Fixtures that every room's tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from factories import GOLDEN, make_publication
from hypothesis import settings

from feeds.publication import Publication

settings.register_profile("feeds", deadline=None)  # machines are noisy: no timed tests
settings.load_profile("feeds")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what was made as expected")
    parser.addoption("--whole", action="store_true", help="run every point of tests/faults")
    parser.addoption("--faults-seed", default="1", help="choose another sample of tests/faults")


def pytest_report_header(config: pytest.Config) -> str:
    """Name what chooses the sample, so that a failure can be had again."""
    part = "all" if config.getoption("--whole") else f"seed {config.getoption('--faults-seed')}"
    return f"faults: {part}"


@pytest.fixture
def publication() -> Publication:
    """Return a publication over the shipped templates."""
    return make_publication()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, bytes], None]:
    """Compare bytes with a golden file below tests/golden; `--update-golden` writes it instead."""
    update = request.config.getoption("--update-golden")

    def check(name: str, made: bytes) -> None:
        path: Path = GOLDEN / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made)
        assert made == path.read_bytes()

    return check
