"""The subscription pages: GET changes nothing, answers tell nothing, one click is enough."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from factories import NOW, make_publication
from httpx2 import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html
from starlette.applications import Starlette
from starlette.testclient import TestClient

from feeds import app as opened
from feeds import config, outputs
from feeds.app import App
from feeds.errors import ConfigError, DeliveryError, StoreError
from feeds.model import Subscriber
from feeds.store.subscribers import Wish
from feeds.web import application, clients, forms, pages, subscriptions
from feeds.web.limits import Limit, limits
from feeds.web.words import WORDS

PUBLIC = "https://news.example.org/"
ADA = Subscriber(1, "ada@example.org", NOW, channels=("politics", "sport"))
TOKEN, ASKED, OLD = (
    "token-of-ada-000000000001",
    "asked-by-bob-000000000001",
    "old-0000000000000000000001",
)
ONE_CLICK = b"List-Unsubscribe=One-Click"
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Book:
    """Stands in for the corridor: who holds which token, and what was called."""

    people: dict[str, Subscriber] = field(default_factory=lambda: {TOKEN: ADA})
    asked: set[str] = field(default_factory=lambda: {ASKED})
    calls: list[str] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)
    hows: list[str] = field(default_factory=list)
    fault: Exception | None = None

    def _called(self, name: str) -> None:
        if self.fault is not None:
            raise self.fault
        self.calls.append(name)

    def sign_up(self, app: App, email: str, wish: Wish, now: datetime) -> None:
        assert (app.now(), wish.email) == (now, email)
        self._called("sign_up")
        self.wishes.append(wish)

    def confirm(self, app: App, token: str, now: datetime) -> bool:
        assert app.now() == now
        self._called("confirm")
        return token in self.asked

    def leave(self, app: App, token: str, now: datetime, how: str) -> bool:
        assert app.now() == now
        self._called("leave")
        self.hows.append(how)
        return self.people.pop(token, None) is not None

    def subscription(self, app: App, token: str) -> Subscriber | None:
        assert app.now()
        if self.fault is not None:
            raise self.fault
        return self.people.get(token)

    def change(self, app: App, token: str, wish: Wish, now: datetime) -> bool:
        assert app.now() == now
        self._called("change")
        self.wishes.append(wish)
        return token in self.people

    def erase(self, app: App, token: str, now: datetime) -> bool:
        assert app.now() == now
        self._called("erase")
        return self.people.pop(token, None) is not None


@dataclass
class Clock:
    """A clock in seconds that is set by hand."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, {"FEEDS_WEB_PUBLIC_URL": PUBLIC}, Path("/dev/null"))
    with opened.open_app(found, {"FEEDS_NOW": NOW.isoformat()}) as app:
        yield app


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(app: App, book: Book, clock: Clock) -> TestClient:
    return visitor(app, book, clock)


def visitor(app: App, book: Book, clock: Clock, peer: str = "203.0.113.7") -> TestClient:
    """Return a client at an address; those of one desk share its limits."""
    served = site(app, book, clock)
    return TestClient(served, base_url="http://here", client=(peer, 5000), follow_redirects=False)


def site(app: App, book: Book, clock: Clock, beat: float = 0.001) -> Starlette:
    """Return the application, with the pages over a book."""
    desk = subscriptions.Desk(app, book, limits(clock), beat)
    return application(app.out, lambda: True, subscriptions.routes(desk))


def tree(answer: Response) -> Any:
    """Return the page of an answer."""
    return html.document_fromstring(answer.content)


def everything(client: TestClient) -> dict[str, list[str]]:
    """Return a form to sign up by as it is first shown, without an address."""
    page = tree(client.get("/subscribe"))
    found: dict[str, list[str]] = {}
    for box in page.xpath("//input[@type='checkbox'][@checked]"):
        found.setdefault(box.get("name"), []).append(box.get("value"))
    return found


def test_there_are_no_pages_without_a_public_address(app: App, tmp_path: Path) -> None:
    web = replace(app.settings.web, public_url=None)
    closed = replace(app, settings=replace(app.settings, web=web))
    for shown in ((), pages(closed)):
        client = TestClient(application(tmp_path, lambda: True, shown))
        for path in ("/subscribe", f"/c/{ASKED}", f"/u/{TOKEN}"):
            assert client.get(path).status_code == client.get("/nothing").status_code == 404
            assert client.post(path).status_code == client.post("/nothing").status_code


