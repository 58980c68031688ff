"""Measures `feeds watch` with the real process: how soon, how much at once, what is lost, idle cost.

    python tests/benchmarks/watch.py [latency] [burst] [overflow] [downtime] [idle]

Prints a line a figure. Figures of machines that do something else meanwhile are no figures.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

FEEDS = (sys.executable, "-m", "feeds")
TRIES = 40
MANY = 10_000
WORDS = ("government", "parliament", "economy", "bank", "match", "team", "school", "hospital")


def digest(number: int) -> str:
    """Return a digest of one article, another for each number."""
    stamp = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    body = " ".join(WORDS[(number * 7 + step * step) % len(WORDS)] for step in range(60))
    return f"{stamp:%d.%m.%Y, %H:%M} {number}\n\nArticle number {number}\n\n{body}.\n \n"


def clean() -> dict[str, str]:
    """Return the environment without settings of ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}


@contextmanager
def watching(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `feeds watch` in a folder, from the end of its first round on."""
    with (home / "log").open("ab") as errors:
        process = subprocess.Popen([*FEEDS, "watch"], cwd=home, env=clean(), stderr=errors)
    try:
        until(lambda: (home / "out/index.html").exists() and b"watching" in log(home))
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(30)


def log(home: Path) -> bytes:
    """Return what the process has logged."""
    return (home / "log").read_bytes()


def until(there: Callable[[], bool], seconds: float = 120.0, pause: float = 0.005) -> float:
    """Wait for something, asking each `pause` seconds; return how many seconds that took."""
    began = time.monotonic()
    while not there():
        if time.monotonic() - began > seconds:
            raise TimeoutError
        time.sleep(pause)
    return time.monotonic() - began


def on_record(home: Path) -> int:
    """Return how many articles are on record."""
    done = subprocess.run(
        [*FEEDS, "status", "--json"], cwd=home, env=clean(), capture_output=True, check=False
    )
    return int(json.loads(done.stdout)["articles"])


def published(home: Path) -> int:
    """Return how many pages of articles there are."""
    return sum(1 for _ in (home / "out/articles").glob("*/*.html"))


def cpu(process: subprocess.Popen[bytes]) -> float:
    """Return the seconds of processor time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drop(home: Path, numbers: range) -> None:
    """Write digests beside seeds/ and move them in, one after the other."""
    for number in numbers:
        (home / "beside").write_text(digest(number), encoding="utf-8")
        (home / "beside").rename(home / f"seeds/{number:05}.txt")


def latency(home: Path) -> None:
    """From a rename, and from the close of a written file, to the page of the article and its feed."""
    with watching(home):
        drop(home, range(1))
        until(lambda: published(home) == 1)
        for kind in ("renamed in", "written"):
            took = []
            for _ in range(TRIES):
                number = published(home)
                if kind == "renamed in":
                    drop(home, range(number, number + 1))
                else:
                    (home / f"seeds/{number:05}.txt").write_text(digest(number), encoding="utf-8")
                title = f"Article number {number}<".encode()
                took.append(until(lambda t=title: t in (home / "out/all/atom.xml").read_bytes()))  # type: ignore[misc]  # a default binds it now
            p95 = statistics.quantiles(took, n=20)[-1]
            print(
                f"{kind}: median {statistics.median(took):.2f} s, p95 {p95:.2f}, max {max(took):.2f}"
            )


def burst(home: Path) -> None:
    """10,000 digests at once, until the last is on record and published."""
    with watching(home) as process:
        began = time.monotonic()
        drop(home, range(MANY))
        dropped = time.monotonic() - began
        until(lambda: published(home) == MANY, 300, 0.5)
        until(lambda: b"documents" in log(home))
        took = time.monotonic() - began
        print(
            f"burst: {MANY} dropped in {dropped:.1f} s, all in after {took:.1f} s,"
            f" {cpu(process):.1f} s CPU"
        )
    print(f"burst: {MANY - on_record(home)} lost")


def overflow(home: Path) -> None:
    """10,000 digests while the process stands still: the kernel's queue overflows."""
    with watching(home) as process:
        process.send_signal(signal.SIGSTOP)
        drop(home, range(MANY))
        process.send_signal(signal.SIGCONT)
        took = until(lambda: published(home) == MANY, 300, 0.5)
        print(f"overflow: all in {took:.1f} s after the process went on")
    print(f"overflow: {MANY - on_record(home)} lost")


def downtime(home: Path) -> None:
    """From the start of the process to a digest that arrived while nobody watched."""
    (home / "seeds/00001.txt").write_text(digest(1), encoding="utf-8")
    began = time.monotonic()
    with watching(home):
        until(lambda: published(home) == 1)
        print(f"arrived while down: in {time.monotonic() - began:.1f} s after the start")


def idle(home: Path) -> None:
    """Processor time with 10,000 files and nothing to do, over five minutes."""
    drop(home, range(MANY))
    subprocess.run([*FEEDS, "run"], cwd=home, env=clean(), check=True, stdout=subprocess.DEVNULL)
    with watching(home) as process:
        time.sleep(20)
        before, began = cpu(process), time.monotonic()
        time.sleep(300)
        share = (cpu(process) - before) / (time.monotonic() - began)
        print(f"idle with {MANY} files: {share:.2%} of a processor")


def main() -> None:
    """Measure what the arguments name, or everything."""
    wanted = {one.__name__: one for one in (latency, burst, overflow, downtime, idle)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*wanted, []], default=[])
    for name in parser.parse_args().names or wanted:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            (home / "seeds").mkdir()
            wanted[name](home)


if __name__ == "__main__":
    main()
