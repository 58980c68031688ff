"""Room 2: digests into articles."""

# ruff: noqa: RUF001 -- dashes, quotes and Cyrillic letters are the matter here
from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from factories import GOLDEN, SEEDS, make_digest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import digests
from feeds.digests import lines, stamp_first, teaser_list
from feeds.digests.formats import Format, Parse
from feeds.digests.report import as_json
from feeds.model import Article, DateSource, Outcome, Part, Precision, Reading
from feeds.text import clean

ALMATY = ZoneInfo("Asia/Almaty")
END = "\u00a0\n\n"
SAMPLES = sorted([*SEEDS.glob("*.txt"), *(GOLDEN / "digests").glob("*.txt")])


def read(data: bytes | str, zone: ZoneInfo = ALMATY) -> Reading:
    return digests.read(make_digest(data), zone)


def only(data: str) -> Article:
    (article,) = read(data).articles
    return article


def refused(data: bytes) -> tuple[str | None, Outcome]:
    reading = read(data)
    assert reading.detail
    assert not reading.articles
    return reading.reason, reading.outcome


def rows(text: str) -> lines.Lines:
    found = lines.lines_of(text.encode())
    assert isinstance(found, lines.Lines)
    return found


def count_lines(text: str) -> int:
    """Lines by their definition, not by the code's way: ends, and what follows the last of them."""
    return len(re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text))


def check_that_lines_add_up(reading: Reading, count: int) -> None:
    parts = Counter(reading.parts)
    assert len(reading.parts) == count
    assert parts[Part.TITLE] == len(reading.articles)
    assert parts[Part.BODY] == sum(len(article.paragraphs) for article in reading.articles)
    left = [n for n, part in enumerate(reading.parts, 1) if part is Part.LEFTOVER]
    assert left == [leftover.line for leftover in reading.leftovers]
    starts = [article.line for article in reading.articles]
    assert starts == sorted(set(starts))
    assert {reading.parts[start - 1] for start in starts} <= {Part.STAMP, Part.TITLE}


# Golden pairs


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_digest_reads_as_its_golden_pair_says(
    path: Path, golden: Callable[[str, bytes], None]
) -> None:
    reading = read(path.read_bytes())
    made = json.dumps(as_json(path.name, reading), ensure_ascii=False, indent=1) + "\n"
    golden(f"digests/{path.stem}.json", made.encode())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_lines_of_a_golden_digest_add_up(path: Path) -> None:
    reading = read(path.read_bytes())
    if reading.reason not in {"binary", "encoding"}:
        text = path.read_bytes().decode(errors="replace")
        check_that_lines_add_up(reading, count_lines(text))


# The two seeds, from the page at large


def test_the_stamped_seed_is_read_completely() -> None:
    (path,) = SEEDS.glob("000*.txt")
    reading = read(path.read_bytes())
    articles = reading.articles
    assert (reading.format, reading.score, len(articles)) == ("stamp_first", 1.0, 9)
    assert (reading.leftovers, reading.warnings) == ((), ())
    stamps = [article.published.isoformat() for article in articles if article.published]
    assert stamps == sorted(stamps, reverse=True)
    assert (stamps[0], stamps[-1]) == ("2026-01-01T16:52:00+05:00", "2025-12-29T14:25:00+05:00")
    assert (articles[0].views, articles[-1].views) == (9306, 67036)
    assert sum(len(article.paragraphs) for article in articles) == 69
    credited = [article.photo_credit for article in articles if article.photo_credit]
    assert credited == ["olympic.kz", "Akorda", "Depositphotos"]
    assert Counter(article.source for article in articles) == {
        "Qazinform": 8,
        "primeminister.kz": 1,
    }
    assert {article.lang for article in articles} == {"en"}
    assert not any(article.truncated for article in articles)


