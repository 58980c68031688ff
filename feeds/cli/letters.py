"""What is said of letters on the way: before they go, while they go, and after."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import click

from feeds import app as opened
from feeds import editions, pipeline
from feeds.app import App
from feeds.cli.common import emit, plural, stamp
from feeds.model import Subscriber
from feeds.pipeline import mailcheck, post
from feeds.pipeline.progress import T
from feeds.store.deliveries import REPEATED
from feeds.store.editions import Slotted
from feeds.store.outgoing import WAITING
from feeds.store.subscribers import ACTIVE

_FEW = 10  # letters that need no progress bar
_PAUSE = 0.1  # seconds; letters that are nearer to each other were handed out together
_PAGE = 2000
_LATE = timedelta(hours=1)
_HELD = "held: `feeds send --again SLOT --to ADDRESS` sends one again"


def tell_finish(app: App, slotted: Sequence[Slotted], person: str | None, *, again: bool) -> None:
    """Say on stderr, where a rate is set, when all letters will be out."""
    if app.settings.mail.rate is None or app.settings.mail.transport != "smtp":
        return
    letters, late = 0, []
    for one in slotted:
        letters += (mine := _letters(app, one, person, again=again))
        finish = _finish(app, letters)
        if mine and finish is not None and finish > one.fires + _LATE:
            late.append(f"{one.name} {one.slot}")
    finish = _finish(app, letters)
    if not letters or finish is None:
        return
    said = f"{plural(letters, 'letter')} at {app.settings.mail.rate}"
    click.echo(f"{said}: done about {_clock(app, finish)}", err=True)
    if late and not again:
        over = " and more" if len(late) > 1 else ""
        click.echo(f"warning: more than an hour after the slot of {late[0]}{over}", err=True)
        if finish - app.now() > _LATE:
            click.echo("         a higher rate below [mail] sends them sooner", err=True)


def _letters(app: App, slotted: Slotted, person: str | None, *, again: bool = False) -> int:
    """Return how many letters of an edition would go now, to one or to all."""
    states, now = (REPEATED, None) if again else (WAITING, app.now())
    found = after = 0
    while page := app.store.deliveries.page(slotted.id, states, now, after=after, limit=_PAGE):
        found += sum(person in {None, who.email} and who.state == ACTIVE for _, who in page)
        after = page[-1][0].id
    return found


def _finish(app: App, letters: int) -> datetime | None:
    """Return when so many letters are out at the rate that is set, None without one."""
    rate = app.settings.mail.rate
    if rate is None or app.settings.mail.transport != "smtp":
        return None
    return app.now() + rate.span * max(letters - 1, 0) / rate.letters


def _clock(app: App, moment: datetime) -> str:
    """Return a moment for people, with the day when that is not today."""
    local, today = app.publication.local(moment), app.publication.local(app.now())
    day = "" if local.date() == today.date() else f" on {app.publication.day(moment)}"
    return f"{local:%H:%M}{day} ({app.publication.timezone})"


def tell_edition(
    app: App, slotted: Slotted, people: Sequence[Subscriber], before: int, *, as_json: bool
) -> None:
    """Say what of an edition would go, when it would be out, and how its first letter looks."""
    about: dict[str, object] = {"edition": slotted.name, "slot": slotted.slot}
    about["letters"] = len(people)
    finish = _finish(app, before + len(people))
    size = subject = None
    if (mix := editions.selection(pipeline.thaw(slotted), people[0])) is not None:
        message_id = f"<dry-run@{opened.mail_domain(app)}>"
        letter = pipeline.letter(app, mix, people[0], message_id)
        subject, size = letter.subject, mailcheck.html_size(letter)
    if as_json:
        at = stamp(finish) if finish else None
        emit(about | {"subject": subject, "html_bytes": size, "finish": at})
        return
    click.echo(f"{slotted.name} {slotted.slot}: {plural(len(people), 'letter')} to deliver")
    if finish is not None:
        click.echo(f"  {'Rate':8} {app.settings.mail.rate}: done about {_clock(app, finish)}")
    if size is not None:
        click.echo(f"  {'Subject':8} {subject}")
        clip = mailcheck.CLIP // 1000
        click.echo(f"  {'Size':8} {size / 1000:,.0f} kB of HTML; Gmail cuts at {clip} kB")


def tell_awaited(app: App) -> None:
    """Say on stderr which letters wait for a person."""
    stopped = pipeline.held(app) is not None or post.trouble(app) is not None
    if pipeline.awaits_hand(app) and not stopped:
        letters = sum(_letters(app, one, None) for one in app.store.editions.unsent())
        if letters:
            click.echo(
                f"Waiting    {plural(letters, 'letter')}: look at one with `feeds edition preview`,"
                " then\n           `feeds send` sends the first ones",
                err=True,
            )
    for one in app.store.editions.awaiting():
        click.echo(
            f"Waiting    {one.name} {one.slot} for approval:"
            f" `feeds edition approve {one.slot.replace(':', '')}`",
            err=True,
        )


def meter(label: str, items: Sequence[T], /) -> Iterable[T]:
    """Show on a terminal how many letters went, how fast, and how long the rest takes."""
    if len(items) < _FEW or not sys.stderr.isatty():
        yield from items
        return
    began = last = time.monotonic()
    speed = ""
    with click.progressbar(
        items,
        label=label,
        file=sys.stderr,
        width=20,
        show_eta=False,
        show_pos=True,
        item_show_func=lambda _: speed,
    ) as shown:
        for position, item in enumerate(items):
            now = time.monotonic()
            if now - last > _PAUSE:  # those before were handed out, and this one is the next
                speed = _speed(position / (now - began), len(items) - position)
            last = now
            shown.update(1, item)
            yield item


def _speed(rate: float, left: int) -> str:
    """Return a rate in letters a second, and the time that is left, for people."""
    pace = f"{rate:,.0f} a second" if rate >= 2 else f"{rate * 60:,.0f} a minute"  # noqa: PLR2004
    seconds = left / rate if rate else 0.0
    rest = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:,.0f} min"  # noqa: PLR2004
    return f"{pace}, {rest} left"


def tell_letters(app: App, deliveries: Counter[str]) -> None:
    """Say what became of the letters, and what happens next to those that didn't go."""
    if deliveries["written"]:
        written = plural(deliveries["written"], "letter")
        click.echo(f"Letters    {written} written to {app.outbox}/")
    if deliveries["sent"]:
        click.echo(f"Letters    {deliveries['sent']:,} sent")
    resend, pause = app.settings.mail.on_uncertain == "resend", _span(app.settings.mail.retry[0])
    fates = {
        "deferred": f": `feeds watch` or `feeds send` tries again in {pause}",
        "failed": " for good, as said above",
        "uncertain": f", and {'sent again, the same to the byte' if resend else _HELD}",
    }
    for state, fate in fates.items():
        if deliveries[state]:
            click.echo(f"Letters    {deliveries[state]:,} {state}{fate}", err=True)
    trouble = post.trouble(app) if app.settings.mail.transport == "smtp" else None
    if trouble is not None:
        click.echo(f"Server     takes no letters: {trouble.reason}; they wait", err=True)


def _span(span: timedelta) -> str:
    """Return a pause for people: `1 minute`, `90 seconds`."""
    seconds = round(span.total_seconds())
    for size, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return plural(seconds // size, unit)
    return plural(seconds, "second")
