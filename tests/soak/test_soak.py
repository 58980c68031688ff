"""A month of watching, with kills and faults: every promise holds. `soak.py` runs for months."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")
QUICK = ("--months", "1", "--calm", "1", "--step", "360", "--rate", "0.1", "--risk", "0.25")


@pytest.mark.slow
@pytest.mark.faults
def test_a_month_of_faults_breaks_no_promise(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    seed = request.config.getoption("--faults-seed")
    command = [sys.executable, str(SOAK), *QUICK, "--seed", seed, "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout)  # also tells what is skipped, and why
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
