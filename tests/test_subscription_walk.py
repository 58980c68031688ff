"""The subscription pages with real parts: the corridor, the record, a server, a browser."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import browser
import httpx2
import pytest
from factories import NOW
from lxml import html

from feeds import app as opened
from feeds import config, tokens, web
from feeds.app import App
from feeds.model import Subscriber
from feeds.pipeline import subscriptions
from feeds.store import database
from feeds.store.subscribers import Wish
from feeds.web import forms

PUBLIC = "https://news.example.org/"
YOU = "you@example.org"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
DAY = timedelta(days=1)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    monkeypatch.setattr(database, "_PRAGMAS", ("busy_timeout=200", *database._PRAGMAS[1:]))
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {"FEEDS_WEB_PUBLIC_URL": PUBLIC}, Path("/dev/null"))
    with opened.open_app(found, {"FEEDS_NOW": NOW.isoformat()}) as app:
        yield app


@contextmanager
def serving(app: App) -> Iterator[httpx2.Client]:
    """Serve the pages; yield a client."""
    with (
        web.listener("127.0.0.1", 0) as listener,
        web.beside(web.application(app.out, lambda: True, web.pages(app)), listener),
    ):
        port = listener.getsockname()[1]
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client


@pytest.fixture
def client(app: App) -> Iterator[httpx2.Client]:
    with serving(app) as client:
        yield client


def tree(answer: httpx2.Response) -> Any:
    return html.document_fromstring(answer.content)


def everything(client: httpx2.Client) -> dict[str, list[str]]:
    """Return the form to sign up by, with all boxes ticked."""
    boxes = tree(client.get("/subscribe")).xpath("//input[@type='checkbox']")
    form: dict[str, list[str]] = {}
    for box in boxes:
        form.setdefault(box.get("name"), []).append(box.get("value"))
    return form


def question(app: App) -> str:
    """Return the address in the last mail that asks for a confirmation."""
    data = app.store.messages.due(NOW)[-1].letter.data.replace(b"=\r\n", b"")
    [address, *_] = re.findall(rb"https://news\.example\.org(/c/[A-Za-z0-9_.-]+)", data)
    assert isinstance(address, bytes)
    return address.decode()


def person(app: App, email: str = YOU) -> Subscriber:
    return app.store.subscribers.find(email)


def link(app: App, email: str = YOU) -> str:
    """Return the path that stands in a subscriber's letters now."""
    url = subscriptions.preferences_url(app, person(app, email))
    assert url is not None
    return f"/{url.removeprefix(PUBLIC)}"


def test_from_sign_up_to_the_last_trace(app: App, client: httpx2.Client) -> None:
    form = everything(client) | {"email": [YOU], "channels": ["sport", "arts"]}
    assert client.post("/subscribe", data=form).status_code == 200
    assert (person(app).state, person(app).channels) == ("pending", ("sport", "arts"))
    asked = question(app)
    client.get(asked)
    assert person(app).state == "pending"
    assert "You are subscribed" in client.post(asked).text
    assert person(app).state == "active"

    mine = link(app)
    assert tree(client.get(mine)).xpath("//input[@name='channels'][@checked]/@value") == [
        "sport",
        "arts",
    ]
    form = everything(client) | {"action": ["save"], "channels": ["health"]}
    assert client.post(mine, data=form).status_code == 200
    assert person(app).channels == ("health",)

    assert client.post(mine, data={"action": "leave"}).status_code == 200
    assert person(app).state == "unsubscribed"
    assert client.post(mine, data={"action": "erase-now"}).status_code == 200
    assert app.store.subscribers.seek(YOU) is None
    assert client.get(mine).status_code == 404


def test_one_click_leaves_and_every_old_link_is_dead(app: App, client: httpx2.Client) -> None:
    subscriptions.add(app, Wish(YOU), NOW)
    old = link(app)
    assert client.post(old, data=ONE_CLICK).status_code == 200
    assert person(app).state == "unsubscribed"
    assert client.post(old, data=ONE_CLICK).status_code == 200

    client.post("/subscribe", data=everything(client) | {"email": [YOU]})
    asked = question(app)
    assert client.post(asked).status_code == 200
    assert client.post(asked).status_code == 404  # an answer is good once
    assert client.get(old).status_code == 404
    assert client.post(old, data={"action": "leave"}).status_code == 404
    assert client.post(old, data=ONE_CLICK).status_code == 404
    assert person(app).state == "active"
    assert link(app) != old


