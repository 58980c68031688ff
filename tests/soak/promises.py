"""What is promised, held against the driver's own account: now and then, and all of it in the end.

Nothing here uses the product's code: the record is read as a database, letters as mail, feeds as XML
and JSON, slots are counted by the calendar.
"""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

from account import Account, look, sha256
from driver import Driver
from house import EDITIONS, House
from lxml import etree
from press import NUMBER
from troubles import FAULTS

_HOT = ("index.html", "all/atom.xml", "all/rss.xml", "all/feed.json", "politics/atom.xml")
_LATE_ROUNDS, _LATE_HOURS = 8, 1.0
_LINK = re.compile(r"articles/\w\w/(\w{20})\.html")
_RECORD = {"feeds.db", "feeds.db-wal", "feeds.db-shm"}
_KNOWN = {*_RECORD, "lock", "secret", "outbox", "backups", "suppressed.jsonl"}
_FOREIGN_CHECKS = {"now", "disk"}  # FEEDS_NOW is set here, and the disk is small


def look_on(driver: Driver) -> None:
    """Hold what is there now against what was there before."""
    _hold_ids(driver)
    _hold_letters(driver.house, driver.account)
    _hold_promptness(driver)


def _hold_ids(driver: Driver) -> None:
    """Hold that an id is minted once, and that an article is on record once."""
    account = driver.account
    rows = driver.house.ask("SELECT title, id FROM entries")
    found: dict[int, str] = {}
    for title, entry in rows:
        match = NUMBER.search(title)
        number = int(match[1]) if match else -1
        if number not in account.pieces and not driver.writes_slowly:
            account.wrong(f"an entry that no digest holds: {title!r}")
        if found.setdefault(number, entry) != entry:
            account.wrong(f"two entries of one article: {title!r}")
    for number, entry in account.ids.items():
        if rows and found.get(number) != entry:
            account.wrong(f"the id of article {number} was {entry}, is {found.get(number)}")
    account.ids |= found


def _hold_letters(house: House, account: Account) -> None:
    """Hold that a letter never changes, has one Message-ID, brings nobody an article again."""
    for path in (house.state / "outbox").glob("[!.]*.eml"):
        with suppress(FileNotFoundError):  # it has become old
            data = path.read_bytes()
            hashed = sha256(data)
            if path.name not in account.letters:
                account.letters[path.name] = hashed
                message = email.message_from_bytes(data, policy=email.policy.default)
                assert isinstance(message, EmailMessage)
                _hold_letter(path.name, message, account)
            elif account.letters[path.name] != hashed:
                account.wrong(f"letter {path.name} changed")


def _hold_letter(name: str, message: EmailMessage, account: Account) -> None:
    other = account.message_ids.setdefault(str(message["Message-ID"]), name)
    if other != name:
        account.wrong(f"letters {other} and {name} have one Message-ID")
    body = message.get_body(("plain",))
    blocks = (str(body.get_content()) if body else "").split("-" * 72)
    told = [block for block in blocks if block.lstrip().startswith("CORRECTIONS")]
    text = "".join(block for block in blocks if block not in told)
    carried = Counter(_LINK.findall(text))
    numbers = {int(number) for number in NUMBER.findall(text)}
    if len(carried) != len(numbers) or not carried or max(carried.values()) > 1:
        account.wrong(f"letter {name} carries {len(carried)} entries, {len(numbers)} titles")
    before = account.carried.setdefault(str(message["To"]), set())
    if again := before & numbers:
        account.wrong(f"{message['To']} got articles {sorted(again)} twice, again in {name}")
    corrected = {int(number) for block in told for number in NUMBER.findall(block)}
    # What was sent so long ago that it is forgotten counts as sent to everyone.
    if strange := corrected - set().union(*account.carried.values()):
        account.wrong(f"{name} tells corrections of {sorted(strange)}, which were never sent")
    before |= numbers


def _hold_promptness(driver: Driver) -> None:
    """Hold that what lies in seeds/ is read within some rounds, when nothing hinders it."""
    for one in driver.account.papers.values():
        rounds = driver.tick - max(one.tick, driver.calm_since)
        late = rounds > _LATE_ROUNDS and driver.house.hours - one.hours > _LATE_HOURS
        if one.numbers and late and not driver.house.knows(one.sha256):
            driver.account.wrong(f"{one.name!r} is not read after {rounds} rounds")


def hold_seeds(driver: Driver) -> None:
    """Nothing in seeds/ was written to, added or removed."""
    account, seeds = driver.account, driver.house.seeds
    for one in account.papers.values():
        if not os.path.lexists(seeds / one.name) or look(seeds / one.name) != one.look:
            account.wrong(f"{one.name!r} in seeds/ was changed")
    there = {str(path.relative_to(seeds)) for path in seeds.rglob("*") if not path.is_dir()}
    if strange := there - account.papers.keys():
        account.wrong(f"strangers in seeds/: {sorted(strange)[:3]}")


