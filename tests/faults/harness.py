"""What the fault suite shares: homes to break, the fork server's client, strace, states to compare.

A home is a working folder with `.feeds/` and `out/`; its seeds lie beside it, untouched, so that a
copy of a home is the same case. A state is all that can be seen of a home when nothing runs: two homes
in one state have the same files, documents, letters and rows.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from factories import GOLDEN
from test_walk import NOW, tree

KILLED = -9
GARBAGE = b"garbage"
NONE: Mapping[str, str] = MappingProxyType({})
LATER = "2026-01-04T06:30:00Z"
TESTS = Path(__file__).parent.parent
ROOT = os.geteuid() == 0
STRACE = shutil.which("strace") is not None
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}
_ENVIRON = CLEAN | {"FEEDS_NOW": NOW, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
# The command, with a key that is no matter of chance: letters can be compared to the byte.
_LAUNCH = (
    "import secrets; from faults import server; secrets.token_bytes = lambda n=32: server.CHANCE[:n];"
    "from feeds.__main__ import main; main()"
)
FEEDS = (sys.executable, "-c", _LAUNCH)


@dataclass(frozen=True, slots=True)
class Told:
    """How a command ended: its exit status (-9 when it was killed) and what it said."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class State:
    """What can be seen of a home: names of files, hashes of what is in them, rows of the record."""

    names: tuple[str, ...]
    out: Mapping[str, str]
    letters: Mapping[str, str]
    rows: Mapping[str, tuple[str, ...]]
    told: Mapping[str, str]

    def unlike(self, other: State) -> list[str]:
        """Return what differs, by field and key."""
        found = [f"files {name}" for name in sorted({*self.names} ^ {*other.names})]
        for part in ("out", "letters", "rows", "told"):
            here, there = getattr(self, part), getattr(other, part)
            keys = sorted({*here} | {*there})
            found += [f"{part} {key}" for key in keys if here.get(key) != there.get(key)]
        return found


TRIED_AGAIN = "rows deliveries"
"""What differs when a letter had to wait: its delivery is on record with one try more."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A command on a home, to be disturbed."""

    home: Path
    command: str
    environ: Mapping[str, str] = field(default_factory=dict)


_READ = ("articles", "edition list", "subscribers list", "status")