def test_a_token_is_good_for_its_person_and_its_purpose_alone(
    app: App, client: httpx2.Client
) -> None:
    subscriptions.add(app, Wish(YOU), NOW)
    subscriptions.add(app, Wish("other@example.org"), NOW)
    client.post("/subscribe", data=everything(client) | {"email": ["third@example.org"]})
    key = opened.secret(app)
    mine, yours = link(app), person(app, "other@example.org")
    mark = mine.rpartition(".")[2]
    forged = [
        f"/u/{yours.id}.{mark}",
        f"/u/{tokens.confirmation(key, person(app), NOW)}",
        f"/u/{tokens.bounce(key, person(app))}",
        f"/u/{tokens.subscription(b'another key', person(app))}",
        f"/u/{tokens.subscription(key, replace(person(app), token_version=2))}",
        f"/u/{question(app)[3:]}",
        f"{mine}=",
        mine[:-1],
        f"/u/{mine[3:].swapcase()}",
        f"/u/0{mine[3:]}",
        f"/u/{'9' * 30}.{mark}",
        f"/u/-1.{mark}",
    ]
    before = app.store.subscribers.all()
    gone = client.get("/u/forged")
    for path in forged:
        for answer in (client.get(path), client.post(path, data={"action": "erase-now"})):
            assert (answer.status_code, answer.content) == (404, gone.content), path
        assert client.post(path, data=ONE_CLICK).status_code == 404, path
    for path in (f"/c{mine[2:]}", f"/c/{'9' * 30}.{mark}", f"/c/{question(app)[3:-1]}"):
        assert client.post(path).status_code == 404
    assert app.store.subscribers.all() == before


def test_nobody_learns_from_a_sign_up_who_is_on_record(app: App, client: httpx2.Client) -> None:
    subscriptions.add(app, Wish(YOU), NOW)
    subscriptions.add(app, Wish("left@example.org"), NOW)
    subscriptions.remove(app, "left@example.org", NOW)
    subscriptions.add(app, Wish("gone@example.org"), NOW)
    subscriptions.erase(app, link(app, "gone@example.org")[3:], NOW)
    form = everything(client)
    answers = [
        client.post("/subscribe", data=form | {"email": [email]})
        for email in (YOU, "left@example.org", "gone@example.org", "new@example.org")
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (200, answers[0].content)
    }
    assert len({tuple(sorted(set(answer.headers) - {"date"})) for answer in answers}) == 1
    asked = {message.letter.recipient for message in app.store.messages.due(NOW)}
    assert asked == {"left@example.org", "gone@example.org", "new@example.org"}
    assert person(app).state == "active"


def test_many_at_once_are_all_served(app: App, client: httpx2.Client) -> None:
    emails = [f"a{number}@example.org" for number in range(24)]
    for email in emails:
        subscriptions.add(app, Wish(email), NOW)
    paths = [link(app, email) for email in emails]
    with ThreadPoolExecutor(12) as threads:
        done = list(threads.map(lambda path: client.post(path, data=ONE_CLICK), paths))
    assert {answer.status_code for answer in done} == {200}
    assert {one.state for one in app.store.subscribers.all()} == {"unsubscribed"}


