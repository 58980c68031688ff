"""The header of a message, line by line (RFC 5322, section 2.2). Pure.

`EmailMessage` of Python 3.11 folds and encodes long addresses (`=?utf-8?q?...?=` in
List-Unsubscribe), which kills them (https://github.com/odoo/odoo/issues/289182); so header lines are
written here. Nothing that ends a line comes through: text is cleaned, names are quoted or encoded
(RFC 2047), addresses are checked. Lines are folded at 78 characters where folding is allowed, and
never within an address.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime, parseaddr
from urllib.parse import quote

from feeds.errors import DeliveryError
from feeds.text import clean, shorten

URI_LIMIT = 77
"""Characters of the https URI in List-Unsubscribe, at most: longer ones are broken on the way."""

AUTOMATIC = "Auto-Submitted: auto-generated"
"""Says that nobody should answer by program (RFC 3834, section 5)."""

_ADDRESS_LIMIT = 254  # RFC 5321, section 4.5.3.1.3: a path of 256 with its angle brackets
_NAME_LIMIT = 60  # characters of a display name
_LABEL_LIMIT = 60  # characters of the first label of a List-Id, which has 255 in all (RFC 2919)
_LINE = 78  # RFC 5322, section 2.1.1: should be no longer
_LONGEST = 998  # RFC 5322, section 2.1.1: must be no longer
_ENCODED_LINE = 76  # RFC 2047, section 2: a line with an encoded word
_SENDER_ID = 15  # characters of the last field of Feedback-ID, at most; 5 at least
_RESERVED = ":/?#[]@!$&'()*+,;=%~"  # RFC 3986, section 2.2, and what is already encoded
# No control characters, spaces (U+0085 and U+2028 are such) or specials; what is beyond ASCII is kept.
_ADDRESS = re.compile(r"[^\s\x00-\x20\x7f<>()\[\],;:\\\"@]+@[^\s\x00-\x20\x7f<>()\[\],;:\\\"@]+")
_PLAIN = re.compile(r"[!#-'*+\-./-9=?A-Z^-~]+@[A-Za-z0-9.-]+")  # what most addresses are
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_HTTPS = re.compile(r"https://[^\x00-\x20<>,\"\x7f-\U0010ffff]+")
_MESSAGE_ID = re.compile(r"<[!#-'*+\-./-9=?A-Z^-~]+@[!#-'*+\-./-9=?A-Z^-~]+>")


@dataclass(frozen=True, slots=True)
class MailIdentity:
    """Who letters are from, and how they are left.

    `sender` and `reply_to` are mailboxes (`news@example.org`, or `News <news@example.org>`; without a
    name the publication's title stands there). `domain` is the namespace of the List-Id (RFC 2919).
    `help` is an address that answers questions. `answers` is the address to which a message
    `unsubscribe TOKEN` goes; empty, it is that of `reply_to`, else of `sender`. `pages` is the https
    address of the subscription pages that a token follows, as `https://news.example.org/u/`; without
    it letters are left by mail.
    """

    sender: str
    domain: str
    reply_to: str | None = None
    help: str | None = None
    answers: str = ""
    pages: str | None = None


def left_open(name: str) -> str:
    """Return what stands for a personal value in a line until `opened` parts the lines there."""
    return f"\0{name}\0"


def opened(lines: Iterable[str]) -> tuple[str, ...]:
    """Return a header and the empty line after it: literal text and names of values by turns."""
    return tuple("\r\n".join((*lines, "", "")).split("\0"))


def date(moment: datetime) -> str:
    """Return the Date line, in UTC: a newer zone file must not change it when it is made again."""
    return f"Date: {format_datetime(moment.astimezone(UTC))}"


def subject(text: str) -> str:
    """Return the Subject line, or its lines when it needs encoded words."""
    return f"Subject: {_encoded('Subject', clean(text))}"


def mailbox(header: str, value: str, name: str) -> str:
    """Return the line of a mailbox, `"Name" <address>`, with `name` where `value` has none.

    Raises:
        DeliveryError: the address can't stand in a header; not permanent, as it is configured.
    """
    phrase = _phrase(header, parseaddr(value)[0] or name)
    return _joined(f"{header}: {phrase}", f"<{own_address(value)}>")


def multipart(boundary: str) -> Iterable[str]:
    """Yield the lines that say what a message of several parts is (RFC 2046, section 5.1.4)."""
    yield "MIME-Version: 1.0"
    yield f'Content-Type: multipart/alternative; boundary="{boundary}"'


def content_language(tag: str) -> str:
    """Return the Content-Language line (RFC 3282)."""
    return f"Content-Language: {bare(tag)[:_NAME_LIMIT] or 'en'}"


def list_id(title: str, name: str, domain: str) -> str:
    """Return the List-Id line of an edition's name (RFC 2919); `domain` is its namespace."""
    phrase = _phrase("List-Id", f"{title}: {name}")
    return _joined(f"List-Id: {phrase}", f"<{label(name)}.{a_label(domain)}>")


def feedback_id(slot: str, name: str, domain: str) -> str:
    """Return the Feedback-ID line, by which Gmail counts complaints: edition, name, kind and sender.

    Four fields, no personal data, at most 127 characters. The sender has 5 to 15.
    https://support.google.com/a/answer/6254652
    """
    ascii_domain = a_label(domain).lower()
    sender = re.sub(r"[^a-z0-9]", "", ascii_domain)
    if not 5 <= len(sender) <= _SENDER_ID:  # noqa: PLR2004 -- as said above
        sender = sender[:9] + hashlib.sha256(ascii_domain.encode()).hexdigest()[:6]
    moment = re.sub(r"[^0-9A-Za-z-]", "", slot)[:24] or "none"
    return f"Feedback-ID: {moment}:{label(name)[:40]}:feeds:{sender}"


def list_address(header: str, uri: str) -> Iterable[str]:
    """Yield the line of a list's address (RFC 2369), unless it is too long for any line."""
    line = f"{header}: <{bare(quote(uri, safe=_RESERVED))}>"
    if len(line) <= _LONGEST:
        yield line


def unsubscribe(https: str | None, mailto: str) -> str:
    """Return what stands in List-Unsubscribe, and List-Unsubscribe-Post when there is an https URI.

    The https URI comes first, each URI stands whole on a line of its own (RFC 2369, section 2), and
    the second header says that it takes one click (RFC 8058, section 3.1).
    """
    if https is None:
        return f"<{mailto}>"
    return f"<{https}>,\r\n <{mailto}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click"


def one_click(uri: str) -> str:
    """Return an https URI as List-Unsubscribe may hold it.

    Raises:
        DeliveryError: it is none, or longer than `URI_LIMIT`; not permanent, as it is ours.
    """
    if len(uri) > URI_LIMIT:
        reason = f"the one-click address has {len(uri)} characters, at most {URI_LIMIT} are safe"
        raise DeliveryError("", None, reason, permanent=False)
    return page(uri)


def page(uri: str) -> str:
    """Return an https URI as a header may hold it.

    Raises:
        DeliveryError: it is none; not permanent, as it is ours.
    """
    if not _HTTPS.fullmatch(uri) or len(uri) > _LONGEST // 2:
        raise DeliveryError("", None, "a link to leave is no https address", permanent=False)
    return uri


def mailto(to: str, about: str = "") -> str:
    """Return the URI that writes to an address, under a subject if there is one (RFC 6068)."""
    return f"mailto:{quote(to, safe='@')}" + (about and f"?subject={quote(about, safe='')}")


def message_id(value: str) -> str:
    """Return a Message-ID (RFC 5322, section 3.6.4).

    Raises:
        DeliveryError: it is none; not permanent, as it is ours.
    """
    if not _MESSAGE_ID.fullmatch(value) or len(value) > _LONGEST // 2:
        raise DeliveryError("", None, "no Message-ID", permanent=False)
    return value


def own_address(value: str) -> str:
    """Return the address alone of a mailbox that is configured.

    Raises:
        DeliveryError: it can't stand in a header; not permanent.
    """
    return address(parseaddr(value)[1], permanent=False)


def address(value: str, *, permanent: bool = True) -> str:
    """Return an address as it may stand in a header, an international domain in its ASCII form.

    A local part beyond ASCII stays as it is (RFC 6532). Quoted local parts are refused: nothing that
    ends a header line or an angle bracket comes through.

    Raises:
        DeliveryError: it can't stand in a header.
    """
    if _PLAIN.fullmatch(value) and len(value) <= _ADDRESS_LIMIT:
        return value
    local, _, domain = value.rpartition("@")
    if not _ADDRESS.fullmatch(value) or not _encodable(local):
        reason = "an address can't stand in a header"
        raise DeliveryError(value, None, reason, permanent=permanent)
    made = f"{local}@{a_label(domain, permanent=permanent)}"
    if len(made.encode()) > _ADDRESS_LIMIT:
        raise DeliveryError(value, None, "an address is too long", permanent=permanent)
    return made


def a_label(domain: str, *, permanent: bool = False) -> str:
    """Return a domain in ASCII: an international one as A-labels (RFC 5890).

    Raises:
        DeliveryError: there is no such form.
    """
    try:
        made = bare(domain if domain.isascii() else domain.encode("idna").decode("ascii"))
    except UnicodeError as error:
        raise DeliveryError(domain, None, "no mail domain", permanent=permanent) from error
    if not made:
        raise DeliveryError(domain, None, "no mail domain", permanent=permanent)
    return made


def label(name: str) -> str:
    """Return an edition's name as one label of a domain."""
    made = re.sub(r"[^a-z0-9-]+", "-", name.lower()[:_LABEL_LIMIT]).strip("-")
    return made or "edition"


def bare(text: str) -> str:
    """Drop whatever isn't printable ASCII, spaces too: for domains and addresses on the web."""
    return _UNPRINTABLE.sub("", text)


def _encodable(text: str) -> bool:
    """Whether text has no lone surrogates, nor what hides or forbidden characters."""
    return clean(text) == text


def _joined(first: str, second: str) -> str:
    """Return two parts of a line with a space, or a fold where they are too long for one line."""
    last = first.rpartition("\r\n")[2]
    return first + (" " if len(last) + 1 + len(second) <= _LINE else "\r\n ") + second


def _phrase(header: str, text: str) -> str:
    """Return a display name: a quoted string (RFC 5322, section 3.2.4), or encoded words."""
    text = shorten(clean(text), _NAME_LIMIT)
    quoted = '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    if _encoded(header, text) == text and len(f"{header}: {quoted}") <= _LINE:
        return quoted
    return _words(header, text)


def _encoded(header: str, text: str) -> str:
    """Return clean text as it stands in a header: as it is, or as encoded words (RFC 2047)."""
    if text.isascii() and "=?" not in text and len(f"{header}: {text}") <= _LINE:
        return text
    return _words(header, text)


def _words(header: str, text: str) -> str:
    return Header(text, "utf-8", _ENCODED_LINE, header).encode(linesep="\r\n")
