from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from factories import NOW, make_article, make_entry, make_publication
from hypothesis import given
from hypothesis import strategies as st

from feeds.editions import (
    NOTE_LIMIT,
    RELATED,
    SUBJECT_LIMIT,
    Occasion,
    Reason,
    Terms,
    annotated,
    as_json,
    compose,
    correction,
    dropped,
    from_json,
    headed,
    mentioned,
    note,
    selection,
    without,
)
from feeds.model import Brief, Correction, Edition, Entry, EntryId, Mix, Subscriber
from feeds.text import clean

PUBLICATION = make_publication()
SLUGS = [channel.slug for channel in PUBLICATION.channels]
TERMS = Terms("daily", "Asia/Almaty")
OCCASION = Occasion("2026-01-02T08:00", datetime(2026, 1, 2, 3, tzinfo=UTC), NOW)
HOUR = timedelta(hours=1)


def make_edition(
    entries: Sequence[Entry],
    terms: Terms = TERMS,
    occasion: Occasion = OCCASION,
    also: dict[EntryId, tuple[str, ...]] | None = None,
) -> Edition:
    made = compose(entries, occasion, terms, PUBLICATION, also or {})
    assert isinstance(made, Edition)
    return made


def make_subscriber(**changes: tuple[str, ...]) -> Subscriber:
    return replace(Subscriber(7, "you@example.org", NOW), **changes)  # type: ignore[arg-type]  # the keys are fields


def lead_of(mix: Mix) -> Brief:
    assert mix.lead is not None
    return mix.lead


def make_mix(edition: Edition, **changes: tuple[str, ...]) -> Mix:
    mix = selection(edition, make_subscriber(**changes))
    assert mix is not None
    return mix


def entry_of(seq: int, channel: str = "politics", **changes: object) -> Entry:
    """Return an entry titled by its number, an hour older than the one before it."""
    title = str(changes.pop("title", f"Title {seq}"))
    extra = {"published": NOW - seq * HOUR} | {
        key: changes.pop(key) for key in ("published", "lang") if key in changes
    }
    changes = {"position": seq} | changes
    return make_entry(make_article(title, **extra), seq, channel=channel, **changes)


QUAKES = (
    "Strong earthquake shakes Almaty at night",
    "People of Almaty run into streets after earthquake",
    "Schools of Almaty closed after strong earthquake",
    "How the night of the earthquake went in Almaty streets",
)
QUAKE = "A strong earthquake of magnitude 5.8 shook Almaty at night; people ran into the streets."


def quake_of(seq: int, channel: str = "politics", **changes: object) -> Entry:
    """Return an entry that tells of the earthquake, an hour older than the one before it."""
    published = changes.pop("published", NOW - seq * HOUR)
    article = make_article(QUAKES[seq % 4], QUAKE, published=published)
    return make_entry(article, seq, channel=channel, **{"position": seq} | changes)


def told(edition: Edition, *groups: Sequence[int]) -> Edition:
    """Return an edition whose briefs, by these numbers, tell the same stories."""
    briefs = list(edition.briefs)
    for group in groups:
        first = briefs[group[0]].entry
        for place in group:
            briefs[place] = replace(briefs[place], story=first)
    return replace(edition, briefs=tuple(briefs))


def make_correction(entry: Entry, kind: str = "corrected", **changes: object) -> Correction:
    values: dict[str, object] = {
        "entry": entry.id,
        "kind": kind,
        "channels": (entry.channel,),
        "title": entry.article.title,
        "date": "2 January 2026",
        "path": entry.path,
        "lang": "en",
    }
    return Correction(**values | changes)  # type: ignore[arg-type]  # the keys are fields


def titles(mix: Mix) -> dict[str, list[str]]:
    return {each.slug: [brief.title for brief in each.briefs] for each in mix.sections}


# What an edition carries


def test_nothing_new_waits_and_then_makes_no_edition() -> None:
    early = replace(OCCASION, now=OCCASION.fires + TERMS.wait - timedelta(seconds=1))
    assert compose([], early, TERMS, PUBLICATION, {}) is Reason.WAITING
    late = replace(OCCASION, now=OCCASION.fires + TERMS.wait)
    assert compose([], late, TERMS, PUBLICATION, {}) is Reason.NOTHING_NEW


