"""What befalls an installation: its clock, folders, disk and configuration; some of it lasts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from driver import Driver


def set_clock(driver: Driver) -> None:
    """Set the wall clock wrong for a while."""
    hours = driver.chance.choice((-30, -2, -1, -0.5, 0.5, 1, 5, 24))
    driver.house.off = timedelta(hours=hours)
    driver.lasts(lambda: _right_clock(driver))


def _right_clock(driver: Driver) -> None:
    driver.house.off = timedelta()


def lose_seeds(driver: Driver) -> None:
    """Take seeds/ away for a while."""
    driver.write_out()
    driver.house.seeds.rename(driver.house.home / "away")
    driver.lasts(lambda: _bring_seeds(driver))


def _bring_seeds(driver: Driver) -> None:
    (driver.house.home / "away").rename(driver.house.seeds)


def replace_seeds(driver: Driver) -> None:
    """Put a copy of seeds/ in its place."""
    driver.write_out()
    away = driver.house.home / "away"
    driver.house.seeds.rename(away)
    shutil.copytree(away, driver.house.seeds, symlinks=True, copy_function=_copied)
    shutil.rmtree(away)
    for paper in list(driver.account.papers.values()):
        driver.notes(driver.house.seeds / paper.name, paper.numbers)
    driver.calm_since = driver.tick


def reconfigure(driver: Driver) -> None:
    """Change the configuration and have it read."""
    driver.house.configure(driver.chance.choice((30, 50, 70)), driver.chance.choice((8, 15)))
    driver.house.reload()


def misconfigure(driver: Driver) -> None:
    """Have a configuration read that is none; the old one stays until it is mended."""
    (driver.house.home / "feeds.toml").write_text("[feeds\nentries = many", encoding="utf-8")
    driver.house.reload()
    driver.lasts(lambda: reconfigure(driver), 3)


def spoil_out(driver: Driver) -> None:
    """Lose and change documents below out/, which the next night or the next round finds."""
    there = [path for path in driver.house.out.rglob("*") if path.is_file()]
    for path in driver.chance.sample(sorted(there), min(4, len(there))):
        if driver.chance.random() < 0.5:
            path.unlink()
        elif path.parent.parent.name == "articles":
            path.write_text("spoiled", encoding="utf-8")


def lose_out(driver: Driver) -> None:
    """Remove all of out/."""
    shutil.rmtree(driver.house.out, ignore_errors=True)


def fill(driver: Driver) -> None:
    """Fill the disk of record and documents for a while, to the last byte or nearly so."""
    filler = driver.house.disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    if driver.chance.random() < 0.7:
        with suppress(OSError):
            os.truncate(filler, filler.stat().st_size - driver.chance.randrange(400) * 4096)
    driver.lasts(filler.unlink)


def _copied(source: str, target: str) -> str:
    """Copy a file, or make another FIFO."""
    if Path(source).is_fifo():
        os.mkfifo(target)
        return target
    return shutil.copyfile(source, target)


FAULTS: dict[str, Callable[[Driver], None]] = {
    "clock set": set_clock,
    "seeds lost": lose_seeds,
    "seeds replaced": replace_seeds,
    "configuration changed": reconfigure,
    "configuration broken": misconfigure,
    "documents spoiled": spoil_out,
    "out removed": lose_out,
    "disk filled": fill,
}


class Bag:
    """Deals faults by chance, each before any comes again."""

    def __init__(self, driver: Driver, *, fills: bool) -> None:
        self._driver, self._left = driver, list[str]()
        self._kinds = sorted(FAULTS) if fills else sorted(FAULTS.keys() - {"disk filled"})

    def deal(self) -> None:
        """Let a fault happen."""
        if not self._left:
            self._left = self._driver.chance.sample(self._kinds, len(self._kinds))
        name = self._left.pop()
        self._driver.account.done[name] += 1
        FAULTS[name](self._driver)
