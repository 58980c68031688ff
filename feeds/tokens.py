"""Tokens: short proofs that a link or an address came from us. A tool, pure.

HMAC-SHA256 (RFC 2104) over a purpose and parts, cut to 144 bits (section 5 allows half and more),
written in 24 characters of the URL-safe alphabet (RFC 4648, section 5). A token made for one purpose,
subscriber or version is no good for another. Short on purpose: mail programs break long addresses.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime

from feeds.model import Subscriber

_BYTES = 18  # 24 characters of base64, without padding
_NUMBERED = re.compile(r"([0-9]{1,18})\.[A-Za-z0-9_-]{24}", re.ASCII)


def mint(secret: bytes, purpose: str, *parts: str) -> str:
    """Return the token of 24 characters for a purpose and its parts, the version being one of them."""
    return base64.urlsafe_b64encode(_digest(secret, purpose, *parts)[:_BYTES]).decode("ascii")


def verify(secret: bytes, token: str, purpose: str, *parts: str) -> bool:
    """Return whether `token` was minted for just this; takes as long for a wrong one as for a right."""
    return same(token, mint(secret, purpose, *parts))


def subscription(secret: bytes, person: Subscriber) -> str:
    """Return the token of a subscription, `NUMBER.` and 24 characters, for its letters and its page.

    It holds until the subscription ends and begins anew. That it is bound to the address, too, matters
    after a restore, which may give a number a second time.
    """
    return _numbered(secret, "subscription", person)


def confirmation(secret: bytes, person: Subscriber, asked: datetime) -> str:
    """Return the token that answers one question by mail, that of the moment `asked`."""
    return _numbered(secret, "confirm", person, asked.astimezone(UTC).isoformat())


def bounce(secret: bytes, person: Subscriber) -> str:
    """Return the token of the envelope sender: what comes back there is about this subscription."""
    return _numbered(secret, "bounce", person)


def number_of(token: str) -> int | None:
    """Return the number of the subscriber that a token claims to be of, None when it is no token."""
    found = _NUMBERED.fullmatch(token)
    return int(found[1]) if found else None


def same(token: str, expected: str) -> bool:
    """Return whether two tokens are equal; takes as long for a wrong one as for a right."""
    return hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogatepass"))


def address_hash(secret: bytes, email: str) -> str:
    """Return a keyed hash of a normalised address, 64 hexadecimal digits.

    Without the key nobody can tell by trying whose it is.
    """
    return _digest(secret, "address", email).hex()


def message_id(secret: bytes, edition: str, slot: str, subscriber: int, domain: str) -> str:
    """Return the Message-ID (RFC 5322, section 3.6.4) of an edition's letter to a subscriber.

    The same letter always gets the same one, so that a receiver can drop a second copy. It doesn't
    tell who the subscriber is. `domain` must be ASCII.
    """
    return f"<{mint(secret, 'message-id', edition, slot, str(subscriber))}@{domain}>"


def _numbered(secret: bytes, purpose: str, person: Subscriber, *parts: str) -> str:
    number, version = str(person.id), str(person.token_version)
    return f"{number}.{mint(secret, purpose, number, version, person.email, *parts)}"


def _digest(secret: bytes, *parts: str) -> bytes:
    # The length before each part keeps ("a", "bc") apart from ("ab", "c").
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    message = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
    return hmac.digest(secret, message, hashlib.sha256)