def test_the_front_page_leads_to_them_where_there_are_some() -> None:
    for address in (None, f"{PUBLIC}subscribe"):
        [index, *_] = [
            document
            for document in outputs.catalogues((), make_publication(subscribe=address), ())
            if document.path == "index.html"
        ]
        page: Any = html.document_fromstring(index.data)
        assert page.xpath("//@href").count(f"{PUBLIC}subscribe") == (2 if address else 0)


def test_with_one_they_stand_beside_the_documents(app: App, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>index")
    client = TestClient(application(tmp_path, lambda: True, pages(app)))
    assert client.get("/").text == "<p>index"
    assert client.get("/subscribe").status_code == 200


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    path=st.builds(
        str.__add__,
        st.sampled_from(["/c/", "/u/"]),
        st.sampled_from([TOKEN, ASKED, OLD, ""]) | st.text("abcXYZ019-_.%/", max_size=40),
    )
    | st.just("/subscribe"),
    query=st.dictionaries(
        st.sampled_from(["action", "List-Unsubscribe", "email", "next", "website"]),
        st.sampled_from(["leave", "erase-now", "One-Click", "a@example.org", "//evil.example"]),
    ),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_reading_changes_nothing(
    client: TestClient, book: Book, path: str, query: dict[str, str], method: str
) -> None:
    """Programs that look into mail follow every link."""
    answer = client.request(method, path, params=query)
    assert answer.status_code in {200, 404}
    assert (book.calls, book.people) == ([], {TOKEN: ADA})


@pytest.mark.parametrize("path", ["/subscribe", f"/c/{ASKED}", f"/u/{TOKEN}", "/u/forged"])
def test_head_is_get_without_a_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, dict(head.headers)) == (get.status_code, dict(get.headers))
    assert (head.content, bool(get.content)) == (b"", True)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/subscribe", f"/c/{ASKED}", f"/u/{TOKEN}"])
def test_other_methods_are_refused(client: TestClient, book: Book, path: str, method: str) -> None:
    answer = client.request(method, path, content=ONE_CLICK, headers=URLENCODED)
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert book.calls == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/subscribe"),
        ("POST", "/subscribe"),
        ("GET", f"/u/{TOKEN}"),
        ("POST", f"/u/{TOKEN}"),
    ],
)
def test_every_answer_keeps_to_itself(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-robots-tag"] == "noindex"
    assert "set-cookie" not in answer.headers
    assert TOKEN not in answer.text
    assert "<script" not in answer.text
    links = tree(answer).xpath("//@href | //@src | //@action")
    assert {link for link in links if not link.startswith("#")} <= {
        "http://127.0.0.1:8080/",
        "icon.svg",
        "../icon.svg",
    }


def test_a_sign_up_is_handed_on_with_what_was_chosen(client: TestClient, book: Book) -> None:
    form = {"email": " Ada.L@Example.ORG ", "channels": ["sport", "politics"], "languages": ["kk"]}
    assert client.post("/subscribe", data=form).status_code == 200
    assert book.wishes == [Wish("ada.l@example.org", ("politics", "sport"), None, ("kk",))]


def test_everything_chosen_means_whatever_comes(client: TestClient, book: Book) -> None:
    client.post("/subscribe", data=everything(client) | {"email": ["a@example.org"]})
    assert book.wishes == [Wish("a@example.org", (), None, ())]


def test_the_editions_are_offered_when_there_are_several(app: App, book: Book) -> None:
    [daily] = app.settings.editions
    weekly = replace(daily, name="weekly", channels=("arts",), languages=("en", "de"))
    daily = replace(daily, channels=("politics", "sport"), languages=("en",))
    two = replace(app, settings=replace(app.settings, editions=(daily, weekly)))
    client = visitor(two, book, Clock())
    assert everything(client) == {
        "channels": ["politics", "sport", "arts"],
        "editions": ["daily", "weekly"],
        "languages": ["en", "de"],
    }
    form = everything(client) | {"email": ["a@example.org"], "editions": ["weekly"]}
    client.post("/subscribe", data=form)
    assert book.wishes == [Wish("a@example.org", (), ("weekly",), ())]


def test_the_answer_to_a_sign_up_tells_nothing_of_the_address(
    client: TestClient, book: Book
) -> None:
    form = everything(client)
    known = client.post("/subscribe", data=form | {"email": [ADA.email]})
    new = client.post("/subscribe", data=form | {"email": ["new@example.org"]})
    trapped = client.post("/subscribe", data=form | {"email": ["x@example.org"], "website": ["x"]})
    for answer in (new, trapped):
        assert (answer.status_code, answer.content) == (200, known.content)
        assert answer.headers == known.headers
    assert book.calls == ["sign_up", "sign_up"]
    assert b"@example.org" not in known.content


def test_answers_to_a_sign_up_wait_for_a_common_beat(
    app: App, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    client = TestClient(site(app, book, Clock(), beat=1000.0))
    client.get("/subscribe")
    assert waits == []
    client.post("/subscribe", data={"email": "a@example.org"})
    assert 0 < waits[0] < 1000


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org\nSubject: x",
        "a@example.org\0",
        "a@exa\u2028mple.org",
        "a@example.org, b@example.org",
        '"a b"@example.org',
        "<a@example.org>",
        "a@example.org\x85x",
        "a" * 250 + "@example.org",
    ],
)
def test_what_is_no_address_is_said_and_goes_nowhere(
    client: TestClient, book: Book, address: str
) -> None:
    answer = client.post("/subscribe", data=everything(client) | {"email": [address]})
    page = tree(answer)
    assert (answer.status_code, book.calls) == (400, [])
    assert page.findtext(".//title").startswith("Error: ")
    [box] = page.xpath("//input[@id='email']")
    assert box.get("aria-invalid") == "true"
    for name in box.get("aria-describedby").split():
        assert page.get_element_by_id(name).text_content()
    assert page.xpath("//*[@role='alert']//a/@href") == ["#email"]


