"""Checks of mail: whether it goes out now, for `status`; whether it will arrive, for `doctor`.

The latter connects to the mail server, to the mailbox of bounces and to the DNS; nothing is sent or
changed. One that can't be reached costs 10 seconds, the DNS 3.
"""

from __future__ import annotations

import email
import html
import re
import urllib.parse
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import Message
from email.utils import parseaddr
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from feeds import app as opened
from feeds import editions, slots
from feeds.app import App
from feeds.config import EditionSettings
from feeds.errors import ConfigError, FeedsError, ServerError
from feeds.model import DeliveryState, Letter, Subscriber
from feeds.pipeline import delivery, dnscheck, post
from feeds.pipeline.archive import SECRET
from feeds.pipeline.checks import Check
from feeds.pipeline.composing import thaw
from feeds.pipeline.dnscheck import Resolve
from feeds.store.subscribers import ACTIVE

if TYPE_CHECKING:
    from feeds.dkim import Signer
    from feeds.mailbox import Place

CLIP = 102_000
"""Bytes of HTML after which Gmail shows no more of a letter."""

_SECONDS = 10.0  # to wait for a server
_BITS = 2048  # of a key: RFC 8301, section 3.2
_ONE_CLICK = 77  # characters that no mail program breaks
_LATE = timedelta(hours=1)
_NUMBER = 9_999_999  # of a subscriber, whose links are as long as they get
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LINK = re.compile(r'\s(?:href|src)="([^"]*)"')
_FREEMAIL = re.compile(
    r"(gmail|googlemail|aol|icloud|live|me|mac|msn|ymail|protonmail|qq|163|126)\.com|proton\.me"
    r"|(mail|inbox|list|bk|internet|ya|rambler)\.ru|web\.de"
    r"|(yahoo|outlook|hotmail|yandex|gmx)\.(com?\.)?[a-z]{2,3}"
)


def quick(app: App, now: datetime) -> Iterator[Check]:
    """Yield whether letters go out now, and what became of the latest; asks nobody."""
    yield _sending(app, now)
    yield from _latest(app)


def examine(app: App, now: datetime, resolve: Resolve | None = None) -> Iterator[Check]:
    """Yield the thorough checks; `resolve` asks the DNS. Letters as files need few of them."""
    if app.settings.mail.bounces is not None:
        yield _bounces(app)
        if _place(app) is None:  # no letter can be made then
            return
    try:
        signer = post.signer(app)
    except ConfigError as error:
        signer = None
        advice = "the README says how to make a key"
        yield Check("dkim", ok=False, detail=str(error), advice=advice)
    else:
        yield from _key(app, signer)
    yield from _letter(app, now, signer)
    if app.settings.mail.transport != "smtp" or _refused(app) is not None:
        return
    yield _freemail(app)
    yield _leave(app)
    yield from _rates(app, now)
    if app.settings.mail.bounces is None:
        detail = "without mail.bounces nobody reads what comes back, from dead addresses"
        yield Check("bounces", ok=True, detail=detail)
    yield _server(app)
    domain, host = opened.mail_domain(app), app.settings.mail.host
    back = (post.bounce_address(app) or "").rpartition("@")[2]
    domains = [domain, *([back] if back else [])]
    yield from dnscheck.checks(domains, host, signer, resolve or dnscheck.resolver())


# How it goes now.


def _sending(app: App, now: datetime) -> Check:
    if (why := delivery.held(app)) is not None:
        advice = "`feeds send --release` lifts it; with --dry-run it shows what would go"
        return Check("sending", ok=False, detail=f"stopped since {why}", advice=advice)
    if (refused := _refused(app)) is not None:
        advice = "mend that in the configuration; `feeds config` shows what is in force"
        return Check("sending", ok=False, detail=f"{refused.key}: {refused.reason}", advice=advice)
    if delivery.awaits_hand(app):
        if app.store.editions.unsent():
            advice = "`feeds edition preview` shows one; `feeds send` sends the first ones"
            return Check("sending", ok=False, detail="letters wait for your hand", advice=advice)
        return Check("sending", ok=True, detail="the first letters will wait for `feeds send`")
    known = post.trouble(app) if app.settings.mail.transport == "smtp" else None
    if known is not None:
        again = f"tried again {'now' if known.until <= now else f'at {known.until:%H:%M} UTC'}"
        detail = f"the mail server takes no letters: {known.reason}; {again}"
        advice = "`feeds doctor` looks into it; `feeds send` tries at once"
        return Check("sending", ok=False, detail=detail, advice=advice)
    return Check("sending", ok=True, detail="letters go out when they are due")


