"""The fork server of the kill loop: it has imported everything, and forks a child for each order.

A script. In: a line of JSON an order, on stdin. Out: a line of JSON an order, on stdout. The child runs
commands of the command line in a folder, and counts Python's audit events (PEP 578) during the first
of them. At the event that the order names it kills itself, as `kill -9` would; or it is watched: at
each event it waits until the server has looked at the folder, so that events between which nothing
changed on disk are known to be one case. Imports are no points: the server has done a whole pass
before it takes orders.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feeds import cli

CHANCE = b"no chance in a test, all the same"
_WAL_HEADER, _FRAME_HEADER = 32, 24  # bytes; https://sqlite.org/fileformat2.html#walformat


Hook = Callable[[int], None]
"""What happens at an event, by its number."""


class Counter:
    """Counts audit events while it is `on`, and hands each to a hook."""

    def __init__(self, hook: Hook) -> None:
        self.on, self.seen, self.hook = False, 0, hook

    def __call__(self, _event: str, _arguments: tuple[Any, ...]) -> None:
        """Take an event."""
        if self.on:
            self.seen += 1
            self.hook(self.seen)


@dataclass(frozen=True, slots=True)
class Gate:
    """Where a watched child waits: pipes to the server and back."""

    ticks: tuple[int, int]
    goes: tuple[int, int]

    def wait(self, _number: int) -> None:
        """Let the server look; in the child."""
        os.write(self.ticks[1], b".")
        os.read(self.goes[0], 1)

    def looks(self, folder: Path) -> Iterator[str]:
        """Yield the print of the folder at each event until the child ends; in the server."""
        os.close(self.ticks[1])
        while os.read(self.ticks[0], 1):
            yield fingerprint(folder)
            os.write(self.goes[1], b".")
        for end in (self.ticks[0], *self.goes):
            os.close(end)


def fingerprint(folder: Path) -> str:
    """Return a hash of all that a next process would find, less what is chance or is never read.

    That is the text of the lock (a process number), SQLite's shared memory, which is made anew after a
    crash, and the salts and sums in its log.
    """
    found = hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        found.update(str(path.relative_to(folder)).encode() + b"\0")
        if path.is_file() and path.name != "lock" and not path.name.endswith("-shm"):
            data = path.read_bytes()
            found.update(_frames(data) if path.name.endswith("-wal") else data)
    return found.hexdigest()


def _frames(wal: bytes) -> bytes:
    """Return the page numbers and pages of a write-ahead log."""
    if len(wal) < _WAL_HEADER:
        return b"%d" % len(wal)
    page = int.from_bytes(wal[8:12], "big") + _FRAME_HEADER
    frames = (wal[at : at + page] for at in range(_WAL_HEADER, len(wal), page))
    return b"".join(frame[:8] + frame[_FRAME_HEADER:] for frame in frames)


def run(arguments: Sequence[str]) -> int:
    """Run one command; return its exit status. An error that gets out is told as Python would."""
    try:
        cli.main(list(arguments))
    except SystemExit as done:
        return int(done.code or 0)
    except Exception:  # noqa: BLE001 -- whatever it is
        sys.stderr.write(traceback.format_exc())
        sys.stderr.flush()
        return 1


def serve(scratch: Path) -> None:
    """Take orders until stdin ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_take(json.loads(line), scratch)) + "\n")
        sys.stdout.flush()


def _take(order: dict[str, Any], scratch: Path) -> dict[str, Any]:
    """Have an order done by a child; return how it ended."""
    gate = Gate(os.pipe(), os.pipe()) if order["watch"] else None
    (scratch / "answer").unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            _obey(order, scratch, gate)
        finally:
            os._exit(1)
    looks = list(gate.looks(Path(order["folder"]))) if gate else []
    _, how = os.waitpid(child, 0)
    if os.WIFSIGNALED(how):
        return {"killed": os.WTERMSIG(how), "events": 0, "told": [], "looks": []}
    return {"killed": 0, "looks": looks, **json.loads((scratch / "answer").read_text())}


def _obey(order: dict[str, Any], scratch: Path, gate: Gate | None) -> None:
    """Run the commands of an order in this process, and end it."""
    os.chdir(order["folder"])
    os.environ.update(order["environ"])
    counter = Counter(gate.wait if gate else _deadly(order["kill"]))
    sys.addaudithook(counter)
    told: list[list[Any]] = []
    for arguments in order["commands"]:
        with (scratch / "said").open("wb") as out, (scratch / "warned").open("wb") as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            counter.on = not told
            status = run(arguments)
            counter.on = False
            sys.stdout.flush()
        said = [(scratch / name).read_text(errors="replace") for name in ("said", "warned")]
        told.append([status, *said])
    (scratch / "answer").write_text(json.dumps({"events": counter.seen, "told": told}))
    os._exit(0)


def _deadly(last: int) -> Hook:
    def hook(number: int) -> None:
        if number == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _warm(scratch: Path) -> None:
    """Do the pass that stdin's first line describes, so that all is imported."""
    order = json.loads(sys.stdin.readline())
    os.chdir(scratch)
    os.environ.update(order["environ"])
    places = [f"--{name}={scratch / name}" for name in ("out", "state")]
    run([*order["add"], *places])
    run(["run", f"--seeds={order['seeds']}", *places])


@contextmanager
def _hushed() -> Iterator[None]:
    """Let nothing be said: stdout is for answers."""
    kept = os.dup(1), os.dup(2)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
        yield
    os.dup2(kept[0], 1)
    os.dup2(kept[1], 2)


if __name__ == "__main__":
    secrets.token_bytes = lambda nbytes=32: CHANCE[:nbytes]
    with tempfile.TemporaryDirectory() as folder:
        with _hushed():
            _warm(Path(folder))
        serve(Path(folder))
