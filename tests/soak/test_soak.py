"""A week and more of watching, with kills and faults: every promise holds. soak.py runs for months."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.slow
@pytest.mark.faults
def test_a_week_of_faults_breaks_no_promise(request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("--faults-seed")
    command = [sys.executable, str(SOAK), "--seed", seed, "--months", "0.25", "--minutes", "0.5"]
    done = subprocess.run([*command, "--steady", "8"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
