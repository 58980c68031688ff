"""The mailbox room's reader: the bytes of one message > what it reports. Pure; raises nothing.

Read are delivery status notifications (RFC 3464, RFC 6533), complaints (RFC 5965), the notices of
servers that write neither, answers to our confirmation mail, and requests to leave (RFC 2369). Nothing
read here is trusted: anyone can write such a message. What ties it to a subscriber is a token, which the
caller verifies for the purpose that `Report.origin` tells; without one the Message-ID, which nobody but
the recipient was told. `mime` reads the parts, `verdict` the meaning of a refusal, `addresses` tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote

from feeds.mailbox import addresses
from feeds.mailbox.mime import Part, content, decoded, fields_of, parse
from feeds.mailbox.verdict import judge

_REPORTS = 100  # of one message
_GROUPS = 30  # recipients of one report; ours has one
_NOTICE = 16_000  # characters of a notice that are looked through

_TOKEN = re.compile(r"(?<![\w.-])([0-9]{1,18}\.[A-Za-z0-9_-]{24})(?![\w-])", re.ASCII)
_SUBJECT = re.compile(
    r"\bunsubscribe(?:\s|%20|[+:_])+([0-9]{1,18}\.[A-Za-z0-9_-]{24})(?![\w-])", re.IGNORECASE
)
# A confirmation must be a person's: nothing but marks of an answer may stand before it.
_CONFIRM = re.compile(
    r"(?:\s*(?:re|fwd?|aw|wg|antw|sv|vs|tr|res|rif|odp|ynt|ha|отв|ответ|жауап)(?:\[\d{1,3}\])?:|\s*\[[^\]]{1,20}\])*\s*"
    r"confirm(?:\s|%20|[+:_])+([0-9]{1,18}\.[A-Za-z0-9_-]{24})\s*",
    re.IGNORECASE,
)
_MESSAGE_ID = re.compile(r"<[^<>\s@]{1,200}@[^<>\s@]{1,200}>")
_ADDRESS = re.compile(r"[^\s<>@,;:\"\x00-\x1f\x7f]{1,64}@[^\s<>@,;:\"\x00-\x1f\x7f]{1,255}")
_GROUP_END = re.compile(rb"(?:\r?\n[ \t]*){2,}")

_ENVELOPE = (
    "to",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-delivered-to",
)
_COMPLAINTS = frozenset({"abuse", "fraud", "virus", "other", "opt-out", "opt-out-list"})
_STATUS_KIND = "message/delivery-status"
_FEEDBACK_KIND = "message/feedback-report"

_FROM_SERVER = re.compile(
    r"m(?:ailer-?)?daemon|postmaster|delivery (?:sub)?system|system administrator", re.IGNORECASE
)
_UNDELIVERED = re.compile(
    r"undeliver|returned mail|mail returned|failure (?:notice|delivery)|failed (?:mail|recipient)|"
    r"(?:not|n't) (?:be )?(?:able to )?deliver|un(?:able|possible) to deliver|non-?delivery|mail error|"
    r"(?:mail|message)? ?delivery (?:status|report|notification|fail|has failed|problem|warning|system)|"
    r"error (?:during|while) (?:delivery|processing)|delivery (?:has been |is )?(?:postponed|delayed)|"
    r"message .{0,30}delayed|user unknown|not yet been delivered|non remis|unzustellbar|"
    r"недоставлен|не доставлен|не может быть доставлен|невозможно доставить|не удалось доставить",
    re.IGNORECASE,
)
_STILL_TRYING = re.compile(
    r"(?:will|attempts?) (?:be retried|keep trying|continue|retry)|attempts will|still trying|"
    r"not yet been delivered|delivery .{0,60}(?:delayed|postponed)|no action is required",
    re.IGNORECASE,
)
_RETURNED = re.compile(  # a line of the head of a letter, or one that says what follows
    r"^(?:return-path|received|dkim-signature|message-id|list-unsubscribe|mime-version):|"
    r"^-{2,}.{0,40}(?:copy of|original message|returned (?:message|mail)|message header)",
    re.IGNORECASE | re.MULTILINE,
)


class Kind(StrEnum):
    """What a message reports. Only a failed delivery is a bounce; a delayed one is tried again."""

    BOUNCE = "bounce"
    DELAYED = "delayed"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    CONFIRM = "confirm"
    IGNORED = "ignored"


class Origin(StrEnum):
    """Where a token was found, which tells the purpose it must have been minted for.

    `envelope`: in an address that `addresses.verp` made, so `bounce`. `letter`: in the List-Unsubscribe
    of the returned letter, so what that was made with. `subject`, and `address` (one that
    `addresses.worded` made): as the kind of the report says.
    """

    ENVELOPE = "envelope"
    LETTER = "letter"
    SUBJECT = "subject"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Report:
    """What a message reports; forged until its token, or else its Message-ID, is found to be ours.

    `status` is the enhanced code (RFC 3463); `hard` is true of a bounce for which no second is needed.
    `message_id` is that of the returned letter, with its angle brackets. `recipient` is the address of
    the letter, as the report has it; no other field holds one. `reason` is a sentence for people.
    """

    kind: Kind
    reason: str
    status: str | None = None
    hard: bool = False
    token: str | None = None
    origin: Origin | None = None
    message_id: str | None = None
    recipient: str | None = field(default=None, repr=False)


def read(data: bytes) -> tuple[Report, ...]:
    """Return what a message reports: one report, or one for each report attached to it, at most 100.

    The recipients of one report are one letter's, so they make one report: of failure before delay,
    hard only if all failed so. A message that is of no use is one report `ignored` that says why. Not
    more than the first megabyte is looked at.
    """
    message = parse(data)
    if not message.fields and not message.body.strip():
        return (Report(Kind.IGNORED, "an empty message"),)
    found = _machine_report(message)
    if found is not None:
        return (found,)
    attached = [
        made
        for part in message.walk()
        if part.kind == "message/rfc822"
        for inner in part.parts
        if (made := _machine_report(inner)) is not None
    ]
    if attached:
        return tuple(attached[:_REPORTS])
    return (_notice(message) or _request(message) or Report(Kind.IGNORED, _why(message)),)


def _machine_report(message: Part) -> Report | None:
    """Return what the part for machines of a report says, or None without one."""
    for part in message.walk():
        if part.kind == _STATUS_KIND:
            return _delivery_status(message, part)
        if part.kind == _FEEDBACK_KIND:
            return _feedback(message, part)
        if part.kind == "message/disposition-notification":
            return Report(Kind.IGNORED, "a receipt for a letter that was read")
    letter = _letter(message)  # of Microsoft's programme, which knows no RFC 5965
    if letter and message.first("subject").lower().startswith("complaint about message from"):
        recipient = _first_address(letter.first("x-hmxmroriginalrecipient") or letter.first("to"))
        return _about(Kind.COMPLAINT, "marked as spam", message, letter, recipient=recipient)
    return None


def _delivery_status(message: Part, part: Part) -> Report | None:
    """Return what a delivery status notification says of its recipients (RFC 3464, section 2).

    None where it names no action: then the notice beside it may say more.
    """
    groups = [
        dict(reversed(fields_of(group))) for group in _GROUP_END.split(content(part))[:_GROUPS]
    ]
    groups = [group for group in groups if group.keys() & {"final-recipient", "action", "status"}]
    failed = [group for group in groups if _action(group) == "failed"]
    delayed = [group for group in groups if _action(group) == "delayed"]
    letter = _letter(message)
    if not failed and not delayed:
        said = {_action(group) for group in groups} & {"delivered", "relayed", "expanded"}
        return Report(Kind.IGNORED, f"no failure: {', '.join(sorted(said))}") if said else None
    kind = Kind.BOUNCE if failed else Kind.DELAYED
    notice = _notice_text(message)
    made = []
    for group in failed or delayed:
        recipient = _recipient(group)
        text = group.get("diagnostic-code", "").partition(";")[2] or notice
        local = (recipient or "").rpartition("@")[0]
        verdict = judge(group.get("status", ""), text, local, failed=bool(failed))
        made.append((verdict.hard, recipient, verdict))
    _, recipient, verdict = min(made, key=lambda each: each[0])
    named = [group.get("final-recipient", "") for group in failed or delayed]
    return _about(
        kind,
        verdict.reason,
        message,
        letter,
        status=verdict.status,
        hard=verdict.hard,
        recipient=recipient,
        named=named,
    )


def _action(group: dict[str, str]) -> str:
    """Return the action of a recipient's group in lower case, after its status where it is missing."""
    said = re.split(r"[^a-z]", group.get("action", "").lower())[0]
    status = group.get("status", "").strip()[:2]
    said = said or {"5.": "failed", "4.": "delayed"}.get(status, "")
    return "failed" if said in {"failure", "error"} else said  # seen, though RFC 3464 knows neither


