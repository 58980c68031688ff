"""The mailbox room's reader: what a message reports."""

# ruff: noqa: RUF001 -- Cyrillic letters are what servers and mail programs write
from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from factories import GOLDEN
from hypothesis import example, given
from hypothesis import strategies as st

from feeds.mailbox import addresses, mime
from feeds.mailbox.reports import Kind, Origin, Report, read
from feeds.mailbox.verdict import judge
from feeds.tokens import mint

SAMPLES = sorted((GOLDEN / "reports").glob("*.eml"))
TOKEN = "7.qbS7dm5UCrcPG46kx7mfY7ha"
VERP = addresses.verp("bounces@example.org", TOKEN)
numbers = st.integers(0, 10**18 - 1)


def only(text: str | bytes) -> Report:
    (report,) = read(text if isinstance(text, bytes) else text.encode())
    return report


def bounce(fields: str, notice: str = "It failed.", to: str = VERP) -> Report:
    """Return what a delivery status notification with these fields of a recipient reports."""
    return only(
        f"From: MAILER-DAEMON@mx.example\nTo: {to}\nReturn-Path: <>\n"
        "Content-Type: multipart/report; boundary=b\n\n"
        f"--b\n\n{notice}\n--b\nContent-Type: message/delivery-status\n\n"
        "Reporting-MTA: dns; mx.example\n\n"
        f"Final-Recipient: rfc822; gone@mail.example\n{fields}\n--b--\n"
    )


def asking(subject: str, *fields: str, to: str = "news@example.org") -> Report:
    head = [f"To: {to}", f"Subject: {subject}", *fields]
    return only("\n".join(head) + "\n\nA body.\n")


# Golden pairs


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_message_reports_what_its_golden_pair_says(
    path: Path, golden: Callable[[str, bytes], None]
) -> None:
    made = [asdict(report) for report in read(path.read_bytes())]
    text = json.dumps(made, ensure_ascii=False, indent=1) + "\n"
    golden(f"reports/{path.stem}.json", text.encode())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_line_ends_make_no_difference(path: Path) -> None:
    data = path.read_bytes()
    assert read(data.replace(b"\n", b"\r\n")) == read(data)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_no_field_but_the_recipient_holds_an_address(path: Path) -> None:
    for report in read(path.read_bytes()):
        rest = {**asdict(report), "recipient": None, "message_id": None}
        assert "@" not in str(rest)
        local = (report.recipient or "@").rpartition("@")[0].lower()
        assert not local or local not in report.reason.partition(": ")[2].lower().split()
        assert report.recipient is None or report.recipient not in repr(report)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_message_cut_off_anywhere_is_still_read(path: Path) -> None:
    data = path.read_bytes()
    for end in range(0, len(data), 97):
        for report in read(data[:end]):
            assert report.kind in Kind


# Whatever the bytes are


pieces = st.sampled_from(
    [
        b"Content-Type: multipart/report; boundary=b\n",
        b"Content-Type: multipart/mixed; boundary=\xff\n",
        b"Content-Type: message/rfc822\n",
        b"Content-Type: message/delivery-status\n",
        b"Content-Type: message/feedback-report\n",
        b"Content-Type: text/plain; charset=idna\n",
        b"Content-Type: text/plain; charset=cp99\n",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\n",
        b"Subject: =?utf-8?b?abcde?= =?undefined?q?=zz?= unsubscribe\n",
        b"Subject: Re: confirm " + TOKEN.encode() + b"\n",
        b"To: bounces+1.\xe2\x84\xaa" + b"a" * 28 + b"@x\n",  # the Kelvin sign folds to k
        b"From: MAILER-DAEMON\nSubject: failure notice\n",
        b"Action: failed\n",
        b"Final-Recipient: rfc822\n",
        b"Status: 5.0.0\n",
        b"Diagnostic-Code: smtp; 550 \x00\n",
        b"Feedback-Type: abuse\n",
        b"Hi. This is the\n",
        b"\n",
        b"\n--b\n",
        b"\n--b--\n",
        b" folded\n",
    ]
)


