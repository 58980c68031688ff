"""Room 6: what goes into Atom, RSS, JSON Feed and OPML comes out of every reader the same."""

from __future__ import annotations

import calendar
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import atoma
import fastfeedparser
import feedparser
import pytest
from factories import ECONOMY, NOW, POLITICS, make_article, make_entry, make_publication
from hypothesis import assume, given
from hypothesis import strategies as st
from lxml import etree

from feeds import channels, outputs
from feeds.model import ALL, MEDIATOPIC_SCHEME, Channel, Entry, Feed, Precision, Source, TopicShare
from feeds.outputs import entries
from feeds.publication import Publication
from feeds.text import clean

AUTHORITY = "news.example.org,2026-01-02"
CHANNEL = channels.DEFAULTS[0]
ATOM = "{http://www.w3.org/2005/Atom}"
DC = "{http://purl.org/dc/elements/1.1/}"
CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00|Z)")


def xml(data: bytes | str) -> Any:
    return etree.fromstring(data)


def make_feed(*entries_: Entry, channel: Channel = CHANNEL) -> Feed:
    updated = max((entry.updated for entry in entries_), default=NOW)
    return Feed(channel, entries_, updated)


def rendered(feed: Feed, publication: Publication, content: str = "full") -> dict[str, bytes]:
    """Return the documents of a feed by the name of their file."""
    documents = outputs.render(feed, publication, AUTHORITY, content)
    return {document.path.rpartition("/")[2]: document.data for document in documents}


def case() -> tuple[Publication, Feed, Feed]:
    """Return a small publication with all that an entry can have, and a feed of two channels."""
    sources = (
        Source(
            "The Steppe Post", "steppe*", home="https://steppe.example/", rights="© The Steppe Post"
        ),
        Source("Wire & Co", "wire*", search="https://wire.example/?s={title}", content="summary"),
    )
    publication = make_publication(author="The desk", sources=sources)
    whole = make_article(
        "Parliament passes the “water & rivers” act",
        "The lower house voted 70 < 98 for the act, the speaker said.",
        "It takes effect on 1 March.",
        author="Aigul Ospanova",
        url="https://steppe.example/water?id=1&page=2",
        views=4120,
        photo_credit="Press office",
        lang="en",
    )
    cut = make_article(
        "Ministers meet in the capital", "KOKSHETAU — Ministers met...", published=None
    )
    foreign = make_article(
        "Парламент заң қабылдады", "Депутаттар дауыс берді.", lang="kk", source="QazNews"
    )
    topics = (TopicShare(POLITICS, 0.7), TopicShare(ECONOMY, 0.2))
    politics = make_feed(
        make_entry(whole, 1, topics=topics, publisher="The Steppe Post", views_at=NOW),
        make_entry(
            replace(cut, truncated=True), 2, updated=NOW - timedelta(seconds=1), uncertain=True
        ),
        make_entry(foreign, 3, updated=NOW - timedelta(days=1), publisher="Wire & Co"),
    )
    return publication, politics, make_feed(channel=channels.DEFAULTS[1])


def test_golden_forms_of_a_channel(golden: Callable[[str, bytes], None]) -> None:
    publication, politics, _ = case()
    for name, made in rendered(politics, publication).items():
        golden(f"outputs/small/politics/{name}", made)


def test_golden_catalogues(golden: Callable[[str, bytes], None]) -> None:
    publication, politics, economy = case()
    everything = replace(politics, channel=ALL)
    for made in outputs.catalogues([politics, economy, everything], publication):
        if made.path in {"feeds.opml", "index.html"}:
            golden(f"outputs/small/{made.path}", made.data)


def test_equal_values_give_equal_bytes() -> None:
    publication, politics, _ = case()
    assert rendered(politics, publication) == rendered(politics, publication)


