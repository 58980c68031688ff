"""One walk with real parts: the process, the files, HTTP, a feed reader, a mail parser.

An article goes from a file in seeds/ to a feed reader and to an inbox.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import feedparser
import pytest
from factories import SEEDS
from lxml import etree

pytestmark = pytest.mark.slow  # each test starts processes

FEEDS = (sys.executable, "-m", "feeds")
NOW = "2026-01-02T06:30:00Z"
CHANNELS = 18


def feeds(
    folder: Path, *arguments: str, status: int = 0, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, as a user would, and expect its exit status."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}
    done = subprocess.run(
        [*FEEDS, *arguments],
        cwd=folder,
        env=clean | {"FEEDS_NOW": NOW} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def run(folder: Path, *arguments: str, status: int = 0, **environ: str) -> dict[str, Any]:
    """Do one pass and return what it says of itself."""
    done = feeds(folder, "run", "--json", *arguments, status=status, **environ)
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def lines(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Return what a command prints as JSON lines."""
    return [json.loads(line) for line in feeds(folder, *arguments, "--json").stdout.splitlines()]


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder with the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a working folder with the two digests."""
    shutil.copytree(SEEDS, tmp_path / "seeds")
    return tmp_path


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working folder after one pass, shared by tests that only look."""
    folder = tmp_path_factory.mktemp("walked")
    shutil.copytree(SEEDS, folder / "seeds")
    run(folder)
    return folder


def test_one_pass_puts_every_article_on_a_channel(home: Path) -> None:
    before = tree(home / "seeds")
    done = run(home)
    assert done["digests"] == {"read": 2, "unchanged": 0, "quarantined": 0, "failed": 0}
    assert done["articles"] == {"new": 59, "updated": 0, "unchanged": 0}
    assert done["editions"] == {"composed": 1, "skipped": 0}
    assert len(list((home / "out/articles").rglob("*.html"))) == 59
    assert tree(home / "seeds") == before
    held = Counter(article["channel"] for article in lines(home, "articles"))
    assert sum(held.values()) == 59
    for channel, number in held.items():
        parsed = feedparser.parse((home / "out" / channel / "atom.xml").read_bytes())
        assert len(parsed.entries) == number


def test_a_second_pass_writes_nothing(home: Path) -> None:
    run(home)
    before = {path: path.stat().st_mtime_ns for path in (home / "out").rglob("*")}
    done = run(home)
    assert done["documents"]["written"] == done["documents"]["removed"] == 0
    assert done["articles"] == {"new": 0, "updated": 0, "unchanged": 0}
    assert done["digests"]["unchanged"] == 2
    assert {path: path.stat().st_mtime_ns for path in (home / "out").rglob("*")} == before


def test_out_is_rebuilt_to_the_same_bytes(home: Path) -> None:
    run(home)
    before = tree(home / "out")
    shutil.rmtree(home / "out")
    later = run(home, FEEDS_NOW="2026-01-02T09:00:00Z")
    assert later["documents"]["written"] == len(before)
    assert tree(home / "out") == before


