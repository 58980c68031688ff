"""Backup and restore: whole or not at all, never two records mixed, and no mail after a restore."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feeds import app as opened
from feeds import config, pipeline
from feeds.app import App
from feeds.config import Settings
from feeds.errors import BackupError, LockError, StoreError, UsageError
from feeds.pipeline import archive, backups, subscriptions, suppressed
from feeds.store import Store, migrate, schema
from feeds.store import backup as copies
from feeds.store.database import Database
from feeds.store.notes import Note
from feeds.store.subscribers import Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
DIGEST = "02.01.2026, 09:00 5\n\n{}\n\nThe parliament passed the state budget on Monday.\n \n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings over a folder with one digest."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(DIGEST.format("Parliament passes the budget"))
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    return config.load(flags, {}, Path("/dev/null"))


def run(settings: Settings, at: datetime = NOW) -> pipeline.Summary:
    """Do one pass with one subscriber."""
    with opened.open_app(settings, {"FEEDS_NOW": at.isoformat()}) as app:
        add = app.store.subscribers.add
        add(Wish("you@example.org"), at, state="active", reason="test", revive=True)
        return pipeline.run(app)


def save(settings: Settings, file: Path) -> Path:
    with opened.open_app(settings, {"FEEDS_NOW": NOW.isoformat()}) as app:
        return backups.backup(app, file)


def titles(settings: Settings) -> list[str]:
    with opened.open_app(settings, {}) as app:
        return sorted(entry.article.title for entry in app.store.entries.newest(100))


@pytest.fixture
def saved(settings: Settings, tmp_path: Path) -> Path:
    """Return a backup that holds one article; the record has gone on to two."""
    run(settings)
    file = save(settings, tmp_path / "b.tar.gz")
    more = settings.seeds_folder / "b.txt"
    more.write_text(DIGEST.format("Parliament debates a law"))
    run(settings, NOW + timedelta(days=1))
    return file


@pytest.mark.parametrize("name", ["b.tar", "b.tar.gz", "b.tgz"])
def test_a_backup_is_one_private_file_that_tar_reads(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    run(settings)
    file = save(settings, tmp_path / name)
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(file) as tar:
        assert tar.getnames() == ["manifest.json", "feeds.db", "secret"]
        tar.extractall(tmp_path / "there", filter="data")
    assert (tmp_path / "there/secret").read_bytes() == (
        settings.state_folder / "secret"
    ).read_bytes()
    assert copies.examine(tmp_path / "there/feeds.db") == ()
    assert (file.read_bytes()[:2] == b"\x1f\x8b") == (name != "b.tar")
    assert {path.name for path in tmp_path.glob(".*")} == set()
    assert list(settings.state_folder.glob(".backup-*")) == []


def test_a_backup_never_overwrites(settings: Settings, tmp_path: Path) -> None:
    run(settings)
    theirs = tmp_path / "theirs.tar"
    theirs.write_text("theirs")
    with pytest.raises(UsageError, match="name another"):
        save(settings, theirs)
    assert theirs.read_text() == "theirs"
    with pytest.raises(UsageError, match="is no folder"):
        save(settings, tmp_path / "none/b.tar")


def test_a_backup_made_while_others_write_is_one_state(settings: Settings, tmp_path: Path) -> None:
    run(settings)
    with Store(settings.state_folder / "feeds.db") as store:
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                wish = Wish(f"{number}@example.org")
                store.subscribers.add(wish, NOW, state="active", reason="test", revive=True)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            files = [save(settings, tmp_path / f"{number}.tar") for number in range(3)]
        finally:
            stop.set()
            writer.join()
    sizes = []
    for file in files:
        (tmp_path / file.stem).mkdir()
        archive.unpack(file, tmp_path / file.stem)
        record = tmp_path / file.stem / "feeds.db"
        assert copies.examine(record) == ()
        with closing(sqlite3.connect(record)) as connection:
            [people] = connection.execute("SELECT count(*) FROM subscribers").fetchone()
            [logged] = connection.execute("SELECT count(*) FROM consents").fetchone()
        assert people == logged  # both are written in one transaction
        sizes.append(people)
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_a_glance_finds_a_page_that_was_damaged(settings: Settings) -> None:
    run(settings)
    record = settings.state_folder / "feeds.db"
    assert copies.glance(record) == ()
    with record.open("r+b") as file:
        file.seek(record.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    assert copies.glance(record)
    assert copies.glance(settings.state_folder / "none.db")
    assert not (settings.state_folder / "none.db").exists()


def test_a_damaged_record_makes_no_backup(settings: Settings, tmp_path: Path) -> None:
    run(settings)
    record = settings.state_folder / "feeds.db"
    with closing(sqlite3.connect(record, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("DELETE FROM digests")
    with pytest.raises(BackupError, match="the record is damaged"):
        save(settings, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_a_restore_brings_back_the_record_and_keeps_the_one_it_replaces(
    settings: Settings, saved: Path
) -> None:
    key = (settings.state_folder / "secret").read_bytes()
    (settings.state_folder / "secret").write_bytes(b"x" * 32)
    done = backups.restore(settings, saved, NOW)
    assert titles(settings) == ["Parliament passes the budget"]
    assert (settings.state_folder / "secret").read_bytes() == key
    assert done.rekeyed
    assert done.replaced == settings.state_folder / "replaced-20260102T063000Z"
    assert (done.replaced / "secret").read_bytes() == b"x" * 32
    assert sorted(path.name for path in done.replaced.iterdir()) == ["feeds.db", "secret"]
    with Store(done.replaced / "feeds.db") as store:
        assert len(list(store.entries.newest(100))) == 2
    again = backups.restore(settings, saved, NOW)
    assert again.replaced == settings.state_folder / "replaced-20260102T063000Z-2"
    assert not again.rekeyed
    for path in settings.state_folder.glob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_after_a_restore_out_is_made_again(settings: Settings, saved: Path) -> None:
    backups.restore(settings, saved, NOW)
    (settings.seeds_folder / "b.txt").unlink()
    page = settings.out_folder / "politics/index.html"
    assert "debates a law" in page.read_text()
    run(settings)
    assert "debates a law" not in page.read_text()


def test_after_a_restore_nothing_is_mailed_until_it_is_released(
    settings: Settings, saved: Path
) -> None:
    outbox = settings.state_folder / "outbox"
    backups.restore(settings, saved, NOW)
    for letter in outbox.iterdir():
        letter.unlink()
    at = NOW + timedelta(days=2)
    done = run(settings, at)
    assert (done.editions["composed"], done.deliveries, done.clean) == (1, {}, True)
    with opened.open_app(settings, {"FEEDS_NOW": at.isoformat()}) as app:
        latest = app.store.editions.newest(composed=True)
        assert pipeline.due(app, at) == []
        for slotted in latest:
            assert pipeline.send(app, slotted, again=True) == {}
            assert pipeline.send(app, slotted, only="you@example.org") == {}
        assert list(outbox.iterdir()) == []
        assert (app.out / pipeline.thaw(latest[0]).path).is_file()
        assert str(pipeline.held(app)).endswith("UTC: restored from b.tar.gz")
        assert pipeline.let_go(app)
        assert not pipeline.let_go(app)
    assert run(settings, at).deliveries == {"written": 1}


def test_a_damaged_or_missing_record_is_no_obstacle(settings: Settings, saved: Path) -> None:
    record = settings.state_folder / "feeds.db"
    record.write_bytes(b"no database at all" * 1000)
    (settings.state_folder / "feeds.db-wal").write_bytes(b"its log")
    done = backups.restore(settings, saved, NOW)
    assert done.replaced is not None
    assert (done.replaced / "feeds.db").read_bytes() == b"no database at all" * 1000
    assert (done.replaced / "feeds.db-wal").read_bytes() == b"its log"
    assert titles(settings) == ["Parliament passes the budget"]
    record.unlink()
    assert backups.restore(settings, saved, NOW).replaced is None
    assert titles(settings) == ["Parliament passes the budget"]


def test_what_is_committed_in_the_log_is_kept_with_the_old_record(
    settings: Settings, saved: Path
) -> None:
    script = (
        "import os, sys; from pathlib import Path; from feeds.store import Store\n"
        "store = Store(Path(sys.argv[1])); store.authority('x'); store.notes.write('swept', 'late')\n"
        "os._exit(9)\n"
    )
    record = settings.state_folder / "feeds.db"
    subprocess.run([sys.executable, "-c", script, record], check=False)
    assert (settings.state_folder / "feeds.db-wal").stat().st_size
    done = backups.restore(settings, saved, NOW)
    assert done.replaced is not None
    with closing(sqlite3.connect(done.replaced / "feeds.db")) as connection:
        found = connection.execute("SELECT value FROM meta WHERE key = 'swept'").fetchall()
    assert found == [("late",)]


def test_a_record_that_is_open_is_not_exchanged(
    settings: Settings, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_TRIES", 1)
    with (
        Store(settings.state_folder / "feeds.db"),
        pytest.raises(BackupError, match="another command has the record open"),
    ):
        backups.restore(settings, saved, NOW)
    assert len(titles(settings)) == 2


def test_an_older_schema_is_brought_up_to_date(settings: Settings, tmp_path: Path) -> None:
    run(settings)
    folder = tmp_path / "old"
    folder.mkdir()
    database = Database(folder / "feeds.db")
    with database.write() as connection:
        migrate.upgrade(connection, database.place, to="0001")
    database.close()
    copies.settle(folder / "feeds.db")
    archive.pack(tmp_path / "old.tar", folder, "0.1", "0001", NOW)
    backups.restore(settings, tmp_path / "old.tar", NOW)
    assert copies.revision(settings.state_folder / "feeds.db") == schema.REVISIONS[-1]
    assert titles(settings) == []


def test_a_newer_schema_is_refused(settings: Settings, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    archive.unpack(saved, folder)
    with closing(sqlite3.connect(folder / "feeds.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    archive.pack(tmp_path / "new.tar", folder, "9.0", "9999", NOW)
    with pytest.raises(BackupError, match=r"newer version \(9999; .*with feeds 9.0 or newer"):
        backups.restore(settings, tmp_path / "new.tar", NOW)
    assert len(titles(settings)) == 2


# What an archive may hold in place of a backup: each is refused, and nothing changes.


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]  # plain files


def info(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size = len(data)
    for key, value in fields.items():
        setattr(made, key, value)
    return made, data


def packed(file: Path, *listed: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for made, data in listed:
            tar.addfile(made, io.BytesIO(data))
    return file


def told(there: dict[str, bytes], *names: str, **changes: object) -> bytes:
    """Return a manifest of these members, true but for the changes of `feeds.db`."""
    said = json.loads(there["manifest.json"])
    said["members"] = [
        {"name": n, "size": len(there[n]), "sha256": hashlib.sha256(there[n]).hexdigest()}
        for n in names
    ]
    said["members"][0] |= changes
    return json.dumps(said).encode()


Maker = Callable[[dict[str, bytes]], list[tuple[tarfile.TarInfo, bytes]]]
HOSTILE: dict[str, Maker] = {
    "a path": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("../feeds.db", m["feeds.db"]),
    ],
    "an absolute path": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("/tmp/feeds.db", m["feeds.db"]),
    ],
    "a link": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("feeds.db", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    ],
    "a hard link": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("feeds.db", type=tarfile.LNKTYPE, linkname="manifest.json"),
    ],
    "a device": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("feeds.db", type=tarfile.CHRTYPE),
    ],
    "a strange member": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("feeds.db", m["feeds.db"]),
        info("lock", b"x"),
    ],
    "an extended header": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("feeds.db", m["feeds.db"], pax_headers={"comment": "x" * 100_000}),
    ],
    "the record twice": lambda m: [
        info("manifest.json", told(m, "feeds.db")),
        info("feeds.db", m["feeds.db"]),
        info("feeds.db", m["feeds.db"]),
    ],
    "no manifest": lambda m: [info("feeds.db", m["feeds.db"])],
    "a manifest of another size": lambda m: [
        info("manifest.json", told(m, "feeds.db", size=1)),
        info("feeds.db", m["feeds.db"]),
    ],
    "a size below nothing": lambda m: [
        info("manifest.json", told(m, "feeds.db", size=-1)),
        info("feeds.db", m["feeds.db"]),
    ],
    "a wrong hash": lambda m: [
        info("manifest.json", told(m, "feeds.db", sha256="0" * 64)),
        info("feeds.db", m["feeds.db"]),
    ],
    "a manifest that is none": lambda m: [
        info("manifest.json", b"[1]"),
        info("feeds.db", m["feeds.db"]),
    ],
    "a manifest without end": lambda m: [
        info("manifest.json", b"[" * 60_000),
        info("feeds.db", m["feeds.db"]),
    ],
    "no database": lambda m: [
        info("manifest.json", told(m | {"feeds.db": b"x"}, "feeds.db")),
        info("feeds.db", b"x"),
    ],
    "a database of others": lambda m: [
        info("manifest.json", told(m | {"feeds.db": b""}, "feeds.db")),
        info("feeds.db", b""),
    ],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_whole_backup_is_refused(
    settings: Settings, saved: Path, tmp_path: Path, name: str
) -> None:
    file = packed(tmp_path / "hostile.tar", *HOSTILE[name](members(saved)))
    before = sorted(settings.state_folder.rglob("*"))
    with pytest.raises(BackupError):
        backups.restore(settings, file, NOW)
    assert sorted(settings.state_folder.rglob("*")) == before
    assert len(titles(settings)) == 2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("packer", [gzip.decompress, bytes], ids=["tar", "tar.gz"])
def test_a_backup_that_was_cut_short_is_refused(
    settings: Settings, saved: Path, tmp_path: Path, share: float, packer: Callable[[bytes], bytes]
) -> None:
    data = packer(saved.read_bytes())
    end = data.rstrip(b"\0")
    file = tmp_path / "short"
    file.write_bytes(data[: int(len(end) * share)])
    with pytest.raises(BackupError):
        backups.restore(settings, file, NOW)
    assert len(titles(settings)) == 2


def test_a_flipped_bit_is_found(saved: Path, tmp_path: Path) -> None:
    data = bytearray(saved.read_bytes())
    whole, refused = gzip.decompress(data), 0
    for place in range(40, len(data) - 8, len(data) // 20):
        data[place] ^= 1
        (tmp_path / "flipped.tar.gz").write_bytes(data)
        try:
            backups.verify(tmp_path / "flipped.tar.gz")
        except BackupError:
            refused += 1
        else:  # a bit that deflate leaves out
            assert gzip.decompress(data) == whole
        data[place] ^= 1
    assert refused > 15


def test_a_bomb_is_not_blown_up(settings: Settings, saved: Path, tmp_path: Path) -> None:
    there = members(saved)
    huge = 1 << 50
    listed = [
        info("manifest.json", told(there, "feeds.db", size=huge)),
        info("feeds.db", there["feeds.db"]),
    ]
    file = packed(tmp_path / "bomb.tar", *listed)
    with pytest.raises(BackupError, match=r"needs 1,125,899,906,842,624 bytes .* are free"):
        backups.restore(settings, file, NOW)
    with gzip.open(tmp_path / "zeros.tar.gz", "wb") as zeros:
        for _ in range(200):
            zeros.write(bytes(1 << 20))
    with pytest.raises(BackupError, match="no backup made by"):
        backups.verify(tmp_path / "zeros.tar.gz")


def test_a_fifo_is_no_backup(settings: Settings, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BackupError, match="no regular file"):
        backups.verify(tmp_path / "fifo")
    settings.state_folder.mkdir()
    with pytest.raises(BackupError, match="No such file"):
        backups.restore(settings, tmp_path / "none.tar", NOW)


# A kill at every step.

RESTORE = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from feeds import config
from feeds.pipeline import backups

folder, file, deadly = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
flags = {name: str(folder / name) for name in ("seeds", "out", "state")}
settings = config.load(flags, {}, Path("/dev/null"))
EVENTS = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "open", "sqlite3.connect"}
count = 0

def hook(event, arguments):
    global count
    if event in EVENTS and str(folder / "state") in str(arguments):
        count += 1
        if count == deadly:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
backups.restore(settings, file, datetime.fromisoformat("2026-01-05T00:00:00Z"))
"""