def test_every_channel_has_its_four_documents_empty_or_not(publication: Publication) -> None:
    documents = list(outputs.render(make_feed(), publication, AUTHORITY))
    assert [(document.path, document.media_type) for document in documents] == [
        ("politics/atom.xml", "application/atom+xml"),
        ("politics/rss.xml", "application/rss+xml"),
        ("politics/feed.json", "application/feed+json"),
        ("politics/index.html", "text/html"),
    ]
    assert all(document.data.endswith(b"\n") for document in documents)


# What readers see


def seen_by_feedparser(data: bytes) -> list[tuple[Any, ...]]:
    parsed = feedparser.parse(data)
    assert not parsed.bozo
    return [
        (
            entry.id,
            entry.title,
            datetime.fromtimestamp(
                calendar.timegm(entry.get("published_parsed") or entry.updated_parsed), UTC
            ),
            [tag["label"] or tag["term"] for tag in entry.get("tags", [])],
        )
        for entry in parsed.entries
    ]


def seen_by_fastfeedparser(data: bytes) -> list[tuple[Any, ...]]:
    return [
        (
            entry.id,
            entry.title,
            datetime.fromisoformat(entry.get("published") or entry["updated"]),
            [tag.get("label") or tag["term"] for tag in entry.get("tags") or []],
        )
        for entry in fastfeedparser.parse(data).entries
    ]


def seen_by_atoma(data: bytes) -> list[tuple[Any, ...]]:
    if b"<rss" in data[:200]:
        return [
            (entry.guid, entry.title, entry.pub_date, entry.categories)
            for entry in atoma.parse_rss_bytes(data).items
        ]
    if data.startswith(b"{"):
        return [
            (entry.id_, entry.title, entry.date_published or entry.date_modified, entry.tags)
            for entry in atoma.parse_json_feed(json.loads(data)).items
        ]
    return [
        (
            entry.id_,
            entry.title.value,
            entry.published or entry.updated,
            [category.label for category in entry.categories],
        )
        for entry in atoma.parse_atom_bytes(data).entries
    ]


def expected(feed: Feed) -> list[tuple[Any, ...]]:
    return [
        (
            entry.uri,
            entries.title(entry),
            entry.published or entry.updated,
            [share.name for share in entry.topics],
        )
        for entry in feed.entries
    ]


READERS = [
    ("atom.xml", seen_by_feedparser),
    ("rss.xml", seen_by_feedparser),
    ("atom.xml", seen_by_fastfeedparser),
    ("rss.xml", seen_by_fastfeedparser),
    ("atom.xml", seen_by_atoma),
    ("rss.xml", seen_by_atoma),
    ("feed.json", seen_by_atoma),
]


@pytest.mark.parametrize(("name", "reader"), READERS)
def test_readers_see_the_entries_in_order(
    name: str, reader: Callable[[bytes], list[tuple[Any, ...]]]
) -> None:
    publication, politics, _ = case()
    assert reader(rendered(politics, publication)[name]) == expected(politics)


TEXT = st.text(max_size=60).map(clean)
LINE = st.one_of(
    TEXT, st.sampled_from(["<b>bold</b>", "AT&amp;T", "]]>", "a < b > c", "&#12;", "<!--"])
)


def is_misread(text: str) -> bool:
    """Whether feedparser takes the text for UTF-8 that was read as Latin-1, and mends it."""
    try:
        return text.encode("iso-8859-1").decode() != text
    except UnicodeError:
        return False


@pytest.mark.parametrize(("name", "reader"), READERS)
@given(title=LINE, body=LINE)
def test_readers_see_any_title(
    name: str, reader: Callable[[bytes], list[tuple[Any, ...]]], title: str, body: str
) -> None:
    assume(reader is not seen_by_feedparser or not is_misread(title))
    feed = make_feed(make_entry(make_article(title, body)))
    assert reader(rendered(feed, make_publication())[name]) == expected(feed)