def _feedback(message: Part, part: Part) -> Report:
    """Return what a complaint says (RFC 5965, section 3)."""
    fields = dict(reversed(fields_of(content(part).strip())))
    about = fields.get("feedback-type", "").lower().partition("(")[0].strip()
    if about not in _COMPLAINTS:
        other = about if about in {"not-spam", "auth-failure", "dmarc"} else "of another type"
        return Report(Kind.IGNORED, f"feedback that is no complaint: {other}")
    letter = _letter(message)
    recipient = _recipient(fields) or _first_address(letter.first("to") if letter else "")
    sender = fields.get("original-mail-from", "")
    return _about(
        Kind.COMPLAINT,
        f"marked as {about}",
        message,
        letter,
        recipient=recipient,
        named=[sender],
    )


def _about(  # noqa: PLR0913 -- a report, and where its token may stand
    kind: Kind,
    reason: str,
    message: Part,
    letter: Part | None,
    *,
    status: str | None = None,
    hard: bool = False,
    recipient: str | None = None,
    named: Iterable[str] = (),
) -> Report:
    """Return a report with the letter that it is about, and the first token for it."""
    places = [*message.all(*_ENVELOPE), *named, *(letter.all("return-path") if letter else ())]
    answered = [] if letter else message.all("in-reply-to", "references")
    ids = [
        *(letter.all("message-id") if letter else ()),
        *message.all("x-original-message-id"),
        *answered,
    ]
    message_id = next((found[0] for each in ids if (found := _MESSAGE_ID.search(each))), None)
    token, origin = next(_tokens(places, letter), (None, None))
    return Report(kind, reason, status, hard, token, origin, message_id, recipient)