@given(st.binary() | st.lists(pieces | st.binary(max_size=20), max_size=30).map(b"".join))
@example(b"")
@example(b"\n")
@example(b"\0")
def test_any_bytes_can_be_read(data: bytes) -> None:
    found = read(data)
    assert 1 <= len(found) <= 100
    for report in found:
        assert "@" not in report.reason
        assert report.reason.isprintable()
        assert (report.token is None) == (report.origin is None)
        assert not report.hard or report.kind is Kind.BOUNCE
        assert report.token is None or re.fullmatch(r"\d{1,18}\.[\w-]{24}", report.token, re.ASCII)


def test_no_more_than_a_megabyte_is_looked_at() -> None:
    data = (GOLDEN / "reports" / "arf_abuse.eml").read_bytes().ljust(mime.LIMIT, b" ")
    assert read(data + b"\n--part1_13d.2e68ed54_boundary--\n" * 1000) == read(data)
    late = b"Subject: x\n" + b"X-Much: " + b"x" * mime.LIMIT + b"\nTo: " + VERP.encode() + b"\n\n"
    assert only(late).kind is Kind.IGNORED


def test_thousands_of_parts_are_cut_off() -> None:
    part = b"\n--b\nContent-Type: text/plain\n\nx"
    tree = mime.parse(b"Content-Type: multipart/mixed; boundary=b\n" + part * 20_000)
    assert len(list(tree.walk())) <= 201


def test_parts_within_parts_are_cut_off() -> None:
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(9999)
    )
    assert len(list(mime.parse(deep).walk())) <= 9
    letters = b"Content-Type: message/rfc822\n\n" * 9999
    assert len(list(mime.parse(letters).walk(within=True))) <= 9
    assert only(deep).kind is Kind.IGNORED


@pytest.mark.parametrize(
    "data",
    [
        b"a:b\n" * 250_000,
        b"Subject: x\n" + b" y\n" * 300_000,
        b"Subject: " + b"=?a?q?" * 160_000,
        b"Subject: " + b"Re: " * 250_000 + b"confirm",
        b"Subject: " + b"unsubscribe " * 80_000,
        b"To: " + b"bounces+1." * 100_000,
        b"To: " + b"a@" * 500_000,
        b"Content-Type: multipart/mixed" + b"; boundary" * 100_000,
        b"From: MAILER-DAEMON\nSubject: failure notice\n\n" + b"user " * 200_000,
        b"From: MAILER-DAEMON\nSubject: failure notice\n\n" + b"a@b " * 200_000,
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
        + b"Action: failed\n\n" * 60_000,
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
        + b"\n \t" * 300_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + (b"--b" + b" " * 5000) * 200,
    ],
    ids=range(13),
)
def test_a_message_made_to_take_long_is_read_all_the_same(data: bytes) -> None:
    """One of them takes milliseconds; with a rule that is not linear, one would take hours."""
    assert len(read(data)) == 1


# Addresses with a token


@given(st.binary(), numbers)
def test_an_address_gives_its_token_back_in_any_case(secret: bytes, number: int) -> None:
    token = f"{number}.{mint(secret, 'bounce', str(number))}"
    address = addresses.verp("bounces@example.org", token)
    assert len(address.partition("@")[0]) <= 64
    for written in (address, address.upper(), f'"{address}" <{address.lower()}>'):
        assert set(addresses.bounced(written)) == {token}
    for word in ("unsubscribe", "confirm"):
        special = addresses.worded("n@example.org", word, f"7.{token.partition('.')[2]}")
        assert list(addresses.asked(special.upper())) == [(word, f"7.{token.partition('.')[2]}")]
        assert list(addresses.bounced(special)) == []


