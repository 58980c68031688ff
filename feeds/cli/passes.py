"""Commands that do the work: run, send, serve."""

from __future__ import annotations

import urllib.parse
from collections import Counter

import click

from feeds import pipeline
from feeds.app import App
from feeds.cli.common import (
    SOME_FAILED,
    application,
    bar,
    emit,
    json_option,
    places,
    plural,
    settings,
)
from feeds.errors import NotFoundError, UsageError
from feeds.model import edition_path
from feeds.pipeline import Summary
from feeds.store.subscribers import ACTIVE

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NOTHING = "Nothing to deliver"
_KEYS = {
    "digests": ("read", "unchanged", "quarantined", "failed"),
    "articles": ("new", "updated", "unchanged"),
    "documents": ("written", "unchanged", "removed"),
    "editions": ("composed", "skipped"),
    "deliveries": ("written", "sent", "deferred", "failed", "uncertain"),
}


@click.command()
@places
@click.option("--no-send", is_flag=True, help="Compose and publish, but deliver nothing.")
@click.option("--archive", is_flag=True, help="Record and publish what is new; never mail it.")
@json_option
@click.pass_context
def run(context: click.Context, no_send: bool, archive: bool, as_json: bool) -> int:
    """Do one pass: read what is new in seeds/, classify, publish, compose and send.

    \b
    Examples:
      feeds run
      feeds run --archive          file old digests without mailing them
      feeds run --json | jq .articles.new
    """
    with application(context, "run") as app:
        done = pipeline.run(app, send_letters=not no_send, archive=archive, progress=bar)
        if as_json:
            emit(_as_json(done))
        else:
            _tell(app, done)
    return 0 if done.clean else SOME_FAILED


