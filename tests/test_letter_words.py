"""The words of letters: every sentence in every language, and what each does with numbers and days."""

# ruff: noqa: RUF001 -- Cyrillic letters are the matter here
from __future__ import annotations

import re
import string
from datetime import date

import pytest
from factories import NOW, make_publication

from feeds import channels
from feeds.letters import words


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_sentence_is_there_in_every_language_with_its_forms() -> None:
    forms = {"en": 2, "ru": 3}
    english = words.WORDS["en"]
    for language, known in words.WORDS.items():
        assert known.keys() == english.keys(), language
        for key, text in known.items():
            assert text
            every = [text] if isinstance(text, str) else list(text)
            assert len(every) in {1, forms.get(language, 1)}, (language, key)
            first = english[key]
            wanted = fields(first if isinstance(first, str) else first[-1])
            assert all(fields(one) == wanted for one in every), (language, key)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 статей"), (1, "1 статья"), (2, "2 статьи"), (4, "4 статьи"), (5, "5 статей"),
        (11, "11 статей"), (12, "12 статей"), (14, "14 статей"), (21, "21 статья"),
        (22, "22 статьи"), (100, "100 статей"), (101, "101 статья"), (111, "111 статей"),
        (112, "112 статей"), (1003, "1003 статьи"),
    ],
)  # fmt: skip
def test_russian_counts_in_three_forms(n: int, text: str) -> None:
    assert words.say("ru")("articles", n=n) == text


def test_english_counts_in_two_forms_and_kazakh_in_one() -> None:
    english, kazakh = words.say("en"), words.say("kk")
    assert [english("articles", n=n) for n in (0, 1, 2, 21)] == [
        "0 articles", "1 article", "2 articles", "21 articles",
    ]  # fmt: skip
    assert [kazakh("articles", n=n) for n in (1, 2)] == ["1 мақала", "2 мақала"]


@pytest.mark.parametrize(
    ("language", "day", "slot"),
    [
        ("en", "2 January 2026", "Friday, 2 January 2026"),
        ("ru", "2 января 2026 г.", "Пятница, 2 января 2026 г."),
        ("kk", "2026 ж. 2 қаңтар", "2026 ж. 2 қаңтар, жұма"),
    ],
)
def test_days_are_said_as_each_language_does(language: str, day: str, slot: str) -> None:
    own = words.say(language)
    assert own.date(date(2026, 1, 2)) == day
    assert own.date("2 January 2026") == day
    assert own.day("2026-01-02T08:00") == words.day(language, date(2026, 1, 2)) == slot


def test_a_frozen_date_is_said_again_and_other_text_is_left() -> None:
    assert words.say("ru").date("received 31 May 2026") == "получено 31 мая 2026 г."
    assert words.say("kk").date("received 31 May 2026") == "алынған күні 2026 ж. 31 мамыр"
    for text in ("", "yesterday", "31 Mai 2026", "May 2026"):
        assert words.say("ru").date(text) == text
    for month in range(1, 13):
        frozen = make_publication().day(NOW.replace(month=month, day=9))
        for language in words.LANGUAGES:
            own = words.say(language)
            assert own.date(frozen) == own.date(date(2026, month, 9))


def test_a_week_and_a_year_have_names_of_their_own() -> None:
    for language in words.LANGUAGES:
        week = {words.day(language, date(2026, 1, at)).split()[0 if language != "kk" else -1]
                for at in range(5, 12)}  # fmt: skip
        year = {words.say(language).date(date(2026, at, 5)) for at in range(1, 13)}
        assert (len(week), len(year)) == (7, 12)


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en"), ("ru-RU", "ru"), ("KK", "kk"), ("kk_KZ", "kk"), ("fr", "en"), ("", "en")],
)
def test_a_language_is_known_by_its_first_part_else_it_is_english(tag: str, language: str) -> None:
    assert words.say(tag).language == language
    assert words.known(tag) == (tag not in {"fr", ""})


def test_a_sentence_that_a_language_lacks_is_said_in_english(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(words, "WORDS", {**words.WORDS, "ru": {}})
    assert words.say("ru")("articles", n=1) == "1 article"
    assert words.say("ru")("leave") == "Unsubscribe"
    with pytest.raises(KeyError):
        words.say("ru")("no such sentence")


def test_default_channels_have_titles_in_every_language_and_others_keep_theirs() -> None:
    for channel in channels.DEFAULTS:
        titles = [words.say(tag).channel(channel.slug, channel.title) for tag in words.LANGUAGES]
        assert titles[0] == channel.title
        assert all(re.match("[А-ЯҒҚӨҮҰІӘҺ]", title) for title in titles[1:]), channel.slug
        assert words.say("ru").channel(channel.slug, "My own title") == "My own title"
    assert words.say("ru").channel("almaty", "Almaty") == "Almaty"


def test_editions_are_called_in_words_or_by_their_name() -> None:
    assert words.say("en").edition("daily") == "daily edition"
    assert words.say("en").edition("morning-brief") == "morning brief edition"
    assert words.say("ru").edition("weekly") == "еженедельный выпуск"
    assert words.say("kk").edition("sport") == "«sport» шығарылымы"


def test_a_source_without_a_name_is_said_to_have_none() -> None:
    assert words.say("ru").credit("not named") == "не указан"
    assert words.say("ru").credit("QazNews") == "QazNews"
