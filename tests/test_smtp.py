from __future__ import annotations

import hashlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import chaos
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from feeds.errors import DeliveryError, ServerError, UncertainError
from feeds.model import Letter
from feeds.outbox.smtp import Connection, Server

SHORT = 0.3  # seconds that a test waits for an answer that doesn't come
LONG = 10.0


def make_letter(number: int = 1, text: str = "Text", **changes: str) -> Letter:
    """Return a letter, another for each number; the server waits for its last line."""
    message_id = f"<{number}@example.org>"
    lines = [f"Message-ID: {message_id}", "Subject: S", "", text, f"number {number}", "-- end", ""]
    values = {"recipient": f"reader{number}@example.org", "sender": "bounces@example.org"} | changes
    data = "\r\n".join(lines).encode()
    return Letter(message_id=message_id, subject="S", data=data, **values)


def connect(peer: chaos.Peer, timeout: float = LONG, /, **changes: object) -> Connection:
    values = {"host": "127.0.0.1", "port": peer.port, "security": "none"} | changes
    return Connection(Server(**values), command=timeout, dot=timeout)  # type: ignore[arg-type]  # the keys are fields


def send(connection: Connection, letter: Letter) -> None:
    connection.offer(letter)
    connection.conclude()


@dataclass
class Account:
    """What became of letters: by number of the letter."""

    sent: list[Letter] = field(default_factory=list)
    failed: dict[str, DeliveryError] = field(default_factory=dict)
    uncertain: list[Letter] = field(default_factory=list)
    open: list[Letter] = field(default_factory=list)
    errors: list[DeliveryError] = field(default_factory=list)


def send_all(peer: chaos.Peer, letters: Sequence[Letter], rounds: int, timeout: float) -> Account:
    """Send as the corridor does: what may be tried again is, a letter once a round."""
    account = Account(open=list(letters))
    with connect(peer, timeout) as connection:
        for _ in range(rounds):
            waiting, account.open = account.open, []
            for letter in waiting:
                try:
                    send(connection, letter)
                except DeliveryError as error:
                    account.errors.append(error)
                    if isinstance(error, UncertainError):
                        account.uncertain.append(letter)
                    if error.permanent and not isinstance(error, ServerError):
                        account.failed[letter.message_id] = error
                    else:
                        account.open.append(letter)
                else:
                    account.sent.append(letter)
        assert connection.sent == len(account.sent)
    assert not any("@" in str(error) for error in account.errors)
    return account


def settle(peer: chaos.Peer, letters: Sequence[Letter], rounds: int, timeout: float) -> Account:
    """Send while the server misbehaves, then while it behaves; check that the books are right."""
    account = send_all(peer, letters, rounds, timeout)
    peer.scenario = "ok"
    rest = send_all(peer, account.open, 1, LONG)
    assert rest.errors == []
    account.sent += rest.sent
    sent, failed = {each.message_id for each in account.sent}, set(account.failed)
    assert len(account.sent) == len(sent)
    assert sent | failed == {each.message_id for each in letters}  # nothing is lost
    assert not sent & failed
    for letter in letters:
        taken = [each for each in peer.taken if each.message_id == letter.message_id]
        doubts = sum(each is letter for each in account.uncertain)
        answered = sum(each.answered for each in taken)
        assert answered == (letter.message_id in sent)
        assert len(taken) <= answered + doubts  # no second copy without an excuse
        assert {each.sha256 for each in taken} <= {hashlib.sha256(letter.data).hexdigest()}
        assert {each.recipient for each in taken} <= {letter.recipient}
    return account


LETTERS = [make_letter(number) for number in range(6)]
HARD = {
    "mail-552",
    "mail-553",
    "data-554-close",
    "early-552",
    "rcpt-550",
    "rcpt-550-close",
    "rcpt-550-354",
    "data-554",
    "dot-552",
    "dot-554",
}
DOUBTFUL = {"drop-after-dot", "stall-after-dot", "garbage-dot"}
EARLY = {
    "drop-in-data",
    "drop-before-dot",
    "early-421",
    "early-552",
}  # seen before the dot, or just too late
SILENT = {"stall-after-dot", "greet-silent", "drip"}
FINE = {
    "ok",
    "ehlo-500-helo-only",
    "starttls-broken",  # offered, and not asked for
    "starttls-454",
    "starttls-injected",
    "auth-535",
    "auth-454",
    "limit-msgs:2",
    "limit-msgs-close:2",
    "slow-replies",
    "late-354",
    "multi-line",
    "pipelining",
    "no-pipelining",
    "quit-421",
}


