"""Months of watching in an hour: the real `feeds watch`, a simulated clock, real faults, every promise.

    python tests/soak/soak.py --months 6 --seed 1

Ends with 1 when a promise is broken, and keeps the folder for a post-mortem.

Real: the command with its lock, signals, log and watchdog events; SQLite, fsync, letters as files; the
commands beside it; SIGKILL at any moment, during start-up too, SIGTERM, SIGHUP; a full disk, on a small
tmpfs, where one can be mounted; what is done to seeds/ and out/.

Simulated: time. A round comes each 0.5 s to half an hour of it, by chance, and the clock stands still
during a round. The times of files are real, and so lie in the simulated past: to the product each file
that a kill left is old. The alarm clock therefore never rings, nor is it needed to: rounds come anyway.

| module | does |
|---|---|
| `child` | the process: the command under the clock |
| `house` | its folders, the clock, and the end of the socket that tells it what time it is |
| `press` | articles and digests |
| `driver` | what happens, by chance: digests and people |
| `troubles` | what befalls it |
| `account` | what should stand in the end |
| `promises` | holds it against what does |
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from statistics import linear_regression, mean

import promises
from driver import Driver
from house import Figures, House, sizes, small_disk
from troubles import Bag

BEGIN = datetime(2027, 3, 8, 6, 30, tzinfo=UTC)
"""Before the clocks change in New York and in Berlin, and after every real file time."""

GROWTH = 8_000
"""Kilobytes by which the mean may differ from the second quarter of the calm to its last."""

_KILLS, _STOPS, _FAULTS = 0.05, 0.015, 0.05  # an hour
_ENOUGH = 300  # rounds without faults from which on growth can be told from warming up
_KILLED_EARLY = 0.08  # of all starts
_SETTLED = 3 / 3600  # hours after which a file that was seen is read
_LOOK = 6.0  # hours from one look to the next
_WEEK = 168.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How time goes by: `step` is the minutes of a round, at most.

    `rate` times as many digests land as usual, and `risk` times as many faults strike.
    """

    step: float
    rate: float
    risk: float


def live(
    driver: Driver, hours: float, pace: Pace, deadline: float = inf, bag: Bag | None = None
) -> None:
    """Let so many simulated hours go by; without a bag, without faults."""
    house = driver.house
    end, seen = house.hours + hours, house.hours
    week = house.hours // _WEEK
    while house.hours < end and time.monotonic() < deadline:
        _round(driver, _step(driver, pace.step), pace, bag)
        if house.hours - seen > _LOOK:
            seen = house.hours
            promises.look_on(driver)
        if house.hours // _WEEK > week:
            week = house.hours // _WEEK
            if not driver.is_disturbed:
                promises.hold_seeds(driver)
            print(told(driver), flush=True)


def _step(driver: Driver, most: float) -> float:
    """Return the hours of a step: short ones while a file settles or is being written."""
    slow = (0.5, 2.5, 30)
    often = (*slow, 300, most * 30, most * 60, most * 60)
    return driver.chance.choice(slow if driver.writes_slowly else often) / 3600


def _round(driver: Driver, hours: float, pace: Pace, bag: Bag | None) -> None:
    """Let happen what happens while the process waits; then let it go round, or be killed meanwhile.

    A round in which it is killed has something to do: most have nothing, and are over in a moment.
    """
    house, chance, odds = driver.house, driver.chance, hours * pace.risk
    driver.tick += 1
    fresh = not house.runs
    if fresh:
        house.start()
        if not house.wait():
            _ended(driver)
            return
    driver.heal()
    driver.ordinary(hours * pace.rate)
    doomed, driver.doomed = driver.doomed, bag is not None and chance.random() < _KILLS * odds
    if driver.doomed and house.seeds.exists():
        driver.drop()
    if bag and not (fresh or driver.is_disturbed) and chance.random() < _FAULTS * odds:
        bag.deal()
    house.true += timedelta(hours=max(hours, _SETTLED if doomed else 0))
    house.tell()
    if bag is None or not _disturb(driver, odds, fresh=fresh, doomed=doomed):
        _go_on(driver, fresh=fresh)


