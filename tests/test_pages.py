"""Room 6: pages say what is known, escape what they say, and work as files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from factories import ECONOMY, NOW, POLITICS, make_article, make_entry, make_publication
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from test_outputs import AUTHORITY, case, make_feed

from feeds import channels, outputs
from feeds.errors import TemplateError
from feeds.model import ALL, Brief, Document, Edition, Entry, Feed, Precision, Source, TopicShare
from feeds.publication import Publication
from feeds.text import clean


def make_brief(entry: Entry, **changes: object) -> Brief:
    values: dict[str, object] = {
        "entry": entry.id,
        "channel": entry.channel,
        "title": entry.article.title,
        "summary": "A summary.",
        "credit": "QazNews",
        "date": "1 January 2026",
        "path": entry.path,
        "lang": "en",
    }
    return Brief(**values | changes)  # type: ignore[arg-type]  # the keys are fields


def make_edition(*briefs: Brief, **changes: object) -> Edition:
    values: dict[str, object] = {
        "name": "daily",
        "slot": "2026-01-02T08:00",
        "timezone": "Asia/Almaty",
        "composed": NOW,
        "subject": "A title + 1 more",
        "lead": briefs[0].entry,
        "briefs": briefs,
        "channels": (("politics", "Politics"), ("economy", "Economy")),
    }
    return Edition(**values | changes)  # type: ignore[arg-type]  # the keys are fields


def site() -> tuple[Publication, list[Document]]:
    """Return a whole small site: every kind of page."""
    publication, politics, _ = case()
    own = [replace(politics, channel=channel, entries=()) for channel in channels.DEFAULTS[1:]]
    feeds: list[Feed] = [politics, *own, replace(politics, channel=ALL)]
    first, second, third = politics.entries
    edition = make_edition(
        make_brief(first, also=("economy",)),
        make_brief(second),
        make_brief(third, lang="kk"),
        older=2,
    )
    documents = [outputs.article(entry, publication) for entry in politics.entries]
    documents.append(outputs.edition(edition, publication))
    for feed in feeds:
        documents += outputs.render(feed, publication, AUTHORITY)
    documents += outputs.catalogues(feeds, publication, [edition])
    return publication, documents


def tree(document: Document) -> Any:
    return html.document_fromstring(document.data)


def text(element: Any) -> str:
    return " ".join(element.text_content().split())


def article_page(entry: Entry, publication: Publication | None = None) -> Any:
    return tree(outputs.article(entry, publication or make_publication()))


def channel_page(
    feed: Feed, also: Iterable[Entry] = (), publication: Publication | None = None
) -> Any:
    documents = outputs.render(feed, publication or make_publication(), AUTHORITY, also=tuple(also))
    return tree(next(document for document in documents if document.media_type == "text/html"))


def index_page(*feeds: Feed, editions: Iterable[Edition] = ()) -> Any:
    documents = outputs.catalogues(feeds, make_publication(), tuple(editions))
    return tree(next(document for document in documents if document.path == "index.html"))


def test_golden_article_and_edition(golden: Callable[[str, bytes], None]) -> None:
    _, documents = site()
    article, edition = documents[0], documents[3]
    golden("outputs/small/article.html", article.data)
    golden("outputs/small/edition.html", edition.data)


# Every page


def test_every_page_is_sound() -> None:
    for document in site()[1]:
        if document.media_type != "text/html":
            continue
        page = tree(document)
        assert len(page.xpath("//h1")) == 1, document.path
        assert len(page.xpath("//main[@id='content']")) == 1
        for landmark in ("header", "nav[@aria-label]", "main", "footer"):
            assert page.xpath(f"//{landmark}"), landmark
        assert page.xpath("//a[@class='skip'][@href='#content']")
        assert page.get("lang") == "en"
        assert text(page.xpath("//title")[0])
        assert not page.xpath("//script | //img | //iframe | //*[@style] | //form")
        ids = page.xpath("//@id")
        assert len(ids) == len(set(ids))
        levels = [int(heading.tag[1]) for heading in page.xpath("//h1|//h2|//h3|//h4")]
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert len(document.data) < 60_000


def test_every_relative_address_leads_to_a_document() -> None:
    publication, documents = site()
    paths = {document.path for document in documents}
    for document in documents:
        if document.media_type != "text/html":
            continue
        page = tree(document)
        for address in page.xpath("//@href"):
            target, _, fragment = address.partition("#")
            if target.startswith(publication.base_url):
                target = target.removeprefix(publication.base_url)
                assert (target + "index.html" if target[-1:] in {"", "/"} else target) in paths
            elif "://" in target:
                assert page.xpath("//a[@href=$a]", a=address), "only links may leave the site"
            elif target:
                folder = posixpath.dirname(document.path)
                assert posixpath.normpath(posixpath.join(folder, target)) in paths, address
            else:
                assert page.xpath("//*[@id=$i]", i=fragment)


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("index.html", "all/atom.xml"),
        ("politics/index.html", "../politics/atom.xml"),
        ("all/index.html", "../all/atom.xml"),
        ("editions/daily/2026-01-02T0800.html", "../../all/atom.xml"),
    ],
)
def test_a_reader_finds_the_own_feed_first_then_all(path: str, first: str) -> None:
    page = tree(next(document for document in site()[1] if document.path == path))
    found = page.xpath("//link[@rel='alternate']/@href")
    assert found[0] == first
    assert [one.rpartition("/")[2] for one in found[:3]] == ["atom.xml", "rss.xml", "feed.json"]
    assert sum("all/" in one for one in found) == 3


def test_an_article_page_offers_the_feeds_of_its_channel_first() -> None:
    found = article_page(make_entry()).xpath("//link[@rel='alternate']")
    assert [link.get("href") for link in found] == [
        f"../../{slug}/{name}"
        for slug in ("politics", "all")
        for name in ("atom.xml", "rss.xml", "feed.json")
    ]
    assert [link.get("type") for link in found[:3]] == [
        "application/atom+xml",
        "application/rss+xml",
        "application/feed+json",
    ]


@given(st.lists(st.text(max_size=40).map(clean), min_size=6, max_size=6))
def test_any_text_stands_on_a_page_as_it_is(texts: list[str]) -> None:
    title, paragraph, source, author, photo, url = texts
    article = make_article(
        title, paragraph, source=source, author=author, photo_credit=photo, url=url
    )
    page = article_page(make_entry(article))
    assert page.xpath("//h1")[0].text_content() == (title or "Untitled")
    shown = page.xpath("//div[@class='prose']/p")
    assert [one.text_content() for one in shown] == [paragraph] * bool(paragraph)
    assert not page.xpath("//script")


def test_markup_in_a_title_is_text() -> None:
    entry = make_entry(make_article("<script>alert(1)</script> & co", "<b>Bold</b>"))
    for page in (article_page(entry), channel_page(make_feed(entry)), index_page(make_feed(entry))):
        assert not page.xpath("//script | //main//b")
        assert "<script>alert(1)</script> & co" in page.text_content()


# An article


def test_a_dated_article_shows_the_time_of_its_digest() -> None:
    page = article_page(make_entry())
    assert text(page.xpath("//time")[0]) == "1 January 2026, 15:00"
    assert page.xpath("//time/@datetime") == ["2026-01-01T15:00+05:00"]


def test_a_day_alone_shows_no_time() -> None:
    page = article_page(make_entry(make_article(precision=Precision.DAY)))
    assert text(page.xpath("//time")[0]) == "1 January 2026"
    assert page.xpath("//time/@datetime") == ["2026-01-01"]


def test_an_undated_article_says_so() -> None:
    page = article_page(make_entry(make_article(published=None)))
    assert not page.xpath("//time")
    assert "Undated; received 2 January 2026" in text(page)


def test_a_cut_article_says_so_and_links_to_its_source() -> None:
    article = make_article("Title", "The beginning of it...", truncated=True)
    source = Source("Post", home="https://post.example/")
    page = article_page(make_entry(article, publisher="Post"), make_publication(sources=(source,)))
    note = page.xpath("//p[@class='note']")[0]
    assert "held only the beginning" in text(note)
    assert note.xpath("a/@href") == ["https://post.example/"]
    assert text(page.xpath("//div[@class='prose']")[0]) == "The beginning of it…"


def test_a_publisher_that_allows_a_summary_gets_no_more_shown() -> None:
    article = make_article("Title", *[f"Paragraph {n} of it." for n in range(40)])
    source = Source("Post", content="summary")
    page = article_page(make_entry(article, publisher="Post"), make_publication(sources=(source,)))
    assert "Paragraph 1 of it." in text(page)
    assert "Paragraph 39 of it." not in text(page)
    assert "This is a summary" in text(page)


def test_views_stand_on_the_article_page_alone() -> None:
    entry = make_entry(make_article(views=67036), views_at=NOW)
    assert "67036 views at the source on 2 January 2026" in text(article_page(entry))
    assert "1 view at the source" in text(article_page(make_entry(make_article(views=1))))
    assert "views" not in text(article_page(make_entry()))
    assert "67036" not in text(channel_page(make_feed(entry)))


def test_an_article_names_its_topics_source_photo_and_address() -> None:
    topics = (TopicShare(POLITICS, 0.5), TopicShare(ECONOMY, 0.4))
    article = make_article(source="QazNews", photo_credit="Press office", url="https://q.example/1")
    page = article_page(make_entry(article, topics=topics, uncertain=True))
    about = text(page.xpath("//dl")[0])
    assert "politics; economy, business and finance (uncertain)" in about
    assert "Press office" in about
    assert page.xpath("//dl//a/@href")[:2] == [
        "../../politics/index.html",
        "../../economy/index.html",
    ]
    assert text(page.xpath("//p[@class='source']")[0]) == "Source: QazNews, 1 January 2026"
    assert page.xpath("//p[@class='source']/a/@href") == ["https://q.example/1"]
    assert make_entry(article).path in page.xpath("//link[@rel='canonical']/@href")[0]


def test_a_script_address_never_becomes_a_link() -> None:
    article = make_article(url="javascript:alert(1)", truncated=True)
    entry = make_entry(article, publisher="Post")
    publication = make_publication(sources=(Source("Post", home="data:text/html,x"),))
    for document in (
        outputs.article(entry, publication),
        *outputs.render(make_feed(entry), publication, AUTHORITY),
    ):
        assert b"javascript:" not in document.data
        assert b"data:text" not in document.data


def test_a_foreign_article_says_its_language() -> None:
    entry = make_entry(make_article("Парламент", "Депутаттар.", lang="kk"))
    page = article_page(entry)
    assert page.xpath("//h1/@lang") == ["kk"]
    assert page.xpath("//div[@class='prose']/@lang") == ["kk"]
    assert channel_page(make_feed(entry)).xpath("//article/@lang") == ["kk"]


def test_pages_are_not_indexed_until_their_sources_are() -> None:
    open_, closed = Source("Open", "open*", indexed=True), Source("Closed", "closed*")
    publication = make_publication(sources=(open_, closed))
    one, two = make_entry(seq=1, publisher="Open"), make_entry(seq=2, publisher="Closed")

    def noindex(page: Any) -> bool:
        return bool(page.xpath("//meta[@name='robots'][@content='noindex']"))

    assert not noindex(article_page(one, publication))
    assert noindex(article_page(two, publication))
    assert noindex(article_page(make_entry(), publication))
    assert not noindex(article_page(make_entry(digest="open.txt"), publication))
    assert not noindex(channel_page(make_feed(one), publication=publication))
    assert noindex(channel_page(make_feed(one, two), publication=publication))
    assert noindex(channel_page(make_feed(one), [two], publication))
    assert noindex(channel_page(make_feed(), publication=publication))


# A channel


def test_a_channel_shows_its_entries_in_order_and_the_addresses_to_copy() -> None:
    feed = make_feed(make_entry(make_article("Newer"), 2), make_entry(make_article("Older"), 1))
    page = channel_page(feed)
    assert text(page.xpath("//h1")[0]) == "Politics"
    assert [text(one) for one in page.xpath("//article/h2")] == ["Newer", "Older"]
    assert [text(one) for one in page.xpath("//aside//code")] == [
        f"https://news.example.org/politics/{name}" for name in ("atom.xml", "rss.xml", "feed.json")
    ]


def test_a_secondary_topic_links_to_its_channel() -> None:
    topics = (TopicShare(POLITICS, 0.7), TopicShare(ECONOMY, 0.2))
    page = channel_page(make_feed(make_entry(topics=topics)))
    assert page.xpath("//p[@class='facts']/a/@href") == ["../economy/index.html"]


def test_entries_of_other_channels_stand_apart_newest_first() -> None:
    own = make_entry(make_article("Own"), 1)
    late = make_entry(make_article("Late"), 2, channel="economy")
    early = make_entry(
        make_article("Early", published=NOW.replace(year=2020)), 3, channel="economy"
    )
    page = channel_page(make_feed(own), [early, late, own])
    assert [text(one) for one in page.xpath("//section[@class='also']//h3")] == ["Late", "Early"]
    assert page.xpath("//section[@class='also']//p/a/@href")[0] == "../economy/index.html"
    documents = outputs.render(make_feed(own), make_publication(), AUTHORITY, also=[late])
    assert all(b"Late" not in one.data for one in documents if one.media_type != "text/html")


# The index


def test_the_index_groups_quiet_channels_and_shows_headlines() -> None:
    politics = make_feed(*(make_entry(make_article(f"Title {n}"), n) for n in range(3)))
    economy = make_feed(channel=channels.DEFAULTS[1])
    everything = replace(politics, channel=ALL)
    page = index_page(politics, economy, everything)
    assert [text(one) for one in page.xpath("//section[@class='block']/h3")] == ["Politics"]
    assert [text(one) for one in page.xpath("//section[@class='block']//h4")] == [
        "Title 0",
        "Title 1",
        "Title 2",
    ]
    assert [text(one) for one in page.xpath("//div[@class='quiet']//li")] == ["Economy"]
    assert text(page.xpath("//div[@class='dateline']/p")[0]) == "1 January 2026"
    assert "all/index.html" in page.xpath("//nav/a/@href")


def test_an_index_without_articles_tells_how_to_begin() -> None:
    page = index_page(make_feed(), make_feed(channel=ALL))
    assert "feeds run" in text(page.xpath("//p[@class='empty']")[0])


def test_the_index_links_to_editions() -> None:
    edition = make_edition(make_brief(make_entry()))
    page = index_page(make_feed(), editions=[edition])
    link = page.xpath("//section[@aria-labelledby='editions-head']//a")[0]
    assert link.get("href") == "editions/daily/2026-01-02T0800.html"
    assert text(link) == "Daily edition, 2 January 2026, 08:00"


def test_style_and_icon_are_the_files_of_the_templates(publication: Publication) -> None:
    documents = {one.path: one for one in outputs.catalogues([], publication)}
    assert documents["style.css"].media_type == "text/css"
    assert documents["icon.svg"].media_type == "image/svg+xml"
    assert b"{{" not in documents["style.css"].data
    assert not any(word in documents["style.css"].data for word in (b"http", b"@import", b"url("))


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_has_the_contrast_of_level_aa_light_and_dark(publication: Publication) -> None:
    documents = {one.path: one.data.decode() for one in outputs.catalogues([], publication)}
    modes = re.findall(r":root \{(.*?)\}", documents["style.css"], re.DOTALL)[:2]
    assert len(modes) == 2
    for mode in modes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", mode))
        for ground in ("paper", "tint"):
            for ink in ("ink", "soft", "accent"):
                pair = sorted(luminance(colours[name]) + 0.05 for name in (ground, ink))
                assert pair[1] / pair[0] >= 4.5, (ink, ground)


# An edition


def test_an_edition_holds_every_brief_once_grouped_by_channel() -> None:
    pairs = [(f"Politics {n}", "politics") for n in range(5)] + [("Money", "economy")]
    entries = [
        make_entry(make_article(name), n, channel=slug) for n, (name, slug) in enumerate(pairs)
    ]
    page = tree(outputs.edition(make_edition(*map(make_brief, entries)), make_publication()))
    assert text(page.xpath("//h1")[0]) == "Daily edition, 2 January 2026"
    assert [text(one) for one in page.xpath("//article//h2")] == ["Politics 0"]
    assert [text(one) for one in page.xpath("//section/h2")] == ["Politics", "Economy"]
    assert [text(one) for one in page.xpath("//article//h3")] == [name for name, _ in pairs[1:]]


def test_an_edition_says_when_it_is_from_the_archive_and_what_it_left_out() -> None:
    brief = make_brief(make_entry(), date="received 2 January 2026", dated=False)
    page = tree(
        outputs.edition(make_edition(brief, from_archive=True, older=7), make_publication())
    )
    assert "From the archive" in text(page)
    assert "7 older articles were filed" in text(page)
    assert "Undated; received 2 January 2026" in text(page)
    plain = text(tree(outputs.edition(make_edition(brief), make_publication())))
    assert "From the archive" not in plain
    assert "older article" not in plain


def test_a_template_that_is_missing_is_named() -> None:
    with pytest.raises(TemplateError, match=r"article\.html"):
        outputs.article(make_entry(), make_publication(templates=("/nonexistent",)))
