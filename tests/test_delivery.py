"""Letters leave by SMTP: none is lost; none goes twice but where nobody can know, and then equal."""

from __future__ import annotations

import logging
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import chaos
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from feeds import app as opened
from feeds import config, pipeline
from feeds.app import App
from feeds.errors import ConfigError
from feeds.model import DeliveryState
from feeds.pipeline import delivery, despatch, post, subscriptions
from feeds.pipeline.despatch import Pace
from feeds.store.notes import Note
from feeds.store.outgoing import Ended
from feeds.store.subscribers import ACTIVE, Wish

START = datetime(2026, 1, 3, 6, 30, tzinfo=UTC)
DIGEST = "0{day}.01.2026, 09:00 5\n\n{title}\n\nThe parliament passed the state budget.\n \n"
FATE = {
    *("rcpt-550", "rcpt-550-close", "rcpt-550-354", "data-554", "data-554-close", "dot-552"),
    *("dot-554", "mail-552", "mail-553", "early-552"),
}
"""Scenarios in which the server refuses for good: each letter is lost by its own word."""

NO_ANSWER = {"drop-after-dot", "stall-after-dot", "garbage-dot"}
"""Scenarios in which the server takes a letter and doesn't say so."""


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Desk:
    """An installation with letters to send, and the server it sends them to."""

    app: App
    clock: Clock
    folder: Path
    toml: list[str] = field(default_factory=list)

    def subscribe(self, count: int, domain: str = "example.net") -> None:
        for number in range(count):
            wish = Wish(f"r{number}@{domain}")
            self.app.store.subscribers.add(
                wish, self.app.now(), state=ACTIVE, reason="test", revive=False
            )

    def news(self, day: int) -> None:
        text = DIGEST.format(day=day, title=f"Parliament passes budget {day}")
        (self.folder / "seeds" / f"{day}.txt").write_text(text)

    def compose(self) -> None:
        done = pipeline.run(self.app, send_letters=False)
        assert done.editions["composed"] == 1

    def send(self) -> Counter[str]:
        return delivery.deliver(self.app, self.app.now(), by_hand=True)

    def states(self) -> dict[str, int]:
        return {state: n for state, n in self.app.store.deliveries.count().items() if n}

    def later(self, **span: float) -> None:
        self.clock.now += timedelta(**span)


@pytest.fixture
def peer() -> Iterator[chaos.Peer]:
    with chaos.server("ok") as peer:
        yield peer


@pytest.fixture
def desk(tmp_path: Path, peer: chaos.Peer, request: pytest.FixtureRequest) -> Iterator[Desk]:
    marks = request.node.iter_markers("toml")
    more = "\n".join(line for mark in marks for line in mark.args)
    (tmp_path / "seeds").mkdir()
    file = tmp_path / "feeds.toml"
    file.write_text(
        f"""
[mail]
transport = "smtp"
host = "127.0.0.1"
port = {peer.port}
security = "none"
from = "News <news@example.org>"
unsubscribe = "mailto"
connections = 3
{more}
"""
    )
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    clock = Clock()
    with opened.open_app(config.load(flags, {}, file), {}) as app:
        desk = Desk(replace(app, now=clock), clock, tmp_path)
        desk.news(1)
        yield desk


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have connections wait a moment for an answer, not minutes."""
    connector = post.connector

    def impatient(app: App) -> Callable[[], object]:
        connect = connector(app)
        return lambda: connect(command=2.0, dot=0.3)  # type: ignore[call-arg]  # a partial's

    monkeypatch.setattr(post, "connector", impatient)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a seeded sample of the ways to misbehave, or all with --whole; test_smtp has all of them."""
    if "name" in metafunc.fixturenames:
        names = sorted({*chaos.SCENARIOS, "limit-msgs:1"})
        if not metafunc.config.getoption("--whole"):
            names = random.Random(metafunc.config.getoption("--faults-seed")).sample(names, 24)
        metafunc.parametrize("name", names)


# One letter each