def _refused(app: App) -> ConfigError | None:
    """Return why no letter may leave by this configuration, None when it may."""
    try:
        post.check(app.settings)
    except ConfigError as error:
        return error
    return None


def _latest(app: App) -> Iterator[Check]:
    """Yield what became of the letters of the latest editions, if some did not arrive."""
    said: list[str] = []
    advice = ""
    for settings in app.settings.editions:
        latest = app.store.editions.last(settings.name, composed=True)
        if latest is None:
            continue
        lost = len(app.store.deliveries.of(latest.id, DeliveryState.FAILED))
        held = app.settings.mail.on_uncertain == "hold"
        doubtful = len(app.store.deliveries.of(latest.id, DeliveryState.UNCERTAIN)) if held else 0
        what = f"of {latest.name} {latest.slot}"
        if lost:
            said.append(f"{lost} {what} failed for good")
            if lost * 2 > app.store.subscribers.count().get(ACTIVE, 0):
                advice = "`feeds doctor` looks into it; the log has the reasons"
        if doubtful:
            said.append(f"{doubtful} {what} may have arrived or not, and are held")
            slot = latest.slot.replace(":", "")
            advice = f"`feeds send --again {slot} --to ADDRESS` repeats one"
    if said:
        yield Check("delivery", ok=not advice, detail="; ".join(said), advice=advice)


# The key, the letter, the ways back.


def _key(app: App, signer: Signer | None) -> Iterator[Check]:
    """Yield whether the key that signs is fit for it, and nobody else's."""
    path = app.settings.mail.dkim_key
    if signer is None or path is None:
        if app.settings.mail.transport == "smtp":
            detail = (
                "no dkim_key below [mail]: the mail server has to sign; OpenDKIM then needs the line"
                " `SignHeaders *,+List-Unsubscribe-Post,+List-Unsubscribe`"
            )
            yield Check("dkim", ok=True, detail=detail)
        return
    mode, bits = path.stat().st_mode, signer.key.key_size
    if mode & 0o077:
        detail, advice = f"{path} is readable by others", f"`chmod 600 {path}`"
        yield Check("dkim", ok=False, detail=detail, advice=advice)
    elif bits < _BITS:
        detail = f"{path} has {bits} bits; receivers distrust fewer than {_BITS}"
        advice = f"`openssl genrsa -out {path}.new {_BITS}`, and a selector of its own in the DNS"
        yield Check("dkim", ok=False, detail=detail, advice=advice)
    else:
        detail = f"{path} signs, {bits} bits, as {signer.host}"
        yield Check("dkim", ok=True, detail=detail)


def _letter(app: App, now: datetime, signer: Signer | None) -> Iterator[Check]:
    """Yield checks of a letter made of the newest edition, as whoever takes everything gets it."""
    try:
        message = _sample(app, now)
    except FeedsError as error:
        advice = "`feeds edition preview` makes one as well"
        yield Check("letter", ok=False, detail=f"none can be made: {error}", advice=advice)
        return
    if message is None:
        return
    page = _html(message)
    size = len(page.encode())
    detail = f"{size / 1000:,.0f} kB of HTML in the newest edition; Gmail cuts at {CLIP // 1000} kB"
    advice = (
        "" if size <= CLIP else "a smaller max_entries below [[edition]], or a shorter template"
    )
    yield Check("clip", ok=size <= CLIP, detail=detail, advice=advice)
    if app.settings.mail.transport == "smtp":
        yield _links(page)
        yield _headers(message, signed=signer is not None, one_click=post.one_click(app))


