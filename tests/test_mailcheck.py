"""`feeds doctor` on mail: what keeps letters from arriving is found, without sending any."""

from __future__ import annotations

import email
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import chaos
import dns.message
import dns.resolver
import dns.rrset
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from feeds import app as opened
from feeds import config, dkim, pipeline
from feeds.app import App
from feeds.config.values import rate
from feeds.dkim import Signer
from feeds.model import DeliveryState
from feeds.pipeline import dnscheck, mailcheck
from feeds.pipeline.checks import Check
from feeds.store.notes import Note
from feeds.store.outgoing import Ended
from feeds.store.subscribers import ACTIVE, Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
DIGEST = "02.01.2026, 09:00 5\n\nParliament passes the budget\n\nThe parliament passed it.\n \n"
HOST = "mail.example.org"
ADDRESS = "5.9.0.1"  # a public one; nothing connects to it
BOTH = "List-Unsubscribe: <https://x.org/{}>\nList-Unsubscribe-Post: x\nDKIM-Signature: v=1"
ROOT: dict[tuple[str, str], Sequence[str]] = {(".", "NS"): ["a.root-servers.net"]}
Zone = Mapping[tuple[str, str], Sequence[str]]


@cache
def pem(bits: int = 2048) -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def signer() -> Signer:
    return dkim.load(pem(), "example.org", "feeds")


def zone(**changes: Sequence[str]) -> dict[tuple[str, str], Sequence[str]]:
    """Return the records of a domain that is well set up; `changes` replace those of a check."""
    keys = {
        "spf": ("example.org", "TXT"),
        "dkim": ("feeds._domainkey.example.org", "TXT"),
        "dmarc": ("_dmarc.example.org", "TXT"),
        "a": (HOST, "A"),
        "ptr": ("1.0.9.5.in-addr.arpa", "PTR"),
        "root": (".", "NS"),
    }
    values: dict[str, Sequence[str]] = {
        "spf": ["google-site-verification=x", "v=spf1 mx ~all"],
        "dkim": [dkim.record(signer())],
        "dmarc": ["v=DMARC1; p=none; rua=mailto:d@example.org"],
        "a": [ADDRESS],
        "ptr": [HOST],
        "root": ["a.root-servers.net"],
    }
    return {keys[name]: value for name, value in (values | changes).items()}


def look(records: Zone, domains: Sequence[str] = ("example.org",), host: str = HOST) -> list[Check]:
    found = dnscheck.checks(
        domains, host, signer(), lambda name, kind: records.get((name, kind), ())
    )
    return list(found)


def wrong(records: Zone, **more: Any) -> dict[str, Check]:
    return {check.name: check for check in look(records, **more) if not check.ok}


def test_a_domain_that_is_well_set_up_passes() -> None:
    found = look(zone())
    assert [check.name for check in found] == ["spf", "dkim dns", "dmarc", "ptr"]
    assert all(check.ok and not check.advice for check in found)


def test_what_is_missing_is_named_with_the_record_to_publish() -> None:
    found = wrong(ROOT)
    assert "`v=spf1 mx ~all`" in found["spf"].advice
    assert found["dkim dns"].advice == (
        "publish this TXT record at feeds._domainkey.example.org: `" + dkim.record(signer()) + "`"
    )
    assert "_dmarc.example.org" in found["dmarc"].advice
    assert "no address" in found["ptr"].detail


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (["v=spf1 mx ~all", "v=spf1 include:x.org -all"], "2 SPF records"),
        (["v=spf1 +all"], "lets every server"),
        (["v=spf1 -all"], "no server may send"),
        (["v=spf10 mx"], "doesn't say"),
    ],
)
def test_spf_records_that_do_not_count_are_found(records: list[str], said: str) -> None:
    assert said in wrong(zone(spf=records))["spf"].detail


