"""A letter with what is personal left open, and how it is kept and filled. Pure.

A draft goes on record when the first letter is made from it: filled again it gives the same bytes,
whatever became of configuration, templates and words since. `_VERSION` says how it is filled; a
change of that needs a new number, and the old way beside it.
"""

from __future__ import annotations

import html
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feeds.letters import headers, parts
from feeds.letters.parts import Part
from feeds.model import EntryId, Letter

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter to all subscribers with equal terms.

    `domain` is the sender's, which signs. `answers` is the address to which a message leaves. `pages`
    is the https address that a token follows, for one click (RFC 8058) and the page of preferences;
    None where letters are left by mail alone. All are as configured when the draft was made. `head`
    is the header, like the pieces of a part literal text and names of personal values by turns.
    `entries` are those it shows, which its subscribers have when it has come.
    """

    subject: str
    domain: str
    answers: str
    pages: str | None
    boundary: str
    head: tuple[str, ...]
    parts: tuple[Part, ...]
    entries: tuple[EntryId, ...] = ()


@dataclass(frozen=True, slots=True)
class Addressee:
    """What is one subscriber's own in a letter.

    `message_id` and `token` were derived from the subscription by the caller; by the token its holder
    may leave. `sender` is the address of the envelope to which bounces go.
    """

    email: str
    message_id: str
    token: str
    sender: str = ""


def address(draft: Draft, to: Addressee) -> Letter:
    """Return the letter of a draft to one subscriber; equal arguments give equal bytes.

    Raises:
        DeliveryError: an address can't stand in a header, which is permanent for the subscriber's own;
            or the one-click URI is unfit, as one of more than 77 characters is.
    """
    recipient = headers.address(to.email)
    values = _values(draft, to, recipient)
    escaped = {name: html.escape(value) for name, value in values.items()}
    bodies = [
        parts.fill(part, escaped if part.subtype == parts.HTML else values) for part in draft.parts
    ]
    data = parts.joined(_filled(draft.head, values).encode(), draft.boundary, bodies)
    sender = to.sender and headers.address(to.sender, permanent=False)
    return Letter(recipient, to.message_id, draft.subject, data, sender)


def _values(draft: Draft, to: Addressee, recipient: str) -> dict[str, str]:
    """Return the personal values by the names that a draft knows them by."""
    leave_subject = f"unsubscribe {headers.bare(to.token)}"
    mailto = headers.mailto(draft.answers, leave_subject)
    page = headers.one_click(draft.pages + to.token) if draft.pages else None
    return {
        "to": recipient,
        "message_id": headers.message_id(to.message_id),
        "unsubscribe": headers.unsubscribe(page, mailto),
        "email": to.email,
        "leave": page or mailto,
        "manage": page or "",
        "address": draft.answers,
        "leave_subject": leave_subject,
    }


def _filled(pieces: Sequence[str], values: Mapping[str, str]) -> str:
    return "".join(values[piece] if at % 2 else piece for at, piece in enumerate(pieces))


def dump(draft: Draft) -> bytes:
    """Return a draft as bytes for the record; `load` is the inverse."""
    content = (
        draft.subject,
        draft.domain,
        draft.answers,
        draft.pages,
        draft.boundary,
        draft.head,
        [(part.subtype, part.encoding, part.pieces) for part in draft.parts],
        draft.entries,
    )
    text = json.dumps((_VERSION, content), ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode(), 9)


def load(data: bytes) -> Draft:
    """Return the draft that `dump` wrote.

    Raises:
        ValueError: the bytes are no draft, or one that a newer release made.
    """
    try:
        version, content = json.loads(zlib.decompress(data))
        return _read(version, content)
    except (zlib.error, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"no draft: {error}") from error


def _read(version: int, content: Sequence[Any]) -> Draft:
    if version != _VERSION:
        raise ValueError(f"version {version} is unknown")
    subject, domain, answers, pages, boundary, head, texts, entries = content
    made = tuple(parts.assemble(*text) for text in texts)
    return Draft(subject, domain, answers, pages, boundary, tuple(head), made, tuple(entries))
