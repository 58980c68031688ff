from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from email.message import EmailMessage
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from factories import NOW, ROOT, make_article, make_entry, make_publication
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import letters, text
from feeds.editions import Occasion, Terms, compose, selection
from feeds.errors import DeliveryError
from feeds.letters import HTML_LIMIT, MailIdentity
from feeds.model import Edition, Letter, Mix, Subscriber
from feeds.publication import Publication

SUBSCRIBER = Subscriber(7, "you@example.org", NOW)
MAIL = MailIdentity(
    sender="news@example.org",
    domain="news.example.org",
    message_id="<0123456789abcdefghijABCD@news.example.org>",
    unsubscribe="7.ABCDEFGHIJKLMNOPQRSTUVWX",
)
HEADERS = [
    "Date", "From", "To", "Subject", "Message-ID", "List-Id", "List-Unsubscribe", "List-Archive",
    "Auto-Submitted", "Content-Language", "MIME-Version", "Content-Type",
]  # fmt: skip
NEWS = (
    ("politics", "Parliament votes on the budget for three years", "The lower house passed it."),
    ("politics", "Envoys of five states meet in the capital", "They spoke of water & borders."),
    ("politics", "A governor is appointed", "He was a deputy minister <until> last week."),
    ("politics", "An embassy opens its new house", "The old one stays a consulate."),
    ("economy", "Grain harvest ends with a record", "From the steppe came 20 million tons."),
    ("economy", "The rate stays where it was", "Inflation slows, says the bank."),
    ("science", "A telescope sees its first light", ""),
    ("sport", "Chess team wins in Samarkand", "Four games of six were won by the youngest."),
)


def make_mix(
    rows: tuple[tuple[str, str, str], ...] = NEWS,
    subscriber: Subscriber = SUBSCRIBER,
    limit: int = 15,
    **entry: object,
) -> Mix:
    entries = []
    for at, (channel, title, body) in enumerate(rows):
        published = None if channel == "science" else NOW - timedelta(hours=at)
        article = make_article(title, body, published=published, source="Agency")
        entries.append(make_entry(article, at + 1, channel=channel, position=at, **entry))
    occasion = Occasion("2026-01-02T08:00", datetime(2026, 1, 2, 3, tzinfo=UTC), NOW)
    terms = Terms("daily", "Asia/Almaty", limit=limit)
    edition = compose(entries, occasion, terms, make_publication(), {})
    assert isinstance(edition, Edition)
    mix = selection(edition, subscriber)
    assert mix is not None
    return mix


def render(
    mix: Mix | None = None,
    subscriber: Subscriber = SUBSCRIBER,
    mail: MailIdentity = MAIL,
    **publication: object,
) -> Letter:
    mix = mix or make_mix(subscriber=subscriber)
    return letters.render(mix, subscriber, make_publication(**publication), mail)


def parse(letter: Letter) -> EmailMessage:
    message = email.message_from_bytes(letter.data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk()] == [[], [], []]
    return message


def body(letter: Letter, kind: str) -> str:
    part = parse(letter).get_body((kind,))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def raw_header(letter: Letter, name: str) -> list[str]:
    """Return the value of a header as its lines stand in the bytes."""
    head = letter.data.split(b"\r\n\r\n", 1)[0].decode()
    found = re.search(rf"^{name}: ([^\r]*(?:\r\n [^\r]*)*)", head, re.MULTILINE)
    assert found
    return found[1].split("\r\n")


def sender_name(letter: Letter) -> str:
    """Return the name in From by RFC 2047; the address parser of Python 3.11 adds spaces of its own."""
    lines = "\r\n".join(raw_header(letter, "From"))
    if "=?" in lines:
        return str(make_header(decode_header(lines))).removesuffix(" <news@example.org>")
    name = parse(letter)["From"].addresses[0].display_name
    assert isinstance(name, str)
    return name