def _disturb(driver: Driver, odds: float, *, fresh: bool, doomed: bool) -> bool:
    """Kill or stop the process in the middle of its round, if that is its lot; return whether it was."""
    house, chance = driver.house, driver.chance
    if fresh and chance.random() < _KILLED_EARLY:
        time.sleep(chance.uniform(0, 1.5))
        house.kill()
        driver.account.done["kills at the start"] += 1
    elif doomed:
        time.sleep(chance.uniform(0, 0.4))
        house.kill()
        driver.account.done["kills"] += 1
    elif not fresh and chance.random() < _STOPS * odds:
        time.sleep(chance.uniform(0, 0.3))
        _stop(driver)
    else:
        return False
    _down(driver)
    return True


def _go_on(driver: Driver, *, fresh: bool) -> None:
    if not driver.house.wait():
        _ended(driver)
    elif fresh:
        driver.calm_since = driver.tick


def _stop(driver: Driver) -> None:
    began = time.monotonic()
    status = driver.house.stop()
    driver.account.done["stops"] += 1
    driver.account.slowest = max(driver.account.slowest, time.monotonic() - began)
    if status != 0:
        driver.account.wrong(f"SIGTERM ended it with {status}: {driver.house.log()[-500:]}")


def _ended(driver: Driver) -> None:
    """Take note of a process that has ended by itself: only a fault that lasts is a reason."""
    status = driver.house.ended()
    driver.account.done["ended by itself in a fault"] += 1
    driver.calm_since = driver.tick
    if not driver.is_disturbed:
        driver.account.wrong(f"it ended by itself with {status}: {driver.house.log()[-800:]}")


def _down(driver: Driver) -> None:
    """Stay down for a while, mostly a short one; digests go on landing."""
    driver.calm_since = driver.tick
    hours = driver.chance.choice((0, 0, 0, 0.01, 1, 36)) * driver.chance.random()
    driver.house.true += timedelta(hours=hours)
    driver.ordinary(min(hours, 3))


def told(driver: Driver) -> str:
    """Return how things are, in one line."""
    house, done, size = driver.house, driver.account.done, sizes(driver.house)
    last = house.figures[-1] if house.figures else Figures(0, 0, 0, 0, 0)
    return (
        f"{house.true:%Y-%m-%d} rounds={driver.tick} articles={len(driver.account.pieces)}"
        f" letters={len(driver.account.letters)} kills={done['kills'] + done['kills at the start']}"
        f" memory={last.memory} kB files={last.files} threads={last.threads}"
        f" record={size['record'] / 1e6:.1f} MB log={size['log'] / 1e6:.1f} MB"
        f" documents={size['documents']} strays={size['strays']}"
    )


def flat(driver: Driver) -> None:
    """Hold memory, open files and threads of the last process to be flat."""
    house = driver.house
    rows = [one for one in house.figures if one.life == house.life][2:]
    quarter = len(rows) // 4
    early, late = rows[quarter : 2 * quarter], rows[3 * quarter :]
    if len(rows) < _ENOUGH:
        print(f"skipped: memory is not held to be flat: {len(rows)} rounds are too few to tell")
        return
    slope = linear_regression(
        [one.hours / 24 for one in rows[quarter:]], [one.memory for one in rows[quarter:]]
    ).slope
    print(
        f"steady: {len(rows)} rounds, {(rows[-1].hours - rows[0].hours) / 24:.1f} days,"
        f" memory {rows[0].memory} first, {rows[-1].memory} kB last,"
        f" second quarter {mean(one.memory for one in early):.0f},"
        f" last {mean(one.memory for one in late):.0f}, slope {slope:+.0f} kB a day;"
        f" files {mean(one.files for one in early):.1f} to {mean(one.files for one in late):.1f},"
        f" threads {mean(one.threads for one in early):.1f}"
        f" to {mean(one.threads for one in late):.1f}"
    )
    if mean(one.memory for one in late) - mean(one.memory for one in early) > GROWTH:
        driver.account.wrong("memory grew")
    if mean(one.files for one in late) - mean(one.files for one in early) > 2:
        driver.account.wrong("open files grew")
    if mean(one.threads for one in late) - mean(one.threads for one in early) > 1:
        driver.account.wrong("threads grew")


