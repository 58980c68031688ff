"""Hostile text in every field, hostile names of files and channels: all of it stays text.

What is published is read back by parsers of each form, what is mailed by a mail parser; nothing may be
expanded, run, or get out of its place.
"""

from __future__ import annotations

import ast
import email
import email.policy
import json
import os
import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import feedparser
import pytest
from factories import ROOT
from lxml import etree, html

from faults.harness import Server

pytestmark = [pytest.mark.faults, pytest.mark.slow]

HOSTILE = {
    "cr_lf": b"Ends here\rSubject: other\x0bBcc: them@example.org",
    "header": "Title\x85Bcc: them@example.org\x85\x85body".encode(),
    "control": b"bell \x07 escape \x1b[31m back \x08 nul \x00 delete \x7f",
    "bidi": "left \u202eright\u202c and \u2067isolated\u2069 \u200bzero".encode(),
    "surrogate": b"lone \xed\xa0\x80 surrogate \xed\xb0\x80 and \xff\xfe bytes",
    "separator": "line \u2028 paragraph \u2029 next \x85 end".encode(),
    "markup": b"<b>bold</b> <img src=x onerror=alert(1)> <svg onload=alert(1)> <iframe src=//x>",
    "script": b"</title></style></script><script>alert(document.cookie)</script>",
    "cdata": b"]]> <![CDATA[ x ]]> <!-- c --> <?php x ?> &lt;b&gt; &#x202e; &nbsp; &bogus;",
    "entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]> &e; %e;',
    "template": b'{{7*7}} {{ "".__class__ }} {% include "/etc/passwd" %} ${7*7} #{7*7} <%= 7*7 %>',
    "link": b'javascript:alert(1) http://x/"onclick="alert(1) data:text/html,<script>1</script>',
    "path": b"../../../../etc/passwd C:\\windows /etc/shadow ~root",
    "formula": b"=cmd|' /C calc'!A0 @SUM(1) +1 -1 % %s %n %x {0} {title} $(id) `id` ; rm -rf",
    "long": b"w" * 20_000,
    "marks": b"a" + "\u0301".encode() * 5_000,
    "math": "\U0001d4d7\U0001f468\u200d\U0001f469\u200d\U0001f467 \ufffe \uffff \U0010ffff".encode(),
    "mailbox": b'"Name" <them@example.org>, other@example.org; =?utf-8?q?=0D=0ABcc:_x?=',
}
"""Texts for every field of an article; none of them ends a line as digests do."""

NO_TEASER = ("surrogate", "control")  # so many bad bytes, or a NUL, in so short a file are no text
NAMES = (
    b"a\nb.txt",
    b"quote\"'`.txt",
    b"\xff\xfe\x80.txt",
    b"x..\\..\\up.txt",
    b"con...txt",
    b"-rf.txt",
    b"$(id).txt",
    b"\x1b[31mred.txt",
    "\u202etxt.exe".encode(),
    b"<script>alert(1)</script>".replace(b"/", b"_"),
    b"{{7*7}}.txt",
    b"%s%n.txt",
    b"x" * 250 + b".txt",
)
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufffe\uffff]"
)
_SAFE_PATH = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*/?[A-Za-z0-9-]*(\.(html|xml|json|opml|css|svg))")
_HEADERS = {
    "from", "to", "reply-to", "subject", "date", "message-id", "mime-version", "content-type",
    "content-language", "list-id", "list-unsubscribe", "list-unsubscribe-post", "list-archive",
    "auto-submitted", "precedence", "feedback-id", "archived-at", "list-help",
    "x-auto-response-suppress", "list-owner", "list-post", "list-subscribe",
}  # fmt: skip


