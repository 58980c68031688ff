from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta, timezone

import dkim as peer  # type: ignore[import-untyped]  # it ships no types
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from factories import NOW
from hypothesis import given
from hypothesis import strategies as st

from feeds import dkim

KEY = rsa.generate_private_key(65_537, 1024)  # the smallest that receivers check, made soonest


def pem(key: PrivateKeyTypes, password: bytes | None = None) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else None
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        lock or serialization.NoEncryption(),
    )


SIGNER = dkim.load(pem(KEY), "news.example.org", "s1")
HEADERS = (
    b"From: News <news@example.org>\r\n"
    b"To: reader@example.org\r\n"
    b"Subject: =?utf-8?q?One?=\r\n =?utf-8?q?_and_two?=\r\n"
    b"Date: Fri, 02 Jan 2026 08:00:00 +0500\r\n"
    b"Message-ID: <a@example.org>\r\n"
    b"Reply-To: us@example.org\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"List-Id: Daily <daily.example.org>\r\n"
    b"List-Unsubscribe: <https://news.example.org/u/abc>,\r\n <mailto:us@example.org>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"List-Archive: <https://news.example.org/>\r\n"
    b"List-Help: <https://news.example.org/help>\r\n"
    b"Auto-Submitted: auto-generated\r\n"
    b"Feedback-ID: daily:example\r\n"
    b"Content-Language: en\r\n"
    b"X-Other: is not signed\r\n"
)
LETTER = HEADERS + b"\r\nText\r\n.\r\n\r\nmore\r\n"


def verified(data: bytes) -> bool:
    """Return what dkimpy, with code of its own, thinks of the signature."""

    def lookup(name: bytes, **_: object) -> bytes:
        assert name == f"{SIGNER.host}.".encode()
        return dkim.record(SIGNER).encode()

    try:
        return bool(peer.DKIM(data).verify(dnsfunc=lookup))
    except peer.ValidationError:  # which is how it says no to some
        return False


def tags(data: bytes) -> dict[str, str]:
    """Return the tags of the signature on top."""
    header = re.split(rb"\r\n(?![ \t])", data)[0].decode()
    value = re.sub(r"\s", "", header.removeprefix("DKIM-Signature:"))
    return dict(each.split("=", 1) for each in value.split(";"))


def test_a_signature_stands_on_top_and_is_verified_by_others() -> None:
    signed = dkim.sign(SIGNER, LETTER, NOW)
    assert signed.startswith(b"DKIM-Signature: v=1;")
    assert signed.endswith(b"\r\n" + LETTER)
    assert verified(signed)
    assert max(map(len, signed.split(b"\r\n"))) <= 78


def test_the_same_letter_has_the_same_bytes() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5)))
    assert dkim.sign(SIGNER, LETTER, NOW) == dkim.sign(SIGNER, LETTER, elsewhere)
    assert tags(dkim.sign(SIGNER, LETTER, NOW))["t"] == str(int(NOW.timestamp()))


def test_every_header_that_matters_is_signed_and_two_cannot_be_added() -> None:
    found = tags(dkim.sign(SIGNER, LETTER, NOW))
    assert (found["a"], found["c"], found["d"], found["s"]) == (
        "rsa-sha256",
        "relaxed/simple",
        "news.example.org",
        "s1",
    )
    assert "l" not in found
    names = found["h"].split(":")
    assert {name.lower() for name in dkim.SIGNED} == set(names)
    assert {name for name in names if names.count(name) > 1} == {"from", "subject"}


@pytest.mark.parametrize("name", [name.encode() for name in dkim.SIGNED])
def test_a_signed_header_that_is_altered_or_lost_breaks_the_signature(name: bytes) -> None:
    signed = dkim.sign(SIGNER, LETTER, NOW)
    head, letter = signed[: -len(LETTER)], LETTER
    altered, count = re.subn(rb"(?m)^(%b: )" % name, rb"\1x", letter)
    assert count == 1
    assert not verified(head + altered)
    lost, count = re.subn(rb"(?m)^%b: .*\r\n(?:[ \t].*\r\n)*" % name, b"", letter)
    assert count == 1
    assert not verified(head + lost)


@pytest.mark.parametrize("name", [b"From", b"Subject"])
@pytest.mark.parametrize("above", [True, False])
def test_a_second_sender_or_subject_breaks_the_signature(name: bytes, above: bool) -> None:
    signed = dkim.sign(SIGNER, LETTER, NOW)
    more = name + b": someone@example.net\r\n"
    head, letter = signed[: -len(LETTER)], LETTER
    body = letter.index(b"\r\n\r\n") + 2
    assert not verified(
        head + more + letter if above else head + letter[:body] + more + letter[body:]
    )


def test_a_body_that_is_altered_or_longer_breaks_the_signature() -> None:
    signed = dkim.sign(SIGNER, LETTER, NOW)
    assert not verified(signed.replace(b"Text", b"Test"))
    assert not verified(signed + b"more\r\n")
    assert not verified(signed.replace(b".\r\n\r\nmore", b".\r\nmore"))


