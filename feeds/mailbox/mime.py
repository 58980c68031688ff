"""The parts of a message, within bounds. Pure; raises nothing.

In: the bytes of a message (RFC 5322, RFC 2045, RFC 2046). Out: a tree of `Part`. Whatever the bytes
are, reading takes time linear in `LIMIT`, for what comes here was written by strangers. The parser of
the standard library looks at a line once for each part around it, and recurses as deep as parts go.
What is broken is read as far as it goes; what is over a bound is left out.
"""

from __future__ import annotations

import binascii
import quopri
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field

LIMIT = 1 << 20
"""Bytes of a message that are read; a report stands before the letter that it returns."""

_HEAD = 1 << 17  # bytes of one head
_FIELDS = 500  # header fields of one head
_VALUE = 4_000  # characters of a header field
_WORD = 2_000  # characters of a header field that are looked through for encoded words
_DEPTH = 8  # parts within parts; a report within a forwarded message takes five
_PARTS = 200  # parts of a message, at all depths together

_BLANK = re.compile(rb"\r?\n[ \t]*\r?\n")
_FIELD = re.compile(rb"([!-9;-~]{1,80})[ \t]*:(.*)", re.DOTALL)  # RFC 5322, section 2.2
_TYPE = re.compile(r"\s*([\w.+-]{1,80}/[\w.+-]{1,80})")
_PARAMETER = r';\s*{}\s*=\s*(?:"([^"\r\n]{{1,200}})"|([^\s;"]{{1,200}}))'
_BOUNDARY = re.compile(_PARAMETER.format("boundary"), re.IGNORECASE)
_CHARSET = re.compile(_PARAMETER.format("charset"), re.IGNORECASE)
_ENCODED = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?]{0,400})\?=")
_BETWEEN = re.compile(r"(\?=)\s+(?==\?)")
_BASE64 = string.ascii_letters.encode() + string.digits.encode() + b"+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))

