"""Commands on the installation: status, config."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

import click

from feeds import config as configuration
from feeds import pipeline
from feeds.app import App
from feeds.cli.common import FAILED, application, emit, json_option, places, plural, settings, stamp
from feeds.pipeline import health
from feeds.pipeline.health import Check
from feeds.store.subscribers import ACTIVE


@click.command()
@places
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> int:
    """Tell how things stand.

    What is on record, what could not be read, what is wrong, what comes next.
    """
    with application(context) as app:
        checks = health.checks(app, app.now())
        ok = all(check.ok for check in checks)
        found = {
            "ok": ok,
            "checks": [asdict(check) for check in checks],
            **_counts(app),
            "next": _next(app),
        }
        if as_json:
            emit(found)
        else:
            _tell(app, checks)
    return 0 if ok else FAILED


@click.command()
@places
@json_option
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Print the effective settings and where each was set."""
    for row in configuration.rows(settings(context)):
        if as_json:
            about = {"source": row.source, "about": row.about}
            emit({"key": row.key, "value": _plain(row.value)} | about)
        else:
            click.echo(f"{row.key:28} {_shown(row.value):34} {row.source}")


COMMANDS = (status, config)


def _counts(app: App) -> dict[str, object]:
    return {
        "digests": app.store.digests.count().get("articles", 0),
        "quarantine": [
            {
                "file": one.file,
                "sha256": one.sha256,
                "reason": one.reason,
                "detail": one.detail,
                "first_seen": stamp(one.first_seen),
            }
            for one in app.store.digests.quarantined()
        ],
        "articles": sum(app.store.entries.count().values()),
        "channels": len(app.publication.channels),
        "subscribers": app.store.subscribers.count().get(ACTIVE, 0),
        "editions": sum(
            number for state, number in app.store.editions.count().items() if state != "skipped"
        ),
        "deliveries": app.store.deliveries.count(),
    }


def _next(app: App) -> list[dict[str, object]]:
    return [
        {"what": one.what, "edition": one.edition, "slot": one.slot, "at": stamp(one.at)}
        for one in pipeline.coming(app, app.now())
    ]


def tell_check(check: Check) -> None:
    """Print a check in a line, and what mends it in another."""
    colour = None if check.ok else "red"
    head = f"{'ok' if check.ok else 'FAILED':7} {check.name:9} "
    click.secho(_wrapped(head, check.detail), fg=colour)
    if check.advice:
        click.echo(_wrapped(" " * len(head), check.advice))


def _wrapped(head: str, text: str) -> str:
    """Return a text after a head, broken to the width of a terminal, but never within a command."""
    if not sys.stdout.isatty():
        return head + text  # a line a check, for grep
    parts = text.split("`")
    parts[1::2] = [part.replace(" ", "\0") for part in parts[1::2]]
    lines = textwrap.wrap(
        "`".join(parts),
        width=shutil.get_terminal_size().columns,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\0", " ")


def _tell(app: App, checks: Sequence[Check]) -> None:
    for check in checks:
        tell_check(check)
    click.echo(
        f"\nOn record:   {plural(sum(app.store.entries.count().values()), 'article')} of "
        f"{plural(app.store.digests.count().get('articles', 0), 'digest')}"
    )
    _tell_people(app)
    for one in app.store.digests.quarantined():
        click.secho(f"Quarantine:  {one.file}: {one.reason}: {one.detail}", fg="yellow")
    for coming in pipeline.coming(app, app.now()):
        click.echo(f"Next:        {coming.what} at {coming.slot}")


def _tell_people(app: App) -> None:
    """Print how many subscribers and letters there are, by state."""
    people = app.store.subscribers.count()
    said = ", ".join(f"{number:,} {state}" for state, number in people.items() if number)
    click.echo(f"Subscribers: {said or 'none yet'}")
    letters = app.store.deliveries.count()
    if said := ", ".join(f"{number:,} {state}" for state, number in letters.items() if number):
        click.echo(f"Letters:     {said}")


def _plain(value: object) -> object:
    """Return a setting in types of JSON; durations in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return str(value) if not isinstance(value, tuple) else ", ".join(map(str, value)) or "-"
