"""Room 6: feeds, entries and editions > pages in HTML, by Jinja2. Pure.

What a page says is put into words here; the templates only place it. Pages link to each other
relatively, so that they work opened as files; `root` leads from a page to `out/`. No script, nothing
from elsewhere. Pages ask not to be indexed until the source of all they show is configured as indexed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Protocol

from feeds.model import ALL, Brief, Channel, Document, Edition, Entry, Feed, Precision, newest_first
from feeds.outputs import entries
from feeds.outputs.forms import (
    FORMS,
    FULL,
    HTML,
    ICON_PATH,
    Form,
    Overview,
    Terms,
    feed_title,
    language,
    page_path,
)
from feeds.publication import MONTHS, UNNAMED, Publication, dated
from feeds.publication import render as fill

INDEX_PATH = "index.html"
STYLE_PATH = "style.css"

_PARAGRAPHS = re.compile(r"\n\s*\n")


class Words(Protocol):
    """What an edition's page says, in one language: the words of letters, handed in by the corridor."""

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of a key; `n` chooses its form."""
        ...

    def date(self, day: date | str) -> str:
        """Return a day for people, also one that stands frozen in English words."""
        ...

    def edition(self, name: str) -> str:
        """Return how an edition is called in a sentence."""
        ...

    def channel(self, slug: str, title: str) -> str:
        """Return the title of a channel."""
        ...


_ENGLISH: Mapping[str, str] = {
    "archive": "From the archive",
    "note": "From the editor",
    "corrections": "Corrections",
    "changed": "Earlier editions carried these articles; they have changed since.",
    "corrected": "Corrected on {date}",
    "withdrawn": "Withdrawn on {date}",
    "undated": "Undated; {date}",
    "nothing": "Nothing new since the last edition.",
    "articles": "{n} articles",
    "articles 1": "{n} article",
    "filed": "{n} older articles were filed on the web and are not in this edition.",
    "filed 1": "{n} older article was filed on the web and is not in this edition.",
}


class English:
    """What an edition's page says when the corridor hands in no words."""

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence of a key; `n` chooses its form."""
        one = _ENGLISH.get(f"{key} {values.get('n')}")
        return (one or _ENGLISH[key]).format(**values)

    def date(self, day: date | str) -> str:
        """Return a day as `2 January 2026`; text as it is."""
        return day if isinstance(day, str) else f"{day.day} {MONTHS[day.month - 1]} {day.year}"

    def edition(self, name: str) -> str:
        """Return how an edition is called in a sentence, as `daily edition`."""
        return f"{name.replace('-', ' ')} edition"

    def channel(self, slug: str, title: str) -> str:  # noqa: ARG002 -- see `Words`
        """Return the title of a channel as it is."""
        return title


@dataclass(frozen=True, slots=True)
class Teaser:
    """An entry as pages list it. `date` is for people, `moment` for programs, if the date is known.

    `channels` are those it belongs to, but for the one whose page this is.
    """

    path: str
    title: str
    summary: str
    date: str
    moment: str | None
    source: str | None
    lang: str | None
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A feed as a page offers it: where it stands below `out/`, and the address to copy."""

    form: Form
    title: str
    path: str
    url: str


@dataclass(frozen=True, slots=True)
class Block:
    """A channel on the index or in an edition, with what is listed there."""

    slug: str
    title: str
    teasers: tuple[Teaser, ...]


def render(feed: Feed, publication: Publication, terms: Terms) -> Iterator[Document]:
    """Yield a channel's page: its entries in the feed's order, then those of `also`, newest first."""
    channel = feed.channel
    own = {entry.id for entry in feed.entries}
    also = [entry for entry in sorted(terms.also, key=newest_first) if entry.id not in own]
    tease = partial(_teaser, channel=channel, publication=publication)
    yield _page(
        "channel.html",
        page_path(channel),
        publication,
        subscriptions=_subscriptions((channel, ALL), publication),
        indexed=_indexed((*feed.entries, *also), publication),
        channel=channel,
        offers=_subscriptions((channel,), publication),
        teasers=[tease(entry) for entry in feed.entries],
        also=[tease(entry) for entry in also],
        lang=language(channel, publication),
    )


