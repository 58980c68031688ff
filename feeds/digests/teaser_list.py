"""Room 2: the format of listing pages with a title and a teaser each, as astanatimes.com's. Pure.

    Title

    ASTANA - Thirty words, and the last has a mark glued...
    (two blank lines)
    Title ...

Two blank lines part the items, one blank line parts title and teaser. The teasers are cut by a count
of words (WordPress: `wp_trim_words`), so nearly all of them are of one length and end in a mark:
that is what tells this format from any other text with headings. There are no stamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from zoneinfo import ZoneInfo

from feeds.digests import prose
from feeds.digests.article import Found, assemble
from feeds.digests.formats import Parse, unread
from feeds.digests.lines import Line, Lines
from feeds.digests.stamps import is_stamp

NAME = "teaser_list"

_PARTED = 2  # blank lines between items, at least
_UNEVEN = 3  # words by which a teaser may differ from the median
_ENOUGH = 3  # items from which on the last may be without its mark: the file may be cut


def sniff(lines: Lines) -> float:
    """Return twice the share of the lines with text that end in a mark, at most 1."""
    marks = [prose.marked(row.text) for row in lines.rows if row.text]
    return min(1.0, 2 * sum(marks) / len(marks)) if marks else 0.0


def parse(lines: Lines, zone: ZoneInfo) -> Parse:  # noqa: ARG001 -- every format takes it; here are no times
    """Read every item of two lines; items of any other form are left over."""
    parts = unread(lines.rows)
    items = [item for item in _groups(lines.rows) if _is_item(item)]
    final = next((row for row in reversed(lines.rows) if row.text), None)
    articles = []
    for title, teaser in items:
        found = _read(title, teaser, last=teaser is final)
        articles.append(found.article)
        parts[title.number - 1], parts[teaser.number - 1] = found.parts
    regularity = _regularity([teaser.text for _, teaser in items])
    return Parse(tuple(articles), tuple(parts), regularity)


def _groups(rows: Sequence[Line]) -> list[list[Line]]:
    """Return the lines with text, in groups parted by two blank lines or more."""
    groups: list[list[Line]] = []
    gap = _PARTED
    for row in rows:
        if not row.text:
            gap += 1
            continue
        if gap >= _PARTED:
            groups.append([])
        groups[-1].append(row)
        gap = 0
    return groups


def _is_item(group: Sequence[Line]) -> bool:
    if len(group) != 2:  # noqa: PLR2004 -- title and teaser
        return False
    title, teaser = (line.text for line in group)
    dated = any(is_stamp(text) for text in (title, teaser))
    return prose.may_be_title(title) and not prose.marked(title) and not dated


def _read(title: Line, teaser: Line, *, last: bool) -> Found:
    cut = prose.marked(teaser.text) or (last and not prose.finished(teaser.text))
    return assemble(title, [teaser], None, title.number, truncated=cut)


def _regularity(teasers: Sequence[str]) -> float:
    """Return the share of teasers with a mark and of about one length."""
    lengths = [len(teaser.split(" ")) for teaser in teasers]
    if not lengths:
        return 0.0
    usual = median(lengths)
    regular = [
        prose.marked(teaser) and abs(length - usual) <= _UNEVEN
        for teaser, length in zip(teasers, lengths, strict=True)
    ]
    if len(regular) >= _ENOUGH and not prose.marked(teasers[-1]):
        regular.pop()
    return sum(regular) / len(regular)
