"""Room 6: what every form says of an entry: title, summary, content, author, where it comes from. Pure.

HTML for feeds is made here, of paragraphs and links alone; all text in it is escaped. Pages make
theirs by template, from the same words.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from html import escape, unescape

from feeds.model import Channel, Entry
from feeds.outputs.forms import FULL
from feeds.publication import Credit, Publication, credit
from feeds.text import clean, summarise

_LINKED = frozenset({"http", "https", "mailto"})
# RFC 3986, appendix A: reserved and unreserved characters, and the percent sign of what is encoded.
_URI = ":/?#[]@!$&'()*+,;=-._~%"
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Elements of HTML that turn up in titles copied from the web. Other words in angle brackets are text.
_ELEMENTS = (
    "a|abbr|b|big|br|center|cite|code|del|div|em|font|h[1-6]|hr|i|img|ins|li|mark|ol|p|pre|q|s|script"
    "|small|span|strike|strong|style|sub|sup|table|td|th|tr|tt|u|ul"
)
_TAG = re.compile(rf"</?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>", re.IGNORECASE)
_REFERENCE = re.compile(r"&(?:#[0-9]+|#x[0-9a-f]+|[a-z][a-z0-9]*);", re.IGNORECASE)


def title(entry: Entry) -> str:
    """Return the title for feeds: plain text without tags and character references, never empty.

    Readers disagree on whether a title is text or HTML, RSS leaves it open; what holds neither a tag
    nor a reference is the same in all of them. Pages show the title as it stands.
    """
    decoded = _REFERENCE.sub(lambda reference: unescape(reference.group()), entry.article.title)
    return clean(_TAG.sub("", decoded)) or "Untitled"


def summary(entry: Entry) -> str:
    """Return the summary as plain text: about 40 words; empty for a title alone."""
    return summarise(entry.article.paragraphs)


def body(entry: Entry) -> tuple[str, ...]:
    """Return all paragraphs that the digest held; where it cut the article, an ellipsis says so."""
    paragraphs = entry.article.paragraphs
    if not entry.article.truncated or not paragraphs:
        return paragraphs
    last = paragraphs[-1]
    return (*paragraphs[:-1], summarise([last], len(last.split())))


def is_whole(entry: Entry, publication: Publication) -> bool:
    """Whether all of an article is known and its publisher lets it be shown."""
    publisher = publication.source(entry)
    return not entry.article.truncated and (publisher is None or publisher.content == FULL)


def content_html(entry: Entry, publication: Publication, content: str) -> str | None:
    """Return the whole article as HTML, ending with its source; None where a summary must do.

    That is when the caller or the publisher says so, and when the digest cut the article: what looks
    whole in a reader must be whole.
    """
    if content != FULL or not is_whole(entry, publication):
        return None
    return _paragraphs(entry.article.paragraphs) + source_html(entry, publication)


def summary_html(entry: Entry, publication: Publication, *, alone: bool) -> str:
    """Return the summary as HTML; `alone`, without content beside it, it ends with the source."""
    text = summary(entry)
    told = _paragraphs([text] if text else [])
    return told + source_html(entry, publication) if alone else told


def source_html(entry: Entry, publication: Publication) -> str:
    """Return the source line as an HTML paragraph, linked when an address is known."""
    known = source(entry, publication)
    names = escape(known.names, quote=False)
    if known.url:
        names = f'<a href="{escape(known.url)}">{names}</a>'
    return f"<p>Source: {names}, {escape(known.date, quote=False)}</p>"


def source(entry: Entry, publication: Publication) -> Credit:
    """Return where an entry comes from; its address is fit for a link, or None."""
    known = credit(publication, entry)
    return replace(known, url=address(known.url))


def address(text: str | None) -> str | None:
    """Return a web or mail address as a URI, or None: nothing else may become a link.

    Characters that a URI can't hold are percent-encoded (RFC 3986, section 2.1).
    """
    try:
        parts = urllib.parse.urlsplit(text or "")
        place = parts.path if parts.scheme == "mailto" else parts.hostname
        _ = parts.port  # raises when it is no number
    except ValueError:
        return None
    if parts.scheme not in _LINKED or not place:
        return None
    return _STRAY_PERCENT.sub("%25", urllib.parse.quote(parts.geturl(), safe=_URI))


def author(entry: Entry, publication: Publication) -> str | None:
    """Return who an entry is by: its author, else the publisher, else the agency it cites."""
    return entry.article.author or publication.publisher(entry) or entry.article.source


def rights(entry: Entry, publication: Publication) -> str | None:
    """Return what the configuration says of the rights in an entry."""
    publisher = publication.source(entry)
    return publisher.rights if publisher else None


def topics(entry: Entry) -> list[tuple[str, str]]:
    """Return the eight digits and the name of an entry's topics, the primary first."""
    return [(share.code.removeprefix("medtop:"), share.name) for share in entry.topics]


def foreign(entry: Entry, language: str) -> str | None:
    """Return an entry's language when it isn't that of the document around it."""
    own = entry.article.lang
    return own if own and own != language else None


def utc(moment: datetime) -> datetime:
    """Return a moment as feeds write it: UTC (some readers ignore offsets), whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


def channels(entry: Entry, publication: Publication) -> tuple[Channel, ...]:
    """Return the channels an entry belongs to: its own, then those of its secondary topics."""
    found = [publication.channel(entry.channel)]
    for share in entry.topics[1:]:
        found += [one for one in publication.channels if share.code in one.topics][:1]
    return tuple(dict.fromkeys(channel for channel in found if channel is not None))


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{escape(text, quote=False)}</p>" for text in texts)