class Server:
    """The client of the fork server."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            env=_ENVIRON,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        add = ["subscribers", "add", "you@example.org"]
        self._say({"environ": {"FEEDS_NOW": NOW}, "seeds": str(GOLDEN / "digests"), "add": add})

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def _say(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _ask(
        self,
        home: Path,
        commands: Sequence[str],
        environ: Mapping[str, str],
        *,
        kill: int = 0,
        watch: bool = False,
    ) -> dict[str, Any]:
        seeds = {"FEEDS_SEEDS": str(home.parent / "seeds")}
        self._say(
            {
                "folder": str(home),
                "commands": [command.split() for command in commands],
                "environ": seeds | dict(environ),
                "kill": kill,
                "watch": watch,
            }
        )
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def run(
        self, home: Path, command: str, environ: Mapping[str, str] = NONE, *, kill: int = 0
    ) -> Told:
        """Run one command in a child, killed at its event `kill`, if it has so many."""
        answer = self._ask(home, [command], environ, kill=kill)
        return Told(-answer["killed"], "", "") if answer["killed"] else Told(*answer["told"][0])

    def events(self, walk: Walk, home: Path) -> int:
        """Return how many audit events an undisturbed command has."""
        answer = self._ask(home, [walk.command], walk.environ)
        assert answer["told"][0][0] in {0, 3}, answer
        return int(answer["events"])

    def cases(self, walk: Walk, home: Path) -> dict[int, str]:
        """Return the events before which something changed on disk, with the print of the home then.

        A kill at an event in between finds what the one before it found.
        """
        looks = self._ask(home, [walk.command], walk.environ, watch=True)["looks"]
        changed = [n for n, look in enumerate(looks) if n == 0 or look != looks[n - 1]]
        return {n + 1: looks[n] for n in changed}

    def state(self, home: Path, environ: Mapping[str, str] = NONE) -> State:
        """Return the state of a home in which nothing runs."""
        said = self._ask(home, [f"{command} --json" for command in _READ], environ)["told"]
        return State(
            names=tuple(sorted(str(path.relative_to(home)) for path in home.rglob("*"))),
            out=tree(home / "out"),
            letters=tree(home / ".feeds/outbox"),
            rows=rows(home),
            told={name: _lasting(one[1]) for name, one in zip(_READ, said, strict=True)},
        )


def _lasting(said: str) -> str:
    """Return what a command tells of the record; what it finds of the machine may change meanwhile."""
    found = [json.loads(line) for line in said.splitlines()]
    return json.dumps(
        [{k: v for k, v in one.items() if k not in {"ok", "checks"}} for one in found]
    )


def rows(home: Path) -> dict[str, tuple[str, ...]]:
    """Return every row of a record that is sound, by table."""
    with closing(sqlite3.connect(home / ".feeds/feeds.db")) as record:
        assert record.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert record.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = record.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {
            name: tuple(sorted(map(str, record.execute(f"SELECT * FROM {name}"))))
            for [name] in sorted(tables)
        }


# Homes


def copy(home: Path, to: str = "copy") -> Path:
    """Return a fresh copy of a home beside it; what stood there before is gone."""
    place = home.with_name(to)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(home, place, symlinks=True)
    return place


def plant(folder: Path, *names: str) -> Path:
    """Put golden digests into the seeds beside a home to be; return the home."""
    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(GOLDEN / "digests" / name, folder / "seeds" / name)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return home


def peopled(server: Server, folder: Path) -> Path:
    """Return a home whose next pass ingests, quarantines, classifies, composes, publishes, sends."""
    home = plant(folder, "stamped_tight.txt", "teasers.txt", "unknown.txt")
    server.run(home, "subscribers add you@example.org --channels politics,sport,general")
    server.run(home, "subscribers add all@example.org")
    return home


def later(server: Server, folder: Path) -> tuple[Walk, State]:
    """Return a pass over a home that has published and sent before, and its undisturbed state."""
    home = peopled(server, folder)
    server.run(home, "run")
    plant(folder, "stamped_spread.txt", "unstamped_lead.txt")
    walk = Walk(home, "run", {"FEEDS_NOW": LATER})
    undisturbed = copy(home, "undisturbed")
    server.run(undisturbed, walk.command, walk.environ)
    return walk, server.state(undisturbed, walk.environ)


def commands() -> list[str]:
    """Return every command that ends by itself, with arguments that it takes."""
    return [
        "run --json", "run --archive", "send", "send --dry-run", "send --now", "send --json",
        "articles", "articles --json", "show 0", "status", "status --json", "config",
        "config --json", "edition list", "edition preview --json", "subscribers list --json",
        "check ../seeds/stamped_tight.txt", "check --json ../seeds/unknown.txt", "--help",
        "send --again 2026-01-02T0800", "subscribers remove nobody@example.org",
        "subscribers import missing.csv", "edition preview --html preview.html",
    ]  # fmt: skip


# strace


@dataclass(frozen=True, slots=True)
class Call:
    """The `number`-th call of a system call by one process, as strace counts, and what it named."""

    name: str
    number: int
    line: str


CHANGING = (
    "write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "unlink", "unlinkat",
    "openat", "ftruncate", "mkdir", "mkdirat", "rmdir", "link", "linkat", "fchmod", "chmod", "flock",
    "fcntl",
)  # fmt: skip
"""System calls that change something, or hold others off."""

_CALL = re.compile(r"(?:\d+ +)?(\w+)\((.*)")
_WRITES = re.compile("O_CREAT|O_WRONLY|O_RDWR")


def launch(
    home: Path, command: str, environ: Mapping[str, str] = NONE, before: Sequence[str] = ()
) -> Told:
    """Run a command as a process of its own, below the command `before`, if one is given."""
    done = subprocess.run(
        [*before, *FEEDS, *command.split()],
        cwd=home,
        env=surroundings(home) | dict(environ),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def surroundings(home: Path) -> dict[str, str]:
    """Return the variables of a launched command."""
    path = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    seeds = str(home.parent / "seeds")
    return _ENVIRON | {"PYTHONPATH": os.pathsep.join(path), "FEEDS_SEEDS": seeds}


def traced(walk: Walk, home: Path, *inject: str, only: Sequence[str] = CHANGING) -> Told:
    """Run a walk's command below strace, with faults injected; the trace stands beside the home."""
    faults = [word for one in inject for word in ("-e", f"inject={one}")]
    strace = ["strace", "-f", "-o", str(trace(home)), "-e", f"trace={','.join(only)}"]
    return launch(home, walk.command, walk.environ, [*strace, *faults])


def trace(home: Path) -> Path:
    """Return where the trace of a home stands."""
    return home.with_name(f"{home.name}.strace")


def calls(home: Path) -> Iterator[Call]:
    """Yield the changing calls of a trace from the first that touches the state folder on.

    Those before it are the start of Python; of `openat`, only what may write is a change.
    """
    numbers: Counter[str] = Counter()
    begun = False
    for line in trace(home).read_text(errors="replace").splitlines():
        if (found := _CALL.match(line)) is None:
            continue
        name, rest = found.groups()
        numbers[name] += 1
        begun = begun or ".feeds" in rest
        if begun and (name != "openat" or _WRITES.search(rest)):
            yield Call(name, numbers[name], rest)


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount a tmpfs on a folder meanwhile; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