class Page(HTMLParser):
    """The text by tag, and all tags with their attributes, of an HTML part."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and what it is called with."""
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """Close a tag, and those left open in it."""
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Add text to every tag that is open."""
        for tag in self._open:
            self.texts[tag][-1] += data


def test_a_letter_is_as_it_was_last_looked_at(golden: Callable[[str, bytes], None]) -> None:
    golden("letters/daily.eml", render().data)


def test_the_headers_say_what_they_should() -> None:
    message = parse(render())
    assert message.keys() == HEADERS
    assert raw_header(render(), "From") == ['"News digest" <news@example.org>']
    assert message["From"].addresses[0].display_name == "News digest"
    assert message["To"].addresses[0].addr_spec == "you@example.org"
    assert message["Subject"] == "Parliament votes on the budget for three years + 7 more"
    assert message["Date"].datetime == NOW
    assert message["Message-ID"] == MAIL.message_id
    assert message["List-Id"] == '"News digest: daily" <daily.news.example.org>'
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "en"
    web = "https://news.example.org/editions/daily/2026-01-02T0800.html"
    assert message["List-Archive"] == f"<{web}>"


def test_the_letter_knows_its_recipient_id_and_subject() -> None:
    letter = render()
    assert (letter.recipient, letter.message_id) == ("you@example.org", MAIL.message_id)
    assert letter.subject == parse(letter)["Subject"]


def test_text_stands_before_html_and_both_are_utf_8() -> None:
    message = parse(render())
    assert message.get_content_type() == "multipart/alternative"
    kinds = [(part.get_content_type(), part.get_content_charset()) for part in message.iter_parts()]
    assert kinds == [("text/plain", "utf-8"), ("text/html", "utf-8")]


def test_addresses_in_headers_are_whole_on_one_line() -> None:
    mail = replace(MAIL, reply_to=f"editors@{'long-' * 20}name.example.org")
    letter = render(mail=mail, base_url=f"https://{'long-' * 20}name.example.org/")
    for name in ("List-Unsubscribe", "List-Archive", "Message-ID", "List-Id"):
        (line,) = raw_header(letter, name)
        assert "=?" not in line
    assert raw_header(letter, "List-Unsubscribe")[0] == (
        f"<mailto:editors@{'long-' * 20}name.example.org"
        "?subject=unsubscribe%207.ABCDEFGHIJKLMNOPQRSTUVWX>"
    )
    assert parse(letter)["Reply-To"].addresses[0].domain == f"{'long-' * 20}name.example.org"


def test_an_address_to_leave_is_encoded_as_a_uri() -> None:
    mail = replace(MAIL, sender="News <news+list&x@example.org>")
    (line,) = raw_header(render(mail=mail), "List-Unsubscribe")
    assert line.startswith("<mailto:news%2Blist%26x@example.org?subject=unsubscribe%20")


def test_bytes_are_safe_on_any_road() -> None:
    for letter in (render(), render(make_mix((("politics", "Заголовок", "Новость дня. " * 40),)))):
        assert letter.data.isascii()
        assert letter.data.endswith(b"\r\n")
        assert b"\n" not in letter.data.replace(b"\r\n", b"")
        assert b"\r" not in letter.data.replace(b"\r\n", b"")
        head, rest = letter.data.split(b"\r\n\r\n", 1)
        assert max(map(len, head.split(b"\r\n"))) <= 998
        assert max(map(len, rest.split(b"\r\n"))) <= 76


def test_no_line_begins_as_an_mbox_message_does() -> None:
    words = "From here From there " * 8
    letter = render(make_mix((("politics", "From the steppe", words),)))
    assert not re.search(rb"^From ", letter.data, re.MULTILINE)
    assert "From the steppe" in body(letter, "plain")
    assert "From here From there" in body(letter, "plain").replace("\n", " ")


def test_the_shorter_encoding_is_chosen_for_each_part() -> None:
    latin, cyrillic = render(), render(make_mix((("politics", "Заголовок", "Новость дня. " * 40),)))
    assert [p["Content-Transfer-Encoding"] for p in parse(latin).iter_parts()] == [
        "quoted-printable"
    ] * 2
    assert next(parse(cyrillic).iter_parts())["Content-Transfer-Encoding"] == "base64"
    assert "Новость дня." in body(cyrillic, "plain")


def test_a_letter_rendered_again_is_the_same_to_the_byte() -> None:
    assert render().data == render().data
    other = render(mail=replace(MAIL, message_id="<another@news.example.org>"))
    boundary = parse(render()).get_boundary()
    assert parse(other).get_boundary() != boundary


words_of_any_kind = st.text(min_size=1).map(text.clean).filter(bool)


@settings(max_examples=60)
@given(words_of_any_kind, words_of_any_kind, words_of_any_kind)
def test_any_clean_text_arrives_as_it_was_written(title: str, summary: str, name: str) -> None:
    mix = make_mix((("politics", title, summary), NEWS[4]))
    letter = render(mix, title=name)
    message = parse(letter)
    assert message.keys() == HEADERS
    assert message["Subject"] == mix.subject
    assert sender_name(letter) == text.shorten(name, 60)
    page = Page(body(letter, "html"))
    assert page.texts["h1"] == [name]
    assert page.texts["h2"][0] == mix.lead.title
    assert mix.lead.summary in page.texts["p"]
    plain = body(letter, "plain")
    assert "".join(mix.lead.title.split()) in "".join(plain.split())
    assert "".join(mix.lead.summary.split()) in "".join(plain.split())


ugly = st.text(
    st.sampled_from('a@.<>\r\n\0:=?"\\ ,;é\x0b\x85\u2028%')
    | st.characters(exclude_categories=["Cs"]),
    max_size=30,
)
fields = st.sampled_from(["sender", "reply_to", "domain", "unsubscribe", "message_id", "email"])


@settings(max_examples=150)
@given(ugly, ugly, st.dictionaries(fields, ugly))
def test_no_field_can_add_a_header(name: str, edition: str, values: dict[str, str]) -> None:
    mix = make_mix(NEWS[:1])
    mix = replace(mix, edition=replace(mix.edition, name=edition), subject=f"a{name}")
    who = replace(SUBSCRIBER, email=values.pop("email", SUBSCRIBER.email))
    mail = replace(MAIL, **values)
    try:
        letter = render(mix, who, mail, title=name, language=f"en{edition}")
    except DeliveryError:
        return
    head = letter.data.split(b"\r\n\r\n", 1)[0]
    assert b"\0" not in head
    assert b"\n" not in head.replace(b"\r\n", b"")
    names = [line.split(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] != b" "]
    assert names == [name for name in names if name in {*HEADERS, "Reply-To"}]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "address",
    ["", "you", "@example.org", "you@", "a b@example.org", "a@b@c", "a@b\r\nBcc: c@d", '"a"@b'],
)
def test_an_address_that_no_header_can_hold_fails_for_good(address: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        render(subscriber=replace(SUBSCRIBER, email=address), mix=make_mix())
    assert caught.value.permanent
    assert not address or address not in str(caught.value)


def test_an_international_domain_stands_in_its_ascii_form() -> None:
    letter = render(subscriber=replace(SUBSCRIBER, email="you@пример.example"), mix=make_mix())
    assert raw_header(letter, "To") == ["you@xn--e1afmkfd.example"]


def test_a_name_beyond_ascii_is_encoded_in_words_of_75() -> None:
    title = "Қазақстан жаңалықтары: саясат, экономика және қоғам"
    letter = render(title=title)
    assert sender_name(letter) == title
    for name in ("From", "List-Id"):
        for word in re.findall(r"=\?\S+\?=", " ".join(raw_header(letter, name))):
            assert len(word) <= 75
        assert max(map(len, raw_header(letter, name))) <= 998


# What it looks like


def test_the_page_has_one_title_and_headings_in_order() -> None:
    page = Page(body(render(), "html"))
    assert page.texts["h1"] == ["News digest"]
    assert page.texts["h2"] == [
        "Parliament votes on the budget for three years",
        "Politics",
        "Economy",
        "Science and technology",
        "Sport",
    ]
    assert len(page.texts["h3"]) == 6
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_tables_are_for_looks_alone_and_nothing_is_loaded_from_elsewhere() -> None:
    html = body(render(), "html")
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in {"img", "script", "link", "iframe", "form", "object", "svg"}
        assert not {"src", "background", "srcset"} & attributes.keys()
        if tag == "table":
            assert attributes["role"] == "presentation"
        if tag == "a":
            assert re.match("(https://news.example.org/|mailto:)", attributes["href"] or "")
    assert "url(" not in html
    assert "@import" not in html
    assert min(map(int, re.findall(r"font-size:(\d+)px", html))) >= 14
    assert all(attributes.get("lang") == "en" for tag, attributes in page.tags if tag == "html")


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    """Contrast ratio by WCAG 2.2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_words_stand_out_in_light_and_in_dark() -> None:
    source = Path(ROOT / "templates" / "letter.html").read_text("utf-8")
    light = dict(re.findall(r'"(page|card|ink|soft|red)": "(#[0-9a-f]{6})"', source))
    dark = dict(
        re.findall(r"^\.(\w+)\{(?:background-)?color:(#[0-9a-f]{6})!", source, re.MULTILINE)
    )
    outlook = re.findall(
        r"^\[data-ogs[bc]\] \.(\w+)\{(?:background-)?color:(#\w{6})!", source, re.MULTILINE
    )
    assert light.keys() == dark.keys()
    assert dict(outlook) == dark
    for colour in ("ink", "soft", "red"):
        for ground in ("page", "card"):
            assert _contrast(light[colour], light[ground]) >= 4.5
            assert _contrast(dark[colour], dark[ground]) >= 7


