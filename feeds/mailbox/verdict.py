"""What a server's refusal means. Pure.

In: the status and the text of a failed delivery (RFC 3464, sections 2.3.4 and 2.3.6). Out: its enhanced
status code (RFC 3463), whether the address is dead, and a sentence for people that names no address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from feeds.text import clean, shorten

_TEXT = 4_000  # characters of a text that are looked through
_REASON = 120  # characters of a reason
_UNCLEAR = re.compile(r"[245]\.0\.0")
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_WRITTEN = re.compile(
    r"(?<![\d.])([45]\.[0-7]\.\d{1,3})(?!\.?\d)"
)  # no version, no address of a host
_REPLY = re.compile(r"(?<![\d.])([45])\d\d(?=[ -])")

_SPAM = (
    r"\bspam|unsolicited|black ?list|block ?list|\bblocked\b|reputation|\bbanned\b|\bdmarc\b|\bdkim\b|"
    r"\bspf\b|unauthenticated|message (?:was )?(?:rejected|refused) due to"
)
_FULL = (
    r"(?:mailbox|mail ?folder) (?:is )?full|full mailbox|over ?-?(?:\w{1,10} )?quota|mailbox size limit|"
    r"quota (?:is |has been )?(?:exceeded|violation)|exceed\w* (?:\w{1,20} )?(?:storage|quota)|"
    r"insufficient (?:system )?storage|out of (?:storage )?space|space not enough"
)
_UNKNOWN = (
    r"user unknown|unknown (?:user|recipient|mailbox|address|local)|unrouteable address|no mailbox here|"
    r"no (?:such )?(?:user|recipient|mailbox|address|account|person) (?:here|by that name)|"
    r"no such (?:user|recipient|mailbox|address|account|person|local)|"
    r"(?:user|recipient|mailbox|account|address)\b.{0,80}?"
    r"(?:not (?:found|known|recogni[sz]ed)|unknown|does(?: not|n't) exist|no longer (?:exists|valid)|"
    r"not listed in|invalid)|does(?: not|n't) have an? \S{1,60}(?: \S{1,20})? account|"
    r"invalid (?:user|recipient|mailbox|address|final delivery user)|"
    r"not a (?:known|valid) (?:user|recipient|mailbox)"
)
_CLOSED = r"(?:account|mailbox)\b.{0,60}?(?:disabled|discontinued|suspended|deactivated|inactive)"
_NO_DOMAIN = (
    r"no such (?:domain|host)|domain (?:name )?(?:not found|does not exist)|nxdomain|null ?mx|"
    r"(?:host|domain|name) (?:or domain )?(?:name )?not found|does not accept mail"
)
_POLICY = r"\bpolic(?:y|ies)\b|access denied|not (?:authori[sz]ed|permitted)|relaying denied"
_TIME = r"timed? ?out|too long|expired|retry time"

# In the order of the look: a text of two minds is read as the milder one.
_MEANINGS = tuple(
    (code, re.compile(pattern, re.IGNORECASE))
    for pattern, code in (
        (_SPAM, "7.1"),
        (_FULL, "2.2"),
        (_UNKNOWN, "1.1"),
        (_CLOSED, "2.1"),
        (_NO_DOMAIN, "1.2"),
        (_POLICY, "7.1"),
        (_TIME, "4.7"),
    )
)
_OF_SENDER = frozenset({"1.5", "1.7", "1.8", "1.9"})  # these say nothing of the recipient
_REASONS = (
    ("1.2", "there is no such mail domain"),
    ("1.7", "our sender address was refused"),
    ("1.8", "our sender address was refused"),
    ("1.", "there is no such mailbox"),
    ("2.1", "the mailbox is closed"),
    ("2.2", "the mailbox is full"),
    ("2.3", "the letter is too large for the mailbox"),
    ("2.", "the mailbox takes no mail"),
    ("3.", "the server takes no such letter"),
    ("4.7", "the server could not be reached in time"),
    ("4.", "the server could not be reached"),
    ("5.", "the servers did not understand each other"),
    ("6.", "the letter could not be converted"),
    ("7.", "refused as spam or by policy"),
    ("", "refused without a reason"),
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z'-]{0,30}[.,:;!?]?")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a delivery: `hard` is a dead address, `status` None where nothing tells it."""

    status: str | None
    hard: bool
    reason: str


def judge(status: str, text: str, local: str = "", *, failed: bool = True) -> Verdict:
    """Return what a `status` field and the server's reply, or a notice's text, say together.

    A status that is missing or `5.0.0` is found in the text: an enhanced code there, else what its
    words mean, `5.1.1` for an unknown user. `failed` tells the class where nothing else does. Hard are
    5.1.x but for those that blame the sender (5.1.7, 5.1.8), and not where the text speaks of spam.
    `local` is the recipient's local part, which must not come into the reason.
    """
    text = text[:_TEXT]
    code = _derive(status, text, failed=failed)
    detail = code[2:] if code else ""
    blamed = _MEANINGS[0][1].search(text) is not None
    dead = detail.startswith("1.") and detail not in _OF_SENDER and not blamed
    if code == "5.1.0":  # "other address status": said of senders, too
        dead = dead and "sender" not in text.lower()
    reason = next(words for start, words in _REASONS if detail.startswith(start))
    if code:
        reason += f" ({code})"
    if detail.startswith("7.") and (said := _prose(text, local)):
        reason += f": {said}"
    return Verdict(code, failed and code is not None and code[0] == "5" and dead, reason)


def _derive(status: str, text: str, *, failed: bool) -> str | None:
    given = _ENHANCED.search(status[:_TEXT])
    if given and not _UNCLEAR.fullmatch(given[1]):
        return given[1]
    for code in _WRITTEN.finditer(text):
        if not _UNCLEAR.fullmatch(code[1]):
            return code[1]
    reply = _REPLY.search(text)
    meaning = _meaning(text)
    if not (given or reply or meaning):
        return None
    kind = reply[1] if reply else given[1][0] if given else "5" if failed else "4"
    return f"{kind}.{meaning or '0.0'}"


def _meaning(text: str) -> str | None:
    """Return subject and detail of the code that the words of a text stand for."""
    return next((code for code, pattern in _MEANINGS if pattern.search(text)), None)


def _prose(text: str, local: str) -> str:
    """Return the plain words of a reply: no address, host, link or number comes through."""
    reply = _REPLY.search(text)
    said = re.split(r"\n\s*\n", text[reply.start() :] if reply else text)[0]
    kept = [word for word in clean(said).split() if _PLAIN.fullmatch(word)]
    own = local.lower()
    return shorten(" ".join(word for word in kept if word.lower().strip(".,:;!?") != own), _REASON)
