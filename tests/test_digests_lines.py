"""Room 2: what bytes, lines and paragraphs of a digest say, before any format is asked."""

# ruff: noqa: RUF001 -- dashes, quotes and Cyrillic letters are the matter here
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from factories import make_digest

from feeds import digests
from feeds.digests import lines, prose
from feeds.digests.language import language
from feeds.digests.stamps import read_stamp
from feeds.model import Outcome, Part, Reading

ALMATY = ZoneInfo("Asia/Almaty")
END = "\u00a0\n\n"


def read(data: bytes | str) -> Reading:
    return digests.read(make_digest(data), ALMATY)


def refused(data: bytes) -> tuple[str | None, Outcome]:
    reading = read(data)
    assert reading.detail
    assert not reading.articles
    return reading.reason, reading.outcome


# Bytes and lines


def rows(data: bytes) -> lines.Lines:
    found = lines.lines_of(data)
    assert isinstance(found, lines.Lines)
    return found


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_ends_at_lf_crlf_or_cr(end: str) -> None:
    assert [row.text for row in rows(end.join(["a", "", "b"]).encode()).rows] == ["a", "", "b"]
    assert len(rows(end.join(["a", "", ""]).encode()).rows) == 2


@pytest.mark.parametrize(
    "mark", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_no_other_character_ends_a_line(mark: str) -> None:
    assert [row.text for row in rows(f"{mark}one{mark}line{mark} of many words".encode()).rows] == [
        "one line of many words"
    ]


def test_a_line_of_white_space_is_told_from_an_empty_one() -> None:
    assert [row.spaced for row in rows("\n \n\u00a0\na\n".encode()).rows] == [
        False,
        True,
        True,
        False,
    ]


def test_a_byte_order_mark_is_taken_off() -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        assert rows("Й text".encode(encoding)).rows == (lines.Line(1, "Й text"),)


def test_a_few_bad_bytes_are_replaced_with_a_warning() -> None:
    found = rows(b"good\r\nba\xffd \xef\xbf\xbd\r\n")
    assert found.rows[1].text == "ba\ufffdd \ufffd"
    assert found.warnings == ("line 2: 1 bad byte replaced by U+FFFD",)


def test_much_text_in_utf16_is_quarantined_with_the_way_out() -> None:
    text = "Some text.\n".encode("utf-16-le")
    most = b"\xff\xfe" + text * (lines.MAX_UTF16 // len(text))
    assert refused(most) == ("too_many_lines", Outcome.QUARANTINE)
    reading = read(most + text)
    assert (reading.reason, reading.outcome) == ("too_much_text", Outcome.QUARANTINE)
    assert (
        reading.detail
        == "more than 33,554,432 bytes of UTF-16; save it as UTF-8, or split the file"
    )


def test_bad_bytes_are_counted_also_where_a_large_digest_is_taken_apart() -> None:
    line = b"x" * 99 + b"\n"
    good = line * (lines._CHUNK // len(line)) + b"y" * (lines._CHUNK % len(line) - 1)
    assert rows(good + "\u0416\n".encode()).warnings == ()
    number = lines._CHUNK // len(line) + 1
    cut = rows(good + b"\xe2\x82\n" + b"\xff\n")
    assert cut.warnings == (f"line {number}: 2 bad bytes replaced by U+FFFD",)
    assert cut.rows[-2].text.endswith("y\ufffd")


def test_text_in_another_encoding_is_quarantined() -> None:
    assert refused("Погода на завтра".encode("cp1251")) == ("encoding", Outcome.QUARANTINE)
    assert refused(b"\xff\xfea") == ("encoding", Outcome.QUARANTINE)


@pytest.mark.parametrize(
    "data",
    [b"\x89PNG\r\n", b"%PDF-1.7 text", b"PK\x03\x04", b"text\0" * 9, b"\xff\xfe" + b"\0" * 40],
)
def test_what_is_no_text_is_quarantined(data: bytes) -> None:
    assert refused(data) == ("binary", Outcome.QUARANTINE)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b" \n\xc2\xa0\n", b"\xef\xbb\xbf", b" date 2026-01-02 "]
)
def test_a_digest_without_text_is_quarantined(data: bytes) -> None:
    assert refused(data) == ("empty", Outcome.QUARANTINE)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_too_many_lines_are_quarantined(end: bytes) -> None:
    most = lines.MAX_LINES - 1
    assert refused(end * (most + 1)) == ("too_many_lines", Outcome.QUARANTINE)
    assert len(rows(end * most).rows) == most


def test_a_line_that_is_too_long_is_quarantined_by_its_number() -> None:
    most = b"x" * lines.MAX_LINE
    assert len(rows(b"a\n" + most).rows) == 2
    reading = read(b"a\n" + most + b"x\n")
    assert (reading.reason, reading.outcome) == ("line_too_long", Outcome.QUARANTINE)
    assert reading.detail is not None
    assert reading.detail.startswith("line 2: ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_text_counts_as_it_lies_in_memory(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, wide = "word " * 20 + "\n", "word " * 19 + "\U0001f600    \n"
    monkeypatch.setattr(lines, "MAX_WEIGHT", 120_000)
    assert len(rows((plain * 150).encode(encoding)).rows) == 150
    reading = read((wide * 150).encode(encoding))
    assert (reading.reason, reading.outcome) == ("too_much_text", Outcome.QUARANTINE)
    assert reading.detail is not None
    assert reading.detail.endswith("split the file")


def test_dropped_characters_are_counted_in_a_warning() -> None:
    assert rows(b"a\x07b\n").warnings == ("1 character dropped: not safe in XML, or invisible",)
    assert rows("a\u200bb\u202e\n".encode()).warnings == (
        "2 characters dropped: not safe in XML, or invisible",
    )


def test_the_collectors_date_may_share_its_line() -> None:
    found = rows(b" date 2026-01-02 01.01.2026, 16:52 9306\nx")
    assert (str(found.header), found.header_line) == ("2026-01-02", 0)
    assert found.rows[0].text == "01.01.2026, 16:52 9306"


def test_the_collectors_date_alone_is_a_header() -> None:
    reading = read(f" date 2026-01-02 \n\n01.01.2026, 16:52 1\nTitle\nText.\n{END}")
    assert reading.parts[:3] == (Part.HEADER, Part.SEPARATOR, Part.STAMP)


@pytest.mark.parametrize("first", ["date 2026-02-30 x", "date of issue", "the date 2026-01-02"])
def test_other_lines_about_dates_are_no_header(first: str) -> None:
    assert rows(first.encode()).header is None


# Stamps


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("03.04.2025, 08:00 5", "2025-04-03T08:00:00+05:00"),
        ("29.02.2024, 22:59 5", "2024-02-29T22:59:00+06:00"),
        ("29.02.2024, 23:30 5", "2024-02-29T23:30:00+06:00"),
        ("01.03.2024, 00:00 5", "2024-03-01T00:00:00+05:00"),
        ("26.01.2024", "2024-01-26T12:00:00+06:00"),
    ],
)
def test_a_stamp_is_local_to_almaty_the_day_first(text: str, moment: str) -> None:
    stamp = read_stamp(text, ALMATY)
    assert stamp is not None
    assert stamp.moment is not None
    assert stamp.moment.isoformat() == moment


