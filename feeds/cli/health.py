"""Commands on the installation: status, config."""

from __future__ import annotations

from datetime import timedelta

import click

from feeds import config as configuration
from feeds import pipeline
from feeds.app import App
from feeds.cli.common import FAILED, application, emit, json_option, places, plural, settings, stamp
from feeds.store.subscribers import ACTIVE


@click.command()
@places
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> int:
    """Tell how things stand: what is on record, what could not be read, what comes next."""
    with application(context) as app:
        checks = _checks(app)
        ok = all(check["ok"] for check in checks)
        found = {"ok": ok, "checks": checks, **_counts(app), "next": _next(app)}
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


def _checks(app: App) -> list[dict[str, object]]:
    """Return what was looked at, whether it is well, and what to do when it isn't."""
    seeds, index = app.settings.seeds_folder, app.out / "index.html"
    return [
        _check("record", ok=True, detail=f"{app.settings.state_folder / 'feeds.db'} opens"),
        _check("seeds", ok=seeds.is_dir(), detail=f"{seeds}/", advice="make it, or name another"),
        _check("out", ok=index.is_file(), detail=str(index), advice="`feeds run` writes it"),
    ]


def _check(name: str, *, ok: bool, detail: str, advice: str = "") -> dict[str, object]:
    return {"name": name, "ok": ok, "detail": detail if ok else f"{detail} is missing; {advice}"}


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
        "deliveries": app.store.editions.count_deliveries(),
    }


def _next(app: App) -> list[dict[str, object]]:
    coming = pipeline.upcoming(app, app.now())
    return [{"edition": name, "slot": slot.text, "at": stamp(slot.fires)} for name, slot in coming]


def _tell(app: App, checks: list[dict[str, object]]) -> None:
    for check in checks:
        click.secho(
            f"{'ok' if check['ok'] else 'FAILED':7} {check['name']:8} {check['detail']}",
            fg=None if check["ok"] else "red",
        )
    click.echo(
        f"\nOn record: {plural(sum(app.store.entries.count().values()), 'article')} of "
        f"{plural(app.store.digests.count().get('articles', 0), 'digest')}, "
        f"{plural(app.store.subscribers.count().get(ACTIVE, 0), 'active subscriber')}"
    )
    deliveries = {
        state: number for state, number in app.store.editions.count_deliveries().items() if number
    }
    if deliveries:
        click.echo("Letters:   " + ", ".join(f"{n:,} {state}" for state, n in deliveries.items()))
    for one in app.store.digests.quarantined():
        click.secho(f"Quarantine {one.file}: {one.reason}: {one.detail}", fg="yellow")
    for name, slot in pipeline.upcoming(app, app.now()):
        click.echo(f"Next:      edition {name} at {slot.text}")


def _plain(value: object) -> object:
    """Return a setting in types of JSON; durations in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return str(value) if not isinstance(value, tuple) else ", ".join(map(str, value)) or "-"
