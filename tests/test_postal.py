"""The newsletter through real mail servers: Postfix takes the letters, Dovecot keeps them.

Two editions go out. Between them one subscriber leaves with one click, one by mail, and the letter to a
mailbox that isn't there comes back. The tests look at what arrived.
"""

from __future__ import annotations

import email
import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP, default
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import dkim as peer  # type: ignore[import-untyped]  # it ships no types
import postal
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from factories import SEEDS

from feeds import dkim
from feeds.dkim import Signer

MISSING = postal.missing()
pytestmark = [
    pytest.mark.slow,  # starts mail servers, and whole passes
    pytest.mark.skipif(MISSING is not None, reason=MISSING or ""),
]

FEEDS = (sys.executable, "-m", "feeds")
STAYS, CLICKS, WRITES, RUSSIAN = postal.MAILBOXES
NOBODY, REFUSED = f"nobody@{postal.READERS}", f"nobody@{postal.STRICT}"
PEOPLE = f"""\
email,channels,languages
{STAYS},,
{CLICKS},"politics,economy",en
{WRITES},"economy,health,science,arts,sport","ru,en"
{RUSSIAN},,ru
{NOBODY},,
{REFUSED},,
"""
PUBLIC = f"https://{postal.HOME}/"
DAY = timedelta(days=1)

CONFIG = """\
[publication]
title = "The morning letter"
base_url = "https://{home}/"

[mail]
transport = "smtp"
host = "127.0.0.1"
port = {smtp}
security = "starttls"
username = "{sender}"
from = "The morning letter <{sender}>"
dkim_key = "dkim.pem"
bounces = "imaps://{login}@127.0.0.1:{imap}?address={bounces}"

[web]
public_url = "{public}"
"""
RUSSIAN_DIGEST = """\
Президент подписал закон о поддержке малого бизнеса в регионах

АСТАНА — Президент подписал закон о поддержке малого бизнеса, сообщила пресс-служба. Он вступит в силу \
с нового года и, как отмечается, не коснётся тех, кто работает по патенту на рынках страны...


В новом году откроются сто школ, сообщил министр просвещения

АСТАНА — В следующем году в районах и на окраинах городов откроются новые школы, сказал министр. \
По его словам, не во всех областях строительство идёт по плану, и это будет исправлено...
"""  # noqa: RUF001 -- Russian
ENGLISH_DIGEST = """\
Parliament Adopts Budget for Three Years After a Long Debate

ASTANA — The parliament adopted the national budget for three years, the speaker said. The government...


Central Bank Keeps Its Base Rate as Inflation Slows Down

ASTANA — The central bank kept its base rate unchanged, its governor said. Inflation slowed down to...
"""


