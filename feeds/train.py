"""A door: learns the classifier's tables. `python -m feeds.train --data DIR`. I/O.

Reads below DIR, all with topics given by people, the primary first:

    own/*.jsonl        {"lang", "topics", "title", "text"}
    labels.jsonl.gz    {"source", "text", "topics"}, English
    open.jsonl.gz      {"source", "lang", "text", "topics"}
    mediatopics.json   the IPTC Media Topics: {"name", "definition", "top", "retired"}

and the shipped lexicon. Writes `model.npz` (see `topics.shipped`) into the package, or below `--out`.
The weights of the parts, the limits and the figures of `--report` come from sources left out of
training, one at a time. Seeded: two runs on one machine write the same bytes. Takes two to four minutes
on one core, and 0.5 GB.

Never to be trained on, so that they can judge: AG News, BBC News, MasakhaNEWS, SIB-200.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from feeds.topics import additive, features, learning, lexicon, shipped, table
from feeds.topics.learning import Floats, Judged
from feeds.topics.lexicon import TOPICS, Lexicon
from feeds.topics.shipped import Fit, Script

JUDGES_ONLY = frozenset({"ag-news", "bbc", "masakhanews", "sib-200"})
"""Sources that may judge a classifier but never train one."""

MOST_ROWS = {features.LATIN: 1 << 16, features.CYRILLIC: 1 << 15}
"""Rows of each table at most; they keep the archive below 2 MB."""

_LANGUAGES = {"en": features.LATIN, "ru": features.CYRILLIC, "kk": features.CYRILLIC}
_HEADLINES = frozenset({"headline"})  # sources whose texts are titles alone
_UNTITLED = frozenset({"event", "kaznerd", "x-wmt", "us-nws-products"})  # sources without titles
_TITLE = re.compile(r"(.{10,200}?[^\sA-Z][.?!]) (?=\S)")  # others: the first sentence is the title
_NEWS = 100  # texts below which a source can't judge
_ONE_SIDED = 0.8  # share of one topic above which a source can't judge
_SUPPORT = 3  # texts of a topic below which its F1 is chance


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its topics by index, the primary first."""

    source: str
    lang: str
    title: str
    text: str
    topics: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The examples of one script with what the parts see in them, in one order."""

    examples: tuple[Example, ...]
    counts: tuple[Counter[int], ...]
    lexicon: Floats

    @property
    def sources(self) -> tuple[str, ...]:
        """The source of each example."""
        return tuple(example.source for example in self.examples)

    @property
    def labels(self) -> tuple[tuple[int, ...], ...]:
        """The topics of each example."""
        return tuple(example.topics for example in self.examples)


@dataclass(frozen=True, slots=True)
class Figures:
    """How well a source that was left out is told: macro-F1, then shares of its texts.

    `strict`: the first topic is the label's primary; `lenient`: one of the label's; `top_two`: the
    label's primary is among the first two. `error` is the expected calibration error of `strict`.
    """

    source: str
    size: int
    macro_f1: float
    strict: float
    lenient: float
    top_two: float
    error: float


@click.command()
@click.option(
    "--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[feeds/topics]")
@click.option("--report", is_flag=True, help="Print figures on each source left out.")
def main(data: Path, out: Path | None, *, report: bool) -> None:
    """Learn the classifier's tables from the labelled texts below DATA, and write model.npz."""
    package = Path(__file__).parent / "topics"
    entries = lexicon.read(
        "lexicon_en.txt", (package / "lexicon_en.txt").read_text(encoding="utf-8")
    )
    examples = tuple(read(data))
    scripts = {}
    for script, most in MOST_ROWS.items():
        corpus = prepare(examples, script, entries)
        scripts[script], figures = train(corpus, most, click.echo if report else None)
        if report:
            click.echo(_said(script, scripts[script].fit, figures))
    target = (out or package) / shipped.NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(shipped.pack(scripts))
    click.echo(f"{target}: {target.stat().st_size:,} bytes", err=True)


def read(folder: Path) -> Iterator[Example]:
    """Yield the examples below a folder, in a fixed order."""
    for path in sorted(folder.glob("own/*.jsonl")):
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            yield Example("own", row["lang"], row["title"], row["text"], _indexes(row["topics"]))
    for name in ("labels.jsonl.gz", "open.jsonl.gz"):
        with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
            yield from (_example(json.loads(line)) for line in lines)
    for row in json.loads((folder / "mediatopics.json").read_text(encoding="utf-8")):
        if not row["retired"] and row["top"] in TOPICS:
            yield Example(
                "iptc", "en", row["name"], row["definition"] or "", _indexes([row["top"]])
            )


def _indexes(codes: Sequence[str]) -> tuple[int, ...]:
    return tuple(list(TOPICS).index(code) for code in codes)  # type: ignore[arg-type]  # a code is text


def _example(row: dict[str, Any]) -> Example:
    source, text = row["source"], row["text"]
    if source in JUDGES_ONLY:
        raise click.ClickException(f"{source} may judge, but never train")
    title = ""
    if source in _HEADLINES:
        title, text = text, ""
    elif source not in _UNTITLED and (match := _TITLE.match(text)):
        title, text = match[1], text[match.end() :]
    return Example(source, row.get("lang", "en"), title, text, _indexes(row["topics"]))


