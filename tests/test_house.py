"""The house rules: who may import whom, what the wheel holds, that the README is not stale."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from factories import GOLDEN, ROOT
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

from feeds import app, config, digests
from feeds.cli import commands

README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted((ROOT / "feeds").rglob("*.py"))


def test_rooms_keep_their_doors_shut() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_nothing_happens_late_but_what_is_listed() -> None:
    late = {
        "__main__.py": {"feeds.cli"},
        "app.py": {"feeds.topics"},
        "letters/inlining.py": {"css_inline"},
        "pipeline/composing.py": {"feeds.letters.words"},
        "pipeline/delivery.py": {"feeds.letters"},
        "pipeline/dnscheck.py": {"dns.exception", "dns.resolver", "feeds.dkim"},
        "pipeline/intake.py": {"feeds.topics"},
        "pipeline/mailcheck.py": {"feeds.mailbox", "feeds.outbox.smtp.Connection"},
        "pipeline/notices.py": {"feeds.letters"},
        "pipeline/post.py": {
            "feeds.dkim",
            "feeds.letters",
            "feeds.mailbox",
            "feeds.mailbox.addresses.verp",
            "feeds.outbox.smtp.Connection",
            "feeds.outbox.smtp.Server",
        },
        "pipeline/returns.py": {"feeds.mailbox", "feeds.mailbox.reports"},
        "pipeline/shelf.py": {"feeds.letters.words", "feeds.outputs"},
        "pipeline/subscriptions.py": {"feeds.letters", "feeds.letters.headers"},
        "publication.py": {"jinja2", "jinja2.nodes", "jinja2.sandbox"},
        "cli/bounces.py": {"feeds.mailbox"},
        "cli/doors.py": {
            "feeds.schedule.Bell",
            "feeds.schedule.pulse.Pulse",
            "feeds.schedule.service",
            "feeds.schedule.watch",
            "feeds.web",
        },
        "inbox/watch.py": {"watchdog.observers.inotify.InotifyObserver"},
        "store/migrate.py": {"alembic.command", "alembic.config"},
    }
    found: dict[str, set[str]] = {}
    for path in MODULES:
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                names = {name for node in ast.walk(function) for name in _imported(node)}
                if names:
                    found.setdefault(str(path.relative_to(ROOT / "feeds")), set()).update(names)
    assert found == late


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def test_only_the_clock_reads_the_clock() -> None:
    reads = re.compile(r"datetime\.(now|utcnow|today)\(|date\.today\(|time\.time\(")
    found = [path.name for path in MODULES if reads.search(path.read_text(encoding="utf-8"))]
    assert found == ["app.py"]


def test_a_pass_with_nothing_new_imports_no_heavy_library(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    script = (
        "import sys; from feeds.cli import main\n"
        "try: main(['run'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'feedgen', 'jinja2', 'alembic', 'starlette', 'uvicorn', 'lxml',"
        " 'cryptography', 'css_inline', 'dns', 'smtplib', 'imaplib'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)\n"
    )
    for expected in (None, "[]\n"):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        if expected is not None:
            assert done.stderr == expected


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of the files in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    [path] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_all_that_the_program_reads(wheel: set[str]) -> None:
    templates = {f"feeds/templates/{path.name}" for path in (ROOT / "templates").iterdir()}
    data = {str(path.relative_to(ROOT)) for path in (ROOT / "feeds/topics").glob("*.[!p]*")}
    code = {str(path.relative_to(ROOT)) for path in MODULES}
    wanted = templates | {name for name in data if "__pycache__" not in name} | code
    assert wanted | {"feeds/py.typed"} <= wheel


def test_the_wheel_holds_nothing_else(wheel: set[str]) -> None:
    strange = {
        name
        for name in wheel
        if not name.startswith(("feeds/", "feeds-")) or "test" in name or "corpus" in name
    }
    assert strange == set()


def test_every_command_is_in_the_readme() -> None:
    for name, command in commands.commands.items():
        assert f"`feeds {name}" in README, name
        for inner in getattr(command, "commands", {}):
            assert re.search(rf"`(feeds {name} )?{inner}\b", README), f"{name} {inner}"


def test_the_readme_shows_every_setting_and_no_other(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    shown: dict[str, Any] = tomllib.loads(block)
    kinds = config._SECTIONS | config._LISTS
    there = {name: set(config._keys(kind)) for name, kind in kinds.items()}
    in_readme = {
        name: set(table[0] if isinstance(table, list) else table) for name, table in shown.items()
    }
    assert in_readme == there
    (tmp_path / "feeds.toml").write_text(block)
    assert config.load({}, {}, tmp_path / "feeds.toml").warnings == ()


def test_the_readme_shows_the_defaults(tmp_path: Path) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "feeds.toml").write_text(block)
    shown = config.load({}, {}, tmp_path / "feeds.toml")
    default = config.load({}, {}, Path("/dev/null"))
    assert shown.seeds.max_bytes == default.seeds.max_bytes
    assert shown.feeds.entries == default.feeds.entries
    assert shown.feeds.max_bytes == default.feeds.max_bytes
    for key in ("name", "cron", "wait", "max_age", "max_entries", "subject"):
        assert getattr(shown.editions[0], key) == getattr(default.editions[0], key)
    for key in ("title", "description", "language", "timezone", "base_url"):
        assert getattr(shown.publication, key) == getattr(default.publication, key)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    for part in ("pip", "install", "-e '.[test]'", "pytest"):
        assert part in script
    assert ".venv/bin/pip install -e '.[test]' && .venv/bin/pytest" in README


def test_what_the_tests_run_with_is_locked_within_the_bounds() -> None:
    lock = (ROOT / ".ci/requirements.txt").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
    assert lock.count("--hash=sha256:") > len(locked)
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*about["dependencies"], *about["optional-dependencies"]["test"]]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[requirement.name]), requirement


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_unit_for_systemd_is_sound_and_shut_in(tmp_path: Path) -> None:
    unit = (ROOT / "docs/feeds.service").read_text(encoding="utf-8")
    path = tmp_path / "feeds.service"
    path.write_text(unit.replace("/opt/feeds/.venv/bin/feeds", sys.executable), encoding="utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, exposed.stdout[-300:]


def test_every_format_has_a_golden_digest() -> None:
    golden = {path.read_text(encoding="utf-8") for path in (GOLDEN / "digests").glob("*.json")}
    for form in digests.FORMATS:
        assert any(f'"format": "{form.NAME}"' in text for text in golden), form.NAME


def test_templates_are_found_in_a_checkout() -> None:
    assert (app._templates() / "base.html").is_file()
