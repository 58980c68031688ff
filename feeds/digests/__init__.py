"""Room 2: digests into articles. Pure.

In: a digest and the zone its times are local to. Out: a reading, with its articles, or with the
reason why the file is quarantined; either way each of its lines is accounted for. Every format
is tried and the best is chosen by its result, never by the first line alone. To add a format: a
module with the names of `formats.Format`, and its name in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from feeds.digests import stamp_first, teaser_list
from feeds.digests.formats import Format, Parse, explained, unread
from feeds.digests.lines import Lines, Unreadable, lines_of
from feeds.model import Article, Digest, Leftover, Outcome, Part, Reading

VERSION = 2
"""Grows with every change that reads a file differently: what is quarantined is then tried again."""

FORMATS: tuple[Format, ...] = (stamp_first, teaser_list)
"""The formats, in the order of their scores in a reading."""

MINIMUM = 0.8
"""The least score at which a digest counts as read."""

MARGIN = 0.1
"""The least distance between the best score and the second."""

MAX_ARTICLES = 25_000
"""A digest of more articles is not read: each takes some milliseconds to record and to publish."""

MAX_ARTICLE = 200_000
"""Characters of an article; a longer one is no news, and the record compares articles word by word,
at ten times their size in memory. The longest read in a newspaper has about 100,000."""


def read(digest: Digest, zone: ZoneInfo) -> Reading:
    """Return what a digest holds; never raises, whatever its bytes are.

    The articles stand in the digest's order. Reasons of a quarantine: `binary`, `encoding`,
    `too_many_lines`, `line_too_long`, `too_much_text`, `empty` (no line with text), `unknown_format`
    (no format explains enough), `ambiguous_boundaries` (where an article begins is uncertain),
    `too_many_articles` and `article_too_long`. In the last four every line with text is left over.
    A line that holds the collector's date and more is what the rest of it is.
    """
    lines = lines_of(digest.data)
    if isinstance(lines, Unreadable):
        return Reading(Outcome.QUARANTINE, reason=lines.reason, detail=lines.detail)
    if not any(row.text for row in lines.rows):
        return _quarantine(lines, "empty", "no line with text")
    return _choose(lines, [(form, _try(form, lines, zone)) for form in FORMATS])


def _try(form: Format, lines: Lines, zone: ZoneInfo) -> Parse | None:
    return form.parse(lines, zone) if form.sniff(lines) > 0 else None


def _score(parse: Parse | None) -> float:
    if parse is None or parse.doubt or not parse.articles:
        return 0.0
    return explained(parse.parts) * parse.regularity


def _choose(lines: Lines, tried: Sequence[tuple[Format, Parse | None]]) -> Reading:
    scores = tuple((form.NAME, _score(parse)) for form, parse in tried)
    ranked = sorted(tried, key=lambda one: -_score(one[1]))
    form, best = ranked[0]
    score, second = _score(best), max((_score(parse) for _, parse in ranked[1:]), default=0.0)
    if best is None or score < MINIMUM:
        doubts = [f"{form.NAME}: {parse.doubt}" for form, parse in tried if parse and parse.doubt]
        reason = "ambiguous_boundaries" if doubts else "unknown_format"
        best_guess = f"the best format, {form.NAME}, scores {score:.2f} of {MINIMUM}"
        detail = "; ".join(doubts) or (best_guess if score else "it has the form of no format")
        return _quarantine(lines, reason, detail, scores)
    if score - second < MARGIN:
        return _quarantine(lines, "ambiguous_boundaries", "two formats explain the file", scores)
    if excess := _excess(best.articles):
        return _quarantine(lines, *excess, scores)
    parts = _with_header(lines, best.parts)
    return Reading(
        Outcome.ARTICLES,
        form.NAME,
        score,
        scores,
        articles=best.articles,
        parts=parts,
        leftovers=_leftovers(lines, parts),
        warnings=lines.warnings + best.warnings,
    )


def _excess(articles: Sequence[Article]) -> tuple[str, str] | None:
    """Return the reason and the detail of a quarantine when articles are too many, or one too long."""
    if len(articles) > MAX_ARTICLES:
        detail = f"{len(articles):,} articles, more than {MAX_ARTICLES:,}; split the file"
        return "too_many_articles", detail
    for article in articles:
        length = sum(map(len, article.paragraphs))
        if length > MAX_ARTICLE:
            detail = f"an article of {length:,} characters, more than {MAX_ARTICLE:,}"
            return "article_too_long", f"line {article.line}: {detail}"
    return None


def _quarantine(
    lines: Lines, reason: str, detail: str, scores: tuple[tuple[str, float], ...] = ()
) -> Reading:
    parts = _with_header(lines, unread(lines.rows))
    return Reading(
        Outcome.QUARANTINE,
        score=max((score for _, score in scores), default=0.0),
        scores=scores,
        reason=reason,
        detail=detail,
        parts=parts,
        leftovers=_leftovers(lines, parts),
        warnings=lines.warnings,
    )


def _with_header(lines: Lines, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts; a line that the collector's date has to itself is the header."""
    index = lines.header_line
    if index is None or lines.rows[index].text:
        return tuple(parts)
    return (*parts[:index], Part.HEADER, *parts[index + 1 :])


def _leftovers(lines: Lines, parts: Sequence[Part]) -> tuple[Leftover, ...]:
    return tuple(
        Leftover(row.number, row.text)
        for row, part in zip(lines.rows, parts, strict=True)
        if part is Part.LEFTOVER
    )