def test_the_teaser_seed_is_read_completely() -> None:
    (path,) = SEEDS.glob("003*.txt")
    reading = read(path.read_bytes())
    assert (reading.format, reading.score, len(reading.articles)) == ("teaser_list", 1.0, 50)
    assert (reading.leftovers, reading.warnings) == ((), ())
    assert {len(article.paragraphs) for article in reading.articles} == {1}
    assert all(article.truncated for article in reading.articles)
    assert all(article.paragraphs[0].endswith("...") for article in reading.articles)
    undated = [n for n, article in enumerate(reading.articles, 1) if not article.dateline]
    assert undated == [10, 19, 22]
    assert {article.published for article in reading.articles} == {None}
    cited = {n: article.source for n, article in enumerate(reading.articles, 1) if article.source}
    assert cited == {24: "Kazinform"}


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_word_of_a_seed_is_in_an_article_or_a_marker(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    reading = read(text)
    kept = [line for article in reading.articles for line in (article.title, *article.paragraphs)]
    found = [clean(line) for line in text.split("\n") if clean(line)]
    lost = [line for line in found if line not in set(kept)]
    assert [
        line for line in lost if not re.match(r"Images \||(date \S+ )?\d\d\.\d\d\.", line)
    ] == []


# The stamped format


def test_a_stamped_article_keeps_every_field() -> None:
    article = only(
        "01.01.2026, 16:52 9306\n\nTitle here\n\nImages | Someone\nALMATY – The first paragraph of this,"
        f" Kazinform reports.\n\nThe second.\n{END}"
    )
    assert article == Article(
        "Title here",
        ("ALMATY – The first paragraph of this, Kazinform reports.", "The second."),
        published=datetime(2026, 1, 1, 16, 52, tzinfo=ALMATY),
        precision=Precision.MINUTE,
        date_source=DateSource.EXPLICIT,
        views=9306,
        photo_credit="Someone",
        source="Kazinform",
        dateline="ALMATY",
        lang=article.lang,
        line=1,
    )


def test_a_title_repeated_in_the_body_goes_once() -> None:
    head = "01.01.2026, 16:52 1\n\nThe “Same” title\n\n"
    once = read(f'{head}The "same"\u00a0Title\nText.\n{END}')
    assert once.articles[0].paragraphs == ("Text.",)
    assert once.parts[4] is Part.MARKER
    twice = f"{head}The “Same” title\nThe “Same” title\nText.\n{END}"
    assert only(twice).paragraphs == ("The “Same” title", "Text.")
    later = f"{head}Text.\n\nThe “Same” title\n\nText.\n{END}"
    assert only(later).paragraphs == ("Text.", "The “Same” title", "Text.")


def test_two_blank_lines_are_no_boundary_between_stamps() -> None:
    text = f'01.01.2026, 16:52 1\n\nTitle\n\nHe said it."\n\n\nThen he left.\n{END}'
    assert only(text).paragraphs == ('He said it."', "Then he left.")


def test_stamps_in_any_order_are_taken_as_they_stand() -> None:
    text = "".join(f"0{day}.01.2026, 10:00 1\nTitle {day}\nText.\n" for day in (2, 3, 1))
    assert [one.published and one.published.day for one in read(text).articles] == [2, 3, 1]


def test_one_impossible_stamp_leaves_its_article_undated_with_a_warning() -> None:
    reading = read(f"31.02.2026, 10:00 7\n\nTitle\n\nText.\n{END}")
    (article,) = reading.articles
    assert (article.published, article.precision) == (None, None)
    assert (article.date_source, article.views) == (DateSource.FIRST_SEEN, 7)
    assert reading.warnings == ("line 1: no such date and time: 31.02.2026, 10:00 7",)


def test_dates_with_the_month_first_are_not_read() -> None:
    american = "".join(f"01.{day}.2026, 10:00 7\nTitle {day}\nText.\n" for day in range(10, 20))
    assert refused(american.encode()) == ("unknown_format", Outcome.QUARANTINE)


def test_one_fault_of_each_kind_leaves_the_rest_readable() -> None:
    text = "31.02.2026, 10:00 1\nA\nText.\n01.13.2026, 10:00 1\nB\nText.\n01.01.2026, 10:00 1\nC\n"
    reading = read(f"{text}01.01.2026, 10:00 -\nD\nText.\n")
    assert [article.title for article in reading.articles] == ["A", "B", "C", "D"]
    assert [warning.split(":")[0] for warning in reading.warnings] == [
        "line 1", "line 4", "line 9", "line 7",
    ]  # fmt: skip
    assert reading.score == 1.0


def test_a_list_of_headlines_without_texts_is_quarantined() -> None:
    text = "".join(f"01.01.2026, 1{n}:00 1\nTitle {n}\n" for n in range(10))
    assert refused(text.encode()) == ("unknown_format", Outcome.QUARANTINE)


def test_a_stamp_after_the_digests_own_date_is_reported() -> None:
    reading = read(" date 2026-01-02 04.01.2026, 10:00 7\nTitle\nText.\n")
    assert reading.warnings == (
        "line 1: a stamp later than the digest's own date, 2026-01-02: 04.01.2026, 10:00 7",
    )
    assert read(" date 2026-01-02 03.01.2026, 10:00 7\nTitle\nText.\n").warnings == ()


def test_an_article_without_a_stamp_is_found_after_an_end() -> None:
    first = f"Title without a stamp\n\nText.\n{END}01.01.2026, 10:00 1\n\nTitle\n\nText.\n{END}"
    assert [article.line for article in read(first).articles] == [1, 6]
    middle = (
        f"01.01.2026, 10:00 1\n\nTitle\n\nText.\n{END}Title without a stamp\n\nText.\n{END}"
        f"01.01.2026, 09:00 1\n\nTitle\n\nText.\n{END}"
    )
    reading = read(middle)
    assert [bool(article.published) for article in reading.articles] == [True, False, True]
    assert reading.warnings == ("line 8: an article without a stamp: Title without a stamp",)


def test_a_title_belongs_to_its_stamp_even_after_white_space() -> None:
    text = f"01.01.2026, 10:00 1\n\nTitle\n\nText.\n{END}" * 3
    odd = f"01.01.2026, 10:00 1\n \nTitle of this\n\nText.\n{END}"
    reading = read(text + odd)
    assert [bool(article.published) for article in reading.articles] == [True] * 4


def test_a_paragraph_after_an_end_begins_no_article() -> None:
    text = f"01.01.2026, 10:00 1\n\nTitle\n\nText.\n{END}More of this text.\n{END}"
    more = f"{text}31.12.2025, 10:00 1\n\nTitle\n\nText.\n{END}"
    assert read(more).articles[0].paragraphs == ("Text.", "More of this text.")


def test_dates_that_begin_nothing_make_no_article() -> None:
    assert refused(b"Tell a friend\n01.01.2026\nword") == ("unknown_format", Outcome.QUARANTINE)


def test_a_likely_title_in_a_tight_text_is_reported() -> None:
    reading = read("01.01.2026, 10:00 1\nTitle\nText.\nUnmarked title\nIts text.\n")
    assert reading.articles[0].paragraphs == ("Text.", "Unmarked title", "Its text.")
    assert reading.warnings == (
        "line 4: read as text, but may be the title of an article without a stamp",
    )


def test_a_date_in_a_text_is_text_and_reported() -> None:
    dates = [f"{day:02}.02.2026" for day in range(1, 8)]
    reading = read("\n".join(["01.01.2026, 10:00 1", "Title", "Text.", *dates, "Text."]))
    assert reading.articles[0].paragraphs == ("Text.", *dates, "Text.")
    assert reading.warnings == ("lines 4, 5, 6, 7, 8 and 2 more: read as text, but may be a stamp",)


def test_a_time_without_views_is_text_where_stamps_have_views() -> None:
    text = "01.01.2026, 10:00 1\nTitle\nText.\n05.02.2026, 10:00\nOpening ceremony\nText.\n"
    assert only(text).paragraphs == ("Text.", "05.02.2026, 10:00", "Opening ceremony", "Text.")


def test_stamps_need_no_views_where_none_has_them() -> None:
    text = "01.01.2026, 10:00\nTitle\nText.\n31.12.2025, 09:00\nAnother\nText.\n"
    assert [article.title for article in read(text).articles] == ["Title", "Another"]


def test_a_stamp_whose_title_is_lost_is_left_over_with_its_text() -> None:
    lead = (
        "This is a long first paragraph of some article whose own title was lost on the way here."
    )
    whole = "".join(f"01.01.2026, 1{n}:00 1\nTitle {n}\nText.\nText.\n" for n in range(6))
    reading = read(f"{whole}01.01.2026, 09:00 1\n{lead}\nText.\n")
    assert len(reading.articles) == 6
    assert [left.line for left in reading.leftovers] == [25, 26, 27]
    assert reading.warnings == ("line 25: a stamp without a title: 01.01.2026, 09:00 1",)


def test_a_title_without_text_is_kept_with_a_warning() -> None:
    reading = read(f"01.01.2026, 10:00 1\nTitle\n{END}31.12.2025, 09:00 1\nAnother\nText.\n")
    assert [article.paragraphs for article in reading.articles] == [(), ("Text.",)]
    assert reading.warnings == ("line 1: a title without text: Title",)


@pytest.mark.parametrize(
    ("tail", "truncated"),
    [
        ("Text.\n", False),
        ('He said: "Text!"\n', False),
        ("The text stops in the midd", True),
        ("The text stops...\n", True),
        ("The heading of a list:\n", True),
        (f"A last line without a stop\n{END}", False),
        ("Text\n© 2026 Somebody\n", False),
        ("", True),
    ],
)
def test_the_last_article_is_truncated_when_its_end_is_missing(
    tail: str, *, truncated: bool
) -> None:
    text = f"02.01.2026, 10:00 1\nFirst\nNo stop here\n01.01.2026, 09:00 1\nLast\n{tail}"
    assert [article.truncated for article in read(text).articles] == [False, truncated]


def test_furniture_counts_only_at_its_place() -> None:
    text = (
        "Система Orphus\n01.01.2026, 10:00 1\nTitle\nTell a friend\nPhоto credit: A | B\nText.\n"
        "Tell a friend\nSource: us, he said.\nText.\nSourse: Kazinform\n© 2026 Somebody\n"
    )
    reading = read(text)
    (article,) = reading.articles
    assert article.paragraphs == ("Text.", "Tell a friend", "Source: us, he said.", "Text.")
    assert (article.photo_credit, article.source) == ("A | B", "Kazinform")
    assert Counter(reading.parts)[Part.MARKER] == 5


def test_too_many_articles_are_quarantined_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digests, "MAX_ARTICLES", 3)
    text = [f"01.01.2026, 1{n}:00 1\nTitle {n}\nText.\n" for n in range(4)]
    assert len(read("".join(text[:3])).articles) == 3
    reading = read("".join(text))
    assert (reading.reason, reading.outcome) == ("too_many_articles", Outcome.QUARANTINE)
    assert reading.detail == "4 articles, more than 3; split the file"
    assert len(reading.leftovers) == 12


