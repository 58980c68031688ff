"""What `feeds serve` answers, as RFC 9110 has it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from email.utils import formatdate
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from feeds import web
from feeds.web import application, private, server

ATOM = "/politics/atom.xml"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "politics").mkdir(parents=True)
    (folder / "index.html").write_text("<p>index")
    (folder / "politics" / "index.html").write_text("<p>politics")
    (folder / "politics" / "atom.xml").write_text("<feed/>")
    (folder / "politics" / ".atom.xml.1.tmp").write_text("half")
    (tmp_path / "secret").write_text("secret")
    return folder


@pytest.fixture
def client(out: Path) -> TestClient:
    return TestClient(application(out, lambda: True), base_url="http://127.0.0.1")


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/politics/", "text/html; charset=utf-8"),
        (ATOM, "application/atom+xml; charset=utf-8"),
    ],
)
def test_a_document_has_its_media_type(client: TestClient, path: str, media_type: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_folder_without_its_slash_redirects_to_it(client: TestClient) -> None:
    answer = client.get("/politics", follow_redirects=False)
    assert answer.status_code == 301
    assert client.get("/politics").text == "<p>politics"


def test_the_same_bytes_are_sent_once(client: TestClient) -> None:
    first = client.get(ATOM)
    again = client.get(ATOM, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["last-modified"] == first.headers["last-modified"]
    since = {"If-Modified-Since": first.headers["last-modified"]}
    assert client.get(ATOM, headers=since).status_code == 304


def test_the_tag_wins_over_the_date(client: TestClient) -> None:
    headers = {"If-None-Match": '"other"', "If-Modified-Since": formatdate(usegmt=True)}
    assert client.get(ATOM, headers=headers).status_code == 200


def test_new_bytes_have_a_new_tag(client: TestClient, out: Path) -> None:
    old = client.get(ATOM).headers["etag"]
    (out / "politics" / "atom.xml").write_text("<feed>new</feed>")
    answer = client.get(ATOM, headers={"If-None-Match": old})
    assert answer.status_code == 200
    assert answer.headers["etag"] != old


@pytest.mark.parametrize("bad", ["yesterday", "", "Thu, 99 Foo 2026 00:00:00 GMT"])
def test_a_bad_date_is_ignored(client: TestClient, bad: str) -> None:
    assert client.get(ATOM, headers={"If-Modified-Since": bad}).status_code == 200


def test_head_is_get_without_a_body(client: TestClient) -> None:
    head, get = client.head(ATOM), client.get(ATOM)
    assert head.content == b""
    assert {k: v for k, v in head.headers.items() if k != "date"} == dict(get.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/../secret",
        "/%2e%2e/secret",
        "/politics/..%2f..%2fsecret",
        "/politics/.atom.xml.1.tmp",
        "/%00",
    ],
)
def test_nothing_but_documents_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_link_is_not_followed(client: TestClient, out: Path, tmp_path: Path) -> None:
    (out / "link.html").symlink_to(tmp_path / "secret")
    (out / "folder").symlink_to(tmp_path)
    assert client.get("/link.html").status_code == 404
    assert client.get("/folder/secret").status_code == 404


def test_feeds_may_be_read_by_other_origins_and_pages_load_nothing_foreign(
    client: TestClient,
) -> None:
    assert client.get(ATOM).headers["access-control-allow-origin"] == "*"
    page = client.get("/")
    assert "access-control-allow-origin" not in page.headers
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_only_reading_is_allowed(client: TestClient) -> None:
    assert client.post(ATOM).status_code == 405


def test_the_public_side_says_no_more_of_health_than_yes_or_no(out: Path) -> None:
    well = [True]
    public = TestClient(application(out, lambda: well[0]), base_url="http://127.0.0.1")
    answer = public.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["cache-control"] == "no-store"
    well[0] = False
    assert (public.get("/healthz").status_code, public.get("/healthz").text) == (503, "degraded\n")
    assert public.get("/metrics").status_code == 404


def test_the_private_side_says_what_is_wrong_and_gives_figures() -> None:
    troubles: dict[str, str] = {}
    operators = TestClient(private(lambda: troubles, lambda: b"feeds_healthy 1.0\n"))
    assert operators.get("/healthz").text == "ok\n"
    troubles["seeds"] = "seeds: No such file or directory"
    answer = operators.get("/healthz")
    assert (answer.status_code, answer.text) == (503, "seeds: seeds: No such file or directory\n")
    figures = operators.get("/metrics")
    assert figures.text == "feeds_healthy 1.0\n"
    assert figures.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_connections_are_bounded_and_silent_ones_end(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the open files of the process with the work that goes on beside."""
    monkeypatch.setattr(server, "_CONNECTIONS", 5)
    monkeypatch.setattr(server, "_SILENT", 0.2)
    with (
        web.listener("127.0.0.1", 0) as listener,
        web.beside(application(out, lambda: True), listener),
        ExitStack() as stack,
    ):
        held = [
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=60))
            for _ in range(8)
        ]
        for one in held[5:]:
            assert ended(one)
        for one in held[:5]:
            assert ended(one)
        asking = stack.enter_context(socket.create_connection(listener.getsockname(), timeout=60))
        asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        assert asking.recv(1000).startswith(b"HTTP/1.1 200")


def test_an_answer_waits_for_no_receipt(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its body waits 40 ms for the receipt of its head."""
    made = server._Bounded.connection_made
    found: list[int] = []

    def look(protocol: server._Bounded, transport: asyncio.Transport) -> None:
        made(protocol, transport)
        end = transport.get_extra_info("socket")
        found.append(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(server._Bounded, "connection_made", look)
    with (
        web.listener("127.0.0.1", 0) as listener,
        web.beside(application(out, lambda: True), listener),
        socket.create_connection(listener.getsockname(), timeout=60) as asking,
    ):
        asking.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        assert asking.recv(1000).startswith(b"HTTP/1.1 200")
    assert [bool(one) for one in found] == [True]


def ended(one: socket.socket) -> bool:
    """Wait for the other side to end a connection."""
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True