def test_the_old_is_counted_and_not_carried() -> None:
    edge = entry_of(1, published=NOW - TERMS.max_age)
    old = entry_of(2, published=NOW - TERMS.max_age - timedelta(seconds=1))
    edition = make_edition([edge, old])
    assert [brief.entry for brief in edition.briefs] == [edge.id]
    assert (edition.older, edition.from_archive) == (1, False)
    late = replace(OCCASION, now=OCCASION.fires + TERMS.wait)
    assert compose([old], replace(late, now=NOW), TERMS, PUBLICATION, {}) is Reason.NOTHING_NEW


def test_a_first_edition_takes_the_archive_and_says_so() -> None:
    first = replace(OCCASION, first=True)
    old = entry_of(1, published=NOW - timedelta(days=900))
    edition = make_edition([entry_of(2), old], occasion=first)
    assert {brief.entry for brief in edition.briefs} == {old.id, entry_of(2).id}
    assert (edition.older, edition.from_archive) == (0, True)
    assert not make_edition([entry_of(2)], occasion=first).from_archive


def test_an_undated_article_is_as_old_as_its_sight() -> None:
    fresh = entry_of(1, published=None, first_seen=NOW - HOUR)
    stale = entry_of(2, published=None, first_seen=NOW - timedelta(days=8))
    edition = make_edition([fresh, stale])
    assert [brief.entry for brief in edition.briefs] == [fresh.id]
    assert edition.briefs[0].date == "received 2 January 2026"
    assert not edition.briefs[0].dated


def test_briefs_stand_by_channel_and_then_newest_first() -> None:
    entries = [entry_of(4, "sport"), entry_of(3), entry_of(2, "general"), entry_of(1), entry_of(5)]
    edition = make_edition(entries)
    assert [brief.title for brief in edition.briefs] == [
        "Title 1", "Title 3", "Title 5", "Title 4", "Title 2",
    ]  # fmt: skip
    assert edition.channels == (
        ("politics", "Politics"), ("sport", "Sport"), ("general", "Other news"),
    )  # fmt: skip


def test_a_channel_that_the_publication_lost_still_stands_last() -> None:
    edition = make_edition([entry_of(1, "gone"), entry_of(2, "general")])
    assert edition.channels == (("general", "Other news"), ("gone", "gone"))


def test_a_brief_is_a_summary_with_its_source() -> None:
    words = " ".join(f"word{number}" for number in range(90))
    article = make_article("A title", words, source="Agency", lang="kk")
    (brief,) = make_edition([make_entry(article)]).briefs
    assert len(brief.summary.split()) == 40
    assert brief.summary.endswith("…")
    assert (brief.credit, brief.date, brief.lang) == ("Agency", "1 January 2026", "kk")


def test_words_without_end_do_not_fill_a_letter() -> None:
    (brief,) = make_edition([make_entry(make_article("t" * 9000, "w" * 90_000))]).briefs
    assert len(brief.title) <= 250
    assert len(brief.summary) <= 500


def test_an_edition_of_few_channels_places_an_article_by_the_first_it_takes() -> None:
    terms = replace(TERMS, channels=("economy", "health"))
    inside, outside, beside = entry_of(1, "economy"), entry_of(2), entry_of(3)
    also = {
        inside.id: ("sport",),
        outside.id: ("sport",),
        beside.id: ("sport", "health", "economy"),
    }
    edition = make_edition([inside, outside, beside], terms, also=also)
    placed = {brief.entry: (brief.channel, brief.also) for brief in edition.briefs}
    assert placed == {inside.id: ("economy", ()), beside.id: ("health", ("economy",))}


def test_an_edition_of_some_languages_takes_no_others() -> None:
    terms = replace(TERMS, languages=("kk", "EN"))
    entries = [entry_of(n, lang=lang) for n, lang in enumerate(("kk-KZ", "ru", "en", None), 1)]
    edition = make_edition(entries, terms)
    assert [brief.title for brief in edition.briefs] == ["Title 1", "Title 3", "Title 4"]


# The lead and the subject