@pytest.mark.parametrize(
    ("address", "token"),
    [
        ("bounces", TOKEN),
        ("@example.org", TOKEN),
        ("bounces@", TOKEN),
        ("bounces@example.org", "7.short"),
        ("bounces@example.org", TOKEN + "\n"),
        ("b" * 33 + "@example.org", TOKEN),
    ],
)
def test_an_address_that_can_hold_no_token_is_refused(address: str, token: str) -> None:
    with pytest.raises(ValueError, match=r"expected|characters are left"):
        addresses.verp(address, token)


def test_the_address_of_a_bounce_comes_before_the_letter() -> None:
    letter = (GOLDEN / "reports" / "postfix_unknown.eml").read_bytes()
    assert only(letter).origin is Origin.ENVELOPE
    assert only(letter.replace(b"bounces+7.", b"bounces-7.")).origin is Origin.LETTER


def test_a_letter_says_which_one_it_was_even_without_a_token() -> None:
    letter = (GOLDEN / "reports" / "postfix_unknown.eml").read_bytes()
    report = only(letter.replace(b"bounces+7.", b"bounces-7.").replace(b"List-Uns", b"X-Uns"))
    assert (report.token, report.origin) == (None, None)
    assert report.message_id == "<Zq8m1xPabLr2Wd0-nV5tYc3K@news.example.org>"


# What a refusal means


@pytest.mark.parametrize(
    ("status", "text", "expected", "hard"),
    [
        ("5.1.1", "550 5.1.1 user unknown", "5.1.1", True),
        ("5.1.1 (bad destination mailbox)", "", "5.1.1", True),
        ("5.1.2", "host not found", "5.1.2", True),
        ("5.1.10", "null MX", "5.1.10", True),
        ("5.1.0", "550 #5.1.0 Address rejected.", "5.1.0", True),
        ("5.1.0", "550 5.1.0 Sender rejected", "5.1.0", False),
        ("5.1.7", "bad sender", "5.1.7", False),
        ("5.1.8", "sender's domain not found", "5.1.8", False),
        ("5.1.1", "550 5.1.1 blocked by a blocklist", "5.1.1", False),
        ("5.0.0", "550 No such user here", "5.1.1", True),
        ("5.0.0", "550 5.1.1 no", "5.1.1", True),
        ("5.0.0", "554 something else", "5.0.0", False),
        ("5.0.0", "552 over quota", "5.2.2", False),
        ("5.0.0", "421 try later", "4.0.0", False),
        ("5.0.0", "450 4.2.1 slow down", "4.2.1", False),
        ("", "550 Unknown user", "5.1.1", True),
        ("", "554 rejected as spam; no such user", "5.7.1", False),
        ("", "nothing", None, False),
        ("", "host 5.1.1.1 said: 550 no", "5.0.0", False),
        ("", "Exim 4.96.1 said no", None, False),
        ("5.2.1", "mailbox disabled", "5.2.1", False),
        ("5.2.2", "user unknown", "5.2.2", False),
        ("5.7.1", "policy", "5.7.1", False),
        ("4.1.1", "450 user unknown, come back", "4.1.1", False),
        ("4.4.7", "delivery time expired", "4.4.7", False),
        ("5.99.999", "", "5.99.999", False),
    ],
)
def test_status_and_text_say_whether_an_address_is_dead(
    status: str, text: str, expected: str | None, hard: bool
) -> None:
    verdict = judge(status, text)
    assert (verdict.status, verdict.hard) == (expected, hard)


def test_a_delayed_letter_is_never_hard() -> None:
    assert bounce("Action: delayed\nStatus: 5.1.1").kind is Kind.DELAYED
    assert not bounce("Action: delayed\nStatus: 5.1.1").hard


def test_a_missing_action_follows_the_status() -> None:
    assert bounce("Status: 5.1.1").kind is Kind.BOUNCE
    assert bounce("Status: 4.4.1").kind is Kind.DELAYED
    assert bounce("Status: 2.1.5").kind is Kind.IGNORED


