"""What pages, feeds and letters share: names, addresses, dates for people, the Jinja environment. Pure.

Jinja2 is imported when something is rendered, not before: a pass with nothing new must start fast
(saves 0.05 s).
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from feeds.errors import TemplateError
from feeds.model import Channel, Entry, Source

if TYPE_CHECKING:
    from jinja2 import Environment

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Publication:
    """The publication as its readers know it.

    `base_url` is the address of `out/` and ends in a slash. `templates` are the folders that hold
    templates, the first that has one wins. `channels` stand in the order of index, OPML and letter.
    """

    title: str
    description: str
    language: str
    timezone: str
    author: str | None
    base_url: str
    templates: tuple[str, ...]
    channels: tuple[Channel, ...]
    sources: tuple[Source, ...] = ()

    def url(self, path: str) -> str:
        """Return the absolute address of a document below `out/`."""
        return urllib.parse.urljoin(self.base_url, urllib.parse.quote(path))

    def local(self, moment: datetime) -> datetime:
        """Return `moment` in the publication's zone."""
        return moment.astimezone(ZoneInfo(self.timezone))

    def day(self, moment: datetime) -> str:
        """Return the day of `moment` in the publication's zone, as `1 January 2026`."""
        local = self.local(moment)
        return f"{local.day} {MONTHS[local.month - 1]} {local.year}"

    def source(self, entry: Entry) -> Source | None:
        """Return the configured publisher of an entry: that on record, else that of its digest."""
        if entry.publisher is None:
            matching = (source for source in self.sources if source.publishes(entry.digest))
        else:
            matching = (source for source in self.sources if source.name == entry.publisher)
        return next(matching, None)

    def publisher(self, entry: Entry) -> str | None:
        """Return the name of an entry's publisher, also when it is configured no more."""
        source = self.source(entry)
        return source.name if source else entry.publisher

    def channel(self, slug: str) -> Channel | None:
        """Return the channel of that slug, if the publication has it."""
        return next((channel for channel in self.channels if channel.slug == slug), None)


UNNAMED = "not named"
"""What stands for a source when neither the digest nor the configuration names one."""


@dataclass(frozen=True, slots=True)
class Credit:
    """Where an entry comes from: the line every form ends with, and an address when one is known.

    `names` may be `UNNAMED`.
    """

    names: str
    date: str
    url: str | None

    @property
    def text(self) -> str:
        """The whole line, as `Source: Qazinform, 1 January 2026`."""
        return f"Source: {self.names}, {self.date}"


def credit(publication: Publication, entry: Entry) -> Credit:
    """Return the source line of an entry: the agency it cites and its publisher, and its date.

    The address is the article's own, else the publisher's search for the title, else its home. None
    is ever made up.
    """
    source = publication.source(entry)
    publisher = publication.publisher(entry)
    names = dict.fromkeys(name for name in (entry.article.source, publisher) if name)
    address = entry.article.url
    if address is None and source is not None:
        address = source.home
        if source.search:
            title = urllib.parse.quote(entry.article.title, safe="")
            address = source.search.replace("{title}", title)
    date = publication.day(entry.best_date)
    if entry.published is None:
        date = f"received {date}"
    return Credit(", ".join(names) or UNNAMED, date, address)


def dated(publication: Publication, entry: Entry) -> str:
    """Return an entry's date for people: `1 January 2026`, else `Undated; received 2 May 2026`."""
    if entry.published is not None:
        return publication.day(entry.published)
    return f"Undated; received {publication.day(entry.first_seen)}"


def render(publication: Publication, template: str, context: Mapping[str, object]) -> str:
    """Render a template with `publication` and `context`; text is escaped unless marked safe.

    Raises:
        TemplateError: the template is missing, broken, or uses a name that it isn't given.
    """
    import jinja2  # noqa: PLC0415 -- only when something is rendered; see the module's docstring

    try:
        page = environment(publication.templates).get_template(template)
        return page.render(context, publication=publication)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(error.name or template, error.lineno, error.message or "") from error
    except jinja2.TemplateNotFound as error:
        raise TemplateError(template, None, f"no template {error.name!r}") from error
    except jinja2.TemplateError as error:
        raise TemplateError(template, None, error.message or type(error).__name__) from error


@cache
def environment(folders: tuple[str, ...]) -> Environment:
    """Return the Jinja environment over `folders`: autoescape on, undefined names are errors."""
    import jinja2  # noqa: PLC0415 -- as above

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        # Neither Jinja's default (off) nor select_autoescape (by suffix) is safe for letters in .txt
        # beside pages in .html: everything is escaped but templates that end in .txt.
        autoescape=lambda name: not (name or "").endswith(".txt"),  # noqa: S701 -- as said above
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