def test_each_subscriber_gets_one_letter_over_one_conversation_each(
    desk: Desk, peer: chaos.Peer
) -> None:
    desk.subscribe(7)
    desk.compose()
    assert desk.send() == {"sent": 7}
    assert sorted(one.recipient for one in peer.taken) == [f"r{n}@example.net" for n in range(7)]
    assert len({one.message_id for one in peer.taken}) == 7
    assert peer.connections <= 3
    assert desk.send() == {}
    assert len(peer.taken) == 7


def test_the_first_letters_wait_for_a_person(
    desk: Desk, peer: chaos.Peer, caplog: pytest.LogCaptureFixture
) -> None:
    desk.subscribe(2)
    with caplog.at_level(logging.INFO):
        done = pipeline.run(desk.app)
    assert (done.deliveries, peer.taken) == ({}, [])
    assert "`feeds send`" in caplog.text
    assert desk.send() == {"sent": 2}
    desk.news(2)
    desk.later(days=1)
    assert pipeline.run(desk.app).deliveries == {"sent": 2}


def test_a_server_that_misbehaves_loses_no_letter_and_doubles_none(
    name: str, desk: Desk, peer: chaos.Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    desk.subscribe(6)
    desk.compose()
    peer.scenario = name
    for _ in range(3):
        desk.send()
        desk.later(minutes=7)
    peer.scenario = "ok"
    for _ in range(8):
        desk.send()
        desk.later(hours=2)
    got = Counter(one.recipient for one in peer.taken)
    if name in FATE:
        assert desk.states() == {"failed": 6}
        assert not got
        return
    failed = desk.states().get("failed", 0)
    assert failed == (3 if name == "half-refused" else 0)
    assert len(got) == 6 - failed
    bytes_of = defaultdict(set)
    for one in peer.taken:
        bytes_of[one.recipient].add((one.message_id, one.sha256))
    assert all(len(copies) == 1 for copies in bytes_of.values())
    if name not in NO_ANSWER and not name.startswith("flaky"):
        assert max(got.values()) == 1
    unanswered = Counter(one.recipient for one in peer.taken if not one.answered)
    assert all(got[who] <= 1 + unanswered[who] for who in got)


@pytest.mark.toml('on_uncertain = "hold"')
def test_what_is_uncertain_can_be_held_until_it_is_repeated_by_hand(
    desk: Desk, peer: chaos.Peer
) -> None:
    desk.subscribe(1)
    desk.compose()
    peer.scenario = "drop-after-dot"
    assert desk.send() == {"uncertain": 1}
    peer.scenario = "ok"
    desk.later(hours=5)
    assert desk.send() == {}
    [slotted] = desk.app.store.editions.newest(composed=True)
    assert delivery.send(desk.app, slotted, again=True) == {"sent": 1}
    first, second = peer.taken
    assert (first.message_id, first.sha256) == (second.message_id, second.sha256)


@pytest.mark.parametrize("before", ["mailto", "https"])
@pytest.mark.parametrize("signs", [False, True])
def test_a_letter_repeated_is_equal_whatever_changed_since(
    desk: Desk, peer: chaos.Peer, before: str, signs: bool
) -> None:
    settings = desk.app.settings
    key = desk.folder / "dkim.pem"
    made = rsa.generate_private_key(65537, 2048)
    key.write_bytes(
        made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    mail = replace(settings.mail, dkim_key=key if signs else None, unsubscribe=before)
    web = replace(settings.web, public_url="https://news.example.org/")
    desk.app = opened.reconfigured(desk.app, replace(settings, mail=mail, web=web))
    desk.subscribe(1)
    desk.compose()
    desk.send()
    desk.app.store.subscribers.add(
        Wish("r0@example.net", channels=("sport",)),
        desk.app.now(),
        state=ACTIVE,
        reason="test",
        revive=False,
    )
    changed = replace(
        settings,
        publication=replace(settings.publication, title="Another", base_url="https://x.example/"),
        mail=replace(
            mail,
            sender="Other <other@elsewhere.example>",
            reply_to="desk@elsewhere.example",
            bounces="back@elsewhere.example",
            unsubscribe="https",
        ),
        web=replace(web, public_url="https://other.example.org/"),
    )
    desk.later(days=3)
    [slotted] = desk.app.store.editions.newest(composed=True)
    assert delivery.send(opened.reconfigured(desk.app, changed), slotted, again=True) == {"sent": 1}
    first, second = peer.taken
    assert first.data == second.data
    assert (b"DKIM-Signature" in first.data) is signs


# Those who left


def test_who_leaves_while_letters_go_gets_none(
    desk: Desk, peer: chaos.Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.subscribe(1)
    desk.compose()
    [person] = desk.app.store.subscribers.all()
    mark = desk.app.store.deliveries.mark

    def leaves(ended: list[Ended], dotting: list[int], now: datetime) -> set[int]:
        if dotting:
            desk.app.store.subscribers.suppress(person.id, "unsubscribed", now, "left")
        return mark(ended, dotting, now)

    monkeypatch.setattr(type(desk.app.store.deliveries), "mark", lambda _, *told: leaves(*told))
    assert desk.send() == {"suppressed": 1}
    assert peer.taken == []
    assert desk.states() == {"suppressed": 1}


def test_who_left_before_is_passed_over_and_the_rest_goes(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(3)
    desk.compose()
    person = desk.app.store.subscribers.find("r1@example.net")
    desk.app.store.subscribers.suppress(person.id, "unsubscribed", desk.app.now(), "left")
    assert desk.send()["sent"] == 2
    assert {one.recipient for one in peer.taken} == {"r0@example.net", "r2@example.net"}


# Trouble of the server


def test_a_server_that_is_down_is_asked_few_times_and_left_in_peace(
    desk: Desk, peer: chaos.Peer, caplog: pytest.LogCaptureFixture
) -> None:
    desk.subscribe(30)
    desk.compose()
    desk.app.store.notes.settle(Note.MAILED, "earlier")
    peer.scenario = "refuse-connect"
    done = delivery.deliver(desk.app, desk.app.now())
    assert 0 < done["deferred"] <= 6
    assert caplog.text.count("takes no letters") == 1
    known = post.trouble(desk.app)
    assert known is not None
    peer.scenario = "ok"
    assert delivery.deliver(desk.app, desk.app.now()) == {}
    desk.later(minutes=2)
    delivery.deliver(desk.app, desk.app.now())
    assert post.trouble(desk.app) is None
    desk.later(minutes=10)
    delivery.deliver(desk.app, desk.app.now())
    assert desk.states() == {"sent": 30}


def test_a_login_that_is_refused_costs_no_letter_a_try_but_the_first(
    desk: Desk, peer: chaos.Peer
) -> None:
    desk.subscribe(40)
    desk.compose()
    settings = desk.app.settings
    account = replace(settings, mail=replace(settings.mail, username="me"))
    app = replace(opened.reconfigured(desk.app, account), environ={"FEEDS_MAIL_PASSWORD": "x"})
    peer.scenario = "auth-535"
    done = delivery.deliver(app, app.now(), by_hand=True)
    assert done["deferred"] <= 3
    assert done["failed"] == 0
    assert desk.states()["queued"] >= 37


def test_a_domain_that_refuses_for_now_holds_up_no_other(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(20, "slow.example")
    desk.subscribe(3, "quick.example")
    desk.compose()
    peer.scenario = "rcpt-450"  # each recipient's first try
    desk.send()
    asked = sum("slow.example" in line for line in peer.commands if line.startswith("RCPT"))
    assert 5 <= asked <= 8
    assert desk.states() == {"deferred": 23}
    peer.scenario = "ok"
    desk.later(minutes=2)
    assert desk.send() == {"sent": 23}


def test_a_letter_is_given_up_when_the_next_edition_has_come(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(1)
    desk.compose()
    peer.scenario = "rcpt-450,rcpt-450"
    desk.send()
    desk.news(2)
    desk.later(days=1)
    desk.compose()
    peer.scenario = "ok"
    assert desk.send() == {"failed": 1, "sent": 1}
    [error] = {one.state for one in desk.app.store.deliveries.of(1)}
    assert error is DeliveryState.FAILED


@pytest.mark.toml('give_up = "2h"', 'retry = ["30m"]')
def test_a_letter_is_given_up_after_a_time(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(1)
    desk.compose()
    peer.scenario = "mail-451"
    seen = []
    for _ in range(6):
        seen.append(dict(desk.send()))
        desk.later(minutes=31)
    assert seen[:4] == [{"deferred": 1}] * 4
    assert seen[4:] == [{"failed": 1}, {}]


# Kills and restores, as far as one process can show; tests/faults kills for real


def test_after_a_kill_what_was_not_dotted_goes_and_what_was_goes_again(
    desk: Desk, peer: chaos.Peer, caplog: pytest.LogCaptureFixture
) -> None:
    desk.subscribe(3)
    desk.compose()
    ids = [one.id for one in desk.app.store.deliveries.of(1)]
    desk.app.store.deliveries.claim(ids[:2], desk.app.now())
    desk.app.store.deliveries.mark([], ids[:1], desk.app.now())
    assert desk.states() == {"queued": 1, "sending": 2}
    assert desk.send() == {"sent": 3}
    assert "unsent=1 uncertain=1" in caplog.text
    assert len(peer.taken) == 3


def test_nothing_is_mailed_while_it_is_stopped(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(2)
    desk.compose()
    desk.app.store.notes.write(Note.HELD, "a restore")
    assert desk.send() == {}
    assert peer.taken == []


def test_letters_in_the_folder_are_not_sent_by_a_change_of_transport(
    desk: Desk, peer: chaos.Peer
) -> None:
    desk.subscribe(2)
    settings = desk.app.settings
    kept = replace(settings, mail=replace(settings.mail, transport="folder"))
    app = opened.reconfigured(desk.app, kept)
    assert pipeline.run(app).deliveries == {"written": 2}
    assert desk.send() == {}
    [slotted] = desk.app.store.editions.newest(composed=True)
    assert delivery.send(desk.app, slotted, again=True) == {"sent": 2}
    files = [path.read_bytes() for path in sorted(app.outbox.iterdir())]
    assert sorted(one.data for one in peer.taken) == sorted(files)


# The pace


def test_a_rate_keeps_letters_apart_and_gives_way_to_other_work() -> None:
    time = Clock()
    seconds = iter([0.0, 0.0, 2.0, 2.0, 4.0])
    pace = Pace(config.values.rate("30 a minute"), clock=lambda: next(seconds))
    waited: list[float] = []

    class Stop:
        def wait(self, span: float) -> None:
            waited.append(span)

        def is_set(self) -> bool:
            return False

    assert time.now == START
    assert pace.wait(Stop())  # type: ignore[arg-type]  # what an event has of use here
    assert pace.wait(Stop())  # type: ignore[arg-type]  # the same
    assert waited == [0.0, 2.0]
    pace.allow(1.0)
    assert not pace.wait(Stop())  # type: ignore[arg-type]  # the same
    assert pace.cut


@pytest.mark.toml('rate = "1 an hour"')
def test_when_the_time_is_up_the_rest_waits_unharmed(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(5)
    desk.compose()
    pace = Pace(desk.app.settings.mail.rate)
    pace.allow(0.5)
    assert delivery.deliver(desk.app, desk.app.now(), by_hand=True, pace=pace) == {"sent": 1}
    assert pace.cut
    assert desk.states() == {"queued": 4, "sent": 1}
    assert {one.tries for one in desk.app.store.deliveries.of(1)} == {0, 1}
    assert len(peer.taken) == 1


# The configuration


@pytest.mark.toml
def test_without_a_way_to_leave_nothing_is_sent(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(1)
    desk.compose()
    mail = replace(desk.app.settings.mail, unsubscribe="https")
    app = opened.reconfigured(desk.app, replace(desk.app.settings, mail=mail))
    with pytest.raises(ConfigError, match=r"web.public_url"):
        delivery.deliver(app, app.now(), by_hand=True)
    assert peer.taken == []


def test_a_letter_by_smtp_has_what_providers_ask_for(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(1)
    desk.compose()
    settings = desk.app.settings
    web = replace(settings.web, public_url="https://news.example.org/")
    mail = replace(settings.mail, unsubscribe="https")
    app = opened.reconfigured(desk.app, replace(settings, web=web, mail=mail))
    assert delivery.deliver(app, app.now(), by_hand=True) == {"sent": 1}
    head = peer.taken[0].data.split(b"\r\n\r\n", 1)[0].decode()
    [address] = re.findall(r"List-Unsubscribe: <(https://[^>]*)>", head)
    assert len(address) <= 77
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head


def test_pauses_between_tries_are_as_configured_and_the_last_one_stays() -> None:
    rules = despatch.Rules(1, (timedelta(minutes=1), timedelta(minutes=5)), resend=True)
    assert [rules.next_try(n, START) - START for n in (1, 2, 3)] == [
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=5),
    ]


# Mail that is no letter


@pytest.mark.toml('bounces = "back@example.org"')
def test_a_question_goes_before_letters_and_its_bounce_comes_back_to_us(
    desk: Desk, peer: chaos.Peer
) -> None:
    subscriptions.sign_up(desk.app, "new@example.net", Wish("new@example.net"), desk.app.now())
    desk.subscribe(1)
    desk.compose()
    assert desk.send() == {"sent": 1}
    question, letter = peer.taken
    assert (question.recipient, letter.recipient) == ("new@example.net", "r0@example.net")
    for one in (question, letter):
        assert re.fullmatch(r"back\+\d+\.[a-z2-7]{29}@example\.org", one.sender)
    desk.send()
    assert len(peer.taken) == 2


def test_a_question_that_nobody_takes_is_given_up(desk: Desk, peer: chaos.Peer) -> None:
    subscriptions.sign_up(desk.app, "new@example.net", Wish("new@example.net"), desk.app.now())
    desk.compose()
    peer.scenario = "mail-451"
    for _ in range(12):
        desk.send()
        desk.later(hours=6)
    peer.scenario = "ok"
    desk.send()
    assert peer.taken == []


def test_letters_never_tried_are_passed_over_when_the_next_edition_has_come(
    desk: Desk, peer: chaos.Peer
) -> None:
    desk.subscribe(2)
    desk.compose()
    desk.news(2)
    desk.later(days=1)
    desk.compose()
    assert desk.send() == {"suppressed": 2, "sent": 2}
    assert len(peer.taken) == 2


def test_letters_of_the_folder_go_by_smtp_as_it_is_configured_then(
    desk: Desk, peer: chaos.Peer
) -> None:
    desk.subscribe(1)
    settings = desk.app.settings
    early = replace(settings, mail=replace(settings.mail, transport="folder", sender=None))
    assert pipeline.run(opened.reconfigured(desk.app, early)).deliveries == {"written": 1}
    [slotted] = desk.app.store.editions.newest(composed=True)
    assert delivery.send(desk.app, slotted, again=True) == {"sent": 1}
    assert b"news@example.org" in peer.taken[0].data.split(b"\r\n\r\n")[0]
    assert delivery.send(desk.app, slotted, again=True) == {"sent": 1}
    assert peer.taken[0].data == peer.taken[1].data


def test_one_who_came_later_can_be_sent_the_edition_by_hand(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(1)
    desk.compose()
    desk.subscribe(2)
    pipeline.queue_for(desk.app, "r1@example.net", desk.app.now())
    [slotted] = pipeline.due(desk.app, desk.app.now())
    assert delivery.send(desk.app, slotted, only="r1@example.net") == {"sent": 1}
    assert [one.recipient for one in peer.taken] == ["r1@example.net"]
    assert pipeline.awaits_hand(desk.app)


def test_what_was_held_goes_when_the_configuration_says_so(desk: Desk, peer: chaos.Peer) -> None:
    desk.subscribe(1)
    desk.compose()
    settings = desk.app.settings
    holds = replace(settings, mail=replace(settings.mail, on_uncertain="hold"))
    peer.scenario = "drop-after-dot"
    app = opened.reconfigured(desk.app, holds)
    assert delivery.deliver(app, app.now(), by_hand=True) == {"uncertain": 1}
    peer.scenario = "ok"
    assert delivery.deliver(app, app.now(), by_hand=True) == {}
    assert desk.send() == {"sent": 1}
    assert peer.taken[0].sha256 == peer.taken[1].sha256
