"""`feeds doctor` and `feeds status`: what is wrong is said, with the command that mends it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from feeds import app as opened
from feeds import config, pipeline
from feeds.app import App
from feeds.cli import main
from feeds.config import Settings
from feeds.pipeline import backups, health
from feeds.pipeline.health import Check
from feeds.store.notes import Note
from feeds.store.subscribers import ACTIVE, Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
FIXED = {"FEEDS_NOW": NOW.isoformat()}
DIGEST = "02.01.2026, 09:00 5\n\nParliament passes the budget\n\nThe parliament passed it.\n \n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings over a folder after one pass."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(DIGEST)
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {}, Path("/dev/null"))
    with opened.open_app(found, FIXED) as app:
        pipeline.run(app)
    return found


@pytest.fixture
def app(settings: Settings) -> Iterator[App]:
    with opened.open_app(settings, FIXED) as app:
        yield app


def wrong(settings: Settings) -> dict[str, Check]:
    """Return the checks that fail, by name; that of FEEDS_NOW, which stands here, left out."""
    found = {check.name: check for check in health.examine(settings, FIXED) if not check.ok}
    assert found.pop("now").advice.startswith("`unset FEEDS_NOW`")
    return found


def quick(app: App, now: datetime = NOW) -> dict[str, Check]:
    return {check.name: check for check in health.checks(app, now) if not check.ok}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


def test_what_is_well_is_said_to_be_well_and_nothing_is_changed(
    settings: Settings, tmp_path: Path
) -> None:
    before = tree(tmp_path)
    assert wrong(settings) == {}
    assert {check.name for check in health.examine(settings, {})} >= {
        "record", "private", "seeds", "writable", "out", "sending", "clock", "disk", "documents",
        "lock",
    }  # fmt: skip
    assert all(not check.advice for check in health.examine(settings, {}) if check.ok)
    assert tree(tmp_path) == before


def test_a_machine_without_a_record_is_well(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {}, Path("/dev/null"))
    assert wrong(found) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["seeds"]


@pytest.mark.parametrize("damage", ["no database", "cut", "a page", "lost", "empty"])
def test_a_damaged_record_is_found_and_its_newest_backup_is_named(
    settings: Settings, damage: str
) -> None:
    with opened.open_app(settings, FIXED) as app:
        file = backups.due_backup(app, NOW)
    record = settings.state_folder / "feeds.db"
    data = bytearray(record.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    made = {
        "no database": b"x" * 10_000,
        "cut": bytes(data[:middle]),
        "a page": bytes(data),
        "empty": b"",
    }
    if damage == "lost":
        record.unlink()
    else:
        record.write_bytes(made[damage])
    found = wrong(settings)["record"]
    assert found.advice.startswith(f"`feeds restore {file}`")
    backups.restore(settings, Path(str(file)), NOW)
    assert set(wrong(settings)) == {"sending"}


def test_a_row_that_refers_to_nothing_is_found(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.state_folder / "feeds.db")) as connection, connection:
        connection.execute("DELETE FROM digests")
    assert "a row of entries refers to none of digests" in wrong(settings)["record"].detail


def test_a_record_of_a_newer_version_asks_for_that(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.state_folder / "feeds.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert wrong(settings)["record"].advice == "upgrade feeds"


def test_what_others_could_read_is_named_with_the_command_that_closes_it(
    settings: Settings,
) -> None:
    state = settings.state_folder
    for name, mode in ((".", 0o755), ("feeds.db", 0o644), ("secret", 0o640)):
        (state / name).chmod(mode)
    found = [check for check in health.examine(settings, {}) if check.name == "private"]
    assert [check.advice for check in found] == [
        f"`chmod 700 {state}`",
        f"`chmod 600 {state / 'feeds.db'}`",
        f"`chmod 600 {state / 'secret'}`",
    ]


def test_what_a_sweep_would_mend_is_found_and_left(settings: Settings) -> None:
    page = settings.out_folder / "sport/index.html"
    page.write_text("changed")
    left = settings.out_folder / "sport/.atom.xml.tmp"
    left.write_text("x")
    os.utime(left, (0, 0))
    found = wrong(settings)
    assert found["documents"].detail.endswith("such as sport/index.html")
    assert found["leftovers"].detail.endswith("such as sport/.atom.xml.tmp")
    assert all("`feeds run --sweep`" in check.advice for check in found.values())
    assert page.read_text() == "changed"
    assert left.exists()


def test_seeds_that_are_missing_are_named(settings: Settings) -> None:
    shutil.rmtree(settings.seeds_folder)
    assert "--seeds FOLDER" in wrong(settings)["seeds"].advice


def test_a_folder_that_cannot_be_used_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # nothing is closed to root
    found = wrong(settings)
    assert found["writable"].advice.startswith("`chown")
    assert found["seeds"].detail == "1 files can't be read, such as a.txt"


def test_a_restore_and_a_backup_that_were_cut_short_are_found(settings: Settings) -> None:
    state = settings.state_folder
    (state / "restoring").mkdir()
    (state / ".backup-x").mkdir()
    os.utime(state / ".backup-x", (0, 0))
    found = wrong(settings)
    assert "`feeds restore FILE` again" in found["restore"].advice
    assert ".backup-x" in found["leftovers"].detail


def test_a_backup_that_is_damaged_is_found(settings: Settings) -> None:
    with opened.open_app(settings, FIXED) as app:
        file = backups.due_backup(app, NOW)
    assert file is not None
    assert wrong(settings) == {}
    file.write_bytes(file.read_bytes()[:-100])
    assert str(file) in wrong(settings)["backups"].detail


def test_who_holds_the_lock_is_said(settings: Settings) -> None:
    def said() -> str:
        return next(c.detail for c in health.examine(settings, {}) if c.name == "lock")

    with opened.lock(settings, "watch"):
        assert said() == f"held by feeds watch (process {os.getpid()})"
    assert said() == "nobody works on the record now"
    (settings.state_folder / "lock").write_text("feeds watch (process 999999999)\n")  # was killed
    assert said() == "nobody works on the record now"


def test_an_address_that_only_this_machine_reaches_is_no_public_one(
    settings: Settings,
) -> None:
    mail = replace(settings.mail, sender="news@example.org")
    found = wrong(replace(settings, mail=mail))
    assert found["address"].detail.startswith("mail.from is news@example.org, but base_url is")
    web = replace(settings.web, host="0.0.0.0")
    assert "web.host is 0.0.0.0" in wrong(replace(settings, web=web))["address"].detail
    public = replace(settings.publication, base_url="https://news.example.org/")
    assert "address" not in wrong(replace(settings, mail=mail, publication=public))


def test_low_limits_of_inotify_are_named(tmp_path: Path) -> None:
    (tmp_path / "max_user_watches").write_text("100\n")
    (tmp_path / "max_user_instances").write_text("128\n")
    [found] = health._inotify(tmp_path)
    assert "`sysctl fs.inotify.max_user_watches=1024`" in found.advice
    assert list(health._inotify(tmp_path / "none")) == []


# The quick checks.


def test_a_stop_of_sending_is_a_failed_check(app: App) -> None:
    app.store.notes.write(Note.HELD, "yesterday: restored from a.tar")
    assert quick(app)["sending"].detail == "stopped since yesterday: restored from a.tar"
    assert "`feeds send --release` lifts it" in quick(app)["sending"].advice


def test_a_lost_key_is_found(app: App) -> None:
    (app.settings.seeds_folder / "a.txt").write_text(
        "01.01.2026, 09:00 5\n\nA title\n\nThe parliament passed the state budget on Monday.\n"
    )
    wish = Wish("a@example.org")
    app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="r", revive=False)
    pipeline.run(app)
    (app.settings.state_folder / "secret").write_bytes(b"short")
    failed = {one.name for one in health.examine(app.settings, app.environ) if not one.ok}
    assert "key" in failed


def test_a_clock_behind_the_record_is_found(app: App) -> None:
    assert quick(app, NOW - timedelta(minutes=10)) == {}
    assert set(quick(app, NOW - timedelta(minutes=11))) == {"clock"}


def test_backups_are_asked_for_only_where_they_are_made(app: App) -> None:
    assert quick(app, NOW + timedelta(days=9)) == {}
    backups.due_backup(app, NOW)
    assert quick(app, NOW + timedelta(hours=26)) == {}  # nobody watches, so nobody makes any
    (app.settings.state_folder / "lock").write_text(f"feeds watch (process {os.getpid()})\n")
    assert quick(app, NOW + timedelta(hours=25)) == {}
    assert set(quick(app, NOW + timedelta(hours=26))) == {"backup"}
    app.store.notes.write(Note.BACKUP_FAILED, f"{NOW.isoformat()} no room")
    assert quick(app)["backup"].detail == "failed at 2026-01-02 06:30 UTC: no room"


@pytest.mark.parametrize(
    ("total", "free", "ok"),
    [
        (1e12, 2e9, True),
        (1e12, 9e8, False),  # less than 1 GB of a large disk
        (1e10, 6e8, True),
        (1e10, 4e8, False),  # less than 5 % of a small one
        (1e9, 9e7, False),  # less than 100 MB of any
    ],
)
def test_a_disk_that_fills_up_is_found(
    app: App, monkeypatch: pytest.MonkeyPatch, total: float, free: float, ok: bool
) -> None:
    usage = SimpleNamespace(total=int(total), free=int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert ("disk" not in quick(app)) is ok


def test_quarantine_is_no_failure(app: App) -> None:
    (app.settings.seeds_folder / "bad.txt").write_text("nothing that a format explains\n")
    pipeline.run(app)
    assert quick(app) == {}
    [check] = [one for one in health.checks(app, NOW) if one.name == "digests"]
    assert check.detail == "1 in quarantine"


# The commands.


@pytest.fixture
def shell(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Return a user in the folder of the record: runs a command, returns status, stdout, stderr."""
    for name in [name for name in os.environ if name.startswith("FEEDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEEDS_STATE", str(settings.state_folder))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


def test_doctor_ends_with_1_and_names_what_mends(shell: Any) -> None:
    status, out, _ = shell("doctor")
    assert (status, out.splitlines()[-1]) == (0, "All is well.")
    Path("out/feeds.opml").unlink()
    status, out, _ = shell("doctor")
    assert (status, out.splitlines()[-1]) == (1, "1 check failed.")
    assert "FAILED  documents 1 of " in out
    assert "`feeds run --sweep` makes them again" in out
    status, out, _ = shell("doctor", "--json")
    checks = [json.loads(line) for line in out.splitlines()]
    assert {tuple(check) for check in checks} == {("name", "ok", "detail", "advice")}
    assert [check["name"] for check in checks if not check["ok"]] == ["documents"]
    _, out, err = shell("run", "--sweep")
    assert "1 lost or changed" in err
    assert "Documents  1 written" in out
    assert shell("doctor")[0] == 0


def test_backup_and_restore_say_what_they_did_and_what_comes_next(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out, _ = shell("backup", "b.tar.gz")
    assert out.startswith("b.tar.gz: the record and its key, ")
    status, _, err = shell("backup", "b.tar.gz")
    assert (status, err) == (
        2,
        "feeds: b.tar.gz is there already; name another, or move it away\n",
    )
    status, out, _ = shell("restore", "b.tar.gz")
    assert status == 0
    assert "feeds send --release --dry-run" in out
    assert all(len(line) <= 80 for line in out.splitlines() if "replaced-" not in line)
    assert shell("restore", "none.tar")[0] == 1
    assert json.loads(shell("restore", "b.tar.gz", "--json")[1])["key"] is True
    monkeypatch.setenv("FEEDS_SECRET", "ours")
    assert "FEEDS_SECRET gives it, and is in no backup" in shell("backup", "c.tar")[1]


def test_run_and_send_say_that_sending_is_stopped_until_it_is_released(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDS_NOW", NOW.isoformat())
    shell("subscribers", "add", "you@example.org")
    shell("backup", "b.tar")
    shell("restore", "b.tar")
    stop = "Sending is stopped since "
    for command in (("run",), ("send",), ("send", "--now"), ("send", "--to", "you@example.org")):
        status, _, err = shell(*command)
        assert (status, err.count(stop)) == (0, 1), command
    assert set(json.loads(shell("send", "--json")[1]).values()) == {0}
    assert not Path("state/outbox").exists()
    assert "1 letter to deliver" in shell("send", "--release", "--dry-run")[1]
    assert shell("send", "--release", "--to", "you@example.org")[0] == 2
    assert not Path("state/outbox").exists()
    status, out, err = shell("send", "--release")
    assert (status, "1 letter written" in out, err) == (0, True, "")
    assert shell("send", "--release")[2] == "Sending was not stopped.\n"


def test_a_release_leaves_the_delivery_to_whoever_holds_the_lock(
    shell: Any, settings: Settings
) -> None:
    shell("backup", "b.tar")
    shell("restore", "b.tar")
    with opened.lock(settings, "watch"):
        status, out, err = shell("send", "--release", "--json")
    assert (status, set(json.loads(out).values())) == (0, {0})
    assert err == f"Released; feeds watch (process {os.getpid()}) delivers what is due.\n"
    with opened.open_app(settings, FIXED) as app:
        assert pipeline.held(app) is None