def test_two_installations_make_the_same_bytes(home: Path, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(SEEDS, other / "seeds")
    run(home)
    run(other)
    assert tree(home / "out") == tree(other / "out")


def test_one_lost_document_is_enough_to_write_it_again(home: Path) -> None:
    run(home)
    before = tree(home / "out")
    (home / "out/politics/atom.xml").unlink()
    (home / "out/articles").rename(home / "gone")
    run(home)
    assert tree(home / "out") == before


def test_every_feed_says_what_the_record_says(walked: Path) -> None:
    on_record = {article["uri"]: article for article in lines(walked, "articles")}
    seen: Counter[bool] = Counter()
    for path in sorted((walked / "out").glob("*/atom.xml")):
        parsed = feedparser.parse(path.read_bytes())
        assert not parsed.bozo, path
        for entry in parsed.entries:
            article = on_record[entry.id]
            seen[path.parent.name == "all"] += 1
            assert entry.title == article["title"]
            assert entry.link == article["url"]
            assert moment(entry.updated) == moment(article["updated"])
            assert ("published" in entry) == (article["published"] is not None)
            if article["published"]:
                assert moment(entry.published) == moment(article["published"])
            codes = [f"medtop:{tag.term}" for tag in entry.get("tags", [])]
            assert codes == [topic["code"] for topic in article["topics"]]
            assert path.parent.name in {article["channel"], "all"}
    assert seen[False] == 59
    assert seen[True] == 50


def test_all_forms_of_a_feed_hold_the_same_entries(walked: Path) -> None:
    for folder in (path.parent for path in (walked / "out").glob("*/atom.xml")):
        atom = feedparser.parse((folder / "atom.xml").read_bytes())
        rss = feedparser.parse((folder / "rss.xml").read_bytes())
        feed = json.loads((folder / "feed.json").read_text())
        ids = [entry.id for entry in atom.entries]
        assert ids == [entry.id for entry in rss.entries]
        assert ids == [item["id"] for item in feed["items"]]


def test_every_default_channel_has_its_documents_from_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    run(tmp_path)
    assert len(list((tmp_path / "out").glob("*/atom.xml"))) == CHANNELS + 1
    parsed = feedparser.parse((tmp_path / "out/weather/atom.xml").read_bytes())
    assert parsed.entries == []
    assert moment(parsed.feed.updated) == moment(NOW)
    outlines = etree.parse(tmp_path / "out/feeds.opml").findall(".//outline[@xmlUrl]")
    assert len(outlines) == CHANNELS + 1


def test_a_subscriber_who_joins_gets_the_open_edition_once(home: Path) -> None:
    run(home)
    assert not (home / ".feeds/outbox").exists()
    feeds(home, "subscribers", "add", "you@example.org")
    assert run(home)["deliveries"]["written"] == 1
    [path] = (home / ".feeds/outbox").glob("*.eml")
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert message.get_content_type() == "multipart/alternative"
    assert message["To"] == "you@example.org"
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert kinds == ["text/plain", "text/html"]
    assert not message.defects
    written = path.stat().st_mtime_ns
    assert run(home)["deliveries"]["written"] == 0
    assert path.stat().st_mtime_ns == written


def test_a_repeated_letter_is_the_same_to_the_byte(home: Path) -> None:
    run(home)
    feeds(home, "subscribers", "add", "you@example.org")
    run(home)
    [path] = (home / ".feeds/outbox").glob("*.eml")
    before = path.read_bytes()
    path.unlink()
    feeds(home, "send", "--again", "2026-01-02T0800")
    assert path.read_bytes() == before


def test_the_next_slot_carries_only_what_is_new(home: Path) -> None:
    feeds(home, "subscribers", "add", "you@example.org")
    run(home)
    skipped = run(home, FEEDS_NOW="2026-01-03T08:00:00Z")
    assert skipped["editions"] == {"composed": 0, "skipped": 1}
    text = (
        "04.01.2026, 07:00 10\n\nParliament passes the budget\n\n"
        "The parliament passed the state budget for the year, the ministry of finance says.\n \n"
    )
    (home / "seeds/new.txt").write_text(text)
    done = run(home, FEEDS_NOW="2026-01-04T03:30:00Z")
    assert done["articles"]["new"] == 1
    assert done["editions"]["composed"] == 1
    assert done["deliveries"]["written"] == 1
    [letter] = (home / ".feeds/outbox").glob("*2026-01-04T0800*.eml")
    message = email.message_from_bytes(letter.read_bytes(), policy=email.policy.default)
    assert message["Subject"] == "Parliament passes the budget"


def test_a_file_that_no_format_explains_stops_nothing(home: Path) -> None:
    (home / "seeds/001.txt").write_text("This is no digest.\nIt has no articles.\n")
    (home / "seeds/002.txt").write_bytes(bytes(range(256)) * 40)
    os.mkfifo(home / "seeds/pipe")
    done = run(home, status=3)
    assert done["digests"] == {"read": 2, "unchanged": 0, "quarantined": 3, "failed": 0}
    assert done["articles"]["new"] == 59
    again = run(home)
    assert again["digests"] == {"read": 0, "unchanged": 5, "quarantined": 0, "failed": 0}
    status = json.loads(feeds(home, "status", "--json").stdout)
    reasons = {one["file"]: one["reason"] for one in status["quarantine"]}
    assert reasons == {"001.txt": "unknown_format", "002.txt": "binary", "pipe": "special"}


def test_archived_digests_are_published_and_never_mailed(home: Path) -> None:
    feeds(home, "subscribers", "add", "you@example.org")
    done = run(home, "--archive")
    assert done["articles"]["new"] == 59
    assert done["editions"]["composed"] == 0
    assert run(home)["editions"] == {"composed": 0, "skipped": 1}
    assert not (home / ".feeds/outbox").exists()


def test_killed_at_any_time_a_pass_ends_as_if_undisturbed(home: Path, walked: Path) -> None:
    """Kills real passes at growing delays, then lets one end."""
    for delay in (0.2, 0.4, 0.6, 0.9, 1.2, 1.6):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}
        process = subprocess.Popen(
            [*FEEDS, "run"],
            cwd=home,
            env=clean | {"FEEDS_NOW": NOW},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    run(home)
    assert tree(home / "out") == tree(walked / "out")
    assert lines(home, "articles") == lines(walked, "articles")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, str]]:
    """Return `feeds watch --serve` at work in an empty folder, that folder, and its web address."""
    (tmp_path / "seeds").mkdir()
    here = ("127.0.0.1", 0)
    with socket.create_server(here) as one, socket.create_server(here) as other:
        port, private = one.getsockname()[1], other.getsockname()[1]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*FEEDS, "watch", "--serve", "--port", str(port)],
            cwd=tmp_path,
            env=clean | {"FEEDS_OPERATOR_LISTEN": f"127.0.0.1:{private}"},
            stderr=log,
            text=True,
        )
    (tmp_path / "private").write_text(f"http://127.0.0.1:{private}/")
    until((tmp_path / "out/index.html").exists)
    yield process, tmp_path, f"http://127.0.0.1:{port}/"
    process.kill()
    process.wait()