@pytest.mark.parametrize("scenario", chaos.SCENARIOS)
def test_no_misbehaviour_loses_a_letter_or_sends_it_twice(scenario: str) -> None:
    with chaos.server(scenario) as peer:
        timeout = SHORT if scenario in SILENT else LONG
        letters = LETTERS[:2] if scenario in SILENT else LETTERS
        account = settle(peer, letters, 2, timeout)
    assert bool(account.failed) == (scenario in HARD or scenario == "half-refused")
    if scenario not in EARLY | {"flaky:0.5"}:
        assert bool(account.uncertain) == (scenario in DOUBTFUL)
    assert (account.errors == []) == (scenario in FINE)
    assert all((error.code or 0) >= 500 for error in account.failed.values())
    assert peer.hasty == 0 or "pipelining" not in scenario.removeprefix("pipelining")


def test_there_are_as_many_ways_to_misbehave_as_promised() -> None:
    assert len(set(chaos.SCENARIOS)) >= 27


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("chance", [0.2, 0.8])
def test_a_server_that_fails_at_random_loses_nothing(seed: int, chance: float) -> None:
    letters = [make_letter(number) for number in range(40)]
    with chaos.server(f"flaky:{chance}", seed=seed) as peer:
        settle(peer, letters, 3, LONG)


@pytest.mark.parametrize(
    ("scenario", "code", "status", "kind", "permanent"),
    [
        ("greet-421", 421, "4.3.2", ServerError, False),
        ("greet-554", 554, "5.3.2", ServerError, False),
        ("greet-garbage", None, None, ServerError, False),
        ("refuse-connect", None, None, ServerError, False),
        ("ehlo-421", 421, "4.3.2", ServerError, False),
        ("mail-421", 421, "4.3.2", ServerError, False),
        ("mail-451", 451, "4.3.0", ServerError, False),
        ("mail-550", 550, "5.7.1", ServerError, True),
        ("mail-552", 552, "5.3.4", DeliveryError, True),
        ("mail-553", 553, "5.6.7", DeliveryError, True),
        ("mail-354", None, None, ServerError, False),
        ("rcpt-530", 530, "5.7.0", ServerError, True),
        ("data-554-close", 554, "5.7.1", DeliveryError, True),
        ("drip", None, None, ServerError, False),
        ("garbage-reply", None, None, ServerError, False),
        ("overlong-reply", None, None, ServerError, False),
        ("endless-reply", None, None, ServerError, False),
        ("rcpt-421", 421, "4.3.2", ServerError, False),
        ("rcpt-450", 450, "4.2.0", DeliveryError, False),
        ("rcpt-550", 550, "5.1.1", DeliveryError, True),
        ("rcpt-550-354", 550, "5.1.1", DeliveryError, True),
        ("rcpt-550-close", 550, "5.1.1", DeliveryError, True),
        ("rcpt-552", 552, "5.5.3", DeliveryError, False),
        ("data-421", 421, "4.3.2", ServerError, False),
        ("data-451", 451, "4.3.0", DeliveryError, False),
        ("data-554", 554, "5.7.1", DeliveryError, True),
        ("drop-before-data", None, None, ServerError, False),
    ],
)
def test_a_refusal_before_the_text_says_whose_it_is(
    scenario: str, code: int, status: str, kind: type[DeliveryError], permanent: bool
) -> None:
    timeout = SHORT if scenario in SILENT else LONG
    with chaos.server(scenario) as peer, connect(peer, timeout) as connection:
        with pytest.raises(DeliveryError) as caught:
            connection.offer(make_letter())
        assert type(caught.value) is kind
        assert (caught.value.code, caught.value.status) == (code, status)
        assert caught.value.permanent is permanent
        peer.scenario = "ok"
        send(connection, make_letter(2))
    assert [each.message_id for each in peer.taken] == ["<2@example.org>"]


