"""Room 5: the channels, and what each feed holds now. Pure.

In: a channel and its entries on record, in record order. Out: a feed, in reading order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from feeds.model import MEDIATOPICS, Channel, Entry, Feed, TopicCode, TopicShare, newest_first

GENERAL = Channel("general", "Other news", "News that gave no evidence of a topic")
"""The channel of entries without any topic."""

_SLUGS = (
    ("politics", "Politics", "11"),
    ("economy", "Economy", "04"),
    ("society", "Society", "14"),
    ("health", "Health", "07"),
    ("education", "Education", "05"),
    ("science", "Science and technology", "13"),
    ("environment", "Environment", "06"),
    ("conflict", "Conflict and peace", "16"),
    ("crime", "Crime and justice", "02"),
    ("disaster", "Disasters and accidents", "03"),
    ("labour", "Labour", "09"),
    ("sport", "Sport", "15"),
    ("arts", "Arts and media", "01"),
    ("lifestyle", "Lifestyle and leisure", "10"),
    ("human-interest", "Human interest", "08"),
    ("religion", "Religion", "12"),
    ("weather", "Weather", "17"),
)


def _default(slug: str, title: str, digits: str) -> Channel:
    code = TopicCode(f"medtop:{digits}000000")
    return Channel(slug, title, f"News on {MEDIATOPICS[code]}", (code,))


DEFAULTS = (*(_default(*row) for row in _SLUGS), GENERAL)
"""One channel for each top-level IPTC Media Topic, then `general`: the order of index and letter."""


def place(topics: Sequence[TopicShare], channels: Sequence[Channel]) -> str:
    """Return the slug of the topic channel of an entry: that of its primary topic, else `general`."""
    for share in topics[:1]:
        for channel in channels:
            if share.code in channel.topics:
                return channel.slug
    return GENERAL.slug


def secondary(topics: Sequence[TopicShare], channels: Sequence[Channel]) -> tuple[str, ...]:
    """Return the slugs of the channels of the secondary topics, in their order, without its own."""
    slugs = (place((share,), channels) for share in topics[1:])
    own = place(topics, channels)
    return tuple(dict.fromkeys(slug for slug in slugs if slug not in {own, GENERAL.slug}))


def feed(channel: Channel, recent: Iterable[Entry], since: datetime, max_bytes: int) -> Feed:
    """Return a channel's feed.

    `recent` holds the entries that entered or changed last, the latest first, already limited in
    number; they are taken until their texts fill `max_bytes`, at least one. `since` is when the
    channel came onto the record: an empty feed's `updated`.
    """
    taken: list[Entry] = []
    room = max_bytes
    for entry in recent:
        room -= _weight(entry)
        if room < 0 and taken:
            break
        taken.append(entry)
    taken.sort(key=newest_first)
    updated = max((entry.updated for entry in taken), default=since)
    return Feed(channel, tuple(taken), updated)


def _weight(entry: Entry) -> int:
    """Bytes of an entry in its largest form, at most: text escaped twice, and 2 kB around it."""
    text = "".join((entry.article.title, *entry.article.paragraphs))
    marks = sum(text.count(mark) for mark in "<>&\"'")
    return len(text.encode()) + marks * 9 + len(entry.article.paragraphs) * 20 + 2_000
