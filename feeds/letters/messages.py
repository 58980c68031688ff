"""Messages that are no letters: whether someone subscribed, and notes to the operator. Pure.

Neither can be left by a click: nobody is subscribed to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from feeds.letters import context, headers, parts, words
from feeds.letters.headers import MailIdentity
from feeds.model import Letter, Subscriber
from feeds.publication import Publication
from feeds.publication import render as fill
from feeds.text import clean


@dataclass(frozen=True, slots=True)
class Question:
    """How someone is asked whether they subscribed (double opt-in).

    `confirm` is the https address of the page that asks once more, None where the installation has no
    public address; `mailto` is then the address to which a message confirms, and the token that its
    subject ends in. `origin` says who asked: `web`, the form, or `import`, the operator. `sender` is
    the address of the envelope. Whoever did not ask may ignore it.
    """

    message_id: str
    moment: datetime
    mailto: tuple[str, str]
    confirm: str | None = None
    origin: str = "web"
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What the operator is told by mail: a subject, and lines of plain text."""

    email: str
    message_id: str
    moment: datetime
    subject: str
    lines: Sequence[str]


def confirmation(
    question: Question, wishes: Subscriber, publication: Publication, mail: MailIdentity
) -> Letter:
    """Return the message that asks `wishes.email` to confirm the subscription.

    Raises:
        DeliveryError: an address can't stand in a header.
        TemplateError: a template can't be rendered.
    """
    recipient = headers.address(wishes.email)
    lang = context.language(wishes, publication)
    values = _asked(question, wishes, publication, lang)
    subject = words.say(lang)("confirm_subject", title=clean(publication.title))
    bodies = [
        _whole(kind, fill(publication, f"confirm.{suffix}", values))
        for kind, suffix in ((parts.PLAIN, "txt"), (parts.HTML, "html"))
    ]
    boundary = parts.boundary(context.Markers.over(question, wishes, publication).stem)
    lines = [
        *_top(publication, mail, recipient, question.moment, subject, question.message_id),
        *headers.multipart(boundary),
        headers.content_language(lang),
        headers.AUTOMATIC,
    ]
    data = parts.joined(_head(lines), boundary, bodies)
    sender = question.sender and headers.address(question.sender, permanent=False)
    return Letter(recipient, question.message_id, subject, data, sender)


def _asked(
    question: Question, wishes: Subscriber, publication: Publication, lang: str
) -> dict[str, object]:
    """Return what the templates of a confirmation are filled with."""
    say = words.say(lang)
    address = headers.address(question.mailto[0], permanent=False)
    subject = f"confirm {headers.bare(question.mailto[1])}"
    page = headers.page(question.confirm) if question.confirm else None
    return {
        "say": say,
        "lang": lang,
        "title": publication.title,
        "confirm": page or headers.mailto(address, subject),
        "by_mail": page is None,
        "address": address,
        "subject": subject,
        "origin": question.origin,
        "channels": context.titles(wishes.channels, publication, say),
        "editions": ", ".join(map(say.edition, wishes.editions)),
        "email": wishes.email,
        "day": say.day(publication.local(question.moment)),
    }


def notice(message: Notice, publication: Publication, mail: MailIdentity) -> Letter:
    """Return a message in plain text to the operator; it is in English.

    Raises:
        DeliveryError: an address can't stand in a header.
    """
    recipient = headers.address(message.email)
    subject = clean(message.subject)
    body = _whole(parts.PLAIN, "\n".join(map(clean, message.lines)))
    lines = [
        *_top(publication, mail, recipient, message.moment, subject, message.message_id),
        "MIME-Version: 1.0",
        headers.content_language("en"),
        headers.AUTOMATIC,
    ]
    # The part's own header goes on with that of the message.
    data = _head(lines).removesuffix(b"\r\n") + body
    return Letter(recipient, message.message_id, subject, data)


def _top(  # noqa: PLR0913, PLR0917 -- what every header holds
    publication: Publication,
    mail: MailIdentity,
    recipient: str,
    moment: datetime,
    subject: str,
    message_id: str,
) -> Iterable[str]:
    """Yield the lines with which the header of any message begins."""
    yield headers.date(moment)
    yield headers.mailbox("From", mail.sender, publication.title)
    yield f"To: {recipient}"
    if mail.reply_to:
        yield headers.mailbox("Reply-To", mail.reply_to, publication.title)
    yield headers.subject(subject)
    yield f"Message-ID: {headers.message_id(message_id)}"


def _head(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def _whole(subtype: str, text: str) -> bytes:
    """Return a part without personal values, with its header."""
    return parts.fill(parts.prepare(subtype, (parts.normal(text),)), {})
