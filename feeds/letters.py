"""Room 9: a subscriber's part of an edition > a MIME message. Pure.

The message (RFC 5322, RFC 2045) is a multipart/alternative of a text and an HTML part, each from its
own template. Its header lines are written here: `EmailMessage` of Python 3.11 folds and encodes long
addresses (`=?utf-8?q?...?=` in List-Unsubscribe), which kills them. Nothing in it is random and no
clock is read: the same mix gives the same bytes, so a letter sent twice is the same letter.

Other languages join in `_WORDS`; a text without a translation falls back to English.
"""

from __future__ import annotations

import base64
import hashlib
import quopri
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime, parseaddr
from urllib.parse import quote

from feeds.errors import DeliveryError
from feeds.model import Letter, Mix, Section, Subscriber
from feeds.publication import MONTHS, Publication
from feeds.publication import render as fill
from feeds.text import clean, shorten

HTML_LIMIT = 80_000
"""Bytes of the HTML part, at most: Gmail clips a letter at about 102 kB, and counts more than we."""

_NAME_LIMIT = 60  # characters of a display name
_PREVIEW_LIMIT = 140  # characters after the subject that an inbox may show
_RESERVED = ":/?#[]@!$&'()*+,;=%~"  # RFC 3986, section 2.2, and what is already encoded
_LINE = 76  # RFC 2047, section 2: a line with an encoded word
_ADDRESS = re.compile(r"[^\s\x00-\x20\x7f<>()\[\],;:\\\"@]+@[^\s\x00-\x20\x7f<>()\[\],;:\\\"@]+")
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "day": "{weekday}, {day} {month} {year}",
        "name": "{name} edition",
        "archive": "From the archive",
        "lead": "Top news",
        "contents": "In this edition",
        "source": "Source: {credit}, {date}",
        "more": "{n} more in {channel} on the web",
        "whole": "Read this edition on the web",
        "elsewhere": "Also on the web",
        "older": "{n} older articles were filed on the web and are not in this letter.",
        "older_one": "1 older article was filed on the web and is not in this letter.",
        "why": "You receive this letter because {email} subscribes to the {name} edition of {title}: "
        "{channels}.",
        "every": "all channels",
        "leave": "Unsubscribe",
        "leaving": "opens a message to us: send it as it is.",
        "leaving_text": "To unsubscribe, send a message to {address} with the subject",
        "privacy": "This letter loads no images and tracks nothing: nobody learns whether you open "
        "it or what you follow.",
    },
}


@dataclass(frozen=True, slots=True)
class MailIdentity:
    """Who a letter is from, and what ties it to one subscriber.

    `sender` and `reply_to` are mailboxes (`news@example.org`, or `News <news@example.org>`; without a
    name the publication's title stands there). `domain` is the namespace of the List-Id (RFC 2919).
    `message_id` and the token in `unsubscribe` were derived from the subscription by the caller.
    """

    sender: str
    domain: str
    message_id: str
    unsubscribe: str
    reply_to: str | None = None


