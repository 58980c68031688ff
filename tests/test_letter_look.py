"""The look and the words of letters: rules of structure, views in Chromium, SpamAssassin's verdict.

The rules are those of mail programs and of accessibility. An element, attribute or property that isn't
named here is one that some mail program lacks (https://www.caniemail.com): look there before adding it.
"""

# ruff: noqa: RUF001 -- Cyrillic letters are the matter here
from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from itertools import pairwise
from typing import Any

import pytest
from browser import CHROMIUM, Tab, tab
from factories import NOW, make_publication
from lxml import html as parser

from feeds import channels, letters, outputs
from feeds.letters import Addressee, MailIdentity, Question, words
from feeds.model import (
    Brief,
    Correction,
    Document,
    Edition,
    EntryId,
    Letter,
    Mix,
    Section,
    Subscriber,
)
from feeds.outputs import page

NEWS = {
    "en": (
        ("Parliament votes on the budget for three years", "The lower house passed it & rested."),
        ("Grain harvest ends with a record", "From the steppe came 20 million tons."),
        ("Chess team wins in Samarkand", "Four games of six were won by the youngest."),
    ),
    "ru": (
        ("В Астане открылся новый перинатальный центр", "На строительство ушло два года."),
        ("Курс тенге укрепился к концу года", "Банк объяснил это ростом цен на нефть."),
        ("Сборная по шахматам выиграла турнир", "Решающую партию сыграла самая молодая."),
    ),
    "kk": (
        ("Астанада жаңа перинаталдық орталық ашылды", "Құрылыс екі жылға созылды."),
        ("Теңге бағамы жыл соңында нығайды", "Банк мұны мұнай бағасымен түсіндірді."),
        ("Шахматшылар Самарқандта жеңіске жетті", "Шешуші ойынды ең жас мүше өткізді."),
    ),
}
TITLES = {"en": "News digest", "ru": "Вестник дня", "kk": "Күн жаңалықтары"}
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
TO = Addressee(
    email="you@example.org",
    message_id="<0123456789abcdefghijABCD@news.example.org>",
    token="7.ABCDEFGHIJKLMNOPQRSTUVWX",
)
SUBSCRIBER = Subscriber(7, TO.email, NOW)
MAIL = MailIdentity(
    "News <news@news.example.org>",
    "news.example.org",
    answers="leave@example.org",
    pages="https://news.example.org/u/",
)
WEB = "https://news.example.org/editions/daily/2026-01-02T0800.html"


def leading(mix: Mix) -> Brief:
    """Return the lead of a mix that has articles."""
    assert mix.lead is not None
    return mix.lead


def make_brief(number: int, language: str, slug: str, **changes: object) -> Brief:
    title, summary = NEWS[language][number % 3]
    values: dict[str, object] = {
        "entry": EntryId(f"{number:020x}"),
        "channel": slug,
        "title": f"{title} ({number})",
        "summary": summary if number % 5 else "",
        "credit": "QazNews" if number % 4 else "not named",
        "date": "1 January 2026" if number % 3 else "received 2 January 2026",
        "path": f"articles/00/{number:020x}.html",
        "lang": language,
    }
    changed = values | changes
    changed["title"] = str(changed["title"]).replace("#", str(number))
    return Brief(**changed)  # type: ignore[arg-type]  # the keys are fields