def test_bytes_that_are_no_text_are_no_address(client: TestClient, book: Book) -> None:
    answer = client.post("/subscribe", content=b"email=a%ff@example.org", headers=URLENCODED)
    assert (answer.status_code, book.calls) == (400, [])


def test_an_address_that_no_mail_can_be_written_to_is_said(client: TestClient, book: Book) -> None:
    form = everything(client) | {"email": ["a@example.org"]}
    book.fault = DeliveryError("a@example.org", None, "no domain", permanent=True)
    answer = client.post("/subscribe", data=form)
    assert (answer.status_code, tree(answer).xpath("//*[@role='alert']//@href")) == (
        400,
        ["#email"],
    )
    book.fault = DeliveryError("a@example.org", None, "no sender", permanent=False)
    assert client.post("/subscribe", data=form).status_code == 503


def test_a_letter_and_its_accent_are_one_however_they_are_typed(
    client: TestClient, book: Book
) -> None:
    form = everything(client)
    for email in ("\xe1da@example.org", "a\u0301da@example.org"):
        client.post("/subscribe", data=form | {"email": [email]})
    assert [wish.email for wish in book.wishes] == ["\xe1da@example.org"] * 2


def test_nothing_chosen_is_said_and_what_was_entered_stays(client: TestClient, book: Book) -> None:
    answer = client.post("/subscribe", data={"email": 'a@ex"><b>', "languages": ["kk"]})
    page = tree(answer)
    assert (answer.status_code, book.calls) == (400, [])
    assert page.xpath("//*[@role='alert']//a/@href") == ["#email", "#channels-first"]
    assert page.xpath("//input[@id='email']/@value") == ['a@ex"><b>']
    assert page.xpath("//input[@checked]/@value") == ["kk"]


@pytest.mark.parametrize("path", ["/subscribe", f"/u/{TOKEN}", f"/c/{ASKED}", "/c//evil.example"])
def test_nobody_is_sent_elsewhere(client: TestClient, path: str) -> None:
    params = dict.fromkeys(("next", "url", "redirect", "return_to"), "//evil.example/")
    for method in ("GET", "POST"):
        data = params | {"email": "a@example.org", "action": "save", "channels": "sport"}
        answer = client.request(
            method, path, params=params, data=data, headers={"Host": "evil.example"}
        )
        assert "location" not in answer.headers
        assert "evil" not in answer.text


def test_a_confirmation_takes_a_press_of_the_button(client: TestClient, book: Book) -> None:
    asked = [client.get(f"/c/{token}") for token in (ASKED, OLD, "x")]
    assert len({(page.status_code, page.content) for page in asked}) == 1
    [form] = tree(asked[0]).forms
    assert (form.method, form.get("action"), book.calls) == ("POST", None, [])
    assert "You are subscribed" in client.post(f"/c/{ASKED}").text
    assert book.calls == ["confirm"]