def prepare(examples: Sequence[Example], script: str, entries: Lexicon) -> Corpus:
    """Return the examples whose language is written in `script`, with features and lexicon scores."""
    taken = tuple(example for example in examples if _LANGUAGES[example.lang] == script)
    words = [features.read(example.title, (example.text,)) for example in taken]
    counts = tuple(features.counts(each, script) for each in words)
    hits = [additive.found_in(entries, each) for each in words]
    scores = [additive.lexicon_scores(each, additive.lexicon_length(each)) for each in hits]
    return Corpus(taken, counts, np.array(scores))


def train(
    corpus: Corpus, most: int, say: Callable[[str], object] | None = None
) -> tuple[Script, list[Figures]]:
    """Return what is learned from a corpus, and the figures on each source left out.

    The parts are fitted on the scores of sources left out; then the table learns from all.
    """
    judged = {}
    for source in _judges(corpus):
        if say:
            say(f"leaving out {source}")
        judged[source] = _leave_out(corpus, source, most)
    if not judged:
        raise click.ClickException(f"no source with {_NEWS} texts on several topics can judge")
    together = _together(list(judged.values()))
    parts = learning.fit_parts(together)
    limits = learning.fit_limits(together, parts)
    figures = [_figures(source, one, parts) for source, one in judged.items()]
    learned = _learn(corpus, range(len(corpus.examples)), most)
    return Script(learned, Fit(*parts, limits)), figures


def _judges(corpus: Corpus) -> list[str]:
    """Return the sources that can judge: news, enough of it, and on more than one topic."""
    sizes = Counter(corpus.sources)
    firsts = Counter((example.source, example.topics[0]) for example in corpus.examples)
    return [
        source
        for source, size in sizes.items()
        if source != "iptc"
        and size >= _NEWS
        and max(firsts[source, topic] for topic in range(len(TOPICS))) < _ONE_SIDED * size
    ]


def _learn(corpus: Corpus, chosen: Sequence[int], most: int) -> table.Table:
    labels = [corpus.labels[index] for index in chosen]
    weight = learning.evenly([corpus.sources[index] for index in chosen], labels)
    return learning.learn([corpus.counts[index] for index in chosen], labels, weight, most)


def _leave_out(corpus: Corpus, source: str, most: int) -> Judged:
    inside = [index for index, name in enumerate(corpus.sources) if name != source]
    outside = [index for index, name in enumerate(corpus.sources) if name == source]
    learned = _learn(corpus, inside, most)
    found = (table.look_up(learned, corpus.counts[index]) for index in outside)
    return Judged(
        corpus.lexicon[outside],
        np.array([table.scores(learned, each) for each in found]),
        [corpus.labels[index] for index in outside],
        np.full(len(outside), 1 / len(outside)),
    )


def _together(parts: Sequence[Judged]) -> Judged:
    return Judged(
        np.concatenate([part.lexicon for part in parts]),
        np.concatenate([part.table for part in parts]),
        [topics for part in parts for topics in part.labels],
        np.concatenate([part.weight for part in parts]),
    )


def _figures(source: str, judged: Judged, parts: tuple[float, float]) -> Figures:
    shares = learning.combined(judged, parts)
    order = np.argsort(-shares, axis=1, kind="stable")
    pairs = list(zip(order.tolist(), judged.labels, strict=True))
    strict = np.array([ranks[0] == topics[0] for ranks, topics in pairs])
    return Figures(
        source,
        len(pairs),
        _macro_f1([(ranks[0], topics[0]) for ranks, topics in pairs]),
        float(strict.mean()),
        sum(ranks[0] in topics for ranks, topics in pairs) / len(pairs),
        sum(topics[0] in ranks[:2] for ranks, topics in pairs) / len(pairs),
        _calibration_error(shares.max(axis=1), strict),
    )


def _macro_f1(pairs: Sequence[tuple[int, int]]) -> float:
    """Return the mean F1 over the topics with a few texts at least."""
    given, wanted = (Counter(column) for column in zip(*pairs, strict=True))
    right = Counter(first for first, second in pairs if first == second)
    judged = [topic for topic, size in wanted.items() if size >= _SUPPORT]
    return sum(2 * right[topic] / (given[topic] + wanted[topic]) for topic in judged) / len(judged)


def _calibration_error(shares: Floats, right: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Return the mean distance of share and success over ten bins of equal width."""
    bins = np.minimum((shares * 10).astype(int), 9)
    gaps = [
        (bins == each).mean() * abs(shares[bins == each].mean() - right[bins == each].mean())
        for each in np.unique(bins)
    ]
    return float(sum(gaps))


def _said(script: str, fit: Fit, figures: Sequence[Figures]) -> str:
    rows = [f"{script}: lexicon x {fit.lexicon}, table x {fit.table}, {fit.limits}"]
    rows += [f"{'left out':<16} texts macro-F1 strict lenient top-2   ECE"]
    rows += [
        f"{one.source:<16} {one.size:>5} {one.macro_f1:>8.3f} {one.strict:>6.3f} {one.lenient:>7.3f} "
        f"{one.top_two:>5.3f} {one.error:>5.3f}"
        for one in figures
    ]
    mean = sum(one.macro_f1 for one in figures) / len(figures)
    return "\n".join([*rows, f"{'mean':<22} {mean:>8.3f}", ""])


if __name__ == "__main__":
    main()
