"""Room 6: a feed > documents, one module for each form. Pure: no clock, no files.

In: a feed, an entry, an edition or an overview of all feeds, and the publication. Out: documents, which
`publish` puts below `out/`. Same values, same bytes.

A module of `FORMATS` has `render(feed, publication, terms)`, one of `CATALOGUES` has
`catalogue(overview, publication)`; both yield documents. Imported only when something is rendered:
feedgen and Jinja2 take 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from feeds.model import Document, Edition, Entry, Feed
from feeds.outputs import jsonfeed, opml, page, syndication
from feeds.outputs.forms import FULL, Overview, Terms
from feeds.publication import Publication

__all__ = ["CATALOGUES", "FORMATS", "HEADLINES", "article", "catalogues", "edition", "render"]

HEADLINES = 3
"""How many entries of each channel an overview needs."""


class Format(Protocol):
    """A form of one channel."""

    def render(self, feed: Feed, publication: Publication, terms: Terms) -> Iterator[Document]:
        """Yield the documents of a feed."""
        ...


class Catalogue(Protocol):
    """A form of all channels together."""

    def catalogue(self, overview: Overview, publication: Publication) -> Iterator[Document]:
        """Yield the documents of an overview."""
        ...


FORMATS: tuple[Format, ...] = (syndication, jsonfeed, page)
CATALOGUES: tuple[Catalogue, ...] = (opml, page)


def render(
    feed: Feed,
    publication: Publication,
    authority: str,
    content: str = FULL,
    also: Sequence[Entry] = (),
) -> Iterator[Document]:
    """Yield all forms of one channel: Atom, RSS, JSON Feed and its page.

    `authority` is the `domain,date` of the feed's id, a `tag:` URI (RFC 4151). `content`, `full` or
    `summary`, is how much of an article its feeds carry; the page has summaries. `also` are entries of
    other channels that have this one under a secondary topic; only the page shows them.

    Raises:
        TemplateError: the page can't be rendered.
    """
    terms = Terms(authority, content, tuple(also))
    for form in FORMATS:
        yield from form.render(feed, publication, terms)


def catalogues(
    feeds: Sequence[Feed],
    publication: Publication,
    editions: Sequence[Edition] = (),
) -> Iterator[Document]:
    """Yield what covers all channels: OPML, the index page, the style sheet and the icon.

    `feeds` hold the newest entries, `HEADLINES` of each are shown; those of no channel of the
    publication are listings, such as `all`. `editions` are the latest, newest first.

    Raises:
        TemplateError: a page can't be rendered.
    """
    own = {channel.slug for channel in publication.channels}
    overview = Overview(
        tuple(feed for feed in feeds if feed.channel.slug in own),
        tuple(feed for feed in feeds if feed.channel.slug not in own),
        tuple(editions),
    )
    for catalogue in CATALOGUES:
        yield from catalogue.catalogue(overview, publication)


def article(entry: Entry, publication: Publication) -> Document:
    """Return an entry's page, to which the feeds link.

    It shows all that the digest held of the article, unless the publisher allows a summary only.

    Raises:
        TemplateError: the page can't be rendered.
    """
    return page.article(entry, publication)


def edition(edition: Edition, publication: Publication, say: page.Words | None = None) -> Document:
    """Return an edition's page: every article of it, the same for all readers.

    `say` gives the words of the page's language, English when it is left out.

    Raises:
        TemplateError: the page can't be rendered.
    """
    return page.edition(edition, publication, say)
