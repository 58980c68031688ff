"""Room 2: the format of pages whose articles begin with a stamp line, as kt.kz has them. Pure.

    [ date 2026-01-02 ]01.01.2026, 16:52 9306       stamp: day first, local time, views
    Title
    [Title]                                         repeated: dropped
    [Images | Akorda]                               photo credit
    Paragraph ...
    NBSP                                            a line of white space ends the article

Seen with a blank line after each of these lines, and tight, without blank lines and ends. Blank lines
mean nothing here: two of them stand within an article after each pull quote. The order of the stamps
means nothing either. An article without a stamp is found only where the one before it has its end.

The same lines with the stamp below its article would read as well, and shift every date by one
article. So no stamp is trusted before its place is: see `_doubt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto
from itertools import dropwhile, takewhile
from zoneinfo import ZoneInfo

from feeds.digests import prose
from feeds.digests.article import Found, assemble
from feeds.digests.formats import Parse, doubtful, unread
from feeds.digests.lines import Line, Lines
from feeds.digests.stamps import Stamp, is_stamp, read_stamp
from feeds.model import Part
from feeds.text import fold

NAME = "stamp_first"

_FORGIVEN = 1  # of each kind of fault: one is a slip, many are signs of another format
_SHOWN = 5  # line numbers in one warning


@dataclass(frozen=True, slots=True)
class _Text:
    """A line with text, the number of blank lines before it, whether one of them ends an article."""

    line: Line
    gap: int
    ended: bool
    stamp: Stamp | None


class _Role(Enum):
    STAMP = auto()  # begins an article: its title follows
    TITLE = auto()  # begins an article that has no stamp
    LOST = auto()  # begins what can't be read: a stamp whose title is missing
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class _Block:
    """The lines from one head to the next."""

    role: _Role
    texts: Sequence[_Text]


def sniff(lines: Lines) -> float:
    """Return 0 without any stamp, 1 when the first line with text is one, else a half."""
    found = [is_stamp(row.text) for row in lines.rows if row.text]
    return 0.0 if not any(found) else 1.0 if found[0] else 0.5


def parse(lines: Lines, zone: ZoneInfo) -> Parse:
    """Read every article; what stands before the first, or has lost its title, is left over."""
    everything = _texts(lines.rows, zone)
    texts = list(dropwhile(lambda text: prose.is_boilerplate(text.line.text), everything))
    if doubt := _doubt(texts):
        return doubtful(lines.rows, doubt)
    blocks = _blocks(texts)
    titled = [block for block in blocks if block.role is not _Role.LOST]
    open_end = None if _closed(lines.rows) else texts[-1]
    found = [_article(block, last=block.texts[-1] is open_end) for block in titled]

    parts = unread(lines.rows)
    for text in everything[: len(everything) - len(texts)]:
        parts[text.line.number - 1] = Part.MARKER
    for block, one in zip(titled, found, strict=True):
        for text, part in zip(block.texts, one.parts, strict=True):
            parts[text.line.number - 1] = part
    return Parse(
        tuple(one.article for one in found),
        tuple(parts),
        _regularity(titled, found, lines.header),
        (*_warnings(blocks, lines.header), *_empty(found), *_overlooked(titled)),
    )


def _texts(rows: Sequence[Line], zone: ZoneInfo) -> list[_Text]:
    texts: list[_Text] = []
    gap, ended = 0, True
    for row in rows:
        if row.text:
            texts.append(_Text(row, gap, ended, read_stamp(row.text, zone)))
            gap, ended = 0, False
        else:
            gap, ended = gap + 1, ended or row.spaced
    return texts


def _closed(rows: Sequence[Line]) -> bool:
    """Whether the last article has its end, so that nothing of it can be missing."""
    return any(row.spaced for row in takewhile(lambda row: not row.text, reversed(rows)))


def _doubt(texts: Sequence[_Text]) -> str | None:
    """Return why the stamps may not belong to the text below them, or None."""
    if not texts:
        return "no line with text"
    places = [t for t, text in enumerate(texts) if text.stamp and (text.stamp.timed or text.ended)]
    inner = [t for t in places if 0 < t < len(texts) - 1]
    above = sum(texts[t].gap > texts[t + 1].gap for t in inner)
    below = sum(texts[t].gap < texts[t + 1].gap for t in inner)
    if below > above:
        return "stamps stand nearer to the text above them than to that below"
    if texts[-1].stamp and not (texts[0].stamp and above > below):
        return "the last line is a stamp: stamps seem to stand below their articles"
    later = [t for t in places if t > 0]
    loose = [t for t in later if not texts[t].ended]
    if not texts[0].stamp and len(loose) * 2 >= len(later):
        return "the first article has no stamp, and no mark shows where the others begin"
    titles = sum(_title_above(texts[t - 1 : t + 2]) for t in loose)
    if titles * 2 > len(later):
        return "titles seem to stand above the stamps"
    return None


def _title_above(three: Sequence[_Text]) -> bool:
    """Whether the stamp in the middle has its title above: there, and none below but the same."""
    above, below = three[0].line.text, three[-1].line.text
    if not prose.looks_like_title(above):
        return False
    return not prose.looks_like_title(below) or fold(below) == fold(above)


def _blocks(texts: Sequence[_Text]) -> list[_Block]:
    counted = any(text.stamp.counted for text in texts if text.stamp)
    spread = any(text.ended for text in texts[1:] if text.stamp)
    roles: list[_Role] = []
    for t in range(len(texts)):
        titles = bool(roles) and roles[-1] is _Role.STAMP  # this line is the title of that stamp
        role = _Role.OTHER if titles else _role(texts[t : t + 2], counted=counted, spread=spread)
        roles.append(role)
    heads = [t for t, role in enumerate(roles) if role is not _Role.OTHER]
    ends = [*heads[1:], len(texts)]
    return [_Block(roles[t], texts[t:end]) for t, end in zip(heads, ends, strict=False)]


def _role(pair: Sequence[_Text], *, counted: bool, spread: bool) -> _Role:
    """Return what the first of two texts is.

    `counted` says that stamps of this digest have views, `spread` that ends stand before them.
    """
    here, after = pair[0], pair[1] if len(pair) > 1 else None
    if here.stamp is None:
        return _Role.TITLE if spread and _begins_unstamped(here, after) else _Role.OTHER
    firm = here.ended or here.stamp.counted
    if not firm and (counted or not here.stamp.timed):
        return _Role.OTHER  # a date in a text
    if after is not None and after.stamp is None and prose.may_be_title(after.line.text):
        return _Role.STAMP
    return _Role.LOST if firm else _Role.OTHER


def _begins_unstamped(here: _Text, after: _Text | None) -> bool:
    if not here.ended or after is None or after.ended or after.stamp is not None:
        return False
    return prose.looks_like_title(here.line.text)


def _article(block: _Block, *, last: bool) -> Found:
    """Return the article of a block; `last` says that the digest stops in it, without an end."""
    start, *rest = (text.line for text in block.texts)
    stamp = block.texts[0].stamp
    title = rest.pop(0) if stamp else start
    truncated = last and not (rest and prose.closes(rest[-1].text))
    found = assemble(title, rest, stamp, start.number, truncated=truncated)
    return Found(found.article, (Part.STAMP, *found.parts)) if stamp else found


def _warnings(blocks: Sequence[_Block], header: date | None) -> list[str]:
    return [
        f"line {block.texts[0].line.number}: {complaint}: {block.texts[0].line.text}"
        for block in blocks
        for complaint in _complaints(block, header)
    ]


def _complaints(block: _Block, header: date | None) -> list[str]:
    stamp = block.texts[0].stamp
    if stamp is None:
        return ["an article without a stamp"]
    found = []
    if block.role is _Role.LOST:
        found.append("a stamp without a title")
    if stamp.moment is None:
        found.append("no such date and time")
    if _late(stamp, header):
        found.append(f"a stamp later than the digest's own date, {header}")
    if stamp.counted and stamp.views is None:
        found.append("views that are no number")
    return found


def _late(stamp: Stamp, header: date | None) -> bool:
    # A day's grace: the collector's clock may be in another zone.
    if stamp.moment is None or header is None:
        return False
    return stamp.moment.date() - header > timedelta(days=1)


def _empty(found: Sequence[Found]) -> list[str]:
    return [
        f"line {one.article.line}: a title without text: {one.article.title}"
        for one in found
        if not one.article.paragraphs
    ]


def _overlooked(blocks: Sequence[_Block]) -> list[str]:
    """Return warnings for text that may be the head of an article, though nothing parts it off."""
    stamps, titles = [], []
    for block in blocks:
        stamps += [text.line.number for text in block.texts[1:] if text.stamp]
        inner = zip(block.texts[2:], block.texts[3:], block.texts[4:], strict=False)
        titles += [here.line.number for before, here, after in inner if _inset(before, here, after)]
    return [
        *_listed(stamps, "read as text, but may be a stamp"),
        *_listed(titles, "read as text, but may be the title of an article without a stamp"),
    ]


def _inset(before: _Text, here: _Text, after: _Text) -> bool:
    sentences = prose.finished(before.line.text) and prose.finished(after.line.text)
    return sentences and here.stamp is None and prose.looks_like_title(here.line.text)


def _listed(numbers: Sequence[int], what: str) -> list[str]:
    if not numbers:
        return []
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    return [f"{'line' if len(numbers) == 1 else 'lines'} {shown}{more}: {what}"]


def _regularity(blocks: Sequence[_Block], found: Sequence[Found], header: date | None) -> float:
    """Return 1 less the shares of misfit dates and, half as grave, of articles without text."""
    stamps = [block.texts[0].stamp for block in blocks]
    misfit = sum(stamp is not None and (stamp.misfit or _late(stamp, header)) for stamp in stamps)
    empty = sum(not one.article.paragraphs for one in found)
    faults = max(0, misfit - _FORGIVEN) + max(0, empty - _FORGIVEN) / 2
    return max(0.0, 1 - faults / len(found)) if found else 0.0
