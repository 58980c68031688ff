"""Same-story groups: one event is one group, and a column, a subject or a place is none."""

# ruff: noqa: RUF001 -- titles in Cyrillic letters
from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from factories import NOW, SEEDS, make_digest
from hypothesis import given
from hypothesis import strategies as st

from feeds import digests
from feeds.related import Text, groups

DAY = timedelta(days=1)

QUAKE = Text(
    "Strong earthquake shakes Almaty",
    (
        "An earthquake of magnitude 5.8 shook Almaty on Sunday night, the seismological centre said.",
        "Its epicentre lay 40 kilometres south of the city in the Trans-Ili Alatau mountains.",
        "Residents ran into the streets; no victims were reported.",
    ),
)
AFTERSHOCKS = Text(
    "Almaty residents spend night in streets after earthquake",
    (
        "Thousands in Almaty spent the night outdoors after an earthquake of magnitude 5.8.",
        "The epicentre was south of the city, in the Trans-Ili Alatau. Schools stay closed on Monday,",
        "the mayor said.",
    ),
)
SCHOOLS = Text(
    "Schools in Almaty closed after earthquake",
    (
        "The mayor of Almaty closed all schools for Monday. The earthquake of magnitude 5.8 damaged 30",
        "buildings of the city. Residents were asked to leave streets free for rescuers.",
    ),
)
HARVEST = Text(
    "Farmers of Almaty region end grain harvest",
    (
        "Farmers of the Almaty region ended the grain harvest with 1.3 million tons, the ministry of",
        "agriculture said. Prices of flour and bread stay the same until spring.",
    ),
)


def columns(titles: list[str]) -> list[Text]:
    """Return articles of one column, whose bodies share most of their words."""
    body = (
        "The National Bank set the dollar at {} tenge, the euro at {} and the rouble at {} today."
    )
    return [
        Text(title, (body.format(500 + n, 560 + n, 5 + n),), NOW + n * DAY)
        for n, title in enumerate(titles)
    ]


def titles(texts: list[Text]) -> set[frozenset[str]]:
    return {frozenset(texts[place].title for place in group) for group in groups(texts)}


def test_articles_of_one_event_are_one_group() -> None:
    assert groups([HARVEST, QUAKE, AFTERSHOCKS, SCHOOLS]) == [(1, 2, 3)]


def test_inflected_words_are_one_word() -> None:
    texts = [
        Text(
            "Сильное землетрясение произошло в Алматы",
            (
                "Землетрясение магнитудой 5,8 произошло ночью в Алматы, сообщил сейсмологический центр.",
                "Эпицентр находился к югу от города в горах Заилийского Алатау.",
            ),
        ),
        Text(
            "Жители Алматы провели ночь на улицах после землетрясения",
            (
                "Жители города провели ночь на улицах после землетрясения магнитудой 5,8. По данным",
                "сейсмологического центра, эпицентр был в горах Заилийского Алатау.",
            ),
        ),
        Text(
            "Аграрии завершили уборку зерна",
            ("Аграрии Алматинской области завершили уборку зерна, сообщило министерство.",),
        ),
    ]
    assert groups(texts) == [(0, 1)]


def test_one_place_is_not_one_event() -> None:
    assert groups([QUAKE, HARVEST]) == []


@pytest.mark.parametrize(
    "column",
    [
        ["Exchange rates", "Exchange rates", "Exchange rates"],
        ["Exchange rates for January 2", "Exchange rates for January 3"],
        ["EXCHANGE RATES: 2.01.2026", "Exchange rates: 3.01.2026"],
        ["Exchange rates on Monday", "Exchange rates on Tuesday"],
        ["Курсы валют на 2 января", "Курсы валют на 3 января"],
        ["", ""],
    ],
)
def test_a_column_is_no_event(column: list[str]) -> None:
    assert groups(columns(column)) == []


def test_one_headline_of_two_publishers_is_one_event() -> None:
    """Both run what an agency sent them."""
    other = Text(QUAKE.title, AFTERSHOCKS.paragraphs, publisher="Times")
    assert groups([Text(QUAKE.title, QUAKE.paragraphs, publisher="Post"), other]) == [(0, 1)]
    assert groups([Text(QUAKE.title, QUAKE.paragraphs, publisher="Times"), other]) == []
    assert groups([QUAKE, other]) == []