def test_the_notice_for_people_speaks_where_the_machine_is_silent() -> None:
    assert bounce("Action: failed\nStatus: 5.0.0", "No such user here").hard
    assert not bounce("Action: failed\nStatus: 5.0.0", "Sorry").hard


def test_a_reason_repeats_no_name_of_a_remote_server() -> None:
    said = "smtp; 550 5.7.1 Refused gone@mail.example gone (mx.mail.example) by our policy=gone.example"
    report = bounce(f"Action: failed\nStatus: 5.7.1\nDiagnostic-Code: {said}")
    assert report.reason == "refused as spam or by policy (5.7.1): Refused by our"


def test_a_report_without_an_action_leaves_it_to_the_notice() -> None:
    notice = "Your letter was not delivered: no such user."
    assert bounce("X-Else: 1", notice).status == "5.1.1"
    assert bounce("Action: failure", notice).hard
    assert bounce("Action: delivered", notice).kind is Kind.IGNORED


@pytest.mark.parametrize(
    ("text", "kind", "status", "hard"),
    [
        ("К сожалению, письмо не может быть доставлено: user not found", "bounce", "5.1.1", True),
        ("It was not delivered: the mailbox is over its quota", "bounce", "5.2.2", False),
        ("Could not deliver: mailfolder is full", "bounce", "5.2.2", False),
        ("Undeliverable: this account has been disabled", "bounce", "5.2.1", False),
        ("Unable to deliver: the domain does not exist", "bounce", "5.1.2", True),
        ("Not yet been delivered; attempts will continue", "delayed", None, False),
        (
            "Could not be delivered.\n\n--- A copy of the letter\n\nNo such user",
            "bounce",
            None,
            False,
        ),
        ("Could not be delivered.\n\nReceived: x\n\nNo such user", "bounce", None, False),
        ("Thank you for the news. No such user came to mind.", "ignored", None, False),
    ],
)
def test_what_is_sent_to_an_address_for_bounces_is_read_as_a_notice(
    text: str, kind: str, status: str | None, hard: bool
) -> None:
    """Gateways and small servers write from any address, in any words."""
    report = only(f"From: robot@mx.example\nTo: {VERP}\nSubject: Mail\n\n{text}\n")
    assert (report.kind, report.status, report.hard) == (kind, status, hard)
    assert only(f"From: robot@mx.example\nTo: me@x.org\n\n{text}\n").kind is Kind.IGNORED


@pytest.mark.parametrize(
    ("encoding", "charset", "body"),
    [
        ("7bit", "us-ascii", b"No such user here"),
        ("quoted-printable", "koi8-r", b"No such =\nuser h=65re"),
        ("base64", "utf-8", b"Tm8gc3VjaCB1c2VyIGhlcmU"),  # its end is cut off
        ("base64", '"utf-8"', b"Tm8gc3VjaCB1\nc2VyIGhlcmU=A"),
        ("base64", "utf-16le", base64.b64encode("No such user here".encode("utf-16le"))),
        ("8bit", "windows-9999", b"\xff No such user here"),
        ("8bit", "idna", b"No such user here"),
        ("unheard-of", "no such set", b"No such user here"),
    ],
)
def test_a_notice_is_read_in_any_encoding(encoding: str, charset: str, body: bytes) -> None:
    report = only(
        b"Return-Path: <>\nSubject: Returned mail: see below\n"
        + f"Content-Transfer-Encoding: {encoding}\n".encode()
        + f"Content-Type: text/plain; charset={charset}\n\n".encode()
        + body
    )
    assert (report.kind, report.status, report.hard) == (Kind.BOUNCE, "5.1.1", True)


# Requests


