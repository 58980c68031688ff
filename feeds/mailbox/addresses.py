"""Our own addresses that hold a token. Pure.

A bounce comes to the envelope sender of its letter (RFC 5321, section 4.5.5), so each letter has one
of its own, `bounces+NUMBER.TOKEN@example.org` (https://cr.yp.to/proto/verp.txt). The 24 characters of a
token stand there as 29 of base32, in lower case: some servers fold the case of a local part, though
RFC 5321, section 2.4, forbids it. The token comes back as it was.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

_LOCAL = 64  # octets of a local part (RFC 5321, section 4.5.3.1.1)
_TOKEN = re.compile(r"[0-9]{1,18}\.[A-Za-z0-9_-]{24}")
_FOLDED = r"([0-9]{1,18})\.([a-z2-7]{29})(?=@)"
_VERP = re.compile(rf"\+{_FOLDED}", re.IGNORECASE | re.ASCII)
_WORDED = re.compile(rf"\+(unsubscribe|confirm)-{_FOLDED}", re.IGNORECASE | re.ASCII)


def verp(address: str, token: str) -> str:
    """Return the envelope sender of a letter: `local+NUMBER.TOKEN@domain`, the token in base32.

    Raises:
        ValueError: no address, no token as `NUMBER.` and 24 characters, or a local part over 64 octets.
    """
    return _tagged(address, _folded(token))


def worded(address: str, word: str, token: str) -> str:
    """Return `local+WORD-NUMBER.TOKEN@domain`, `word` being `unsubscribe` or `confirm`.

    Whatever is sent there asks for that.

    Raises:
        ValueError: as of `verp`.
    """
    return _tagged(address, f"{word}-{_folded(token)}")


def bounced(text: str) -> Iterator[str]:
    """Yield the tokens of the addresses in a text that `verp` made, in any case."""
    for number, mark in _VERP.findall(text):
        yield _unfolded(number, mark)


def asked(text: str) -> Iterator[tuple[str, str]]:
    """Yield word and token of the addresses in a text that `worded` made, in any case."""
    for word, number, mark in _WORDED.findall(text):
        yield word.lower(), _unfolded(number, mark)


def _tagged(address: str, tag: str) -> str:
    local, at, domain = address.rpartition("@")
    if not local or not domain:
        raise ValueError("an address was expected, as bounces@example.org")
    if len(f"{local}+{tag}".encode()) > _LOCAL:
        room = _LOCAL - 1 - len(tag)
        raise ValueError(f"with a token only {room} characters are left before the @")
    return f"{local}+{tag}{at}{domain}"


def _folded(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ValueError("a token was expected: a number, a dot and 24 characters")
    number, _, mark = token.partition(".")
    folded = base64.b32encode(base64.urlsafe_b64decode(mark)).decode("ascii")
    return f"{number}.{folded.rstrip('=').lower()}"


def _unfolded(number: str, mark: str) -> str:
    data = base64.b32decode(mark.upper() + "===")  # 29 characters, padded to 32
    return f"{number}.{base64.urlsafe_b64encode(data).decode('ascii')}"
