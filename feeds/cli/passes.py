"""Commands that do the work once: run, send."""

from __future__ import annotations

import logging
import urllib.parse
from collections import Counter
from email.utils import parseaddr

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
from feeds.cli.letters import meter, tell_awaited, tell_edition, tell_finish, tell_letters
from feeds.errors import FeedsError, LockError, NotFoundError, StoreError, UsageError
from feeds.model import edition_path
from feeds.pipeline import Summary, notices, post, upkeep
from feeds.store.subscribers import ACTIVE

log = logging.getLogger(__name__)

_NOTHING = "Nothing to deliver"
_UNDELIVERED = ("deferred", "failed", "uncertain")
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
    sends = not (no_send or archive)
    with application(context, "run") as app:
        if sends:
            post.check(app.settings)
        if sweep:
            _sweep(app)
        done = pipeline.run(app, send_letters=not no_send, archive=archive, progress=bar)
        if sends:
            _tell_operator(app)
        if as_json:
            emit(_as_json(done))
        else:
            _tell(app, done)
        if sends:
            _tell_held(app)
            tell_awaited(app)
    return 0 if done.clean else SOME_FAILED


@click.command()
@places
@click.option("--now", is_flag=True, help="Compose an edition first, if something is new.")
@click.option("--to", metavar="ADDRESS", help="Deliver only to this one; `me` is operator.email.")
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

    The first letters over SMTP go by this command alone; after that, by feeds watch and feeds run as
    well. After a restore nothing is delivered until --release: look with --release --dry-run before.

    \b
    Examples:
      feeds send --dry-run
      feeds send --now --to me
      feeds send --again 2026-01-02T0800
    """
    if release and (to or again):
        raise UsageError("--release lets all go that is due; --to and --again come after it")
    try:
        with application(context, None if dry_run else "send") as app:
            post.check(app.settings)
            person = _recipient(app, to) if to else None
            slot = _slot(again) if again else None
            if slot and not pipeline.repeatable(app, slot):
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
        if release:
            return _release_beside(context, error.holder, as_json=as_json)
        if to or again or now or not _begin_beside(context, error.holder):
            raise
        if as_json:
            emit(dict.fromkeys(_KEYS["deliveries"], 0))
        return 0


def _recipient(app: App, to: str) -> str:
    """Return the address of a subscriber; `me` is the operator."""
    if to != "me":
        return app.store.subscribers.find(to).email
    if app.settings.operator.email is None:
        raise UsageError("--to me needs an address: set email below [operator] in feeds.toml")
    mine = parseaddr(app.settings.operator.email)[1]
    known = app.store.subscribers.seek(mine)
    if known is None or known.state != ACTIVE:
        raise UsageError(f"--to me: not subscribed; `feeds subscribers add {mine}` mends that")
    return known.email


def _send(app: App, slot: str | None, person: str | None, *, now: bool, as_json: bool) -> int:
    """Deliver what is due, or a slot again, to one or to all; return the status."""
    moment, first = app.now(), pipeline.awaits_hand(app)
    composed = pipeline.compose_at_once(app, moment) if now else Counter[str]()
    if person and not slot:
        pipeline.queue_for(app, person, moment)
    slotted = pipeline.repeatable(app, slot) if slot else pipeline.due(app, moment)
    if pipeline.held(app) is None:
        tell_finish(app, slotted, person, again=bool(slot))
    if pipeline.held(app) is None:
        for target in (pipeline.EDITIONS, pipeline.SITE):  # letters link to them
            pipeline.publish(app, target)
    if slot or person:
        done: Counter[str] = Counter()
        for one in slotted:
            done += pipeline.send(app, one, only=person, again=bool(slot), progress=meter)
    else:
        done = pipeline.deliver(app, moment, by_hand=True, progress=meter)
    if as_json:
        emit({key: done[key] for key in _KEYS["deliveries"]})
    else:
        if not +done:
            click.echo(_NOTHING)
        tell_letters(app, done)
        tell_awaited(app)
    if first and not pipeline.awaits_hand(app):
        click.echo("From now on `feeds watch` and `feeds run` send letters, too.", err=True)
    _tell_held(app)
    failed = composed["failed"] or any(done[key] for key in _UNDELIVERED)
    return SOME_FAILED if failed else 0


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


def _begin_beside(context: click.Context, holder: str) -> bool:
    """Let `feeds watch`, which holds the lock, send the first letters; return whether they waited."""
    with application(context) as app:
        if not (holder.startswith("feeds watch") and pipeline.awaits_hand(app)):
            return False
        pipeline.begin(app)
    click.echo(f"Begun: {holder} sends what is due, from now on by itself.", err=True)
    return True


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
    """Say what `send` would do, some lines an edition, and do nothing."""
    nothing = True
    for made in pipeline.fresh(app, app.now()) if now else ():
        nothing = False
        articles = plural(len(made.briefs), "article")
        if as_json:
            carried = {"subject": made.subject, "articles": len(made.briefs)}
            emit({"edition": made.name} | carried)
        else:
            click.echo(f"{made.name}: would carry {articles}: {made.subject}")
    before = 0
    for slotted, people in pipeline.waiting(app, again=slot):
        if wanted := [one for one in people if person in {None, one.email}]:
            nothing = False
            tell_edition(app, slotted, wanted, before, as_json=as_json)
            before += len(wanted)
    if nothing and not as_json:
        click.echo(_NOTHING)


def _tell_operator(app: App) -> None:
    """Mail the operator, if there is something to say; that this fails fails nothing else."""
    try:
        if notices.tell(app, app.now()):
            notices.post_now(app, app.now())
    except StoreError:
        raise
    except FeedsError as error:
        pipeline.report(log, error, "operator not told", "operator.email")


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
    tell_letters(app, done.deliveries)
    if done.failures:
        click.echo(f"Failed     {plural(len(done.failures), 'item')}, as said above", err=True)
    if digests["quarantined"]:
        click.echo("           `feeds status` says why a file was quarantined")
    _tell_next(app)


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
