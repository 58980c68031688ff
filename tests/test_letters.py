from __future__ import annotations

import email
import email.policy
import re
import unicodedata
import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from email.message import EmailMessage
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from factories import GOLDEN, NOW, ROOT, make_article, make_entry, make_publication
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feeds import letters, text
from feeds.editions import Occasion, Terms, compose, selection
from feeds.errors import DeliveryError
from feeds.letters import HTML_LIMIT, Addressee, MailIdentity, Notice, Question, parts, words
from feeds.model import Brief, Correction, Edition, EntryId, Letter, Mix, Subscriber

SUBSCRIBER = Subscriber(7, "you@example.org", NOW)
TO = Addressee(
    email="you@example.org",
    message_id="<0123456789abcdefghijABCD@news.example.org>",
    token="7.ABCDEFGHIJKLMNOPQRSTUVWX",
)
MAILTO = MailIdentity("news@example.org", "news.example.org", answers="leave@example.org")
HTTPS = replace(MAILTO, pages="https://news.example.org/u/")
PAGE = "https://news.example.org/u/7.ABCDEFGHIJKLMNOPQRSTUVWX"
WRITES = "mailto:leave@example.org?subject=unsubscribe%207.ABCDEFGHIJKLMNOPQRSTUVWX"
HEADERS = [
    "Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type", "Content-Language",
    "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Archive", "List-Help",
    "Auto-Submitted", "Feedback-ID",
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


def lead_of(mix: Mix) -> Brief:
    assert mix.lead is not None
    return mix.lead


def make_mix(
    rows: tuple[tuple[str, str, str], ...] = NEWS,
    subscriber: Subscriber = SUBSCRIBER,
    limit: int = 7,
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
    wishes: Subscriber = SUBSCRIBER,
    to: Addressee = TO,
    mail: MailIdentity = HTTPS,
    **publication: object,
) -> Letter:
    mix = mix or make_mix(subscriber=wishes)
    return letters.address(letters.draft(mix, wishes, make_publication(**publication), mail), to)


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


EVERYWHERE = pytest.mark.parametrize(
    ("language", "mail"),
    [(language, mail) for language in words.LANGUAGES for mail in (HTTPS, MAILTO)],
    ids=[f"{language}-{way}" for language in words.LANGUAGES for way in ("https", "mailto")],
)


def test_a_letter_is_as_it_was_last_looked_at(golden: Callable[[str, bytes], None]) -> None:
    golden("letters/daily.eml", render().data)


def test_a_letter_in_another_language_is_as_it_was_last_looked_at(
    golden: Callable[[str, bytes], None],
) -> None:
    for language in ("ru", "kk"):
        letter = render(mail=replace(MAILTO, reply_to="editors@example.org"), language=language)
        golden(f"letters/daily.{language}.eml", letter.data)


# Headers


@EVERYWHERE
def test_the_headers_say_what_they_should(language: str, mail: MailIdentity) -> None:
    letter = render(mail=mail, language=language)
    message = parse(letter)
    one_click = mail is HTTPS
    only_then = {"List-Unsubscribe-Post", "List-Help"}
    assert message.keys() == [name for name in HEADERS if one_click or name not in only_then]
    assert raw_header(letter, "From") == ['"News digest" <news@example.org>']
    assert message["From"].addresses[0].display_name == "News digest"
    assert message["To"].addresses[0].addr_spec == "you@example.org"
    assert message["Subject"] == "Parliament votes on the budget for three years + 7 more"
    assert raw_header(letter, "Date") == ["Fri, 02 Jan 2026 06:30:00 +0000"]
    assert message["Message-ID"] == TO.message_id
    assert message["List-Id"] == '"News digest: daily" <daily.news.example.org>'
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == language
    assert message["Feedback-ID"] == "2026-01-02T0800:daily:feeds:newsexampleorg"
    web = "https://news.example.org/editions/daily/2026-01-02T0800.html"
    assert message["List-Archive"] == f"<{web}>"


@EVERYWHERE
def test_leaving_takes_one_click_or_one_message(language: str, mail: MailIdentity) -> None:
    letter = render(mail=mail, language=language)
    if mail is HTTPS:
        assert raw_header(letter, "List-Unsubscribe") == [f"<{PAGE}>,", f" <{WRITES}>"]
        assert raw_header(letter, "List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
        assert raw_header(letter, "List-Help") == [f"<{PAGE}>"]
    else:
        assert raw_header(letter, "List-Unsubscribe") == [f"<{WRITES}>"]
        assert b"One-Click" not in letter.data
    goes_to, other = (PAGE, WRITES) if mail is HTTPS else (WRITES, PAGE)
    links = [a.get("href") for tag, a in Page(body(letter, "html")).tags if tag == "a"]
    assert goes_to in links
    assert other not in links


@EVERYWHERE
def test_bytes_are_safe_on_any_road(language: str, mail: MailIdentity) -> None:
    for mix in (make_mix(), make_mix((("politics", "Заголовок", "Новость дня. " * 40),))):
        data = render(mix, mail=mail, language=language).data
        assert data.isascii()
        assert data.endswith(b"\r\n")
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)|^From ", data, re.MULTILINE)
        head, rest = data.split(b"\r\n\r\n", 1)
        whole = {b"List-Unsubscribe", b"List-Archive", b"List-Help"}
        for line in head.split(b"\r\n"):
            assert len(line) <= 78 or line.split(b":")[0] in whole
        assert max(map(len, rest.split(b"\r\n"))) <= 76


def test_the_letter_knows_its_envelope_id_and_subject() -> None:
    letter = render(to=replace(TO, sender="bounces+7.x@пример.example"))
    assert (letter.recipient, letter.message_id) == ("you@example.org", TO.message_id)
    assert letter.sender == "bounces+7.x@xn--e1afmkfd.example"
    assert b"bounces" not in letter.data
    assert letter.subject == parse(letter)["Subject"]
    assert render().sender == ""


def test_text_stands_before_html_and_both_are_utf_8() -> None:
    message = parse(render())
    assert message.get_content_type() == "multipart/alternative"
    kinds = [(part.get_content_type(), part.get_content_charset()) for part in message.iter_parts()]
    assert kinds == [("text/plain", "utf-8"), ("text/html", "utf-8")]


def test_addresses_in_headers_are_whole_on_one_line() -> None:
    host = f"{'long-' * 20}name.example.org"
    letter = render(
        mail=replace(
            HTTPS,
            reply_to=f"Editors of the news <editors@{host}>",
            help=f"help@{host}",
            answers=f"leave@{host}",
        ),
        base_url=f"https://{host}/",
    )
    assert raw_header(letter, "List-Unsubscribe")[1:] == [
        f" <mailto:leave@{host}?subject=unsubscribe%207.ABCDEFGHIJKLMNOPQRSTUVWX>"
    ]
    assert raw_header(letter, "List-Help") == [f"<mailto:help@{host}>"]
    assert raw_header(letter, "List-Archive")[0].startswith(f"<https://{host}/editions/")
    assert raw_header(letter, "Reply-To") == ['"Editors of the news"', f" <editors@{host}>"]
    assert parse(letter)["Reply-To"].addresses[0].domain == host


def test_an_address_to_leave_is_encoded_as_a_uri() -> None:
    mail = replace(MAILTO, answers="news+list&x@example.org")
    letter = render(to=replace(TO, token="7.A"), mail=mail)
    [line] = raw_header(letter, "List-Unsubscribe")
    assert line == "<mailto:news%2Blist%26x@example.org?subject=unsubscribe%207.A>"


def test_a_one_click_address_that_is_broken_on_the_way_is_refused() -> None:
    fits = "https://news.example.org/u/".ljust(77 - len(TO.token), "x")
    letter = render(mail=replace(HTTPS, pages=fits))
    assert raw_header(letter, "List-Unsubscribe")[0] == f"<{fits}{TO.token}>,"
    for unfit in (fits + "x", "http://news.example.org/u/", "https://a/>", "https://a/\r\nBcc:x"):
        with pytest.raises(DeliveryError) as caught:
            render(mail=replace(HTTPS, pages=unfit))
        assert not caught.value.permanent


@pytest.mark.parametrize("way", ["https", "mailto"])
def test_a_token_that_is_broken_on_the_way_makes_no_link(way: str) -> None:
    for unfit in ("7.A>", "7.A\r\nBcc:x", "7.é", "7. A"):
        to = replace(TO, token=unfit)
        if way == "https":
            with pytest.raises(DeliveryError) as caught:
                render(to=to)
            assert not caught.value.permanent
        else:
            [line] = raw_header(render(to=to, mail=MAILTO), "List-Unsubscribe")
            assert re.fullmatch(
                r"<mailto:leave@example\.org\?subject=unsubscribe%207[\w.%]*>", line
            )


@pytest.mark.parametrize(
    ("reply_to", "answers", "goes_to"),
    [
        (None, "", "news@example.org"),
        ("Editors <editors@example.org>", "", "editors@example.org"),
        ("editors@example.org", "Robot <bounces@пример.example>", "bounces@xn--e1afmkfd.example"),
    ],
)
def test_a_message_that_leaves_goes_where_it_is_read(
    reply_to: str | None, answers: str, goes_to: str
) -> None:
    mail = replace(MAILTO, sender="News <news@example.org>", reply_to=reply_to, answers=answers)
    letter = render(mail=mail)
    [line] = raw_header(letter, "List-Unsubscribe")
    assert line == f"<mailto:{goes_to}?subject=unsubscribe%20{TO.token}>"
    assert goes_to in " ".join(body(letter, "plain").split())


def test_feedback_goes_by_four_fields_without_anybody_in_them() -> None:
    mix = make_mix()
    mix = replace(mix, edition=replace(mix.edition, name="Утро: the early one " * 10))
    for domain in ("a.b", "news.example.org", f"{'long-' * 12}.example.org", "пример.example"):
        value = parse(render(mix, mail=replace(HTTPS, domain=domain)))["Feedback-ID"]
        fields = value.split(":")
        assert len(fields) == 4
        assert len(value) <= 127
        assert 5 <= len(fields[3]) <= 15
        assert fields[:1] == ["2026-01-02T0800"]
        assert fields[2] == "feeds"


@pytest.mark.parametrize(
    "address",
    ["", "you", "@example.org", "you@", "a b@example.org", "a@b@c", "a@b\r\nBcc: c@d", '"a"@b',
     "a\x85@b", "a\u2028@b", "a\0@b", "a\u202e@b", "a@b\u2029", "\ud800@b", f"{'a' * 250}@b.cd",
     "a@..é"],
)  # fmt: skip
def test_an_address_that_no_header_can_hold_fails_for_good(address: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        render(to=replace(TO, email=address))
    assert caught.value.permanent
    assert not address or address not in str(caught.value)


@pytest.mark.parametrize("field", ["sender", "reply_to", "help", "answers"])
def test_an_unfit_address_that_is_configured_may_be_mended(field: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        render(mail=replace(HTTPS, **{field: "nobody"}))
    assert not caught.value.permanent


def test_an_international_domain_stands_in_its_ascii_form() -> None:
    letter = render(to=replace(TO, email="you@пример.example"))
    assert raw_header(letter, "To") == ["you@xn--e1afmkfd.example"]
    assert letter.recipient == "you@xn--e1afmkfd.example"
    assert letter.data.isascii()
    assert "you@пример.example" in " ".join(body(letter, "plain").split())


def test_a_local_part_beyond_ascii_stays_as_it_is() -> None:
    letter = render(to=replace(TO, email="пётр@пример.example"))
    assert letter.recipient == "пётр@xn--e1afmkfd.example"
    assert raw_header(letter, "To") == [letter.recipient]
    assert letter.data.replace("пётр".encode(), b"", 1).isascii()


def test_a_name_beyond_ascii_is_encoded_in_words_of_75() -> None:
    title = "Қазақстан жаңалықтары: саясат, экономика және қоғам"
    letter = render(title=title)
    assert sender_name(letter) == title
    for name in ("From", "List-Id"):
        lines = raw_header(letter, name)
        assert max(map(len, lines)) <= 76
        for word in re.findall(r"=\?\S+\?=", " ".join(lines)):
            assert len(word) <= 75


def test_a_long_subject_is_folded_and_arrives_whole() -> None:
    for title in ("word " * 60, "w" * 300, "=?utf-8?q?x?=", "Слово " * 60):
        mix = replace(make_mix(), subject=title.strip())
        letter = render(mix)
        assert max(map(len, raw_header(letter, "Subject"))) <= 76
        assert parse(letter)["Subject"] == letter.subject == title.strip()


ugly = st.text(
    st.sampled_from('a@.<>\r\n\0:=?"\\ ,;é\x0b\x85\u2028%')
    | st.characters(exclude_categories=["Cs"]),
    max_size=30,
)
own = ["reply_to", "domain", "help", "answers", "pages"]
theirs = ["email", "message_id", "token"]
senders = ["from", "envelope"]


@settings(max_examples=200)
@given(ugly, ugly, st.dictionaries(st.sampled_from(own + theirs + senders), ugly, max_size=2))
def test_no_field_can_add_a_header(name: str, edition: str, values: dict[str, str]) -> None:
    mix = make_mix(NEWS[:1])
    mix = replace(mix, edition=replace(mix.edition, name=edition), subject=f"a{name}")
    ours = {key: value for key, value in values.items() if key in own}
    mail = replace(HTTPS, **{"sender": values.get("from", HTTPS.sender), **ours})
    his = {key: value for key, value in values.items() if key in theirs}
    to = replace(TO, **{"sender": values.get("envelope", ""), **his})
    try:
        letter = render(mix, to=to, mail=mail, title=name, language=f"en{edition}")
    except DeliveryError:
        return
    assert_sound(letter, {*HEADERS, "Reply-To"})


def assert_sound(letter: Letter, allowed: set[str]) -> None:
    """Fail if something in the header ends a line, adds one, or hides in one."""
    head = letter.data.split(b"\r\n\r\n", 1)[0]
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", head)
    lines = head.decode().split("\r\n")
    assert not [one for line in lines for one in line if unicodedata.category(one) == "Cc"]
    names = [line.split(":")[0] for line in lines if line[:1] != " "]
    assert set(names) <= allowed
    assert len(names) == len(set(names))
    assert all(line.strip() and len(line.encode()) <= 998 for line in lines)
    for address in (letter.recipient, letter.sender):
        assert not re.search(r"[\s<>,\x00-\x1f]", address)


# Parts, and drafts of them


def test_no_line_begins_as_an_mbox_message_does() -> None:
    sentence = "From here From there " * 8
    letter = render(make_mix((("politics", "From the steppe", sentence),)))
    assert not re.search(rb"^From ", letter.data.split(b"\r\n\r\n", 1)[1], re.MULTILINE)
    assert "From the steppe" in body(letter, "plain")
    assert "From here From there" in body(letter, "plain").replace("\n", " ")


def test_the_shorter_encoding_is_chosen_for_each_part() -> None:
    latin, cyrillic = render(), render(make_mix((("politics", "Заголовок", "Новость дня. " * 40),)))
    assert [p["Content-Transfer-Encoding"] for p in parse(latin).iter_parts()] == [
        "quoted-printable"
    ] * 2
    assert next(parse(cyrillic).iter_parts())["Content-Transfer-Encoding"] == "base64"
    assert "Новость дня." in body(cyrillic, "plain")


lines_of_any_kind = st.text(
    st.sampled_from("aя😀\n \t.=<") | st.characters(exclude_categories=["Cs"]), max_size=300
).map(parts.normal)


@settings(max_examples=300)
@given(lines_of_any_kind, lines_of_any_kind, ugly, st.sampled_from([parts.QUOTED, parts.PACKED]))
@example(f"{'x' * 74} \n{'x' * 75} \n{'x' * 76}\t\n", "", "", parts.QUOTED)
def test_encoding_only_the_rest_gives_what_encoding_all_gives(
    before: str, after: str, value: str, encoding: str
) -> None:
    value = value.replace("\r", "").replace("\n", "")
    open_part = parts.assemble(
        parts.HTML, encoding, (before + "<p>", "email", after, "email", "\n")
    )
    whole = parts.assemble(parts.HTML, encoding, (f"{before}<p>{value}{after}{value}\n",))
    made = parts.fill(open_part, {"email": value})
    assert made == parts.fill(whole, {})
    assert made.startswith(open_part.fixed)
    message = email.message_from_bytes(made)
    assert message.get_payload(decode=True).decode().replace("\r\n", "\n") == (  # type: ignore[union-attr]  # bytes
        f"{before}<p>{value}{after}{value}\n"
    )
    assert max(map(len, made.split(b"\r\n"))) <= 76


@EVERYWHERE
@pytest.mark.parametrize(
    "email", ["you@example.org", "o'neil&co@пример.example", f"{'x' * 60}@ex.org"]
)
def test_a_draft_from_the_record_gives_the_same_letter(
    language: str, mail: MailIdentity, email: str
) -> None:
    publication = make_publication(language=language)
    fresh = letters.draft(make_mix(), SUBSCRIBER, publication, mail)
    kept = letters.load(letters.dump(fresh))
    assert kept == fresh
    assert letters.dump(kept) == letters.dump(fresh)
    to = replace(TO, email=email)
    again = letters.draft(make_mix(), SUBSCRIBER, publication, mail)
    assert letters.address(kept, to) == letters.address(fresh, to) == letters.address(again, to)


@EVERYWHERE
def test_a_letter_made_again_knows_nothing_of_a_changed_configuration(
    language: str, mail: MailIdentity
) -> None:
    """All but the subscriber's own is in the draft: who it is from, and how it is left."""
    draft = letters.draft(make_mix(), SUBSCRIBER, make_publication(language=language), mail)
    kept = letters.load(letters.dump(draft))
    assert (kept.domain, kept.answers, kept.pages) == (mail.domain, mail.answers, mail.pages)
    own = {field.name for field in fields(Addressee)}
    assert own == {"email", "message_id", "token", "sender"}
    elsewhere = replace(TO, sender="bounces+7.x@example.net")
    assert letters.address(kept, elsewhere).data == letters.address(draft, TO).data


def test_a_draft_of_any_earlier_release_gives_the_letter_it_gave_then() -> None:
    """These files stay as they are: an older release made them."""
    found = sorted((GOLDEN / "letters").glob("draft-*.bin"))
    assert found
    for path in found:
        draft = letters.load(path.read_bytes())
        assert letters.address(draft, TO).data == path.with_suffix(".eml").read_bytes()


def test_what_is_no_draft_is_named() -> None:
    good = letters.dump(letters.draft(make_mix(), SUBSCRIBER, make_publication(), HTTPS))
    for bad in (b"", b"x", good[:-9], zlib.compress(b"[]"), zlib.compress(b"[99,[]]"),
                zlib.compress(b"{}"), zlib.compress(b"[1,[2]]")):  # fmt: skip
        with pytest.raises(ValueError, match="draft"):
            letters.load(bad)


def test_a_draft_holds_nobody() -> None:
    draft = letters.draft(make_mix(), SUBSCRIBER, make_publication(), HTTPS)
    assert "you@" not in repr(zlib.decompress(letters.dump(draft)))
    other = Addressee("me@example.net", "<x@example.net>", "8.Z")
    letter = letters.address(draft, other)
    for part in (letter.data.decode(), body(letter, "html"), body(letter, "plain")):
        assert "7.ABC" not in part
        assert "you@" not in part
        assert "me@example.net" in part


def test_a_draft_serves_all_with_equal_terms() -> None:
    first = letters.draft(make_mix(), SUBSCRIBER, make_publication(), HTTPS)
    second = replace(SUBSCRIBER, id=8, email="me@example.net", token_version=4)
    assert letters.draft(make_mix(), second, make_publication(), HTTPS) == first
    third = replace(SUBSCRIBER, channels=("politics",))
    assert letters.draft(make_mix(subscriber=third), third, make_publication(), HTTPS) != first


def test_a_value_stands_as_text_in_the_page() -> None:
    letter = render(
        to=replace(TO, email="o'neil&co@example.org", token="'2'"),
        mail=replace(HTTPS, pages="https://a.b/?c=1&d="),
    )
    html = body(letter, "html")
    assert "o'neil&co@" not in html
    assert "o&#x27;neil&amp;co@example.org" in html
    assert "https://a.b/?c=1&d='2'" in [a.get("href") for _, a in Page(html).tags]
    assert "o'neil&co@example.org" in body(letter, "plain")


def test_a_long_address_keeps_the_text_part_within_its_columns() -> None:
    letter = render(to=replace(TO, email=f"{'n' * 50}@example.org"))
    for line in body(letter, "plain").split("\n"):
        assert len(line) <= 72 or " " not in line


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
    assert page.texts["h2"][0] == lead_of(mix).title
    assert lead_of(mix).summary in page.texts["p"]
    plain = body(letter, "plain")
    assert "".join(lead_of(mix).title.split()) in "".join(plain.split())
    assert "".join(lead_of(mix).summary.split()) in "".join(plain.split())


def test_the_first_language_that_is_known_is_the_letters() -> None:
    for languages, own, spoken in (
        ((), "en", "en"), ((), "ru-RU", "ru"), ((), "de", "en"),
        (("kk", "ru"), "en", "kk"), (("de", "ru"), "kk", "ru"), (("de",), "kk", "kk"),
    ):  # fmt: skip
        wishes = replace(SUBSCRIBER, languages=languages)
        letter = render(make_mix(), wishes, language=own)
        assert parse(letter)["Content-Language"].partition("-")[0] == spoken
        page = Page(body(letter, "html"))
        assert {a["lang"][:2] for tag, a in page.tags if tag == "html" and a["lang"]} == {spoken}


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
    light = dict(re.findall(r'"(page|card|tint|ink|soft|red)": "(#[0-9a-f]{6})"', source))
    dark = dict(
        re.findall(r"^\.(\w+)\{(?:background-)?color:(#[0-9a-f]{6})!", source, re.MULTILINE)
    )
    outlook = re.findall(
        r"^\[data-ogs[bc]\] \.(\w+)\{(?:background-)?color:(#\w{6})!", source, re.MULTILINE
    )
    assert light.keys() == dark.keys()
    assert dict(outlook) == dark
    for colour in ("ink", "soft", "red"):
        for ground in ("page", "card", "tint"):
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
    web = "https://news.example.org/editions/daily/2026-01-02T0800.html"
    assert f"ALSO ON THE WEB\n\nPolitics: 3\n{web}#politics\nSport: 1\n" in plain


def test_a_letter_says_why_it_came_how_to_leave_and_that_nobody_watches() -> None:
    wishes = replace(SUBSCRIBER, channels=("economy", "gone", "sport"))
    letter = render(wishes=wishes, mail=MAILTO)
    for part in (body(letter, "plain"), " ".join(Page(body(letter, "html")).texts["p"])):
        said = " ".join(part.split())
        assert (
            "You receive this letter because you@example.org subscribes to the daily edition of "
            "News digest: Economy, gone, Sport." in said
        )
        assert "loads no images and tracks nothing" in said
    assert "unsubscribe 7.ABCDEFGHIJKLMNOPQRSTUVWX" in body(letter, "plain")
    assert "leave@example.org" in body(letter, "plain")
    assert PAGE in body(render(wishes=wishes), "plain").split("\n")
    assert "Parliament" not in letter.data.decode()


def test_the_editors_note_stands_above_the_news() -> None:
    mix = make_mix()
    mix = replace(mix, edition=replace(mix.edition, note="Dear readers,\nall\n\n\n \nof <you>.\n"))
    letter = render(mix)
    plain = body(letter, "plain")
    assert "\n\nDear readers, all\n\nof <you>.\n" in plain
    assert plain.index("of <you>") < plain.index(lead_of(mix).title)
    paragraphs = Page(body(letter, "html")).texts["p"]
    assert paragraphs.index("Dear readers, all") + 1 == paragraphs.index("of <you>.")


def test_related_articles_stand_below_theirs_by_title_alone() -> None:
    mix = make_mix()
    other = replace(mix.sections[1].briefs[0], entry=EntryId("e" * 20), title="The same, elsewhere",
                    summary="Not shown.", path="articles/ee/e.html")  # fmt: skip
    letter = render(replace(mix, related=((lead_of(mix).entry, (other,)),)))
    html, plain = body(letter, "html"), body(letter, "plain")
    places = [html.rindex(one) for one in (lead_of(mix).title, "The same, elsewhere", "Envoys")]
    assert places == sorted(places)
    assert "https://news.example.org/articles/ee/e.html" in html
    assert "The same, elsewhere" in plain
    assert "https://news.example.org/articles/ee/e.html\n" in plain
    assert "Not shown." not in html + plain


def test_what_was_mended_since_is_said() -> None:
    day, path = "1 January 2026", "articles/cc/c.html"
    mended = Correction(EntryId("c" * 20), "corrected", ("sport",), "A wrong score", day, path)
    gone = replace(mended, kind="withdrawn", title="A false report", path="articles/dd/d.html")
    letter = render(replace(make_mix(), corrections=(mended, gone)))
    html, plain = body(letter, "html"), body(letter, "plain")
    for part in (html, plain):
        assert "A wrong score" in part
        assert "A false report" in part
        assert path in part
        assert gone.path not in part


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
    foreign = replace(lead_of(mix), lang="kk")
    section = replace(mix.sections[0], briefs=(foreign, *mix.sections[0].briefs[1:]))
    mixed = replace(mix, lead=foreign, sections=(section, *mix.sections[1:]))
    page = Page(body(render(mixed), "html"))
    foreign_titles = [
        tag for tag, a in page.tags if tag in {"h2", "td", "div", "a"} and a.get("lang") == "kk"
    ]
    assert foreign_titles
    assert "kk" not in {a.get("lang") for _, a in Page(body(render(mix), "html")).tags}


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


def test_one_article_too_large_for_a_letter_still_goes_out() -> None:
    mix = make_mix(NEWS[:1])
    huge = replace(lead_of(mix), summary="w" * 90_000)
    mix = replace(mix, lead=huge, sections=(replace(mix.sections[0], briefs=(huge,)),))
    assert len(render(mix).data) > 90_000


# Messages that are no letters

QUESTION = Question(
    message_id="<confirm.1@news.example.org>",
    moment=NOW,
    mailto=("join@example.org", "7.ABC"),
    confirm="https://news.example.org/c/7.ABC",
)
OTHERS = [name for name in HEADERS if not name.startswith(("List-", "Feedback"))]


@EVERYWHERE
def test_whoever_subscribed_is_asked_whether_they_did(language: str, mail: MailIdentity) -> None:
    question = QUESTION if mail is HTTPS else replace(QUESTION, confirm=None, origin="import")
    letter = letters.confirmation(question, SUBSCRIBER, make_publication(language=language), mail)
    message = parse(letter)
    assert message.keys() == OTHERS
    assert message["Subject"] == letter.subject
    assert "News digest" in letter.subject
    assert message["Content-Language"] == language
    assert message["Auto-Submitted"] == "auto-generated"
    link = question.confirm or "mailto:join@example.org?subject=confirm%207.ABC"
    page = Page(body(letter, "html"))
    assert [a["href"] for tag, a in page.tags if tag == "a"] == [link]
    plain = body(letter, "plain")
    assert (link if mail is HTTPS else "confirm 7.ABC") in plain
    for part in (plain, body(letter, "html")):
        assert "you@example.org" in part
    assert letter.data.isascii()


def test_a_confirmation_is_as_it_was_last_looked_at(golden: Callable[[str, bytes], None]) -> None:
    letter = letters.confirmation(QUESTION, SUBSCRIBER, make_publication(), HTTPS)
    golden("letters/confirm.eml", letter.data)


def test_who_asked_and_what_comes_is_said() -> None:
    wishes = replace(SUBSCRIBER, channels=("economy", "sport"), editions=("daily",))
    said = {}
    for origin in ("web", "import"):
        question = replace(QUESTION, origin=origin)
        letter = letters.confirmation(question, wishes, make_publication(), HTTPS)
        said[origin] = " ".join(body(letter, "plain").split())
        assert "Economy, Sport" in said[origin]
        assert "daily edition" in said[origin]
    assert said["web"] != said["import"]


def test_a_confirmation_has_the_envelope_of_its_question() -> None:
    question = replace(QUESTION, sender="bounces@example.org")
    letter = letters.confirmation(question, SUBSCRIBER, make_publication(), HTTPS)
    assert (letter.sender, letter.recipient) == ("bounces@example.org", "you@example.org")
    assert letter.message_id == QUESTION.message_id


NOTICE = Notice(
    email="operator@example.org",
    message_id="<notice.1@news.example.org>",
    moment=NOW,
    subject="No digest for a day",
    lines=("The last one came on 1 January.", "", "Қазақша: хабарлама"),
)


def test_a_notice_is_plain_text() -> None:
    letter = letters.notice(NOTICE, make_publication(), MAILTO)
    message = email.message_from_bytes(letter.data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    assert message.keys() == [*OTHERS[:6], "Content-Language", "Auto-Submitted", "Content-Type",
                              "Content-Transfer-Encoding"]  # fmt: skip
    assert message.get_content_type() == "text/plain"
    assert message.get_content().splitlines() == list(NOTICE.lines)
    assert message["Subject"] == "No digest for a day"
    assert letter.recipient == "operator@example.org"


@settings(max_examples=100)
@given(ugly, ugly, ugly)
def test_nothing_can_add_a_header_to_them(subject: str, title: str, token: str) -> None:
    publication = make_publication(title=title)
    notice = replace(NOTICE, subject=subject, lines=(title, subject))
    allowed = {*HEADERS, "Content-Transfer-Encoding"}
    assert_sound(letters.notice(notice, publication, HTTPS), allowed)
    question = replace(QUESTION, mailto=("join@example.org", token), confirm=None)
    assert_sound(letters.confirmation(question, SUBSCRIBER, publication, MAILTO), allowed)