def catalogue(overview: Overview, publication: Publication) -> Iterator[Document]:
    """Yield the index page, the style sheet and the icon."""
    shown = [entry for feed in overview.feeds for entry in feed.entries]
    newest = max(shown, key=lambda entry: entry.best_date, default=None)
    lead = [
        _teaser(entry, ALL, publication) for feed in overview.listings for entry in feed.entries
    ]
    yield _page(
        "index.html",
        INDEX_PATH,
        publication,
        subscriptions=_subscriptions((ALL,), publication)
        + tuple(_subscription(feed.channel, FORMS[0], publication) for feed in overview.channels),
        indexed=_indexed(shown, publication),
        newest=publication.day(newest.best_date) if newest else None,
        lead=lead,
        blocks=[_block(feed, publication) for feed in overview.channels if feed.entries],
        quiet=[feed.channel for feed in overview.channels if not feed.entries],
        listings=[feed.channel for feed in overview.listings],
        editions=[(one.path, _edition_title(one)) for one in overview.editions],
    )
    for path, kind in ((STYLE_PATH, "text/css"), (ICON_PATH, "image/svg+xml")):
        yield Document(path, kind, fill(publication, path, {}).encode())


def article(entry: Entry, publication: Publication) -> Document:
    """Return the page of an entry, with all that may be shown of it."""
    publisher = publication.source(entry)
    whole = publisher is None or publisher.content == FULL
    belongs = entries.channels(entry, publication)
    return _page(
        "article.html",
        entry.path,
        publication,
        subscriptions=_subscriptions((*belongs[:1], ALL), publication),
        indexed=_indexed((entry,), publication),
        entry=entry,
        teaser=_teaser(entry, None, publication),
        paragraphs=entries.body(entry) if whole else (entries.summary(entry),),
        shortened=not whole,
        source=entries.source(entry, publication),
        rights=entries.rights(entry, publication),
        topics=[_topic(code, name, entry, publication) for code, name in entries.topics(entry)],
        viewed=publication.day(entry.views_at) if entry.views_at else None,
        permalink=publication.url(entry.path),
    )


def edition(edition: Edition, publication: Publication, say: Words | None = None) -> Document:
    """Return the page of an edition: its lead, then the others by channel; nothing of a subscriber.

    `say` has the words of the publication's language; without it they are English.
    """
    say = say or English()
    lead = next((brief for brief in edition.briefs if brief.entry == edition.lead), None)
    blocks = [
        Block(
            slug,
            say.channel(slug, title),
            tuple(
                _briefly(brief, publication, say)
                for brief in _together(edition.briefs)
                if brief.channel == slug and brief is not lead
            ),
        )
        for slug, title in edition.channels
    ]
    slot = datetime.fromisoformat(edition.slot)
    name, day = _capital(say.edition(edition.name)), say.date(slot.date())
    return _page(
        "edition.html",
        edition.path,
        publication,
        subscriptions=_subscriptions((ALL,), publication),
        indexed=False,  # a brief doesn't say who published it
        edition=edition,
        say=say,
        heading=f"{name}, {day}, {slot:%H:%M}",
        name=name,
        day=day,
        time=f"{slot:%H:%M}",
        note=[one.strip() for one in _PARAGRAPHS.split(edition.note) if one.strip()],
        lead=_briefly(lead, publication, say, own=True) if lead else None,
        blocks=[block for block in blocks if block.teasers],
    )


def _page(
    template: str,
    path: str,
    publication: Publication,
    *,
    subscriptions: Sequence[Subscription],
    indexed: bool,
    **told: object,
) -> Document:
    """Fill a template. `subscriptions` are those a reader finds by itself, the page's own first."""
    shared = {
        "root": "../" * path.count("/"),
        "canonical": publication.url(path.removesuffix(INDEX_PATH)),
        "subscriptions": subscriptions,
        "indexed": indexed,
        "all": ALL,
        "lang": publication.language,
    }
    return Document(path, HTML, fill(publication, template, shared | told).encode())