# Codecs that turn any bytes into text; others, "idna" and "undefined" among them, raise or take long.
_CHARSETS = re.compile(
    r"utf-?8|us-ascii|ascii|(iso-?8859|windows|cp|ibm)[-_]?\d{1,4}([-_]\d{1,2})?|latin-?1|koi8-[rut]|"
    r"gb2312|gbk|gb18030|big5|shift[-_]jis|iso-2022-(jp|kr)|euc-(jp|kr)|utf-16(-?[lb]e)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A message, or a part of one.

    `kind` is its media type in lower case; those for mail beyond ASCII (RFC 6533) go by the name of
    their older twin. `fields` are the header fields in their order: the name in lower case, the value
    unfolded but not decoded. `body` is what follows the head, still encoded; `parts` are those of a
    multipart, or the one message that a part of the kind `message/rfc822` holds (its head alone, for
    `text/rfc822-headers`).
    """

    kind: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    parts: tuple[Part, ...] = ()

    def all(self, *names: str) -> list[str]:
        """Return the values of the fields with one of these names, in the order of the names."""
        return [value for name in names for each, value in self.fields if each == name]

    def first(self, name: str) -> str:
        """Return the value of the first field of this name, or an empty text."""
        return next(iter(self.all(name)), "")

    @property
    def text(self) -> str:
        """The body, decoded (RFC 2045, section 6) and in its character set, as far as that goes."""
        charset = _CHARSET.search(self.first("content-type"))
        return _decode(content(self), _either(charset) if charset else "utf-8")

    def walk(self, *, within: bool = False) -> Iterator[Part]:
        """Yield this part and those below it in their order, not those of messages `within` it."""
        yield self
        for part in self.parts if within or not self.kind.startswith(_HOLDING) else ():
            yield from part.walk(within=within)


_HOLDING = ("message/", "text/rfc822")
_TWINS = {
    "message/global": "message/rfc822",
    "message/global-headers": "text/rfc822-headers",
    "message/rfc822-headers": "text/rfc822-headers",  # Microsoft's name for it
    "message/global-delivery-status": "message/delivery-status",
}


def parse(data: bytes) -> Part:
    """Return a message as a tree; of `data` no more than `LIMIT` bytes are looked at."""
    return _part(data[:LIMIT], [_PARTS], 0)


def _part(data: bytes, left: list[int], depth: int) -> Part:
    """Return the part that `data` holds, its head first; `left` counts down over the whole message."""
    fields, body = _split(data)
    raw = next((value for name, value in fields if name == "content-type"), "")
    found = _TYPE.match(raw)
    kind = found[1].lower() if found else "text/plain"
    kind = _TWINS.get(kind, kind)
    whole = Part(kind, fields, body)
    if depth >= _DEPTH:
        return whole
    inner: list[bytes] = []
    boundary = _BOUNDARY.search(raw)
    if kind.startswith("multipart/") and boundary:
        inner = _pieces(body, _either(boundary))
    elif kind in {"message/rfc822", "text/rfc822-headers"}:
        inner = [content(whole).lstrip(b"\r\n")]
    parts = []
    for piece in inner:
        if left[0] <= 0:
            break
        left[0] -= 1
        parts.append(_part(piece, left, depth + 1))
    return Part(kind, fields, body, tuple(parts))


def _split(data: bytes) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """Return the fields of a head and what follows it."""
    if data.startswith((b"\n", b"\r\n")):
        return (), data.lstrip(b"\r\n")
    end = _BLANK.search(data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    return fields_of(head), body


def fields_of(head: bytes) -> tuple[tuple[str, str], ...]:
    """Return the header fields in `head`, names in lower case, values unfolded (RFC 5322, 2.2.3)."""
    found: list[tuple[str, list[bytes]]] = []
    for line in head[:_HEAD].split(b"\n"):
        if line[:1] in {b" ", b"\t"}:
            if found:
                found[-1][1].append(line.rstrip(b"\r"))
        elif (named := _FIELD.match(line)) and len(found) < _FIELDS:
            found.append((named[1].decode("ascii").lower(), [named[2].rstrip(b"\r")]))
    return tuple(
        (name, b"".join(lines)[:_VALUE].decode("utf-8", "replace").strip()) for name, lines in found
    )


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    """Return what stands between the lines of a boundary (RFC 2046, section 5.1.1).

    The last one may lack its end. Not more than `_PARTS`.
    """
    mark = re.escape(boundary.encode("utf-8"))
    line = re.compile(rb"^--" + mark + rb"(--)?[ \t]*\r?$", re.MULTILINE)
    pieces: list[bytes] = []
    start = -1
    for found in line.finditer(body):
        if start >= 0:
            pieces.append(body[start : found.start()].removesuffix(b"\n").removesuffix(b"\r"))
        start = found.end() + 1
        if found[1] or len(pieces) >= _PARTS:
            return pieces
    return [*pieces, body[start:]] if start >= 0 else pieces


def content(part: Part) -> bytes:
    """Return the body of a part without its transfer encoding (RFC 2045, section 6)."""
    encoding = part.first("content-transfer-encoding").lower()
    if encoding == "quoted-printable":
        return quopri.decodestring(part.body)
    return _unpack(part.body) if encoding == "base64" else part.body


def _unpack(packed: bytes) -> bytes:
    """Return what base64 holds; what is cut off or strange in it is left out."""
    letters = packed.translate(None, _NOT_BASE64)
    whole = letters + b"=" * (-len(letters) % 4)
    return binascii.a2b_base64(letters[:-1] if len(letters) % 4 == 1 else whole)


def decoded(value: str) -> str:
    """Return the value of a field with its encoded words read (RFC 2047), as far as they make sense."""
    return _ENCODED.sub(_word, _BETWEEN.sub(r"\1", value[:_WORD]))


def _word(found: re.Match[str]) -> str:
    charset, how, text = found.groups()
    data = text.encode("utf-8")
    data = _unpack(data) if how in "bB" else quopri.decodestring(data.replace(b"_", b" "))
    return _decode(data, charset.partition("*")[0])  # RFC 2231, section 5: a language may follow


def _decode(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset if _CHARSETS.fullmatch(charset) else "utf-8", "replace")
    except LookupError:  # no such code page
        return data.decode("utf-8", "replace")


def _either(found: re.Match[str]) -> str:
    """Return a parameter's value, with or without its quotes."""
    return found[1] or found[2]
