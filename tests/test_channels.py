"""Room 5: one topic, one channel; what a feed holds, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from factories import ECONOMY, NOW, POLITICS, make_article, make_entry
from hypothesis import given
from hypothesis import strategies as st

from feeds import channels
from feeds.model import MEDIATOPICS, TopicShare

POLITICS_CHANNEL = channels.DEFAULTS[0]


def test_every_topic_has_one_channel_and_the_rest_goes_to_general() -> None:
    topics = [code for channel in channels.DEFAULTS for code in channel.topics]
    assert sorted(topics) == sorted(MEDIATOPICS)
    assert channels.DEFAULTS[-1] == channels.GENERAL


def test_an_entry_stands_on_the_channel_of_its_primary_topic() -> None:
    shares = (TopicShare(POLITICS, 0.6), TopicShare(ECONOMY, 0.3))
    assert channels.place(shares, channels.DEFAULTS) == "politics"
    assert channels.secondary(shares, channels.DEFAULTS) == ("economy",)


def test_no_topic_means_general() -> None:
    assert channels.place((), channels.DEFAULTS) == "general"
    assert channels.secondary((), channels.DEFAULTS) == ()


def test_an_empty_feed_is_as_old_as_its_channel() -> None:
    feed = channels.feed(POLITICS_CHANNEL, [], NOW, 1_000_000)
    assert (feed.entries, feed.updated) == ((), NOW)


def test_a_feed_is_as_new_as_its_newest_entry() -> None:
    entries = [make_entry(seq=n, updated=NOW - timedelta(days=n)) for n in (3, 1, 2)]
    assert channels.feed(POLITICS_CHANNEL, entries, NOW, 10**6).updated == NOW - timedelta(days=1)


def test_entries_stand_newest_first_then_by_place_in_the_digest() -> None:
    stamp = datetime(2026, 1, 1, tzinfo=UTC)
    same = make_article("Same", published=stamp)
    undated = make_article("Undated", published=None)
    entries = [
        make_entry(same, 1, position=2),
        make_entry(same, 2, position=1),
        make_entry(undated, 3, position=0, first_seen=stamp + timedelta(hours=1), updated=stamp),
    ]
    feed = channels.feed(POLITICS_CHANNEL, entries, NOW, 10**6)
    assert [entry.seq for entry in feed.entries] == [3, 2, 1]


@given(st.lists(st.integers(0, 3_000), max_size=20), st.integers(1, 100_000))
def test_a_feed_takes_the_latest_arrivals_until_it_is_full(sizes: list[int], room: int) -> None:
    entries = [make_entry(make_article(str(n), "<" * size), n) for n, size in enumerate(sizes)]
    feed = channels.feed(POLITICS_CHANNEL, entries, NOW, room)
    taken = {entry.seq for entry in feed.entries}
    assert taken == set(range(len(taken)))
    assert bool(taken) == bool(entries)
    written = sum(sizes[seq] * len("&amp;lt;") for seq in taken)
    assert written <= room or len(taken) == 1
