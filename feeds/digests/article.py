"""Room 2: from an article's lines to the article. Pure.

In: the lines that a format found to be one article, without stamp and blank lines. Out: the article,
and what each line is. Markers are whole lines at their place: before the text the title once more, a
photo credit, a button; after it a source or a copyright notice. The same words elsewhere are text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from feeds.digests import prose
from feeds.digests.language import language
from feeds.digests.lines import Line
from feeds.digests.stamps import Stamp
from feeds.model import Article, DateSource, Part, Precision
from feeds.text import fold

_DATE_SOURCES = {
    Precision.MINUTE: DateSource.EXPLICIT,
    Precision.DAY: DateSource.EXPLICIT_DATE_ONLY,
    None: DateSource.FIRST_SEEN,
}

_LONGEST = 400  # characters of a line that may be a title once more


@dataclass(frozen=True, slots=True)
class Found:
    """An article, and what its lines are, in order."""

    article: Article
    parts: tuple[Part, ...]


def assemble(
    title: Line, rest: Sequence[Line], stamp: Stamp | None, start: int, *, truncated: bool
) -> Found:
    """Return the article of these lines, and what the title and the rest are.

    `start` is the 1-based line where the article begins.
    """
    first = _skip_front(title, rest)
    last = _skip_back(rest, first)
    paragraphs = tuple(line.text for line in rest[first:last])
    credits_ = [name for line in rest[:first] if (name := prose.photo_credit(line.text))]
    named = [name for line in rest[last:] if (name := prose.named_source(line.text))]
    article = Article(
        title.text,
        paragraphs,
        published=stamp.moment if stamp else None,
        precision=stamp.precision if stamp else None,
        date_source=_DATE_SOURCES[stamp.precision if stamp else None],
        views=stamp.views if stamp else None,
        photo_credit=", ".join(dict.fromkeys(credits_)) or None,
        source=named[0] if named else prose.cited_source(paragraphs),
        dateline=prose.dateline(paragraphs[0]) if paragraphs else None,
        lang=language((title.text, *paragraphs)),
        truncated=truncated,
        line=start,
    )
    markers = [Part.MARKER] * first, [Part.MARKER] * (len(rest) - last)
    return Found(article, (Part.TITLE, *markers[0], *[Part.BODY] * len(paragraphs), *markers[1]))


def _skip_front(title: Line, rest: Sequence[Line]) -> int:
    """How many lines before the text are markers; the title goes once, a second time it is text."""
    wanted: str | None = fold(title.text)
    for count, line in enumerate(rest):
        if wanted is not None and len(line.text) <= _LONGEST and fold(line.text) == wanted:
            wanted = None
        elif not prose.photo_credit(line.text) and not prose.is_boilerplate(line.text):
            return count
    return len(rest)


def _skip_back(rest: Sequence[Line], first: int) -> int:
    """Where the markers after the text begin."""
    end = len(rest)
    while end > first and (
        prose.is_boilerplate(rest[end - 1].text) or prose.named_source(rest[end - 1].text)
    ):
        end -= 1
    return end
