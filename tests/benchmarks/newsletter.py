"""How fast an edition goes out, by the whole command: record, drafts, DKIM, several connections.

    python tests/benchmarks/newsletter.py [LETTERS [CONNECTIONS]]

Sends to Debian's `smtp-sink` on this machine and prints letters a second, processor seconds per 1,000
letters and resident memory of `feeds send`, of composing, and what `smtp-source` does side by side. Wall
rates are floors on a machine that does something else; the processor's seconds are the steadier figure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

SEEDS = Path(__file__).parent.parent.parent / "seeds"
PORT = 2525
SINK, SOURCE = ("/usr/sbin/smtp-sink", "/usr/sbin/smtp-source")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a command took: seconds of the clock and of the processor, and megabytes at most."""

    wall: float
    cpu: float
    resident: float


def feeds(home: Path, *arguments: str) -> Cost:
    """Run the command in a home to its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "feeds", *arguments], cwd=home, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, arguments
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


@contextmanager
def sink() -> Iterator[None]:
    """Have a server that takes everything."""
    process = subprocess.Popen([SINK, "-u", "nobody", f"127.0.0.1:{PORT}", "1000"])
    time.sleep(0.5)
    try:
        yield
    finally:
        process.kill()


def prepare(home: Path, letters: int, connections: str | None) -> None:
    """Fill a home with an edition for so many subscribers, of four different mixes."""
    shutil.copytree(SEEDS, home / "seeds")
    key = rsa.generate_private_key(65537, 2048)
    (home / "dkim.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (home / "dkim.pem").chmod(0o600)
    limit = f"connections = {connections}\n" if connections else ""
    (home / "feeds.toml").write_text(
        f'[mail]\ntransport = "smtp"\nsecurity = "none"\nport = {PORT}\ndkim_key = "dkim.pem"\n'
        f'from = "News <news@example.org>"\n{limit}'
        '[web]\npublic_url = "https://news.example.org/"\n'
    )
    mixes = ("", "politics", "economy", "sport")
    rows = "".join(f"r{n}@d{n % 500}.example.net,{mixes[n % 4]}\n" for n in range(letters))
    (home / "people.csv").write_text(f"email,channels\n{rows}")


def main(letters: int = 10_000, connections: str | None = None) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, sink():
        home = Path(folder)
        prepare(home, letters, connections)
        imported = feeds(
            home, "subscribers", "import", "people.csv", "--confirmed", "--consent", "x"
        )
        composed = feeds(home, "run", "--no-send")
        nothing = feeds(home, "edition", "list")
        print(f"load {os.getloadavg()[0]:.1f}")
        sent = feeds(home, "send")
        told = subprocess.run(
            [sys.executable, "-m", "feeds", "status", "--json"],
            cwd=home,
            capture_output=True,
            check=False,
        )
        assert json.loads(told.stdout)["deliveries"]["sent"] == letters
        command = [SOURCE, "-s", "10", "-m", str(letters), "-l", "30000", f"127.0.0.1:{PORT}"]
        began = time.monotonic()
        subprocess.run(command, check=True)
        source = letters / (time.monotonic() - began)
    for name, cost in (("import", imported), ("run", composed), ("send", sent)):
        print(f"{name:8} {cost.wall:6.1f} s, {cost.cpu:6.1f} s CPU, {cost.resident:5.0f} MB")
    net = sent.wall - nothing.wall
    print(
        f"send: {letters / net:,.0f} letters/s, {(sent.cpu - nothing.cpu) / letters * 1000:.2f} s CPU"
    )
    print(f"      per 1,000 (the start of the process apart: {nothing.wall:.1f} s)")
    print(f"smtp-source: {source:,.0f} letters/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, *sys.argv[2:3])
