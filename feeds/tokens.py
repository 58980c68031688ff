"""Tokens: short proofs that a link or an address came from us. A tool, pure.

HMAC-SHA256 (RFC 2104) over a purpose and parts, cut to 144 bits (section 5 allows half and more),
written in 24 characters of the URL-safe alphabet (RFC 4648, section 5). A token made for one purpose,
subscriber or version is no good for another. Short on purpose: mail programs break long addresses.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

_BYTES = 18  # 24 characters of base64, without padding


def mint(secret: bytes, purpose: str, *parts: str) -> str:
    """Return the token of 24 characters for a purpose and its parts, the version being one of them."""
    return base64.urlsafe_b64encode(_digest(secret, purpose, *parts)[:_BYTES]).decode("ascii")


def verify(secret: bytes, token: str, purpose: str, *parts: str) -> bool:
    """Return whether `token` was minted for just this; takes as long for a wrong one as for a right."""
    expected = mint(secret, purpose, *parts).encode()
    return hmac.compare_digest(expected, token.encode("utf-8", "surrogatepass"))


def message_id(secret: bytes, edition: str, slot: str, subscriber: int, domain: str) -> str:
    """Return the Message-ID (RFC 5322, section 3.6.4) of an edition's letter to a subscriber.

    The same letter always gets the same one, so that a receiver can drop a second copy. It doesn't
    tell who the subscriber is. `domain` must be ASCII.
    """
    return f"<{mint(secret, 'message-id', edition, slot, str(subscriber))}@{domain}>"


def _digest(secret: bytes, *parts: str) -> bytes:
    # The length before each part keeps ("a", "bc") apart from ("ab", "c").
    encoded = [part.encode() for part in parts]
    message = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
    return hmac.new(secret, message, hashlib.sha256).digest()