def test_the_preheader_comes_first_and_has_the_date() -> None:
    html = body(render(), "html")
    first = re.search(r"<body[^>]*>\s*<div[^>]*>(.*?)</div>", html)
    assert first
    assert first[1].startswith(
        "Friday, 2 January 2026: Envoys of five states meet in the capital ·"
    )


def test_the_text_part_is_72_columns_wide() -> None:
    for line in body(render(), "plain").split("\n"):
        assert len(line) <= 72 or line.startswith("https://")


def test_what_is_not_shown_is_linked_on_the_web() -> None:
    letter = render()
    web = "https://news.example.org/editions/daily/2026-01-02T0800.html#politics"
    assert "1 more in Politics on the web:\n" + web in body(letter, "plain")
    assert ("a", web) in [(tag, a.get("href")) for tag, a in Page(body(letter, "html")).tags]


def test_channels_without_room_are_named_at_the_end() -> None:
    plain = body(render(make_mix(limit=3)), "plain")
    contents = "Politics 4 · Economy 2 · Science and technology 1 · Sport 1"
    assert f"In this edition: {contents}" in " ".join(plain.split())
    assert "ALSO ON THE WEB\n\nPolitics: 3\nSport: 1\n" in plain


def test_a_letter_says_why_it_came_how_to_leave_and_that_nobody_watches() -> None:
    subscriber = replace(SUBSCRIBER, channels=("economy", "gone", "sport"))
    letter = render(subscriber=subscriber)
    for part in (body(letter, "plain"), " ".join(Page(body(letter, "html")).texts["p"])):
        said = " ".join(part.split())
        assert (
            "You receive this letter because you@example.org subscribes to the daily edition of "
            "News digest: Economy, gone, Sport." in said
        )
        assert "loads no images and tracks nothing" in said
    assert "unsubscribe 7.ABCDEFGHIJKLMNOPQRSTUVWX" in body(letter, "plain")
    assert "Parliament" not in letter.data.decode()