@pytest.mark.slow
def test_killed_at_any_step_a_restore_leaves_the_old_record_or_the_new_one(
    settings: Settings, saved: Path, tmp_path: Path
) -> None:
    key = (settings.state_folder / "secret").read_bytes()
    (settings.state_folder / "secret").write_bytes(b"x" * 32)
    outcomes: list[bool] = []
    killed: int = -signal.SIGKILL
    while killed:
        folder = tmp_path / f"killed {len(outcomes)}"
        shutil.copytree(settings.state_folder, folder / "state")
        command = [sys.executable, "-c", RESTORE, str(folder), str(saved), str(len(outcomes) + 1)]
        killed = subprocess.run(command, check=False).returncode
        assert killed in {0, -signal.SIGKILL}
        assert (folder / "state/feeds.db").stat().st_size
        left = replace(settings, state_folder=folder / "state")
        assert copies.examine(folder / "state/feeds.db") == ()
        with opened.open_app(left, {}) as app:
            outcomes.append(pipeline.held(app) is not None)
        assert len(titles(left)) == (1 if outcomes[-1] else 2)
        backups.restore(left, saved, NOW)
        assert titles(left) == ["Parliament passes the budget"]
        assert (folder / "state/secret").read_bytes() == key
        assert not (folder / "state" / backups.RESTORING).exists()
    assert outcomes == sorted(outcomes)  # the old record, and from one rename on the new one
    assert outcomes.count(False) > 10
    assert outcomes.count(True) > 3