def _subscriptions(
    channels: Sequence[Channel], publication: Publication
) -> tuple[Subscription, ...]:
    """Return the feeds of channels in all forms, each once."""
    return tuple(
        _subscription(channel, form, publication)
        for channel in {channel.slug: channel for channel in channels}.values()
        for form in FORMS
    )


def _subscription(channel: Channel, form: Form, publication: Publication) -> Subscription:
    path = form.path(channel)
    return Subscription(form, feed_title(channel, publication), path, publication.url(path))


def _teaser(entry: Entry, channel: Channel | None, publication: Publication) -> Teaser:
    belongs = entries.channels(entry, publication)
    return Teaser(
        path=entry.path,
        title=entry.article.title or entries.title(entry),
        summary=entries.summary(entry),
        date=_date(entry, publication),
        moment=_moment(entry, publication),
        source=_named(entries.source(entry, publication).names),
        lang=entries.foreign(entry, language(channel or ALL, publication)),
        channels=tuple(one for one in belongs if channel is None or one.slug != channel.slug),
    )


def _together(briefs: Sequence[Brief]) -> list[Brief]:
    """Return the briefs in their order, but those of one story side by side."""
    places: dict[str, int] = {}
    for at, brief in enumerate(briefs):
        places.setdefault(brief.story or brief.entry, at)
    return sorted(briefs, key=lambda brief: places[brief.story or brief.entry])


def _briefly(brief: Brief, publication: Publication, say: Words, *, own: bool = False) -> Teaser:
    """Return a brief as it was frozen, with its date in words; `own` names its own channel, too."""
    slugs = (brief.channel, *brief.also) if own else brief.also
    also = (publication.channel(slug) for slug in slugs)
    day = say.date(brief.date)
    return Teaser(
        path=brief.path,
        title=brief.title,
        summary=brief.summary,
        date=day if brief.dated else say("undated", date=day),
        moment=None,
        source=_named(brief.credit),
        lang=brief.lang if brief.lang != publication.language else None,
        channels=tuple(
            replace(channel, title=say.channel(channel.slug, channel.title))
            for channel in also
            if channel is not None
        ),
    )


def _date(entry: Entry, publication: Publication) -> str:
    """Return an entry's date, with the time of day when the digest gave one."""
    text = dated(publication, entry)
    if entry.published is not None and entry.article.precision is Precision.MINUTE:
        return f"{text}, {publication.local(entry.published):%H:%M}"
    return text


def _moment(entry: Entry, publication: Publication) -> str | None:
    """Return an entry's date as HTML's `time` takes it, as precise as the digest gave it."""
    if entry.published is None:
        return None
    local = publication.local(entry.published)
    if entry.article.precision is Precision.MINUTE:
        return local.isoformat(timespec="minutes")
    return local.date().isoformat()


def _named(names: str) -> str | None:
    """Return a source's names for a list, which need not say that there is none."""
    return None if names == UNNAMED else names


def _topic(
    code: str, name: str, entry: Entry, publication: Publication
) -> tuple[str, Channel | None]:
    """Return a topic's name and the channel that has it; the primary's is the entry's own."""
    if code == entries.topics(entry)[0][0]:
        return name, publication.channel(entry.channel)
    medtop = f"medtop:{code}"
    return name, next((one for one in publication.channels if medtop in one.topics), None)


def _block(feed: Feed, publication: Publication) -> Block:
    channel = feed.channel
    teasers = tuple(_teaser(entry, channel, publication) for entry in feed.entries)
    return Block(channel.slug, channel.title, teasers)


def _edition_title(edition: Edition) -> str:
    """Return an edition's title, as `Daily edition, 2 January 2026, 08:00`."""
    slot = datetime.fromisoformat(edition.slot)
    say = English()
    return f"{_capital(say.edition(edition.name))}, {say.date(slot)}, {slot:%H:%M}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _indexed(shown: Sequence[Entry], publication: Publication) -> bool:
    """Whether search engines may take a page that shows these entries."""
    sources = [publication.source(entry) for entry in shown]
    return bool(sources) and all(source is not None and source.indexed for source in sources)