def test_what_a_relay_may_do_leaves_the_signature_whole() -> None:
    signed = dkim.sign(SIGNER, LETTER, NOW)
    assert verified(b"Received: by relay\r\n" + signed)
    assert verified(signed + b"\r\n\r\n")  # empty lines at the end count as none
    assert verified(signed.replace(b"List-Id: Daily ", b"list-id:\t Daily \t"))
    assert verified(signed.replace(b",\r\n <mailto", b", <mailto"))


BODIES = st.lists(
    st.sampled_from([b"", b" ", b"\t", b".", b"Text", b"a  b \t", b"\xd0\x90\xff", b"=20", b"--x"]),
    max_size=8,
).map(b"\r\n".join)
VALUES = st.lists(
    st.sampled_from(
        [
            b"a",
            b" ",
            b"\t",
            b"  ",
            b"\r\n ",
            b"\r\n\t\t",
            b":",
            b";",
            b"=?utf-8?q?=20?=",
            b"\xd0\x90",
        ]
    ),
    max_size=6,
).map(lambda parts: b"x" + b"".join(parts) + b"y")
NAMES = st.sampled_from(
    [
        b"Subject",
        b"To",
        b"tO",
        b"List-Id",
        b"X-Other",
        b"From",
        b"Reply-To",
        b"Content-Type",
    ]
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), BODIES, st.booleans())
def test_odd_letters_are_verified_too(
    headers: list[tuple[bytes, bytes]], body: bytes, ended: bool
) -> None:
    lines = [b"From: a@example.org", *(name + b": " + value for name, value in headers)]
    data = b"\r\n".join([*lines, b"", body]) + (b"\r\n" if ended else b"")
    assert verified(dkim.sign(SIGNER, data, NOW))


@pytest.mark.parametrize("rest", [b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n\r\n", b"\r\n\r\nText"])
def test_a_letter_may_end_anywhere(rest: bytes) -> None:
    signed = dkim.sign(SIGNER, b"From: a@example.org" + rest, NOW)
    assert verified(signed if rest else signed + b"\r\n")


@pytest.mark.parametrize("data", [b"", b"\r\nFrom: a@b\r\n", b"To: a@b\r\n\r\nText\r\n", b"From"])
def test_a_letter_from_nobody_cannot_be_signed(data: bytes) -> None:
    with pytest.raises(ValueError, match="no From"):
        dkim.sign(SIGNER, data, NOW)


def test_blanks_before_the_colon_are_not_of_the_name() -> None:
    signed = dkim.sign(SIGNER, b"From \t: a@example.org\r\nSubject : S\r\n\r\n", NOW)
    assert tags(signed)["h"] == "from:from:subject:subject"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        dkim.sign(SIGNER, LETTER, datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point
    assert tags(dkim.sign(SIGNER, LETTER, datetime(1970, 1, 1, tzinfo=UTC)))["t"] == "0"


def test_the_record_holds_the_key_that_verifies() -> None:
    found = dict(each.strip().split("=", 1) for each in dkim.record(SIGNER).split(";"))
    assert (found["v"], found["k"]) == ("DKIM1", "rsa")
    public = serialization.load_der_public_key(base64.b64decode(found["p"]))
    assert public == KEY.public_key()
    assert SIGNER.host == "s1._domainkey.news.example.org"


def test_a_key_may_stand_in_either_form_of_pem() -> None:
    old = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert dkim.record(dkim.load(old, "example.org", "a")) == dkim.record(SIGNER)
    assert "PRIVATE" not in repr(SIGNER)
    assert "RSA" not in repr(SIGNER)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(KEY, b"password"), "locked by a password"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "no RSA key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
    ],
    ids=["empty", "broken", "locked", "ed25519", "elliptic"],
)
def test_a_key_that_receivers_do_not_check_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        dkim.load(data, "example.org", "a")


@pytest.mark.parametrize(("bound", "bits"), [("_SMALLEST", 1025), ("_LARGEST", 1023)])
def test_a_key_is_as_long_as_receivers_check(
    monkeypatch: pytest.MonkeyPatch, bound: str, bits: int
) -> None:
    assert (dkim._SMALLEST, dkim._LARGEST) == (1024, 4096)
    monkeypatch.setattr(dkim, bound, bits)  # keys of other lengths take long, or can't be made
    with pytest.raises(ValueError, match="an RSA key of 1024 bits"):
        dkim.load(pem(KEY), "example.org", "a")


@pytest.mark.parametrize("name", ["", "a b", "a;b", "новости.kz", "-a", "a..b", "a\r\nb", "a" * 64])
def test_a_name_that_is_none_of_the_dns_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="domain"):
        dkim.load(pem(KEY), name, "a")
    with pytest.raises(ValueError, match="selector"):
        dkim.load(pem(KEY), "example.org", name)