def test_the_lead_is_the_first_article_of_the_digest_with_the_latest_news() -> None:
    entries = [
        entry_of(1, digest="new.txt", position=3),
        entry_of(9, digest="new.txt", position=1),
        entry_of(2, digest="new.txt", position=0, uncertain=True),
        entry_of(5, digest="old.txt", position=0),
        entry_of(6, digest="new.txt", position=0, published=None),
    ]
    assert make_edition(entries).lead == entries[1].id
    assert make_edition(entries[2:4]).lead == entries[3].id
    assert make_edition(entries[2:3]).lead == entries[2].id
    assert make_edition(entries[4:]).lead == entries[4].id


def test_the_lead_tells_the_story_that_most_articles_tell() -> None:
    quakes = [quake_of(5), quake_of(6, "disaster"), quake_of(7, uncertain=True)]
    edition = make_edition([entry_of(1), entry_of(2), *quakes])
    assert edition.lead == quakes[0].id
    assert {brief.entry: brief.story for brief in edition.briefs if brief.story} == dict.fromkeys(
        (entry.id for entry in quakes), quakes[0].id
    )


def test_the_lead_of_a_story_is_its_newest_certain_and_dated_article() -> None:
    unsure, newest = quake_of(1, uncertain=True), quake_of(2)
    undated, older = quake_of(3, published=None), quake_of(4)
    assert make_edition([unsure, older, undated, newest]).lead == newest.id
    assert make_edition([unsure, older, undated]).lead == older.id


def test_a_story_of_uncertain_articles_leads_only_among_such() -> None:
    unsure = [quake_of(1, uncertain=True), quake_of(2, uncertain=True)]
    certain = entry_of(9)
    assert make_edition([*unsure, certain]).lead == certain.id
    assert make_edition([*unsure, entry_of(9, uncertain=True)]).lead == unsure[0].id


def test_of_two_stories_of_one_size_the_first_of_the_digest_leads() -> None:
    body = (
        "Farmers of the north ended the grain harvest early, as rain and snow came to the fields."
    )
    harvest = [
        make_entry(make_article(title, body, published=NOW - 9 * HOUR), n, position=n)
        for n, title in ((1, "Grain harvest of north ends"), (3, "Snow ends grain harvest early"))
    ]
    quakes = [quake_of(2), quake_of(4)]
    assert make_edition([*quakes, *harvest]).lead == harvest[0].id


def test_the_subject_is_the_lead_and_how_many_more() -> None:
    edition = make_edition([entry_of(1, title="Grain harvest ends"), entry_of(2), entry_of(3)])
    assert edition.subject == "Grain harvest ends + 2 more"


@pytest.mark.parametrize(
    ("pattern", "alone"),
    [
        ("{lead} + {n} more", "Title 1"),
        ("{lead} and {n} other articles", "Title 1"),
        ("Morning: {lead}, {n} more · {date}", "Morning: Title 1 · 2 January"),
        ("News of {date}, {time}", "News of 2 January, 08:00"),
    ],
)
def test_nobody_reads_of_nought_more(pattern: str, alone: str) -> None:
    assert make_edition([entry_of(1)], replace(TERMS, subject=pattern)).subject == alone


def test_a_subject_is_never_that_of_another_edition() -> None:
    used: set[str] = set()
    for _ in range(3):
        occasion = replace(OCCASION, subjects=frozenset(used))
        used.add(make_edition([entry_of(1), entry_of(2)], occasion=occasion).subject)
    assert used == {
        "Title 1 + 1 more",
        "Title 1 + 1 more · 2 January",
        "Title 1 + 1 more · 2 January, 08:00",
    }


@given(st.text(min_size=1).map(clean).filter(bool), st.integers(0, 3), st.text())
def test_a_subject_is_short_and_one_line(title: str, others: int, pattern: str) -> None:
    entries = [entry_of(1, title=title, position=0)]
    entries += [entry_of(n + 2, position=n + 1) for n in range(others)]
    for subject in (TERMS.subject, pattern, pattern + "{lead}"):
        made = make_edition(entries, replace(TERMS, subject=subject)).subject
        assert len(made) <= SUBJECT_LIMIT
        assert made.isprintable() or clean(made) == made


