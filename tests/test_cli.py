"""The command line: what people type, what they are told, and the exit status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chaos
import click
import pytest
from factories import SEEDS

from feeds import app, config, editions
from feeds.cli import commands, health, letters, main
from feeds.pipeline.checks import Check

NOW = "2026-01-02T06:30:00Z"


class Shell:
    """A user in a working folder: runs commands in this process, and sees what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Return what a command prints on stdout, having ended with this status."""
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, self.err = self._capsys.readouterr()
        assert ended.value.code == status, self.err
        return str(out)

    def json(self, *arguments: str, status: int = 0) -> Any:
        """Return what a command prints as one JSON value."""
        return json.loads(self(*arguments, "--json", status=status))


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    for name in [name for name in os.environ if name.startswith("FEEDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEEDS_NOW", NOW)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds").mkdir()
    return Shell(capsys)


@pytest.fixture
def filled(shell: Shell) -> Shell:
    """Return a shell after one pass over the two digests."""
    shutil.copytree(SEEDS, "seeds", dirs_exist_ok=True)
    shell("run")
    return shell


def leaves(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every command with its path."""
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found += leaves(command, (*path, name)) if inner else [(*path, name)]
    return found


@pytest.mark.parametrize("path", leaves(commands), ids=" ".join)
def test_every_command_explains_itself(shell: Shell, path: tuple[str, ...]) -> None:
    said = shell(*path, "--help")
    assert f"Usage: feeds {' '.join(path)}" in said
    for option in ("--seeds", "--out", "--state", "--config"):
        assert option in said
    assert all(len(line) <= 80 for line in said.splitlines())


def test_the_version_is_told(shell: Shell) -> None:
    assert shell("--version").startswith("feeds 0.")


def test_a_newcomer_is_told_what_happened_and_what_to_do(filled: Shell) -> None:
    Path("seeds/more.txt").write_text("nothing that a format explains\n")
    said = filled("run", status=3)
    assert "0 digests read, 2 unchanged, 1 quarantined" in said
    assert "`feeds status` says why" in said
    assert "http://127.0.0.1:8080/politics/atom.xml" in said
    assert "out/editions/daily/2026-01-02T0800.html" in said
    assert "feeds subscribers add you@example.org" in said


def test_an_empty_seeds_folder_is_no_error_and_uses_up_no_slot(shell: Shell) -> None:
    assert "Put digests into seeds/" in shell("run")
    shutil.copytree(SEEDS, "seeds", dirs_exist_ok=True)
    assert "out/editions/daily/2026-01-02T0800.html" in shell("run")


def test_a_missing_seeds_folder_is_wrong_usage(shell: Shell) -> None:
    Path("seeds").rmdir()
    shell("run", status=2)
    assert "make this folder, or name another with --seeds FOLDER" in shell.err


