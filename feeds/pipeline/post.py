"""What sending needs of the installation: who letters are from, the server, the key that signs.

Letters and other mail share it; so do the limits of how often one is tried.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from functools import partial
from typing import TYPE_CHECKING, Protocol

from feeds import app as opened
from feeds import tokens
from feeds.app import App
from feeds.config import Settings
from feeds.errors import ConfigError, ServerError
from feeds.model import DeliveryState, Letter, Subscriber
from feeds.pipeline.despatch import Outcome, Rules
from feeds.pipeline.progress import report
from feeds.store.notes import Note

if TYPE_CHECKING:
    from feeds.dkim import Signer
    from feeds.letters import Addressee, Draft, MailIdentity
    from feeds.outbox.smtp import Connection

log = logging.getLogger(__name__)

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_EACH, _CONNECTIONS = 500, 10  # letters that are worth a connection, and the most connections
_TOLD = 5  # refusals of a run that the log tells one by one
_PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))


class Maker(Protocol):
    """Makes the letter of a draft to one subscriber, signed if there is a key."""

    def __call__(self, draft: Draft, message_id: str, person: Subscriber, /) -> Letter:
        """Return the letter.

        Raises:
            DeliveryError: an address can't stand in a header.
        """
        ...


def check(settings: Settings) -> None:
    """Refuse a configuration by which no letter may leave by SMTP.

    Raises:
        ConfigError: there is no sender, or no way for recipients to leave.
    """
    mail, public = settings.mail, settings.web.public_url or ""
    if mail.transport != "smtp":
        return
    if mail.sender is None:
        reason = 'needed with transport = "smtp": the address that letters come from'
        raise ConfigError("mail.from", "configuration", reason)
    if mail.unsubscribe == "https" and not public.startswith("https://"):
        reason = (
            "letters must be left with one click: set web.public_url to the https address of the"
            ' subscription pages, or unsubscribe = "mailto" below [mail]'
        )
        raise ConfigError("web.public_url", "configuration", reason)


def one_click(app: App) -> bool:
    """Whether letters are left with one click on the web, rather than by mail."""
    public = app.settings.web.public_url or ""
    return app.settings.mail.unsubscribe == "https" and public.startswith("https://")


def identity(app: App) -> MailIdentity:
    """Return who letters are from."""
    from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

    sender, reply_to = opened.sender(app), app.settings.mail.reply_to
    return letters.MailIdentity(
        sender=sender,
        domain=opened.mail_domain(app),
        reply_to=reply_to,
        # That mailbox is read by program, the others perhaps by nobody.
        answers=bounce_address(app) or reply_to or sender,
        pages=f"{app.settings.web.public_url}u/" if one_click(app) else None,
    )


def maker(app: App, moment: datetime) -> Maker:
    """Return what makes letters; `moment` is when they count as signed, so that bytes stay the same.

    Raises:
        StoreError: the key of tokens can't be read.
        ConfigError: the key that signs can't be.
    """
    from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

    sign, addressee = signer(app), addresser(app)

    def make(draft: Draft, message_id: str, person: Subscriber, /) -> Letter:
        letter = letters.address(draft, addressee(person, message_id))
        # The domain in From is the draft's: another one's signature would not be aligned with it.
        return signed(letter, sign and replace(sign, domain=draft.domain.lower()), moment)

    return make


def addresser(app: App) -> Callable[[Subscriber, str], Addressee]:
    """Return what tells a letter of its subscriber: the address, the token, where bounces go."""
    from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

    key, back = opened.secret(app), back_to(app)

    def addressee(person: Subscriber, message_id: str) -> Addressee:
        token = tokens.subscription(key, person)
        return letters.Addressee(person.email, message_id, token, back(person))

    return addressee


def back_to(app: App) -> Callable[[Subscriber | None], str]:
    """Return what tells the sender on the envelope of mail to a subscriber, or to someone else.

    Bounces go there: to an address of the subscription's own where they are read, else to the sender.
    """
    from feeds.mailbox.addresses import verp  # noqa: PLC0415 -- imaplib, with the rest of the room

    key, own, returns = opened.secret(app), parseaddr(opened.sender(app))[1], bounce_address(app)

    def back(person: Subscriber | None) -> str:
        if returns is None or person is None:
            return own
        return verp(returns, tokens.bounce(key, person))

    return back


def bounce_address(app: App) -> str | None:
    """Return the address to which letters come back, None where nothing reads them.

    Raises:
        ConfigError: `mail.bounces` names no place.
    """
    if app.settings.mail.bounces is None:
        return None
    from feeds import mailbox  # noqa: PLC0415 -- imaplib

    try:
        return mailbox.place(app.settings.mail.bounces).address
    except ValueError as error:
        raise ConfigError("mail.bounces", "configuration", str(error)) from error


def signer(app: App) -> Signer | None:
    """Return the key that signs, if one is configured.

    Raises:
        ConfigError: it can't be read.
    """
    mail = app.settings.mail
    if mail.dkim_key is None:
        return None
    from feeds import dkim  # noqa: PLC0415 -- cryptography, 0.1 s

    try:
        return dkim.load(mail.dkim_key.read_bytes(), opened.mail_domain(app), mail.dkim_selector)
    except OSError as error:
        reason = f"{mail.dkim_key}: {error.strerror}"
        raise ConfigError("mail.dkim_key", "configuration", reason) from error
    except ValueError as error:
        raise ConfigError("mail.dkim_key", "configuration", f"{mail.dkim_key}: {error}") from error


def signed(letter: Letter, by: Signer | None, moment: datetime) -> Letter:
    """Return a letter with its signature on top, when there is a key."""
    if by is None:
        return letter
    from feeds import dkim  # noqa: PLC0415 -- as above

    return replace(letter, data=dkim.sign(by, letter.data, moment))


def connector(app: App) -> Callable[[], Connection]:
    """Return what gives a connection to the configured server, not open yet."""
    from feeds.outbox.smtp import Connection, Server  # noqa: PLC0415 -- smtplib and ssl

    mail = app.settings.mail
    server = Server(
        host=mail.host,
        port=mail.port or _PORTS[mail.security],
        security=mail.security,  # type: ignore[arg-type]  # one of its names, as read
        username=mail.username,
        password=opened.password(app, "mail") if mail.username else None,
        hello=opened.mail_domain(app),
    )
    context = ssl.create_default_context() if mail.security != "none" else None
    return partial(Connection, server, context=context)


def rules(app: App, count: int) -> Rules:
    """Return how so many letters are sent.

    Few go over one connection: after a kill as many are uncertain as there were connections.
    """
    mail = app.settings.mail
    worth = min(-(-count // _EACH), _CONNECTIONS)
    return Rules(
        mail.connections or max(worth, 1), mail.retry, resend=mail.on_uncertain == "resend"
    )


def recover(app: App) -> None:
    """Settle what a killed process left under way; the caller holds the lock."""
    resend = app.settings.mail.on_uncertain == "resend"
    for kind, ledger in (("letters", app.store.deliveries), ("messages", app.store.messages)):
        unsent, uncertain = ledger.recover(app.now(), resend=resend)
        if resend:
            ledger.let_go(app.now())
        if unsent or uncertain:
            fate = "sent again, the same to the byte" if resend else "held"
            log.warning(
                "sending was cut short %s unsent=%d uncertain=%d (%s)",
                kind,
                unsent,
                uncertain,
                fate,
            )


def tell(outcome: Outcome, what: str) -> None:
    """Log what went wrong: the server's trouble once, the first refusals one by one."""
    if outcome.trouble is not None:
        log.error("the mail server takes no letters %s: %s", what, outcome.trouble)
    elif broken := [error for _, error in outcome.refusals if isinstance(error, ServerError)]:
        log.warning("the mail server broke off %s count=%d: %s", what, len(broken), broken[0])
    for parcel, error in outcome.faults[:_TOLD]:
        report(log, error, "delivery failed", f"{what} {parcel.id}")
    told = [
        (parcel, error)
        for parcel, error in outcome.refusals
        if not isinstance(error, ServerError) and error.reason
    ]
    for parcel, error in told[:_TOLD]:
        log.warning("delivery %d %s: %s", parcel.id, what, error)
    if len(told) > _TOLD:
        log.warning("deliveries refused or put off %s: %d more", what, len(told) - _TOLD)


def remember(app: App, outcome: Outcome) -> None:
    """Put on record that the server is in trouble, so that it is left in peace; or that it isn't."""
    if outcome.trouble is None:
        if outcome.done[DeliveryState.SENT]:
            app.store.notes.strike(Note.SERVER)
        return
    known = trouble(app)
    tries = known.tries + 1 if known else 1
    until = app.now() + _PAUSES[min(tries, len(_PAUSES)) - 1]
    app.store.notes.write(
        Note.SERVER, f"{until.astimezone(UTC).isoformat()} {tries} {outcome.trouble.reason}"
    )


@dataclass(frozen=True, slots=True)
class Trouble:
    """That the mail server took nothing: how often in a row, and until when it is left in peace."""

    until: datetime
    tries: int
    reason: str


def trouble(app: App) -> Trouble | None:
    """Return the mail server's trouble, if it is in any."""
    if (said := app.store.notes.read(Note.SERVER)) is None:
        return None
    until, tries, reason = said.split(" ", 2)
    return Trouble(datetime.fromisoformat(until), int(tries), reason)
