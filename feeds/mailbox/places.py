"""Where mail that comes back is read, as the configuration names it. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

_EXPECTED = (
    "expected imaps://NAME@HOST/FOLDER, maildir:PATH, or the address whose mail is piped into "
    "feeds bounces; the first two may end in ?address=bounces@example.org"
)
_ADDRESS = re.compile(r"[^\s<>@,;:\"\\\x00-\x1f\x7f]{1,64}@[^\s<>@,;:\"\\/\x00-\x1f\x7f]{1,255}")
_PORTS = {"imaps": 993, "imap": 143}


class Way(StrEnum):
    """How a place is read."""

    IMAPS = "imaps"
    IMAP = "imap"
    MAILDIR = "maildir"
    PIPE = "pipe"


@dataclass(frozen=True, slots=True)
class Place:
    """Where mail that comes back is read.

    `address` is what bounces are sent to, without a token, or None where nothing tells it. For IMAP
    there are `host`, `port`, `login` and `folder`; for a Maildir there is `path`. Written out it names
    neither login nor address, for an error or a log.
    """

    way: Way
    address: str | None = None
    host: str = ""
    port: int = 0
    login: str = ""
    folder: str = "INBOX"
    path: str = ""

    def __str__(self) -> str:
        if self.way is Way.PIPE:
            return "standard input"
        if self.way is Way.MAILDIR:
            return f"maildir:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.way] else f":{self.port}"
        return f"{self.way}://{host}{port}/{self.folder}"

    @property
    def near(self) -> bool:
        """Whether its host is this machine: there nothing on the way has to be encrypted."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


@dataclass(frozen=True, slots=True)
class Message:
    """The start of a message, at most `mime.LIMIT` bytes.

    `done` marks it as read where it lies; until then it comes again. It may raise MailboxError.
    """

    data: bytes = field(repr=False)
    done: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)


def place(text: str) -> Place:
    """Return the place that a setting names.

    `imaps://NAME@HOST[:PORT][/FOLDER]`; `imap://` the same by STARTTLS, which only a host that is this
    machine may lack; `maildir:PATH`; or a mail address, whose mail is handed over by a pipe. In NAME and
    FOLDER, `%` and two digits stand for a character. `?address=` at the end names the address that
    bounces are sent to; by default it is the NAME, if that is one.

    Raises:
        ValueError: with what is expected.
    """
    text = text.strip()
    where, asked, address = text.partition("?address=")
    if asked and not _ADDRESS.fullmatch(address := unquote(address)):
        raise ValueError("expected an address after ?address=, as bounces@example.org")
    if where.startswith("maildir:"):
        path = where.removeprefix("maildir:")
        if not path or "\0" in path:
            raise ValueError("expected a folder, as maildir:/var/mail/bounces")
        return Place(Way.MAILDIR, address or None, path=path)
    if re.match(r"imaps?://", where, re.IGNORECASE):
        return _imap(where, address or None)
    if asked or not _ADDRESS.fullmatch(where):
        raise ValueError(_EXPECTED)
    return Place(Way.PIPE, where)


def _imap(url: str, address: str | None) -> Place:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(_EXPECTED) from error
    login, folder = unquote(parts.username or ""), unquote(parts.path[1:]) or "INBOX"
    if parts.password is not None:
        raise ValueError("the password has no place here: it is a secret of its own")
    if not login or not host or parts.query or parts.fragment or port == 0:
        raise ValueError(_EXPECTED)
    if not (login + folder + host).isprintable():
        raise ValueError("a control character has no place here")
    way = Way(parts.scheme)
    own = login if _ADDRESS.fullmatch(login) else None
    return Place(way, address or own, host, port or _PORTS[way], login, folder)