def _tokens(places: Iterable[str], letter: Part | None) -> Iterator[tuple[str, Origin]]:
    """Yield the tokens of a report's addresses, then those of the letter's List-Unsubscribe."""
    for place in places:
        for token in addresses.bounced(place):
            yield token, Origin.ENVELOPE
    for value in letter.all("list-unsubscribe") if letter else ():
        for found in _TOKEN.finditer(unquote(value)):
            yield found[1], Origin.LETTER


def _recipient(fields: dict[str, str]) -> str | None:
    """Return the recipient as the sender wrote it, else as the last server did."""
    names = ("original-recipient", "original-rcpt-to", "final-recipient", "removal-recipient")
    found = (_first_address(fields.get(name, "").rpartition(";")[2]) for name in names)
    return next((address for address in found if address), None)


def _first_address(value: str) -> str | None:
    found = _ADDRESS.search(value)
    return found[0] if found else None


def _letter(message: Part) -> Part | None:
    """Return the letter that a report holds, whole or its head alone."""
    for part in message.walk():
        if part.kind in {"message/rfc822", "text/rfc822-headers"} and part.parts:
            return part.parts[0]
    return None


def _notice_text(message: Part) -> str:
    """Return the text that a report has for people, its start."""
    texts = (part.text for part in message.walk() if part.kind == "text/plain")
    return next(texts, "")[:_NOTICE]