def test_a_long_lead_is_cut_at_a_word_and_the_rest_stays() -> None:
    title = "Ministers agree on a very long list of measures for the whole of the coming year"
    subject = make_edition([entry_of(1, title=title), entry_of(2)]).subject
    assert subject == "Ministers agree on a very long list of measures… + 1 more"


# A subscriber's part


def test_a_subscriber_sees_an_article_once_and_under_their_own_channels() -> None:
    both, other = entry_of(1, "politics"), entry_of(2, "sport")
    edition = make_edition([both, other], also={both.id: ("health", "economy")})
    assert titles(make_mix(edition)) == {"politics": ["Title 1"], "sport": ["Title 2"]}
    assert titles(make_mix(edition, channels=("economy", "health"))) == {"health": ["Title 1"]}
    assert titles(make_mix(edition, channels=("economy",))) == {"economy": ["Title 1"]}
    assert selection(edition, make_subscriber(channels=("weather",))) is None


def test_what_a_subscriber_was_sent_before_is_left_out() -> None:
    edition = make_edition([entry_of(1), entry_of(2)])
    mix = selection(edition, make_subscriber(), {entry_of(1).id})
    assert mix is not None
    assert titles(mix) == {"politics": ["Title 2"]}
    assert (mix.subject, mix.more) == ("Title 2", 0)
    assert selection(edition, make_subscriber(), [brief.entry for brief in edition.briefs]) is None


def test_languages_are_compared_by_their_first_part() -> None:
    edition = make_edition([entry_of(1, lang="ru-KZ"), entry_of(2, lang="en"), entry_of(3)])
    assert titles(make_mix(edition, languages=("RU",))) == {"politics": ["Title 1"]}
    assert titles(make_mix(edition, languages=("en-GB",))) == {"politics": ["Title 2", "Title 3"]}


def test_a_letter_of_many_channels_has_something_of_each() -> None:
    entries = [entry_of(n, SLUGS[n % 14]) for n in range(1, 100)]
    mix = make_mix(make_edition(entries))
    assert [len(section.briefs) for section in mix.sections].count(0) == 0
    assert mix.shown == 15
    few = make_mix(make_edition(entries), channels=("politics", "sport"))
    assert [len(section.briefs) for section in few.sections] == [7, 7]
    assert few.more == 0


def test_the_lead_is_shown_even_on_the_last_channel() -> None:
    entries = [entry_of(n + 2, slug, position=n + 1) for n, slug in enumerate(SLUGS[:17])]
    entries.append(entry_of(1, "general", position=0))
    mix = make_mix(make_edition(entries))
    assert lead_of(mix).channel == "general"
    assert lead_of(mix) in mix.sections[-1].briefs
    assert mix.shown == 15
    assert [section.slug for section in mix.sections if not section.briefs] == [
        "human-interest", "religion", "weather",
    ]  # fmt: skip


def test_the_certain_and_dated_are_shown_before_the_rest() -> None:
    three = replace(TERMS, limit=3)
    entries = [
        entry_of(1, uncertain=True),
        entry_of(2, published=None, first_seen=NOW),
        entry_of(3),
        entry_of(4),
        entry_of(5),
    ]
    assert titles(make_mix(make_edition(entries, three))) == {
        "politics": ["Title 3", "Title 4", "Title 5"]
    }
    assert titles(make_mix(make_edition(entries[:4], three))) == {
        "politics": ["Title 2", "Title 3", "Title 4"]
    }


def test_without_the_lead_a_letter_leads_with_its_own_first() -> None:
    edition = make_edition(
        [entry_of(1), entry_of(2, "sport", uncertain=True), entry_of(3, "sport")]
    )
    mix = make_mix(edition, channels=("sport",))
    assert lead_of(mix).title == "Title 3"
    assert mix.subject == "Title 3 + 1 more"


