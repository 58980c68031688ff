"""Room 2: what a digest format is, and what it makes of a digest's lines. Pure.

A format is a module with the three names of `Format`. It takes any lines: what it can't explain it
returns as leftovers, and it says how far the rest keeps to its form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

from feeds.digests.lines import Line, Lines
from feeds.model import Article, Part


@dataclass(frozen=True, slots=True)
class Parse:
    """What a format makes of a digest: articles in the digest's order, and one part for each line.

    `regularity`, 0 to 1, says how well what was read keeps to the form. `doubt` is a sentence, set
    when where an article begins or ends is uncertain as a whole; such a parse is never used.
    """

    articles: tuple[Article, ...]
    parts: tuple[Part, ...]
    regularity: float
    warnings: tuple[str, ...] = ()
    doubt: str | None = None


class Format(Protocol):
    """A digest format: a module."""

    @property
    def NAME(self) -> str:  # noqa: N802 -- a constant of the module
        """The format's name on record, `[a-z_]+`."""

    def sniff(self, lines: Lines) -> float:
        """Return how likely the format is at a first look, 0 to 1; at 0 `parse` isn't tried."""

    def parse(self, lines: Lines, zone: ZoneInfo) -> Parse:
        """Read the articles; times without an offset are local to `zone`."""


def unread(rows: Sequence[Line]) -> list[Part]:
    """Return parts that explain nothing yet: blank lines separate, all others are left over."""
    return [Part.LEFTOVER if row.text else Part.SEPARATOR for row in rows]


def doubtful(rows: Sequence[Line], doubt: str) -> Parse:
    """Return the parse of a format that declines, with its reason."""
    return Parse((), tuple(unread(rows)), 0.0, doubt=doubt)


def explained(parts: Sequence[Part]) -> float:
    """Return the share of the lines with text, 0 to 1, that are part of something."""
    left = sum(part is Part.LEFTOVER for part in parts)
    text = len(parts) - sum(part is Part.SEPARATOR for part in parts)
    return 1 - left / text if text else 0.0