def test_places_may_stand_before_or_after_the_command(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shell("--out", "before", "run", "--seeds", "other", "--state", "record")
    assert Path("before/index.html").exists()
    assert Path("record/feeds.db").exists()
    shell("--out", "before", "run", "--out", "after")
    assert Path("after/index.html").exists()


def test_wrong_usage_is_2_and_says_how(shell: Shell) -> None:
    shell("rnu", status=2)
    assert "No such command 'rnu'" in shell.err
    shell("show", status=2)
    shell("send", "--nonsense", status=2)


def test_a_wrong_setting_is_2_and_names_file_and_key(shell: Shell) -> None:
    Path("feeds.toml").write_text("[publication]\ntitel = 'x'\n")
    shell("run", status=2)
    assert shell.err == ("feeds: feeds.toml: publication.titel: no such setting; there is title\n")


def test_a_failure_is_1(shell: Shell) -> None:
    Path(".feeds").mkdir()
    Path(".feeds/feeds.db").write_bytes(b"this is no database" * 100)
    shell("run", status=1)
    assert "not a database" in shell.err


@pytest.mark.usefixtures("filled")
def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m feeds articles --json | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["title"]


def test_articles_are_listed_newest_first(filled: Shell) -> None:
    rows = [json.loads(line) for line in filled("articles", "--json").splitlines()]
    assert len(rows) == 59
    assert set(rows[0]) == {
        "id", "uri", "title", "channel", "channels", "topics", "uncertain", "published", "updated",
        "date_source", "between", "views", "source", "digest", "lang", "url",
    }  # fmt: skip
    for row in rows:
        assert row["channels"][0] == row["channel"]
        assert row["channel"] == "general" or row["topics"][0]["by"] == "model"
    dates = [row["published"] or NOW for row in rows]
    assert dates == sorted(dates, reverse=True)
    assert len(filled("articles", "--limit", "3").splitlines()) == 3
    [channel] = {
        json.loads(line)["channel"]
        for line in filled("articles", "--channel", "politics", "--json").splitlines()
    }
    assert channel == "politics"
    filled("articles", "--channel", "sports", status=2)
    assert "no channel 'sports'; there is politics, economy" in filled.err


def test_an_article_is_shown_by_the_start_of_its_id(filled: Shell) -> None:
    row = json.loads(filled("articles", "--json").splitlines()[-1])
    shown = filled("show", row["id"][:10])
    assert row["title"] in shown.replace("\n", " ")
    assert all(len(line) <= 80 for line in shown.splitlines())
    whole = filled.json("show", row["id"])
    assert whole["paragraphs"]
    assert whole["uri"] == row["uri"]
    filled("show", "nothing", status=1)
    assert "no entry 'nothing' on record" in filled.err


def test_check_shows_each_line_and_changes_nothing(shell: Shell) -> None:
    shutil.copytree(SEEDS, "seeds", dirs_exist_ok=True)
    files = sorted(str(path) for path in Path("seeds").iterdir())
    rows = [json.loads(line) for line in shell("check", "--json", *files).splitlines()]
    assert [row["file"] for row in rows] == files
    assert [len(row["articles"]) for row in rows] == [9, 50]
    assert [row["leftovers"] for row in rows] == [[], []]
    stamps = [article["published"] for article in rows[0]["articles"]]
    assert (stamps[0], stamps[-1]) == ("2026-01-01T16:52:00+05:00", "2025-12-29T14:25:00+05:00")
    views = [article["views"] for article in rows[0]["articles"]]
    assert (views[0], views[-1]) == (9306, 67036)
    said = shell("check", files[0])
    assert len(said.splitlines()) == 1 + len(Path(files[0]).read_text().split("\n")[:-1])
    assert not Path(".feeds").exists()
    assert not Path("out").exists()


def test_check_tells_which_names_a_pass_leaves_out(shell: Shell) -> None:
    Path("feeds.toml").write_text('[seeds]\nignore = ["*.bak"]\n')
    for name in ("a.part", ".hidden", "old.bak"):
        Path(name).write_text("x\n")
        assert shell.json("check", name)["outcome"] == "ignore"


def test_check_says_why_a_file_cannot_be_read(shell: Shell) -> None:
    Path("odd.txt").write_text("no format\n")
    assert "quarantine, unknown_format" in shell("check", "odd.txt", status=3)
    assert "quarantine, missing" in shell("check", "gone.txt", status=3)


def test_status_is_made_for_people_and_programs(filled: Shell) -> None:
    filled("subscribers", "add", "you@example.org")
    filled("run")
    found = filled.json("status")
    assert found["ok"] is True
    assert (found["digests"], found["articles"], found["channels"]) == (2, 59, 18)
    assert (found["subscribers"], found["editions"]) == (1, 1)
    assert found["deliveries"] == {
        "queued": 0, "sending": 0, "uncertain": 0, "deferred": 0, "written": 1, "sent": 0,
        "failed": 0, "suppressed": 0,
    }  # fmt: skip
    [coming] = found["next"]
    assert (coming["what"], coming["edition"]) == ("edition daily", "daily")
    assert (coming["slot"], coming["at"]) == ("2026-01-03T08:00", "2026-01-03T03:00:00Z")
    said = filled("status").splitlines()
    assert said[-4:] == [
        "On record:   59 articles of 2 digests",
        "Subscribers: 1 active",
        "Letters:     1 written",
        "Next:        edition daily at 2026-01-03T08:00",
    ]


def test_checks_fit_a_terminal_and_no_command_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = "`feeds send --release --dry-run --state /srv/feeds/state`"
    check = Check("sending", ok=False, detail="word " * 20, advice="word " * 8 + command)
    health.tell_check(check)
    assert len(capsys.readouterr().out.splitlines()) == 2  # into a pipe, a line each
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((80, 24)))
    health.tell_check(check)
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in click.unstyle(out).splitlines())
    assert command in out