@given(title=LINE, body=st.lists(LINE, max_size=3), source=TEXT, author=TEXT)
def test_any_text_comes_out_as_it_went_in(
    title: str, body: list[str], source: str, author: str
) -> None:
    article = make_article(title, source=source, author=author)
    entry = make_entry(replace(article, paragraphs=tuple(body)))
    files = rendered(make_feed(entry), make_publication())
    atom, rss = xml(files["atom.xml"]), xml(files["rss.xml"])
    item = json.loads(files["feed.json"])["items"][0]
    assert entries.title(entry) == clean(entries.title(entry)) != ""
    assert [entries.title(entry)] * 3 == [
        atom.findtext(f"{ATOM}entry/{ATOM}title"),
        rss.findtext("channel/item/title"),
        item["title"],
    ]
    content = entries.content_html(entry, make_publication(), "full")
    assert content is not None
    assert atom.findtext(f"{ATOM}entry/{ATOM}content") == content == item["content_html"]
    encoded = rss.findtext(f"channel/item/{CONTENT}") or rss.findtext("channel/item/description")
    assert encoded == content
    shown = xml(f"<div>{content}</div>")
    assert ["".join(paragraph.itertext()) for paragraph in shown][:-1] == body
    assert {element.tag for element in shown.iter()} <= {"div", "p", "a"}


# Standards


def once(element: Any, *names: str) -> None:
    for name in names:
        assert len(element.findall(ATOM + name)) == 1, name


def at_most_once(element: Any, *names: str) -> None:
    for name in names:
        assert len(element.findall(ATOM + name)) <= 1, name


def check_links(element: Any) -> list[str]:
    links = [
        (link.get("rel", "alternate"), link.get("type"), link.get("hreflang"))
        for link in element.findall(f"{ATOM}link")
    ]
    alternates = Counter(link for link in links if link[0] == "alternate")
    assert all(count == 1 for count in alternates.values())
    assert all(re.match("https?://", link.get("href")) for link in element.iter(f"{ATOM}link"))
    return [rel for rel, _, _ in links]


def check_atom(data: bytes) -> Any:
    """Check the musts of RFC 4287, sections 3 and 4, and the shoulds on links; return the feed."""
    feed = xml(data)
    assert feed.tag == f"{ATOM}feed"
    once(feed, "id", "title", "updated")
    at_most_once(feed, "generator", "icon", "logo", "rights", "subtitle")
    assert feed.findall(f"{ATOM}author")
    assert {"self", "alternate"} <= set(check_links(feed))
    for entry in feed.findall(f"{ATOM}entry"):
        once(entry, "id", "title", "updated")
        at_most_once(entry, "content", "published", "rights", "source", "summary")
        assert "alternate" in check_links(entry)
        assert entry.find(f"{ATOM}summary") is not None or entry.find(f"{ATOM}content") is not None
        assert all(one.get("term") for one in entry.findall(f"{ATOM}category"))
    for element in feed.iter(f"{ATOM}updated", f"{ATOM}published"):
        assert RFC3339.fullmatch(element.text)
    for element in feed.iter(f"{ATOM}summary", f"{ATOM}content"):
        assert element.get("type") == "html"
        assert element.text
    for element in feed.iter(f"{ATOM}title", f"{ATOM}subtitle", f"{ATOM}rights"):
        assert element.get("type") is None
    for element in feed.iter(f"{ATOM}author"):
        assert element.findtext(f"{ATOM}name")
    ids = [element.text for element in feed.iter(f"{ATOM}id")]
    assert len(set(ids)) == len(ids)
    assert all(re.match("tag:[^:]+,[0-9-]+:.", one) for one in ids)
    assert all(element.tag.startswith(ATOM) for element in feed.iter())
    return feed


def check_rss(data: bytes) -> Any:
    """Check RSS 2.0 and the RSS Advisory Board's profile; return the channel."""
    rss = xml(data)
    assert (rss.tag, rss.get("version")) == ("rss", "2.0")
    channel = rss.find("channel")
    assert channel is not None
    for name in ("title", "link", "description", "lastBuildDate"):
        assert len(channel.findall(name)) == 1, name
        assert channel.findtext(name)
    assert [link.get("rel") for link in channel.findall(f"{ATOM}link")] == ["self"]
    for item in channel.findall("item"):
        for name in ("title", "link", "description", "guid", "pubDate"):
            assert len(item.findall(name)) == 1, name
        assert item.find("guid").get("isPermaLink") == "false"
        assert item.find("author") is None
        assert parsedate_to_datetime(item.findtext("pubDate")).utcoffset() == timedelta(0)
    return channel


