"""Hostile files: a pass stays below 300 MiB, says why it leaves them, and reads the others.

Each command runs below a small process of its own, which tells the peak of its memory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any

import pytest
from factories import SEEDS
from test_walk import NOW

pytestmark = pytest.mark.slow  # each test starts processes

MIB = 1 << 20
LARGEST = 64 * MIB
MOST = 300  # MiB
GOOD = 59  # articles of the two seeds
_SAMPLE = 4
STAMP = b"01.01.2026, 10:00 1\n"

# ru_maxrss of a process counts what it had before it became another program, so the wrapper is small.
_WRAPPER = (
    "import json, resource, subprocess, sys\n"
    "done = subprocess.run(sys.argv[1:], capture_output=True)\n"
    "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
    "unit = 1 if sys.platform == 'darwin' else 1024\n"
    "told = [done.returncode, peak * unit >> 20, done.stdout.decode(), done.stderr.decode()]\n"
    "print(json.dumps(told))\n"
)


def feeds(folder: Path, *arguments: str) -> tuple[int, int, dict[str, Any], str]:
    """Run a command; return its status, its peak of memory in MiB, the object it printed, its log."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}
    done = subprocess.run(
        [sys.executable, "-c", _WRAPPER, sys.executable, "-m", "feeds", *arguments, "--json"],
        cwd=folder,
        env=clean | {"FEEDS_NOW": NOW},
        capture_output=True,
        check=True,
    )
    status, peak, out, err = json.loads(done.stdout)
    assert "Traceback" not in err
    return status, peak, json.loads(out), err


def repeated(unit: str, size: int = LARGEST) -> bytes:
    """Return a text over and over, up to a size."""
    raw = unit.encode()
    return raw * (size // len(raw))


def stamped(number: int) -> bytes:
    return "".join(f"01.01.2026, 10:00 1\nTitle {n}\nText {n}.\n" for n in range(number)).encode()


HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a million articles": ("too_many_lines", lambda: stamped(1_000_000)),
    "small articles": ("too_many_articles", lambda: stamped(120_000)),
    "one line": ("line_too_long", lambda: repeated("x", 50 * MIB)),
    "one line of emoji": ("line_too_long", lambda: repeated("\U0001f600")),
    "one title": ("line_too_long", lambda: STAMP + repeated("word ", 10 * MIB) + b"\nText.\n"),
    "an emoji in each line": ("too_much_text", lambda: repeated("word " * 30 + "\U0001f600\n")),
    "UTF-16": ("too_much_text", lambda: "\u4e2d\n".encode("utf-16") * (LARGEST // 6)),
    "combining marks": ("unknown_format", lambda: repeated("\u0301" * 1_000 + "\n")),
    "bidi controls": ("empty", lambda: repeated("\u202e" * 1_000 + "\n")),
    "line ends": ("too_many_lines", lambda: b"\n" * LARGEST),
    "stamps": ("ambiguous_boundaries", lambda: STAMP * 400_000),
    "one article": ("article_too_long", lambda: STAMP + b"Title\n" + repeated("Some text.\n", 4 * MIB)),
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a working folder with the two seeds."""
    shutil.copytree(SEEDS, tmp_path / "seeds")
    return tmp_path


def check_that_a_pass_goes_on(home: Path, failed: str) -> None:
    status, peak, done, _ = feeds(home, "run")
    assert (status, done["digests"]["read"], done["digests"][failed]) == (3, 2, 1)
    assert done["articles"]["new"] == GOOD
    assert peak < MOST


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take some kinds of hostile files, by seed, as tests/faults does; all with --whole."""
    if "kind" in metafunc.fixturenames:
        kinds = sorted(HOSTILE)
        if not metafunc.config.getoption("--whole"):
            kinds = Random(metafunc.config.getoption("--faults-seed")).sample(kinds, _SAMPLE)
        metafunc.parametrize("kind", kinds)


def test_a_hostile_file_is_left_in_little_memory_and_the_others_are_read(
    home: Path, kind: str
) -> None:
    reason, make = HOSTILE[kind]
    (home / "seeds" / "001_hostile.txt").write_bytes(make())
    check_that_a_pass_goes_on(home, "quarantined")
    status, peak, reading, _ = feeds(home, "check", "seeds/001_hostile.txt")
    assert (status, reading["outcome"], reading["reason"]) == (3, "quarantine", reason)
    assert reading["detail"]
    assert peak < MOST


def test_a_file_of_a_gigabyte_is_never_read(home: Path) -> None:
    with (home / "seeds" / "001_hostile.txt").open("wb") as file:
        file.truncate(1 << 30)
    check_that_a_pass_goes_on(home, "quarantined")


def test_a_file_that_never_ends_waits_for_another_pass(home: Path) -> None:
    stop = Event()
    path = home / "seeds" / "001_hostile.txt"
    path.touch()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.wait(0.001):
                file.write(b"Some text.\n" * 100)

    writer = Thread(target=write)
    writer.start()
    try:
        check_that_a_pass_goes_on(home, "failed")
    finally:
        stop.set()
        writer.join()


def test_a_file_of_many_faults_does_not_flood_the_log(home: Path) -> None:
    (home / "seeds" / "001_hostile.txt").write_bytes(stamped(100).replace(b":00 1\n", b":00 -\n"))
    status, _, _, err = feeds(home, "run")
    assert status == 0
    assert err.count("views that are no number") == 20
    assert "80 more warnings" in err


def test_a_large_archive_is_read(home: Path) -> None:
    text = b"".join(
        f"{n % 28 + 1:02}.{n // 28 % 12 + 1:02}.2025, {n // 336 % 24:02}:{n // 8064:02} 7\n\n"
        f"Title {n}\n\n".encode()
        + b"News of this day, and what it is about in a few words of a long sentence.\n\n" * 30
        + b"\xc2\xa0\n\n"
        for n in range(3_000)
    )
    (home / "seeds" / "001_archive.txt").write_bytes(text)
    status, peak, done, _ = feeds(home, "run", "--archive")
    assert (status, done["digests"]["read"], done["articles"]["new"]) == (0, 3, GOOD + 3_000)
    assert peak < MOST