def test_of_a_story_one_article_is_shown_and_the_others_stand_below() -> None:
    quakes = [quake_of(4), quake_of(5, "disaster"), quake_of(6, "disaster")]
    edition = make_edition([entry_of(1), *quakes, entry_of(7, "disaster")])
    mix = make_mix(edition)
    assert lead_of(mix).entry == quakes[0].id
    assert {each.slug: [brief.entry for brief in each.briefs] for each in mix.sections} == {
        "politics": [entry_of(1).id, quakes[0].id],
        "disaster": [entry_of(7, "disaster").id],
    }
    [(head, below)] = mix.related
    assert head == quakes[0].id
    assert [brief.entry for brief in below] == [quakes[1].id, quakes[2].id]
    assert (mix.shown, mix.more) == (3, 0)
    assert mix.subject.endswith("+ 4 more")
    assert set(mix.entries) == set(mentioned(edition))
    own = make_mix(edition, channels=("disaster",))
    assert [entry for entry, _ in own.related] == [quakes[1].id]
    assert lead_of(own).entry == quakes[1].id


def test_a_section_of_nothing_but_what_stands_elsewhere_is_none() -> None:
    edition = told(make_edition([entry_of(1), entry_of(2, "sport")]), (0, 1))
    mix = make_mix(edition)
    assert titles(mix) == {"politics": ["Title 1"]}
    assert [brief.title for _, briefs in mix.related for brief in briefs] == ["Title 2"]


def test_a_story_without_end_is_counted_past_a_few() -> None:
    edition = make_edition([entry_of(n) for n in range(1, RELATED + 6)])
    mix = make_mix(told(edition, range(RELATED + 4)))
    assert [len(briefs) for _, briefs in mix.related] == [RELATED]
    assert (mix.shown, mix.more) == (2, 3)
    assert len(mix.entries) == RELATED + 2


def test_a_story_that_was_sent_in_part_goes_on_without_it() -> None:
    edition = told(make_edition([entry_of(1), entry_of(2)]), (0, 1))
    mix = selection(edition, make_subscriber(), {entry_of(1).id})
    assert mix is not None
    assert (titles(mix), mix.related) == ({"politics": ["Title 2"]}, ())


def test_corrections_are_told_to_those_who_were_sent_the_article() -> None:
    gone, other = entry_of(7), entry_of(8, "sport")
    corrections = (make_correction(gone, "withdrawn"), make_correction(other))
    edition = replace(make_edition([entry_of(1)]), corrections=corrections)
    assert mentioned(edition) == (entry_of(1).id, gone.id, other.id)
    both = {gone.id, other.id}
    for wishes, received, expected in (
        ({}, both, corrections),
        ({}, {other.id}, corrections[1:]),
        ({}, set(), ()),
        ({"channels": ("politics",)}, both, corrections[:1]),
        ({"languages": ("en-GB",)}, both, corrections),
    ):
        mix = selection(edition, make_subscriber(**wishes), received)
        assert mix is not None
        assert mix.corrections == expected
        assert mix.entries == (entry_of(1).id,)
    assert selection(edition, make_subscriber(languages=("kk",)), both) is None
    assert selection(edition, make_subscriber(), {*both, entry_of(1).id}) is None


def test_a_correction_is_for_the_channels_of_then_and_of_now() -> None:
    [brief] = make_edition([entry_of(1, "sport")], also={entry_of(1, "sport").id: ("arts",)}).briefs
    moved = entry_of(1, "health", lang="ru")
    made = correction(moved, "corrected", NOW, brief, ("economy", "arts"), PUBLICATION)
    assert made == Correction(
        moved.id, "corrected", ("health", "economy", "arts", "sport"), "Title 1", "2 January 2026",
        moved.path, "ru",
    )  # fmt: skip


def test_corrections_alone_make_no_edition() -> None:
    late = replace(OCCASION, now=OCCASION.fires + TERMS.wait)
    late = replace(late, corrections=(make_correction(entry_of(9)),))
    assert compose([], late, TERMS, PUBLICATION, {}) is Reason.NOTHING_NEW
    assert make_edition([entry_of(1)], occasion=late).corrections == late.corrections


def test_a_missed_slot_waits_for_nothing_and_counts_ages_from_when_it_fired() -> None:
    missed = replace(OCCASION, missed=True, now=OCCASION.fires + timedelta(minutes=1))
    assert compose([], missed, TERMS, PUBLICATION, {}) is Reason.NOTHING_NEW
    later = replace(missed, now=OCCASION.fires + timedelta(days=30))
    old = entry_of(1, published=OCCASION.fires - TERMS.max_age)
    assert make_edition([old], occasion=later).composed == later.now
    assert (
        compose([old], replace(later, missed=False), TERMS, PUBLICATION, {}) is Reason.NOTHING_NEW
    )


