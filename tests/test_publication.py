"""A user's own templates: what they replace, what they can't reach, how a mistake is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from factories import NOW, ROOT, make_publication

from feeds import letters
from feeds.errors import TemplateError
from feeds.letters import Addressee, MailIdentity
from feeds.model import Brief, Edition, EntryId, Mix, Section, Subscriber
from feeds.publication import Publication, render, shipped

SHIPPED = str(ROOT / "templates")
SUBSCRIBER = Subscriber(7, "you@example.org", NOW)
MAIL = MailIdentity("news@example.org", "news.example.org")
TO = Addressee("you@example.org", "<1@news.example.org>", "7.ABC")
BRIEF = Brief(
    EntryId("a" * 20), "politics", "A <title>", "What it says.", "Agency", "1 May 2026", "p.html"
)


def make_mix() -> Mix:
    channels = (("politics", "Politics"),)
    edition = Edition("daily", "2026-01-02T08:00", "UTC", NOW, "s", BRIEF.entry, (BRIEF,), channels)
    return Mix(edition, "A subject", BRIEF, (Section("politics", "Politics", (BRIEF,)),))


Own = Callable[..., Publication]


@pytest.fixture
def own(tmp_path: Path) -> Own:
    """Return a maker of publications with templates of the user's own."""

    def make(**templates: str) -> Publication:
        for name, text in templates.items():
            (tmp_path / name.replace("_", ".")).write_text(text, "utf-8")
        return make_publication(templates=(str(tmp_path), SHIPPED))

    return make


def letter(publication: Publication) -> str:
    """Return the HTML part of a letter, before its encoding."""
    draft = letters.draft(make_mix(), SUBSCRIBER, publication, MAIL)
    letters.address(draft, TO)
    return "".join(draft.parts[1].pieces[::2])


def test_a_file_of_the_users_own_stands_in_for_the_shipped_one(own: Own) -> None:
    publication = own(letter_txt="My own: {{ mix.lead.title }}, {{ email }}\n")
    made = letters.draft(make_mix(), SUBSCRIBER, publication, MAIL)
    assert made.parts[0].pieces == ("My own: A <title>, ", "email", "\n")
    assert letter(publication) == letter(make_publication())
    assert shipped(publication, "letter.html")
    assert not shipped(publication, "letter.txt")


def test_a_plain_copy_of_what_is_shipped_counts_as_shipped(own: Own) -> None:
    """In a checkout `templates/` is one, when the package is installed elsewhere."""
    copy = (ROOT / "templates" / "letter.html").read_text("utf-8")
    publication = own(letter_html=copy, letter_txt="x", added_html="x")
    assert shipped(publication, "letter.html")
    assert not shipped(publication, "added.html")
    own(letter_html=f"{copy} ")
    assert not shipped(publication, "letter.html")
    (Path(publication.templates[0]) / "letter.html").write_bytes(b"\xff")
    for name in ("letter.html", "gone.html"):
        with pytest.raises(TemplateError, match=name):
            shipped(publication, name)


def test_what_is_shipped_looks_the_same_beside_a_users_own(own: Own) -> None:
    beside = letters.draft(make_mix(), SUBSCRIBER, own(index_html="x"), MAIL)
    alone = letters.draft(make_mix(), SUBSCRIBER, make_publication(), MAIL)
    assert [part.pieces[::2] for part in beside.parts] == [part.pieces[::2] for part in alone.parts]


def test_text_is_escaped_in_a_users_own_page_too(own: Own) -> None:
    assert letter(own(letter_html="<p>{{ mix.lead.title }}</p>")) == "<p>A &lt;title&gt;</p>\n"


HOSTILE = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ publication.url.__globals__ }}",
    "{{ say.__init__.__globals__ }}",
    "{{ '{0.__class__}'.format(say) }}",
    "{{ (''|attr('__class__')).x }}",
    "{{ self.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{% include '/etc/passwd' %}",
    "{% include '../../../../../../etc/passwd' %}",
    "{% import '/etc/passwd' as p %}",
    "{% extends '/etc/passwd' %}",
    "{% for n in range(999999999) %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% set r = range(9999)|list %}{% for a in r %}{% for b in r %}x{% endfor %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
    "{{ 'x' * 999999999 }}",
    "{{ 999999999 * [1] }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 'x' ** 9 }}",
    "{% for n in range(20) %}{{ 'x' * 1000000 }}{% endfor %}",
    "{{ lipsum(999999999) }}",
]


@pytest.mark.parametrize("template", HOSTILE)
def test_a_hostile_template_is_an_error_and_no_more(own: Own, template: str) -> None:
    publication = own(letter_html=template)
    with pytest.raises(TemplateError) as caught:
        letter(publication)
    assert "root:" not in str(caught.value)


def test_a_shipped_page_that_includes_a_hostile_part_is_sandboxed(own: Own) -> None:
    publication = own(part_html="{{ ''.__class__ }}")
    (Path(publication.templates[0]) / "page.html").write_text("{% include 'part.html' %}")
    with pytest.raises(TemplateError, match=r"part\.html:1: .*unsafe"):
        render(publication, "page.html", {})