def test_a_locked_record_is_a_503_and_nothing_is_half_done(app: App, client: httpx2.Client) -> None:
    subscriptions.add(app, Wish(YOU), NOW)
    mine, form = link(app), everything(client)
    with closing(sqlite3.connect(app.settings.state_folder / "feeds.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        for answer in (
            client.post(mine, data=ONE_CLICK),
            client.post("/subscribe", data=form | {"email": ["new@example.org"]}),
        ):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert "locked" not in answer.text
        assert client.get(mine).status_code == 200  # reading waits for nobody
    assert person(app).state == "active"
    assert app.store.subscribers.seek("new@example.org") is None
    assert client.post(mine, data=ONE_CLICK).status_code == 200
    assert person(app).state == "unsubscribed"


def test_no_token_and_no_address_gets_into_a_log(
    app: App, client: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        client.post("/subscribe", data=everything(client) | {"email": [YOU]})
        asked = question(app)
        client.post(asked)
        mine = link(app)
        client.get(mine)
        client.post(mine, data=ONE_CLICK)
        client.post(mine, content=b"\xff" * 20_000)
    said = "\n".join(
        record.getMessage()
        for record in caplog.records
        if not record.name.startswith(("httpx", "httpcore"))  # the client's own
    )
    assert "subscription confirmed" in said
    for private in (YOU, asked[3:], mine[3:]):
        assert private not in said


def test_a_form_that_doesn_t_come_is_not_waited_for(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "_PATIENCE", 0.1)
    where = (client.base_url.host, client.base_url.port or 80)
    with socket.create_connection(where, timeout=60) as slow:
        slow.sendall(b"POST /u/x HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nList")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")


@pytest.mark.slow
@pytest.mark.parametrize("command", [("watch", "--serve"), ("serve",)])
def test_commands_that_serve_have_the_pages_beside_all_other_work(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = str(one.getsockname()[1])
    (tmp_path / "seeds").mkdir()
    (tmp_path / "feeds.toml").write_text(f'[web]\npublic_url = "{PUBLIC}"\nport = {port}\n')
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}
    feeds = [sys.executable, "-m", "feeds"]

    def told(*words: str) -> str:
        done = subprocess.run(
            [*feeds, *words], cwd=tmp_path, env=clean, check=True, capture_output=True, text=True
        )
        return done.stdout

    told("run")
    assert f'href="{PUBLIC}subscribe"' in (tmp_path / "out/index.html").read_text()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*feeds, *command], cwd=tmp_path, env=clean, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            until_there(client)
            form = everything(client) | {"email": [YOU]}
            assert client.post("/subscribe", data=form).status_code == 200
            assert client.get("/").status_code == 200
        assert f"{YOU}  pending" in told("subscribers", "list")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in {0, 130}
    finally:
        process.kill()
        process.wait()
    assert YOU not in (tmp_path / "log").read_text()


def until_there(client: httpx2.Client) -> None:
    """Wait for a server; a minute is for ever here."""
    for _ in range(600):
        try:
            client.get("/healthz")
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed")
def test_a_keyboard_is_enough_to_sign_up(app: App, client: httpx2.Client) -> None:
    with browser.tab() as tab:
        tab.show(str(client.base_url.join("/subscribe")))
        reach(tab, "document.activeElement.id === 'email'")
        tab.type("not an address")
        tab.press("Enter")
        tab.loaded()
        assert tab.ask("document.title").startswith("Error: ")
        reach(tab, "document.activeElement.getAttribute('href') === '#email'")
        tab.press("Enter")
        assert tab.ask("document.activeElement.id") == "email"
        tab.show(str(client.base_url.join("/subscribe")))
        reach(tab, "document.activeElement.id === 'email'")
        tab.type(YOU)
        reach(tab, "document.activeElement.value === 'politics'")
        tab.press(" ")
        assert not tab.ask("document.activeElement.checked")
        reach(tab, "document.activeElement.tagName === 'BUTTON'")
        tab.press("Enter")
        tab.loaded()
        assert tab.ask("document.querySelector('h1').textContent") == "Look into your mail"
    assert person(app).state == "pending"
    assert set(person(app).channels) == {
        channel.slug for channel in app.publication.channels if channel.slug != "politics"
    }


def reach(tab: browser.Tab, there: str) -> None:
    """Press Tab until the focus is there; where it is can be seen at each step."""
    for _ in range(40):
        tab.press("Tab")
        assert tab.ask("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert tab.ask("getComputedStyle(document.activeElement).visibility") == "visible"
        if tab.ask(there):
            return
    raise AssertionError(there)
