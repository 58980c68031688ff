"""Messages of an IMAP server (RFC 3501). I/O: the network.

Fetched are the messages of one folder without the flag Seen, the start of each, without setting it;
`Message.done` sets it. Nothing is moved or deleted. The server's certificate is verified, and without
encryption nothing is said to another machine. Each answer is waited for 60 seconds.
"""

from __future__ import annotations

import base64
import imaplib
import re
import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from feeds.errors import MailboxError
from feeds.mailbox.mime import LIMIT
from feeds.mailbox.places import Message, Place, Way

_TIMEOUT = 60  # seconds
_WINDOW = 10_000  # messages searched at once: imaplib refuses an answer of more than a megabyte
_BROKEN = (OSError, imaplib.IMAP4.error)


def fetch(place: Place, password: str | None) -> Generator[Message, None, None]:
    """Yield the unread messages, in the server's order; connects at the first, leaves after the last.

    A message that the server does not give out is passed over.

    Raises:
        MailboxError: no connection, no login, no such folder, or it can't be written to.
    """
    if password is None:
        raise MailboxError(str(place), "its password is missing; set FEEDS_BOUNCES_PASSWORD")
    with _said(place):
        connection = _connect(place)
    try:
        with _said(place):
            _login(connection, place, password)
            unread = _unread(connection, _select(connection, place))
        for uid in unread:
            with _said(place):
                data = _start(connection, uid)
            if data is not None:
                yield Message(data, partial(_mark, connection, place, uid))
    finally:
        with suppress(*_BROKEN):
            connection.logout()
        with suppress(*_BROKEN):  # where logout failed halfway
            connection.shutdown()


def _connect(place: Place) -> imaplib.IMAP4:
    context = ssl.create_default_context()
    if place.way is Way.IMAPS:
        return imaplib.IMAP4_SSL(place.host, place.port, ssl_context=context, timeout=_TIMEOUT)
    connection = imaplib.IMAP4(place.host, place.port, timeout=_TIMEOUT)
    try:
        if not place.near:
            connection.starttls(context)
    except BaseException:
        with suppress(OSError):  # a refused certificate has closed it
            connection.shutdown()
        raise
    return connection


def _login(connection: imaplib.IMAP4, place: Place, password: str) -> None:
    """Log in; by AUTHENTICATE PLAIN where there is that, which takes any character (RFC 4616)."""
    if connection.state == "AUTH":  # the server knows who we are (PREAUTH)
        return
    try:
        if "AUTH=PLAIN" in connection.capabilities:
            answer = f"\0{place.login}\0{password}".encode()
            connection.authenticate("PLAIN", lambda _: answer)
        else:
            connection.login(_quoted(place.login), password)
    except imaplib.IMAP4.abort:
        raise
    except (imaplib.IMAP4.error, UnicodeError) as error:
        reason = "the login was refused; check the name in mail.bounces, and the password"
        raise MailboxError(str(place), reason) from error


def _select(connection: imaplib.IMAP4, place: Place) -> int:
    """Open the folder, to read and to write; return how many messages it holds."""
    try:
        status, answer = connection.select(_quoted(_utf7(place.folder)))
    except imaplib.IMAP4.readonly as error:
        raise MailboxError(str(place), "messages can't be marked as read there") from error
    if status != "OK":
        raise MailboxError(str(place), "there is no such folder; check mail.bounces")
    return int(answer[0] or 0)


def _unread(connection: imaplib.IMAP4, count: int) -> list[str]:
    """Return the UIDs of the messages not seen and not marked as deleted."""
    found: list[str] = []
    for start in range(1, count + 1, _WINDOW):
        window = f"{start}:{min(start + _WINDOW - 1, count)}"
        status, answer = connection.uid("SEARCH", window, "UNSEEN", "UNDELETED")
        if status != "OK":
            raise imaplib.IMAP4.error("SEARCH was refused")
        found += (uid.decode("ascii") for line in answer if line for uid in line.split())
    return found


def _start(connection: imaplib.IMAP4, uid: str) -> bytes | None:
    """Return the start of a message, or None if it is gone; PEEK leaves its flags alone."""
    status, answer = connection.uid("FETCH", uid, f"(BODY.PEEK[]<0.{LIMIT}>)")
    if status != "OK":
        return None
    return next(
        (part[1] for part in answer if isinstance(part, tuple) and b"BODY[" in part[0]), None
    )


def _mark(connection: imaplib.IMAP4, place: Place, uid: str) -> None:
    with _said(place):
        status, _ = connection.uid("STORE", uid, "+FLAGS.SILENT", r"(\Seen)")
        if status != "OK":
            raise MailboxError(str(place), "a message could not be marked as read")


@contextmanager
def _said(place: Place) -> Iterator[None]:
    """Turn what goes wrong on the way into one error, without the words of the server."""
    try:
        yield
    except _BROKEN as error:
        raise MailboxError(str(place), _why(error)) from error


def _why(error: Exception) -> str:
    """Return what went wrong and the way out, in our words: a server's may hold an address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate can't be trusted: {error.verify_message}"
    reasons: tuple[tuple[type[Exception], str], ...] = (
        (ssl.SSLError, "no encryption; imaps:// is for port 993, imap:// for STARTTLS on port 143"),
        (socket.gaierror, "there is no such host; check mail.bounces"),
        (TimeoutError, f"no answer within {_TIMEOUT} seconds"),
        (ConnectionRefusedError, "nothing listens there; check host and port in mail.bounces"),
        (OSError, "the connection was lost; run it again"),
    )
    known = next((reason for kind, reason in reasons if isinstance(error, kind)), None)
    if known is None and "TLS" in str(error):
        return "it offers no STARTTLS; try imaps://"
    return known or "the server broke off, or said what is not understood; run it again"


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _utf7(folder: str) -> str:
    """Return the name of a folder as it goes over the wire (RFC 3501, section 5.1.3)."""

    def packed(found: re.Match[str]) -> str:
        letters = base64.b64encode(found[0].encode("utf-16-be")).decode("ascii")
        return f"&{letters.rstrip('=').replace('/', ',')}-"

    return re.sub(r"[^\x20-\x7e]+", packed, folder.replace("&", "&-"))