def test_the_archive_and_the_older_are_named() -> None:
    mix = make_mix()
    old = replace(mix, edition=replace(mix.edition, from_archive=True, older=12))
    plain = body(render(old), "plain")
    assert "daily edition · From the archive" in plain
    assert "12 older articles were filed on the web" in " ".join(plain.split())
    one = replace(mix, edition=replace(mix.edition, older=1))
    assert "1 older article was filed" in " ".join(body(render(one), "plain").split())


def test_an_article_in_another_language_says_so() -> None:
    mix = make_mix()
    foreign = replace(mix.lead, lang="kk")
    section = replace(mix.sections[0], briefs=(foreign, *mix.sections[0].briefs[1:]))
    mixed = replace(mix, lead=foreign, sections=(section, *mix.sections[1:]))
    assert [a["lang"] for tag, a in Page(body(render(mixed), "html")).tags if a.get("lang")] == [
        "en", "en", "kk",
    ]  # fmt: skip


def test_a_letter_that_mail_programs_would_clip_is_cut_and_says_so() -> None:
    slugs = [channel.slug for channel in make_publication().channels]
    rows = tuple(
        (slug, f"{n} {'Long title ' * 20}", "<&>&<&>&<& " * 60) for slug in slugs for n in range(4)
    )
    huge = make_mix(rows, limit=200)
    letter = render(huge)
    html = body(letter, "html")
    assert len(html.encode()) <= HTML_LIMIT
    shown = html.count("<h3 ") + 1
    more = sum(map(int, re.findall(r">(\d+) more in", html)))
    assert 1 < shown < huge.shown
    assert shown + more == huge.shown + huge.more


def test_one_article_too_large_for_a_letter_still_goes_out(publication: Publication) -> None:
    mix = make_mix(NEWS[:1])
    huge = replace(mix.lead, summary="w" * 90_000)
    mix = replace(mix, lead=huge, sections=(replace(mix.sections[0], briefs=(huge,)),))
    assert len(letters.render(mix, SUBSCRIBER, publication, MAIL).data) > 90_000
