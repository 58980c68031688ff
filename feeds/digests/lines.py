"""Room 2: bytes into lines. Pure.

In: a digest's bytes. Out: its lines, safe for XML and numbered from 1, or the reason why there are
none. Encodings: UTF-8 (RFC 3629; a byte order mark is taken off), UTF-16 with a byte order mark.

A digest may be hostile. So it is never decoded as a whole, since one emoji makes a text four times as
large; each line is, and reading stops at the first limit that is passed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from feeds.text import clean, dropped

MAX_LINES = 500_000
"""A digest of more lines is not read; counted first. News has 50 to 100 bytes a line, blank or not."""

MAX_LINE = 1_000_000
"""Bytes of a line; a longer one is not read. A paragraph of news has 400, a book of 1,000 pages 2 MB."""

MAX_WEIGHT = 185_000_000
"""Bytes that a digest and its lines may take in memory; a heavier digest is not read.

Measured: with Python, numpy and the model, 80 MB, reading and recording then stay below 265 MiB. 40 MB
of plain English are read, and 35 MB with typographic quotes. `_LINE_WEIGHT` and `_BLANK_WEIGHT` are what
a line takes at most besides its text while formats are tried: places in lists, a stamp, an article.
"""

_LINE_WEIGHT, _BLANK_WEIGHT = 300, 100

MAX_UTF16 = 32 << 20
"""Bytes of a digest in UTF-16; it is held in UTF-8 as well, which may be half as large again."""

_SPLIT = "split the file"

TOLERANCE = 1_000
"""One byte in so many may be bad, and always one: a cut file ends within a character."""

# C0 without white space (FS to US part words) and ESC, which terminals leave in what they log.
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\x0b\x0c\r\x1b\x1c\x1d\x1e\x1f"))
_MAGIC = (
    b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"{\\rtf",
    b"\xd0\xcf\x11\xe0", b"Rar!", b"7z\xbc\xaf",
)  # fmt: skip
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_CHUNK = 1 << 20
_HEADER = re.compile(r"date ([0-9]{4}-[0-9]{2}-[0-9]{2})(?: |$)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a digest: its number from 1 and its text, cleaned.

    The text is empty when the line holds nothing but white space; `spaced` then says that it does
    hold some, as the no-break space that ends an article on some pages.
    """

    number: int
    text: str
    spaced: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a digest.

    Collectors put ` date 2026-01-02 ` before the text of any page they could date. `header` is that
    day, an upper bound for the articles, and `header_line` the index of the line it stood on. It is
    taken out of the line's text; the rest is a line like any other.
    """

    rows: tuple[Line, ...]
    header: date | None = None
    header_line: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why bytes have no lines: a short code and a sentence.

    Codes: `binary`, `encoding`, `too_many_lines`, `line_too_long`, `too_much_text`.
    """

    reason: str
    detail: str


def lines_of(data: bytes) -> Lines | Unreadable:
    """Return the lines of a digest.

    A line ends at LF, CRLF or CR and nowhere else; what follows the last line end is a line when it
    isn't empty. (`str.splitlines` also cuts at form feeds and at six more characters.)
    """
    plain = _utf8(data)
    if isinstance(plain, Unreadable):
        return plain
    if plain.count(b"\n") + plain.count(b"\r") - plain.count(b"\r\n") >= MAX_LINES:
        return Unreadable("too_many_lines", f"more than {MAX_LINES:,} lines; {_SPLIT}")
    warnings: list[str] = []
    if bad := _bad_bytes(plain):
        first = next(number for number, raw in _cut(plain) if _bad_bytes(raw))
        if bad > _tolerated(plain):
            detail = f"not UTF-8: {_some(bad, 'bad byte')}, the first in line {first}"
            return Unreadable("encoding", detail)
        warnings.append(f"line {first}: {_some(bad, 'bad byte')} replaced by U+FFFD")
    carried = len(data) if plain is data else len(data) + len(plain)
    return _read(plain, carried, warnings)


def _read(plain: bytes | bytearray, weight: int, warnings: list[str]) -> Lines | Unreadable:
    rows: list[Line] = []
    unsafe = 0
    for number, raw in _cut(plain):
        if len(raw) > MAX_LINE:
            detail = f"line {number}: more than {MAX_LINE:,} bytes; break it into paragraphs"
            return Unreadable("line_too_long", detail)
        decoded = raw.decode("utf-8", "replace")
        unsafe += dropped(decoded)
        text = clean(decoded)
        rows.append(Line(number, text, spaced=bool(raw) and not text))
        weight += text.__sizeof__() + _LINE_WEIGHT if text else _BLANK_WEIGHT
        if weight > MAX_WEIGHT:
            detail = (
                f"line {number}: the text up to here takes as much memory as a digest may; {_SPLIT}"
            )
            return Unreadable("too_much_text", detail)
    if unsafe:
        warnings.append(f"{_some(unsafe, 'character')} dropped: not safe in XML, or invisible")
    return _without_header(rows, warnings)


def _cut(plain: bytes | bytearray) -> Iterator[tuple[int, bytes | bytearray]]:
    """Yield the number and the bytes of each line."""
    start = len(codecs.BOM_UTF8) if plain.startswith(codecs.BOM_UTF8) else 0
    for number, found in enumerate(_LINE.finditer(plain, start), 1):
        if found.start() < len(plain):  # else it is what follows the last line end: nothing
            yield number, found[1]


def _without_header(rows: list[Line], warnings: list[str]) -> Lines:
    index = next((index for index, row in enumerate(rows) if row.text), None)
    found = None if index is None else _HEADER.match(rows[index].text)
    if index is None or found is None or (day := _day(found[1])) is None:
        return Lines(tuple(rows), warnings=tuple(warnings))
    rows[index] = Line(rows[index].number, rows[index].text[found.end() :])
    return Lines(tuple(rows), day, index, tuple(warnings))


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _utf8(data: bytes) -> bytes | bytearray | Unreadable:
    """Return a digest in UTF-8, as far as it is."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _from_utf16(data)
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if data.startswith(_MAGIC) or controls > _tolerated(data):
        return Unreadable("binary", "not a text file")
    return data


def _from_utf16(data: bytes) -> bytearray | Unreadable:
    if len(data) > MAX_UTF16:
        detail = f"more than {MAX_UTF16:,} bytes of UTF-16; save it as UTF-8, or {_SPLIT}"
        return Unreadable("too_much_text", detail)
    decoder = codecs.getincrementaldecoder("utf-16")()
    plain = bytearray()
    try:
        for chunk in _chunks(data):
            plain += decoder.decode(chunk).encode()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return Unreadable("encoding", f"not UTF-16, which its first two bytes say: {error.reason}")
    if plain.count(0) > len(data) // 2 // TOLERANCE:
        return Unreadable("binary", "not a text file")
    return plain


def _bad_bytes(plain: bytes | bytearray) -> int:
    """How many characters stand for bytes that aren't UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    found = sum(decoder.decode(chunk).count("\ufffd") for chunk in _chunks(plain))
    found += decoder.decode(b"", final=True).count("\ufffd")
    return found - plain.count("\ufffd".encode())


def _chunks(data: bytes | bytearray) -> Iterator[bytes | bytearray]:
    return (data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))


def _tolerated(data: bytes | bytearray) -> int:
    return max(1, len(data) // TOLERANCE)


def _some(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"
