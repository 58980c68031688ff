"""The mailbox: mail that comes back > messages. I/O; deletes and moves nothing.

In: a place of the configuration, a file or a pipe. Out: the start of each unread message, for
`reports.read` to understand. A message counts as read only after its `done`, so a crash loses nothing,
and one that comes again has to be harmless.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from feeds.errors import MailboxError
from feeds.mailbox.files import maildir, opened, piped
from feeds.mailbox.imap import fetch
from feeds.mailbox.places import Message, Place, Way, place

__all__ = ["Message", "Place", "Way", "messages", "opened", "piped", "place"]


def messages(where: Place, password: str | None = None) -> Generator[Message, None, None]:
    """Yield the unread messages of a place; nothing is opened before the first is asked for.

    `password` is that of an IMAP account. The connection ends, and with it what `done` needs, when a
    message after the last is asked for, or the generator is closed: close it where it isn't used up.

    Raises:
        MailboxError: the place can't be read; names it without its login, and the way out.
    """
    if where.way is Way.PIPE:
        reason = "this mail is not fetched; let your mail server pipe it into feeds bounces"
        raise MailboxError(str(where), reason)
    if where.way is Way.MAILDIR:
        yield from maildir(Path(where.path).expanduser())
    else:
        yield from fetch(where, password)