def test_an_article_that_is_too_long_is_quarantined_by_its_line() -> None:
    head, half = "01.01.2026, 10:00 1\nTitle\n", "x" * (digests.MAX_ARTICLE // 2)
    most = f"{head}Text.\n{head}{half}\n{half}\n"
    assert len(read(most).articles) == 2
    reading = read(f"{most}x\n")
    assert (reading.reason, reading.outcome) == ("article_too_long", Outcome.QUARANTINE)
    assert reading.detail == "line 4: an article of 200,001 characters, more than 200,000"


# A wrong reading that would look fine


def stamped(place: str, between: str) -> str:
    stamps = [f"0{9 - n}.01.2026, 10:00 {n}" for n in range(4)]
    order = {"first": "{0}|{1}|{2}", "last": "{1}|{2}|{0}", "second": "{1}|{0}|{2}"}[place]
    texts = [
        order.format(stamp, f"Title number {n}", "Text it is.") for n, stamp in enumerate(stamps)
    ]
    return (between.join(texts) + between).replace("|", "\n")


@pytest.mark.parametrize("between", ["\n", "\n\n", f"\n{END}", "\n\n\n"])
def test_stamps_are_trusted_only_above_their_articles(between: str) -> None:
    assert len(read(stamped("first", between)).articles) == 4
    for place in ("last", "second"):
        assert refused(stamped(place, between).encode())[0] == "ambiguous_boundaries"


@pytest.mark.parametrize("between", ["\n", "\n\n", f"\n{END}"])
@pytest.mark.parametrize(("first", "last"), [(1, None), (2, None), (0, -1), (0, -2), (1, -1)])
def test_a_cut_file_with_stamps_below_is_not_read_either(
    between: str, first: int, last: int | None
) -> None:
    cut = stamped("last", between).rstrip("\n\xa0").split("\n")[first:last]
    assert refused("\n".join(cut).encode())[0] == "ambiguous_boundaries"


@pytest.mark.parametrize("between", ["\n", "\n\n", f"\n{END}"])
def test_a_cut_file_with_titles_above_the_stamps_is_not_read_either(between: str) -> None:
    _, _, cut = stamped("second", between).partition("\n")
    reading = read(cut)
    assert (reading.reason, reading.articles) == ("ambiguous_boundaries", ())
    repeated = cut.replace("0\n", "0\nTitle number 0\n", 1)
    for n in range(1, 4):
        repeated = repeated.replace(f"10:00 {n}\n", f"10:00 {n}\nTitle number {n}\n")
    assert read(repeated).reason == "ambiguous_boundaries"


def test_stamps_nearer_to_the_text_above_are_not_trusted() -> None:
    text = (
        "01.01.2026, 10:00 1\n\n" + "Title\nText.\n01.01.2026, 10:00 1\n\n" * 3 + "Title\nText.\n"
    )
    reading = read(text)
    assert reading.reason == "ambiguous_boundaries"
    assert "nearer to the text above" in (reading.detail or "")


# The teaser format


def teaser(start: str, count: int = 29, mark: str = "...") -> str:
    tokens = (start.split(" ") + ["word"] * count)[:count]
    return " ".join(tokens) + mark


def teasers(*items: str) -> str:
    return "\n\n\n".join(f"Title {n}\n\n{item}" for n, item in enumerate(items))


def test_a_teaser_keeps_its_text_and_its_mark() -> None:
    text = teaser("ASTANA –\u00a0 The first,")
    article = only(f"A title\u00a0\u00a0\n\n{text}")
    assert (article.title, article.paragraphs) == ("A title", (clean(text),))
    assert (article.dateline, article.truncated, article.date_source) == (
        "ASTANA", True, DateSource.FIRST_SEEN,
    )  # fmt: skip


def test_a_last_teaser_cut_with_its_file_is_truncated() -> None:
    *_, last = read(teasers(*[teaser("A")] * 4, "A teaser that stops in the midd")).articles
    assert last.truncated
    assert not read(teasers(*[teaser("A")] * 4, "A whole one.")).articles[-1].truncated


def test_a_teaser_shorter_than_the_cut_is_whole() -> None:
    reading = read(teasers(*[teaser("A")] * 3, "A whole text of few words.", *[teaser("A")] * 3))
    assert [article.truncated for article in reading.articles] == [True] * 3 + [False] + [True] * 3
    assert reading.score == pytest.approx(6 / 7)


def test_an_item_of_another_form_is_left_over() -> None:
    text = teasers(*[teaser("A")] * 6)
    reading = read(f"{text}\n\n\nOlder articles\n\n\n{text}")
    assert (len(reading.articles), [left.text for left in reading.leftovers]) == (
        12,
        ["Older articles"],
    )
    assert reading.score == pytest.approx(24 / 25)


@pytest.mark.parametrize(
    "text",
    [
        "A heading\n\nOne paragraph below it.\n\n\n" * 5,
        teasers(*(teaser("A", count) for count in (5, 15, 25, 35, 45, 55))),
        teasers(*[teaser("A")] * 4).replace("\n\n\n", "\n\n"),
        teasers(*[teaser("A")] * 4).replace("Title", "01.01.2026, 10:00 "),
        "Just one line of text",
    ],
    ids=["headings", "uneven", "one_blank_line", "stamps_for_titles", "one_line"],
)
def test_text_that_only_resembles_teasers_is_quarantined(text: str) -> None:
    reading = read(text)
    assert (reading.outcome, reading.articles) == (Outcome.QUARANTINE, ())
    assert all(score < digests.MINIMUM for _, score in reading.scores)
    assert len(reading.leftovers) == sum(bool(line) for line in text.split("\n"))


# Choosing a format


def fake(name: str, share: float) -> Format:
    """Return a format that reads the first lines of a digest, as many as its share."""

    def parse(found: lines.Lines, _: ZoneInfo) -> Parse:
        read_ = round(len(found.rows) * share)
        parts = [Part.BODY] * read_ + [Part.LEFTOVER] * (len(found.rows) - read_)
        return Parse((Article(name),), tuple(parts), 1.0)

    return SimpleNamespace(NAME=name, sniff=lambda _: 1.0, parse=parse)


@pytest.mark.parametrize(
    ("shares", "chosen", "reason"),
    [
        ((1.0, 0.5), "a", None),
        ((0.6, 0.8), "b", None),
        ((0.7, 0.5), None, "unknown_format"),
        ((1.0, 1.0), None, "ambiguous_boundaries"),
        ((0.88, 1.0), "b", None),
        ((0.95, 1.0), None, "ambiguous_boundaries"),
    ],
)
def test_the_best_result_wins_with_a_margin(
    monkeypatch: pytest.MonkeyPatch,
    shares: tuple[float, float],
    chosen: str | None,
    reason: str | None,
) -> None:
    formats = [fake(name, share) for name, share in zip("ab", shares, strict=True)]
    monkeypatch.setattr(digests, "FORMATS", formats)
    reading = read("x\n" * 100)
    assert (reading.format, reading.reason) == (chosen, reason)
    assert dict(reading.scores) == pytest.approx(dict(zip("ab", shares, strict=True)))


def test_every_format_has_a_name_of_its_own_and_declines_what_it_is_not() -> None:
    assert len({form.NAME for form in digests.FORMATS}) == len(digests.FORMATS)
    for form in digests.FORMATS:
        for text in ("", "\n \n", "word", "word\n\nword\n"):
            assert form.sniff(rows(text)) == 0
            assert digests._score(form.parse(rows(text), ALMATY)) == 0


def test_a_first_look_tells_the_formats_apart() -> None:
    stamps, listing = rows(stamped("first", "\n")), rows(teasers(teaser("A")))
    assert [stamp_first.sniff(stamps), teaser_list.sniff(stamps)] == [1.0, 0.0]
    assert [stamp_first.sniff(listing), teaser_list.sniff(listing)] == [0.0, 1.0]
    assert stamp_first.sniff(rows(stamped("last", "\n"))) == 0.5


# Properties

STAMPS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)).map(  # noqa: DTZ001 -- local to a zone
    lambda moment: moment.replace(second=0, microsecond=0)
)
WORD = st.sampled_from(
    [
        "of", "Word", "7:5", "12.05.2024", "10:00", "U.S.", "Images", "|", "date", "2026-01-02", "№",
        "1,5", "Kazinform", "中文", "Қазақ", "“quoted”", "it’s", "New\u00a0York", "café", "—",
        "(SEZ)", "and,", "👩\u200d👧",
    ]
)  # fmt: skip


