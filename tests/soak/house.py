"""An installation that is watched: its folders, its process, its simulated clock, and what is on record.

The process and the driver go in step: the loop does a round, says that it waits, and is told what time
it is next. So the driver knows what stood in seeds/ at each round; only when a kill strikes is chance.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

CHILD = Path(__file__).with_name("child.py")
FEEDS = (sys.executable, "-m", "feeds")
EDITIONS = {
    "daily": ("every day at 08:00", "Asia/Almaty"),
    "berlin": ("every day at 02:30", "Europe/Berlin"),
    "hourly": ("every hour", "America/New_York"),
}

STUCK = 180.0
"""Real seconds of a round after which the loop counts as stuck; the machine may be busy."""

STOP = 20.0
"""Real seconds that a stop may take; the product promises 10 on a machine that does nothing else."""

TMPFS = "600m"


@dataclass(frozen=True, slots=True)
class Figures:
    """How large a process is after a round: resident kilobytes, open files, threads."""

    life: int
    hours: float
    memory: int
    files: int
    threads: int


class House:
    """One installation and its process; `true` is the time, `off` how far the wall clock is off."""

    def __init__(self, home: Path, begin: datetime) -> None:
        self.home, self.begin, self.true = home, begin, begin
        self.off = timedelta()
        self.disk = home / "disk"
        self.seeds, self.out, self.state = home / "seeds", self.disk / "out", self.disk / "state"
        for folder in (self.seeds, self.disk):
            folder.mkdir(parents=True)
        self.life = 0
        self.listens = False
        self.figures: list[Figures] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: TextIO | None = None
        self._socket: socket.socket | None = None
        self.configure()

    def configure(self, entries: int = 50, most: int = 15) -> None:
        """Write the configuration."""
        tables = "".join(
            f'[[edition]]\nname = "{name}"\ncron = "{cron}"\ntimezone = "{zone}"\nwait = "2h"\n'
            f"max_entries = {most}\n"
            for name, (cron, zone) in EDITIONS.items()
        )
        text = (
            f'[seeds]\nmax_bytes = "1 MiB"\n[feeds]\nentries = {entries}\n[backup]\nkeep = 3\n'
            f'[retention]\noutbox = "3d"\ndeliveries = "10d"\nquarantine = "20d"\n{tables}'
        )
        beside = self.home / "beside.toml"
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.home / "feeds.toml")

    # Time

    @property
    def wall(self) -> datetime:
        """What the wall clock shows."""
        return self.true + self.off

    @property
    def hours(self) -> float:
        """Simulated hours since the beginning."""
        return (self.true - self.begin).total_seconds() / 3600

    # The process

    @property
    def runs(self) -> bool:
        """Whether there is a process, which waits to be told the time."""
        return self._process is not None

    def start(self) -> None:
        """Start the process, which says at once that it waits."""
        ours, theirs = socket.socketpair()
        with theirs, (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(CHILD), str(theirs.fileno()), *self._places(), "watch"],
                cwd=self.home,
                env=clean(),
                stdin=subprocess.DEVNULL,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._socket, self._lines = ours, ours.makefile("rw", encoding="ascii")
        self.life += 1
        self.listens = False

    def wait(self) -> bool:
        """Wait until the process waits, and take its measure; False when it has ended by itself."""
        assert self._socket is not None
        assert self._lines is not None
        assert self._process is not None
        if not select.select([self._socket], [], [], STUCK)[0]:
            raise TimeoutError(f"a round takes longer than {STUCK} s: process {self._process.pid}")
        if not self._lines.readline():
            return False
        known = self.figures[-1:]
        self.listens = bool(known) and known[0].life == self.life
        self.figures.append(Figures(self.life, self.hours, *measured(self._process.pid)))
        return True

    def tell(self) -> None:
        """Tell the process what time it is: it goes round once more."""
        assert self._lines is not None
        said = {"wall": self.wall.isoformat(), "steady": self.hours * 3600}
        with suppress(BrokenPipeError):
            self._lines.write(json.dumps(said) + "\n")
            self._lines.flush()

    def kill(self) -> None:
        """Kill the process wherever it is."""
        self._signal(signal.SIGKILL)
        self.ended()

    def reload(self) -> None:
        """Have the configuration read anew; before the first round, SIGHUP would end the process."""
        if self.runs and self.listens:
            self._signal(signal.SIGHUP)

    def stop(self) -> int | None:
        """Ask the process to stop; return its status, None when it took too long and was killed."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP
        assert self._process is not None
        assert self._socket is not None
        assert self._lines is not None
        while self._process.poll() is None and time.monotonic() < deadline:
            if select.select([self._socket], [], [], 0.05)[0] and self._lines.readline():
                self.tell()
        slow = self._process.poll() is None
        if slow:
            self._process.kill()
        status = self.ended()
        return None if slow else status

    def ended(self) -> int:
        """Reap a process that has ended or is about to; return its status."""
        assert self._process is not None
        assert self._lines is not None
        assert self._socket is not None
        status = self._process.wait()
        with suppress(OSError):
            self._lines.close()
        self._socket.close()
        self._process = self._lines = self._socket = None
        return status

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    # Commands beside it

    def begin_command(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a real command; it sees the simulated moment."""
        return subprocess.Popen(
            [*FEEDS, *self._places(), *arguments],
            cwd=self.home,
            env=clean() | {"FEEDS_NOW": self.wall.isoformat()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str) -> tuple[int, str, str]:
        """Run a real command to its end; return status, what it printed, and what it complained of."""
        with self.begin_command(*arguments) as process:
            out, err = process.communicate()
        return process.returncode, out, err

    def _places(self) -> list[str]:
        return ["--seeds", "seeds", "--out", "disk/out", "--state", "disk/state"]

    # What is on record

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query over the record, read from outside the product.

        None are returned when there is no record yet, or no room to read it.
        """
        place = f"file:{self.state}/feeds.db?mode=ro"
        try:
            with closing(sqlite3.connect(place, uri=True, timeout=30)) as record:
                return record.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            return []

    def knows(self, sha256: str) -> bool:
        """Whether the content of a digest is on record, read or quarantined."""
        return bool(self.ask("SELECT 1 FROM digests WHERE sha256 = ?", sha256))

    def log(self) -> str:
        """Return all that the processes logged."""
        return (self.home / "log").read_text(encoding="utf-8", errors="replace")


def measured(process: int) -> tuple[int, int, int]:
    """Return resident kilobytes, open files and threads of a process."""
    place = Path(f"/proc/{process}")
    rows = (place / "status").read_text(encoding="utf-8").splitlines()
    found = dict(row.split(":", 1) for row in rows)
    files = sum(1 for _ in (place / "fd").iterdir())
    return int(found["VmRSS"].split()[0]), files, int(found["Threads"])


def clean() -> dict[str, str]:
    """Return the environment without settings of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}


@contextmanager
def small_disk(folder: Path) -> Iterator[str | None]:
    """Mount a small disk of our own on a folder meanwhile; yield why that can't be had, else None."""
    if os.geteuid() != 0:
        yield "only root can mount one"
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS},mode=700", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        yield done.stderr.strip() or "mount failed"
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def sizes(house: House) -> Mapping[str, int]:
    """Return bytes of the record and of its log, files below out/, and those that a kill left."""
    record = house.state / "feeds.db"
    there = [name for _, _, names in os.walk(house.out) for name in names]
    return {
        "record": _size(record),
        "log": _size(record.with_name("feeds.db-wal")),
        "documents": len(there),
        "strays": sum(name.endswith(".tmp") for name in there)
        + sum(path.name.startswith(".") for path in house.state.rglob("*")),
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