@pytest.mark.parametrize(
    ("scenario", "code", "kind", "permanent"),
    [
        ("drop-in-data", None, ServerError, False),
        ("drop-before-dot", None, ServerError, False),
        ("early-421", 421, ServerError, False),
        ("early-552", 552, DeliveryError, True),
        ("drop-after-dot", None, UncertainError, False),
        ("stall-after-dot", None, UncertainError, False),
        ("garbage-dot", None, UncertainError, False),
        ("dot-421", 421, ServerError, False),
        ("dot-451", 451, DeliveryError, False),
        ("dot-452", 452, DeliveryError, False),
        ("dot-552", 552, DeliveryError, True),
        ("dot-554", 554, DeliveryError, True),
    ],
)
def test_after_the_text_only_a_missing_answer_leaves_a_doubt(
    scenario: str, code: int, kind: type[DeliveryError], permanent: bool
) -> None:
    timeout = SHORT if scenario in SILENT else LONG
    with chaos.server(scenario) as peer, connect(peer, timeout) as connection:
        connection.offer(make_letter())
        if scenario in EARLY:
            select.select([connection._session.sock], [], [], LONG)  # type: ignore[union-attr]  # it is open
        with pytest.raises(DeliveryError) as caught:
            connection.conclude()
        assert type(caught.value) is kind
        assert (caught.value.code, caught.value.permanent) == (code, permanent)
        assert connection.sent == 0
        peer.scenario = "ok"
        send(connection, make_letter(2))
        assert connection.sent == 1


def test_an_offered_letter_is_not_taken_before_it_is_concluded() -> None:
    with chaos.server() as peer:
        with connect(peer) as connection:
            connection.offer(make_letter(1))
            with pytest.raises(ValueError, match="offered already"):
                connection.offer(make_letter(2))
            connection.abandon()
            with pytest.raises(ValueError, match="no letter"):
                connection.conclude()
            send(connection, make_letter(2))
            connection.offer(make_letter(3))
        assert [each.message_id for each in peer.taken] == ["<2@example.org>"]


@pytest.mark.parametrize(("scenario", "groups"), [("ok", 1), ("no-pipelining", 3)])
def test_a_group_is_one_write_where_the_server_can_take_it(scenario: str, groups: int) -> None:
    with chaos.server(scenario) as peer, connect(peer) as connection:
        send(connection, make_letter())
        assert groups == 3 - peer.hasty
        verbs = [command.split(" ")[0] for command in peer.commands]
    assert verbs == ["ehlo", "MAIL", "RCPT", "DATA"]


def test_one_connection_takes_many_letters_and_starts_anew_after_a_refusal() -> None:
    with chaos.server("half-refused") as peer:
        account = send_all(peer, LETTERS, 1, LONG)
        assert peer.connections == 1
    assert set(account.failed) == {
        each.message_id for each in LETTERS if chaos.refused(each.recipient)
    }
    assert len(account.sent) + len(account.failed) == len(LETTERS)
    assert "RSET" in peer.commands


@pytest.mark.parametrize("scenario", ["limit-msgs:2", "limit-msgs-close:2"])
def test_a_limit_of_letters_for_a_connection_is_no_error(scenario: str) -> None:
    with chaos.server(scenario) as peer:
        account = send_all(peer, LETTERS, 1, LONG)
        assert (len(account.sent), account.errors) == (6, [])
        assert peer.connections >= 3


def test_a_lost_connection_is_tried_again_once_and_not_for_ever() -> None:
    with chaos.server("ok,mail-421") as peer, connect(peer) as connection:
        send(connection, make_letter(1))
        connection._hang_up()
        with pytest.raises(ServerError):
            connection.offer(make_letter(2))
        assert peer.connections == 2


def test_a_refusal_on_a_good_connection_is_not_asked_for_twice() -> None:
    with chaos.server() as peer, connect(peer) as connection:
        send(connection, make_letter(1))
        peer.scenario, before = "mail-451", len(peer.commands)
        with pytest.raises(ServerError):
            connection.offer(make_letter(2))
        peer.scenario = "ok"
        send(connection, make_letter(3))
        assert sum(command.startswith("MAIL") for command in peer.commands[before:]) == 2


