"""The command that reads mail that came back."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from feeds.cli.common import application, emit, json_option, places, plural
from feeds.errors import UsageError
from feeds.pipeline import returns


@click.command()
@places
@click.argument("file", required=False)
@json_option
@click.pass_context
def bounces(context: click.Context, file: str | None, as_json: bool) -> None:
    """Read bounces, complaints and requests, and end the subscriptions they are about.

    Without FILE the mailbox that mail.bounces names is read. FILE is a message, an mbox or a Maildir;
    `-` is standard input, for a mail server that pipes each message in. Nothing is deleted, and what
    isn't about a letter of ours changes nothing. `feeds watch` reads the mailbox hourly.

    \b
    Examples:
      feeds bounces
      feeds bounces bounce.eml
      feeds bounces - < bounce.eml
    """
    with application(context) as app:
        if file is None:
            found = app.settings.mail.bounces
            if found is None:
                raise UsageError("no mailbox is configured; set mail.bounces, or name a file")
            done = returns.read_returns(app, app.now())
        else:
            from feeds import mailbox  # noqa: PLC0415 -- imaplib: only for this command

            piped = mailbox.piped(sys.stdin.buffer) if file == "-" else mailbox.opened(Path(file))
            done = returns.read(app, piped, app.now())
    if as_json:
        emit({name: done[name] for name in returns.COUNTED})
    else:
        _tell(done)


COMMANDS = (bounces,)


_WORDS = {
    "hard": "from dead addresses",
    "soft": "from full or silent mailboxes",
    "policy": "refused as spam or by policy",
    "delayed": "delayed",
    "complaints": "complaints",
    "unsubscribed": "asked to leave",
    "confirmed": "confirmed",
    "ignored": "not about our letters",
    "failed": "can't be read",
}


def _tell(done: Counter[str]) -> None:
    kinds = ", ".join(f"{done[name]} {words}" for name, words in _WORDS.items() if done[name])
    click.echo(f"{plural(done['messages'], 'message')} read" + (f": {kinds}" if kinds else ""))
    if done["suppressed"]:
        click.echo(f"{plural(done['suppressed'], 'subscription')} ended by them.")
