"""No secret reaches a log, a page or a letter; addresses stand where they belong and nowhere else.

Canaries are put into every place of a secret; then commands run at their most talkative, also those
that fail, and all that they said and wrote is searched.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from faults.harness import (
    GARBAGE,
    LATER,
    STRACE,
    TESTS,
    Server,
    Told,
    Walk,
    commands,
    copy,
    launch,
    plant,
    traced,
)

pytestmark = [pytest.mark.faults, pytest.mark.slow]

SECRETS = {
    "FEEDS_SECRET": "canary-secret-3a91",
    "FEEDS_MAIL_PASSWORD": "canary-password-77c2",
}
IN_FILE = "canary-in-a-file-b05e"
ADDRESS = "canary-address@example.org"


@pytest.fixture(scope="module", params=["variable", "file"])
def given(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """Return a home after a pass, and the variables of its secrets.

    The key is given by a variable, or stands in a file that a variable names.
    """
    folder = tmp_path_factory.mktemp("secrets")
    home = plant(folder, "stamped_tight.txt", "teasers.txt", "unknown.txt")
    (folder / "key").write_text(f"{IN_FILE}\n")
    environ = dict(SECRETS)
    if request.param == "file":
        del environ["FEEDS_SECRET"]
        environ["FEEDS_SECRET_FILE"] = str(folder / "key")
    server.run(home, f"subscribers add {ADDRESS}")
    assert server.run(home, "run", environ).status == 3
    plant(folder, "stamped_spread.txt")
    return home, environ | {"FEEDS_DEBUG": "1", "FEEDS_NOW": LATER}


@pytest.fixture
def home(given: tuple[Path, dict[str, str]]) -> Path:
    """Return a fresh copy of the home."""
    return copy(given[0])


@pytest.fixture
def environ(given: tuple[Path, dict[str, str]]) -> dict[str, str]:
    """Return the variables that hold the canaries and make commands talk."""
    return given[1]


def check(done: Told, command: str) -> None:
    """Check what a command said."""
    for said in (done.out, done.err):
        for secret in (*SECRETS.values(), IN_FILE):
            assert secret not in said, command
    assert ADDRESS not in done.err, (command, done.err)
    if not command.startswith(("subscribers", "edition preview")):
        assert ADDRESS not in done.out, command


def check_files(home: Path) -> None:
    """Check what lies in a home, and that there was something to find."""
    for path in home.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for secret in (*SECRETS.values(), IN_FILE):
                assert secret.encode() not in data, path
            if path.is_relative_to(home / "out"):
                assert ADDRESS.encode() not in data, path
    assert list((home / ".feeds/outbox").glob("*.eml"))


def test_what_commands_say_holds_no_secret(
    home: Path, environ: dict[str, str], server: Server
) -> None:
    for command in (*commands(), f"edition preview --to {ADDRESS}", f"send --to {ADDRESS}"):
        done = server.run(home, f"{command} -v", environ)
        check(done, command)
    check_files(home)


def a_damaged_record(home: Path) -> None:
    record = home / ".feeds/feeds.db"
    record.write_bytes(GARBAGE + record.read_bytes()[len(GARBAGE) :])


def a_damaged_table(home: Path) -> None:
    """Let a statement fail that holds an address; SQLAlchemy would tell what it held."""
    record = home / ".feeds/feeds.db"
    with closing(sqlite3.connect(record)) as opened:
        [size] = opened.execute("PRAGMA page_size").fetchone()
        roots = "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'subscribers'"
        pages = [page for [page] in opened.execute(roots)]
    data = bytearray(record.read_bytes())
    for page in pages:
        data[(page - 1) * size : page * size] = GARBAGE[:1] * size
    record.write_bytes(data)


def a_page_in_the_way(home: Path) -> None:
    shutil.rmtree(home / "out/all")
    (home / "out/all").write_text("in the way")


def an_outbox_in_the_way(home: Path) -> None:
    shutil.rmtree(home / ".feeds/outbox")
    (home / ".feeds/outbox").write_text("in the way")


def no_record(home: Path) -> None:
    (home / ".feeds/feeds.db").unlink()
    (home / ".feeds/feeds.db").mkdir()


def a_wrong_setting(home: Path) -> None:
    (home / "feeds.toml").write_text("[mail]\npassword = 1\n")


def a_wrong_sender(home: Path) -> None:
    (home / "feeds.toml").write_text('[mail]\nfrom = "News <n@-.->"\n')


@pytest.mark.parametrize(
    "breaks",
    [
        a_damaged_record,
        a_damaged_table,
        a_page_in_the_way,
        an_outbox_in_the_way,
        no_record,
        a_wrong_setting,
        a_wrong_sender,
    ],
    ids=lambda breaks: breaks.__name__,
)
def test_what_failing_commands_say_holds_no_secret(
    home: Path, environ: dict[str, str], server: Server, breaks: Callable[[Path], None]
) -> None:
    breaks(home)
    for command in ("run --json -v", "send --now -v", f"subscribers add {ADDRESS} -v", "status -v"):
        check(server.run(home, command, environ), command)


@pytest.mark.skipif(not STRACE, reason="strace is not installed")
def test_what_commands_say_on_a_full_disk_holds_no_secret(
    home: Path, environ: dict[str, str]
) -> None:
    for command, number in ((f"subscribers add x{ADDRESS} -v", 1), ("run -v", 40)):
        fault = f"pwrite64:error=ENOSPC:when={number}+"
        check(traced(Walk(home, command, environ), home, fault, only=["pwrite64"]), command)


def test_what_a_broken_template_says_holds_no_secret(
    home: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    package = tmp_path / "package"
    for name in ("feeds", "templates"):
        shutil.copytree(TESTS.parent / name, package / name)
    for template in ("letter.html", "channel.html"):
        (package / "templates" / template).write_text("{{ reader.email }} {% broken %}")
    paths = f"{package}:{TESTS}"
    done = launch(home, "run -v", environ | {"PYTHONPATH": paths})
    assert done.status in {1, 3}
    assert "template" in done.err
    check(done, "run")
