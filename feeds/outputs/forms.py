"""Room 6: what the forms agree on: their names and types, and what a caller asks of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from feeds.model import Channel, Edition, Entry, Feed
from feeds.publication import Publication

FULL = "full"
"""Feeds carry whole articles; any other word means summaries only."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a feed: its name for people, its file in the channel's folder, its media type."""

    name: str
    file: str
    media_type: str

    def path(self, channel: Channel) -> str:
        """Return where a channel's feed in this form stands below `out/`."""
        return f"{channel.slug}/{self.file}"


ATOM = Form("Atom", "atom.xml", "application/atom+xml")
RSS = Form("RSS", "rss.xml", "application/rss+xml")
JSON = Form("JSON Feed", "feed.json", "application/feed+json")
FORMS = (ATOM, RSS, JSON)
"""The forms in the order in which pages offer them: what most readers understand best comes first."""

HTML = "text/html"
OPML = "text/x-opml"
OPML_PATH = "feeds.opml"
ICON_PATH = "icon.svg"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the caller asks of the forms of one feed.

    `authority` is the `domain,date` of ids (RFC 4151, section 2.1) and never follows the base URL.
    `content` is `full` or `summary`. `also` are entries of other channels that have this one under a
    secondary topic: for the page only, as a reader that keeps one entry for each id over all its feeds
    would lose one of the two (https://github.com/newsboat/newsboat/issues/898).
    """

    authority: str
    content: str = FULL
    also: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """All feeds, with their newest entries only; for what covers the whole publication.

    `channels` stand in the publication's order; `listings` repeat the entries of channels, as `all`
    does. `editions` are the latest ones, newest first.
    """

    channels: tuple[Feed, ...]
    listings: tuple[Feed, ...]
    editions: tuple[Edition, ...] = ()

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """All feeds: the channels', then the listings'."""
        return self.channels + self.listings


def page_path(channel: Channel) -> str:
    """Return where a channel's page stands below `out/`."""
    return f"{channel.slug}/index.html"


def page_url(channel: Channel, publication: Publication) -> str:
    """Return the address of a channel's page, as people know it: its folder."""
    return publication.url(f"{channel.slug}/")


def feed_title(channel: Channel, publication: Publication) -> str:
    """Return a feed's title; it stands among other publications' feeds in a reader."""
    return f"{channel.title} – {publication.title}"  # noqa: RUF001 -- a dash is meant


def language(channel: Channel, publication: Publication) -> str:
    """Return the language of a channel's documents (RFC 5646)."""
    return channel.language or publication.language