def test_the_hour_that_almaty_repeated_is_the_earlier_one() -> None:
    stamps = [read_stamp(text, ALMATY) for text in ("29.02.2024, 23:30", "01.03.2024, 00:30")]
    first, second = (stamp.moment for stamp in stamps if stamp)
    assert first is not None
    assert second is not None
    assert second.astimezone(UTC) - first.astimezone(UTC) == timedelta(hours=2)


def test_a_stamp_follows_the_zone_it_is_given() -> None:
    stamp = read_stamp("01.07.2025, 12:00 1", ZoneInfo("Europe/Berlin"))
    assert stamp is not None
    assert stamp.moment == datetime(2025, 7, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "views"),
    [
        ("01.01.2026, 16:52", None),
        ("01.01.2026, 16:52 131", 131),
        ("01.01.2026,\u00a016:52\u00a0111481", 111_481),
        ("01.01.2026, 16:52 12 480", 12_480),
        ("01.01.2026, 16:52 12,480", 12_480),
        ("01.01.2026, 16:52 1.2K", None),
        ("01.01.2026, 16:52 -", None),
        ("01.01.2026, 16:52 12 48", None),
    ],
)
def test_views_are_a_number_or_none(text: str, views: int | None) -> None:
    stamp = read_stamp(text, ALMATY)
    assert stamp is not None
    assert stamp.views == views


@pytest.mark.parametrize(
    "text",
    [
        "31.02.2026, 10:00 7",
        "01.13.2026, 10:00 7",
        "01.01.2026, 24:00",
        "01.01.0001, 00:00",
        "00.00.2026",
    ],
)
def test_an_impossible_stamp_is_a_stamp_without_a_moment(text: str) -> None:
    stamp = read_stamp(text, ALMATY)
    assert stamp is not None
    assert (stamp.moment, stamp.precision) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4 killed on the road to Astana",
        "152 thou people",
        "7:5, 6:7, 6:4",
        "1.1.2026, 10:00",
        "on 01.01.2026, 16:52 9306",
        "01.01.2026, 16:52 the ceremony began",
        "01.01.2026, 16:52 Opening",
        "01.01.2026 was a Thursday",
        "٠١.٠١.٢٠٢٦, ١٦:٥٢",
    ],
)
def test_other_lines_are_no_stamps(text: str) -> None:
    assert read_stamp(text, ALMATY) is None