@pytest.mark.parametrize("token", ["forged", OLD, TOKEN[:-1], "é" * 5, "a" * 5000])
def test_a_token_that_is_not_valid_says_so_and_does_nothing(
    client: TestClient, book: Book, token: str
) -> None:
    answers = [
        client.get(f"/u/{token}"),
        *(client.post(f"/u/{token}", data={"action": name}) for name in ("save", "leave", "erase")),
        client.post(f"/u/{token}", data={"action": "erase-now"}),
    ]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert answers[0].status_code == 404
    assert "use the link in the newest one" in answers[0].text
    used = client.post(f"/c/{token}")
    assert (used.status_code, used.content) == (404, client.post("/c/x").content)
    assert "It works once" in used.text
    assert set(book.calls) <= {"confirm"}
    assert book.people == {TOKEN: ADA}


def test_the_preferences_show_what_is_received(client: TestClient) -> None:
    page = tree(client.get(f"/u/{TOKEN}"))
    assert page.xpath("//input[@name='channels'][@checked]/@value") == ["politics", "sport"]
    assert page.xpath("//input[@name='languages'][@checked]/@value") == ["en", "ru", "kk"]
    assert "ada@example.org" not in page.text_content()  # a letter may be handed on
    assert "a…@example.org" in page.text_content()


def test_a_wish_for_what_is_not_offered_is_kept(app: App, book: Book) -> None:
    book.people[TOKEN] = replace(ADA, languages=("de",))
    client = visitor(app, book, Clock())
    data = {"action": "save", "channels": ["sport"], "languages": ["de", "kk"]}
    assert client.post(f"/u/{TOKEN}", data=data).status_code == 200
    assert book.wishes == [Wish(ADA.email, ("sport",), None, ("kk", "de"))]


def test_preferences_are_saved_and_shown(client: TestClient, book: Book) -> None:
    data = {"action": "save", "channels": ["sport", "nothing"], "languages": ["en", "ru", "kk"]}
    answer = client.post(f"/u/{TOKEN}", data=data)
    page = tree(answer)
    assert book.wishes == [Wish(ADA.email, ("sport",), None, ())]
    assert page.xpath("//input[@name='channels'][@checked]/@value") == ["sport"]
    assert page.xpath("//*[@role='status']/text()") == [WORDS["en"]["saved"]]


def test_no_channel_is_not_taken_for_all_channels(client: TestClient, book: Book) -> None:
    answer = client.post(f"/u/{TOKEN}", data={"action": "save", "languages": ["en"]})
    assert (answer.status_code, book.calls) == (400, [])
    assert "Choose at least one channel." in answer.text


def test_leaving_takes_one_press_and_erasing_two(client: TestClient, book: Book) -> None:
    asked = client.post(f"/u/{TOKEN}", data={"action": "erase"})
    assert (asked.status_code, book.calls) == (200, [])
    [button] = tree(asked).xpath("//button")
    assert (button.get("name"), button.get("value")) == ("action", "erase-now")
    client.post(f"/u/{TOKEN}", data={"action": "leave"})
    assert (book.calls, book.hows) == (["leave"], ["on the web"])
    book.people[TOKEN] = replace(ADA, state="unsubscribed")
    assert "Your data is erased" in client.post(f"/u/{TOKEN}", data={"action": "erase-now"}).text
    assert book.people == {}


@pytest.mark.parametrize(("state", "word"), [("pending", "pending"), ("unsubscribed", "idle")])
def test_who_gets_nothing_can_change_nothing(
    client: TestClient, book: Book, state: str, word: str
) -> None:
    book.people[TOKEN] = replace(ADA, state=state)
    page = tree(client.get(f"/u/{TOKEN}"))
    assert WORDS["en"][word].format(email="a…@example.org") in page.text_content()
    assert page.xpath("//button/@value") == ["erase"]
    saved = client.post(
        f"/u/{TOKEN}", data={"action": "save", "channels": ["sport"], "languages": ["en"]}
    )
    assert (saved.status_code, book.calls) == (400, [])


@pytest.mark.parametrize("data", [{}, {"action": "x"}, {"List-Unsubscribe": "Two-Clicks"}])
def test_what_is_not_understood_does_nothing(
    client: TestClient, book: Book, data: dict[str, str]
) -> None:
    assert client.post(f"/u/{TOKEN}", data=data).status_code == 400
    assert book.calls == []


