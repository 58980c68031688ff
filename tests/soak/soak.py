"""Months of watching in an hour: the real loop, record and files, a simulated clock, real faults.

    python tests/soak/soak.py --months 6 --seed 1

Real: the process, kills, signals, files, events, SQLite, letters as files, a full disk (as root, on a
tmpfs). Simulated: time, of which each round uses up to half an hour. A seeded driver drops digests of
all kinds, changes, repairs and removes them, kills and stops the process, sets the clock, takes seeds/
away, fills the disk, changes the configuration; a reader parses feeds all the while. At the end what is
on record, in `out/` and in letters is held against the driver's own account. Ends with 1 when a promise
is broken, and leaves the folder for a post-mortem.
"""

from __future__ import annotations

import argparse
import email
import email.policy
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from child import BEGIN
from lxml import etree

from feeds import slots

CHILD = (sys.executable, str(Path(__file__).with_name("child.py")))
FEEDS = (sys.executable, "-m", "feeds")
EDITIONS = {
    "daily": ("every day at 08:00", "Asia/Almaty"),
    "berlin": ("every day at 02:30", "Europe/Berlin"),
    "hourly": ("every hour", "America/New_York"),
}
# Warnings that are news each time.
NEWS = ("ERROR trouble", "WARNING clock moved", "ERROR configuration", "WARNING configuration")
# Seconds of real time at the end without faults, over which memory is held to be flat.
STEADY = 60.0
GROWTH = 20_000  # kilobytes that a process may have grown by over them
WORDS = (
    "parliament", "government", "minister", "economy", "bank", "prices", "match", "team", "school",
    "hospital", "doctors", "climate", "river", "storm", "police", "court", "festival", "election",
)  # fmt: skip