def test_status_fails_when_something_is_missing(filled: Shell) -> None:
    shutil.rmtree("out")
    found = filled.json("status", status=1)
    assert found["ok"] is False
    [wrong] = [check for check in found["checks"] if not check["ok"]]
    assert "`feeds run` writes it" in wrong["advice"]


def test_config_tells_where_a_setting_comes_from(shell: Shell) -> None:
    Path("feeds.toml").write_text("[publication]\ntitle = 'Ours'\n")
    rows = [json.loads(line) for line in shell("config", "--json").splitlines()]
    [title] = [row for row in rows if row["key"] == "publication.title"]
    assert title == {
        "key": "publication.title",
        "value": "Ours",
        "source": "feeds.toml",
        "about": "name of the publication",
    }
    assert "publication.title            Ours" in shell("config")


def test_a_reserved_setting_is_warned_about(shell: Shell) -> None:
    Path("feeds.toml").write_text("[seeds]\non_delete = 'keep'\n")
    shell("run")
    assert "warning: feeds.toml: seeds.on_delete has no effect in this version" in shell.err


# The newsletter


def test_the_next_edition_can_be_looked_at_before_it_goes(filled: Shell) -> None:
    said = filled("edition", "preview")
    assert said.startswith("Subject: ")
    filled("edition", "preview", "--html", "a.html", "--eml", "a.eml")
    assert "<html" in Path("a.html").read_text()
    assert b"multipart/alternative" in Path("a.eml").read_bytes()


def test_a_preview_changes_nothing(shell: Shell) -> None:
    shutil.copytree(SEEDS, "seeds", dirs_exist_ok=True)
    shell("run", "--no-send")
    before = shell.json("status")
    shell("edition", "preview")
    assert shell.json("status") == before


def test_a_preview_of_nothing_says_so(shell: Shell) -> None:
    shell("run")
    shell("edition", "preview", status=1)
    assert "nothing to preview" in shell.err


def test_a_preview_can_be_that_of_a_subscriber(filled: Shell) -> None:
    filled("subscribers", "add", "sport@example.org", "--channels", "sport")
    said = filled("edition", "preview", "--to", "sport@example.org")
    assert "sport@example.org" in said
    assert "Winter Olympic" in said
    filled("edition", "preview", "--to", "nobody@example.org", status=1)


def test_editions_are_listed_with_what_comes_next(filled: Shell) -> None:
    rows = [json.loads(line) for line in filled("edition", "list", "--json").splitlines()]
    assert [(row["slot"], row["state"]) for row in rows] == [
        ("2026-01-03T08:00", "next"),
        ("2026-01-02T08:00", "open"),
    ]
    assert rows[1]["articles"] == 59
    assert rows[1]["url"].endswith("/editions/daily/2026-01-02T0800.html")
    assert "daily" in filled("edition", "list")


def test_subscribers_are_added_listed_and_removed(shell: Shell) -> None:
    assert shell("subscribers", "add", "You@Example.org") == "you@example.org: added\n"
    assert shell("subscribers", "add", "you@example.org") == "you@example.org: unchanged\n"
    shell("subscribers", "add", "you@example.org", "--channels", "sport,arts")
    row = shell.json("subscribers", "list")
    assert (row["email"], row["state"], row["channels"]) == (
        "you@example.org", "active", ["sport", "arts"],
    )  # fmt: skip
    shell("subscribers", "remove", "you@example.org")
    assert shell.json("subscribers", "list")["state"] == "unsubscribed"
    shell("subscribers", "remove", "nobody@example.org", status=1)