@pytest.mark.parametrize(
    "subject",
    [
        f"unsubscribe {TOKEN}",
        f"Re: Fwd: UNSUBSCRIBE  {TOKEN}",
        f"[SPAM?] unsubscribe {TOKEN} ",
        f"unsubscribe+{TOKEN}",
        f"Отв: unsubscribe {TOKEN}",
        f"unsubscribe\n {TOKEN}",
    ],
)
def test_a_request_to_leave_is_found_in_a_subject(subject: str) -> None:
    report = asking(subject)
    assert (report.kind, report.token, report.origin) == (Kind.UNSUBSCRIBE, TOKEN, Origin.SUBJECT)


@pytest.mark.parametrize(
    "subject",
    ["unsubscribe", "unsubscribe 7.short", f"unsubscribe {TOKEN}x", f"resubscribe {TOKEN}", TOKEN],
)
def test_a_subject_without_a_whole_token_asks_for_nothing(subject: str) -> None:
    assert asking(subject).kind is Kind.IGNORED


def test_a_mail_program_may_leave_by_itself_but_not_confirm() -> None:
    assert asking(f"unsubscribe {TOKEN}", "Auto-Submitted: auto-generated").kind is Kind.UNSUBSCRIBE
    assert asking(f"confirm {TOKEN}", "Auto-Submitted: auto-generated").kind is Kind.IGNORED


@pytest.mark.parametrize(
    "subject", [f"confirm {TOKEN}", f"Re: confirm {TOKEN}", f"AW: [x] Confirm {TOKEN}"]
)
def test_a_person_confirms(subject: str) -> None:
    report = asking(subject, "Auto-Submitted: no", "Return-Path: <reader@mail.example>")
    assert (report.kind, report.token) == (Kind.CONFIRM, TOKEN)


@pytest.mark.parametrize(
    ("subject", "field"),
    [
        (f"Re: confirm {TOKEN}", "Auto-Submitted: auto-replied"),
        (f"Re: confirm {TOKEN}", "Auto-Submitted: auto-notified; owner=x"),
        (f"Re: confirm {TOKEN}", "X-Autoreply: yes"),
        (f"Re: confirm {TOKEN}", "X-Autorespond: yes"),
        (f"Re: confirm {TOKEN}", "Precedence: auto_reply"),
        (f"Re: confirm {TOKEN}", "Precedence: Bulk"),
        (f"Re: confirm {TOKEN}", "Return-Path: <>"),
        (f"Re: confirm {TOKEN}", "X-Auto-Response-Suppress: All"),
        (f"Automatic reply: confirm {TOKEN}", "X-Else: 1"),
        (f"Auto: confirm {TOKEN}", "X-Else: 1"),
        (f"Автоответ: confirm {TOKEN}", "X-Else: 1"),
        (f"Away until Monday (was: confirm {TOKEN})", "X-Else: 1"),
    ],
)
def test_a_machine_confirms_nothing(subject: str, field: str) -> None:
    """The answer of someone who is away repeats the subject of our mail, token and all."""
    assert asking(subject, field).kind is Kind.IGNORED


def test_an_address_asks_whatever_the_subject_says() -> None:
    leave = addresses.worded("news@example.org", "unsubscribe", TOKEN)
    report = asking("hello", to=leave.upper())
    assert (report.kind, report.token, report.origin) == (Kind.UNSUBSCRIBE, TOKEN, Origin.ADDRESS)
    assert asking("hello", "X-Autoreply: yes", to=leave).kind is Kind.IGNORED


def test_mail_to_the_address_of_bounces_asks_for_nothing() -> None:
    assert asking("hello", to=VERP).kind is Kind.IGNORED


def test_our_own_letter_that_comes_back_is_ignored() -> None:
    report = asking(
        "News", "Auto-Submitted: auto-generated", "List-Id: <daily.example.org>", to=VERP
    )
    assert (report.kind, report.reason) == (Kind.IGNORED, "one of our own letters")


def test_an_away_note_that_speaks_of_unknown_users_is_no_bounce() -> None:
    report = asking(
        "Re: News", "From: reader@mail.example", "Return-Path: <>", "X-Autoreply: yes", to=VERP
    )
    assert report.kind is Kind.IGNORED
