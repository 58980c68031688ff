"""Room 9: a part of an edition > a draft; a draft and an addressee > a MIME message. Pure.

A message (RFC 5322, RFC 2045) is a multipart/alternative of a text and an HTML part, each from its
own template. `draft` renders once for all subscribers with equal terms, `address` makes the letter of
one of them. Nothing in it is random and no clock is read: equal arguments give equal bytes, so a
letter sent twice is the same letter.
"""

from __future__ import annotations

from collections.abc import Iterable

from feeds.letters import context, headers, parts
from feeds.letters.context import Markers
from feeds.letters.drafts import Addressee, Draft, address, dump, load
from feeds.letters.headers import MailIdentity
from feeds.letters.inlining import inlined
from feeds.letters.messages import Notice, Question, confirmation, notice
from feeds.model import Mix, Subscriber
from feeds.publication import Publication, shipped
from feeds.publication import render as fill

__all__ = [
    "HTML_LIMIT", "Addressee", "Draft", "MailIdentity", "Notice", "Question",
    "address", "confirmation", "draft", "dump", "load", "notice",
]  # fmt: skip

HTML_LIMIT = 80_000
"""Bytes of the HTML part, at most: Gmail clips a letter at about 102 kB, and counts more than we."""

_PERSONAL_LIMIT = 254  # bytes that a personal value may need


def draft(mix: Mix, wishes: Subscriber, publication: Publication, mail: MailIdentity) -> Draft:
    """Return the letter of a mix for all whose terms are equal: channels, languages, what they had.

    Of `wishes` only channels and languages play a part. When the HTML part is larger than `HTML_LIMIT`,
    articles at the end of the fullest sections give way to a longer "more on the web".

    Raises:
        DeliveryError: an address of `mail` can't stand in a header, or its pages have no https address.
        TemplateError: a template can't be rendered.
    """
    terms = (wishes.channels, wishes.languages)
    markers = Markers.over(mix, terms, publication, mail)
    while True:
        values = context.letter(mix, wishes, publication, markers, pages=bool(mail.pages))
        html = markers.cut("letter.html", _html(publication, values))
        size = sum(
            _PERSONAL_LIMIT if at % 2 else len(piece.encode()) for at, piece in enumerate(html)
        )
        if size <= HTML_LIMIT or mix.shown <= 1:
            break
        for _ in range(min(mix.shown - 1, max(1, mix.shown - mix.shown * HTML_LIMIT // size))):
            mix = context.shorter(mix)
    text = markers.cut("letter.txt", parts.normal(fill(publication, "letter.txt", values)))
    boundary = parts.boundary(markers.stem)
    lang = context.language(wishes, publication)
    return Draft(
        subject=mix.subject,
        domain=headers.a_label(mail.domain),
        answers=headers.own_address(mail.answers or mail.reply_to or mail.sender),
        pages=headers.page(mail.pages) if mail.pages else None,
        boundary=boundary,
        head=headers.opened(_head(mix, lang, publication, mail, boundary)),
        parts=(parts.prepare(parts.PLAIN, text), parts.prepare(parts.HTML, html)),
        entries=mix.entries,
    )


def _html(publication: Publication, values: dict[str, object]) -> str:
    """Return the HTML part; in a template of the user's own, rules join the elements they mean."""
    made = fill(publication, "letter.html", values)
    return parts.normal(made if shipped(publication, "letter.html") else inlined(made))


def _head(
    mix: Mix, lang: str, publication: Publication, mail: MailIdentity, boundary: str
) -> Iterable[str]:
    """Yield the header lines of a letter, with personal values left open."""
    name, title = mix.edition.name, publication.title
    yield headers.date(mix.edition.composed)
    yield headers.mailbox("From", mail.sender, title)
    yield f"To: {headers.left_open('to')}"
    if mail.reply_to:
        yield headers.mailbox("Reply-To", mail.reply_to, title)
    yield headers.subject(mix.subject)
    yield f"Message-ID: {headers.left_open('message_id')}"
    yield from headers.multipart(boundary)
    yield headers.content_language(lang)
    yield headers.list_id(title, name, mail.domain)
    yield f"List-Unsubscribe: {headers.left_open('unsubscribe')}"
    yield from headers.list_address("List-Archive", publication.url(mix.edition.path))
    if mail.help:
        yield from headers.list_address("List-Help", headers.mailto(headers.own_address(mail.help)))
    elif mail.pages:
        yield f"List-Help: <{headers.left_open('manage')}>"
    yield headers.AUTOMATIC
    yield headers.feedback_id(mix.edition.slot, name, mail.domain)
