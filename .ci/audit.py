"""Holds the locked environment against the advisories that PyPI publishes, by pip-audit.

Exit status 1 when one concerns us. Where the advisories can't be had, says so: that is no answer.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent / "requirements.txt"
COMMAND = ("-m", "pip_audit", "-r", str(LOCK), "--disable-pip", "--require-hashes", "-f", "json")


def main() -> int:
    """Print what is known of the locked versions."""
    done = subprocess.run(  # noqa: S603 -- a command of ours
        [sys.executable, *COMMAND], capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = done.stderr.strip().splitlines() or ["no answer"]
        print(f"1 check skipped: no advisories to be had here: {said[-1]}")
        return 0
    unknown = [one["name"] for one in found if "skip_reason" in one]
    hit = [one for one in found if one.get("vulns")]
    for one in hit:
        ids = ", ".join(vuln["id"] for vuln in one["vulns"])
        print(f"{one['name']} {one['version']}: {ids}")
    if unknown:
        print(f"1 check skipped for {len(unknown)} of {len(found)} packages: not known where asked")
    else:
        print(f"{len(found)} packages, {len(hit)} with known vulnerabilities")
    return 1 if hit else 0


if __name__ == "__main__":
    sys.exit(main())