def _sample(app: App, now: datetime) -> Message | None:
    """Return a letter of the newest edition, None when there is none; mints no key."""
    given = {"FEEDS_SECRET", "FEEDS_SECRET_FILE"} & app.environ.keys()
    if not given and not (app.settings.state_folder / SECRET).exists():
        return None
    anybody = Subscriber(_NUMBER, "you@example.org", now)
    for slotted in app.store.editions.newest(composed=True, limit=1):
        if (mix := editions.selection(thaw(slotted), anybody)) is not None:
            message_id = f"<doctor@{opened.mail_domain(app)}>"
            return email.message_from_bytes(delivery.letter(app, mix, anybody, message_id).data)
    return None


def html_size(letter: Letter) -> int:
    """Return the bytes of a letter's HTML."""
    return len(_html(email.message_from_bytes(letter.data)).encode())


def _html(message: Message) -> str:
    for part in message.walk():
        if part.get_content_type() == "text/html":
            return bytes(part.get_payload(decode=True) or b"").decode("utf-8", "replace")
    return ""


def _links(page: str) -> Check:
    """Check that a letter's links lead somewhere from anywhere."""
    for found in _LINK.findall(page):
        link = html.unescape(found)
        parts = urllib.parse.urlsplit(link)
        if link.startswith(("#", "mailto:")) or (
            parts.scheme in {"http", "https"} and parts.hostname not in {None, *_LOOPBACK}
        ):
            continue
        advice = "set base_url below [publication] to the public address of out/"
        return Check("links", ok=False, detail=f"{link} leads readers nowhere", advice=advice)
    return Check("links", ok=True, detail="all are absolute, and lead off this machine")


def _headers(message: Message, *, signed: bool, one_click: bool) -> Check:
    """Check that a letter can be left by a mail program's own button (RFC 8058)."""
    wanted = ["List-Unsubscribe", *(["List-Unsubscribe-Post"] if one_click else [])]
    missing = [name for name in wanted if message[name] is None]
    tags = dict(
        (part.strip().partition("=")[::2]) for part in str(message["DKIM-Signature"]).split(";")
    )
    covered = {name.strip().lower() for name in tags.get("h", "").split(":")}
    loose = [name for name in wanted if signed and name.lower() not in covered]
    uris = re.findall(r"<(https:[^>]*)>", str(message["List-Unsubscribe"]))
    detail, advice = "", "that is a fault of ours: please report it"
    if missing:
        detail = f"{missing[0]} is missing"
    elif loose:
        detail = f"{loose[0]} is not under the signature"
    elif one_click and (not uris or len(uris[0]) > _ONE_CLICK):
        detail, advice = "the address to leave is too long", "choose a shorter web.public_url"
    if detail:
        return Check("headers", ok=False, detail=detail, advice=advice)
    said = f"{' and '.join(wanted)} {'are' if one_click else 'is'} there"
    return Check("headers", ok=True, detail=said + (", and signed" if signed else ""))


def _freemail(app: App) -> Check:
    sender = parseaddr(opened.sender(app))[1]
    domain = sender.rpartition("@")[2].lower()
    if _FREEMAIL.fullmatch(domain):
        detail = f"mail from {domain} is refused when another server sends it (DMARC)"
        advice = "set from below [mail] to an address of a domain of your own"
        return Check("from", ok=False, detail=detail, advice=advice)
    return Check("from", ok=True, detail=sender)


def _leave(app: App) -> Check:
    """Check that there is a way to leave."""
    if post.one_click(app):
        detail = f"with one click at {app.settings.web.public_url}u/..."
        return Check("leave", ok=True, detail=detail)
    back = post.bounce_address(app)
    answers = back or parseaddr(app.settings.mail.reply_to or opened.sender(app))[1]
    if back is None:
        detail = (
            f"by mail to {answers}, which you read: `feeds subscribers remove`, within two days"
        )
    else:
        detail = f"by mail to {answers}, as mail.bounces reads it"
    return Check("leave", ok=True, detail=detail)


def _rates(app: App, now: datetime) -> Iterator[Check]:
    """Yield, for each edition, whether its letters are out before the next slot comes."""
    rate = app.settings.mail.rate
    if rate is None:
        return
    people = app.store.subscribers.all(ACTIVE)
    for settings in app.settings.editions:
        letters = sum(not one.editions or settings.name in one.editions for one in people)
        takes = rate.span * letters / rate.letters
        gap = _gap(app, settings, now)
        detail = f"{settings.name}: letters at {rate}, {letters:,} in all, take {_span(takes)}"
        if gap is not None and takes > gap:
            detail += f", the next slot comes after {_span(gap)}"
            advice = "raise rate below [mail]: what is left at the next slot is given up"
            yield Check("rate", ok=False, detail=detail, advice=advice)
        else:
            late = ", so that the last come late" if takes > _LATE else ""
            yield Check("rate", ok=True, detail=detail + late)


