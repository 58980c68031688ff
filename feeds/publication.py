"""What pages, feeds and letters share: names, addresses, dates for people, the Jinja environment. Pure.

Jinja2 is imported when something is rendered, not before: a pass with nothing new must start fast
(saves 0.05 s).
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from feeds.errors import TemplateError
from feeds.model import Channel, Entry, Source

if TYPE_CHECKING:
    from jinja2 import Environment, FileSystemLoader
    from jinja2.runtime import Context

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip

_MOST_STEPS = 100_000
"""Turns of loops in one rendering where a template of a user's own may be met, at most."""

_MOST_MADE = 1_000_000  # characters or members that `*` makes there, at most

_BASE, _POWER = 1000, 10  # at most, of a power there

_MOST_TEXT = 16_000_000
"""Characters of what one template of a user's own gives, at most: the page of a year is below 1 MB."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The publication as its readers know it.

    `base_url` is the address of `out/` and ends in a slash. `templates` are the folders that hold
    templates, the first that has one wins. `channels` stand in the order of index, OPML and letter.
    `subscribe` is the address where people sign up for letters, if there is one.
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
    subscribe: str | None = None

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

    Where a folder comes before the shipped one, everything is rendered in a sandbox: a shipped template
    may include what the user put in its place.

    Raises:
        TemplateError: the template is missing or broken, uses a name that it isn't given, or does what
            a sandbox forbids; with the file, and the line where one is to blame.
    """
    import jinja2  # noqa: PLC0415 -- only when something is rendered; see the module's docstring

    place = environment(publication.templates)
    if len(publication.templates) > 1:
        place.steps = 0  # type: ignore[attr-defined]  # of a sandbox
    try:
        made = place.get_template(template)
        return "".join(_bounded(made.generate(context, publication=publication), publication))
    except jinja2.TemplateSyntaxError as error:
        name = error.filename or error.name or template
        raise TemplateError(name, error.lineno, error.message or "") from error
    except jinja2.TemplateNotFound as error:
        name, line = _place(error, publication, template)
        raise TemplateError(name, line, f"no template {error.name!r}") from error
    except (
        Exception
    ) as error:  # whatever a template does is its own fault: a sum of text and number
        name, line = _place(error, publication, template)
        reason = "" if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: "
        raise TemplateError(name, line, f"{reason}{error}") from error


def shipped(publication: Publication, template: str) -> bool:
    """Return whether a template is the shipped one, not one that the user put in its place.

    What counts is its text: in a checkout of the sources `templates/` is a plain copy.

    Raises:
        TemplateError: there is none, or it is no text.
    """
    found = _source(publication.templates, template)
    if found is None:
        raise TemplateError(template, None, f"no template {template!r}")
    return found == _source(publication.templates[-1:], template)


def _source(folders: tuple[str, ...], template: str) -> str | None:
    """Return the text of the template that counts in these folders, None where there is none."""
    import jinja2  # noqa: PLC0415 -- as above

    try:
        return _loader(folders).get_source(environment(folders), template)[0]
    except jinja2.TemplateNotFound:
        return None
    except UnicodeDecodeError as error:
        raise TemplateError(template, None, f"no text: {error.reason}") from error


def _bounded(pieces: Iterable[str], publication: Publication) -> Iterable[str]:
    """Yield what a template gives, up to `_MOST_TEXT` characters where the user has a hand in it."""
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > _MOST_TEXT and len(publication.templates) > 1:
            raise OverflowError(f"more than {_MOST_TEXT} characters")
        yield piece


def _place(error: BaseException, publication: Publication, name: str) -> tuple[str, int | None]:
    """Return the file and the line of a template where an error arose, if its traceback says so."""
    place: tuple[str, int | None] = (name, None)
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.startswith(publication.templates):
            place = (file, trace.tb_lineno)
        trace = trace.tb_next
    return place


@cache
def environment(folders: tuple[str, ...]) -> Environment:
    """Return the Jinja environment over `folders`: autoescape on, undefined names are errors.

    It is a sandbox when there is more than the shipped folder, which is the last.
    """
    import jinja2  # noqa: PLC0415 -- as above

    kind = _sandbox() if len(folders) > 1 else jinja2.Environment
    made = kind(
        loader=_loader(folders),
        # Neither Jinja's default (off) nor select_autoescape (by suffix) is safe for letters in .txt
        # beside pages in .html: everything is escaped but templates that end in .txt.
        autoescape=lambda name: not (name or "").endswith(".txt"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals.pop("lipsum", None)  # as much text as it is asked for, in one call
    return made


def _loader(folders: tuple[str, ...]) -> FileSystemLoader:
    """Return what finds templates; one that comes to stand before another is met at once.

    Jinja itself looks only whether the file that it once read has changed.
    """
    import jinja2  # noqa: PLC0415 -- as above

    class Loader(jinja2.FileSystemLoader):
        def get_source(
            self, environment: Environment, template: str
        ) -> tuple[str, str, Callable[[], bool]]:
            source, name, same = super().get_source(environment, template)

            def current() -> bool:
                return same() and super(Loader, self).get_source(environment, template)[1] == name

            return source, name, current

    return Loader(folders) if len(folders) > 1 else jinja2.FileSystemLoader(folders)


def _sandbox() -> type[Environment]:
    """Return the kind of environment in which a template reaches nothing but what it is given.

    Beyond what Jinja's own sandbox forbids, work is bounded: turns of loops and calls of macros are
    counted, and `*` and `**` make nothing large. It is no wall against one who is bent on filling the
    memory step by step; templates stand in the operator's own folder.
    """
    from jinja2 import nodes, sandbox  # noqa: PLC0415 -- as above

    class Sandbox(sandbox.SandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**"})
        steps = 0

        def count(self) -> None:
            self.steps += 1
            if self.steps > _MOST_STEPS:
                raise OverflowError(f"more than {_MOST_STEPS} turns of loops")

        def call_binop(
            self, context: Context, operator: str, left: object, right: object
        ) -> object:
            if _large(operator, left, right):
                raise OverflowError(f"{operator} makes too much")
            return super().call_binop(context, operator, left, right)

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            tree = super()._parse(source, name, filename)
            turning: list[nodes.For | nodes.Macro] = [
                *tree.find_all(nodes.For),
                *tree.find_all(nodes.Macro),
            ]
            for node in turning:
                count = nodes.Call(nodes.EnvironmentAttribute("count"), [], [], None, None)
                node.body.insert(0, nodes.ExprStmt(count, lineno=node.lineno))
            return tree

    return Sandbox


def _large(operator: str, left: object, right: object) -> bool:
    """Whether `*` or `**` would make a value that is too large."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Sized) and isinstance(other, int):
            return len(one) * other > _MOST_MADE
    if operator == "**" and isinstance(left, int | float) and isinstance(right, int | float):
        return abs(left) > _BASE or abs(right) > _POWER
    return operator == "**"
