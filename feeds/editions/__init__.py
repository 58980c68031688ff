"""Room 8: what is new for one name of the newsletter > an edition; and each subscriber's part. Pure.

In: entries that came onto the record since the last edition of that name, and what the configuration
says of it. Out: an edition, frozen (it goes on record as JSON, and a restart never selects again), or
the reason why there is none. An editor may change it (`hand`) until the first of its letters goes.
"""

from __future__ import annotations

from feeds.editions.hand import NOTE_LIMIT, annotated, headed, note, without
from feeds.editions.making import Occasion, Reason, Terms, compose, correction
from feeds.editions.record import as_json, dropped, from_json
from feeds.editions.selecting import RELATED, mentioned, selection
from feeds.editions.wording import SUBJECT_LIMIT

__all__ = [
    "NOTE_LIMIT",
    "RELATED",
    "SUBJECT_LIMIT",
    "Occasion",
    "Reason",
    "Terms",
    "annotated",
    "as_json",
    "compose",
    "correction",
    "dropped",
    "from_json",
    "headed",
    "mentioned",
    "note",
    "selection",
    "without",
]