@pytest.mark.parametrize(
    ("title", "body", "other"),
    [
        (
            "Tobol beats Ordabasy 3-0 in Premier League",
            "FC Tobol beat FC Ordabasy 3-0 at home in the 12th round of the Premier League on Saturday.",
            {"Tobol": "Kairat", "Ordabasy": "Astana", "3-0": "2-1"},
        ),
        (
            "Tokayev meets President of Uzbekistan",
            "President Tokayev met Mirziyoyev in Tashkent to discuss trade, transport and water.",
            {
                "Uzbekistan": "Turkmenistan",
                "Mirziyoyev": "Berdimuhamedov",
                "Tashkent": "Ashgabat",
            },
        ),
        (
            "Earthquake of magnitude 4.2 recorded near Almaty",
            "An earthquake of magnitude 4.2 was recorded 60 km off Almaty, seismologists report.",
            {"4.2": "5.1", "near Almaty": "in Kyrgyzstan", "60 km off Almaty": "in Kyrgyzstan"},
        ),
        (
            "Weather warning issued in Karaganda region",
            "Blizzards, fog and strong wind are expected in Karaganda region; roads may close.",
            {"Karaganda": "Pavlodar"},
        ),
    ],
)
def test_one_form_filled_in_twice_is_no_event(title: str, body: str, other: dict[str, str]) -> None:
    second = Text(title, (body,))
    for word, instead in other.items():
        paragraphs = tuple(paragraph.replace(word, instead) for paragraph in second.paragraphs)
        second = Text(second.title.replace(word, instead), paragraphs)
    assert groups([Text(title, (body,)), second]) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            (
                "Parliament adopts 2026 budget",
                "Deputies of the Majilis adopted the budget for 2026: revenue is 19.2 trillion tenge.",
            ),
            (
                "Majilis passes budget with spending of 27.7 trillion tenge",
                "The Majilis of Parliament approved the budget; revenue is 19.2 trillion tenge.",
            ),
        ),
        (
            (
                "Plane crash lands in Aktau, 38 dead",
                "A plane of Azerbaijan Airlines from Baku to Grozny crashed near Aktau; 29 survived.",
            ),
            (
                "Survivors of Azerbaijan Airlines plane tell of explosion before crash",
                "Who survived the crash of the plane from Baku near Aktau heard it explode in Grozny.",
            ),
        ),
    ],
)
def test_one_event_told_twice_is_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert groups([Text(title, (body,)) for title, body in (one, other)]) == [(0, 1)]


def test_what_is_days_apart_is_another_event() -> None:
    then = Text(QUAKE.title, QUAKE.paragraphs, NOW)
    for later, found in ((3 * DAY, [(0, 1)]), (3 * DAY + timedelta(minutes=1), [])):
        assert groups([then, Text(SCHOOLS.title, SCHOOLS.paragraphs, NOW + later)]) == found
    assert groups([then, SCHOOLS]) == [(0, 1)]


def test_few_words_prove_nothing() -> None:
    texts = [Text("Parliament passes the budget", ()), Text("Parliament passes the law", ())]
    assert groups(texts) == []
    assert groups([Text("Title 1", ("A paragraph.",)), Text("Title 2", ("A paragraph.",))]) == []


def test_a_chain_is_no_group() -> None:
    """Each neighbour is like the next; the ends have nothing in common."""
    words = [f"{first}{second}uvw" for first in "bcdfghjk" for second in "lmnpqrst"]
    texts = [
        Text(" ".join(words[n : n + 8]), (" ".join(words[n : n + 16]),)) for n in range(0, 48, 8)
    ]
    assert max(map(len, groups(texts)), default=0) <= 2


def test_the_seeds_group_as_a_reader_would() -> None:
    found: dict[str, set[frozenset[str]]] = {}
    for path in sorted(SEEDS.iterdir()):
        reading = digests.read(make_digest(path.read_bytes(), path.name), ZoneInfo("Asia/Almaty"))
        texts = [Text(one.title, one.paragraphs, one.published) for one in reading.articles]
        found[path.name[:3]] = titles(texts)
    assert found["000"] == set()
    assert {frozenset(title[:30] for title in group) for group in found["003"]} == {
        frozenset({
            "Kazakhstan to Hold Historic El",
            "First Local Mayor Elections Se",
            "Kazakh Elections Signal Ground",
        }),
        frozenset({"Kazakhstan Allocates $1 Millio", "President Tokayev Announces $1"}),
                frozenset({"Strategic Partnership, Energy ", "News Digest: Foreign Media on "}),
        frozenset({
            "Turkic Integration Gains Momen",
            "Turkic Leaders Agree on Capaci",
            "Organization of Turkic States ",
            "President Tokayev Outlines Eig",
            "Astana Hosts OTS Foreign Minis",
        }),
    }  # fmt: skip


WORDS = [f"{a}{b}{c}wxyz" for a in "bcd" for b in "fgh" for c in "jkl"]
some_texts = st.lists(
    st.builds(
        Text,
        st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
        st.lists(st.sampled_from(WORDS), max_size=25).map(lambda found: (" ".join(found),)),
        st.none() | st.sampled_from([NOW, NOW + 2 * DAY, NOW + 4 * DAY]),
        st.none() | st.sampled_from(["Post", "Times"]),
    ),
    max_size=14,
)


@given(some_texts)
def test_a_group_has_two_at_least_and_no_article_two_groups(texts: list[Text]) -> None:
    found = groups(texts)
    places = [place for group in found for place in group]
    assert len(places) == len(set(places))
    assert all(len(group) > 1 and list(group) == sorted(group) for group in found)
    assert found == sorted(found) == groups(texts)
    for group in found:
        dates = [texts[place].published for place in group]
        known = [date for date in dates if date is not None]
        assert not known or max(known) - min(known) <= 3 * DAY


@given(st.lists(st.text(max_size=40), max_size=6))
def test_any_text_can_be_compared(lines: list[str]) -> None:
    groups([Text(line, (line, line)) for line in lines])