def test_atom_keeps_the_musts_of_rfc_4287() -> None:
    publication, politics, _ = case()
    check_atom(rendered(politics, publication)["atom.xml"])
    check_atom(rendered(politics, publication, "summary")["atom.xml"])
    check_atom(rendered(make_feed(), publication)["atom.xml"])


def test_rss_keeps_the_profile() -> None:
    publication, politics, _ = case()
    check_rss(rendered(politics, publication)["rss.xml"])
    check_rss(rendered(politics, publication, "summary")["rss.xml"])
    check_rss(rendered(make_feed(), publication)["rss.xml"])


def test_json_feed_has_what_version_1_1_requires() -> None:
    publication, politics, _ = case()
    feed = json.loads(rendered(politics, publication)["feed.json"])
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["title"] == "Politics \u2013 News digest"
    assert feed["home_page_url"] == "https://news.example.org/politics/"
    assert feed["feed_url"] == "https://news.example.org/politics/feed.json"
    assert feed["language"] == "en"
    for item in feed["items"]:
        assert item["id"].startswith("tag:")
        assert item["content_html"]
        assert item["url"].startswith("https://news.example.org/articles/")
    assert json.loads(rendered(make_feed(), publication)["feed.json"])["items"] == []


def test_an_entry_has_one_alternate_link_with_its_type() -> None:
    publication, politics, _ = case()
    feed = check_atom(rendered(politics, publication)["atom.xml"])
    first, second, _ = feed.findall(f"{ATOM}entry")
    page = publication.url(politics.entries[0].path)
    assert [dict(link.attrib) for link in first.findall(f"{ATOM}link")] == [
        {"href": page, "rel": "alternate", "type": "text/html"},
        {"href": "https://steppe.example/water?id=1&page=2", "rel": "via"},
    ]
    assert [link.get("rel") for link in second.findall(f"{ATOM}link")] == ["alternate"]


def test_rss_names_the_channel_page_as_its_home() -> None:
    publication, politics, _ = case()
    channel = check_rss(rendered(politics, publication)["rss.xml"])
    assert channel.findtext("link") == "https://news.example.org/politics/"
    self_link = channel.find(f"{ATOM}link")
    assert self_link.get("href") == "https://news.example.org/politics/rss.xml"
    assert self_link.get("type") == "application/rss+xml"


def test_a_category_has_the_scheme_the_digits_and_the_name() -> None:
    publication, politics, _ = case()
    files = rendered(politics, publication)
    entry = check_atom(files["atom.xml"]).find(f"{ATOM}entry")
    assert [dict(category.attrib) for category in entry.findall(f"{ATOM}category")] == [
        {"term": "11000000", "scheme": MEDIATOPIC_SCHEME, "label": "politics"},
        {"term": "04000000", "scheme": MEDIATOPIC_SCHEME, "label": "economy, business and finance"},
    ]
    categories = check_rss(files["rss.xml"]).find("item").findall("category")
    assert [(one.get("domain"), one.text) for one in categories] == [
        (MEDIATOPIC_SCHEME, "politics"),
        (MEDIATOPIC_SCHEME, "economy, business and finance"),
    ]


# Dates and ids


def test_an_undated_article_has_no_published(publication: Publication) -> None:
    entry = make_entry(make_article(published=None), updated=NOW)
    files = rendered(make_feed(entry), publication)
    atom = check_atom(files["atom.xml"])
    assert atom.find(f"{ATOM}entry/{ATOM}published") is None
    assert atom.findtext(f"{ATOM}entry/{ATOM}updated") == "2026-01-02T06:30:00+00:00"
    assert check_rss(files["rss.xml"]).findtext("item/pubDate") == "Fri, 02 Jan 2026 06:30:00 +0000"
    item = json.loads(files["feed.json"])["items"][0]
    assert item["date_modified"] == "2026-01-02T06:30:00+00:00"
    assert "date_published" not in item