def calm_down(driver: Driver, days: float, pace: Pace) -> None:
    """Let days go by without faults, then two nights without digests; and stop."""
    driver.heal(now=True)
    if driver.house.runs:
        driver.house.kill()
    live(driver, days * 24, pace)
    driver.finish()
    end = driver.house.hours + 48
    while driver.house.hours < end:
        driver.tick += 1
        driver.house.true += timedelta(minutes=pace.step)
        driver.house.tell()
        if not driver.house.wait():
            _ended(driver)
            return
        if driver.tick % 10 == 0:
            promises.look_on(driver)
    flat(driver)
    driver.house.tell()
    _stop(driver)


def report(driver: Driver, seed: int, seconds: float) -> None:
    """Print what happened and what was broken."""
    account = driver.account
    days = driver.house.hours / 24
    print(f"\nseed {seed}: {days:.1f} simulated days in {seconds / 60:.1f} minutes")
    print(f"  {len(account.pieces):>8,}  articles")
    for what, number in sorted(account.done.items()):
        print(f"  {number:>8,}  {what}")
    print(f"  {account.slowest:>8.1f}  seconds that a stop took at most")
    print(f"  {len(account.broken):>8,}  promises broken")
    for what in account.broken:
        print(f"BROKEN: {what}")


def soak(home: Path, wanted: argparse.Namespace) -> bool:
    """Soak in a folder; return whether every promise holds."""
    began = time.monotonic()
    house, pace = House(home, BEGIN), Pace(wanted.step, wanted.rate, wanted.risk)
    with small_disk(house.disk) as why:
        if why:
            print(f"skipped: the disk is never filled: {why}")
        driver, ended = Driver(house, wanted.seed), threading.Event()
        bag = Bag(driver, fills=not why)
        reader = threading.Thread(
            target=promises.read_on, args=(house, driver.account, ended), daemon=True
        )
        reader.start()
        try:
            for name in ("first", "second", "third"):
                house.command("subscribers", "add", f"{name}@example.org")
            deadline = began + wanted.minutes * 60
            live(driver, wanted.months * 730, pace, deadline, bag)
            calm_down(driver, wanted.calm, pace)
            promises.hold_all(driver)
        finally:
            ended.set()
            reader.join()
            if house.runs:
                house.kill()
            report(driver, wanted.seed, time.monotonic() - began)
            if driver.account.broken or sys.exc_info()[0]:
                kept = home.with_name(f"{home.name}-kept")
                shutil.copytree(home, kept, symlinks=True, ignore=_special)
                print(f"kept in {kept}")
    return not driver.account.broken


def _special(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if Path(folder, name).is_fifo()} | {"filler"} & set(names)


def main() -> int:
    """Soak, report, and return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--months", type=float, default=6, help="simulated months [6]")
    parser.add_argument("--minutes", type=float, default=600, help="real ones with faults, at most")
    parser.add_argument("--calm", type=float, default=14, help="days without faults, after [14]")
    parser.add_argument("--step", type=float, default=30, help="minutes of a round, at most [30]")
    parser.add_argument("--rate", type=float, default=1, help="times as many digests [1]")
    parser.add_argument("--risk", type=float, default=1, help="times as many faults [1]")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    wanted = parser.parse_args()
    print(f"seed {wanted.seed}", flush=True)
    home = Path(tempfile.mkdtemp(prefix="feeds-soak-", dir=wanted.folder))
    try:
        return 0 if soak(home / "home", wanted) else 1
    finally:
        shutil.rmtree(home / "home", ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