@dataclass(slots=True)
class Account:
    """What the driver did, as far as it must show in the end."""

    files: dict[str, str] = field(default_factory=dict)
    titles: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    carried: dict[str, Counter[str]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    number: int = 0

    def wrong(self, what: str) -> None:
        """Note a broken promise, once."""
        if what not in self.broken:
            self.broken.append(what)
            print(f"BROKEN: {what}", flush=True)


class Driver:
    """Drives one installation through its months."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.chance = home, random.Random(seed)
        self.account = Account()
        self.child: subprocess.Popen[bytes] | None = None
        self.seeds = home / "seeds"
        self.seeds.mkdir()
        self._configure()

    # The process

    def start(self) -> None:
        """Start the loop, unless it runs."""
        if self.child is None or self.child.poll() is not None:
            if self.child is not None and self.child.returncode not in {0, -signal.SIGKILL}:
                self.account.done["ended by itself"] += 1
            with (self.home / "log").open("ab") as log:
                self.child = subprocess.Popen(CHILD, cwd=self.home, stderr=log, env=clean())

    def kill(self) -> None:
        """Kill the loop, wherever it is."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.account.done["kills"] += 1

    def stop(self) -> None:
        """Ask the loop to stop."""
        if self.child is not None and self.child.poll() is None:
            began = self._began()
            self.child.terminate()
            if self.child.wait(60) != 0 and began:
                self.account.wrong(f"SIGTERM ended it with {self.child.returncode}")
            self.account.done["stops"] += 1

    def seconds(self) -> float:
        """Return how many simulated seconds have gone by."""
        try:
            return float((self.home / "clock").read_bytes().strip(b"\0 ") or 0)
        except (OSError, ValueError):
            return 0.0

    def now(self) -> datetime:
        """Return the simulated moment, of a clock that is right."""
        return BEGIN + timedelta(seconds=self.seconds())

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a real command beside the loop."""
        environ = clean() | {"FEEDS_NOW": self.now().isoformat()}
        return subprocess.run(
            [*FEEDS, *arguments],
            cwd=self.home,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    # What happens

    def article(self) -> tuple[str, str]:
        """Return the title of a new article, and it as a digest has it."""
        self.account.number += 1
        title = f"Article {self.account.number} on {self.chance.choice(WORDS)}"
        stamp = self.now() + timedelta(hours=5) - timedelta(minutes=self.chance.randrange(600))
        body = " ".join(self.chance.choices(WORDS, k=40))
        return title, f"{stamp:%d.%m.%Y, %H:%M} {self.account.number}\n\n{title}\n\n{body}.\n \n"

    def digest(self) -> tuple[set[str], str]:
        """Return the titles and the text of a new digest."""
        made = [self.article() for _ in range(self.chance.randint(1, 4))]
        return {title for title, _ in made}, "".join(text for _, text in made)

    def drop(self) -> None:
        """Put a new digest into seeds/: renamed in, written, or written slowly."""
        titles, text = self.digest()
        name = f"{self.account.number:07}.txt"
        how = self.chance.choice(("rename", "rename", "write", "slow"))
        if how == "rename":
            (self.home / "beside").write_text(text, encoding="utf-8")
            (self.home / "beside").rename(self.seeds / name)
        else:
            with (self.seeds / name).open("w", encoding="utf-8") as file:
                half = len(text) // 2 if how == "slow" else len(text)
                file.write(text[:half])
                file.flush()
                time.sleep(0.05 if how == "slow" else 0)
                file.write(text[half:])
        self._holds(name, titles, text)
        self.account.done[f"digests ({how})"] += 1

    def rewrite(self) -> None:
        """Write a new version of a digest: one more article."""
        if self.account.files:
            name = self.chance.choice(sorted(self.account.files))
            title, more = self.article()
            text = self.account.files[name] + more
            (self.seeds / name).write_text(text, encoding="utf-8")
            self._holds(name, {title}, text)
            self.account.done["new versions"] += 1

    def correct(self) -> None:
        """Correct a word in a digest; its articles stay the same ones."""
        if self.account.files:
            name = self.chance.choice(sorted(self.account.files))
            text = re.sub(r"\b(river|storm|bank)\b(?=.*\.\n)", "festival", self.account.files[name])
            (self.seeds / name).write_text(text, encoding="utf-8")
            self._holds(name, set(), text)
            self.account.done["corrections"] += 1

    def copy(self) -> None:
        """Put a digest into seeds/ again, by another name."""
        if self.account.files:
            name = self.chance.choice(sorted(self.account.files))
            self.account.number += 1
            other = f"{self.account.number:07}-copy.txt"
            shutil.copyfile(self.seeds / name, self.seeds / other)
            self._holds(other, set(), self.account.files[name])
            self.account.done["copies"] += 1

    def remove(self) -> None:
        """Take a digest that is on record out of seeds/."""
        for name in self.chance.sample(sorted(self.account.files), min(5, len(self.account.files))):
            titles = set(re.findall(r"^Article .*$", self.account.files[name], re.MULTILINE))
            if titles <= self.ids().keys():
                (self.seeds / name).unlink()
                del self.account.files[name]
                self.account.done["removals"] += 1

    def break_(self) -> None:
        """Put something into seeds/ that can't be read; some of it is repaired later."""
        self.account.number += 1
        bad = self.seeds / f"{self.account.number:07}-bad.txt"
        bad.write_bytes(self.chance.choice((b"no digest\n", bytes(range(256)) * 20, b"\xff\xfe\n")))
        self.account.done["broken"] += 1
        there = sorted(self.seeds.glob("*-bad.txt"))
        if len(there) > 10:
            titles, text = self.digest()
            there[0].write_text(text, encoding="utf-8")
            self._holds(there[0].name, titles, text)
            self.account.done["repairs"] += 1

    def subscribe(self) -> None:
        """Have somebody join or leave, by the command, beside the loop."""
        number = self.chance.randrange(12)
        verb = self.chance.choice(("add", "add", "remove"))
        self.command("subscribers", verb, f"reader{number}@example.org")
        self.account.done[f"subscribers {verb}"] += 1

    def reconfigure(self) -> None:
        """Change the configuration and have it read."""
        self._configure(entries=self.chance.choice((30, 50, 70)))
        if self.child is not None and self.child.poll() is None and self._began():
            self.child.send_signal(signal.SIGHUP)
            self.account.done["reloads"] += 1

    def set_clock(self) -> None:
        """Set the wall clock wrong for a while."""
        off = self.chance.choice((-86400, -3600, 3600, 2 * 86400))
        (self.home / "jump").write_text(str(off), encoding="ascii")
        time.sleep(self.chance.uniform(0.2, 1.0))
        (self.home / "jump").write_text("0", encoding="ascii")
        self.account.done["clock set"] += 1

    def lose_seeds(self) -> None:
        """Take seeds/ away for a while."""
        self.seeds.rename(self.home / "away")
        time.sleep(self.chance.uniform(0.2, 1.0))
        (self.home / "away").rename(self.seeds)
        self.account.done["seeds lost"] += 1

    def fill(self) -> None:
        """Fill the disk for a while; only on a file system of our own."""
        if not os.path.ismount(self.home):
            return
        with suppress(OSError), (self.home / "filler").open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        time.sleep(self.chance.uniform(0.2, 1.0))
        (self.home / "filler").unlink()
        self.account.done["disk filled"] += 1

    def spoil(self) -> None:
        """Lose or change a document below out/, which the next sweep must find."""
        there = sorted((self.home / "out/articles").glob("*/*.html"))
        if there:
            document = self.chance.choice(there)
            with suppress(OSError):
                if self.chance.random() < 0.5:
                    document.unlink()
                else:
                    document.write_text("spoiled", encoding="utf-8")
            self.account.done["documents spoiled"] += 1

    # What is there

    def ids(self) -> dict[str, str]:
        """Return the id of each title on record; a title with two ids breaks a promise."""
        try:
            with closing(
                sqlite3.connect(f"file:{self.home}/.feeds/feeds.db?mode=ro", uri=True)
            ) as db:
                rows = db.execute("SELECT title, id FROM entries").fetchall()
        except sqlite3.Error:  # not there yet
            return {}
        found = dict(rows)
        if len(found) != len(rows):
            twice = [title for title, number in Counter(t for t, _ in rows).items() if number > 1]
            self.account.wrong(f"two entries of one article: {twice[:3]}")
        return found

    def look(self) -> None:
        """Hold ids and letters against what they were before."""
        found = self.ids()
        for title, known in self.account.ids.items():
            if found and found.get(title) != known:
                self.account.wrong(f"the id of {title!r} changed")
        self.account.ids |= found
        for path in (self.home / ".feeds/outbox").glob("*.eml"):
            with suppress(FileNotFoundError):
                self._letter(path.name, path.read_bytes())

    def _letter(self, name: str, data: bytes) -> None:
        hashed = hashlib.sha256(data).hexdigest()
        if self.account.letters.setdefault(name, hashed) != hashed:
            self.account.wrong(f"letter {name} changed")
        message = email.message_from_bytes(data, policy=email.policy.default)
        if name in self.account.done or message["To"] is None:
            return
        self.account.done[name] = 0
        body = message.get_body(("plain",))
        text = str(body.get_content()) if body else ""
        carried = self.account.carried.setdefault(str(message["To"]), Counter())
        numbers = set(re.findall(r"Article (\d+) on", text))
        carried.update(numbers)
        for number in numbers:
            if carried[number] > 1:
                self.account.wrong(f"{message['To']} got article {number} twice, again in {name}")

    def _holds(self, name: str, titles: set[str], text: str) -> None:
        self.account.files[name] = text
        self.account.titles |= titles

    def _began(self) -> bool:
        """Whether the loop has its signal handlers: before, SIGHUP ends any process."""
        return (
            self.child is not None
            and f"process={self.child.pid}".encode() in (self.home / "log").read_bytes()[-5000:]
        )

    def _configure(self, entries: int = 50) -> None:
        tables = "".join(
            f'[[edition]]\nname = "{name}"\ncron = "{cron}"\ntimezone = "{zone}"\nwait = "3h"\n'
            for name, (cron, zone) in EDITIONS.items()
        )
        text = f"[feeds]\nentries = {entries}\n{tables}"
        (self.home / "beside.toml").write_text(text, encoding="utf-8")
        (self.home / "beside.toml").rename(self.home / "feeds.toml")


def clean() -> dict[str, str]:
    """Return the environment without settings of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read(home: Path, account: Account, ended: threading.Event) -> None:
    """Parse feeds all the while, as a reader would; a torn one breaks a promise."""
    chance = random.Random()
    while not ended.wait(0.01):
        there = list((home / "out").glob("*/atom.xml"))
        if there:
            path = chance.choice(there)
            with suppress(FileNotFoundError):  # out/ is made anew
                data = path.read_bytes()
                try:
                    etree.fromstring(data)
                except etree.XMLSyntaxError as error:
                    account.wrong(f"{path.parent.name} was torn: {error}")
                account.done["feeds read"] += 1


def drive(driver: Driver, months: float, minutes: float) -> None:
    """Let things happen until the months, or the minutes of real time, are over."""
    ordinary = [driver.drop] * 12 + [driver.rewrite] * 3 + [driver.correct, driver.copy] * 2
    ordinary += [driver.remove, driver.remove, driver.break_, driver.subscribe]
    faults: list[Callable[[], None]] = [driver.kill] * 6 + [driver.stop] * 2
    faults += [driver.reconfigure, driver.set_clock, driver.lose_seeds, driver.fill, driver.spoil]
    driver.command("subscribers", "add", "first@example.org")
    began, week = time.monotonic(), 0.0
    while driver.seconds() < months * 30 * 86400 and time.monotonic() - began < minutes * 60:
        driver.start()
        time.sleep(driver.chance.uniform(0.05, 0.5))
        driver.chance.choice(ordinary)()
        if driver.chance.random() < 0.12:
            driver.chance.choice(faults)()
        if driver.seconds() > week:
            driver.look()
            print(f"{driver.now():%Y-%m-%d} {told(driver)}", flush=True)
            week = driver.seconds() + 7 * 86400
    (driver.home / "jump").write_text("0", encoding="ascii")


def told(driver: Driver) -> str:
    """Return how far things are, in one line."""
    rows = (driver.home / "figures").read_text(encoding="ascii").splitlines()[-1:]
    memory, files, threads = rows[0].split()[2:] if rows else ("?", "?", "?")
    done = driver.account.done
    return (
        f"{driver.account.number} articles, {done['kills']} kills, {memory} kB, {files} files, "
        f"{threads} threads, {len(driver.account.letters)} letters"
    )


def settle(driver: Driver, seconds: float) -> None:
    """Let the loop work undisturbed, with digests landing, and hold its memory to be flat."""
    driver.kill()
    driver.start()
    assert driver.child is not None
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        driver.drop()
        time.sleep(0.4)
    deadline = time.monotonic() + 120
    while not driver.account.titles <= driver.ids().keys() and time.monotonic() < deadline:
        time.sleep(0.5)
    end = driver.seconds() + 3 * 86400  # two nights, so that a sweep has mended what was spoiled
    while driver.seconds() < end and time.monotonic() < deadline + 300:
        time.sleep(0.2)
    rows = [row.split() for row in (driver.home / "figures").read_text("ascii").splitlines()]
    mine = [list(map(int, row[2:5])) for row in rows if int(row[0]) == driver.child.pid]
    quarter = len(mine) // 4
    early, late = mine[quarter : 2 * quarter], mine[3 * quarter :]
    grown = mean(late, 0) - mean(early, 0)
    print(
        f"steady: {len(mine)} rounds, {mean(early, 0):.0f} to {mean(late, 0):.0f} kB, "
        f"files {mean(early, 1):.1f} to {mean(late, 1):.1f}, "
        f"threads {mean(early, 2):.1f} to {mean(late, 2):.1f}"
    )
    if grown > GROWTH:
        driver.account.wrong(f"memory grew by {grown:.0f} kB")
    if mean(late, 1) > mean(early, 1) + 3 or mean(late, 2) > mean(early, 2) + 1:
        driver.account.wrong("open files or threads grew")
    driver.stop()


def mean(rows: list[list[int]], column: int) -> float:
    """Return the mean of a column."""
    return sum(row[column] for row in rows) / max(len(rows), 1)


def hold(driver: Driver) -> None:
    """Hold what is there in the end against the account."""
    account, home = driver.account, driver.home
    driver.look()
    found = driver.ids()
    if lost := account.titles - found.keys():
        account.wrong(f"{len(lost)} articles lost, such as {sorted(lost)[:3]}")
    if strange := found.keys() - account.titles:
        account.wrong(f"{len(strange)} entries that no digest holds, such as {sorted(strange)[:3]}")
    for name, text in account.files.items():
        if (driver.seeds / name).read_text(encoding="utf-8") != text:
            account.wrong(f"seeds/{name} was changed")
    with closing(sqlite3.connect(home / ".feeds/feeds.db")) as db:
        if (said := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            account.wrong(f"record: {said}")
        _hold_slots(driver, db)
        ours = {path for (path,) in db.execute("SELECT path FROM documents")}
    before = tree(home / "out")
    if before.keys() != ours:
        odd = sorted(before.keys() ^ ours)
        account.wrong(f"out/ holds {len(before)} files, the record names {len(ours)}: {odd[:3]}")
    shutil.rmtree(home / "out")
    done = driver.command("run", "--no-send", "--json")
    if done.returncode not in {0, 3}:
        account.wrong(f"run ended with {done.returncode}: {done.stderr[-300:]}")
    changed = [path for path, hashed in tree(home / "out").items() if before.get(path) != hashed]
    composed = json.loads(done.stdout)["editions"]["composed"] if done.stdout else 0
    if changed and not composed:
        account.wrong(f"out/ was rebuilt to other bytes: {changed[:5]}")
    _hold_folder(driver)
    _hold_log(driver)


def _hold_slots(driver: Driver, db: sqlite3.Connection) -> None:
    """Every slot of every edition was decided, or is due, once."""
    for name, (cron, zone) in EDITIONS.items():
        rows = db.execute("SELECT slot, fires FROM editions WHERE name = ?", (name,)).fetchall()
        decided = Counter(slot for slot, _ in rows)
        if not rows:
            driver.account.wrong(f"no slot of {name}")
            continue
        first = datetime.fromisoformat(f"{min(fires for _, fires in rows)}+00:00")
        schedule = slots.parse(cron, zone)
        wanted = slots.between(schedule, first - timedelta(minutes=1), driver.now())
        due = {slot for (slot,) in db.execute("SELECT slot FROM due WHERE name = ?", (name,))}
        missed = [one.text for one in wanted if one.text not in decided and one.text not in due]
        if len(missed) > 1:  # the very last may not have been looked at
            driver.account.wrong(f"{len(missed)} slots of {name} missed: {missed[:3]}")
        if max(decided.values()) > 1:
            driver.account.wrong(f"a slot of {name} was decided twice")
        driver.account.done[f"slots of {name}"] = len(decided)


def _hold_folder(driver: Driver) -> None:
    """Nothing piles up in the state folder, and the doctor is content."""
    there = [path.name for path in (driver.home / ".feeds").iterdir()]
    known = {"feeds.db", "feeds.db-wal", "feeds.db-shm", "lock", "secret", "outbox", "backups"}
    if strays := [name for name in there if name not in known]:
        driver.account.wrong(f"left in .feeds: {strays}")
    if (kept := len(list((driver.home / ".feeds/backups").glob("*")))) > 7:
        driver.account.wrong(f"{kept} backups kept")
    for line in driver.command("doctor", "--json").stdout.splitlines():
        check = json.loads(line)
        if not check["ok"] and check["name"] not in {"now", "disk"}:
            driver.account.wrong(f"doctor: {check['name']}: {check['detail']}")


def _hold_log(driver: Driver) -> None:
    """No warning is said twice by one process, and none is a fault of ours."""
    log = (driver.home / "log").read_text(encoding="utf-8", errors="replace")
    if "Traceback" in log:
        driver.account.wrong("a traceback is in the log")
    for life in log.split("begins process="):
        said = Counter(line for line in life.splitlines() if line.startswith(("WARNING", "ERROR")))
        for line, number in said.items():
            if number > 1 and not line.startswith(NEWS):
                driver.account.wrong(f"said {number} times: {line[:150]}")
    driver.account.done["log lines"] = log.count("\n")


@contextmanager
def disk(home: Path) -> Iterator[None]:
    """Give the folder a small disk of its own, where that can be had."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(home)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    if not mounted:
        print("the disk is never filled: that takes the right to mount one")
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(home)], check=False)