def make_mix(language: str, size: int = 8, **changes: object) -> Mix:
    """Return a mix of `size` articles over several channels, the last of them without room."""
    slugs = [channel.slug for channel in channels.DEFAULTS]
    briefs = tuple(make_brief(at, language, slugs[at // 3], **changes) for at in range(size))
    known = {channel.slug: channel.title for channel in channels.DEFAULTS}
    listed = tuple((slug, known[slug]) for slug in dict.fromkeys(one.channel for one in briefs))
    edition = Edition(
        name="daily", slot="2026-01-02T08:00", timezone="Asia/Almaty", composed=NOW,
        subject=f"{briefs[0].title} + {size - 1}", lead=briefs[0].entry, briefs=briefs,
        channels=listed,
    )  # fmt: skip
    sections = [
        Section(slug, title, tuple(one for one in briefs if one.channel == slug), at % 3)
        for at, (slug, title) in enumerate(listed)
    ]
    if size > 3:
        sections[-1] = replace(sections[-1], briefs=(), more=len(sections[-1].briefs))
    return Mix(edition, edition.subject, briefs[0], tuple(sections))


def make_rich(language: str) -> Mix:
    """Return a mix with all that a letter can hold."""
    mix = make_mix(language)
    foreign = "kk" if language == "en" else "en"
    others = (make_brief(30, language, "sport"), make_brief(31, foreign, "sport"))
    below = next(one for one in mix.sections[0].briefs if one != mix.lead)
    corrections = (
        Correction(EntryId("c" * 20), "corrected", ("sport",), "A slip", "3 January 2026",
                   "articles/cc/c.html", foreign),
        Correction(EntryId("d" * 20), "withdrawn", ("sport",), "A mistake", "4 January 2026",
                   "articles/dd/d.html", language),
    )  # fmt: skip
    note = "Good morning: <b>we begin.\n\nWrite to us."
    edition = replace(mix.edition, note=note, older=12, from_archive=True, corrections=corrections)
    return replace(
        mix,
        edition=edition,
        related=((leading(mix).entry, others), (below.entry, others[:1])),
        corrections=corrections,
    )


@dataclass(frozen=True)
class Look:
    """A letter as it is looked at."""

    name: str
    language: str
    mix: Mix
    letter: Letter
    to: Addressee = TO

    @cached_property
    def html(self) -> str:
        """The HTML part."""
        return self._part("html")

    @cached_property
    def text(self) -> str:
        """The text part."""
        return self._part("plain")

    @cached_property
    def tree(self) -> Any:
        """The HTML part, read."""
        return parser.document_fromstring(self.html)

    def find(self, path: str) -> Any:
        """Return what an XPath finds."""
        return self.tree.xpath(path)

    @cached_property
    def styles(self) -> list[tuple[Any, dict[str, str]]]:
        """Each element with a style of its own, and that style."""
        return [(one, declared(one.get("style"))) for one in self.find("//*[@style]")]

    @cached_property
    def blocks(self) -> list[str]:
        """The style blocks."""
        return [one.text for one in self.find("//style")]

    @property
    def briefs(self) -> list[Brief]:
        """All that is shown."""
        return [brief for section in self.mix.sections for brief in section.briefs]

    def _part(self, kind: str) -> str:
        message = email.message_from_bytes(self.letter.data, policy=email.policy.default)
        found = message.get_body((kind,))
        assert found is not None
        content: str = found.get_content()
        return content.replace("\r\n", "\n")


def declared(style: str) -> dict[str, str]:
    """Return what a style says, by property."""
    parted = (one.split(":", 1) for one in style.split(";") if one.strip())
    return {name.strip(): value.strip() for name, value in parted}


def said(element: Any) -> str:
    return " ".join(element.text_content().split())


def make_look(
    name: str, mix: Mix, *, to: Addressee = TO, mail: MailIdentity = MAIL, title: str = ""
) -> Look:
    language = name.partition(" ")[0]
    publication = make_publication(language=language, title=title or TITLES[language])
    letter = letters.address(letters.draft(mix, SUBSCRIBER, publication, mail), to)
    return Look(name, language, mix, letter, to)


@cache
def looks() -> tuple[Look, ...]:
    """Return sample letters in every language."""
    found = []
    for language in words.LANGUAGES:
        mailto = replace(MAIL, pages=None)
        found += [
            make_look(f"{language} plain", make_mix(language)),
            make_look(f"{language} rich", make_rich(language)),
            make_look(f"{language} one", make_mix(language, 1), mail=mailto),
            make_look(f"{language} many", make_mix(language, 40)),
        ]
    far = replace(TO, email=f"{'a' * 60}@{'b' * 60}.example.org")
    long = make_mix("en", title=f"{LONG} says #", summary=f"{LONG}{LONG} said", credit=LONG)
    long = replace(long, edition=replace(long.edition, note=LONG * 2))
    mixed = make_mix("en")
    shown = tuple(
        replace(one, lang="kk", title=f"{NEWS['kk'][0][0]} {one.entry}")
        for one in mixed.sections[0].briefs
    )
    mixed = replace(
        mixed,
        lead=shown[0],
        sections=(replace(mixed.sections[0], briefs=shown), *mixed.sections[1:]),
    )
    found.append(make_look("en long words", long, to=far, title=LONG))
    found.append(make_look("en mixed", mixed))
    return tuple(found)


# Colours


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio by WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def dark(block: str) -> dict[tuple[str, str], str]:
    """Return the colours of a style block by class and property."""
    rules = re.findall(r"\.(\w+)\{((?:background-|border-)?color):(#\w{6})!important\}", block)
    return {(name, kind): colour for name, kind, colour in rules}


def shades(look: Look, *, by_class: bool) -> Iterator[tuple[str, str]]:
    """Yield colour and ground of each text that is shown."""
    colours = dark(look.blocks[1])

    def of(element: Any, kind: str) -> str:
        for one in (element, *element.iterancestors()):
            known = [colours.get((name, kind)) for name in one.get("class", "").split()]
            own = declared(one.get("style", "")).get(kind)
            if by_class and any(known):
                return next(colour for colour in known if colour)
            if own:
                assert not by_class, f"{one.tag} keeps its {kind} in the dark"
                return own
        raise AssertionError("no colour")

    for element in look.find(
        "//body//*[not(ancestor-or-self::*[contains(@style,'display:none')])]"
    ):
        texts = [element.text, *(child.tail for child in element)]
        if not isinstance(element.tag, str) or not any((text or "").strip() for text in texts):
            continue
        yield of(element, "color"), of(element, "background-color")


# The rules

ELEMENTS = set("html head meta title style body div table tr td p h1 h2 h3 a".split())  # noqa: SIM905 -- easier to read
ATTRIBUTES = {
    "a": {"class", "href", "style", "lang", "dir"},
    "body": {"class", "style"},
    "div": {"style", "role", "aria-roledescription", "lang", "dir"},
    "h1": {"class", "style"},
    "h2": {"class", "style"},
    "h3": {"class", "style"},
    "html": {"lang", "dir", "xmlns:o"},
    "meta": {"charset", "name", "content"},
    "p": {"class", "style", "lang", "dir"},
    "table": {
        "class", "role", "width", "border", "cellpadding", "cellspacing", "bgcolor", "style",
    },
    "td": {"class", "bgcolor", "style", "lang", "dir"},
}  # fmt: skip
PROPERTIES = {
    "background-color", "border-bottom", "border-top", "color", "display", "font-family", "font-size",
    "font-weight", "line-height", "margin", "max-width", "mso-hide", "padding", "text-decoration",
    "word-break",
}  # fmt: skip
OUTSIDE = "(https://news.example.org/|mailto:leave@example.org)"
PERSONAL = ("you@example.org", "ABCDEFGHIJKLMNOPQRSTUVWX", "leave@example.org")


def levels(look: Look) -> list[int]:
    return [int(one.tag[1]) for one in look.find("//h1|//h2|//h3|//h4|//h5|//h6")]


def names(look: Look, *tags: str) -> bool:
    return not look.find("|".join(f"//{tag}" for tag in tags))


def links(look: Look) -> list[Any]:
    found: list[Any] = look.find("//a")
    return found


def sizes(look: Look) -> list[tuple[str, int]]:
    return [
        (one.tag, int(style["font-size"].removesuffix("px")))
        for one, style in look.styles
        if "font-size" in style
    ]


def lines(look: Look) -> list[str]:
    return look.text.split("\n")


def flat(look: Look) -> str:
    return " ".join(look.text.split())


def say(look: Look) -> words.Say:
    return words.say(look.language)


def footer(look: Look) -> str:
    return said(look.find("//div[@role='contentinfo']")[0])


def before_footer(part: str, look: Look) -> str:
    return part[: part.index(say(look)("privacy")[:20])]


RULES: Mapping[str, Callable[[Look], object]] = {
    # A document
    "begins with the doctype": lambda a: a.html.startswith("<!doctype html>\n<html "),
    "knows no other elements": lambda a: {one.tag for one in a.find("//*")} <= ELEMENTS,
    "knows no other attributes": lambda a: all(
        set(one.keys()) <= ATTRIBUTES.get(one.tag, set()) for one in a.find("//*")
    ),
    "says its encoding first": lambda a: a.find("//head/*")[0].get("charset") == "utf-8",
    "fits the window": lambda a: a.find("//meta[@name='viewport']/@content") == [
        "width=device-width,initial-scale=1"
    ],
    "lets people enlarge it": lambda a: "maximum-scale" not in a.html and "user-scalable" not in a.html,
    "has one title, its subject": lambda a: a.find("//title/text()") == [a.letter.subject],
    "says its language": lambda a: a.tree.get("lang") == a.language,
    "says its direction": lambda a: a.tree.get("dir") == "ltr",
    "says its language again for programs that drop the first": lambda a: a.find(
        "//body//div[@role='article']/@lang"
    ) == [a.language],
    "says its direction again": lambda a: a.find("//div[@role='article']/@dir") == ["ltr"],
    "is not retouched by Apple Mail": lambda a: a.find(
        "//meta[@name='x-apple-disable-message-reformatting']"
    ),
    "has no numbers made into links": lambda a: a.find("//meta[@name='format-detection']"),
    "is at most 80 kB": lambda a: len(a.html.encode()) <= letters.HTML_LIMIT,
    "has no empty line at the end of a cell": lambda a: "&nbsp;</td>" not in a.html,
    "names each id once": lambda a: len(a.find("//@id")) == len(set(a.find("//@id"))),
    "has no unfilled place": lambda a: not re.search(r"\{\{|\}\}|\{%|\bNone\b|\bUndefined\b", a.html),
    "escapes once": lambda a: "&amp;amp;" not in a.html and "&amp;lt;" not in a.html,
    "takes markup in text for text": lambda a: not a.find("//b"),
    # For Outlook
    "opens and closes each conditional comment": lambda a: (
        a.html.count("<!--[if mso]>") == a.html.count("<![endif]-->") == 3
    ),
    "holds what it opens for Outlook": lambda a: (
        "".join(re.findall(r"<!--\[if mso\]>(.*?)<!\[endif\]-->", a.html)).count("<table")
        == "".join(re.findall(r"<!--\[if mso\]>(.*?)<!\[endif\]-->", a.html)).count("</table")
    ),
    "is 600 pixels wide in Outlook": lambda a: re.search(
        r"<!--\[if mso\]><table role=\"presentation\" width=\"600\"", a.html
    ),
    "has 96 dots an inch in Outlook": lambda a: "<o:PixelsPerInch>96<" in a.html,
    "hides the preheader from Outlook": lambda a: "display:none;mso-hide:all" in a.html,
    # Nothing from elsewhere
    "runs nothing": lambda a: names(a, "script", "iframe", "object", "embed", "form", "input"),
    "loads no image": lambda a: names(a, "img", "picture", "svg", "video", "audio"),
    "loads no style": lambda a: names(a, "link") and "@import" not in a.html,
    "loads nothing by address": lambda a: not a.find("//@src | //@srcset | //@background")
    and "url(" not in a.html,
    "handles no event": lambda a: not [name for one in a.find("//*") for name in one.attrib
                                       if name.startswith("on")],
    "links to the publication only": lambda a: all(
        re.match(OUTSIDE, one.get("href")) for one in links(a)
    ),
    "names no other address": lambda a: all(
        re.match(f"{OUTSIDE}|urn:", one) for one in re.findall(r"(?:https?://|urn:)[^\s\"<]+", a.html)
    ),
    "links without anything that follows people": lambda a: not re.search(
        r"utm_|[?&](?:id|user|email|u|ref)=", a.html
    ),
    # Style
    "has three small style blocks": lambda a: len(a.blocks) == 3
    and all(len(block) <= 8_192 for block in a.blocks),
    "has style blocks that Gmail keeps": lambda a: all(
        block.count("{") == block.count("}") and "/*" not in block for block in a.blocks
    ),
    "puts one thing in each block": lambda a: (
        "max-width:600px" in a.blocks[0]
        and "prefers-color-scheme:dark" in a.blocks[1]
        and "data-ogsc" in a.blocks[2]
    ),
    "overrules what stands inline": lambda a: all(
        "!important" in one
        for block in a.blocks for one in re.findall(r"[{;]([^{};@]+:[^{};]+)", block)
    ),
    "uses each class in a block": lambda a: all(
        set(re.findall(r"\.([a-z]+)\{", block)) >= {"page", "card", "ink", "soft", "red"}
        for block in a.blocks[1:]
    ),
    "styles with what mail programs know": lambda a: {
        name for _, style in a.styles for name in style
    } <= PROPERTIES,
    "places nothing freely": lambda a: not re.search(
        r"position:|float:|display:(?!none)|grid|flex", a.html
    ),
    "has letters of 14 pixels or more": lambda a: min(size for _, size in sizes(a)) >= 14,
    "has text of 16 pixels": lambda a: ("p", 16) in sizes(a) or not any(
        brief.summary for brief in a.briefs
    ),
    "has larger titles than text": lambda a: all(size >= 18 for tag, size in sizes(a) if tag == "h3"),
    "has lines that grow with the letters": lambda a: all(
        re.fullmatch(r"1\.\d+", style["line-height"]) for _, style in a.styles
        if "line-height" in style
    ),
    "gives each text its face, size, height and colour": lambda a: all(
        {"font-family", "font-size", "line-height", "color", "margin"} <= declared(
            one.get("style", "")).keys()
        for one in a.find("//p | //h1 | //h2 | //h3[not(a)]")
    ),
    "ends each list of faces with a general one": lambda a: all(
        style["font-family"].endswith("serif") for _, style in a.styles if "font-family" in style
    ),
    "has faces with Kazakh letters": lambda a: all(
        "Georgia" not in one.get("style")
        for one in a.find("//h1 | //h2 | //h3 | //p")
        if (one.xpath("ancestor-or-self::*[@lang][1]/@lang") or [""])[-1] == "kk"
    ),
    "aligns text at its beginning": lambda a: "text-align" not in a.html
    and "align=" not in re.sub(r"<!--.*?-->", "", a.html),
    "breaks a word that is too long": lambda a: sum(
        style.get("word-break") == "break-word" for _, style in a.styles
    ) == 2,
    "grows to 600 pixels": lambda a: all(
        one.get("width") == "100%" for one in a.find("//table")
    ) and a.html.count("max-width:600px;margin:0 auto") == 2,
    "has no height of its own": lambda a: not re.search(r"(?<!line-)height[:=]", a.html),
    # Colours
    "has no pure white or black": lambda a: not re.search(
        r"#(?:fff|000)\b|#(?:ffffff|000000)\b|:(?:white|black)\b", a.html, re.IGNORECASE
    ),
    "has colours in six digits": lambda a: all(
        len(one) == 7 for one in re.findall(r"#[0-9a-f]+(?=[;\"!])", a.html)
    ),
    "gives a ground as attribute and as style": lambda a: all(
        declared(one.get("style"))["background-color"] == one.get("bgcolor")
        for one in a.find("//*[@bgcolor]")
    ),
    "stands out in the light": lambda a: min(contrast(*one) for one in shades(a, by_class=False)) >= 4.5,
    "stands out in the dark": lambda a: min(contrast(*one) for one in shades(a, by_class=True)) >= 7,
    "is dark in Outlook as elsewhere": lambda a: dark(a.blocks[1]) == dark(a.blocks[2]),
    "is light in the light, dark in the dark": lambda a: (
        a.find("//meta[@name='color-scheme']/@content") == ["light dark"]
        and a.find("//meta[@name='supported-color-schemes']/@content") == ["light dark"]
    ),
    "has lines in the dark": lambda a: all(
        "line" in one.get("class", "") for one, style in a.styles
        if "border-top" in style or "border-bottom" in style
    ),
    # For everybody
    "has tables for looks alone": lambda a: all(
        one.get("role") == "presentation" for one in a.find("//table")
    ),
    "has no cells that head others": lambda a: names(a, "th", "caption", "thead"),
    "has one main part and one foot": lambda a: (
        len(a.find("//div[@role='main']")) == len(a.find("//div[@role='contentinfo']")) == 1
    ),
    "has one heading for the whole": lambda a: levels(a).count(1) == 1 and levels(a)[0] == 1,
    "skips no level of headings": lambda a: all(
        after - before <= 1 for before, after in pairwise(levels(a))
    ),
    "has no empty heading": lambda a: all(said(one) for one in a.find("//h1|//h2|//h3")),
    "has no empty paragraph": lambda a: all(said(one) for one in a.find("//p")),
    "has headings for headings only": lambda a: names(a, "strong", "em", "font", "center", "br"),
    "says in each link where it leads": lambda a: all(
        len(said(one)) > 2 and said(one).lower() not in {"here", "link", "read more", "click here"}
        for one in links(a)
    ),
    "links each title once": lambda a: len(a.find("//h3/a")) + len(a.find("//h2/a")) == len(
        set(a.find("//h2/a/@href | //h3/a/@href"))
    ),
    "marks links in running text by more than colour": lambda a: all(
        declared(one.get("style"))["text-decoration"] == "underline"
        for one in a.find("//p//a")
    ),
    "says the language of what is in another": lambda a: all(
        one.xpath("ancestor-or-self::*[@lang][1]/@lang")[-1] == brief.lang
        for brief in a.briefs for one in a.find("//a")
        if one.get("href", "").endswith(brief.path)
    ),
    "says its own words in its own language": lambda a: all(
        (one.xpath("ancestor-or-self::*[@lang]/@lang") or [""])[-1] == a.language
        for one in a.find("//p[contains(@class,'soft')]")
    ),
    # The preheader
    "begins with the preheader": lambda a: a.find("//body/*")[0].get("style").startswith("display:none"),
    "has the date in the preheader": lambda a: a.find("//body/div")[0].text.startswith(
        say(a).day("2026-01-02T08:00") + ": "
    ),
    "keeps the rest out of the preheader": lambda a: a.html.count("&zwnj;&nbsp;") >= 20
    or a.html.count("\u200c\xa0") >= 20,
    "doesn't say the subject again in the preheader": lambda a: leading(a.mix).title
    not in a.find("//body/div")[0].text,
    "hides nothing else": lambda a: a.html.count("display:none") == 1,
    # What it says
    "is headed by the publication": lambda a: said(a.find("//h1")[0]) in {TITLES[a.language], LONG},
    "says the day and the edition": lambda a: f"{say(a).day('2026-01-02T08:00')} · "
    f"{say(a).edition('daily')}" in said(a.tree),
    "has every article once": lambda a: all(
        len(a.find(f"//h2/a[contains(@href,'{one.path}')] | //h3/a[contains(@href,'{one.path}')]")) == 1
        for one in a.briefs
    ),
    "has the source of every article": lambda a: said(a.tree).count(
        say(a)("source", credit="", date="").split(":")[0] + ":"
    ) == len(a.briefs),
    "has the lead first": lambda a: said(a.find("//h2/a | //h3/a")[0]) == leading(a.mix).title,
    "counts what is on the web only": lambda a: all(
        say(a)("more", n=one.more, channel=say(a).channel(one.slug, one.title)) in said(a.tree)
        for one in a.mix.sections[:-1] if one.more and any(each != a.mix.lead for each in one.briefs)
    ),
    "calls channels in its language": lambda a: a.language == "en" or "Politics" not in said(a.tree),
    "has dates in its language": lambda a: a.language == "en" or "January" not in said(a.tree),
    "says why it came": lambda a: a.to.email in footer(a),
    "can be left": lambda a: say(a)("leave") in footer(a)
    and a.find("//div[@role='contentinfo']//a")[-1].get("href").startswith(
        ("https://news.example.org/u/", "mailto:")
    ),
    "leads to its copy on the web": lambda a: WEB in a.find("//div[@role='contentinfo']//a/@href"),
    "says that nobody watches": lambda a: say(a)("privacy") in footer(a),
    "is personal in the foot only": lambda a: not any(
        one in before_footer(part, a) for one in (*PERSONAL, a.to.email)
        for part in (a.html, a.text.replace("\n", " "))
    ),
    "has no double word, nor a blank before a comma": lambda a: not re.search(
        r"\b(\w{3,}) \1\b| [,.:;]", " ".join(said(one) for one in a.find("//p|//h1|//h2|//h3"))
    ),
    "has no date cut in two sentences": lambda a: "г.." not in said(a.tree),
    # The text part
    "has lines of 72 columns": lambda a: all(
        len(line) <= 72 or " " not in line.strip() or LONG in line or a.to.email in line
        for line in lines(a)
    ),
    "has no markup in the text": lambda a: not re.search(r"</|&\w+;|&#|style=", a.text),
    "has no double space in the text": lambda a: "  " not in a.text,
    "has no blank at the end of a line": lambda a: all(line == line.rstrip() for line in lines(a)),
    "parts the text by two empty lines at most": lambda a: "\n\n\n\n" not in a.text,
    "begins the text with the publication": lambda a: lines(a)[0].lower() in {
        TITLES[a.language].lower(), LONG.lower()
    },
    "has every title in the text": lambda a: all(one.title in flat(a) for one in a.briefs),
    "has every summary in the text": lambda a: all(one.summary in flat(a) for one in a.briefs),
    "has each address in the text on a line of its own": lambda a: all(
        f"https://news.example.org/{one.path}" in lines(a) for one in a.briefs
    ),
    "has its copy on the web in the text": lambda a: WEB in lines(a),
    "has the way out in the text": lambda a: f"{MAIL.pages}{a.to.token}" in lines(a)
    or f"unsubscribe {a.to.token}" in lines(a),
    "says in the text that nobody watches": lambda a: say(a)("privacy") in flat(a),
    "says in the text why it came": lambda a: a.to.email in flat(a),
    "has the note in both parts": lambda a: not a.mix.edition.note or (
        say(a)("note") in said(a.tree) and say(a)("note").upper() in lines(a)
    ),
    "has the corrections in both parts": lambda a: all(
        one.title in said(a.tree) and one.title in lines(a)
        and say(a)(one.kind, date=say(a).date(one.date)) in flat(a)
        for one in a.mix.corrections
    ),
    "links no article that was withdrawn": lambda a: "articles/dd/d.html" not in a.html + a.text,
    "has related articles by their titles in both parts": lambda a: all(
        f"{say(a)('also')}: {one.title}" in said(a.tree) and f"{say(a)('also')}: {one.title}" in flat(a)
        for _, below in a.mix.related for one in below
    ),
    "counts the older ones in both parts": lambda a: not a.mix.edition.older or (
        say(a)("older", n=12) in said(a.tree) and say(a)("older", n=12) in flat(a)
    ),
    "says where it is from the archive": lambda a: (say(a)("archive") in said(a.tree))
    == a.mix.edition.from_archive == (say(a)("archive") in flat(a)),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_every_letter(rule: str) -> None:
    for look in looks():
        assert RULES[rule](look), f"not so in {look.name!r}: {rule}"


# As it is seen

VIEWS = {
    "wide, light": (600, "light", ""),
    "wide, dark": (600, "dark", ""),
    "narrow, light": (375, "light", ""),
    "narrow, dark": (375, "dark", ""),
    "narrow, no style": (375, "light", "no style"),
    "wide, text twice as large": (600, "light", "large"),
    "narrow, text twice as large": (375, "light", "large"),
}
TWICE = """
const all = [...document.querySelectorAll('body *')]
const sizes = all.map(one => parseFloat(getComputedStyle(one).fontSize))
all.forEach((one, at) => one.style.setProperty('font-size', 2 * sizes[at] + 'px', 'important'))
"""
CUT = """
(() => {
  const found = [], wide = document.documentElement
  if (wide.scrollWidth > innerWidth) found.push('scrolls sideways: ' + wide.scrollWidth)
  for (const one of document.querySelectorAll('body *')) {
    const style = getComputedStyle(one), box = one.getBoundingClientRect()
    if (style.display == 'none' || !box.width) continue
    const name = one.tagName + ' ' + one.textContent.trim().slice(0, 30)
    if (box.left < -0.5 || box.right > innerWidth + 0.5) found.push('outside: ' + name)
    if (style.display != 'inline' && one.scrollWidth > one.clientWidth + 1) found.push('cut: ' + name)
    if (style.overflow != 'visible' && one.scrollHeight > one.clientHeight + 1)
      found.push('cut below: ' + name)
    if (parseFloat(style.lineHeight) < parseFloat(style.fontSize)) found.push('lines meet: ' + name)
  }
  return JSON.stringify(found.slice(0, 5))
})()
"""
PAINTED = """
(() => {
  const body = getComputedStyle(document.body), title = getComputedStyle(document.querySelector('h1'))
  return JSON.stringify([title.color, body.backgroundColor])
})()
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Tab]:
    with tab() as shown:
        yield shown


def view(chromium: Tab, html: str, width: int, scheme: str, kind: str) -> None:
    """Show a page as a window of that width does, without its style blocks, or with larger text."""
    chromium.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=900, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.call("Emulation.setEmulatedMedia", features=features)
    shown = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL) if kind == "no style" else html
    frame = chromium.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
    chromium.call("Page.setDocumentContent", frameId=frame, html=shown)
    if kind == "large":
        chromium.ask(f"(() => {{{TWICE}}})()")


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_nothing_is_cut(name: str, chromium: Tab) -> None:
    asked = [(question.name, question.html) for question in questions()]
    for look, html in [*((look.name, look.html) for look in looks()), *asked]:
        view(chromium, html, *VIEWS[name])
        assert json.loads(chromium.ask(CUT)) == [], look


@needs_chromium
@pytest.mark.slow
def test_a_page_that_is_cut_is_seen_to_be(chromium: Tab) -> None:
    view(chromium, f"<body><p>{LONG}{LONG}</p></body>", 375, "light", "")
    assert len(json.loads(chromium.ask(CUT))) >= 2


@needs_chromium
@pytest.mark.slow
def test_a_letter_is_dark_in_the_dark(chromium: Tab) -> None:
    for scheme, expected in (
        ("light", ["rgb(31, 29, 26)", "rgb(239, 236, 228)"]),
        ("dark", ["rgb(236, 231, 221)", "rgb(18, 17, 16)"]),
    ):
        view(chromium, looks()[0].html, 600, scheme, "")
        assert json.loads(chromium.ask(PAINTED)) == expected


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("spamassassin") is None, reason="spamassassin is not installed")
@pytest.mark.parametrize("name", ["en plain", "en rich", "en one", "ru rich", "kk plain"])
def test_a_letter_is_no_spam(name: str) -> None:
    look = next(look for look in looks() if look.name == name)
    assert verdict(look.letter) <= 0.5


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("spamassassin") is None, reason="spamassassin is not installed")
def test_a_question_is_no_spam() -> None:
    assert max(verdict(question.letter) for question in questions()) <= 0.5


def verdict(letter: Letter) -> float:
    """Return SpamAssassin's score, without network.

    MIXED_ES takes Cyrillic for Latin in disguise where Latin letters, as of addresses, stand beside it.
    """
    moment = next(line for line in letter.data.split(b"\r\n") if line.startswith(b"Date: "))[6:]
    way = (
        b"from news.example.org (news.example.org [93.184.216.34]) by mx.example.org with ESMTPS; "
    )
    trace = b"Return-Path: <bounces@news.example.org>\r\nReceived: " + way + moment + b"\r\n"
    run = subprocess.run(
        ["spamassassin", "--local", "--test-mode"],
        input=trace + letter.data, capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    report = run.stdout.decode("utf-8", "replace").rpartition("Content analysis details:")[2]
    assert "HTML_MESSAGE" in report, "it read the letter"
    scores = re.findall(r"^ *(-?\d+\.\d) (\w+)", report, re.MULTILINE)
    return sum(float(points) for points, rule in scores if rule != "MIXED_ES")


# The mail that asks whether a subscription is wanted


@cache
def questions() -> tuple[Look, ...]:
    """Return the question in every language, by either way."""
    found = []
    for language in words.LANGUAGES:
        publication = make_publication(language=language, title=TITLES[language])
        wishes = replace(SUBSCRIBER, channels=("politics", "science"), editions=("daily",))
        for confirm, origin in (("https://news.example.org/c/7.ABC", "web"), (None, "import")):
            question = Question(
                "<q0123456789@news.example.org>", NOW, ("yes@example.org", "7.ABC"), confirm, origin
            )
            letter = letters.confirmation(question, wishes, publication, MAIL)
            found.append(Look(f"{language} {origin}", language, make_mix(language), letter))
    return tuple(found)


SHARED = (
    "begins with the doctype", "knows no other elements", "knows no other attributes",
    "says its language", "opens and closes each conditional comment",
    "loads no image", "loads nothing by address", "has three small style blocks",
    "styles with what mail programs know", "has letters of 14 pixels or more",
    "has lines that grow with the letters", "has no pure white or black", "stands out in the light",
    "stands out in the dark", "is dark in Outlook as elsewhere", "has tables for looks alone",
    "skips no level of headings", "has no empty paragraph", "has lines of 72 columns",
    "has no markup in the text", "parts the text by two empty lines at most",
)  # fmt: skip


@pytest.mark.parametrize("rule", SHARED)
def test_a_question_looks_as_a_letter_does(rule: str) -> None:
    for question in questions():
        assert RULES[rule](question), f"not so in {question.name!r}: {rule}"


def test_a_question_says_who_asked_what_comes_and_how_to_say_yes() -> None:
    for look in questions():
        own = say(look)
        origin = look.name.split()[1]
        asked = own(f"confirm_{origin}", email=look.to.email, title=TITLES[look.language])
        what = own("confirm_what", channels=", ".join(
            own.channel(slug, title) for slug, title in
            (("politics", "Politics"), ("science", "Science and technology"))
        ))  # fmt: skip
        for part in (said(look.tree), flat(look)):
            assert asked in part
            assert what in part
            assert own.edition("daily") in part
            assert own("confirm_ignore") in part
        (link,) = look.find("//a")
        assert said(link) == own("confirm_button")
        if origin == "web":
            assert link.get("href") in lines(look)
        else:
            assert link.get("href") == "mailto:yes@example.org?subject=confirm%207.ABC"
            assert "confirm 7.ABC" in lines(look)


def test_a_question_and_a_letter_have_the_same_colours() -> None:
    for letter, question in zip(looks()[:1], questions()[:1], strict=True):
        ours, theirs = dark(letter.blocks[1]), dark(question.blocks[1])
        assert {key: theirs[key] for key in ours.keys() & theirs.keys()} == {
            key: ours[key] for key in ours.keys() & theirs.keys()
        }
        assert ours.keys() - theirs.keys() == {("tint", "background-color")}


# The copy on the web


def web_copy(mix: Mix, language: str) -> Any:
    publication = make_publication(language=language, title=TITLES[language])
    document: Document = page.edition(mix.edition, publication, words.say(language))
    return parser.document_fromstring(document.data)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_the_copy_on_the_web_says_the_same_in_the_same_words(language: str) -> None:
    own, mix = words.say(language), make_rich(language)
    copy = web_copy(mix, language)
    text = said(copy.xpath("//main")[0])
    day = own.edition("daily")
    assert said(copy.xpath("//h1")[0]) == f"{day[:1].upper()}{day[1:]}, {own.date(NOW)}"
    assert [said(one) for one in copy.xpath("//aside//p")] == [
        "Good morning: <b>we begin.", "Write to us.",
    ]  # fmt: skip
    for key in ("archive", "note", "corrections", "changed"):
        assert own(key) in text
    assert own("articles", n=8) in text
    assert own("filed", n=12) in text
    for one in mix.corrections:
        assert own(one.kind, date=own.date(one.date)) in text
    assert "articles/dd/d.html" not in str(parser.tostring(copy))


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_letter_leads_to_the_place_of_a_channel_in_its_copy(language: str) -> None:
    mix = make_mix(language)
    copy = web_copy(mix, language)
    look = make_look(language, mix)
    places = [href.partition("#")[2] for href in look.find("//a/@href") if "#" in href]
    assert places
    assert all(copy.xpath("//*[@id=$place]", place=place) for place in places)


def test_the_copy_on_the_web_has_what_belongs_together_side_by_side() -> None:
    edition = make_mix("en").edition
    first, second, third, fourth = (
        replace(brief, channel="politics", title=f"Title {at}")
        for at, brief in enumerate(edition.briefs[:4])
    )
    story = second.entry
    second, fourth = replace(second, story=story), replace(fourth, story=story)
    mix = replace(make_mix("en"), edition=replace(edition, briefs=(first, second, third, fourth)))
    titles = web_copy(mix, "en").xpath("//article//h3")
    assert [said(title) for title in titles] == ["Title 1", "Title 3", "Title 2"]


def test_the_copy_on_the_web_is_nobodys_own() -> None:
    made = outputs.edition(make_rich("en").edition, make_publication()).data.decode()
    assert not [one for one in PERSONAL if one in made]
    assert "nsubscribe" not in made


def test_without_words_the_copy_is_in_the_english_of_letters() -> None:
    handed, own = words.say("en"), page.English()
    for key in ("archive", "note", "corrections", "changed"):
        assert own(key) == handed(key)
    for key in ("corrected", "withdrawn", "undated"):
        assert own(key, date="2 May 2026") == handed(key, date="2 May 2026")
    for n in (1, 2, 21):
        assert own("articles", n=n) == handed("articles", n=n)
        assert own("filed", n=n) == handed("filed", n=n)
    assert own.date(date(2026, 1, 2)) == handed.date(date(2026, 1, 2))
    assert own.date("received 2 May 2026") == handed.date("received 2 May 2026")
    assert own.edition("morning-brief") == handed.edition("morning-brief")
    assert own.channel("sport", "Sport") == handed.channel("sport", "Sport")