@click.command()
@places
@click.option("--now", is_flag=True, help="Compose an edition first, if something is new.")
@click.option("--to", metavar="ADDRESS", help="Deliver only to this subscriber.")
@click.option("--again", metavar="SLOT", help="Repeat the letters of a slot, as 2026-01-02T0800.")
@click.option("--dry-run", is_flag=True, help="Say what would be delivered, deliver nothing.")
@json_option
@click.pass_context
def send(  # noqa: PLR0913, PLR0917 -- one parameter an option
    context: click.Context,
    now: bool,
    to: str | None,
    again: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Deliver the letters of editions that are open or due.

    \b
    Examples:
      feeds send
      feeds send --now --to you@example.org
      feeds send --again 2026-01-02T0800
    """
    with application(context, "send") as app:
        person = app.store.subscribers.find(to).email if to else None
        slot = _slot(again) if again else None
        if slot and not app.store.editions.find(slot):
            raise NotFoundError("edition", str(again))
        if dry_run:
            _tell_waiting(app, slot, person, now=now, as_json=as_json)
            return 0
        moment = app.now()
        composed = pipeline.compose_at_once(app, moment) if now else Counter[str]()
        slotted = app.store.editions.find(slot) if slot else pipeline.due(app, moment)
        done: Counter[str] = Counter()
        for one in slotted:
            done += pipeline.send(app, one, only=person, again=bool(slot), progress=bar)
        if as_json:
            emit({key: done[key] for key in _KEYS["deliveries"]})
        elif not +done:
            click.echo(_NOTHING)
        else:
            _tell_letters(app, done)
    return SOME_FAILED if composed["failed"] or done["failed"] or done["deferred"] else 0


def _tell_waiting(
    app: App, slot: str | None, person: str | None, *, now: bool, as_json: bool
) -> None:
    """Say what `send` would do, a line an edition, and do nothing."""
    lines: list[tuple[str, dict[str, object]]] = []
    for made in pipeline.fresh(app, app.now()) if now else ():
        articles = plural(len(made.briefs), "article")
        carried = {"edition": made.name, "subject": made.subject, "articles": len(made.briefs)}
        lines.append((f"{made.name}: would carry {articles}: {made.subject}", carried))
    for slotted, people in pipeline.waiting(app, again=slot):
        if letters := sum(person in {None, one.email} for one in people):
            said = f"{slotted.name} {slotted.slot}: {plural(letters, 'letter')} to deliver"
            lines.append(
                (said, {"edition": slotted.name, "slot": slotted.slot, "letters": letters})
            )
    for said, value in lines:
        if as_json:
            emit(value)
        else:
            click.echo(said)
    if not lines and not as_json:
        click.echo(_NOTHING)


@click.command()
@places
@click.option("--host", metavar="ADDRESS", help="Listen on this address. [127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Listen on this port. [8080]")
@click.pass_context
def serve(context: click.Context, host: str | None, port: int | None) -> None:
    """Serve out/ over HTTP on this machine, until Ctrl-C.

    \b
    Examples:
      feeds serve
      feeds serve --port 9000
    """
    from feeds import web  # noqa: PLC0415 -- a door's own server, 0.1 s

    found = settings(context)
    base = urllib.parse.urlsplit(found.publication.base_url)
    local = base.hostname in _LOOPBACK
    host = host or found.web.host or (base.hostname if local else None) or _LOOPBACK[0]
    port = port or found.web.port or (base.port if local else None) or 8080
    if not (found.out_folder / "index.html").exists():
        raise UsageError(f"{found.out_folder} holds nothing to serve yet; `feeds run` fills it")
    shown = f"[{host}]" if ":" in host else host
    with web.listener(host, port) as listener:
        click.echo(f"Serving {found.out_folder} on http://{shown}:{port}/ - Ctrl-C ends", err=True)
        web.run(found.out_folder, listener)


COMMANDS = (run, send, serve)


def _slot(text: str) -> str:
    """Return a slot as on record, `2026-01-02T08:00`, also from its form in paths, `...T0800`."""
    day, mark, time = text.partition("T")
    return f"{day}{mark}{time[:2]}:{time[2:]}" if ":" not in time else text


def _as_json(done: Summary) -> dict[str, object]:
    groups = {name: {key: getattr(done, name)[key] for key in keys} for name, keys in _KEYS.items()}
    return {**groups, "seconds": round(done.seconds, 3)}


def _tell(app: App, done: Summary) -> None:
    """Tell a newcomer what happened, and what to do with it."""
    digests, articles = done.digests, done.articles
    parts = [plural(digests["read"], "digest") + " read"]
    parts += [f"{digests[key]} {key}" for key in _KEYS["digests"][1:] if digests[key]]
    click.echo(f"Digests    {', '.join(parts)}")
    parts = [plural(articles["new"], "new article")]
    parts += [f"{articles[key]} {key}" for key in _KEYS["articles"][1:] if articles[key]]
    click.echo(f"Articles   {', '.join(parts)}")
    written, removed = done.documents["written"], done.documents["removed"]
    click.echo(
        f"Documents  {written} written to {app.out}/" + (f", {removed} removed" if removed else "")
    )
    _tell_letters(app, done.deliveries)
    if done.failures:
        click.echo(f"Failed     {plural(len(done.failures), 'target')}, as said above", err=True)
    if digests["quarantined"]:
        click.echo("           `feeds status` says why a file was quarantined")
    _tell_next(app)


def _tell_letters(app: App, deliveries: Counter[str]) -> None:
    if deliveries["written"]:
        written = plural(deliveries["written"], "letter")
        click.echo(f"Letters    {written} written to {app.outbox}/")
    if failed := deliveries["failed"] + deliveries["deferred"]:
        click.echo(f"Letters    {failed} not delivered, as said above", err=True)


def _tell_next(app: App) -> None:
    """Name one feed to paste into a reader, the letter on the web, and how to receive it."""
    held = app.store.entries.count()
    if not held:
        click.echo(f"\nPut digests into {app.settings.seeds_folder}/ and run again.")
    if not held or not (app.out / "index.html").is_file():
        return
    slug = max(held, key=lambda name: (held[name], name))
    local = urllib.parse.urlsplit(app.publication.base_url).hostname in _LOOPBACK
    click.echo(
        f"\nLook at it    {app.out / 'index.html'}" + ("  (or run: feeds serve)" if local else "")
    )
    click.echo(f"In a reader   {app.publication.url(f'{slug}/atom.xml')}")
    click.echo(f"              {app.publication.url('feeds.opml')}  (all channels)")
    latest = app.store.editions.newest(composed=True, limit=1)
    if latest:
        click.echo(f"The letter    {app.out / edition_path(latest[0].name, latest[0].slot)}")
    if not app.store.subscribers.count().get(ACTIVE):
        click.echo("Receive it    feeds subscribers add you@example.org && feeds run")