def test_a_wrong_wish_names_what_there_is(shell: Shell) -> None:
    shell("subscribers", "add", "you@example.org", "--channels", "sports", status=2)
    assert "no channel 'sports'; there is politics, economy" in shell.err
    shell("subscribers", "add", "you@example.org", "--editions", "weekly", status=2)
    shell("subscribers", "add", "not an address", status=2)
    assert shell("subscribers", "list") == ""


def test_an_import_reads_what_it_can_and_names_the_rest(shell: Shell) -> None:
    Path("list.csv").write_text(
        "Name,Email,Channels\nA,a@example.org,sport\nB,bad address,\nC,c@example.org,\n",
        "utf-8-sig",
    )
    arguments = ("subscribers", "import", "list.csv")
    shell(*arguments, "--dry-run", status=3)
    assert shell("subscribers", "list") == ""
    shell(*arguments, "--confirmed", status=2)
    assert "--consent" in shell.err
    said = shell(*arguments, "--confirmed", "--consent", "forms of May", status=3)
    assert said == "2 added, 1 bad\n"
    assert "list.csv:3: 'bad address'" in shell.err
    rows = [json.loads(line) for line in shell("subscribers", "list", "--json").splitlines()]
    assert [(row["email"], row["channels"]) for row in rows] == [
        ("a@example.org", ["sport"]),
        ("c@example.org", []),
    ]


def test_an_import_without_consent_waits_and_brings_nobody_back(filled: Shell) -> None:
    filled("subscribers", "add", "left@example.org")
    filled("subscribers", "remove", "left@example.org")
    Path("list.csv").write_text("email\nleft@example.org\nnew@example.org\n")
    said = filled("subscribers", "import", "list.csv")
    assert said.startswith("1 added, 1 refused")
    assert "asked by mail" in said
    states = [
        json.loads(line)["state"] for line in filled("subscribers", "list", "--json").splitlines()
    ]
    assert states == ["unsubscribed", "pending"]
    filled("run")
    [question] = Path(".feeds/outbox").iterdir()  # whether they want it, and no letter
    assert b"new@example.org" in question.read_bytes()


def test_who_is_pending_becomes_active_by_consent_or_by_hand(shell: Shell) -> None:
    Path("list.csv").write_text("email\na@example.org\nb@example.org\n")
    shell("subscribers", "import", "list.csv")
    Path("one.csv").write_text("email\na@example.org\n")
    shell("subscribers", "import", "one.csv", "--confirmed", "--consent", "by letter")
    shell("subscribers", "add", "b@example.org")
    rows = [json.loads(line) for line in shell("subscribers", "list", "--json").splitlines()]
    assert [row["state"] for row in rows] == ["active", "active"]


def test_an_import_leaves_wishes_alone_that_it_does_not_name(shell: Shell) -> None:
    shell("subscribers", "add", "a@example.org", "--channels", "politics")
    Path("list.csv").write_text("email\na@example.org\n")
    arguments = ("subscribers", "import", "list.csv", "--confirmed", "--consent", "x")
    done = shell.json(*arguments)
    assert (done["added"], done["changed"], done["unchanged"], done["refused"]) == (0, 0, 1, 0)
    shell("subscribers", "add", "a@example.org")
    assert shell.json("subscribers", "list")["channels"] == ["politics"]
    shell("subscribers", "add", "a@example.org", "--channels", "")
    assert shell.json("subscribers", "list")["channels"] == []


def test_results_are_printed_for_programs(filled: Shell) -> None:
    assert filled.json("subscribers", "add", "A@example.org") == {
        "email": "a@example.org",
        "result": "added",
    }
    assert filled.json("subscribers", "remove", "a@example.org")["result"] == "removed"
    preview = filled.json("edition", "preview")
    assert preview["slot"] == "2026-01-02T08:00"
    assert "<html" in preview["html"]


