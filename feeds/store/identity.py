"""When two captures are one article, and what the better capture keeps. Pure.

Identity is the folded title together with the stamp or the words of the body; a configured publisher
parts two otherwise equal articles. Views, topic, order and address play no part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from itertools import chain, islice

from feeds.model import Article, DateSource, EntryId, Precision
from feeds.text import fingerprint, fold, words

ID_DIGITS = 20
"""80 bits: a million entries collide with a probability of 4 in 10^13."""

_PREFIX_WORDS = 5  # a teaser shorter than this says too little to be found again in a full text
_BODY_WORDS = 8  # under two different dates, an equal body must be at least this long

_RANK = {source: rank for rank, source in enumerate(DateSource)}


@dataclass(frozen=True, slots=True)
class Capture:
    """An article as one digest has it, and its configured publisher."""

    article: Article
    publisher: str | None


def mint(capture: Capture, attempt: int = 0) -> EntryId:
    """Return the id of an article that is seen for the first time.

    It is derived, so that a pass that was cut short mints the same id again; `attempt` counts the ids
    found taken.
    """
    article = capture.article
    stamp = _stamp(article)
    body = fingerprint(article.paragraphs) if stamp is None else stamp
    parts = (capture.publisher or "", fold(article.title), body, str(attempt))
    return EntryId(hashlib.sha256("\n".join(parts).encode()).hexdigest()[:ID_DIGITS])


def same(one: Capture, other: Capture) -> bool:
    """Whether two captures are one article."""
    if fold(one.article.title) != fold(other.article.title):
        return False
    if one.publisher and other.publisher and one.publisher != other.publisher:
        return False
    if (stamp := _stamp(one.article)) is not None and stamp == _stamp(other.article):
        return True
    few = _BODY_WORDS if _dated_apart(one.article, other.article) else 0
    return _same_body(one.article, other.article, few)


def opening(article: Article) -> str:
    """Return a fingerprint of the first words of a body: a teaser and its full text share it."""
    return fingerprint([" ".join(islice(_words(article), _PREFIX_WORDS))])


def merge(known: Article, found: Article) -> tuple[Article, bool]:
    """Return the better of two captures of one article, and whether its text changed in substance.

    The fuller or corrected text wins, the better dated stamp, the higher views, since counts only grow;
    what one lacks is filled from the other. New punctuation, quotes or spaces alone change nothing.
    """
    text = found if _replaces(known, found) else known
    date = found if _RANK[found.date_source] < _RANK[known.date_source] else known
    merged = replace(
        text,
        title=known.title,
        published=date.published,
        precision=date.precision,
        date_source=date.date_source,
        between=date.between,
        views=max((n for n in (known.views, found.views) if n is not None), default=None),
        photo_credit=text.photo_credit or known.photo_credit or found.photo_credit,
        source=text.source or known.source or found.source,
        dateline=text.dateline or known.dateline or found.dateline,
        author=text.author or known.author or found.author,
        url=known.url or found.url,
        lang=text.lang or known.lang or found.lang,
        line=known.line,
    )
    return merged, text is found


def _stamp(article: Article) -> str | None:
    if article.published is None or article.precision is not Precision.MINUTE:
        return None
    return article.published.astimezone(UTC).isoformat()


def _dated_apart(one: Article, other: Article) -> bool:
    """Whether two dates can't be one moment; a day alone stands at noon, for 12 h around it."""
    if one.published is None or other.published is None:
        return False
    exact = one.precision is other.precision
    return abs(one.published - other.published) > (timedelta() if exact else timedelta(hours=12))


def _words(article: Article) -> Iterator[str]:
    return chain.from_iterable(words(paragraph) for paragraph in article.paragraphs)


def _body(article: Article) -> list[str]:
    return list(_words(article))


def _same_body(one: Article, other: Article, few: int) -> bool:
    left, right = _body(one), _body(other)
    if left == right:
        return len(left) >= few
    for short, full, is_cut in ((left, right, one.truncated), (right, left, other.truncated)):
        whole = short[:-1]  # the last word may be cut, too
        if is_cut and len(whole) >= max(few, _PREFIX_WORDS) and whole == full[: len(whole)]:
            return True
    return False


def _replaces(known: Article, found: Article) -> bool:
    """Whether the text found takes the place of the text known."""
    old, new = _body(known), _body(found)
    if old == new:
        return known.truncated and not found.truncated
    if known.truncated != found.truncated:
        return known.truncated
    if known.truncated:
        return len(new) > len(old)
    return not _contains(old, new)


def _contains(whole: list[str], part: list[str]) -> bool:
    """Whether `part` is a run of words of `whole`: a lesser capture, which lost its lead or its end."""
    return f" {' '.join(part)} " in f" {' '.join(whole)} "