def test_one_by_one_nothing_is_said_after_a_refusal() -> None:
    with chaos.server("rcpt-550", without=("PIPELINING",)) as peer, connect(peer) as connection:
        with pytest.raises(DeliveryError):
            connection.offer(make_letter(1))
        peer.scenario = "ok"
        send(connection, make_letter(2))
        verbs = [command.split(" ")[0] for command in peer.commands]
    assert verbs == ["ehlo", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA"]


def test_nothing_said_before_tls_counts_after_it(certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    with chaos.server("starttls-injected", context=serving(certificate)) as peer:
        connection = Connection(Server("localhost", peer.port, "starttls"), context=context)
        with pytest.raises(ServerError, match="not in SMTP"):
            connection.open()


HOSTILE = [
    "",
    "reader",
    "@example.org",
    "reader@",
    "a@example.org>\r\nRCPT TO:<b@example.org",
    "a@example.org\nDATA",
    "a@example.org\r",
    "a@example.org> SIZE=1",
    "a b@example.org",
    "a\x00@example.org",
    "a\x7f@example.org",
    "a\u2028@example.org",
    "a\u00a0@example.org",
    "a\ud800@example.org",
    "<a@example.org>",
    "@relay.example:a@example.org",
    '"a\\"@example.org',
    "a" * 250 + "@example.org",
]


@pytest.mark.parametrize("address", HOSTILE)
def test_no_address_is_read_as_a_command(address: str) -> None:
    with chaos.server() as peer, connect(peer) as connection:
        with pytest.raises(DeliveryError) as caught:
            connection.offer(make_letter(recipient=address))
        assert (type(caught.value), caught.value.permanent) == (DeliveryError, True)
        assert caught.value.address == address
        assert not address or address not in str(caught.value)
        if address:
            with pytest.raises(ServerError) as wrong:
                connection.offer(make_letter(sender=address))
            assert wrong.value.permanent
        send(connection, make_letter(2, sender=""))
    assert [each.sender for each in peer.taken] == [""]
    assert len(peer.commands) == 5  # EHLO, MAIL, RCPT, DATA, QUIT


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\n.\n", b"\n.\r\n", b"\r.\r"])
def test_a_letter_whose_end_servers_could_see_elsewhere_is_refused(end: bytes) -> None:
    letter = make_letter()
    smuggled = Letter("a@example.org", "<a@b>", "S", letter.data + end + b"MAIL FROM:<x@y>\r\n")
    with (
        chaos.server() as peer,
        connect(peer) as connection,
        pytest.raises(DeliveryError, match="alone") as caught,
    ):
        connection.offer(smuggled)
    assert caught.value.permanent
    assert peer.commands == []


@pytest.mark.parametrize(
    "data",
    [
        b".\r\n..\r\n. a\r\n\r\n.\r\n-- end\r\n",
        b"..\r\nQUIT\r\n",
        b"",
        b"\r\n",
        b"a line without an end",
        b"\x00\xff\x80\r\n.\r\n",
    ],
)
def test_every_byte_of_a_letter_arrives(data: bytes) -> None:
    letter = Letter("a@example.org", "<a@b>", "S", data)
    with chaos.server() as peer, connect(peer) as connection:
        send(connection, letter)
        send(connection, letter)
    whole = data if data.endswith(b"\r\n") else data + b"\r\n"
    assert [each.data for each in peer.taken] == [whole, whole]


def test_the_server_is_told_what_it_can_make_use_of() -> None:
    letter = make_letter()
    with chaos.server() as peer, connect(peer, hello="news.example.org") as connection:
        send(connection, letter)
        assert peer.commands == [
            "ehlo news.example.org",
            f"MAIL FROM:<bounces@example.org> SIZE={len(letter.data)} RET=HDRS ENVID=1@example.org",
            "RCPT TO:<reader1@example.org> NOTIFY=FAILURE,DELAY",
            "DATA",
        ]
    with chaos.server(without=("DSN", "SIZE")) as peer, connect(peer) as connection:
        send(connection, letter)
        assert peer.commands[1:3] == [
            "MAIL FROM:<bounces@example.org>",
            "RCPT TO:<reader1@example.org>",
        ]


def test_the_envelope_id_cannot_hold_a_command() -> None:
    letter = Letter("a@example.org", "<a b+c=é\r\nQUIT>", "S", b"Text\r\n")
    with chaos.server() as peer, connect(peer) as connection:
        send(connection, letter)
        assert "ENVID=a+20b+2Bc+3D+C3+A9+0D+0AQUIT" in peer.commands[1]


def test_a_letter_that_needs_eight_bits_says_so() -> None:
    letter = make_letter(text="Алматы")
    with chaos.server() as peer, connect(peer) as connection:
        send(connection, letter)
        assert " BODY=8BITMIME" in peer.commands[1]
        assert "SMTPUTF8" not in peer.commands[1]
    with chaos.server(without=("8BITMIME",)) as peer, connect(peer) as connection:
        with pytest.raises(DeliveryError) as caught:
            connection.offer(letter)
        assert (caught.value.permanent, caught.value.status) == (True, "5.6.3")
        send(connection, make_letter(2))


def test_only_an_international_address_needs_the_extension_for_it() -> None:
    letter = make_letter(recipient="алия@example.org")
    with chaos.server() as peer, connect(peer) as connection:
        send(connection, letter)
        assert " SMTPUTF8" in peer.commands[1]
        assert [each.recipient for each in peer.taken] == ["алия@example.org"]
    with chaos.server(without=("SMTPUTF8",)) as peer, connect(peer) as connection:
        with pytest.raises(DeliveryError) as caught:
            connection.offer(letter)
        assert type(caught.value) is DeliveryError
        assert (caught.value.permanent, caught.value.status) == (True, "5.6.7")
        send(connection, make_letter(2))  # the others go on


def test_a_letter_larger_than_the_server_takes_is_not_sent_in_vain() -> None:
    letter = Letter("a@example.org", "<a@b>", "S", b"x" * 1_000_001)
    with chaos.server() as peer, connect(peer) as connection:
        with pytest.raises(DeliveryError) as caught:
            connection.offer(letter)
        assert (caught.value.code, caught.value.permanent) == (552, True)
        assert len(peer.commands) == 1


@pytest.mark.parametrize(
    ("scenario", "security", "permanent"),
    [
        ("ok", "starttls", True),  # it offers none
        ("ehlo-500-helo-only", "starttls", True),
        ("starttls-454", "starttls", False),
        ("starttls-broken", "starttls", False),
        ("starttls-injected", "starttls", False),
        ("ok", "tls", False),
        ("auth-535", "none", True),
        ("auth-454", "none", False),
        ("ehlo-500-helo-only", "none", True),  # it offers no login
    ],
)
def test_a_letter_never_goes_out_less_safe_than_asked_for(
    scenario: str, security: str, permanent: bool
) -> None:
    secret = {"username": "me@example.org", "password": "a canary"}
    with chaos.server(scenario) as peer:
        connection = connect(peer, security=security, **secret)
        with pytest.raises(ServerError) as caught:
            connection.offer(make_letter())
        connection.close()
    assert caught.value.permanent is permanent
    if (scenario, security) == ("ok", "starttls"):
        assert "offers no STARTTLS" in str(caught.value)
    assert "canary" not in f"{caught.value}{caught.value.__cause__!r}{connection.server!r}"
    assert "@" not in str(caught.value)
    assert not any(command.startswith("MAIL") for command in peer.commands)
    if security != "none":
        assert not any(command.startswith("AUTH") for command in peer.commands)


@pytest.mark.parametrize("password", ["plain", "пароль"])
def test_a_login_may_hold_any_letters(password: str) -> None:
    with chaos.server() as peer, connect(peer, username="me", password=password) as connection:
        send(connection, make_letter())
    assert len(peer.taken) == 1


@pytest.mark.parametrize("changes", [{"hello": "a\r\nQUIT"}, {"hello": "é"}, {"host": "a" * 64}])
def test_a_name_that_cannot_be_sent_is_a_matter_of_the_settings(changes: dict[str, str]) -> None:
    with chaos.server() as peer, pytest.raises(ServerError) as caught:
        connect(peer, **changes).open()
    assert caught.value.permanent
    assert peer.commands == []


def test_what_interrupts_a_letter_hangs_up_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with chaos.server() as peer:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with connect(peer) as connection:
            connection.open()
            monkeypatch.setattr(connection._session, "write", interrupt)
            with pytest.raises(KeyboardInterrupt):
                connection.offer(make_letter())
            connection.close()  # says no QUIT, which would be a line of the letter
            assert connection._session is None
    assert peer.taken == []


class Inbox:
    """A handler of aiosmtpd that keeps what it gets."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.secure: list[bool] = []

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # its name there
        self.letters.append(envelope.original_content or b"")
        self.secure.append(session.ssl is not None)
        return "250 2.0.0 taken"


def allow(_: object, __: object, ___: object, mechanism: str, data: object) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"me", b"secret")
    return AuthResult(success=good, handled=mechanism not in {"PLAIN", "LOGIN"} or good)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a certificate that only its own holder trusts, for localhost, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def free_port() -> int:
    """Return a port that is free; aiosmtpd's controller can't be told to take any."""
    with socket.create_server(("localhost", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def daemon(certificate: Path) -> Iterator[tuple[int, Inbox]]:
    """Run aiosmtpd with STARTTLS and a login that wants it."""
    inbox = Inbox()
    port = free_port()
    controller = Controller(
        inbox,
        hostname="localhost",
        port=port,
        tls_context=serving(certificate),
        require_starttls=True,
        authenticator=allow,
        auth_required=True,
    )
    controller.start()
    try:
        yield port, inbox
    finally:
        controller.stop()


def test_a_second_server_takes_letters_by_starttls_and_login(
    daemon: tuple[int, Inbox], certificate: Path
) -> None:
    port, inbox = daemon
    context = ssl.create_default_context(cafile=str(certificate))
    server = Server("localhost", port, "starttls", "me", "secret")
    with Connection(server, context=context) as connection:
        for letter in LETTERS:
            send(connection, letter)
    assert inbox.letters == [letter.data for letter in LETTERS]
    assert all(inbox.secure)
    wrong = Connection(Server("localhost", port, "starttls", "me", "guess"), context=context)
    with pytest.raises(ServerError) as caught:
        wrong.open()
    assert (caught.value.code, caught.value.permanent) == (535, True)


def test_a_second_server_takes_letters_by_tls_from_the_start(certificate: Path) -> None:
    inbox = Inbox()
    controller = Controller(
        inbox, hostname="localhost", port=free_port(), ssl_context=serving(certificate)
    )
    server = Server("localhost", controller.port, "tls")
    context = ssl.create_default_context(cafile=str(certificate))
    controller.start()
    try:
        with Connection(server, context=context) as connection:
            for letter in LETTERS:
                send(connection, letter)
        with pytest.raises(ServerError, match="certificate"):
            Connection(server).open()
    finally:
        controller.stop()
    assert inbox.letters == [letter.data for letter in LETTERS]


def test_a_certificate_that_nobody_vouches_for_is_refused(daemon: tuple[int, Inbox]) -> None:
    port, inbox = daemon
    with pytest.raises(ServerError, match="certificate") as caught:
        Connection(Server("localhost", port, "starttls", "me", "secret")).open()
    assert caught.value.permanent
    assert inbox.letters == []


def test_connections_of_several_threads_do_not_meet() -> None:
    letters = [make_letter(number) for number in range(60)]
    with chaos.server("flaky:0.3") as peer:
        accounts: list[Account] = []

        def work(part: int) -> None:
            accounts.append(send_all(peer, letters[part::4], 30, LONG))

        threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sum(len(account.sent) for account in accounts) == 60
    doubts = sum(len(account.uncertain) for account in accounts)
    assert 60 <= len(peer.taken) <= 60 + doubts
    assert {each.message_id for each in peer.taken} == {each.message_id for each in letters}