def _notice(message: Part) -> Report | None:
    """Return what the notice of a server says that writes no part for machines, or None.

    So do qmail (https://cr.yp.to/proto/qsbmf.txt), old Exim and gateways. The letter stands as a part,
    or in the text below the notice.
    """
    text = _notice_text(message)
    subject = decoded(message.first("subject"))
    qmail = text.lstrip().startswith("Hi. This is the")
    server = message.first("return-path") == "<>" or _FROM_SERVER.search(message.first("from"))
    ours = any(next(addresses.bounced(to), "") for to in message.all(*_ENVELOPE))
    named = message.first("x-failed-recipients")
    likely = server or (ours and not _automatic(message))  # nobody else knows that address
    if not (qmail or named or (likely and _UNDELIVERED.search(f"{subject}\n{text[:1000]}"))):
        return None
    returned = _RETURNED.search(text)
    said = text[: returned.start()] if returned else text
    letter = _letter(message)
    if letter is None and returned:
        letter = Part("text/plain", fields_of(text[returned.start() :].encode()), b"")
    failed = not _STILL_TRYING.search(said)
    recipient = _first_address(named or said)
    verdict = judge("", said, (recipient or "").rpartition("@")[0], failed=failed)
    return _about(
        Kind.BOUNCE if failed else Kind.DELAYED,
        verdict.reason,
        message,
        letter,
        status=verdict.status,
        hard=verdict.hard,
        recipient=recipient,
    )


def _request(message: Part) -> Report | None:
    """Return the request to leave, or the confirmation, that a mail carries.

    A confirmation by a machine is none: an automatic answer to our mail repeats its subject. A request
    to leave may be written by a mail program by itself; an answer it can't be, as we write no such
    subject.
    """
    automatic = _automatic(message)
    subject = decoded(message.first("subject"))
    asked = [
        (word, token, Origin.ADDRESS)
        for address in message.all(*_ENVELOPE)
        for word, token in addresses.asked(address)
    ]
    if found := _SUBJECT.search(subject):
        asked.append(("unsubscribe", found[1], Origin.SUBJECT))
    if found := _CONFIRM.fullmatch(subject):
        asked.append(("confirm", found[1], Origin.SUBJECT))
    sender = _first_address(message.first("from"))
    for word, token, origin in asked:
        if word == "unsubscribe" and automatic in {None, "generated by a machine"}:
            return Report(
                Kind.UNSUBSCRIBE, "asked to leave", token=token, origin=origin, recipient=sender
            )
        if word == "confirm" and automatic is None and message.first("return-path") != "<>":
            return Report(
                Kind.CONFIRM, "confirmed by mail", token=token, origin=origin, recipient=sender
            )
    return None


def _automatic(message: Part) -> str | None:
    """Return how it shows that a machine wrote a message (RFC 3834, sections 2 and 5), or None."""
    submitted = re.split(r"[;(\s]", message.first("auto-submitted").lower())[0]
    if submitted == "auto-generated":
        return "one of our own letters" if message.first("list-id") else "generated by a machine"
    named = any(
        name.startswith(
            ("x-autorepl", "x-autoresp", "x-auto-reply", "x-mail-autoreply", "x-vacation")
        )
        for name, _ in message.fields
    )
    suppressed = "all" in message.first("x-auto-response-suppress").lower()  # Exchange, when away
    if submitted not in {"", "no"} or named or suppressed:
        return "an automatic answer"
    if message.first("precedence").lower() in {"bulk", "junk", "list", "auto_reply"}:
        return "sent in bulk"
    return None


def _why(message: Part) -> str:
    """Return why a message is of no use, without a word of its own."""
    return _automatic(message) or "neither a report nor a request that is understood"