def sentences(most: int, end: str) -> st.SearchStrategy[str]:
    found = st.lists(WORD, min_size=1, max_size=most)
    return found.map(lambda words: f"A {' '.join(words)}{end}")


@dataclass(frozen=True)
class Made:
    """An article as the test writes it."""

    title: str
    paragraphs: Sequence[str]
    moment: datetime
    views: int | None
    credit: str | None


def made(views: st.SearchStrategy[int | None]) -> st.SearchStrategy[list[Made]]:
    one = st.builds(
        Made, sentences(12, ""), st.lists(sentences(30, "."), min_size=1, max_size=4), STAMPS, views,
        st.none() | sentences(3, ""),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=6)


def written(articles: Sequence[Made], blank: str, end: str) -> str:
    text = ""
    for one in articles:
        count = "" if one.views is None else f" {one.views}"
        head = [f"{one.moment:%d.%m}.{one.moment.year}, {one.moment:%H:%M}{count}", one.title]
        credit = [f"Images | {one.credit}"] if one.credit else []
        text += "".join(line + "\n" + blank for line in (*head, *credit, *one.paragraphs)) + end
    return text


@given(
    made(st.integers(0, 10**9)) | made(st.none()),
    st.sampled_from(["", "\n", "\n\n"]),
    st.sampled_from(["", END]),
)
def test_a_stamped_digest_is_read_back_as_it_was_written(
    articles: list[Made], blank: str, end: str
) -> None:
    reading = read(written(articles, blank, end))
    assert [
        Made(
            one.title,
            list(one.paragraphs),
            one.published.replace(tzinfo=None),
            one.views,
            one.photo_credit,
        )
        for one in reading.articles
        if one.published
    ] == articles
    assert (reading.leftovers, reading.warnings) == ((), ())