# What a line or a paragraph says


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("It grew to 50%, Qazinform News Agency\u00a0reports.", "Qazinform"),
        ("He spoke, Qazinform News Agency\u00a0cites the Akorda press service.", "Qazinform"),
        ("In Astana,\u00a0Qazinform News Agency\u00a0learned from the Ministry.", "Qazinform"),
        ("He left, Qazinform News Agency reports, citing Akorda.", "Qazinform"),
        ("Manas Usenov and Murakerim Burkhan, primeminister.kz reports.", "primeminister.kz"),
        ("It was remarkable, reported Kazinform.  Two findings...", "Kazinform"),
        ("According to Reuters, it rained.", "Reuters"),
        ("It rained, the Trans Steppe News Agency reported.", "Trans Steppe"),
        ("Interfax-Kazakhstan reports that it rained.", "Interfax-Kazakhstan"),
        ("The minister told Xinhua in Beijing that it rained.", "Xinhua"),
        ("On Monday Unknown News Agency reports came late.", None),
        ("It rained, reported the Kazakh Ministry of Health.", None),
        ("It rained, said Kazakh Minister Aidarbek Saparov.", None),
        ("It rained, the APSA press service...", None),
        ("It rained, reported Smith.", None),
        ("It ended.he reports, citing nobody.", None),
        ("The agency reports that it rained.", None),
        ("Their site is primeminister.kz and it is down.", None),
        ("", None),
    ],
)
def test_the_source_is_the_agency_cited_and_nobody_else(text: str, source: str | None) -> None:
    assert prose.cited_source([text]) == source


def test_the_source_stands_in_the_first_two_paragraphs() -> None:
    assert prose.cited_source(["Rain.", "TASS reports."]) == "TASS"
    assert prose.cited_source(["Rain.", "Sun.", "TASS reports."]) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ASTANA – Kazakhstan", "ASTANA"),
        ("ASTANA —\u00a0Kazakhstan", "ASTANA"),
        ("NUR-SULTAN - The", "NUR-SULTAN"),
        ("ALMATY, ASTANA -- Two", "ALMATY, ASTANA"),
        ("АЛМАТЫ – Город", "АЛМАТЫ"),
        ("Astana – the capital", None),
        ("ASTANA is the capital – of Kazakhstan", None),
        ("EU – the union", None),
        ("COVID-19 – the illness", None),
        ("Editor’s note: This", None),
        ("ASTANA", None),
    ],
)
def test_a_dateline_is_a_place_in_capitals_and_a_dash(text: str, place: str | None) -> None:
    assert prose.dateline(text) == place


@pytest.mark.parametrize(
    ("text", "whole", "cut"),
    [
        ("The end.", True, False),
        ("“The end!”", True, False),
        ("The end (really?).", True, False),
        ("Not the...", False, True),
        ("Not the…", False, True),
        ("Not the [...]", False, True),
        ("Not the", False, False),
    ],
)
def test_a_text_is_finished_or_marked_or_neither(text: str, *, whole: bool, cut: bool) -> None:
    assert (prose.finished(text), prose.marked(text)) == (whole, cut)


@pytest.mark.parametrize(
    ("text", "must", "may"),
    [
        ("152 thou tonnes of grain sold", True, True),
        ("Kazakhstan to join talks with the U.S.", True, False),
        ("Happy New Year!", True, False),
        ("Who won?", True, True),
        ("Support measures:", True, False),
        ("in the middle of a sentence", True, False),
        ("Roads are closed.", True, False),
        (
            "A sentence of sixteen words, one two three four five six seven eight nine ten eleven.",
            False,
            False,
        ),
        ("word " * 41, False, False),
        ("x" * 301, False, False),
    ],
)
def test_a_line_may_be_a_title_more_easily_where_one_must_be(
    text: str, *, must: bool, may: bool
) -> None:
    assert (prose.may_be_title(text), prose.looks_like_title(text)) == (must, may)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The minister said that the rest of the work is for the next year.", "en"),
        ("Министр сказал, что работы на мосту будут закончены в этом году и не позже.", "ru"),
        ("Қазақстан Республикасының Президенті бүгін ұлттық құрылтайға қатысты.", "kk"),
        ("Der Minister sagte, dass die Arbeiten an der Brücke bald zu Ende sind.", None),
        ("Мамлекет башчысы бүгүн жаңы көпүрөнүн ачылышына катышты деп билдирди.", None),
        ("Министр бе сказал the rest of the work", None),
        ("Title here", None),
        ("1 2 3 4 5 6", None),
        ("", None),
    ],
)
def test_a_language_is_named_when_there_is_no_doubt(text: str, expected: str | None) -> None:
    assert language([text]) == expected