def main() -> int:
    """Soak, report, and return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--months", type=float, default=6, help="simulated months [6]")
    parser.add_argument("--minutes", type=float, default=600, help="of real time, at most")
    parser.add_argument("--steady", type=float, default=STEADY, help="seconds of calm at the end")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="feeds-soak-"))
    with disk(home):
        driver, ended = Driver(home, wanted.seed), threading.Event()
        reader = threading.Thread(target=read, args=(home, driver.account, ended))
        reader.start()
        try:
            drive(driver, wanted.months, wanted.minutes)
            settle(driver, wanted.steady)
        finally:
            ended.set()
            reader.join()
            if driver.child is not None:
                driver.child.kill()
        hold(driver)
        report(driver, wanted.seed)
        if driver.account.broken:
            shutil.copytree(home, f"{home}-kept", ignore_dangling_symlinks=True)
            print(f"seed {wanted.seed}; kept in {home}-kept")
    shutil.rmtree(home, ignore_errors=True)
    return 1 if driver.account.broken else 0


def report(driver: Driver, seed: int) -> None:
    """Print what happened and what was broken."""
    days = driver.seconds() / 86400
    print(f"\nseed {seed}: {days:.0f} simulated days, {driver.account.number} articles and more:")
    for what, number in sorted(driver.account.done.items()):
        if number and not what.endswith(".eml"):
            print(f"  {number:>8,}  {what}")
    print(f"  {len(driver.account.letters):>8,}  letters seen")
    print(f"  {len(driver.account.broken):>8}  promises broken")
    for what in driver.account.broken:
        print(f"BROKEN: {what}")


if __name__ == "__main__":
    sys.exit(main())
