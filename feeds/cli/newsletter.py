"""Commands on the newsletter: edition list and preview; subscribers."""

from __future__ import annotations

import csv
import email
import email.policy
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from feeds import app as opened
from feeds import editions, pipeline
from feeds.app import App
from feeds.cli.common import SOME_FAILED, application, emit, json_option, places, plural, stamp
from feeds.config.values import language as read_language
from feeds.errors import FeedsError, UsageError
from feeds.model import Edition, Letter, Subscriber
from feeds.store.subscribers import ACTIVE, PENDING, Wish, normalise


@click.group()
def edition() -> None:
    """Show what is due, and how the next edition looks."""


@edition.command("list")
@places
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, metavar="N")
@json_option
@click.pass_context
def list_editions(context: click.Context, limit: int, as_json: bool) -> None:
    """List the next slot of each edition, then the latest ones on record."""
    with application(context) as app:
        for name, slot in pipeline.upcoming(app, app.now()):
            row: dict[str, object] = {
                "name": name,
                "slot": slot.text,
                "at": stamp(slot.fires),
                "state": "next",
            }
            if as_json:
                emit(row)
            else:
                click.echo(f"{slot.text}  {name:12} next")
        for slotted in app.store.editions.newest(limit=limit):
            made = pipeline.thaw(slotted) if slotted.content else None
            row = {
                "name": slotted.name,
                "slot": slotted.slot,
                "at": stamp(slotted.fires),
                "state": slotted.state,
            }
            if made:
                about = {"subject": made.subject, "articles": len(made.briefs)}
                row |= about | {"url": app.publication.url(made.path)}
            if as_json:
                emit(row)
            else:
                said = f"{plural(len(made.briefs), 'article')}: {made.subject}" if made else ""
                click.echo(f"{slotted.slot}  {slotted.name:12} {slotted.state:9} {said}".rstrip())


@edition.command()
@places
@click.option("--html", type=Path, metavar="FILE", help="Write the HTML part here.")
@click.option("--eml", type=Path, metavar="FILE", help="Write the whole message here.")
@click.option("--to", metavar="ADDRESS", help="As this subscriber would get it.")
@json_option
@click.pass_context
def preview(
    context: click.Context, html: Path | None, eml: Path | None, to: str | None, as_json: bool
) -> None:
    """Show the edition that would be composed now, or the latest one. Changes nothing.

    \b
    Examples:
      feeds edition preview
      feeds edition preview --html letter.html --to you@example.org
    """
    with application(context) as app:
        person = app.store.subscribers.find(to) if to else _anybody(app)
        made, letter = next(_letters(app, person), (None, None))
    if made is None or letter is None:
        raise FeedsError("there is nothing to preview yet; `feeds run` reads digests")
    if html is not None:
        _save(html, _body(letter, "html").encode())
    if eml is not None:
        _save(eml, letter.data)
    if as_json:
        about = {"edition": made.name, "slot": made.slot, "subject": letter.subject}
        emit(about | {"text": _body(letter, "plain"), "html": _body(letter, "html")})
    elif html is None and eml is None:
        click.echo(f"Subject: {letter.subject}\n\n{_body(letter, 'plain')}")


