"""Commands that do the work once: run, send."""

from __future__ import annotations

import urllib.parse
from collections import Counter

import click

from feeds import pipeline
from feeds.app import App
from feeds.cli.common import (
    LOOPBACK,
    SOME_FAILED,
    application,
    bar,
    emit,
    json_option,
    places,
    plural,
)
from feeds.errors import LockError, NotFoundError, UsageError
from feeds.model import edition_path
from feeds.pipeline import Summary, upkeep
from feeds.store.subscribers import ACTIVE

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
@click.option("--sweep", is_flag=True, help="First do what feeds watch does at night (see below).")
@json_option
@click.pass_context
def run(context: click.Context, no_send: bool, archive: bool, sweep: bool, as_json: bool) -> int:
    """Do one pass over what is new in seeds/.

    Reads, classifies, publishes, composes and sends.

    With --sweep every document and every digest is held against the record first: what was lost or
    changed is made or read again, and what is older than [retention] says goes.

    \b
    Examples:
      feeds run
      feeds run --archive          file old digests without mailing them
      feeds run --json | jq .articles.new
    """
    with application(context, "run") as app:
        if sweep:
            _sweep(app)
        done = pipeline.run(app, send_letters=not no_send, archive=archive, progress=bar)
        if as_json:
            emit(_as_json(done))
        else:
            _tell(app, done)
        if not (no_send or archive):
            _tell_held(app)
    return 0 if done.clean else SOME_FAILED


@click.command()
@places
@click.option("--now", is_flag=True, help="Compose an edition first, if something is new.")
@click.option("--to", metavar="ADDRESS", help="Deliver only to this subscriber.")
@click.option("--again", metavar="SLOT", help="Repeat the letters of a slot, as 2026-01-02T0800.")
@click.option("--release", is_flag=True, help="Lift the stop after a restore, then deliver.")
@click.option("--dry-run", is_flag=True, help="Say what would be delivered, deliver nothing.")
@json_option
@click.pass_context
def send(  # noqa: PLR0913, PLR0917 -- one parameter an option
    context: click.Context,
    now: bool,
    to: str | None,
    again: str | None,
    release: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Deliver the letters of editions that are open or due.

    After a restore nothing is delivered until --release: look with --release --dry-run before.

    \b
    Examples:
      feeds send
      feeds send --now --to you@example.org
      feeds send --again 2026-01-02T0800
    """
    if release and (to or again):
        raise UsageError("--release lets all go that is due; --to and --again come after it")
    try:
        with application(context, None if dry_run else "send") as app:
            person = app.store.subscribers.find(to).email if to else None
            slot = _slot(again) if again else None
            if slot and not app.store.editions.find(slot):
                raise NotFoundError("edition", str(again))
            if dry_run:
                _tell_waiting(app, slot, person, now=now, as_json=as_json)
                if not release:
                    _tell_held(app)
                return 0
            if release:
                _release(app)
            return _send(app, slot, person, now=now, as_json=as_json)
    except LockError as error:
        if not release:
            raise
        return _release_beside(context, error.holder, as_json=as_json)


def _send(app: App, slot: str | None, person: str | None, *, now: bool, as_json: bool) -> int:
    """Deliver what is due, or a slot again, to one or to all; return the status."""
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
    _tell_held(app)
    return SOME_FAILED if composed["failed"] or done["failed"] or done["deferred"] else 0


def _release(app: App) -> None:
    if not pipeline.let_go(app):
        click.echo("Sending was not stopped.", err=True)


def _release_beside(context: click.Context, holder: str, *, as_json: bool) -> int:
    """Lift the stop while another process holds the lock: that one delivers."""
    with application(context) as app:
        _release(app)
    if as_json:
        emit(dict.fromkeys(_KEYS["deliveries"], 0))
    click.echo(f"Released; {holder} delivers what is due.", err=True)
    return 0


def _tell_held(app: App) -> None:
    """Say on stderr that sending is stopped, if it is, and how to lift that."""
    if (why := pipeline.held(app)) is None:
        return
    click.echo(
        f"Sending is stopped since {why}.\n"
        "  feeds send --release --dry-run   shows what would go\n"
        "  feeds send --release             lets it go",
        err=True,
    )


def _sweep(app: App) -> None:
    """Do the work of a night, and say on stderr what was found."""
    found, gone = upkeep.sweep(app), upkeep.prune(app, app.now())
    parts = [
        f"{plural(found.documents, 'document')} read, {found.lost} lost or changed",
        f"{plural(found.digests, 'digest')} read, {found.changed} changed unseen",
        *(f"{number} {name} removed" for name, number in gone.items()),
    ]
    click.echo(f"Swept      {'; '.join(parts)}", err=True)


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


COMMANDS = (run, send)


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
        click.echo(f"Failed     {plural(len(done.failures), 'item')}, as said above", err=True)
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
    local = urllib.parse.urlsplit(app.publication.base_url).hostname in LOOPBACK
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