def stamped() -> bytes:
    """Return a digest of articles with a stamp, one for each text, in title, credit, text and source."""
    return b"".join(
        b"02.01.2026, %02d:%02d %d\n\nTitle %s %s\n\nImages | %s\n\n%s, %s reports.\n\n%s\n \n\n"
        % (number // 60, number % 60, number, name.encode(), text[:201], text, text, text, text)
        for number, (name, text) in enumerate(HOSTILE.items())
    )


def teasers() -> bytes:
    """Return a digest of teasers, one for each text, in title and lead."""
    lead = b"ASTANA - " + b"word " * 26
    return b"".join(
        b"Teaser %s %s\n\n%s%s...\n\n\n" % (name.encode(), cut(text, 60), lead, cut(text, 20))
        for name, text in HOSTILE.items()
        if name not in NO_TEASER
    )


def cut(text: bytes, length: int) -> bytes:
    """Return the first characters of a text in UTF-8."""
    return text.decode(errors="ignore")[:length].encode()


@pytest.fixture(scope="module")
def home(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home after a pass over hostile digests of hostile names, with a hostile configuration."""
    folder = tmp_path_factory.mktemp("hostile")
    seeds, home = folder / "seeds", folder / "home"
    seeds.mkdir()
    home.mkdir()
    (seeds / "stamped.txt").write_bytes(stamped())
    (seeds / "teasers.txt").write_bytes(teasers())
    for number, name in enumerate(NAMES):
        text = f"01.01.2026, 10:00 5\n\nNamed {number}\n\nA file of a hostile name, it says.\n \n"
        Path(os.fsdecode(os.fsencode(seeds) + b"/" + name)).write_text(text)
    (home / "feeds.toml").write_text(configuration())
    assert server.run(home, "subscribers add you@example.org").status == 0
    done = server.run(home, "run --json")
    assert (done.status, json.loads(done.out)["digests"]["quarantined"]) == (0, 0), done.err
    titles = [
        json.loads(line)["title"] for line in server.run(home, "articles --json").out.splitlines()
    ]
    for kind in HOSTILE:
        assert any(title.startswith(f"Title {kind} ") for title in titles), kind
    assert sum(title.startswith("Teaser ") for title in titles) > len(HOSTILE) // 2
    assert json.loads(done.out)["digests"]["read"] == 2 + len(NAMES)
    assert json.loads(done.out)["deliveries"]["written"] == 1
    return home


def configuration() -> str:
    """Return a configuration whose free texts are hostile."""
    text = json.dumps('</title><script>alert(1)</script> ]]> {{7*7}} & "quoted"')
    return (
        f"[publication]\ntitle = {text}\ndescription = {text}\nauthor = {text}\n"
        f'[[source]]\nname = {text}\nmatch = "*"\nrights = {text}\n'
        'search = "https://example.org/?s={title}"\n'
        f"[[edition]]\nsubject = {json.dumps('{lead} </script> ]]> + {n}')}\n"
    )


def documents(home: Path, pattern: str) -> list[Path]:
    found = sorted((home / "out").rglob(pattern))
    assert found
    return found


def texts(value: Any) -> Iterator[str]:
    """Yield every string within a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def test_every_feed_is_well_formed_and_clean(home: Path) -> None:
    for path in documents(home, "*.xml"):
        root = etree.fromstring(path.read_bytes())
        assert not any(_FORBIDDEN.search(str(text)) for text in root.itertext()), path
        parsed = feedparser.parse(path.read_bytes())
        assert not parsed.bozo, path
        for entry in parsed.entries:
            assert not re.search("[\r\n]", entry.title)
    for path in documents(home, "feed.json"):
        assert not any(map(_FORBIDDEN.search, texts(json.loads(path.read_text())))), path
    outlines = etree.fromstring((home / "out/feeds.opml").read_bytes()).iter("outline")
    assert all(len(outline.get("text", "x")) < 1000 for outline in outlines)


def test_every_page_holds_text_alone(home: Path) -> None:
    for path in documents(home, "*.html"):
        page = path.read_text(encoding="utf-8")
        assert not _FORBIDDEN.search(page), path
        root = html.document_fromstring(page.encode())
        check_markup(root, path.name)


def check_markup(root: Any, where: str) -> None:
    """Check that a page or letter has no element, attribute or address that could run."""
    for element in root.iter(etree.Element):
        assert element.tag not in {"script", "iframe", "object", "embed", "svg", "base"}, where
        for name, value in element.attrib.items():
            assert not name.startswith("on"), where
            if name in {"href", "src", "action"}:
                scheme = re.match("[a-zA-Z][a-zA-Z0-9+.-]*:", value)
                assert scheme is None or scheme[0] in {"http:", "https:", "mailto:"}, value


def test_templates_and_entities_in_text_are_never_expanded(home: Path) -> None:
    page = b"".join(path.read_bytes() for path in documents(home, "*.html"))
    assert b"{{7*7}}" in page
    assert b"{% include" in page
    for path in (*documents(home, "*.*"), *(home / ".feeds/outbox").iterdir()):
        if path.is_file():
            assert b"root:x:0" not in path.read_bytes(), path
            assert b"root:!" not in path.read_bytes(), path


def test_only_paths_of_ours_are_published(home: Path) -> None:
    for path in (home / "out").rglob("*"):
        if path.is_file():
            assert _SAFE_PATH.fullmatch(str(path.relative_to(home / "out"))), path


def test_the_letter_has_its_own_headers_and_no_others(home: Path) -> None:
    [path] = (home / ".feeds/outbox").glob("*.eml")
    data = path.read_bytes()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", data)
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    names = [name.lower() for name in message.keys()]  # noqa: SIM118 -- a message isn't a dict
    assert len(names) == len(set(names))
    assert set(names) <= _HEADERS
    assert message["To"] == "you@example.org"
    assert not message.defects
    assert not _FORBIDDEN.search(str(message["Subject"]))
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        assert part is not None
        assert not part.defects
        assert not _FORBIDDEN.search(part.get_content().replace("\r\n", "\n"))
        if kind == "html":
            check_markup(html.document_fromstring(part.get_content()), path.name)


def test_what_is_told_holds_no_control_characters(home: Path, server: Server) -> None:
    """A terminal obeys escapes: neither names nor titles may bring any."""
    commands = ("articles", "status", "edition list", "edition preview", "run -v", "config")
    for command in commands:
        done = server.run(home, command)
        assert "Traceback" not in done.err
        assert not _FORBIDDEN.search(done.out), command
        assert not _FORBIDDEN.search(done.err), command
    for line in server.run(home, "articles --json").out.splitlines():
        assert not any(map(_FORBIDDEN.search, texts(json.loads(line))))


@pytest.mark.parametrize("slug", ["../../x", "/etc", "sport/../..", "..", "A", "con.", "x" * 300])
def test_a_channel_that_leads_away_is_refused(server: Server, tmp_path: Path, slug: str) -> None:
    (tmp_path / "seeds").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    done = server.run(home, f"subscribers add you@example.org --channels {slug}")
    assert done.status == 2
    for text in (f"name = {json.dumps(slug)}", f'name = "n"\nchannels = [{json.dumps(slug)}]'):
        (home / "feeds.toml").write_text(f"[[edition]]\n{text}\n")
        done = server.run(home, "run")
        assert (done.status, done.err[:6]) == (2, "feeds:")
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    "address",
    ["you@example.org\nBcc:them@example.org", "you@example.org,them@example.org", "<you@example.org> x",
     "you@exa\u202emple.org", "you\0@example.org", "you@example.org\rx", "\ud800@example.org"],
)  # fmt: skip
def test_an_address_that_could_be_more_is_refused(
    server: Server, tmp_path: Path, address: str
) -> None:
    (tmp_path / "seeds").mkdir()
    home = tmp_path / "home"
    home.mkdir()
    quoted = '"' + address.replace('"', '""') + '"'
    text = f"email\nyou@example.org\n{quoted}\n".encode(errors="surrogatepass")
    (home / "list.csv").write_bytes(text)
    done = server.run(home, "subscribers import list.csv --json")
    assert "Traceback" not in done.err
    assert done.status in {2, 3}
    told = server.run(home, "subscribers list --json").out
    assert [json.loads(line)["email"] for line in told.splitlines()] in ([], ["you@example.org"])


def test_the_product_reads_no_xml() -> None:
    """So no entity can be expanded. One module writes XML by itself, feedgen writes with lxml."""
    parsers = {"lxml", "defusedxml", "feedparser", "bs4", "html5lib", "pyexpat", "xml"}
    reading = re.compile(r"\b(fromstring|fromstringlist|iterparse|XMLParser|XML|XMLID|parse)\(")
    for path in (ROOT / "feeds").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found = {
            name.split(".")[0] for node in ast.walk(ast.parse(text)) for name in imported(node)
        }
        if path.name == "opml.py":
            assert "xml.etree.ElementTree as ET" in text
            assert not reading.search(text)
            found -= {"xml"}
        assert not found & parsers, path


def imported(node: ast.AST) -> list[str]:
    """Return the modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