def test_a_mistake_is_told_in_one_line(filled: Shell) -> None:
    for status, *arguments in (
        (2, "edition", "preview", "--html", "gone/a.html"),
        (2, "edition", "preview", "--eml", "gone/a.eml"),
        (1, "edition", "preview", "--to", "nonsense"),
        (1, "send", "--to", "nonsense"),
        (1, "subscribers", "remove", "nonsense"),
        (2, "subscribers", "add", "a@example.org", "--languages", "xx-notalanguage"),
        (2, "subscribers", "import", "gone.csv"),
    ):
        filled(*arguments, status=status)
        assert filled.err.count("\n") == 1, arguments


def test_a_full_disk_behind_stdout_is_an_error(filled: Shell) -> None:
    command = [sys.executable, "-m", "feeds", "articles"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "feeds: output: No space left on device\n")
    assert filled("articles")


def test_a_csv_without_addresses_is_refused(shell: Shell) -> None:
    Path("list.csv").write_text("name\nA\n")
    shell("subscribers", "import", "list.csv", status=2)
    assert "list.csv:1: no column `email`" in shell.err
    shell("subscribers", "import", "gone.csv", status=2)


def test_send_delivers_an_open_edition_to_one_or_to_all(filled: Shell) -> None:
    filled("subscribers", "add", "a@example.org")
    filled("subscribers", "add", "b@example.org")
    before = filled.json("status")
    assert "2 letters to deliver" in filled("send", "--dry-run")
    assert filled.json("status") == before
    assert not Path(".feeds/outbox").exists()
    assert filled.json("send", "--to", "a@example.org")["written"] == 1
    assert filled.json("send")["written"] == 1
    assert filled.json("send")["written"] == 0
    assert filled.json("send", "--again", "2026-01-02T0800")["written"] == 2
    assert "2 letters to deliver" in filled("send", "--again", "2026-01-02T0800", "--dry-run")
    to_one = ("send", "--again", "2026-01-02T0800", "--dry-run", "--to", "a@example.org")
    assert "1 letter to deliver" in filled(*to_one)
    planned = filled.json(*to_one)
    assert planned["subject"]
    assert 1000 < planned["html_bytes"] < 100_000
    about = {"edition": "daily", "slot": "2026-01-02T08:00", "letters": 1, "finish": None}
    assert {key: planned[key] for key in about} == about
    filled("send", "--again", "2020-01-01T0800", status=1)
    assert filled("send") == "Nothing to deliver\n"


def test_send_now_composes_what_is_new(filled: Shell) -> None:
    filled("subscribers", "add", "a@example.org")
    filled("run")
    text = (
        "02.01.2026, 11:00 10\n\nThe team wins the cup\n\n"
        "The national team won the cup after a long match in the capital.\n \n"
    )
    Path("seeds/new.txt").write_text(text)
    assert filled("send", "--now", "--dry-run") == "Nothing to deliver\n"
    filled("run")
    assert filled("send", "--now", "--dry-run").startswith("daily: would carry 1 article: ")
    assert len(list(Path(".feeds/outbox").glob("*.eml"))) == 1
    assert filled.json("send", "--now")["written"] == 1
    assert Path("out/editions/daily/2026-01-02T1130.html").exists()


# Letters by SMTP


@pytest.fixture
def peer() -> Iterator[chaos.Peer]:
    with chaos.server() as peer:
        yield peer


@pytest.fixture
def mailing(shell: Shell, peer: chaos.Peer) -> Shell:
    """Return a shell whose letters leave by SMTP, at 30 a minute, after a pass with 2 subscribers."""
    shutil.copytree(SEEDS, "seeds", dirs_exist_ok=True)
    Path("feeds.toml").write_text(
        f'[mail]\ntransport = "smtp"\nport = {peer.port}\nsecurity = "none"\nconnections = 1\n'
        'from = "news@example.org"\nunsubscribe = "mailto"\nrate = "6000 a minute"\n'
        '[operator]\nemail = "The desk <a@example.org>"\n'
    )
    shell("subscribers", "add", "a@example.org")
    shell("subscribers", "add", "b@example.org")
    return shell


