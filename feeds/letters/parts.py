"""The text parts of a message, with what is personal left open. Pure.

A part is cut where the first personal value stands. What comes before is encoded once; only the rest
is encoded for each subscriber. The whole is, to the byte, what encoding all at once would give:
quoted-printable begins anew with each line (RFC 2045, section 6.7), base64 with each 57 bytes
(section 6.8). A draft on record is filled again years later: what is done here must stay.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

QUOTED, PACKED = "quoted-printable", "base64"
PLAIN, HTML = "plain", "html"

_COLUMNS = 72  # of the text part, as its template wraps
_PACKED_LINE = 57  # bytes that are a line of 76 characters in base64
_FROM = re.compile(rb"^From (?=.)", re.MULTILINE)
_OVERLONG = re.compile(rb"^(.{74,75})(=20|=09)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """A text part: `subtype` is `plain` or `html`, `encoding` that of its transfer.

    `pieces` are literal text and names of personal values, by turns; it begins and ends with text.
    `fixed` is the part's own header and its text up to the first personal value, encoded, as far as
    whole lines go; `carried` is what remains of that text, from the beginning of a line of it.
    """

    subtype: str
    encoding: str
    pieces: tuple[str, ...]
    fixed: bytes = field(repr=False, compare=False)
    carried: str = field(repr=False, compare=False)


def prepare(subtype: str, pieces: Sequence[str]) -> Part:
    """Return a part, in the shorter of the two encodings that are safe on any road."""
    data = "".join(pieces).encode()
    packed = base64.encodebytes(_canonical(data))
    return assemble(subtype, QUOTED if len(_quoted(data)) <= len(packed) else PACKED, pieces)


def assemble(subtype: str, encoding: str, pieces: Sequence[str]) -> Part:
    """Return a part in this encoding."""
    first = pieces[0].encode()
    cut = first.rfind(b"\n") + 1
    if encoding == PACKED:
        first = _canonical(first)
        cut = _cut(first, first.rfind(b"\n") + 1)
    head = f"{header(subtype, encoding)}\r\n\r\n".encode("ascii")
    carried = first[cut:].replace(b"\r\n", b"\n").decode()
    return Part(subtype, encoding, tuple(pieces), head + encode(first[:cut], encoding), carried)


def _cut(data: bytes, most: int) -> int:
    """Return the last place up to `most` that ends a line of base64 and parts no character."""
    cut = most - most % _PACKED_LINE
    # Not between CR and LF, and not before a byte that goes on with a character (10xxxxxx in UTF-8).
    while data[cut : cut + 1] == b"\n" or b"\x80" <= data[cut : cut + 1] < b"\xc0":
        cut -= _PACKED_LINE
    return cut


def normal(text: str) -> str:
    """Return what a template gave as the text of a part: no empty lines around it, one line end."""
    return text.strip("\n").replace("\r", "") + "\n"


def boundary(unique: str) -> str:
    """Return a boundary of parts: neither encoding can hold "=_" (RFC 2045, section 6.7, rule 1)."""
    return f"=_{unique}"


def joined(head: bytes, mark: str, bodies: Sequence[bytes]) -> bytes:
    """Return a message of several parts, each with its own header (RFC 2046, section 5.1.1)."""
    line = f"--{mark}".encode("ascii")
    pieces = [head]
    for body in bodies:
        pieces += [line, b"\r\n", body, b"\r\n"]
    return b"".join((*pieces, line, b"--\r\n"))


def header(subtype: str, encoding: str) -> str:
    """Return the header lines of a text part."""
    return f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}'


def fill(part: Part, values: Mapping[str, str]) -> bytes:
    """Return a part with its header, as it stands in a message, with the values it leaves open.

    In the text part a line that a value makes too long is wrapped again.
    """
    rest = part.carried + "".join(
        piece if at % 2 else values[piece] for at, piece in enumerate(part.pieces[1:])
    )
    if part.subtype == PLAIN:
        rest = _wrapped(rest, values)
    data = rest.encode()
    if part.encoding == PACKED:
        data = _canonical(data)
    return part.fixed + encode(data, part.encoding)


def _wrapped(text: str, values: Mapping[str, str]) -> str:
    """Wrap the lines that hold a value and are too long; a word that is too long stays whole."""
    lines = text.split("\n")
    if max(map(len, lines)) <= _COLUMNS:
        return text
    made: list[str] = []
    for line in lines:
        if len(line) > _COLUMNS and any(value and value in line for value in values.values()):
            made += textwrap.wrap(
                line, _COLUMNS, break_long_words=False, break_on_hyphens=False
            ) or [line]
        else:
            made.append(line)
    return "\n".join(made)


def encode(data: bytes, encoding: str) -> bytes:
    """Return whole lines of data, encoded, with CRLF at the end of each."""
    encoded = base64.encodebytes(data) if encoding == PACKED else _quoted(data)
    return encoded.replace(b"\n", b"\r\n")


def _canonical(data: bytes) -> bytes:
    """Return text as base64 encodes it: with CRLF (RFC 2045, section 6.8)."""
    return data.replace(b"\n", b"\r\n")


def _quoted(data: bytes) -> bytes:
    """Return bytes as quoted-printable (RFC 2045, section 6.7), with lines that no relay touches.

    Mailboxes of the mbox kind put ">" before a line that begins with "From ". A space before the end of
    a line makes Python's own encoder write one of 77 characters.
    """
    made = _OVERLONG.sub(rb"\1=\n\2", binascii.b2a_qp(data))
    return _FROM.sub(b"=46rom=\n ", made)
