"""The real loop of `feeds watch` under a simulated clock; run by soak.py in a folder of its own.

Each round the clock goes on by some simulated minutes. Where it stands is kept in the file `clock`, so
that a child that is killed is followed by one that goes on from there. `jump` moves the wall's alone.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from feeds import app as opened
from feeds import config, logs
from feeds.config import Settings
from feeds.schedule import Watch, service
from feeds.schedule.pulse import Pulse

BEGIN = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)


class Clock:
    """Simulated seconds since the beginning, and how far the wall clock is off."""

    def __init__(self, home: Path) -> None:
        self._place = os.open(home / "clock", os.O_RDWR | os.O_CREAT)
        self._jump = home / "jump"
        self.seconds = float(os.pread(self._place, 20, 0).decode().strip("\0 ") or 0)

    def now(self) -> datetime:
        """Return what the wall clock shows."""
        try:
            off = float(self._jump.read_text(encoding="ascii") or 0)
        except OSError:
            off = 0.0
        return BEGIN + timedelta(seconds=self.seconds + off)

    def go_on(self, seconds: float) -> None:
        """Let time go by."""
        self.seconds += seconds
        os.pwrite(self._place, f"{self.seconds:20.1f}".encode(), 0)


def settings() -> Settings:
    """Return the configuration as it stands in the folder."""
    return config.load({}, {}, Path("feeds.toml"))


def figures() -> str:
    """Return resident kilobytes, open files and threads of this process."""
    status = dict(
        line.split(":", 1)
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    )
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- its own descriptor counts alike
    return f"{status['VmRSS'].split()[0]} {files} {status['Threads'].strip()}"


def main() -> None:
    """Go round until asked to stop."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logs.Text("plain"))
    handler.addFilter(logs.Repeats())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    clock, chance = Clock(Path()), random.Random()
    found = settings()
    with (
        service.signals(lambda: None) as wanted,
        opened.lock(found, "soak"),
        opened.open_app(found, {}) as app,
        Path("figures").open("a", buffering=1, encoding="ascii") as told,
    ):
        pulse = Pulse(lambda: clock.seconds)
        loop = Watch(
            replace(app, now=clock.now), lambda: None, wanted, pulse, lambda: clock.seconds
        )
        logging.getLogger("feeds.soak").info("begins process=%d", os.getpid())
        while not wanted.stop:
            if wanted.reload:
                wanted.reload = False
                loop.reload(settings)
            loop.round()
            told.write(f"{os.getpid()} {clock.seconds:.0f} {figures()}\n")
            clock.go_on(chance.choice((0.5, 2.5, 30, 300, 900, 1800)))
        loop.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