BOUNDARY = "----=_Part_1_2.3"
MULTIPART = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
    f"One-Click\r\n--{BOUNDARY}--\r\n"
)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (URLENCODED, ONE_CLICK),
        ({"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}, ONE_CLICK),
        (URLENCODED | {"User-Agent": "GoogleImageProxy"}, ONE_CLICK),
        ({}, ONE_CLICK),
        ({"Content-Type": f'multipart/form-data; boundary="{BOUNDARY}"'}, MULTIPART.encode()),
        ({"Content-Type": f"Multipart/Form-Data; boundary={BOUNDARY}"}, MULTIPART.encode()),
    ],
)
def test_one_click_leaves_at_once(
    client: TestClient, book: Book, headers: dict[str, str], body: bytes
) -> None:
    """As mail providers send it: RFC 8058, section 3.2 and its examples in section 8."""
    answer = client.post(f"/u/{TOKEN}", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert (book.calls, book.hows, book.people) == (["leave"], ["by one click"], {})


def test_one_click_says_so_when_it_ends_nothing(client: TestClient, book: Book) -> None:
    tokens = (OLD, "forged", "x" * 3000)
    answers = [client.post(f"/u/{one}", content=ONE_CLICK, headers=URLENCODED) for one in tokens]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len(book.people) == 1


def test_a_client_signs_up_five_times_an_hour(client: TestClient, book: Book, clock: Clock) -> None:
    form = everything(client)
    for number in range(5):
        data = form | {"email": [f"a{number}@example.org"]}
        assert client.post("/subscribe", data=data).status_code == 200
    refused = client.post("/subscribe", data=form | {"email": ["a6@example.org"]})
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    assert len(book.calls) == 5
    clock.seconds = 3601
    assert client.post("/subscribe", data=form | {"email": ["a7@example.org"]}).status_code == 200


def test_an_address_is_signed_up_five_times_an_hour_and_nobody_sees(
    app: App, book: Book, clock: Clock
) -> None:
    served = site(app, book, clock)
    answers = []
    for number in range(7):
        client = TestClient(served, client=(f"203.0.113.{number}", 1))
        data = everything(client) | {"email": [ADA.email.upper()]}
        answers.append(client.post("/subscribe", data=data))
    assert {(answer.status_code, answer.content) for answer in answers} == {
        (200, answers[0].content)
    }
    assert len(book.calls) == 5


def test_a_mistyped_address_is_no_sign_up(client: TestClient, book: Book) -> None:
    form = everything(client)
    for _ in range(8):
        assert client.post("/subscribe", data=form | {"email": ["ada"]}).status_code == 400
    assert client.post("/subscribe", data=form | {"email": ["a@example.org"]}).status_code == 200
    assert book.calls == ["sign_up"]


def test_a_client_sends_sixty_forms_a_minute_but_more_clicks(
    client: TestClient, book: Book, clock: Clock
) -> None:
    """Providers click for all their customers, from few addresses; none of these may be lost."""
    for _ in range(60):
        assert client.post("/c/x").status_code == 404
    assert client.post("/c/x").status_code == 429
    assert client.get(f"/u/{TOKEN}").status_code == 200
    for _ in range(300):
        clicked = client.post(f"/u/{TOKEN}", content=ONE_CLICK, headers=URLENCODED)
        assert clicked.status_code in {200, 404}  # the first one left
    for _ in range(300):
        client.post("/c/x")
    assert client.post(f"/u/{TOKEN}", content=ONE_CLICK, headers=URLENCODED).status_code == 429
    clock.seconds = 61
    assert client.post("/c/x").status_code == 404
    assert book.calls.count("leave") == 300


def test_counting_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feeds.web.limits._KEYS", 10)
    clock = Clock()
    limit = Limit(1, 60, clock)
    for number in range(100):
        assert limit.allows(str(number))
    assert len(limit) == 10
    assert not limit.allows("99")
    clock.seconds = 61
    assert limit.allows("99")
    assert len(limit) == 1


def test_the_time_that_counts_moves_on() -> None:
    clock = Clock()
    limit = Limit(2, 60, clock)
    assert limit.allows("a")
    clock.seconds = 30
    assert limit.allows("a")
    clock.seconds = 61  # the first is forgotten, the second is not
    assert [limit.allows("a"), limit.allows("a")] == [True, False]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.7", (), "203.0.113.7"),
        ("203.0.113.7", ("198.51.100.1",), "203.0.113.7"),
        ("127.0.0.1", ("198.51.100.1, 192.0.2.9",), "192.0.2.9"),
        ("127.0.0.1", ("198.51.100.1", "192.0.2.9"), "192.0.2.9"),
        ("::1", ("[2001:db8:1:2:3::4]:443",), "2001:db8:1:2::/64"),
        ("127.0.0.1", ("192.0.2.9:8080",), "192.0.2.9"),
        ("::ffff:127.0.0.1", ("192.0.2.9",), "192.0.2.9"),
        ("127.0.0.1", ("unknown",), "127.0.0.1"),
        ("127.0.0.1", ("",), "127.0.0.1"),
        ("2001:db8::1", (), "2001:db8::/64"),
        ("2001:db8::ffff:2", (), "2001:db8::/64"),
        ("a.socket", (), "None"),
    ],
)
def test_a_client_is_who_the_proxy_beside_us_says(
    peer: str, forwarded: tuple[str, ...], expected: str
) -> None:
    assert clients.client(peer, forwarded) == expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("ru", "ru"),
        ("de, kk-KZ;q=0.8, ru;q=0.9", "ru"),
        ("ru;q=0, kk;q=0.1", "kk"),
        ("ru;q=x,;;q=1,,kk;x=1", "en"),
        ("*", "en"),
    ],
)
def test_the_language_is_the_one_liked_best(accepted: str, expected: str) -> None:
    assert clients.language(accepted, ("en", "ru", "kk"), "en") == expected


