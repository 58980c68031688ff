"""feeds send is killed while letters go: none is lost, and few go twice, equal to the byte."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import chaos
import pytest

pytestmark = [pytest.mark.faults, pytest.mark.slow]

LETTERS, KILLS = 400, 5
SEED = "01.01.2026, 09:00 5\n\nParliament passes the budget\n\nThe state budget passed.\n \n"


def feeds(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "feeds", *arguments],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def ends_well(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()


@pytest.mark.parametrize("connections", [None, 4])
def test_a_kill_while_letters_go_loses_none(
    tmp_path: Path, connections: int | None, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(request.config.getoption("--faults-seed"))
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(SEED)
    rows = "".join(f"r{number}@example.net\n" for number in range(LETTERS))
    (tmp_path / "people.csv").write_text(f"email\n{rows}")
    with chaos.server("ok") as peer:
        limit = f"connections = {connections}" if connections else ""
        (tmp_path / "feeds.toml").write_text(
            '[mail]\ntransport = "smtp"\nsecurity = "none"\nunsubscribe = "mailto"\n'
            f'from = "news@example.org"\nrate = "100 a second"\nport = {peer.port}\n{limit}\n'
        )
        ends_well(
            feeds(tmp_path, "subscribers", "import", "people.csv", "--confirmed", "--consent", "x")
        )
        ends_well(feeds(tmp_path, "run", "--no-send"))
        for kill in range(KILLS):
            process = feeds(tmp_path, "send")
            wanted = len(peer.taken) + chance.randrange(20, 60)
            while len(peer.taken) < wanted and process.poll() is None:
                time.sleep(0.001)
            assert process.poll() is None, f"all went before kill {kill}"
            process.send_signal(signal.SIGKILL)
            process.communicate()
        ends_well(feeds(tmp_path, "send"))
    got = Counter(one.recipient for one in peer.taken)
    assert len(got) == LETTERS
    assert sum(got.values()) - LETTERS <= KILLS * (connections or 1)
    copies = defaultdict(set)
    for one in peer.taken:
        copies[one.recipient].add((one.message_id, one.sha256))
    assert all(len(each) == 1 for each in copies.values())