def test_the_domain_of_the_envelope_needs_spf_as_well() -> None:
    [check] = wrong(zone(), domains=("example.org", "back.example.org")).values()
    assert check.detail.startswith("back.example.org ")


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (["v=DKIM1; k=rsa; p="], "was revoked"),
        (["v=DKIM1; k=rsa; p=MIIB"], "is not that of mail.dkim_key"),
        (["something else"], "there is no key"),
    ],
)
def test_a_published_key_that_is_not_ours_is_found(records: list[str], said: str) -> None:
    assert said in wrong(zone(dkim=records))["dkim dns"].detail


def test_a_published_key_may_stand_in_pieces_and_beside_another() -> None:
    ours = dkim.record(signer()).replace("; p=", " ;\tp = ")
    assert wrong(zone(dkim=["v=DKIM1; p=MIIB", f"{ours[:90]} {ours[90:]}"])) == {}


@pytest.mark.parametrize("record", ["v=DMARC1", "v=DMARC1; p=maybe"])
def test_a_policy_that_is_none_is_found(record: str) -> None:
    assert "no policy that counts" in wrong(zone(dmarc=[record]))["dmarc"].detail


def test_a_policy_of_the_domain_above_counts() -> None:
    records = ROOT | {("_dmarc.example.org", "TXT"): ["v=DMARC1; p=reject"]}
    [found] = [
        one for one in look(records, domains=("mail.news.example.org",)) if one.name == "dmarc"
    ]
    assert found.ok


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ptr": []}, "has no name (PTR)"),
        ({"ptr": ["other.example.org"]}, "is called other.example.org"),
    ],
)
def test_a_server_whose_address_has_another_name_is_found(
    changes: dict[str, list[str]], said: str
) -> None:
    assert said in wrong(zone(**changes))["ptr"].detail


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.0.0.7", "::1"])
def test_a_server_within_needs_no_public_name(host: str) -> None:
    assert wrong(zone(), host=host) == {}


def test_without_dns_the_checks_are_skipped_after_one_question() -> None:
    asked: list[str] = []

    def resolve(name: str, _kind: str) -> None:
        asked.append(name)

    found = list(dnscheck.checks(["example.org"], HOST, signer(), resolve))
    assert all(check.ok and check.detail.startswith("skipped: no DNS") for check in found)
    assert f"`{dkim.record(signer())}`" in found[1].detail
    assert asked == ["."]


def test_a_resolver_that_denies_the_root_is_no_dns() -> None:
    assert wrong(zone(root=[])) == {}


def test_a_single_question_without_an_answer_skips_its_check_alone() -> None:
    records = zone()

    def resolve(name: str, kind: str) -> Sequence[str] | None:
        return None if name.startswith("_dmarc") else records.get((name, kind), ())

    found = list(dnscheck.checks(["example.org"], HOST, signer(), resolve))
    assert [check.name for check in found if check.detail == "skipped: no DNS"] == ["dmarc"]


@contextmanager
def name_server(records: Zone) -> Iterator[int]:
    """Serve records over UDP on loopback; yield the port. It answers nothing but these."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as link:
        link.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, peer = link.recvfrom(4096)
                if not data:
                    return
                asked = dns.message.from_wire(data)
                answer, [question] = dns.message.make_response(asked), asked.question
                name, kind = str(question.name).rstrip(".") or ".", question.rdtype.name
                if values := records.get((name, kind)):
                    texts = [_as_in_a_zone_file(one, kind) for one in values]
                    answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *texts))
                elif name not in {one for one, _ in records}:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                link.sendto(answer.to_wire(), peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield link.getsockname()[1]
        finally:
            with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as last:
                last.sendto(b"", link.getsockname())
            thread.join()


def _as_in_a_zone_file(text: str, kind: str) -> str:
    """Return a record's text; that of TXT in strings of at most 255 characters."""
    if kind == "TXT":
        return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))
    return f"{text}." if kind in {"NS", "PTR"} else text