def hold_all(driver: Driver) -> None:
    """Hold every promise; the process has ended."""
    look_on(driver)
    hold_seeds(driver)
    _hold_articles(driver)
    _hold_record(driver)
    for name, (_, zone) in EDITIONS.items():
        _hold_slots(driver, name, ZoneInfo(zone))
    _hold_carried(driver)
    _hold_deliveries(driver)
    _hold_out(driver)
    _hold_state(driver)
    _hold_log(driver)


def _hold_articles(driver: Driver) -> None:
    """Every article of every digest is on record, as it was last told."""
    account = driver.account
    rows = driver.house.ask("SELECT title, paragraphs, views FROM entries")
    found = {int(match[1]): row for row in rows if (match := NUMBER.search(row[0]))}
    if lost := account.pieces.keys() - found.keys():
        account.wrong(f"{len(lost)} articles lost, such as {sorted(lost)[:5]}")
    for number in sorted(account.pieces.keys() & found.keys()):
        piece, (_, paragraphs, views) = account.pieces[number], found[number]
        if tuple(json.loads(paragraphs)) != piece.paragraphs:
            account.wrong(f"article {number} stands as {paragraphs[:200]}, not {piece.paragraphs}")
        if views != piece.views:
            account.wrong(f"article {number} has {views} views, not {piece.views}")


def _hold_record(driver: Driver) -> None:
    ask, account = driver.house.ask, driver.account
    if (said := ask("PRAGMA integrity_check")) != [("ok",)]:
        account.wrong(f"integrity_check: {said[:3]}")
    if said := ask("PRAGMA foreign_key_check"):
        account.wrong(f"foreign_key_check: {said[:3]}")
    refused = (
        "SELECT count(*) FROM sightings JOIN digests ON digest = id WHERE outcome = 'quarantine'"
    )
    bad = sum(not one.numbers for one in account.papers.values())
    if ask(refused) != [(bad,)]:
        account.wrong(f"{ask(refused)} files in quarantine, {bad} bad ones in seeds/")


def _hold_slots(driver: Driver, name: str, zone: ZoneInfo) -> None:
    """Every wall-clock slot since the first was decided once, or is due; none that never came."""
    account, house = driver.account, driver.house
    rows = house.ask("SELECT slot, fires FROM editions WHERE name = ?", name)
    decided = Counter(slot for slot, _ in rows)
    due = {slot for (slot,) in house.ask("SELECT slot FROM due WHERE name = ?", name)}
    account.done[f"slots of {name}"] = len(decided)
    if not rows:
        account.wrong(f"no slot of {name}")
        return
    first = datetime.fromisoformat(min(fires for _, fires in rows)).replace(tzinfo=UTC)
    end = house.true + timedelta(hours=25)  # as far as the clock was ever set forward
    came = {text for fires, text in calendar(name, zone, first, end) if fires <= house.true}
    may = {text for _, text in calendar(name, zone, first, end)}
    if twice := [slot for slot, number in decided.items() if number > 1]:
        account.wrong(f"slots of {name} decided twice: {twice[:3]}")
    if missed := sorted(came - decided.keys() - due):
        account.wrong(f"{len(missed)} slots of {name} missed: {missed[:3]}")
    if odd := sorted(decided.keys() - may):
        account.wrong(f"{len(odd)} slots of {name} that never came: {odd[:3]}")


def calendar(
    name: str, zone: ZoneInfo, first: datetime, end: datetime
) -> Iterator[tuple[datetime, str]]:
    """Yield the slots of an edition with their moments, by what clocks in its zone showed."""
    if name == "hourly":
        moment, seen = first, set()
        while moment <= end:
            shown = f"{moment.astimezone(zone):%Y-%m-%dT%H:%M}"
            if shown.endswith(":00") and shown not in seen:
                seen.add(shown)
                yield moment, shown
            moment += timedelta(minutes=15)
        return
    at = {"daily": time(8), "berlin": time(2, 30)}[name]
    day = first.astimezone(zone).date()
    while (fires := datetime.combine(day, at, zone).astimezone(UTC)) <= end:
        yield fires, f"{day}T{at:%H:%M}"
        day += timedelta(days=1)


def _hold_carried(driver: Driver) -> None:
    """Hold that an edition's name carries an article once, and that each has its page."""
    rows = driver.house.ask("SELECT name, slot, content FROM editions WHERE content IS NOT NULL")
    carried: Counter[tuple[str, str]] = Counter()
    for name, _, content in rows:
        carried.update((name, brief["entry"]) for brief in json.loads(content)["briefs"])
    if twice := [key for key, number in carried.items() if number > 1]:
        driver.account.wrong(f"{len(twice)} entries carried twice: {twice[:3]}")
    pages = {f"{name}/{slot.replace(':', '')}.html" for name, slot, _ in rows}
    folder = driver.house.out / "editions"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.html")}
    if there != pages:
        driver.account.wrong(f"pages of editions: {sorted(there ^ pages)[:3]}")
    driver.account.done["editions with content"] = len(rows)