def render(
    mix: Mix, subscriber: Subscriber, publication: Publication, mail: MailIdentity
) -> Letter:
    """Return the letter of a mix to its subscriber.

    When the HTML part is larger than `HTML_LIMIT`, articles at the end of the fullest sections give
    way to a longer "more on the web".

    Raises:
        DeliveryError: an address can't stand in a header; permanent.
        TemplateError: a template can't be rendered.
    """
    context = _context(mix, subscriber, publication, mail)
    html = fill(publication, "letter.html", context)
    while (size := len(html.encode())) > HTML_LIMIT and mix.shown > 1:
        most = mix.shown - 1
        for _ in range(min(most, max(1, mix.shown - mix.shown * HTML_LIMIT // size))):
            mix = _shorter(mix)
        context = _context(mix, subscriber, publication, mail)
        html = fill(publication, "letter.html", context)
    text = fill(publication, "letter.txt", context)
    # Neither base64 nor quoted-printable can hold "=_" (RFC 2045, section 6.7, rule 1).
    boundary = "=_" + hashlib.sha256(mail.message_id.encode()).hexdigest()[:32]
    lines = [
        *_headers(mix, subscriber, publication, mail),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
        "",
        f"--{boundary}",
        *_part("plain", text),
        f"--{boundary}",
        *_part("html", html),
        f"--{boundary}--",
        "",
    ]
    data = "\r\n".join(lines).encode()
    return Letter(subscriber.email, mail.message_id, mix.subject, data)


def _shorter(mix: Mix) -> Mix:
    """Take the last article, the lead apart, out of the fullest section; the web copy has it."""

    def spare(section: Section) -> int:
        return sum(brief.entry != mix.lead.entry for brief in section.briefs)

    place = max(range(len(mix.sections)), key=lambda at: (spare(mix.sections[at]), at))
    section = mix.sections[place]
    gone = [brief for brief in section.briefs if brief.entry != mix.lead.entry][-1]
    kept = tuple(brief for brief in section.briefs if brief.entry != gone.entry)
    less = replace(section, briefs=kept, more=section.more + 1)
    return replace(mix, sections=(*mix.sections[:place], less, *mix.sections[place + 1 :]))


def _context(
    mix: Mix, subscriber: Subscriber, publication: Publication, mail: MailIdentity
) -> dict[str, object]:
    """Return what both templates are filled with; addresses are absolute."""
    words = _words(publication.language)
    below = _without_lead(mix)

    def say(key: str, **values: object) -> str:
        one = values.get("n") == 1 and words.get(f"{key}_one")
        return (one or words[key]).format(**values)

    return {
        "say": say,
        "mix": mix,
        "edition": mix.edition,
        "day": _day(mix.edition.slot, say),
        "lead_section": _section_of_lead(mix),
        "sections": below,
        "contents": _contents(mix, say),
        "elsewhere": [section for section in below if section.more and not section.briefs],
        "preview": _preview(mix),
        "email": subscriber.email,
        "channels": ", ".join(_titles(subscriber, publication)) or say("every"),
        "web": publication.url(mix.edition.path),
        "address": _addr_spec(mail.reply_to or mail.sender),
        "leave": _unsubscribe(mail),
        "leave_subject": f"unsubscribe {mail.unsubscribe}",
    }


def _words(language: str) -> Mapping[str, str]:
    primary = language.partition("-")[0].lower()
    return {**_WORDS["en"], **_WORDS.get(primary, {})}


def _day(slot: str, say: Callable[..., str]) -> str:
    """Return the day of a slot for people, as `Friday, 2 January 2026`."""
    day = datetime.fromisoformat(slot)
    names = {"weekday": WEEKDAYS[day.weekday()], "month": MONTHS[day.month - 1]}
    return say("day", day=day.day, year=day.year, **names)


def _contents(mix: Mix, say: Callable[..., str]) -> str:
    """Return the line that names the channels in the text part, and how much each has."""
    counts = (f"{each.title} {len(each.briefs) + each.more}" for each in mix.sections)
    return f"{say('contents')}: {' · '.join(counts)}"


def _section_of_lead(mix: Mix) -> Section:
    return next(section for section in mix.sections if mix.lead in section.briefs)


def _without_lead(mix: Mix) -> list[Section]:
    """Return the sections below the lead: an article stands once in a letter."""
    return [
        replace(section, briefs=tuple(brief for brief in section.briefs if brief != mix.lead))
        for section in mix.sections
    ]


def _preview(mix: Mix) -> str:
    """Return what an inbox shows after the subject: the next titles, else the lead's summary."""
    titles = [brief.title for section in _without_lead(mix) for brief in section.briefs]
    return shorten(" · ".join(titles[:3]) or mix.lead.summary, _PREVIEW_LIMIT)


def _titles(subscriber: Subscriber, publication: Publication) -> Iterable[str]:
    """Yield the titles of the channels that a subscriber chose."""
    for slug in subscriber.channels:
        channel = publication.channel(slug)
        yield channel.title if channel else slug


def _headers(
    mix: Mix, subscriber: Subscriber, publication: Publication, mail: MailIdentity
) -> Iterable[str]:
    """Yield the header lines of a letter; an address is never folded or encoded."""
    name, domain = mix.edition.name, _domain(mail.domain)
    label = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "edition"
    # In UTC: a newer zone file must not change the bytes of a letter that goes out again.
    yield f"Date: {format_datetime(mix.edition.composed.astimezone(UTC))}"
    yield f"From: {_mailbox('From', mail.sender, publication.title)}"
    yield f"To: {_checked(subscriber.email)}"
    if mail.reply_to:
        yield f"Reply-To: {_mailbox('Reply-To', mail.reply_to, publication.title)}"
    yield f"Subject: {_encoded('Subject', clean(mix.subject))}"
    yield f"Message-ID: {_bare(mail.message_id)}"
    yield f"List-Id: {_phrase('List-Id', f'{publication.title}: {name}')} <{label}.{domain}>"
    yield f"List-Unsubscribe: <{_unsubscribe(mail)}>"
    yield f"List-Archive: <{_bare(quote(publication.url(mix.edition.path), safe=_RESERVED))}>"
    yield "Auto-Submitted: auto-generated"
    yield f"Content-Language: {_bare(publication.language)}"


def _unsubscribe(mail: MailIdentity) -> str:
    """Return the address that ends the subscription by mail (RFC 2369, section 3.2; RFC 6068)."""
    address = quote(_addr_spec(mail.reply_to or mail.sender), safe="@")
    return f"mailto:{address}?subject=unsubscribe%20{quote(mail.unsubscribe, safe='')}"


def _mailbox(header: str, mailbox: str, default: str) -> str:
    """Return `"Name" <address>` for a header, with `default` where the mailbox has no name."""
    name = parseaddr(mailbox)[0] or default
    return f"{_phrase(header, name)} <{_addr_spec(mailbox)}>"


def _addr_spec(mailbox: str) -> str:
    """Return the address alone of a mailbox."""
    return _checked(parseaddr(mailbox)[1])


def _checked(address: str) -> str:
    """Return an address as it may stand in a header, an international domain in its ASCII form.

    A local part beyond ASCII stays as it is (RFC 6532). Quoted local parts are refused: nothing that
    ends a header line or an angle bracket comes through.
    """
    local, _, domain = address.rpartition("@")
    if not _ADDRESS.fullmatch(address):
        raise DeliveryError(address, None, "an address can't stand in a header", permanent=True)
    return f"{local}@{_domain(domain)}"


def _domain(domain: str) -> str:
    """Return a domain in ASCII: an international one as A-labels (RFC 5890)."""
    try:
        return _bare(domain if domain.isascii() else domain.encode("idna").decode("ascii"))
    except UnicodeError as error:
        raise DeliveryError(domain, None, "no mail domain", permanent=True) from error


def _phrase(header: str, text: str) -> str:
    """Return a display name: a quoted string (RFC 5322, section 3.2.4), or encoded words."""
    text = shorten(clean(text), _NAME_LIMIT)
    encoded = _encoded(header, text)
    return encoded if encoded != text else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _encoded(header: str, text: str) -> str:
    """Return clean text as it stands in a header: as it is, or as encoded words (RFC 2047)."""
    if text.isascii() and "=?" not in text:
        return text
    return Header(text, "utf-8", _LINE, header).encode(linesep="\r\n")


def _bare(text: str) -> str:
    """Drop whatever isn't printable ASCII, spaces too: for ids, domains and addresses on the web."""
    return _UNPRINTABLE.sub("", text)


def _part(subtype: str, text: str) -> Iterable[str]:
    """Yield the lines of a text part, in the shorter of the two safe encodings."""
    lines = text.strip("\n").replace("\r", "").split("\n")
    data = "".join(f"{line}\r\n" for line in lines).encode()
    quoted, packed = _quoted(data), base64.encodebytes(data).decode("ascii")
    name, body = ("quoted-printable", quoted) if len(quoted) <= len(packed) else ("base64", packed)
    yield f'Content-Type: text/{subtype}; charset="utf-8"'
    yield f"Content-Transfer-Encoding: {name}"
    yield ""
    yield from body.rstrip("\r\n").split("\n")
    yield ""


def _quoted(data: bytes) -> str:
    """Return bytes as quoted-printable (RFC 2045, section 6.7), with lines that no relay touches.

    Mailboxes of the mbox kind put ">" before a line that begins with "From ".
    """
    text = quopri.encodestring(data.replace(b"\r\n", b"\n")).decode("ascii")
    return re.sub(r"^From (?=.)", "=46rom=\n ", text, flags=re.MULTILINE)
