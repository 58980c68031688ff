"""What is dropped into seeds/: articles and digests of both formats, good, hostile and broken. Pure.

Each article is known by a number in its title, `Report 17: ...`, so that it is found again in the
record, on a page and in a letter without any code of the product.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Almaty")
NUMBER = re.compile(r"\bReport (\d+):")
SUBJECTS = (
    ("parliament", "government", "minister", "election", "president", "law", "senate", "vote"),
    ("economy", "bank", "prices", "inflation", "exports", "oil", "budget", "investors"),
    ("match", "team", "coach", "tournament", "goal", "boxer", "medal", "championship"),
    ("hospital", "doctors", "vaccine", "patients", "disease", "clinic", "nurses", "surgery"),
    ("school", "students", "university", "teachers", "exam", "pupils", "lessons", "rector"),
    ("river", "climate", "emissions", "forest", "glacier", "wildlife", "pollution", "steppe"),
    ("police", "court", "judge", "theft", "prison", "fraud", "suspect", "detained"),
    ("festival", "museum", "film", "theatre", "concert", "painter", "opera", "novel"),
)
HOSTILE = (
    "<script>alert(1)</script>", "]]> & <b>", "{{ 7*7 }} {% raw %}", "%s %d ${x}", "a\u202eb",
    "\u00e9\u0301", "\"quotes\" 'n' dashes", "javascript:alert(1)", "\U0001f600 \u200d",
    "../../etc/passwd",
)  # fmt: skip
TEASER_WORDS = 30


@dataclass(frozen=True, slots=True)
class Piece:
    """An article as the driver knows it; a teaser has no stamp and one paragraph, which is cut."""

    number: int
    title: str
    paragraphs: tuple[str, ...]
    stamp: datetime | None = None
    views: int | None = None


def piece(chance: random.Random, number: int, now: datetime) -> Piece:
    """Return a new article that is some hours old."""
    words = chance.choice(SUBJECTS)
    title = f"Report {number}: {words[0]} and {chance.choice(words)}"
    if chance.random() < 0.15:
        title += f" {chance.choice(HOSTILE)}"
    minutes = chance.randrange(1, 600)
    stamp = datetime.fromtimestamp(now.timestamp() // 60 * 60 - minutes * 60, ZONE)
    body = tuple(_sentence(chance, words, number) for _ in range(chance.randint(1, 4)))
    return Piece(number, title, body, stamp, chance.randrange(1, 9000))


def teaser(chance: random.Random, number: int) -> Piece:
    """Return a new article of which only a teaser is known."""
    words = chance.choice(SUBJECTS)
    said = " ".join([f"Ref{number}", *chance.choices(words, k=TEASER_WORDS - 1)])
    return Piece(number, f"Report {number}: {words[0]} in brief", (f"{said}...",))


def corrected(chance: random.Random, one: Piece) -> Piece:
    """Return an article whose last paragraph was written anew."""
    words = chance.choice(SUBJECTS)
    return replace(
        one, paragraphs=(*one.paragraphs[:-1], _sentence(chance, words, one.number, "Corrected"))
    )


def full(chance: random.Random, one: Piece) -> Piece:
    """Return the whole article of a teaser: its words go on where the teaser was cut."""
    begun = one.paragraphs[0].removesuffix("...")
    more = " ".join(chance.choices(chance.choice(SUBJECTS), k=20))
    return replace(one, paragraphs=(f"{begun} {more}.", _sentence(chance, SUBJECTS[0], one.number)))


def recounted(chance: random.Random, one: Piece) -> Piece:
    """Return an article that more people have seen."""
    return replace(one, views=(one.views or 0) + chance.randrange(1, 500))


def stamped(pieces: Sequence[Piece]) -> str:
    """Return a digest whose articles begin with a stamp line."""
    return "".join(
        f"{one.stamp:%d.%m.%Y, %H:%M} {one.views}\n\n{one.title}\n\n"
        + "\n\n".join(one.paragraphs)
        + "\n\u00a0\n\n"
        for one in pieces
    )


def listing(pieces: Sequence[Piece]) -> str:
    """Return a digest of titles and teasers."""
    return "".join(f"{one.title}\n\n{one.paragraphs[0]}\n\n\n" for one in pieces)


def text(pieces: Sequence[Piece]) -> str:
    """Return a digest of these articles, in the form that they have."""
    return stamped(pieces) if pieces[0].stamp else listing(pieces)


def broken(chance: random.Random, number: int) -> bytes:
    """Return bytes that no format explains."""
    return chance.choice(
        (
            f"no digest, only line {number}\n".encode(),
            bytes(range(256)) * 20 + str(number).encode(),
            f"%PDF-1.7 {number}".encode(),
            b"\xff\xfe" + f"odd {number}".encode("utf-16-le") + b"\x00",
            f"<!DOCTYPE x [<!ENTITY a '{'b' * 99}'>]><x>&a;{number}</x>".encode(),
            f"{number} {'x' * 1_100_000}".encode(),
            b"\n" * number,
        )
    )


def _sentence(chance: random.Random, words: Sequence[str], number: int, start: str = "Said") -> str:
    said = " ".join(chance.choices(words, k=chance.randint(22, 40)))
    odd = f" {chance.choice(('<i>', '&amp;', ']]>', '{{ x }}'))}" if chance.random() < 0.1 else ""
    return f"{start} ref{number} {said}{odd} {chance.randrange(10**6)}."