def test_the_work_of_one_page_is_not_counted_to_the_next(own: Own) -> None:
    publication = own(letter_html="{% for n in range(60000) %}{% endfor %}")
    for _ in range(3):
        letter(publication)


@pytest.mark.parametrize(
    ("template", "line", "reason"),
    [
        ("\n\n{{ nobody }}", 3, "'nobody' is undefined"),
        ("\n{{ mix.nothing }}", 2, "no attribute 'nothing'"),
        ("\n{% if %}", 2, "Expected an expression"),
        ("{% for x in y %}", 1, "Unexpected end of template"),
        ("\n{{ 'x' + 1 }}", 2, "TypeError"),
        ("\n{{ 1 / 0 }}", 2, "ZeroDivisionError"),
        ("\n\n\n{{ say('no such words') }}", 4, "KeyError"),
        ("\n{{ 'x'|nothing }}", 2, "No filter named 'nothing'"),
        ("\n{% include 'gone.html' %}", 2, "gone.html"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(
    own: Own, template: str, line: int, reason: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        letter(own(letter_html=template))
    error = caught.value
    assert Path(error.name).name == "letter.html"
    assert Path(error.name).is_file()
    assert error.line == line
    assert reason in error.reason
    assert f"letter.html:{line}: " in str(error)


def test_a_file_that_is_no_text_is_named(own: Own) -> None:
    publication = own()
    (Path(publication.templates[0]) / "letter.html").write_bytes(b"\xff\xfe")
    with pytest.raises(TemplateError, match=r"letter\.html.*UnicodeDecodeError"):
        letter(publication)


@pytest.mark.parametrize(
    "changed",
    [
        "{{ email|upper }}",
        "{{ leave|truncate(12) }}",
        "{{ address[:9] }}",
        "{{ leave_subject|title }}",
    ],
)
def test_a_template_that_changes_what_is_personal_is_an_error(own: Own, changed: str) -> None:
    with pytest.raises(TemplateError, match=r"letter\.html.*stay as they are"):
        letter(own(letter_html=changed))


def test_what_is_personal_may_stand_anywhere(own: Own) -> None:
    publication = own(letter_html="<p>Dear {{ email }}</p>\n" * 3 + '<a href="{{ leave }}">x</a>')
    draft = letters.draft(make_mix(), SUBSCRIBER, publication, MAIL)
    assert draft.parts[1].pieces[1::2] == ("email", "email", "email", "leave")
    assert draft == letters.load(letters.dump(draft))
    made = letters.address(draft, TO).data.decode()
    assert made.count("<p>Dear you@example.org</p>") == 3


STYLED = """<html><head><style>p{color:red} @media (max-width:600px){p{color:blue!important}}</style>
<link rel="stylesheet" href="https://example.org/x.css"></head>
<body><p>{{ mix.lead.title }}</p><a href="{{ leave }}">{{ email }}</a></body></html>"""


def test_style_rules_join_the_elements_they_mean(own: Own) -> None:
    html = letter(own(letter_html=STYLED))
    assert re.search(r'<p style="color: ?red;?">A &lt;title&gt;</p>', html)
    assert "@media (max-width:600px)" in html
    assert not re.search(r"<style>\s*p\s*\{", html)


def test_only_a_users_own_page_is_changed_so(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters, "inlined", lambda _: "inlined")
    assert letter(own(letter_txt="x")) == letter(make_publication())
    assert letter(own(letter_html=STYLED)) == "inlined\n"


def test_a_file_that_comes_or_goes_later_is_met_at_once(own: Own) -> None:
    publication = own()
    before = letter(publication)
    own(letter_html="<p>new</p>")
    assert letter(publication) == "<p>new</p>\n"
    (Path(publication.templates[0]) / "letter.html").unlink()
    assert letter(publication) == before


def test_a_page_without_rules_stays_as_it_is(own: Own) -> None:
    assert letter(own(letter_html="<p>a<br>b")) == "<p>a<br>b\n"


def test_a_letter_that_grew_by_its_styles_is_cut_like_any(own: Own) -> None:
    """Rules that are written out on each element may double a page."""
    rules = ";".join(f"padding-{side}:1px" for side in ("top", "left", "right", "bottom"))
    styled = (
        f"<html><head><style>p{{{rules}}}</style></head><body>"
        "{% for s in mix.sections %}{% for b in s.briefs %}"
        "{{ '<p>x</p>'|safe * 100 }}<h3>{{ b.title }}</h3>"
        "{% endfor %}{% endfor %}</body></html>"
    )
    briefs = tuple(
        Brief(EntryId(f"{n:020}"), "politics", f"Title {n}", "", "", "", f"{n}.html")
        for n in range(10)
    )
    channels = (("politics", "Politics"),)
    edition = Edition(
        "daily", "2026-01-02T08:00", "UTC", NOW, "s", briefs[0].entry, briefs, channels
    )
    mix = Mix(edition, "A subject", briefs[0], (Section("politics", "Politics", briefs),))
    draft = letters.draft(mix, SUBSCRIBER, own(letter_html=styled), MAIL)
    html = "".join(draft.parts[1].pieces)
    assert len(html.encode()) <= letters.HTML_LIMIT
    assert 1 < html.count("<h3>") < 10