@given(
    st.lists(
        st.tuples(sentences(12, ""), st.lists(WORD, min_size=26, max_size=28)),
        min_size=1,
        max_size=4,
    )
)
def test_a_list_of_teasers_is_read_back_as_it_was_written(
    items: list[tuple[str, list[str]]],
) -> None:
    texts = [(title, " ".join(["A", *words, "end..."])) for title, words in items]
    reading = read("\n\n\n".join(f"{title}\n\n{text}" for title, text in texts))
    assert [(one.title, *one.paragraphs) for one in reading.articles] == texts
    assert all(one.truncated for one in reading.articles)
    assert reading.leftovers == ()


PIECES = st.sampled_from(
    [
        "\n", "\r\n", "\r", "\n\n\n", " \n", "\u00a0\n\n", "\0", "\u200b", "\u2028", "word ",
        "01.01.2026, 10:00 5\n", "31.02.2026, 10:00\n", "01.01.2026\n", " date 2026-01-02 ",
        "A title\n", "A sentence.\n", "Images | X\n", "Source: X\n", "Tell a friend\n", "© 2026\n",
        "ASTANA – " + "word " * 20 + "word...\n",
    ]
)  # fmt: skip


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_the_lines_of_any_digest_add_up(text: str) -> None:
    reading = read(text)
    if reading.reason != "binary":
        check_that_lines_add_up(reading, count_lines(text))
    for article in reading.articles:
        for kept in (article.title, *article.paragraphs, article.photo_credit, article.source):
            assert kept is None or (kept and clean(kept) == kept)


@given(st.binary(max_size=400) | st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_any_bytes_are_read_or_quarantined_with_a_reason(data: bytes | str) -> None:
    reading = read(data.encode(errors="surrogatepass") if isinstance(data, str) else data)
    assert json.loads(json.dumps(as_json("x", reading)))["outcome"] == reading.outcome.value
    if reading.outcome is Outcome.ARTICLES:
        assert reading.articles
        assert reading.score >= digests.MINIMUM
        assert (reading.reason, reading.detail) == (None, None)
    else:
        assert reading.outcome is Outcome.QUARANTINE
        assert reading.reason
        assert reading.detail
        assert not reading.articles