def test_a_configuration_by_which_nothing_may_leave_is_refused_before_anything_is_done(
    shell: Shell,
) -> None:
    shutil.copytree(SEEDS, "seeds", dirs_exist_ok=True)
    Path("feeds.toml").write_text('[mail]\ntransport = "smtp"\nfrom = "news@example.org"\n')
    for command in (["run"], ["send"], ["send", "--now"], ["send", "--dry-run"], ["watch"]):
        shell(*command, status=2)
        assert "web.public_url" in shell.err, command
    assert shell("articles") == ""
    shell("run", "--no-send")
    shell("run", "--archive")


def test_the_first_letters_wait_for_a_hand_and_then_go_by_themselves(
    mailing: Shell, peer: chaos.Peer
) -> None:
    mailing("run")
    assert "2 letters: look at one with `feeds edition preview`" in mailing.err
    assert peer.taken == []
    assert mailing.json("status", status=1)["deliveries"]["queued"] == 2
    said = mailing("send", "--to", "me")
    assert said == "Letters    1 sent\n"
    assert [one.recipient for one in peer.taken] == ["a@example.org"]
    mailing("run")
    assert "1 letter: look at one with `feeds edition preview`" in mailing.err
    assert mailing("send") == "Letters    1 sent\n"
    assert "From now on `feeds watch` and `feeds run` send letters, too." in mailing.err
    assert [one.recipient for one in peer.taken] == ["a@example.org", "b@example.org"]
    mailing("subscribers", "add", "c@example.org")
    assert "Waiting" not in mailing.err


def test_feeds_watch_may_be_told_to_send_the_first_letters(
    mailing: Shell, peer: chaos.Peer
) -> None:
    mailing("run", "--no-send")
    with app.lock(config.load({}, {}, None), "watch"):
        mailing("send", "--to", "me", status=1)
        assert set(mailing.json("send").values()) == {0}
        assert mailing.err.startswith("Begun: feeds watch (process ")
        mailing("send", status=1)
    assert peer.taken == []
    assert mailing("run").count("Letters    2 sent") == 1


def test_a_pass_says_what_became_of_its_letters(mailing: Shell, peer: chaos.Peer) -> None:
    mailing("run", "--no-send")
    with app.lock(config.load({}, {}, None), "watch"):
        mailing("send")
    peer.scenario = "drop-after-dot,rcpt-450"
    done = mailing.json("run", status=3)["deliveries"]
    assert (done["sent"], done["deferred"], done["uncertain"]) == (0, 1, 1)


