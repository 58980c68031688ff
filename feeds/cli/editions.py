"""Commands on the editions of the newsletter: what is due, how it looks, and the editor's hand on it."""

from __future__ import annotations

import email
import email.policy
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click

from feeds import app as opened
from feeds import editions, pipeline
from feeds.app import App
from feeds.cli.common import application, emit, json_option, places, plural, stamp
from feeds.errors import FeedsError, UsageError
from feeds.model import Edition, Letter, Subscriber
from feeds.store.editions import Slotted

_MOST = 100_000  # bytes of a note that are read: far more than it may have
_WAITS = "waits for approval"


@click.group()
def edition() -> None:
    """Show what is due and how the next edition looks; change it before it goes.

    A slot is written as in the address of its edition, 2026-01-02T0800, or as 2026-01-02T08:00.
    """


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
            row, said = _listed(app, slotted)
            if as_json:
                emit(row)
            else:
                click.echo(said)


def _listed(app: App, slotted: Slotted) -> tuple[dict[str, object], str]:
    """Return a slot on record as a line of JSON, and as a line for people."""
    made = pipeline.thaw(slotted) if slotted.content else None
    row: dict[str, object] = {
        "name": slotted.name,
        "slot": slotted.slot,
        "at": stamp(slotted.fires),
        "state": slotted.state,
    }
    if slotted.approval:
        row["approval"] = slotted.approval
    said = ""
    if made:
        about = {"subject": made.subject, "articles": len(made.briefs)}
        row |= about | {"url": app.publication.url(made.path)}
        said = f"{plural(len(made.briefs), 'article')}: {made.subject}"
    state = _WAITS if slotted.waits else slotted.state
    return row, f"{slotted.slot}  {slotted.name:12} {state:9} {said}".rstrip()


@edition.command()
@places
@click.option("--html", type=Path, metavar="FILE", help="Write the HTML part here.")
@click.option("--eml", type=Path, metavar="FILE", help="Write the whole message here.")
@click.option("--to", metavar="ADDRESS", help="As this subscriber would get it.")
@click.option("--edition", "name", metavar="NAME", help="This one, if there are several.")
@click.option("--browser", is_flag=True, help="Open the HTML part in your browser.")
@json_option
@click.pass_context
def preview(  # noqa: PLR0913, PLR0917 -- one parameter an option
    context: click.Context,
    html: Path | None,
    eml: Path | None,
    to: str | None,
    name: str | None,
    browser: bool,
    as_json: bool,
) -> None:
    """Show the edition that waits for approval, or would be composed now, or the latest one.

    Changes nothing.

    \b
    Examples:
      feeds edition preview --browser
      feeds edition preview --html letter.html --to you@example.org
    """
    with application(context) as app:
        person = app.store.subscribers.find(to) if to else _anybody(app)
        made, letter = next(_letters(app, person, name), (None, None))
        if browser and html is None:
            html = app.settings.state_folder / "preview.html"
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
    if browser and html is not None and not webbrowser.open(html.resolve().as_uri()):
        click.echo(f"No browser could be opened; the letter is in {html}", err=True)


_which = click.option(
    "--edition", "name", metavar="NAME", help="Which one, if the slot has several."
)


@edition.command()
@places
@click.argument("slot", metavar="SLOT")
@click.argument("entry_id", metavar="ID")
@_which
@click.pass_context
def drop(context: click.Context, slot: str, entry_id: str, name: str | None) -> None:
    """Take an article out of an edition, before its letters go.

    It stays published, and no later edition of that name takes it. ID may be cut to its first digits.

    \b
    Examples:
      feeds edition drop 2026-01-02T0800 3f2a
    """
    with application(context) as app:
        slotted = pipeline.edition_of(app, _slot(slot), name)
        gone = pipeline.drop(app, slotted, entry_id)
        now = pipeline.thaw(app.store.editions.get(slotted.id))
    click.echo(f"Dropped: {gone.title}\nSubject: {now.subject}")


@edition.command()
@places
@click.argument("slot", metavar="SLOT")
@click.argument("entry_id", metavar="ID")
@_which
@click.pass_context
def lead(context: click.Context, slot: str, entry_id: str, name: str | None) -> None:
    """Choose the article that leads an edition, before its letters go.

    ID may be cut to its first digits.

    \b
    Examples:
      feeds edition lead 2026-01-02T0800 3f2a
    """
    with application(context) as app:
        slotted = pipeline.edition_of(app, _slot(slot), name)
        pipeline.lead(app, slotted, entry_id)
        now = pipeline.thaw(app.store.editions.get(slotted.id))
    click.echo(f"Subject: {now.subject}")


@edition.command()
@places
@click.argument("slot", metavar="SLOT")
@click.argument("file", metavar="FILE", type=click.File("rb"))
@_which
@click.pass_context
def note(context: click.Context, slot: str, file: BinaryIO, name: str | None) -> None:
    """Put your own words above the news of an edition, before its letters go.

    FILE is plain text, at most 2,000 characters, paragraphs parted by blank lines; - is standard input.
    An empty one removes the note.

    \b
    Examples:
      echo "No letter tomorrow." | feeds edition note 2026-01-02T0800 -
    """
    try:
        text = file.read(_MOST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("the note is no UTF-8 text") from error
    with application(context) as app:
        kept = pipeline.note(app, pipeline.edition_of(app, _slot(slot), name), text)
    click.echo(f"Note of {plural(len(kept), 'character')}" if kept else "No note")


@edition.command()
@places
@click.argument("slot", metavar="SLOT")
@_which
@click.pass_context
def approve(context: click.Context, slot: str, name: str | None) -> None:
    """Let an edition go that waits for approval (edition.approve = "required").

    Its letters go with the next `feeds run` or `feeds send`; where `feeds watch` runs, in half a
    minute.

    \b
    Examples:
      feeds edition approve 2026-01-02T0800
    """
    with application(context) as app:
        slotted = pipeline.edition_of(app, _slot(slot), name)
        pipeline.approve(app, slotted)
    click.echo(f"Approved: {slotted.name} {slotted.slot}")


def _save(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


COMMANDS = (edition,)


def _letters(app: App, person: Subscriber, name: str | None) -> Iterator[tuple[Edition, Letter]]:
    """Yield each edition that has something for a person, and its letter as they would get it now.

    All that the person takes, or the one of a `name`.
    """
    for made in pipeline.preview(app, app.now()):
        if made.name not in ((name,) if name else person.editions or (made.name,)):
            continue
        if (mix := editions.selection(made, person)) is not None:
            yield made, pipeline.letter(app, mix, person, f"<preview@{opened.mail_domain(app)}>")


def _slot(text: str) -> str:
    """Return a slot as on record, `2026-01-02T08:00`, also from its form in paths, `...T0800`."""
    day, mark, time = text.partition("T")
    return f"{day}{mark}{time[:2]}:{time[2:]}" if ":" not in time else text


def _body(letter: Letter, kind: str) -> str:
    message = email.message_from_bytes(letter.data, policy=email.policy.default)
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


def _anybody(app: App) -> Subscriber:
    return Subscriber(0, "you@example.org", app.now())
