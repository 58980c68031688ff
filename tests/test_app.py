"""The clock, the lock and the secret."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feeds import app as opened
from feeds import config
from feeds.app import App
from feeds.errors import ConfigError, LockError, StoreError


def settings(tmp_path: Path, text: str = "") -> config.Settings:
    file = tmp_path / "feeds.toml"
    file.write_text(text)
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    return config.load(flags, {}, file)


def open_and_return(tmp_path: Path, text: str = "", **environ: str) -> App:
    with opened.open_app(settings(tmp_path, text), environ) as app:
        return app


def test_the_clock_is_in_utc() -> None:
    assert opened.clock({})().tzinfo is UTC


def test_feeds_now_stands_in_for_the_clock() -> None:
    now = opened.clock({"FEEDS_NOW": "2026-01-02T11:30:00+05:00"})
    assert now() == datetime(2026, 1, 2, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize("bad", ["yesterday", "2026-01-02T11:30:00", ""])
def test_a_moment_without_a_zone_is_no_clock(bad: str) -> None:
    with pytest.raises(ConfigError, match="FEEDS_NOW"):
        opened.clock({"FEEDS_NOW": bad})


def test_the_state_folder_is_private(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    open_and_return(tmp_path)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_second_process_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    found = settings(tmp_path)
    script = (
        "from pathlib import Path\nfrom feeds import app, config\n"
        f"found = config.load({{'state': {str(tmp_path / 'state')!r}}}, {{}}, Path('/dev/null'))\n"
        "with app.lock(found, 'send'): pass\n"
    )
    with opened.lock(found, "run"):
        other = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert "LockError" in other.stderr
        assert "in use by feeds run (process" in other.stderr
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert again.returncode == 0


def test_a_lock_is_not_taken_twice(tmp_path: Path) -> None:
    with (
        opened.lock(settings(tmp_path), "run"),
        pytest.raises(LockError, match=r"in use by feeds run \(process \d+\); wait"),
        opened.lock(settings(tmp_path), "send"),
    ):
        pass


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="--state"):
        open_and_return(tmp_path)


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    app = open_and_return(tmp_path)
    first = opened.secret(app)
    assert len(first) == 32
    assert opened.secret(app) == first
    assert (tmp_path / "state/secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "state").glob("secret*")] == ["secret"]


def test_all_processes_hold_the_same_secret(tmp_path: Path) -> None:
    app = open_and_return(tmp_path)
    for _ in range(20):
        (tmp_path / "state/secret").unlink(missing_ok=True)
        with ThreadPoolExecutor(8) as pool:
            keys = set(pool.map(lambda _n: opened.secret(app), range(8)))
        assert len(keys) == 1
        assert len(keys.pop()) == 32


def test_a_secret_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    app = open_and_return(tmp_path)
    (tmp_path / "state/secret").write_bytes(b"")
    with pytest.raises(StoreError, match="cut short"):
        opened.secret(app)


def test_a_given_secret_wins(tmp_path: Path) -> None:
    app = open_and_return(tmp_path, FEEDS_SECRET="given")
    assert opened.secret(app) == b"given"
    (tmp_path / "key").write_text("from a file\n")
    named = open_and_return(tmp_path, FEEDS_SECRET_FILE=str(tmp_path / "key"))
    assert opened.secret(named) == b"from a file"
    assert not (tmp_path / "state/secret").exists()


@pytest.mark.parametrize(
    ("base_url", "authority"),
    [
        ("http://127.0.0.1:8080/", "localhost,2026-01-02"),
        ("http://[::1]:8080/", "localhost,2026-01-02"),
        ("https://news.example.org/", "news.example.org,2026-01-02"),
    ],
)
def test_ids_begin_with_the_domain_that_was_ours_on_the_first_day(
    tmp_path: Path, base_url: str, authority: str
) -> None:
    text = f'[publication]\nbase_url = "{base_url}"'
    app = open_and_return(tmp_path, text, FEEDS_NOW="2026-01-02T00:00:00Z")
    assert app.authority == authority
    moved = '[publication]\nbase_url = "https://other.example/"'
    assert open_and_return(tmp_path, moved).authority == authority


def test_letters_come_from_the_public_host_unless_told_otherwise(tmp_path: Path) -> None:
    app = open_and_return(tmp_path)
    assert (opened.sender(app), opened.mail_domain(app)) == ("newsletter@localhost", "localhost")
    named = open_and_return(tmp_path, '[mail]\nfrom = "News <n@пример.example>"')
    assert opened.mail_domain(named) == "xn--e1afmkfd.example"


def test_documents_look_different_when_the_configuration_does(tmp_path: Path) -> None:
    before = opened.look(open_and_return(tmp_path))
    assert opened.look(open_and_return(tmp_path)) == before
    after = opened.look(open_and_return(tmp_path, '[publication]\ntitle = "Other"'))
    assert after != before