def test_when_letters_will_be_out_is_said_first(
    mailing: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing("run", "--no-send")
    said = mailing("send", "--dry-run")
    assert "Rate     6000 a minute: done about 11:30 (Asia/Almaty)" in said
    monkeypatch.setenv("FEEDS_MAIL_RATE", "1 a day")
    finish = "done about 11:30 on 3 January 2026 (Asia/Almaty)"
    assert finish in mailing("send", "--dry-run")
    assert mailing.json("send", "--dry-run")["finish"] == "2026-01-03T06:30:00Z"
    monkeypatch.setenv("FEEDS_MAIL_RATE", "6000 a minute")
    mailing("send")
    first, second, *_ = mailing.err.splitlines()
    assert first == "2 letters at 6000 a minute: done about 11:30 (Asia/Almaty)"
    assert second == "warning: more than an hour after the slot of daily 2026-01-02T08:00"


def test_what_a_dry_run_says_needs_no_lock(mailing: Shell) -> None:
    mailing("run", "--no-send")
    with app.lock(config.load({}, {}, None), "watch"):
        assert "2 letters to deliver" in mailing("send", "--dry-run")
        assert "1 letter to deliver" in mailing("send", "--dry-run", "--to", "me")


def test_what_became_of_letters_is_said_with_what_happens_next(
    mailing: Shell, peer: chaos.Peer
) -> None:
    mailing("run", "--no-send")
    peer.scenario = "rcpt-450"
    assert mailing("send", status=3) == ""
    assert "Letters    2 deferred: `feeds watch` or `feeds send` tries again in 1 minute" in (
        mailing.err.splitlines()
    )
    peer.scenario = "rcpt-550"
    said = mailing("send", "--again", "2026-01-02T0800", status=3)
    assert said == ""
    assert "Letters    2 failed for good, as said above" in mailing.err.splitlines()
    peer.scenario = "drop-after-dot,ok"
    mailing("send", "--again", "2026-01-02T0800", status=3)
    assert "Letters    1 uncertain, and sent again, the same to the byte" in (
        mailing.err.splitlines()
    )
    assert all(len(line) <= 80 for line in mailing.err.splitlines() if "Letters" in line)


def test_a_mail_server_that_is_down_is_named(mailing: Shell, peer: chaos.Peer) -> None:
    mailing("subscribers", "add", "c@example.org")
    mailing("run", "--no-send")
    peer.scenario = "greet-421"
    mailing("send", status=3)
    assert "Server     takes no letters: " in mailing.err
    peer.scenario = "ok"
    assert mailing.json("send", "--again", "2026-01-02T0800")["sent"] == 3
    assert "Server" not in mailing.err


def test_me_is_the_operator_who_has_to_be_subscribed(
    mailing: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEEDS_OPERATOR_EMAIL", "other@example.org")
    mailing("send", "--to", "me", status=2)
    assert "`feeds subscribers add other@example.org`" in mailing.err
    mailing("subscribers", "remove", "a@example.org")
    monkeypatch.setenv("FEEDS_OPERATOR_EMAIL", "a@example.org")
    mailing("send", "--to", "me", status=2)
    monkeypatch.delenv("FEEDS_OPERATOR_EMAIL")
    Path("feeds.toml").write_text("")
    mailing("send", "--to", "me", status=2)
    assert "set email below [operator]" in mailing.err


def test_an_edition_that_waits_for_its_editor_is_named(mailing: Shell) -> None:
    with Path("feeds.toml").open("a") as file:
        file.write('[[edition]]\nname = "daily"\napprove = "required"\n')
    mailing("run")
    assert "`feeds edition approve 2026-01-02T0800`" in mailing.err
    assert mailing("send") == "Nothing to deliver\n"
    assert "`feeds edition approve 2026-01-02T0800`" in mailing.err


@pytest.mark.parametrize(
    ("rate", "left", "said"),
    [
        (120.0, 60, "120 a second, 0 s left"),
        (0.5, 20, "30 a minute, 40 s left"),
        (0.5, 390, "30 a minute, 13 min left"),
    ],
)
def test_the_progress_of_letters_names_rate_and_time_left(
    rate: float, left: int, said: str
) -> None:
    assert letters._speed(rate, left) == said


def test_progress_shows_on_a_terminal_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(letters.meter("Sending letters", range(20))) == [*range(20)]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(letters.meter("Sending letters", range(20))) == [*range(20)]
    assert "20/20" in capsys.readouterr().err


def test_send_now_fails_when_an_edition_cannot_be_composed(
    filled: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_arguments: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(editions, "compose", breaks)
    filled("send", "--now", status=3)


def test_serve_refuses_an_empty_shelf(shell: Shell) -> None:
    shell("serve", status=2)
    assert "`feeds run` fills it" in shell.err


def test_two_passes_at_once_are_refused(filled: Shell) -> None:
    with app.lock(config.load({}, {}, None), "watch"):
        filled("run", status=1)
        assert ".feeds is in use by feeds watch (process" in filled.err
        filled("articles")
        filled("subscribers", "add", "a@example.org")