def _gap(app: App, settings: EditionSettings, now: datetime) -> timedelta | None:
    """Return the time between the next two slots of an edition, None when there are no two."""
    schedule = slots.parse(settings.cron, settings.timezone or app.publication.timezone)
    coming = slots.upcoming(schedule, now, 2)
    return coming[1].fires - coming[0].fires if len(coming) > 1 else None


def _span(span: timedelta) -> str:
    """Return a span for people: `45 minutes`, `7 hours`, `3 days`."""
    minutes = max(1, round(span.total_seconds() / 60))
    for size, unit in ((24 * 60 * 2, "day"), (120, "hour"), (1, "minute")):
        if minutes >= size:
            number = round(minutes / {"day": 1440, "hour": 60, "minute": 1}[unit])
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "1 minute"


# The servers.


def _server(app: App) -> Check:
    """Log in to the mail server, and leave again."""
    from feeds.outbox.smtp import Connection  # noqa: PLC0415 -- smtplib and ssl

    mail = app.settings.mail
    advice = "check host, port and security below [mail]"
    if mail.username is not None:
        advice = "check host, port, security and username below [mail], and FEEDS_MAIL_PASSWORD"
    try:
        server = post.connector(app)().server
        probe = Connection(server, command=_SECONDS, dot=_SECONDS)
        probe.open()
        probe.close()
    except ServerError as error:
        code = f" ({error.code})" if error.code else ""
        return Check("server", ok=False, detail=f"{error.reason}{code}", advice=advice)
    except FeedsError as error:
        return Check("server", ok=False, detail=str(error), advice=advice)
    where = f"{server.host}:{server.port}"
    if mail.security == "none" and mail.username is not None and server.host not in _LOOPBACK:
        detail, advice = f"{where} gets the password in clear", 'set security = "starttls" or "tls"'
        return Check("server", ok=False, detail=detail, advice=advice)
    how = {"none": "in clear", "tls": "by TLS", "starttls": "by STARTTLS"}[mail.security]
    return Check("server", ok=True, detail=f"{where} takes letters, {how}")


def _place(app: App) -> Place | None:
    """Return where mail that comes back is read, None where that is unset or wrong."""
    from feeds import mailbox  # noqa: PLC0415 -- imaplib

    try:
        return mailbox.place(app.settings.mail.bounces or "")
    except ValueError:
        return None


def _bounces(app: App) -> Check:
    """Check that mail that comes back can be read; leaves it unread."""
    from feeds import mailbox  # noqa: PLC0415 -- imaplib

    if (where := _place(app)) is None:
        advice = "as `imaps://NAME@HOST/FOLDER`, `maildir:PATH`, or the address that is piped to us"
        return Check("bounces", ok=False, detail="mail.bounces names no place", advice=advice)
    if where.way is mailbox.Way.PIPE:
        detail = f"{where.address}: the mail server has to pipe it into `feeds bounces -`"
        return Check("bounces", ok=True, detail=detail)
    if where.way is mailbox.Way.MAILDIR:
        where = mailbox.Place(where.way, where.address, path=str(Path(where.path).expanduser()))
    found: list[str] = []

    def look() -> None:
        try:
            first = mailbox.messages(where, opened.password(app, "bounces", "mail"))
            next(first, None)
        except FeedsError as error:
            found.append(str(error))
        else:
            found.append("")

    asking = Thread(target=look, daemon=True)  # the room itself waits for longer
    asking.start()
    asking.join(_SECONDS)
    reason = found[0] if found else f"{where}: no answer within {_SECONDS:.0f} seconds"
    if reason:
        advice = "check bounces below [mail]"
        return Check("bounces", ok=False, detail=reason, advice=advice)
    return Check("bounces", ok=True, detail=f"{where} can be read")