def _save(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


@click.group()
def subscribers() -> None:
    """Say who receives the newsletter."""


_wishes = (
    click.option("--channels", metavar="A,B", help="Only these channels."),
    click.option("--editions", metavar="A,B", help="Only these editions."),
    click.option("--languages", metavar="A,B", help="Only these languages."),
)


@subscribers.command()
@places
@click.argument("address")
@_wishes[0]
@_wishes[1]
@_wishes[2]
@json_option
@click.pass_context
def add(  # noqa: PLR0913, PLR0917 -- one parameter an option
    context: click.Context,
    address: str,
    channels: str | None,
    editions: str | None,
    languages: str | None,
    as_json: bool,
) -> None:
    """Add a subscriber, active at once; or change what one receives.

    \b
    Examples:
      feeds subscribers add you@example.org
      feeds subscribers add you@example.org --channels politics,sport
    """
    with application(context) as app:
        wish = _wish(app, address, channels, editions, languages)
        done = app.store.subscribers.add(
            wish, app.now(), state=ACTIVE, reason="added by the operator", revive=True
        )
    _tell(wish.email, done, as_json=as_json)


@subscribers.command("list")
@places
@json_option
@click.pass_context
def list_subscribers(context: click.Context, as_json: bool) -> None:
    """List the subscribers."""
    with application(context) as app:
        for person in app.store.subscribers.all():
            if as_json:
                emit(_as_json(person))
            else:
                wanted = ",".join(person.channels) or "all channels"
                click.echo(f"{person.email}  {person.state}  {wanted}")


@subscribers.command()
@places
@click.argument("address")
@json_option
@click.pass_context
def remove(context: click.Context, address: str, as_json: bool) -> None:
    """End a subscription. No import brings the address back; `add` does."""
    with application(context) as app:
        app.store.subscribers.remove(address, app.now(), "removed by the operator")
    _tell(address, "removed", as_json=as_json)


def _tell(address: str, result: str, *, as_json: bool) -> None:
    if as_json:
        emit({"email": address, "result": result})
    else:
        click.echo(f"{address}: {result}")


@subscribers.command("import")
@places
@click.argument("file", type=Path, metavar="FILE.csv")
@click.option("--confirmed", is_flag=True, help="They have agreed already; needs --consent.")
@click.option("--consent", metavar="TEXT", help="How and when they agreed, for the record.")
@click.option("--dry-run", is_flag=True, help="Check the file, change nothing.")
@json_option
@click.pass_context
def import_(  # noqa: PLR0913, PLR0917 -- one parameter an option
    context: click.Context,
    file: Path,
    confirmed: bool,
    consent: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Add subscribers from a CSV file with a column `email`.

    Columns `channels`, `editions` and `languages` are read if there are any. Without --confirmed
    they are recorded as pending and get no letter. Who unsubscribed is never brought back.

    \b
    Examples:
      feeds subscribers import list.csv --dry-run
      feeds subscribers import list.csv --confirmed --consent "forms of May"
    """
    if confirmed and not consent:
        raise UsageError("--confirmed needs --consent TEXT: how and when they agreed")
    state, reason = (ACTIVE, f"imported: {consent}") if confirmed else (PENDING, "imported")
    done: Counter[str] = Counter()
    with application(context) as app:
        for line, row in _rows(file):
            try:
                wish = _wish(app, row["email"], *(row.get(key) for key in _OPTIONAL))
            except UsageError as error:
                done["bad"] += 1
                click.echo(f"{file}:{line}: {error}", err=True)
                continue
            if dry_run:
                done["readable"] += 1
            else:
                add = app.store.subscribers.add
                done[add(wish, app.now(), state=state, reason=reason, revive=False)] += 1
    if as_json:
        emit({name: done[name] for name in _COUNTED})
    else:
        click.echo(", ".join(f"{number} {name}" for name, number in done.items()) or "no rows")
        if done["added"] and not confirmed:
            click.echo("They are pending and get no letter until `add`, or an import --confirmed.")
    return SOME_FAILED if done["bad"] else 0


COMMANDS = (edition, subscribers)

_OPTIONAL = ("channels", "editions", "languages")
_COUNTED = ("added", "changed", "unchanged", "refused", "readable", "bad")


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV file with their lines; header names count without case."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8: {error.reason}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if "email" not in names:
        raise UsageError(f"{file}:1: no column `email`; the first line names the columns")
    reader.fieldnames = names
    return [(reader.line_num, {key: (row[key] or "").strip() for key in names}) for row in reader]


def _wish(app: App, address: str, *lists: str | None) -> Wish:
    """Return what a person wants, checked against the channels and editions that there are."""
    try:
        email_address = normalise(address)
    except ValueError as error:
        raise UsageError(f"{address!r}: {error}") from error
    wanted, named, languages = (_split(text) for text in lists)
    try:
        for tag in languages or ():
            read_language(tag)
    except ValueError as error:
        raise UsageError(f"{error}; found {tag!r}") from error
    _known("channel", wanted, [channel.slug for channel in app.publication.channels])
    _known("edition", named, [settings.name for settings in app.settings.editions])
    return Wish(email_address, wanted, named, languages)


def _split(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _known(kind: str, wanted: Sequence[str] | None, there: Sequence[str]) -> None:
    for name in wanted or ():
        if name not in there:
            raise UsageError(f"no {kind} {name!r}; there is {', '.join(there)}")


def _as_json(person: Subscriber) -> dict[str, object]:
    return {
        "id": person.id,
        "email": person.email,
        "state": person.state,
        "channels": list(person.channels),
        "editions": list(person.editions),
        "languages": list(person.languages),
        "joined": stamp(person.joined),
    }


def _letters(app: App, person: Subscriber) -> Iterator[tuple[Edition, Letter]]:
    """Yield each edition that has something for a person, and its letter as they would get it now."""
    for made in pipeline.preview(app, app.now()):
        if (mix := editions.selection(made, person)) is not None:
            yield made, pipeline.letter(app, mix, person, f"<preview@{opened.mail_domain(app)}>")


def _body(letter: Letter, kind: str) -> str:
    message = email.message_from_bytes(letter.data, policy=email.policy.default)
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


def _anybody(app: App) -> Subscriber:
    return Subscriber(0, "you@example.org", app.now())
