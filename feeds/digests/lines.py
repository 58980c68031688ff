"""Room 2: bytes into lines. Pure.

In: a digest's bytes. Out: its lines, safe for XML and numbered from 1, or the reason why there are
none. Encodings: UTF-8 (RFC 3629; a byte order mark is taken off), UTF-16 with a byte order mark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from feeds.text import clean, dropped

MAX_LINES = 500_000
"""A digest of more lines is not read: it bounds time and memory, at about 50 MB of news."""

TOLERANCE = 1_000
"""One byte in so many may be bad, and always one: a cut file ends within a character."""

# C0 without white space (FS to US part words) and ESC, which terminals leave in what they log.
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\x0b\x0c\r\x1b\x1c\x1d\x1e\x1f"))
_MAGIC = (
    b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"{\\rtf",
    b"\xd0\xcf\x11\xe0", b"Rar!", b"7z\xbc\xaf",
)  # fmt: skip
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
    """Why bytes have no lines: a short code (`binary`, `encoding`, `too_many_lines`), a sentence."""

    reason: str
    detail: str


def lines_of(data: bytes) -> Lines | Unreadable:
    """Return the lines of a digest.

    A line ends at LF, CRLF or CR and nowhere else; what follows the last line end is a line when it
    isn't empty. (`str.splitlines` also cuts at form feeds and at six more characters.)
    """
    decoded = _decode(data)
    if isinstance(decoded, Unreadable):
        return decoded
    text, warnings = decoded
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") >= MAX_LINES:
        return Unreadable("too_many_lines", f"more than {MAX_LINES:,} lines")
    if unsafe := dropped(text):
        warnings.append(f"{_some(unsafe, 'character')} dropped: not safe in XML, or invisible")
    return _without_header([_line(n, raw) for n, raw in enumerate(_cut(text), 1)], warnings)


def _cut(text: str) -> list[str]:
    pieces = text.split("\n")
    if not pieces[-1]:
        pieces.pop()
    return pieces


def _line(number: int, raw: str) -> Line:
    text = clean(raw)
    return Line(number, text, spaced=bool(raw) and not text)


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


def _decode(data: bytes) -> tuple[str, list[str]] | Unreadable:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decode_utf16(data)
    limit = max(1, len(data) // TOLERANCE)
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if data.startswith(_MAGIC) or controls > limit:
        return Unreadable("binary", "not a text file")
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        first = len(re.findall(rb"\r\n|\r|\n", data[: error.start])) + 1
    text = data.decode("utf-8-sig", "replace")
    bad = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    if bad > limit:
        return Unreadable("encoding", f"not UTF-8: {bad} bad bytes, the first in line {first}")
    return text, [f"line {first}: {_some(bad, 'bad byte')} replaced by U+FFFD"]


def _decode_utf16(data: bytes) -> tuple[str, list[str]] | Unreadable:
    try:
        text = data.decode("utf-16")
    except UnicodeDecodeError as error:
        return Unreadable("encoding", f"not UTF-16, which its first two bytes say: {error.reason}")
    if text.count("\0") > len(text) // TOLERANCE:
        return Unreadable("binary", "not a text file")
    return text, []


def _some(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"
