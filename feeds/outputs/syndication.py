"""Room 6: a feed > Atom 1.0 (RFC 4287) and RSS 2.0 (RSS Advisory Board profile), by feedgen. Pure.

The only module that imports feedgen, and the only one where "channel" may mean what RSS means by it.
A generator for each form, as feedgen's links, summaries and dates can't serve both. What feedgen 1.0
gets wrong is kept away from it or mended by the extension pair below. Content is escaped HTML: its
`CDATA` writes an invalid type (https://github.com/lkiesow/python-feedgen/issues/123).

Render in one thread only: for each RSS date feedgen sets the locale of the whole process, and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feedgen.ext.base import BaseEntryExtension, BaseExtension
from feedgen.feed import FeedGenerator
from feedgen.util import xml_elem

from feeds.model import MEDIATOPIC_SCHEME, Document, Entry, Feed
from feeds.outputs import entries
from feeds.outputs.forms import (
    ATOM,
    HTML,
    ICON_PATH,
    RSS,
    Form,
    Terms,
    feed_title,
    language,
    page_url,
)
from feeds.publication import Publication

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def render(feed: Feed, publication: Publication, terms: Terms) -> Iterator[Document]:
    """Yield a feed as Atom and as RSS, entries in its order.

    Every entry has a summary. A whole article has its content as well; one that the digest cut, or
    whose publisher allows no more, has a summary only. The last paragraph says where it comes from.
    """
    atom = _generator(feed, publication, terms, ATOM)
    rss = _generator(feed, publication, terms, RSS)
    rss.load_extension("dc", atom=False)
    for entry in feed.entries:
        _add_to_atom(atom, entry, feed, publication, terms)
        _add_to_rss(rss, entry, feed, publication, terms)
    yield Document(ATOM.path(feed.channel), ATOM.media_type, atom.atom_str(pretty=True))
    yield Document(RSS.path(feed.channel), RSS.media_type, rss.rss_str(pretty=True))


class _Mend(BaseExtension):  # type: ignore[misc]  # feedgen ships no types
    """Mends a feed: RSS takes the last link of any kind for the home page; this one takes `page`."""

    page = ""

    def extend_rss(self, feed: Any) -> Any:  # noqa: ANN401 -- an element of lxml, which ships no types
        feed[0].find("link").text = self.page
        return feed


class _MendEntry(BaseEntryExtension):  # type: ignore[misc]  # as above
    """Mends an Atom entry: its links lose relation and type, and it can have no language.

    https://github.com/lkiesow/python-feedgen/issues/135. Names are bare: feedgen writes Atom's
    namespace as an attribute, so the tree knows nothing of it.
    """

    via: str | None = None
    lang: str | None = None

    def extend_atom(self, entry: Any) -> Any:  # noqa: ANN401 -- as above
        link = entry.find("link")
        link.set("rel", "alternate")
        link.set("type", HTML)
        if self.via:
            entry.insert(entry.index(link) + 1, xml_elem("link", rel="via", href=self.via))
        if self.lang:
            entry.set(_XML_LANG, self.lang)
        return entry


def _generator(feed: Feed, publication: Publication, terms: Terms, form: Form) -> Any:  # noqa: ANN401 -- feedgen ships no types
    channel = feed.channel
    name = feed_title(channel, publication)
    page = page_url(channel, publication)
    made = FeedGenerator()
    made.register_extension("mend", _Mend, _MendEntry)
    made.mend.page = page
    made.id(f"tag:{terms.authority}:channel/{channel.slug}")
    made.title(name)
    made.subtitle(channel.description or name)
    made.language(language(channel, publication))
    made.author(name=publication.author or publication.title)
    made.updated(entries.utc(feed.updated))  # left out, it would be the time of day
    made.link(href=page, rel="alternate", type=HTML)
    made.link(href=publication.url(form.path(channel)), rel="self", type=form.media_type)
    made.icon(publication.url(ICON_PATH))
    made.generator("feeds")
    return made


def _add_to_atom(
    atom: Any,  # noqa: ANN401 -- as above
    entry: Entry,
    feed: Feed,
    publication: Publication,
    terms: Terms,
) -> None:
    added = _add(atom, entry, publication, terms)
    if entry.published is not None:
        added.published(entries.utc(entry.published))
    if author := entries.author(entry, publication):
        added.author(name=author)
    added.rights(entries.rights(entry, publication))
    added.mend.via = entries.address(entry.article.url)
    added.mend.lang = entries.foreign(entry, language(feed.channel, publication))


def _add_to_rss(
    rss: Any,  # noqa: ANN401 -- as above
    entry: Entry,
    feed: Feed,
    publication: Publication,
    terms: Terms,
) -> None:
    """Add an item. RSS has one date, one without is shown at no time or at any; so `updated` steps in.

    Dublin Core has the rest: an author without an e-mail address, rights, the language of an item.
    """
    added = _add(rss, entry, publication, terms)
    added.pubDate(entries.utc(entry.published or entry.updated))
    added.dc.dc_creator(entries.author(entry, publication))
    added.dc.dc_rights(entries.rights(entry, publication))
    added.dc.dc_language(entries.foreign(entry, language(feed.channel, publication)))


def _add(made: Any, entry: Entry, publication: Publication, terms: Terms) -> Any:  # noqa: ANN401 -- as above
    content = entries.content_html(entry, publication, terms.content)
    summary = entries.summary_html(entry, publication, alone=content is None)
    added = made.add_entry(order="append")  # the default turns the order round
    added.id(entry.uri)  # for RSS a guid with isPermaLink=false
    added.title(entries.title(entry))
    added.updated(entries.utc(entry.updated))
    added.link(href=publication.url(entry.path))
    if summary:
        added.summary(summary, type="html")
    if content is not None:
        added.content(content, type="html")
    for code, name in entries.topics(entry):
        added.category(term=code, scheme=MEDIATOPIC_SCHEME, label=name)
    return added