def _hold_deliveries(driver: Driver) -> None:
    """Each delivery was made, as one letter with the Message-ID on record."""
    account = driver.account
    rows = driver.house.ask(
        "SELECT name, slot, subscriber, deliveries.state, message_id FROM deliveries"
        " JOIN editions ON editions.id = edition"
    )
    for name, slot, subscriber, state, message_id in rows:
        letter = f"{name}-{slot.replace(':', '')}-{subscriber}.eml"
        if state not in {"written", "suppressed"}:
            account.wrong(f"the delivery of {letter} is {state}")
        if state == "written" and account.message_ids.get(message_id) != letter:
            account.wrong(f"no letter {letter} with {message_id} was seen")
    account.done["letters"] = len(account.letters)


def _hold_out(driver: Driver) -> None:
    """out/ holds what is on record, and is made again to the same bytes."""
    house, account = driver.house, driver.account
    before = tree(house.out)
    ours = {path for (path,) in house.ask("SELECT path FROM documents")}
    if before.keys() != ours:
        odd = sorted(before.keys() ^ ours)
        account.wrong(f"out/ and record differ in {len(odd)} files: {odd[:3]}")
    shutil.rmtree(house.out)
    status, out, err = house.command("run", "--no-send", "--json")
    if status != 0:
        account.wrong(f"run ended with {status}: {err[-300:]}")
    elif json.loads(out)["articles"] != {"new": 0, "updated": 0, "unchanged": 0}:
        account.wrong(f"a last run found articles: {out}")
    after = tree(house.out)
    if odd := sorted({*before.items()} ^ {*after.items()}):
        account.wrong(f"out/ was made again to other bytes: {[path for path, _ in odd][:5]}")


def _hold_state(driver: Driver) -> None:
    """Nothing piles up in the state folder, and the doctor is content."""
    house, account = driver.house, driver.account
    if strays := {path.name for path in house.state.iterdir()} - _KNOWN:
        account.wrong(f"left in the state folder: {sorted(strays)[:3]}")
    for folder, most in (("backups", 3), ("outbox", 3 * 26 * len(account.carried) + 50)):
        there = sorted(path.name for path in (house.state / folder).glob("*"))
        if len(there) > most or any(name.startswith(".") for name in there):
            account.wrong(f"{folder}/ holds {len(there)} files: {there[:3]}")
    for line in house.command("doctor", "--json")[1].splitlines():
        check = json.loads(line)
        if not check["ok"] and check["name"] not in _FOREIGN_CHECKS:
            account.wrong(f"doctor: {check['name']}: {check['detail']}")


def _hold_log(driver: Driver) -> None:
    """No line is said each round, and no fault of ours is told of."""
    log, account = driver.house.log(), driver.account
    if at := log.find("Traceback") + 1:
        account.wrong(f"a traceback in the log: {log[at - 200 : at + 1500]}")
    said = Counter(re.sub(r"^\S+ ", "", line) for line in log.splitlines())
    faults = sum(account.done[name] for name in FAULTS)
    for line, number in said.most_common(3):
        if number > driver.house.life + faults + 5 and not line.startswith("INFO done"):
            account.wrong(f"said {number} times: {line[:200]}")
    account.done["log lines"] = log.count("\n")
    account.done["log lines besides done"] = sum(
        number for line, number in said.items() if not line.startswith("INFO done")
    )


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def read_on(house: House, account: Account, ended: threading.Event) -> None:
    """Read documents all the while, as readers do; a torn one breaks a promise.

    Those that change most, as often as can be; each new version of one is parsed.
    """
    paths = [house.out / name for name in _HOT]
    last: dict[Path, bytes] = {}
    while not ended.wait(0.001):
        for path in paths:
            with suppress(OSError):  # out/ was removed
                data = path.read_bytes()
                if data != last.get(path):
                    last[path] = data
                    account.done["documents parsed meanwhile"] += 1
                    if why := torn(path.name, data):
                        account.wrong(f"{path} was torn: {why}")
        account.done["looks of readers"] += 1


def torn(name: str, data: bytes) -> str | None:
    """Return why a document isn't whole, None when it is."""
    try:
        if name.endswith(".json"):
            json.loads(data)
        elif name.endswith(".xml"):
            etree.fromstring(data)
        elif not data.rstrip().endswith(b"</html>"):
            return "no end"
    except (ValueError, etree.XMLSyntaxError) as error:
        return str(error)
    return None