def test_dates_are_utc_without_fractions(publication: Publication) -> None:
    local = datetime.fromisoformat("2026-01-01T16:52:00.250000+05:00")
    article = make_article(published=local, precision=Precision.MINUTE)
    files = rendered(make_feed(make_entry(article, updated=local)), publication)
    entry = check_atom(files["atom.xml"]).find(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}published") == "2026-01-01T11:52:00+00:00"
    assert entry.findtext(f"{ATOM}updated") == "2026-01-01T11:52:00+00:00"


def test_an_empty_feed_is_as_old_as_its_channel(publication: Publication) -> None:
    files = rendered(make_feed(), publication)
    assert check_atom(files["atom.xml"]).findtext(f"{ATOM}updated") == "2026-01-02T06:30:00+00:00"
    assert (
        check_rss(files["rss.xml"]).findtext("lastBuildDate") == "Fri, 02 Jan 2026 06:30:00 +0000"
    )


def test_ids_do_not_follow_the_base_url() -> None:
    feed = make_feed(make_entry())
    moved = make_publication(base_url="http://127.0.0.1:8080/")
    ids = [
        [element.text for element in xml(files["atom.xml"]).iter(f"{ATOM}id")]
        for files in (rendered(feed, make_publication()), rendered(feed, moved))
    ]
    assert ids[0] == ids[1]
    assert ids[0][0] == "tag:news.example.org,2026-01-02:channel/politics"


def test_views_never_appear_in_a_feed(publication: Publication) -> None:
    seen = make_entry(make_article(views=67036), views_at=NOW)
    unseen = make_entry(make_article())
    assert rendered(make_feed(seen), publication) == rendered(make_feed(unseen), publication)


# Content


def test_a_whole_article_ends_with_its_source() -> None:
    publication, politics, _ = case()
    content = entries.content_html(politics.entries[0], publication, "full")
    assert content == (
        "<p>The lower house voted 70 &lt; 98 for the act, the speaker said.</p>"
        "<p>It takes effect on 1 March.</p>"
        '<p>Source: <a href="https://steppe.example/water?id=1&amp;page=2">The Steppe Post</a>,'
        " 1 January 2026</p>"
    )


@pytest.mark.parametrize("which", [1, 2])
def test_what_is_not_whole_has_a_summary_only_and_its_source(which: int) -> None:
    publication, politics, _ = case()
    entry = check_atom(rendered(politics, publication)["atom.xml"]).findall(f"{ATOM}entry")[which]
    assert entry.find(f"{ATOM}content") is None
    assert "<p>Source: " in entry.findtext(f"{ATOM}summary")
    item = check_rss(rendered(politics, publication)["rss.xml"]).findall("item")[which]
    assert item.find(CONTENT) is None
    assert "<p>Source: " in item.findtext("description")
    last = json.loads(rendered(politics, publication)["feed.json"])["items"][which]
    assert "<p>Source: " in last["content_html"]


def test_the_feeds_carry_summaries_when_asked(publication: Publication) -> None:
    entry = make_entry(make_article("Title", *[f"Paragraph {n} of it." for n in range(40)]))
    files = rendered(make_feed(entry), publication, "summary")
    for data in (files["atom.xml"], files["rss.xml"], files["feed.json"]):
        assert b"Paragraph 1 of it." in data
        assert b"Paragraph 39 of it." not in data


def test_a_title_alone_still_names_its_source(publication: Publication) -> None:
    entry = make_entry(replace(make_article(), paragraphs=()))
    files = rendered(make_feed(entry), publication)
    check_atom(files["atom.xml"])
    check_rss(files["rss.xml"])
    assert b"Source: not named, 1 January 2026" in files["atom.xml"]


