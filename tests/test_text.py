"""Text tools: safe text, folding, words, summaries."""

# ruff: noqa: RUF001 -- quote marks and dashes are the matter here
from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree

from feeds import text

ANY = st.text(st.characters(exclude_categories=())) | st.text(
    st.sampled_from(" \xa0\t\n\x0b\x0c\x1c\x85\u2028\0\ud800\ufffe\U0001ffff\u200b\u202e\xad")
    | st.sampled_from("Aßİŉ´″“’—ﬁ…\u0301\u0345\u0958\uff9e\u1fb3.!?")
)


# clean


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("  a \t b\r\nc ", "a b c"),
        ("a\x0bb\x0cc\x1cd\x85e\u2028f", "a b c d e f"),
        ("New\xa0York", "New\xa0York"),
        ("a \xa0b\xa0\xa0c\xa0", "a b c"),
        ("a\0\x07\x1b[31mb\x7f\x80", "a[31mb"),
        ("a\ud800b\ufffec\ufdd0d\U0002ffff", "abcd"),
        ("soft\xadhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("\u202eevil\u202c \u2066order\u2069", "evil order"),
        ("cafe\u0301", "café"),
        ("👩\u200d👧 می\u200cخواهم", "👩\u200d👧 می\u200cخواهم"),
    ],
)
def test_clean_text_is_one_safe_line(raw: str, safe: str) -> None:
    assert text.clean(raw) == safe


@given(ANY)
@example("\u0958" + "\u0315\u0300" * 20)  # NFC takes the first apart: one mark more
def test_cleaning_again_changes_nothing(raw: str) -> None:
    assert text.clean(text.clean(raw)) == text.clean(raw)


@given(ANY)
def test_clean_text_survives_xml_and_utf_8(raw: str) -> None:
    safe = text.clean(raw)
    element = etree.Element("p")
    element.text = safe
    assert (etree.fromstring(etree.tostring(element)).text or "") == safe
    assert text.dropped(safe) == 0
    assert "\n" not in safe
    assert safe == safe.strip()


def test_runs_of_combining_marks_are_cut_at_thirty() -> None:
    kept = text.clean("a" + "\u0315\u0300" * 100_000 + "b")
    assert len(kept) <= 32
    assert (kept[0], kept[-1]) == ("à", "b")


def test_marks_that_hide_in_compatibility_forms_are_cut_too() -> None:
    folded = text.fold(text.clean("a" + "\uff9e\u0345" * 100_000))
    assert len(folded) <= 31


def test_punctuation_in_a_long_run_is_no_mark() -> None:
    assert text.clean("—" * 100) == "—" * 100


def test_dropped_characters_are_counted_and_spaces_are_not() -> None:
    assert text.dropped("a\0b\x0bc\u200b\u200bd \n e") == 3


# fold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("“President’s” visit", '"president\'s" VISIT'),
        ("In Run-Up\xa0to COP28", "in run‑up to  cop28"),
        ("2023–2025", "2023-2025"),
        ("Straße", "STRASSE"),
        ("ﬁnal \u200bword", "final word"),
        ("l´eau 5″", "l'eau 5\""),
    ],
)
def test_captures_of_one_title_fold_alike(one: str, other: str) -> None:
    assert text.fold(one) == text.fold(other)


def test_different_titles_do_not_fold_alike() -> None:
    assert len({text.fold(title) for title in ("No 1", "No 2", "No. 1", "№ 1 and", "")}) == 5


@given(ANY)
def test_folding_again_changes_nothing(raw: str) -> None:
    assert text.fold(text.fold(raw)) == text.fold(raw)


@given(st.text(st.characters(max_codepoint=127)))
def test_the_short_way_of_folding_gives_what_the_long_way_gives(raw: str) -> None:
    assert text.fold(raw) == text.fold(raw + " Ω").removesuffix("ω").rstrip()


# words and fingerprint


def test_words_are_folded_and_hold_their_apostrophes() -> None:
    assert text.words("Kazakhstan’s 2nd “Re-think”: it_is—over!") == [
        "kazakhstan's", "2nd", "re", "think", "it", "is", "over",
    ]  # fmt: skip


@given(ANY)
def test_words_hold_no_space_and_are_found_again(raw: str) -> None:
    found = text.words(raw)
    assert text.words(" ".join(found)) == found


def test_a_fingerprint_follows_the_words_alone() -> None:
    one = text.fingerprint(["He said: “Yes.”", "Then he left."])
    assert one == text.fingerprint(["he  said 'yes'", "", "THEN HE LEFT"])
    assert one == text.fingerprint(["He said: yes. Then", "he left."])
    assert one != text.fingerprint(["He left.", "Then he said yes"])
    assert len(one) == 32
    assert int(one, 16)


# shorten and summarise


@pytest.mark.parametrize(
    ("limit", "short"),
    [(20, "one two three"), (13, "one two three"), (12, "one two…"), (8, "one two…"), (2, "o…")],
)
def test_text_is_shortened_at_a_word(limit: int, short: str) -> None:
    assert text.shorten("one two three", limit) == short


@given(ANY.map(text.clean), st.integers(1, 60))
def test_short_text_keeps_to_its_limit_and_is_a_beginning(raw: str, limit: int) -> None:
    short = text.shorten(raw, limit)
    assert len(short) <= limit or short == raw
    assert raw.startswith(short.removesuffix("…"))
    assert short == raw or short.endswith("…")


def test_a_short_body_is_its_own_summary() -> None:
    assert text.summarise(["One two.", "Three four."]) == "One two. Three four."


def test_a_summary_ends_with_a_sentence_of_its_second_half() -> None:
    assert text.summarise(["One two three four five. Six seven eight nine"], 8) == (
        "One two three four five."
    )


def test_a_summary_without_such_a_sentence_ends_in_an_ellipsis() -> None:
    assert text.summarise(["One two. Three four five six, seven eight"], 6) == (
        "One two. Three four five six…"
    )


def test_a_short_month_ends_no_sentence() -> None:
    assert text.summarise(["It will open on Nov. 25 at noon"], 6) == "It will open on Nov. 25…"


@pytest.mark.parametrize("mark", ["...", "…", ",..."])
def test_a_mark_of_truncation_becomes_an_ellipsis(mark: str) -> None:
    assert text.summarise([f"It was said{mark}"]) == "It was said…"


@given(st.lists(ANY.map(text.clean)), st.integers(1, 20))
def test_a_summary_has_no_more_words_than_allowed(body: list[str], limit: int) -> None:
    summary = text.summarise(body, limit)
    assert len(summary.split()) <= limit
    assert unicodedata.is_normalized("NFC", summary)