def until(there: Callable[[], object]) -> None:
    """Wait for something; a minute is for ever here."""
    for _ in range(6000):
        if there():
            return
        time.sleep(0.01)
    raise AssertionError(there)


def fetched(address: str) -> tuple[int, str]:
    """Return status and body of an address."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


Watched = tuple[subprocess.Popen[str], Path, str]


def test_a_digest_that_lands_is_published_and_served(watched: Watched) -> None:
    _, home, address = watched
    shutil.copy(next(SEEDS.glob("*.txt")), home / "beside")
    (home / "beside").rename(home / "seeds/a.txt")
    until(lambda: "<entry>" in fetched(f"{address}all/atom.xml")[1])
    assert fetched(f"{address}healthz") == (200, "ok\n")
    private = (home / "private").read_text()
    assert fetched(f"{private}healthz") == (200, "ok\n")
    until(lambda: 'feeds_digests_total{outcome="read"} 1.0' in fetched(f"{private}metrics")[1])
    assert fetched(f"{address}metrics")[0] == 404


def test_what_is_wrong_is_told_to_the_operator_alone(watched: Watched) -> None:
    process, home, address = watched
    (home / "seeds").rmdir()
    process.send_signal(signal.SIGHUP)  # looks at once
    until(lambda: fetched(f"{address}healthz") == (503, "degraded\n"))
    status, said = fetched(f"{(home / 'private').read_text()}healthz")
    assert status == 503
    assert "make this folder" in said


def test_who_watches_is_named_to_a_second_process(watched: Watched) -> None:
    process, home, _ = watched
    done = feeds(home, "run", status=1)
    assert f"in use by feeds watch (process {process.pid})" in done.stderr
    feeds(home, "subscribers", "add", "you@example.org")  # works beside it
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert (home / ".feeds/lock").read_text() == ""
    assert "Traceback" not in (home / "log").read_text()


def test_watch_begins_at_once_with_what_came_while_nobody_watched(watched: Watched) -> None:
    process, home, _ = watched
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    for seed in SEEDS.glob("*.txt"):
        shutil.copy(seed, home / "seeds")
    again = subprocess.Popen([*FEEDS, "watch"], cwd=home, stderr=subprocess.DEVNULL)
    until(lambda: len(list((home / "out/articles").glob("*/*.html"))) == 59)
    again.terminate()
    assert again.wait(60) == 0


def test_pages_link_to_pages_that_are_there(walked: Path) -> None:
    out = walked / "out"
    for page in [*out.glob("*.html"), *out.glob("*/*.html"), *out.glob("articles/*/*.html")]:
        root = etree.HTML(page.read_text())
        found: Any = root.xpath("//a/@href | //link[@rel='stylesheet' or @rel='icon']/@href")
        for href in map(str, found):
            if "://" in href or href.startswith(("mailto:", "#")):
                continue
            target = (page.parent / href.partition("#")[0]).resolve()
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), (page, href)


def test_pages_are_closed_to_search_until_their_source_is_configured_as_indexed(home: Path) -> None:
    run(home)
    page = next((home / "out/articles").rglob("*.html"))
    assert 'name="robots" content="noindex' in page.read_text()
    (home / "feeds.toml").write_text('[[source]]\nname = "Ours"\nindexed = true\n')
    run(home)
    assert "noindex" not in page.read_text()
    assert "Ours" in page.read_text()


@pytest.fixture
def server(walked: Path) -> Iterator[str]:
    """Return the address of `feeds serve` over a folder after one pass."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*FEEDS, "serve", "--port", str(port)], cwd=walked, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()
    address = f"http://127.0.0.1:{port}/"
    for _ in range(100):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            break
        except urllib.error.URLError:
            time.sleep(0.05)
    yield address
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) in {0, -signal.SIGTERM}
    process.stderr.close()


def test_a_reader_fetches_a_feed_once(server: str) -> None:
    first = feedparser.parse(f"{server}politics/atom.xml")
    assert first.status == 200
    assert first.headers["content-type"] == "application/atom+xml; charset=utf-8"
    assert len(first.entries) > 10
    again = feedparser.parse(f"{server}politics/atom.xml", etag=first.etag)
    assert again.status == 304


@pytest.mark.skipif(shutil.which("newsboat") is None, reason="newsboat is not installed")
def test_newsboat_reads_every_channel(server: str, walked: Path, tmp_path: Path) -> None:
    urls = [
        f"{server}{path.parent.name}/atom.xml"
        for path in sorted((walked / "out").glob("*/atom.xml"))
        if path.parent.name != "all"
    ]
    (tmp_path / "urls").write_text("\n".join(urls) + "\n")
    files = ["-u", str(tmp_path / "urls"), "-c", str(tmp_path / "cache.db"), "-C", "/dev/null"]
    newsboat = ["newsboat", *files]
    subprocess.run([*newsboat, "-x", "reload"], check=True, capture_output=True)
    unread = subprocess.run(
        [*newsboat, "-x", "print-unread"], check=True, capture_output=True, text=True
    )
    assert unread.stdout.split()[0] == "59"


def moment(text: str) -> datetime:
    """Return an RFC 3339 moment in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