def test_an_edition_without_articles_is_for_everyone_it_goes_to() -> None:
    late = replace(OCCASION, now=OCCASION.fires + TERMS.wait)
    late = replace(late, corrections=(make_correction(entry_of(9)),))
    terms = replace(TERMS, empty=True)
    edition = compose([], late, terms, PUBLICATION, {})
    assert isinstance(edition, Edition)
    assert from_json(as_json(edition)) == edition
    for changes in ({}, {"channels": ("sport",)}, {"languages": ("kk",)}):
        mix = selection(edition, make_subscriber(**changes), {entry_of(9).id})
        assert mix is not None
        assert (mix.lead, mix.sections, mix.shown, mix.more) == (None, (), 0, 0)
        assert mix.subject == "News digest · 2 January"
        assert mix.corrections == (() if changes else late.corrections)
        assert mix.entries == ()
    again = replace(late, subjects=frozenset({edition.subject}))
    timed = compose([], again, terms, PUBLICATION, {})
    assert isinstance(timed, Edition)
    assert timed.subject == "News digest · 2 January, 08:00"
    for first in (replace(late, first=True), replace(late, missed=True)):
        assert compose([], first, terms, PUBLICATION, {}) is Reason.NOTHING_NEW
    early = replace(late, now=late.fires)
    assert compose([], early, terms, PUBLICATION, {}) is Reason.WAITING
    long = make_publication(title="A title of " + "many words " * 9)
    made = compose([], late, terms, long, {})
    assert isinstance(made, Edition)
    assert len(made.subject) <= SUBJECT_LIMIT


# The editor's hand


def test_an_article_dropped_is_gone_with_its_channel_and_its_count() -> None:
    entries = [entry_of(1), entry_of(2, "sport"), entry_of(3)]
    left = without(make_edition(entries), entries[1].id)
    assert left is not None
    assert [brief.entry for brief in left.briefs] == [entries[0].id, entries[2].id]
    assert left.channels == (("politics", "Politics"),)
    assert left.subject == "Title 1 + 1 more"


def test_after_a_dropped_lead_leads_the_largest_story() -> None:
    entries = [entry_of(n, uncertain=n == 3) for n in range(1, 7)]
    edition = told(make_edition(entries), (1, 3), (2, 4, 5))
    left = without(edition, entries[0].id)
    assert left is not None
    assert (left.lead, left.subject) == (entries[3 + 1].id, "Title 5 + 4 more")
    assert edition.lead == entries[0].id
    none = without(make_edition(entries[:3]), entries[0].id)
    assert none is not None
    assert none.lead == entries[1].id


def test_a_story_of_which_one_article_is_left_is_none() -> None:
    entries = [entry_of(n) for n in range(1, 4)]
    edition = told(make_edition(entries), (0, 1, 2))
    two = without(edition, entries[0].id)
    assert two is not None
    assert {brief.story for brief in two.briefs} == {entries[1].id}
    one = without(two, entries[1].id)
    assert one is not None
    assert [brief.story for brief in one.briefs] == [None]
    assert without(one, entries[2].id) is None


def test_the_editor_has_any_article_lead() -> None:
    entries = [entry_of(1), entry_of(2, uncertain=True)]
    led = headed(make_edition(entries), entries[1].id, {"Title 2 + 1 more"})
    assert (led.lead, led.subject) == (entries[1].id, "Title 2 + 1 more · 2 January")
    assert lead_of(make_mix(led)).entry == entries[1].id


def test_a_note_is_plain_paragraphs() -> None:
    text = "\n \n Dear readers,\nno letter   tomorrow.\x07\r\n\r\n\u202eBack <b>soon</b>\n\n"
    edition = annotated(make_edition([entry_of(1)]), text)
    assert edition.note == "Dear readers, no letter tomorrow.\n\nBack <b>soon</b>"
    assert annotated(edition, " \n ").note == ""


@given(st.text(max_size=NOTE_LIMIT * 2))
def test_a_note_read_again_is_the_same(text: str) -> None:
    assert note(note(text)) == note(text)
    assert len(note(text)) <= max(len(text), 2)


