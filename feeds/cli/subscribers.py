"""Commands on the subscribers: who receives what."""

from __future__ import annotations

import csv
import io
import itertools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from feeds.app import App
from feeds.cli.common import SOME_FAILED, application, emit, json_option, places, plural, stamp
from feeds.config.values import language as read_language
from feeds.errors import UsageError
from feeds.model import Subscriber
from feeds.pipeline import subscriptions
from feeds.store.subscribers import ACTIVE, ERASED, GONE, PENDING, Wish, normalise

_STATES = (ACTIVE, PENDING, *GONE)


@click.group()
def subscribers() -> None:
    """Say who receives the newsletter."""


_wishes = (
    click.option("--channels", metavar="A,B", help="Only these channels."),
    click.option("--editions", metavar="A,B", help="Only these editions."),
    click.option("--languages", metavar="A,B", help="Only these languages."),
)
_only = click.option("--only", type=click.Choice(_STATES), help="Only those in this state.")


@subscribers.command()
@places
@click.argument("address")
@_wishes[0]
@_wishes[1]
@_wishes[2]
@click.option("--force", is_flag=True, help="Even one who complained of our letters.")
@json_option
@click.pass_context
def add(  # noqa: PLR0913, PLR0917 -- one parameter an option
    context: click.Context,
    address: str,
    channels: str | None,
    editions: str | None,
    languages: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Add a subscriber, active at once; or change what one receives.

    Takes back who left or whose letters came back: see that they want it. Who complained comes back
    only with --force, who was erased only by their own sign-up.

    \b
    Examples:
      feeds subscribers add you@example.org
      feeds subscribers add you@example.org --channels politics,sport
    """
    with application(context) as app:
        wish = _reader(app)(address, channels, editions, languages)
        done = subscriptions.add(app, wish, app.now(), force=force)
    _tell(wish.email, done, as_json=as_json)


@subscribers.command("list")
@places
@_only
@json_option
@click.pass_context
def list_subscribers(context: click.Context, only: str | None, as_json: bool) -> None:
    """List the subscribers."""
    with application(context) as app:
        for person in app.store.subscribers.iterate(only):
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
        subscriptions.remove(app, address, app.now())
    _tell(address, "removed", as_json=as_json)


@subscribers.command()
@places
@click.argument("address")
@json_option
@click.pass_context
def erase(context: click.Context, address: str, as_json: bool) -> None:
    """Take a person off the record with everything that is kept of them.

    There is no way back. A keyed hash of the address stays, so that neither an import nor `add` brings
    it back by mistake; its owner can sign up again. Backups made before still hold the address, until
    they are removed; one that is restored erases it again.
    """
    with application(context) as app:
        subscriptions.forget(app, address, app.now())
    _tell(address, ERASED, as_json=as_json)


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
@click.option("--dry-run", is_flag=True, help="Say what would happen, change nothing.")
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

    Columns `channels`, `editions`, `languages` and `state` are read if there are any; cells are parted
    by commas, semicolons or tabs. Without --confirmed each is asked by mail, and gets no letter before
    the answer. Who unsubscribed, complained, was erased, or whose letters came back is never brought
    back by an import.

    \b
    Examples:
      feeds subscribers import list.csv --dry-run
      feeds subscribers import list.csv --confirmed --consent "forms of May"
    """
    if confirmed and not consent:
        raise UsageError("--confirmed needs --consent TEXT: how and when they agreed")
    done: Counter[str] = Counter()
    asked = 0
    with application(context) as app:
        now, wanted = app.now(), _wanted(app, file, done)
        agreed = consent if confirmed else None
        done += subscriptions.take_in(app, wanted, now, consent=agreed, dry=dry_run)
        if not dry_run:
            asked = subscriptions.ask_pending(app, now)
    _tell_import(done, asked, waits=not confirmed, dry_run=dry_run, as_json=as_json)
    return SOME_FAILED if done["bad"] else 0


@subscribers.command()
@places
@_only
@json_option
@click.pass_context
def export(context: click.Context, only: str | None, as_json: bool) -> None:
    """Print the subscribers as CSV, as `import` reads it.

    A cell that a spreadsheet would take for a formula begins with an apostrophe, which `import` takes
    off again.

    \b
    Examples:
      feeds subscribers export > subscribers.csv
      feeds subscribers export --only active
    """
    with application(context) as app:
        table = csv.writer(sys.stdout, lineterminator="\n")
        if not as_json:
            table.writerow(_COLUMNS)
        people = app.store.subscribers.iterate(only)
        while page := list(itertools.islice(people, _PAGE)):
            consents = app.store.subscribers.consented([person.id for person in page])
            for person in page:
                text, at = consents.get(person.id, ("", None))
                row = _as_json(person) | {"consent": f"{stamp(at)} {text}" if at else ""}
                if as_json:
                    emit(row)
                else:
                    table.writerow([_cell(row[name]) for name in _COLUMNS])


COMMANDS = (subscribers,)

_OPTIONAL = ("channels", "editions", "languages")
_COLUMNS = ("email", "state", *_OPTIONAL, "joined", "consent")
_PAGE = 1_000
_KINDS = (*GONE, ERASED)
_NAMES = {"e-mail": "email", "email address": "email", "e-mail address": "email"}
_NAMED = re.compile(r"[^<>]*<\s*([^<>]*?)\s*>")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What begins a formula in a spreadsheet (https://owasp.org/www-community/attacks/CSV_Injection)."""


def _cell(value: object) -> str:
    text = ",".join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _uncell(text: str) -> str:
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def _tell_import(
    done: Counter[str], asked: int, *, waits: bool, dry_run: bool, as_json: bool
) -> None:
    refused = {kind: done[kind] for kind in _KINDS}
    counts = {name: done[name] for name in ("added", "changed", "unchanged")}
    counts |= {"refused": sum(refused.values()), "duplicates": done["duplicates"]}
    counts |= {"bad": done["bad"]}
    if as_json:
        emit(counts | {"reasons": refused, "asked": asked})
        return
    said = [f"{number} {name}" for name, number in counts.items() if number]
    why = ", ".join(f"{number} {kind}" for kind, number in refused.items() if number)
    text = (", ".join(said) or "no rows").replace("refused", f"refused ({why})")
    click.echo(f"would be: {text}" if dry_run else text)
    if dry_run:
        return
    if waits and done["added"]:
        click.echo(
            "They are asked by mail at the next `feeds send`, and get no letter before they answer."
        )
    elif asked:
        click.echo(f"{plural(asked, 'subscriber')} pending: asked by mail.")


def _wanted(app: App, file: Path, done: Counter[str]) -> Iterator[tuple[Wish, str]]:
    """Yield the wishes of a file, each address once, with the state it says; the rest is counted."""
    read, seen = _reader(app), set[str]()
    for line, row in _rows(file):
        address = _NAMED.fullmatch(row["email"])
        try:
            wish = read(
                address[1] if address else row["email"], *(row.get(key) for key in _OPTIONAL)
            )
        except UsageError as error:
            done["bad"] += 1
            click.echo(f"{file}:{line}: {error}", err=True)
            continue
        if wish.email in seen:
            done["duplicates"] += 1
            continue
        seen.add(wish.email)
        state = row.get("state", "").lower()
        yield wish, state if state in _STATES else ""


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV file with their lines; header names count without case.

    Raises:
        UsageError: it can't be read, or has no column of addresses.
    """
    try:
        data = file.read_bytes()
        utf_16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # as Excel writes "Unicode text"
        text = data.decode("utf-16" if utf_16 else "utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8: {error.reason}") from error
    text = text.lstrip("\r\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        names = [_name(cell) for cell in next(reader, [])]
        if "email" not in names:
            raise UsageError(f"{file}:1: no column `email`; the first line names the columns")
        for row in reader:
            if any(map(str.strip, row)):
                cells = itertools.chain(row, itertools.repeat(""))
                yield (
                    reader.line_num,
                    {name: _uncell(cell.strip()) for name, cell in zip(names, cells, strict=False)},
                )
    except csv.Error as error:
        raise UsageError(f"{file}:{reader.line_num}: {error}") from error


def _delimiter(text: str) -> str:
    """Return what parts the cells: the first mark by which the header has a column of addresses."""
    header = text.partition("\n")[0]
    for mark in ",;\t":
        try:
            if "email" in map(_name, next(csv.reader([header], delimiter=mark), [])):
                return mark
        except csv.Error:
            continue
    return ","


def _name(cell: str) -> str:
    name = cell.strip().lower()
    return _NAMES.get(name, name)


def _reader(app: App) -> Callable[..., Wish]:
    """Return what reads a person's wishes, checked against the channels and editions that there are."""
    channels = [channel.slug for channel in app.publication.channels]
    editions = [settings.name for settings in app.settings.editions]

    def read(address: str, *lists: str | None) -> Wish:
        try:
            email_address = normalise(address)
        except ValueError as error:
            raise UsageError(f"{address!r}: {error}") from error
        wanted, named, languages = (_split(text) for text in lists)
        for tag in languages or ():
            try:
                read_language(tag)
            except ValueError as error:
                raise UsageError(f"{error}; found {tag!r}") from error
        _known("channel", wanted, channels)
        _known("edition", named, editions)
        return Wish(email_address, wanted, named, languages)

    return read


def _split(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(part.strip() for part in re.split("[,;]", text) if part.strip())


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