@dataclass(slots=True)
class Walk:
    """An installation, its mail office, and what was seen on the way."""

    home: Path
    office: postal.Office
    signer: Signer
    now: datetime
    deliveries: list[dict[str, int]] = field(default_factory=list)
    made: dict[str, bytes] = field(default_factory=dict)
    letters: list[dict[str, list[bytes]]] = field(default_factory=list)
    states: list[dict[str, str]] = field(default_factory=list)
    returns: dict[str, int] = field(default_factory=dict)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def feeds(
        self, *arguments: str, status: int = 0, folder: Path | None = None, **environ: str
    ) -> str:
        """Run the command in the installation's folder, or a copy, and expect its exit status."""
        done = subprocess.run(
            [*FEEDS, *arguments],
            cwd=folder or self.home,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        self.said.append(done.stderr)
        return done.stdout

    @property
    def environ(self) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FEEDS_")}
        return clean | {
            "FEEDS_NOW": self.now.isoformat(),
            "FEEDS_MAIL_PASSWORD": postal.PASSWORD,
            "SSL_CERT_FILE": str(self.office.authority),
        }

    def look(self) -> None:
        """Note what the mailboxes hold, and how the subscriptions stand."""
        self.office.settle()
        boxes = (*postal.MAILBOXES, postal.BOUNCES)
        self.letters.append({address: self.office.letters(address) for address in boxes})
        people = map(json.loads, self.feeds("subscribers", "list", "--json").splitlines())
        self.states.append({person["email"]: person["state"] for person in people})

    def only(self, address: str) -> bytes:
        """Return the letter of the first edition that is in a mailbox."""
        [letter] = self.letters[0][address]
        return letter

    def last(self, address: str) -> list[bytes]:
        """Return what has come to a mailbox since the first edition."""
        return self.letters[-1][address][len(self.letters[0][address]) :]


@pytest.fixture(scope="module")
def office() -> Iterator[postal.Office]:
    with postal.opened() as office:
        yield office


@pytest.fixture(scope="module")
def walk(office: postal.Office, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Return the walk after two editions."""
    home = tmp_path_factory.mktemp("postal")
    shutil.copytree(SEEDS, home / "seeds")
    key = rsa.generate_private_key(65_537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (home / "dkim.pem").write_bytes(pem)
    config = CONFIG.format(
        home=postal.HOME,
        smtp=office.smtp,
        imap=office.imap,
        sender=postal.SENDER,
        login=postal.BOUNCES.replace("@", "%40"),
        bounces=postal.BOUNCES,
        public=PUBLIC,
    )
    (home / "feeds.toml").write_text(config)
    # The hour is the machine's own: letters dated otherwise than the servers date them look like spam.
    walk = Walk(home, office, dkim.load(pem, postal.HOME, "feeds"), datetime.now(UTC))
    _first_edition(walk)
    _leave(walk)
    _second_edition(walk)
    return walk


def _first_edition(walk: Walk) -> None:
    (walk.home / "people.csv").write_text(PEOPLE)
    agreed = ("--confirmed", "--consent", "on paper")
    walk.feeds("subscribers", "import", "people.csv", *agreed)
    walk.feeds("run")
    sent = walk.feeds("send", "--json", status=3)  # one is refused
    walk.deliveries.append(json.loads(sent))
    walk.look()
    walk.made = _made_again(walk)


def _made_again(walk: Walk) -> dict[str, bytes]:
    """Return the letters of the first edition as a copy of the installation writes them to files."""
    copy = walk.home / "copy"
    shutil.copytree(walk.home, copy)
    slot = email.message_from_bytes(walk.only(STAYS))["Feedback-ID"].partition(":")[0]
    walk.feeds("send", "--again", slot, folder=copy, FEEDS_MAIL_TRANSPORT="folder")
    letters = [path.read_bytes() for path in (copy / ".feeds/outbox").glob("*.eml")]
    return {email.message_from_bytes(letter)["To"]: letter for letter in letters}


def _leave(walk: Walk) -> None:
    """One clicks, one writes; what came back is read."""
    click, _ = ways_to_leave(walk.only(CLICKS))
    with serving(walk) as port:
        walk.answers.append(answer(port, click))
        walk.look()
        walk.answers.append(answer(port, click, b"List-Unsubscribe=One-Click"))
    _, write = ways_to_leave(walk.only(WRITES))
    request = EmailMessage()
    uri = urlsplit(write)
    request["From"], request["To"] = WRITES, unquote(uri.path)
    request["Subject"] = parse_qs(uri.query)["subject"][0]
    request.set_content("Please.")
    walk.office.submit(WRITES, unquote(uri.path), request.as_bytes(policy=SMTP))
    walk.office.settle()
    walk.returns = json.loads(walk.feeds("bounces", "--json"))
    walk.look()


def _second_edition(walk: Walk) -> None:
    walk.now += DAY
    (walk.home / "seeds/russian.txt").write_text(RUSSIAN_DIGEST)
    (walk.home / "seeds/english.txt").write_text(ENGLISH_DIGEST)
    summary = json.loads(walk.feeds("run", "--json", status=3))  # one is refused once more
    walk.deliveries.append(summary["deliveries"])
    walk.look()


def ways_to_leave(letter: bytes) -> tuple[str, str]:
    """Return the https and the mailto URI of List-Unsubscribe."""
    header = email.message_from_bytes(letter)["List-Unsubscribe"]
    [https, mailto] = re.findall(r"<([^>]+)>", header)
    assert (https[:8], mailto[:7]) == ("https://", "mailto:")
    return https, mailto


@contextmanager
def serving(walk: Walk) -> Iterator[int]:
    """Serve the subscription pages; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*FEEDS, "serve", "--host", "127.0.0.1", "--port", str(port)],
        cwd=walk.home,
        env=walk.environ,
        stderr=subprocess.DEVNULL,
    )
    try:
        postal.until(lambda: postal.answers(port), process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answer(port: int, address: str, data: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of a public address, which is served on this machine."""
    assert address.startswith(PUBLIC)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{address.removeprefix(PUBLIC)}", data
    )
    request.add_header("Host", postal.HOME)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.url == request.full_url  # RFC 8058, section 3.1: no redirect
        return answer.status, answer.read()


def below_the_trace(letter: bytes) -> bytes:
    """Return a letter without what servers put on top (RFC 5321, section 4.4)."""
    return letter[letter.index(b"DKIM-Signature:") :]


FIRST = pytest.mark.parametrize("address", [STAYS, CLICKS, WRITES])


def test_all_are_sent_but_to_who_is_refused_at_once(walk: Walk) -> None:
    expected = {"written": 0, "sent": 4, "deferred": 0, "failed": 1, "uncertain": 0}
    assert walk.deliveries[0] == expected
    assert walk.letters[0][RUSSIAN] == []  # both digests are English
    assert set(walk.states[0].values()) == {"active"}


@FIRST
def test_what_arrives_is_what_was_made_to_the_byte(walk: Walk, address: str) -> None:
    assert below_the_trace(walk.only(address)) == walk.made[address]


@FIRST
def test_a_letter_is_handed_over_encrypted_and_after_a_login(walk: Walk, address: str) -> None:
    trace = email.message_from_bytes(walk.only(address)).get_all("Received", [])
    assert "with ESMTPSA" in trace[-1]  # RFC 3848


@FIRST
def test_dkimpy_finds_the_signature_good(walk: Walk, address: str) -> None:
    def lookup(name: bytes, timeout: int = 5) -> bytes:
        del timeout
        return (
            dkim.record(walk.signer).encode() if name == walk.signer.host.encode() + b"." else b""
        )

    letter = walk.only(address)
    assert peer.DKIM(letter).verify(dnsfunc=lookup)
    assert not peer.DKIM(letter.replace(b"One-Click", b"One-Clack")).verify(dnsfunc=lookup)


@pytest.mark.skipif(postal.program("opendkim") is None, reason="opendkim is not installed")
def test_opendkim_finds_the_signature_good(walk: Walk, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{walk.signer.host} {dkim.record(walk.signer)}\n")
    config = f"Mode v\nSyslog no\nBackground no\nTestPublicKeys {tmp_path}/keys\n"
    (tmp_path / "conf").write_text(f"{config}Nameservers 127.0.0.1\n")  # which nobody asks
    letter = walk.only(STAYS)
    verdicts = []
    for data in (letter, letter.replace(b"One-Click", b"One-Clack")):
        (tmp_path / "letter").write_bytes(data)
        command = [postal.program("opendkim") or "", "-x", "conf", "-t", "letter"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        verdicts.append("succeeded" in done.stdout)
    assert verdicts == [True, False]


@FIRST
def test_a_letter_parses_without_a_defect(walk: Walk, address: str) -> None:
    letter = email.message_from_bytes(walk.only(address), policy=default)
    assert letter["To"] == address
    assert [part.get_content_type() for part in letter.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    for part in letter.walk():
        assert not part.defects
        assert not [name for name, value in part.items() if value.defects]
    text, page = (part.get_content() for part in letter.iter_parts())
    heading = letter["Subject"].partition(" + ")[0].rstrip("…")
    assert heading in text
    assert heading in html.unescape(page)


def test_each_letter_has_a_way_back_of_its_own(walk: Walk) -> None:
    back = [
        email.message_from_bytes(walk.only(to))["Return-Path"] for to in (STAYS, CLICKS, WRITES)
    ]
    assert len(set(back)) == 3
    for address in back:
        assert re.fullmatch(r"<bounces\+[0-9]+\.[a-z2-7]{29}@news\.example\.org>", address)


@pytest.mark.skipif(postal.program("spamassassin") is None, reason="spamassassin is not installed")
def test_spamassassin_takes_it_for_a_letter(walk: Walk, tmp_path: Path) -> None:
    done = subprocess.run(
        # That it came from this machine earns it nothing here.
        ["spamassassin", "-L", "-t", "-x", "--cf=score ALL_TRUSTED 0", "--cf=use_bayes 0"],
        input=walk.only(STAYS),
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    verdict = email.message_from_bytes(done.stdout)["X-Spam-Status"]
    found = re.search(r"score=(-?[0-9.]+)", verdict)
    assert found is not None
    assert float(found[1]) <= 0.5, verdict


def test_who_looks_at_the_way_out_has_not_left(walk: Walk) -> None:
    assert walk.answers[0][0] == 200
    assert walk.states[1] == walk.states[0]


def test_one_click_ends_the_letters(walk: Walk) -> None:
    assert walk.answers[1][0] == 200
    assert walk.states[2][CLICKS] == "unsubscribed"
    assert walk.last(CLICKS) == []


def test_a_mail_ends_the_letters(walk: Walk) -> None:
    assert walk.states[2][WRITES] == "unsubscribed"
    assert walk.last(WRITES) == []


def test_a_letter_that_comes_back_ends_the_letters(walk: Walk) -> None:
    [notice, _] = walk.letters[-1][postal.BOUNCES]
    assert b"Status: 5.1.1" in notice
    assert walk.states[2][NOBODY] == "bounced"
    assert walk.office.log.count(f"to=<{NOBODY}>, relay=") == 1


def test_what_came_back_is_read_once(walk: Walk) -> None:
    assert {name: n for name, n in walk.returns.items() if n} == {
        "messages": 2,
        "hard": 1,
        "unsubscribed": 1,
        "suppressed": 2,
    }
    assert json.loads(walk.feeds("bounces", "--json"))["messages"] == 0


def test_who_is_refused_in_two_editions_gets_no_third(walk: Walk) -> None:
    assert [states[REFUSED] for states in walk.states] == ["active"] * 3 + ["bounced"]


def test_the_others_get_the_next_edition(walk: Walk) -> None:
    expected = {"written": 0, "sent": 2, "deferred": 0, "failed": 1, "uncertain": 0}
    assert walk.deliveries[1] == expected
    assert walk.states[-1][STAYS] == walk.states[-1][RUSSIAN] == "active"
    [letter] = walk.last(STAYS)
    text = email.message_from_bytes(letter, policy=default).get_body(("plain",))
    assert text is not None
    assert "Central Bank Keeps Its Base Rate" in text.get_content()


def test_a_letter_in_russian_comes_through(walk: Walk) -> None:
    [arrived] = walk.last(RUSSIAN)
    letter = email.message_from_bytes(arrived, policy=default)
    assert letter["Content-Language"] == "ru"
    texts = [letter["Subject"], *(part.get_content() for part in letter.iter_parts())]
    title = RUSSIAN_DIGEST.splitlines()[0]
    assert [title[:20] in text for text in texts] == [True] * 3
    assert "Central Bank" not in texts[1]


def test_no_address_is_in_the_log_or_on_the_web(walk: Walk) -> None:
    told = "".join(walk.said)
    assert "refused" in told
    pages = [path.read_bytes() for path in (walk.home / "out").rglob("*") if path.is_file()]
    assert any(b"The morning letter" in page for page in pages)
    for domain in (postal.READERS, postal.STRICT):
        assert domain not in told
        assert not any(domain.encode() in page for page in pages)