def test_a_real_name_server_is_asked() -> None:
    records = zone()
    with name_server(records) as port:
        asked = dns.resolver.Resolver(configure=False)
        asked.nameservers, asked.port = ["127.0.0.1"], port
        resolve = dnscheck.ask(asked)
        assert set(resolve("example.org", "TXT") or ()) == set(records["example.org", "TXT"])
        assert resolve(HOST, "AAAA") == ()
        assert resolve("nowhere.example.org", "TXT") == ()
        found = list(dnscheck.checks(["example.org"], HOST, signer(), resolve))
    assert all(check.ok for check in found)
    assert [check.detail for check in found[1::2]] == [
        "the key at feeds._domainkey.example.org is ours",
        "mail.example.org and its address name each other",
    ]


def test_a_name_server_that_refuses_is_no_dns() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    asked = dns.resolver.Resolver(configure=False)
    asked.nameservers, asked.port = ["127.0.0.1"], port
    assert dnscheck.ask(asked)("example.org", "TXT") is None


# The installation.


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return an installation with an edition on record, that sends by SMTP and signs."""
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/a.txt").write_text(DIGEST)
    key = tmp_path / "dkim.pem"
    key.touch(mode=0o600)
    key.write_bytes(pem())
    (tmp_path / "feeds.toml").write_text(
        '[publication]\nbase_url = "https://news.example.org/"\n'
        '[web]\npublic_url = "https://news.example.org/"\n'
        '[mail]\ntransport = "smtp"\nsecurity = "none"\nfrom = "News <news@example.org>"\n'
        f'dkim_key = "{key}"\n'
    )
    flags = {name: str(tmp_path / name) for name in ("seeds", "out", "state")}
    environ = {"FEEDS_NOW": NOW.isoformat()}
    found = config.load(flags, environ, tmp_path / "feeds.toml")
    with opened.open_app(found, environ) as app:
        wish = Wish("reader@example.org")
        app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="r", revive=False)
        pipeline.run(app, send_letters=False)
        yield app


@pytest.fixture
def peer() -> Iterator[chaos.Peer]:
    with chaos.server() as peer:
        yield peer


def with_mail(app: App, **changes: Any) -> App:
    mail = replace(app.settings.mail, **changes)
    return replace(app, settings=replace(app.settings, mail=mail))


def no_dns(_name: str, _kind: str) -> None:
    return None


def examined(app: App) -> dict[str, Check]:
    return {check.name: check for check in mailcheck.examine(app, NOW, no_dns)}


def failed(app: App, but: str = "server") -> dict[str, Check]:
    """Return the checks that fail, `but` one, as nobody listens where the server should be."""
    return {name: check for name, check in examined(app).items() if not check.ok and name != but}


def test_what_is_well_is_said_to_be_well_and_nothing_is_sent(app: App, peer: chaos.Peer) -> None:
    found = examined(with_mail(app, port=peer.port))
    assert {name for name, check in found.items() if not check.ok} == set()
    assert set(found) >= {
        "dkim", "clip", "links", "headers", "from", "leave", "bounces", "server", "spf", "dmarc",
    }  # fmt: skip
    assert not any(check.advice for check in found.values())
    assert found["headers"].detail == (
        "List-Unsubscribe and List-Unsubscribe-Post are there, and signed"
    )
    assert peer.taken == []


@pytest.mark.parametrize("scenario", ["greet-554", "ehlo-421", "greet-garbage", "refuse-connect"])
def test_a_mail_server_that_takes_nothing_is_found(
    app: App, peer: chaos.Peer, scenario: str
) -> None:
    peer.scenario = scenario
    found = examined(with_mail(app, port=peer.port))["server"]
    assert not found.ok
    assert "below [mail]" in found.advice


def test_a_wrong_password_is_found(app: App, peer: chaos.Peer) -> None:
    peer.scenario = "auth-535"
    found = examined(with_mail(app, port=peer.port, username="news"))["server"]
    assert "login refused" in found.detail
    assert "FEEDS_MAIL_PASSWORD" in found.advice


def test_a_mail_server_that_nobody_runs_is_found(app: App) -> None:
    with closing(socket.socket()) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    found = examined(with_mail(app, port=port))["server"]
    assert found.detail == f"127.0.0.1:{port}: Connection refused"


def test_a_key_that_others_can_read_is_found(app: App) -> None:
    key = app.settings.mail.dkim_key
    assert key is not None
    key.chmod(0o644)
    assert failed(app)["dkim"].advice == f"`chmod 600 {key}`"


def test_a_short_key_is_found(app: App) -> None:
    key = app.settings.mail.dkim_key
    assert key is not None
    key.write_bytes(pem(1024))
    assert "1024 bits" in failed(app)["dkim"].detail


def test_a_key_that_is_none_is_found(app: App) -> None:
    key = app.settings.mail.dkim_key
    assert key is not None
    key.write_text("no key")
    assert "no private key in PEM" in failed(app)["dkim"].detail


def test_without_a_key_the_line_that_opendkim_needs_is_named(app: App) -> None:
    found = examined(with_mail(app, dkim_key=None))
    assert found["dkim"].ok
    line = "`SignHeaders *,+List-Unsubscribe-Post,+List-Unsubscribe`"
    assert line in found["dkim"].detail
    assert "dkim dns" not in found


@pytest.mark.parametrize(
    "domain", ["gmail.com", "yahoo.co.uk", "outlook.com", "mail.ru", "yandex.kz", "icloud.com"]
)
def test_a_from_at_a_free_provider_is_found(app: App, domain: str) -> None:
    found = failed(with_mail(app, sender=f"News <someone@{domain}>"))
    assert "of a domain of your own" in found["from"].advice


@pytest.mark.parametrize("domain", ["notgmail.com", "yandex.example.org", "mail.ru.example.org"])
def test_a_domain_that_only_looks_like_one_is_not(app: App, domain: str) -> None:
    assert "from" not in failed(with_mail(app, sender=f"News <someone@{domain}>"))


def test_links_to_this_machine_are_found(app: App) -> None:
    base = replace(app.settings.publication, base_url="http://127.0.0.1:8080/")
    settings = replace(app.settings, publication=base)
    found = failed(opened.reconfigured(app, settings))
    assert found["links"].detail.startswith("http://127.0.0.1:8080/")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "List-Unsubscribe is missing"),
        ("List-Unsubscribe: <https://x.org/u/1>", "List-Unsubscribe-Post is missing"),
        (
            f"{BOTH.format('u')}; h=from:list-unsubscribe",
            "List-Unsubscribe-Post is not under the signature",
        ),
        (
            f"{BOTH.format('u' * 70)}; h=from:list-unsubscribe:list-unsubscribe-post",
            "the address to leave is too long",
        ),
    ],
)
def test_headers_that_spoil_the_one_click_are_found(header: str, said: str) -> None:
    message = email.message_from_string(f"From: a@example.org\n{header}\n\n")
    check = mailcheck._headers(message, signed=True, one_click=True)
    assert (check.ok, check.detail) == (False, said)


def test_a_letter_that_gmail_would_cut_is_found(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailcheck, "CLIP", 1000)
    assert "max_entries" in failed(app)["clip"].advice


def test_a_rate_that_is_too_low_for_the_subscribers_is_found(app: App) -> None:
    for number in range(30):
        wish = Wish(f"reader{number}@example.org")
        app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="r", revive=False)
    found = failed(with_mail(app, rate=rate("1 an hour")))["rate"]
    assert found.detail == (
        "daily: letters at 1 a hour, 31 in all, take 31 hours, the next slot comes after 24 hours"
    )
    slow = examined(with_mail(app, rate=rate("10 an hour")))["rate"]
    assert (slow.ok, slow.detail) == (
        True,
        "daily: letters at 10 a hour, 31 in all, take 3 hours, so that the last come late",
    )


def test_where_bounces_are_read_is_tried(app: App, tmp_path: Path) -> None:
    place = tmp_path / "bounces"
    found = failed(with_mail(app, bounces=f"maildir:{place}"))["bounces"]
    assert "no Maildir" in found.detail
    for name in ("new", "cur", "tmp"):
        (place / name).mkdir(parents=True)
    (place / "new/1").write_text("Subject: x\n\nx\n")
    assert failed(with_mail(app, bounces=f"maildir:{place}")) == {}
    assert os.listdir(place / "new") == ["1"]  # noqa: PTH208 -- names alone
    piped = examined(with_mail(app, bounces="bounces@example.org"))["bounces"]
    assert "`feeds bounces -`" in piped.detail
    assert "names no place" in failed(with_mail(app, bounces="nonsense"))["bounces"].detail


def test_a_mailbox_that_never_answers_is_found_in_time(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailcheck, "_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"imap://news@127.0.0.1:{silent.getsockname()[1]}/INBOX"
        environ = {**app.environ, "FEEDS_MAIL_PASSWORD": "x"}
        found = mailcheck._bounces(with_mail(replace(app, environ=environ), bounces=url))
    assert not found.ok
    assert "no answer within" in found.detail


def test_letters_as_files_need_few_checks(app: App) -> None:
    assert set(examined(with_mail(app, transport="folder", dkim_key=None))) == {"clip"}


def test_without_the_key_of_tokens_no_letter_is_made_and_none_is_minted(app: App) -> None:
    key = app.settings.state_folder / "secret"
    key.unlink()
    assert "clip" not in examined(with_mail(app, transport="folder"))
    assert not key.exists()


# Whether letters go out now.


def now(app: App) -> dict[str, Check]:
    return {check.name: check for check in mailcheck.quick(app, NOW)}


def test_letters_that_wait_for_a_hand_are_named_with_the_commands(app: App) -> None:
    found = now(app)["sending"]
    assert not found.ok
    assert "`feeds edition preview`" in found.advice
    assert "`feeds send`" in found.advice
    app.store.notes.write(Note.MAILED, NOW.isoformat())
    assert now(app)["sending"].ok


def test_a_configuration_by_which_nothing_may_leave_is_named(app: App) -> None:
    web = replace(app.settings.web, public_url=None)
    found = now(replace(app, settings=replace(app.settings, web=web)))["sending"]
    assert (found.ok, found.detail[:15]) == (False, "web.public_url:")


def test_a_mail_server_in_trouble_is_named_until_when(app: App) -> None:
    app.store.notes.write(Note.MAILED, NOW.isoformat())
    until = NOW + timedelta(minutes=5)
    app.store.notes.write(Note.SERVER, f"{until.isoformat()} 2 {HOST}:587: hung up")
    found = now(app)["sending"]
    assert found.detail == (
        f"the mail server takes no letters: {HOST}:587: hung up; tried again at 06:35 UTC"
    )
    assert now(with_mail(app, transport="folder"))["sending"].ok


def end(app: App, state: DeliveryState) -> None:
    edition = app.store.editions.last("daily")
    assert edition is not None
    [delivery] = app.store.deliveries.of(edition.id)
    app.store.deliveries.mark([Ended(delivery.id, state, error="x")], [], NOW)


def test_one_letter_that_failed_is_told_and_many_are_trouble(app: App) -> None:
    assert "delivery" not in now(app)
    end(app, DeliveryState.FAILED)
    found = now(app)["delivery"]
    assert (found.ok, found.detail) == (False, "1 of daily 2026-01-02T08:00 failed for good")
    wish = Wish("other@example.org")
    app.store.subscribers.add(wish, NOW, state=ACTIVE, reason="r", revive=False)
    assert now(app)["delivery"].ok


def test_letters_in_doubt_are_trouble_where_they_are_held(app: App) -> None:
    end(app, DeliveryState.UNCERTAIN)
    assert "delivery" not in now(app)
    found = now(with_mail(app, on_uncertain="hold"))["delivery"]
    assert "`feeds send --again 2026-01-02T0800 --to ADDRESS`" in found.advice


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(seconds=5), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_spans_are_told_in_a_unit_that_fits(span: timedelta, said: str) -> None:
    tell: Callable[[timedelta], str] = mailcheck._span
    assert tell(span) == said