def test_pages_speak_the_readers_language(client: TestClient) -> None:
    for language in ("en", "ru", "kk"):
        for path in ("/subscribe", f"/u/{TOKEN}", f"/c/{ASKED}", "/u/x"):
            page = tree(client.get(path, headers={"Accept-Language": language}))
            assert page.get("lang") == language
    assert "Политика" in client.get("/subscribe", headers={"Accept-Language": "ru"}).text


def test_every_language_says_the_same() -> None:
    for said in WORDS.values():
        assert said.keys() == WORDS["en"].keys()
        for key, text in said.items():
            assert text
            assert re.findall(r"{\w+}", text) == re.findall(r"{\w+}", WORDS["en"][key])


def test_a_body_that_is_too_large_is_refused(client: TestClient, book: Book) -> None:
    for path in ("/subscribe", f"/u/{TOKEN}", "/c/x"):
        answer = client.post(path, content=ONE_CLICK + b"&a=" + b"x" * 16_384, headers=URLENCODED)
        assert answer.status_code == 413
    assert book.calls == []


def test_a_body_that_is_no_form_is_refused(client: TestClient, book: Book) -> None:
    many = b"&".join(b"a=%d" % number for number in range(300))
    for headers, body in ((URLENCODED, many), ({"Content-Type": "multipart/form-data"}, ONE_CLICK)):
        answer = client.post(f"/u/{TOKEN}", content=body, headers=headers)
        assert answer.status_code == 400
    assert book.calls == []


@given(data=st.binary(max_size=300), media_type=st.text(max_size=60))
def test_any_body_is_read_or_refused(data: bytes, media_type: str) -> None:
    for kind in (media_type, "multipart/form-data; boundary=b" + media_type):
        for body in (data, b"--b\r\n" + data + b"\r\n--b--"):
            try:
                found = forms.fields(body, kind)
            except ValueError:
                continue
            assert all(isinstance(value, str) for values in found.values() for value in values)


@pytest.mark.parametrize(
    "fault",
    [
        StoreError("feeds.db", "database is locked"),
        ConfigError("mail.from", "feeds.toml", "no domain"),
        RuntimeError(f"{ADA.email} {TOKEN}"),
    ],
)
def test_a_fault_of_the_record_is_said_without_its_words(
    client: TestClient, book: Book, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    book.fault = fault
    asked = everything(client) | {"email": [ADA.email]}
    with caplog.at_level(logging.DEBUG):
        answers = [
            client.get(f"/u/{TOKEN}"),
            client.post(f"/u/{TOKEN}", content=ONE_CLICK, headers=URLENCODED),
            client.post(f"/c/{ASKED}"),
            client.post("/subscribe", data=asked),
        ]
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert "Traceback" not in answer.text
    said = "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("feeds")
    )
    assert said
    for private in (ADA.email, TOKEN, ASKED):
        assert private not in said + "".join(answer.text for answer in answers)


def test_nothing_is_done_on_a_record_that_was_taken_away(
    client: TestClient, app: App, book: Book
) -> None:
    (app.settings.state_folder / "feeds.db").unlink()
    answer = client.post(f"/u/{TOKEN}", content=ONE_CLICK, headers=URLENCODED)
    assert (answer.status_code, book.calls) == (503, [])