def test_an_error_at_any_rename_leaves_the_old_record_or_the_new_one(
    settings: Settings, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.state_folder / "secret").write_bytes(b"x" * 32)
    for verb in ("link", "fsync"):
        with monkeypatch.context() as patch:

            def full(*_arguments: object, **_more: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(os, verb, full)
            if verb == "link":  # then files are copied
                patch.setattr(backups, "_copy", full)
            with pytest.raises(BackupError, match="No space left"):
                backups.restore(settings, saved, NOW)
        assert len(titles(settings)) == 2
        assert not (settings.state_folder / backups.RESTORING).exists()


# The schedule.


@pytest.fixture
def app(settings: Settings) -> Iterator[App]:
    with opened.open_app(settings, {"FEEDS_NOW": NOW.isoformat()}) as app:
        pipeline.run(app)
        yield app


def test_backups_are_made_when_due_and_the_newest_are_kept(app: App) -> None:
    settings = replace(app.settings, backup=replace(app.settings.backup, keep=3))
    app = opened.reconfigured(app, settings)
    folder = backups.folder_of(settings)
    folder.mkdir()
    theirs = [folder / name for name in ("feeds-20200101T000000Z.tar", "feeds.tar.gz", "notes")]
    for path in theirs:
        path.write_text("theirs")
    hours = [NOW + timedelta(hours=number) for number in range(0, 24 * 6, 12)]
    made = [file for now in hours if (file := backups.due_backup(app, now))]
    assert [file.name for file in made[:2]] == [
        "feeds-20260102T063000Z.tar.gz",
        "feeds-20260103T063000Z.tar.gz",
    ]
    assert len(made) == 6
    assert backups.scheduled(settings) == made[:-4:-1]
    assert all(path.exists() for path in theirs)
    assert app.store.notes.moment(Note.BACKED_UP) == NOW + timedelta(days=5)


def test_a_backup_that_fails_stops_nothing_and_removes_none(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = backups.due_backup(app, NOW)
    settings = replace(app.settings, backup=replace(app.settings.backup, keep=1))
    app = opened.reconfigured(app, settings)

    def bad(_file: Path) -> None:
        raise BackupError("new.tar.gz", "is damaged")

    monkeypatch.setattr(backups, "verify", bad)
    later = NOW + timedelta(days=1)
    assert backups.due_backup(app, later) is None
    assert first in backups.scheduled(settings)
    assert "backup failed: new.tar.gz: is damaged" in caplog.text
    assert backups.failure(app) == (later, "new.tar.gz: is damaged")
    monkeypatch.undo()
    assert backups.due_backup(app, later + timedelta(minutes=59)) is None
    assert backups.due_backup(app, later + timedelta(hours=1)) is not None
    assert backups.failure(app) is None


def test_a_wrong_clock_does_not_crowd_out_the_backups_of_a_right_one(app: App) -> None:
    settings = replace(app.settings, backup=replace(app.settings.backup, keep=2))
    app = opened.reconfigured(app, settings)
    for year in (2050, 2051):
        assert backups.due_backup(app, NOW.replace(year=year))
    right = [backups.due_backup(app, NOW + timedelta(days=day)) for day in range(3)]
    assert backups.scheduled(settings) == [right[2], right[1]]


def test_the_lock_keeps_a_restore_from_a_pass(settings: Settings, saved: Path) -> None:
    from feeds.cli import main  # noqa: PLC0415 -- only here a command is run

    state = str(settings.state_folder)
    with opened.lock(settings, "watch"), pytest.raises(SystemExit) as ended:
        main(["restore", str(saved), "--state", state])
    assert ended.value.code == 1
    with opened.lock(settings, "watch"), pytest.raises(LockError), opened.lock(settings, "run"):
        pass
    assert len(titles(settings)) == 2


def test_a_record_waits_while_it_is_exchanged(tmp_path: Path) -> None:
    began, done = threading.Event(), []

    def opens() -> None:
        began.set()
        with Store(tmp_path / "feeds.db"):
            done.append("open")

    with copies.alone(tmp_path):
        waiting = threading.Thread(target=opens)
        waiting.start()
        began.wait()
        done.append("exchanged")
    waiting.join()
    assert done == ["exchanged", "open"]
    with pytest.raises(StoreError), copies.alone(tmp_path / "none"):
        pass


def test_no_backup_is_put_where_it_would_be_served_or_read(app: App) -> None:
    for public in (app.settings.out_folder, app.settings.seeds_folder):
        public.mkdir(exist_ok=True)
        with pytest.raises(UsageError, match="holds addresses and the key"):
            backups.backup(app, public / "b.tar.gz")


# The keys that go with it, and who left


def signing(settings: Settings, key: Path) -> Settings:
    return replace(settings, mail=replace(settings.mail, dkim_key=key))


@pytest.fixture
def signed(settings: Settings, tmp_path: Path) -> tuple[Settings, Path]:
    """Return settings with a key that signs letters, and a backup of a record somebody left."""
    key = tmp_path / "dkim.key"
    key.write_bytes(b"-----BEGIN PRIVATE KEY-----")
    run(settings)
    settings = signing(settings, key)
    with opened.open_app(settings, {"FEEDS_NOW": NOW.isoformat()}) as app:
        subscriptions.remove(app, "you@example.org", NOW)
        return settings, backups.backup(app, tmp_path / "whole.tar.gz")


def test_a_backup_also_holds_the_key_that_signs_and_who_left(
    signed: tuple[Settings, Path],
) -> None:
    settings, file = signed
    with tarfile.open(file) as tar:
        names = tar.getnames()
    assert names == ["manifest.json", "feeds.db", "secret", "suppressed.jsonl", "dkim.pem"]
    assert backups.verify(file).holds("dkim.pem")
    assert settings.mail.dkim_key is not None


def test_a_restore_puts_the_key_that_signs_where_there_is_none(
    signed: tuple[Settings, Path],
) -> None:
    settings, file = signed
    key = settings.mail.dkim_key
    assert key is not None
    assert backups.restore(settings, file, NOW).signer is None
    key.unlink()
    assert backups.restore(settings, file, NOW).signer == key
    assert key.read_bytes() == b"-----BEGIN PRIVATE KEY-----"
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_restore_writes_over_no_key_that_signs(signed: tuple[Settings, Path]) -> None:
    settings, file = signed
    key, beside = settings.mail.dkim_key, settings.state_folder / "dkim.pem"
    assert key is not None
    key.write_bytes(b"another")
    assert backups.restore(settings, file, NOW).signer == beside
    assert key.read_bytes() == b"another"
    assert beside.read_bytes() == b"-----BEGIN PRIVATE KEY-----"
    assert backups.restore(settings, file, NOW).signer is None
    unset = replace(settings, mail=replace(settings.mail, dkim_key=None))
    beside.write_bytes(b"older")
    assert backups.restore(unset, file, NOW).signer == beside
    assert beside.read_bytes() == b"-----BEGIN PRIVATE KEY-----"


def test_a_backup_of_the_first_format_is_still_restored(
    settings: Settings, saved: Path, tmp_path: Path
) -> None:
    there = members(saved)
    said = json.loads(there["manifest.json"])
    assert said["format"] == 2
    there["manifest.json"] = json.dumps(said | {"format": 1}).encode()
    file = packed(tmp_path / "first.tar", *(info(*one) for one in there.items()))
    assert backups.restore(settings, file, NOW).manifest.schema == schema.REVISIONS[-1]
    there["manifest.json"] = json.dumps(said | {"format": 3}).encode()
    with pytest.raises(BackupError, match="format 3, this version reads 2; upgrade"):
        backups.verify(packed(tmp_path / "later.tar", *(info(*one) for one in there.items())))


@pytest.mark.parametrize("step", ["record", "key", "suppressed"])
def test_a_restore_cut_short_brings_nobody_back_who_left(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run(settings)
    file = save(settings, tmp_path / "before.tar")
    with opened.open_app(settings, {"FEEDS_NOW": NOW.isoformat()}) as app:
        subscriptions.remove(app, "you@example.org", NOW)
    (settings.state_folder / "secret").write_bytes(b"x" * 32)
    moved = {"record": "feeds.db", "key": "secret", "suppressed": "suppressed.jsonl"}[step]
    rename = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if path.name == moved:
            raise OSError(5, "killed here")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(BackupError, match="killed here"):
        backups.restore(settings, file, NOW)
    monkeypatch.undo()
    with opened.open_app(settings, {"FEEDS_NOW": NOW.isoformat()}) as app:
        suppressed.catch_up(app, NOW)
        assert app.store.subscribers.find("you@example.org").state == "unsubscribed"
    assert len(suppressed.read(settings.state_folder / "suppressed.jsonl")) >= 1