entry_lists = st.lists(
    st.tuples(st.sampled_from(SLUGS), st.booleans(), st.sampled_from([None, "en", "kk", "ru"])),
    min_size=1,
    max_size=60,
)
wishes = st.lists(st.sampled_from(SLUGS), max_size=5, unique=True).map(tuple)


@given(
    entry_lists,
    st.lists(wishes, min_size=60, max_size=60),
    wishes,
    st.sampled_from([(), ("en",), ("kk", "ru")]),
    st.integers(1, 20),
    st.lists(st.integers(0, 5), min_size=60, max_size=60),
    st.sets(st.integers(0, 59), max_size=20),
)
def test_a_part_is_never_foreign_repeated_or_too_long_and_loses_nothing(  # noqa: PLR0913, PLR0917
    rows: list[tuple[str, bool, str | None]],
    others: list[tuple[str, ...]],
    channels: tuple[str, ...],
    languages: tuple[str, ...],
    limit: int,
    stories: list[int],
    had: set[int],
) -> None:
    entries = [
        entry_of(n, slug, uncertain=uncertain, lang=lang)
        for n, (slug, uncertain, lang) in enumerate(rows, 1)
    ]
    also = {entry.id: others[n] for n, entry in enumerate(entries)}
    edition = make_edition(entries, replace(TERMS, limit=limit), also=also)
    places = range(len(edition.briefs))
    edition = told(
        edition, *([n for n in places if stories[n] == each] or [0] for each in range(4))
    )
    received = {entries[n].id for n in had if n < len(entries)}
    due = {
        brief.entry
        for brief in edition.briefs
        if (not channels or {brief.channel, *brief.also} & {*channels})
        and (not languages or brief.lang in languages)
    } - received
    mix = selection(edition, make_subscriber(channels=channels, languages=languages), received)
    if mix is None:
        assert not due
        return
    shown = [brief.entry for section in mix.sections for brief in section.briefs]
    assert len(shown) == len(set(shown)) == mix.shown <= limit
    assert set(shown) <= due
    below = [brief.entry for _, briefs in mix.related for brief in briefs]
    assert mix.entries == (*shown, *below)
    assert len(set(mix.entries)) == len(mix.entries)
    assert set(mix.entries) <= due
    assert len(mix.entries) + mix.more == len(due)
    assert lead_of(mix).entry in shown
    by_entry = {brief.entry: brief for brief in edition.briefs}
    for head, briefs in mix.related:
        assert head in shown
        assert 1 <= len(briefs) <= RELATED
        assert {brief.story for brief in briefs} == {by_entry[head].story} != {None}
    heads = [by_entry[entry].story or entry for entry in shown]
    assert len(set(heads)) == len(heads)
    order = [slug for slug, _ in edition.channels]
    slugs = [section.slug for section in mix.sections]
    assert slugs == sorted(slugs, key=order.index)
    for section in mix.sections:
        assert not channels or section.slug in channels
        assert section.briefs or section.more
        order_of = [edition.briefs.index(brief) for brief in section.briefs]
        assert order_of == sorted(order_of)
        assert all(section.slug in (brief.channel, *brief.also) for brief in section.briefs)


# The record


@given(entry_lists, st.text().map(clean))
def test_an_edition_comes_back_from_the_record_as_it_was(
    rows: list[tuple[str, bool, str | None]], title: str
) -> None:
    entries = [
        entry_of(n, slug, uncertain=uncertain, lang=lang, title=title or "Title")
        for n, (slug, uncertain, lang) in enumerate(rows, 1)
    ]
    edition = make_edition(entries, also={entries[0].id: ("sport", "arts")})
    edition = replace(edition, note=title, corrections=(make_correction(entries[-1], title=title),))
    assert from_json(as_json(edition)) == edition
    gone = {EntryId("b" * 20), EntryId("a" * 20)}
    assert from_json(as_json(edition, gone)) == edition
    assert dropped(as_json(edition, gone)) == gone
    assert not dropped(as_json(edition))
    assert as_json(from_json(as_json(edition))) == as_json(edition)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"composed":"2026-01-02"}', "null", '{"a":1'])
def test_what_is_no_edition_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- of several wordings, some of them json's
        from_json(text)
