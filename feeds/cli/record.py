"""Commands on the record and on files: check, articles, show."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from feeds import app as opened
from feeds import channels, digests, inbox
from feeds.app import App
from feeds.cli.common import (
    SOME_FAILED,
    application,
    emit,
    emit_in_pieces,
    json_option,
    places,
    plural,
    settings,
    stamp,
)
from feeds.config import SeedsSettings
from feeds.digests.lines import Unreadable, lines_of
from feeds.digests.report import as_json as reading_as_json
from feeds.errors import DigestError, UsageError
from feeds.model import Article, Digest, Entry, Outcome, Part, Reading
from feeds.publication import credit, dated
from feeds.text import printable, shorten

_COLOURS = {
    Part.HEADER: "magenta",
    Part.STAMP: "cyan",
    Part.TITLE: "green",
    Part.BODY: None,
    Part.MARKER: "yellow",
    Part.SEPARATOR: "bright_black",
    Part.LEFTOVER: "red",
}


@click.command()
@places
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=Path)
@json_option
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], as_json: bool) -> int:
    """Show how each file is read, line by line. Changes nothing.

    \b
    Examples:
      feeds check seeds/*
      feeds check --json today.txt | jq '.articles[].title'
    """
    found = settings(context)
    zone = ZoneInfo(found.publication.timezone)
    now = opened.clock(os.environ)()
    failed = False
    for file in files:
        digest, reading = _read(file, zone, now, found.seeds)
        failed = failed or reading.outcome is Outcome.QUARANTINE
        if as_json:
            name = os.fsencode(file).decode("utf-8", "backslashreplace")
            emit_in_pieces(reading_as_json(name, reading))
        else:
            _tell_reading(printable(str(file)), digest, reading)
    return SOME_FAILED if failed else 0


@click.command()
@places
@click.option("--channel", metavar="SLUG", help="Only this channel.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N, the newest.")
@json_option
@click.pass_context
def articles(context: click.Context, channel: str | None, limit: int | None, as_json: bool) -> None:
    """List the articles on record, newest first.

    \b
    Examples:
      feeds articles --limit 20
      feeds articles --channel sport --json
    """
    with application(context) as app:
        slugs = [one.slug for one in app.publication.channels]
        if channel is not None and channel not in slugs:
            raise UsageError(f"no channel {channel!r}; there is {', '.join(slugs)}")
        for entry in app.store.entries.newest(limit, channel):
            if as_json:
                emit(_as_json(app, entry))
            else:
                click.echo(_line(app, entry))


@click.command()
@places
@click.argument("entry_id", metavar="ID")
@json_option
@click.pass_context
def show(context: click.Context, entry_id: str, as_json: bool) -> None:
    """Show one article. ID may be cut to its first digits.

    \b
    Examples:
      feeds show 3f2a
      feeds articles --limit 1 --json | jq -r .id | xargs feeds show
    """
    with application(context) as app:
        entry = app.store.entries.find(entry_id)
        if as_json:
            text = {"paragraphs": entry.article.paragraphs, "truncated": entry.article.truncated}
            emit(_as_json(app, entry) | text)
        else:
            click.echo("\n".join(_pages(app, entry)))


COMMANDS = (check, articles, show)


def _read(
    file: Path, zone: ZoneInfo, now: datetime, seeds: SeedsSettings
) -> tuple[Digest | None, Reading]:
    if inbox.left_out(file.name, str(file), seeds.ignore):
        detail = "hidden, unfinished or configured to be ignored: a pass leaves such a name out"
        return None, Reading(Outcome.IGNORE, reason="name", detail=detail)
    try:
        digest = inbox.read(file, now, seeds.max_bytes)
    except DigestError as error:
        return None, Reading(Outcome.QUARANTINE, reason=error.reason, detail=error.detail)
    return digest, digests.read(digest, zone)


def _tell_reading(name: str, digest: Digest | None, reading: Reading) -> None:
    if reading.outcome is not Outcome.ARTICLES:
        colour = "red" if reading.outcome is Outcome.QUARANTINE else "yellow"
        click.secho(f"{name}: {reading.outcome}, {reading.reason}: {reading.detail}", fg=colour)
        for format_name, score in reading.scores:
            click.echo(f"  {format_name}: {score:.0%} of the lines explained")
    else:
        number = len(reading.articles)
        said = f"{plural(number, 'article')}, {reading.format}, {reading.score:.0%}"
        click.secho(f"{name}: {said}", bold=True)
    for warning in reading.warnings:
        click.secho(f"  warning: {warning}", fg="yellow")
    if digest is None or not reading.parts:
        return
    lines = lines_of(digest.data)
    if isinstance(lines, Unreadable):
        return
    width = shutil.get_terminal_size().columns
    for number, (part, line) in enumerate(zip(reading.parts, lines.rows, strict=True), 1):
        shown = printable(line.text)
        room = max(width - 18, 20)
        cut = shown if len(shown) <= room else shown[: room - 1] + "…"
        click.secho(f"{number:5} {part:10} {cut}".rstrip(), fg=_COLOURS[part])


def _as_json(app: App, entry: Entry) -> dict[str, object]:
    article = entry.article
    also = channels.secondary(entry.topics, app.publication.channels)
    return {
        "id": entry.id,
        "uri": entry.uri,
        "title": article.title,
        "channel": entry.channel,
        "channels": [entry.channel, *also],
        "topics": [
            {
                "code": share.code,
                "name": share.name,
                "probability": share.probability,
                "by": share.by,
            }
            for share in entry.topics
        ],
        "uncertain": entry.uncertain,
        "published": stamp(entry.published) if entry.published else None,
        "updated": stamp(entry.updated),
        "date_source": article.date_source.value,
        "between": [stamp(moment) for moment in article.between] if article.between else None,
        "views": article.views,
        "source": article.source,
        "digest": entry.digest,
        "lang": article.lang,
        "url": app.publication.url(entry.path),
    }


def _line(app: App, entry: Entry) -> str:
    day = app.publication.local(entry.best_date)
    mark = " " if entry.published else "?"
    line = f"{entry.id[:8]}  {day:%Y-%m-%d}{mark} {entry.channel:14} {entry.article.title}"
    return shorten(line, shutil.get_terminal_size().columns) if sys.stdout.isatty() else line


def _pages(app: App, entry: Entry) -> Iterator[str]:
    """Yield the lines of an article as `show` prints it."""
    article = entry.article
    width = min(shutil.get_terminal_size().columns, 80)
    yield from textwrap.wrap(article.title, width)
    yield ""
    topics = ", ".join(f"{share.name} {share.probability:.0%}" for share in entry.topics) or "none"
    facts = {
        "id": entry.id,
        "date": dated(app.publication, entry),
        "channel": entry.channel + (" (uncertain)" if entry.uncertain else ""),
        "topics": topics,
        "source": credit(app.publication, entry).names,
        "views": _views(article),
        "photo": article.photo_credit,
        "digest": f"{entry.digest}, line {article.line}",
        "page": app.publication.url(entry.path),
    }
    yield from (f"{name:8} {value}" for name, value in facts.items() if value)
    for paragraph in article.paragraphs:
        yield ""
        yield from textwrap.wrap(paragraph, width)


def _views(article: Article) -> str | None:
    return f"{article.views:,}" if article.views is not None else None