def test_rights_author_and_language_are_those_of_the_entry() -> None:
    publication, politics, _ = case()
    files = rendered(politics, publication)
    first, _, third = check_atom(files["atom.xml"]).findall(f"{ATOM}entry")
    assert first.findtext(f"{ATOM}rights") == "© The Steppe Post"
    assert first.findtext(f"{ATOM}author/{ATOM}name") == "Aigul Ospanova"
    assert (first.get(XML_LANG), third.get(XML_LANG)) == (None, "kk")
    item, _, last = check_rss(files["rss.xml"]).findall("item")
    assert item.findtext(f"{DC}creator") == "Aigul Ospanova"
    assert item.findtext(f"{DC}rights") == "© The Steppe Post"
    assert last.findtext(f"{DC}language") == "kk"
    assert last.findtext(f"{DC}creator") == "Wire & Co"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("Fish <b>& chips</b>", "Fish & chips"),
        ("AT&amp;T&#x27;s <i class='x'>year</i>", "AT&T's year"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "alert(1)"),
        ("Model <X> is 5 < 6, R&D", "Model <X> is 5 < 6, R&D"),
        ("Feed&#12;form&#0;", "Feed form\ufffd"),
        ("<b></b>", "Untitled"),
    ],
)
def test_titles_in_feeds_hold_no_tags_and_no_references(found: str, told: str) -> None:
    assert entries.title(make_entry(make_article(found))) == told


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://example.org/a?b=c&d=%20#e", "https://example.org/a?b=c&d=%20#e"),
        ("HTTP://example.org/a b", "http://example.org/a%20b"),
        ('https://example.org/100%/\u04af"<', "https://example.org/100%25/%D2%AF%22%3C"),
        ("mailto:desk@example.org", "mailto:desk@example.org"),
        ("javascript:alert(1)", None),
        ("java\tscript:alert(1)", None),
        ("data:text/html,x", None),
        ("//example.org/", None),
        ("http:///path", None),
        ("http://[", None),
        ("http://example.org:x/", None),
        ("", None),
        (None, None),
    ],
)
def test_only_web_and_mail_addresses_become_links(text: str | None, link: str | None) -> None:
    assert entries.address(text) == link


@given(st.text())
def test_any_address_is_a_uri_or_none(text: str) -> None:
    for address in (entries.address(text), entries.address(f"https://example.org/{text}")):
        assert address is None or re.fullmatch(r"(https?|mailto):[!#-;=?-Z\[\]_a-z~]*", address)


# OPML


def opml(*feeds: Feed, **changes: object) -> Any:
    documents = outputs.catalogues(feeds, make_publication(**changes))
    return xml(next(one.data for one in documents if one.path == "feeds.opml"))


def test_the_opml_groups_channels_and_keeps_all_apart() -> None:
    feeds = [make_feed(channel=channel) for channel in (*channels.DEFAULTS, ALL)]
    groups = opml(*feeds).findall("body/outline")
    assert [len(group) for group in groups] == [18, 1]
    assert [one.get("text") for one in groups[0]] == [one.title for one in channels.DEFAULTS]
    assert dict(groups[0][0].attrib) == {
        "type": "rss",
        "text": "Politics",
        "title": "Politics",
        "description": "News on politics",
        "xmlUrl": "https://news.example.org/politics/atom.xml",
        "htmlUrl": "https://news.example.org/politics/",
        "language": "en",
        "category": "medtop:11000000",
    }
    assert groups[1][0].get("xmlUrl") == "https://news.example.org/all/atom.xml"


def test_the_opml_is_as_new_as_its_newest_feed() -> None:
    newer = make_feed(make_entry(updated=NOW + timedelta(hours=1)))
    head = opml(make_feed(channel=ALL), newer, author="The desk").find("head")
    assert head.findtext("dateModified") == "Fri, 02 Jan 2026 07:30:00 GMT"
    assert head.findtext("title") == "News digest"
    assert head.findtext("ownerName") == "The desk"
