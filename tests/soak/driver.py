"""What happens to an installation: digests of all kinds, people, faults; each by chance, by a seed.

Ordinary things happen to a process that waits, so that each is complete before the next round. Faults
that last end after some rounds; one at a time, so that what is found broken has one cause.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import press
from account import Account, Paper, look, sha256
from house import House
from press import Piece

PEOPLE = 9
_PAUSE, _PAUSES = 50.0, 0.5  # seconds that a slow writer may pause, and how often it does
_TOLD = 0.6  # real seconds after which watchdog has told of an event
_KEPT = 60  # files in seeds/ from which on old ones are removed


@dataclass(slots=True)
class _Slow:
    """A file that is written in place, part by part, and held open meanwhile."""

    path: Path
    file: FileIO
    parts: list[bytes]
    pieces: Sequence[Piece]
    life: int
    since: float


class Driver:
    """Drives one installation through its months."""

    def __init__(self, house: House, seed: int) -> None:
        self.house, self.chance, self.account = house, random.Random(seed), Account()
        self.tick = self.number = 0
        self.calm_since = 0
        self.doomed = False
        self._slow: _Slow | None = None
        self._over: tuple[int, Callable[[], None]] | None = None
        self._beside: subprocess.Popen[str] | None = None
        self._excused = False

    # One round

    @property
    def is_disturbed(self) -> bool:
        """Whether a fault lasts."""
        return self._over is not None

    @property
    def writes_slowly(self) -> bool:
        """Whether a file is half written."""
        return self._slow is not None

    def ordinary(self, hours: float) -> None:
        """Let so many hours' worth of ordinary things happen."""
        self._write_on()
        self._end_command()
        if not self.house.seeds.exists():
            return
        for happening, rate in self._rates():
            if self.chance.random() < rate * hours:
                happening()

    def _rates(self) -> list[tuple[Callable[[], None], float]]:
        """Return what may happen, and how often in an hour."""
        return [
            (self.drop, 0.35),
            (self.drop_teasers, 0.06),
            (self.drop_written, 0.1),
            (self.drop_slowly, 0.02),
            (self.drop_folder, 0.02),
            (self.drop_crowd, 0.003),
            (self.add_to, 0.08),
            (self.correct, 0.08),
            (self.recount, 0.08),
            (self.complete, 0.05),
            (self.copy, 0.05),
            (self.rename, 0.03),
            (self.spoil_seeds, 0.05),
            (self.repair, 0.03),
            (self.remove, 0.3),
            (self.join_or_leave, 0.02),
            (self.ask_beside, 0.02),
        ]

    def lasts(self, over: Callable[[], None], most: int = 12) -> None:
        """Have a fault last for some rounds; `over` ends it."""
        self._over = (self.tick + self.chance.randint(1, most), over)
        self.calm_since = self.tick

    def heal(self, *, now: bool = False) -> None:
        """End the fault whose time is over."""
        if self._over is not None and (now or self.tick >= self._over[0]):
            over, self._over = self._over[1], None
            over()
        if self._over is not None:
            self.calm_since = self.tick

    def finish(self) -> None:
        """Have nothing half done any more."""
        self.write_out()
        self._end_command()
        self.heal(now=True)

    # Digests

    def _new(self) -> Piece:
        self.number += 1
        return press.piece(self.chance, self.number, self.house.wall)

    def _some(self, most: int = 5) -> list[Piece]:
        return [self._new() for _ in range(self.chance.randint(1, most))]

    def _name(self, end: str = ".txt") -> str:
        self.number += 1
        return f"{self.number:07}{end}"

    def drop(self) -> None:
        """Rename a new digest in."""
        end = self.chance.choice((".txt", ".txt", " \u00e9 'x'.md", ""))
        self._arrive(self._name(end), self._some())
        self.account.done["digests renamed in"] += 1

    def drop_teasers(self) -> None:
        """Rename a list of teasers in."""
        pieces = []
        for _ in range(self.chance.randint(4, 8)):
            self.number += 1
            pieces.append(press.teaser(self.chance, self.number))
        self._arrive(self._name(), pieces)
        self.account.teasers |= {one.number for one in pieces}
        self.account.done["digests of teasers"] += 1

    def drop_written(self) -> None:
        """Write a new digest in place, at once."""
        pieces, name = self._some(), self._name()
        path = self.house.seeds / name
        path.write_bytes(press.text(pieces).encode())
        self.holds(path, pieces)
        self.account.done["digests written"] += 1

    def drop_slowly(self) -> None:
        """Begin to write a new digest in place, part by part, over several rounds."""
        if self._slow is None:
            pieces, path = self._some(8), self.house.seeds / self._name()
            data = press.text(pieces).encode()
            cuts = sorted(self.chance.sample(range(1, len(data)), 4))
            parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            self._slow = _Slow(
                path, FileIO(path, "w"), parts, pieces, self.house.life, self.house.hours
            )
            self._write_on()
            self.account.done["digests written slowly"] += 1

    def write_out(self) -> None:
        """Write the rest of what is being written."""
        while self._slow is not None:
            self._write_on()

    def _write_on(self) -> None:
        """Write the next part, or pause; all of it at once when there is nobody who saw it begun.

        A process that starts knows of no writer before it: it takes a file that doesn't change for
        complete. The writer never pauses for so long that a lost event would be thought of.
        """
        slow, house = self._slow, self.house
        if slow is None or not house.seeds.exists():
            return
        followed = house.runs and house.life == slow.life
        if followed and house.ask("SELECT 1 FROM sightings WHERE name = ?", slow.path.name):
            self.account.wrong(f"{slow.path.name} was read while it was being written")
        pauses = followed and (house.hours - slow.since) * 3600 < _PAUSE
        if pauses and self.chance.random() < _PAUSES:
            return
        slow.file.write(b"".join(slow.parts) if not followed else slow.parts[0])
        slow.parts, slow.since = slow.parts[1:] if followed else [], house.hours
        if not slow.parts:
            slow.file.close()
        time.sleep(_TOLD)
        if not slow.parts:
            self.holds(slow.path, slow.pieces)
            self._slow = None

    def drop_folder(self) -> None:
        """Move a folder of digests in."""
        beside = self.house.home / "beside"
        beside.mkdir()
        made = {self._name(): self._some(3) for _ in range(3)}
        for name, pieces in made.items():
            (beside / name).write_bytes(press.text(pieces).encode())
        folder = self.house.seeds / self._name("-folder")
        beside.rename(folder)
        for name, pieces in made.items():
            self.holds(folder / name, pieces)
        self.account.done["folders moved in"] += 1

    def drop_crowd(self) -> None:
        """Rename many digests in at once."""
        for _ in range(60):
            self._arrive(self._name(), self._some(1))
        self.account.done["crowds of 60"] += 1

    def add_to(self) -> None:
        """Replace a digest by a version with more articles."""
        if paper := self._read_paper(stamped=True):
            pieces = [*self._pieces(paper), self._new()]
            if self.chance.random() < 0.5:
                (self.house.seeds / paper.name).write_bytes(press.text(pieces).encode())
                self.holds(self.house.seeds / paper.name, pieces)
            else:
                self._arrive(paper.name, pieces)
            self.account.done["new versions"] += 1

    def correct(self) -> None:
        """Have an article corrected, in its digest or in another."""
        self._change("corrections", press.corrected)

    def recount(self) -> None:
        """Have an article's views counted again."""
        self._change("views counted", press.recounted)

    def _change(self, what: str, change: Callable[[random.Random, Piece], Piece]) -> None:
        if paper := self._read_paper(stamped=True):
            pieces = self._pieces(paper)
            at = self.chance.randrange(len(pieces))
            if not self._stands(pieces[at]):
                return
            pieces[at] = change(self.chance, pieces[at])
            if self.chance.random() < 0.5:
                self._arrive(paper.name, pieces)
            else:
                self._arrive(self._name(), [pieces[at]])
            self.account.done[what] += 1

    def complete(self) -> None:
        """Drop the whole article of a teaser that is on record."""
        waiting = sorted(self.account.teasers & self.account.ids.keys())
        if waiting:
            number = self.chance.choice(waiting)
            one = self.account.pieces[number]
            if not self._stands(one):
                return
            paragraphs = press.full(self.chance, one).paragraphs
            stamp = self._new().stamp
            whole = Piece(number, one.title, paragraphs, stamp, 1)
            self.account.teasers.discard(number)
            self._arrive(self._name(), [whole])
            self.account.done["teasers completed"] += 1

    def copy(self) -> None:
        """Put the bytes of a digest into seeds/ again, by another name."""
        if paper := self._read_paper():
            other = self.house.home / "beside"
            shutil.copyfile(self.house.seeds / paper.name, other)
            path = self.house.seeds / self._name("-copy.txt")
            other.rename(path)
            self.notes(path, paper.numbers)
            self.account.done["copies"] += 1

    def rename(self) -> None:
        """Give a digest another name."""
        if paper := self._read_paper():
            path = self.house.seeds / self._name("-renamed.txt")
            (self.house.seeds / paper.name).rename(path)
            del self.account.papers[paper.name]
            self.notes(path, paper.numbers)
            self.account.done["renames"] += 1

    def remove(self) -> None:
        """Remove what is old and on record."""
        papers = self.account.papers
        while len(papers) > _KEPT:
            old = next((one for one in papers.values() if self._is_read(one)), None)
            if old is None:
                return
            (self.house.seeds / old.name).unlink()
            del papers[old.name]
            self.account.done["removals"] += 1

    def spoil_seeds(self) -> None:
        """Put something into seeds/ that can't be read."""
        path = self.house.seeds / self._name("-bad.txt")
        kind = self.chance.randrange(5)
        if kind == 0:
            path.symlink_to("/etc/passwd")
        elif kind == 1:
            os.mkfifo(path)
        else:
            if kind == 2:  # a name that is no Unicode
                path = Path(os.fsdecode(os.fsencode(path) + b"\xff\n\x1b[2J"))
            path.write_bytes(press.broken(self.chance, self.number))
        self.notes(path, ())
        self.account.done["bad files"] += 1

    def repair(self) -> None:
        """Replace a file that could not be read by one that can."""
        bad = [one for one in self.account.papers.values() if not one.numbers]
        if bad:
            self._arrive(self.chance.choice(bad).name, self._some())
            self.account.done["repairs"] += 1

    def _arrive(self, name: str, pieces: Sequence[Piece]) -> None:
        """Rename a digest in, over what may stand there."""
        beside = self.house.home / "beside"
        beside.write_bytes(press.text(pieces).encode())
        beside.replace(self.house.seeds / name)
        self.holds(self.house.seeds / name, pieces)

    def holds(self, path: Path, pieces: Sequence[Piece]) -> None:
        """Note a complete digest, and how its articles should stand on record from now on."""
        self.account.pieces |= {one.number: one for one in pieces}
        self.notes(path, tuple(one.number for one in pieces))

    def notes(self, path: Path, numbers: tuple[int, ...]) -> None:
        """Note a file as it lies in seeds/ now."""
        name = str(path.relative_to(self.house.seeds))
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        seen = look(path)
        papers = self.account.papers
        papers.pop(name, None)
        papers[name] = Paper(name, sha256(data), seen, numbers, self.house.hours, self.tick)

    def _pieces(self, paper: Paper) -> list[Piece]:
        return [self.account.pieces[number] for number in paper.numbers]

    def _read_paper(self, *, stamped: bool = False) -> Paper | None:
        """Return a digest that was read, if there is one; a `stamped` one has views."""
        there = list(self.account.papers.values())
        for one in self.chance.sample(there, min(5, len(there))):
            fits = not stamped or all(piece.views is not None for piece in self._pieces(one))
            if one.numbers and fits and self._is_read(one):
                return one
        return None

    def _is_read(self, paper: Paper) -> bool:
        """Whether a file is done with: read, or nothing that could be."""
        return not paper.numbers or self.house.knows(paper.sha256)

    def _stands(self, one: Piece) -> bool:
        """Whether an article stands on record as it should: a change of it follows on nothing else."""
        found = self.house.ask(
            "SELECT json_array_length(paragraphs), json_extract(paragraphs, '$[#-1]'), views FROM"
            " entries WHERE title LIKE ?",
            f"Report {one.number}:%",
        )
        return found == [(len(one.paragraphs), one.paragraphs[-1], one.views)]

    # People, and commands beside the loop

    def join_or_leave(self) -> None:
        """Have somebody join, leave, or be forgotten, while the loop works."""
        verb = self.chance.choice(("add", "add", "add", "remove"))
        address = f"reader{self.chance.randrange(PEOPLE)}@example.org"
        more = []
        if verb == "add" and self.chance.random() < 0.5:
            more = ["--channels", self.chance.choice(("politics,sport", "economy", "health,arts"))]
        if verb == "add" and self.chance.random() < 0.5:
            more += ["--editions", self.chance.choice(("daily", "berlin,daily", "hourly"))]
        self._command(f"subscribers {verb}", "subscribers", verb, address, *more)

    def ask_beside(self) -> None:
        """Have a command read the record while the loop works."""
        asked = self.chance.choice((("status",), ("articles", "--json"), ("edition", "list")))
        self._command("commands beside", *asked)

    def _command(self, what: str, *arguments: str) -> None:
        if self._beside is None:
            self._beside = self.house.begin_command(*arguments)
            self._excused = self.is_disturbed
            self.account.done[what] += 1

    def _end_command(self) -> None:
        """Wait for the command beside; it may complain only of a fault that lasts."""
        if self._beside is None:
            return
        _, err = self._beside.communicate()
        status, asked = self._beside.returncode, str(self._beside.args)
        self._beside = None
        may = "remove" in asked or "status" in asked  # nobody is there; the disk is small
        if status and not (self._excused or self.is_disturbed or (may and status == 1)):
            self.account.wrong(f"{asked} ended with {status}: {err[-300:]}")
