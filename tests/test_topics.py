"""Room 3: articles into topics; and the training door."""

from __future__ import annotations

import gzip
import json
import math
from collections import defaultdict
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import numpy as np
import pytest
from click.testing import CliRunner
from factories import GOLDEN, ROOT, SEEDS, make_digest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import digests, topics, train
from feeds.errors import ModelError, NotFoundError
from feeds.model import MEDIATOPICS, TopicCode
from feeds.topics import additive, choice, features, learning, lexicon, shipped
from feeds.topics.shipped import Model

PACKAGE = ROOT / "feeds" / "topics"
LEXICON = (PACKAGE / "lexicon_en.txt").read_text(encoding="utf-8")
ARCHIVE = (PACKAGE / "model.npz").read_bytes()
MODEL = topics.load({"en": LEXICON}, ARCHIVE)

ARTS, CRIME = TopicCode("medtop:01000000"), TopicCode("medtop:02000000")
ECONOMY, POLITICS = TopicCode("medtop:04000000"), TopicCode("medtop:11000000")
SPORT, WEATHER = TopicCode("medtop:15000000"), TopicCode("medtop:17000000")

STORIES = (
    ("Parliament votes on the budget", ("The prime minister defended the bill.",)),
    ("Goalkeeper saves two penalties in cup final", ("Fans filled the stadium.",)),
    ("Snow and strong wind expected", ("Forecasters say the temperature will fall.",)),
    ("", ("A court sentenced two men for fraud on Friday.",)),
    ("Central bank keeps its base rate", ()),
)
PROSE = st.text(st.characters(), max_size=200) | st.sampled_from([one[0] for one in STORIES])


def primary(title: str, *paragraphs: str, lang: str | None = None) -> TopicCode:
    return topics.classify(MODEL, title, paragraphs, lang).topics[0].code


# What is shipped


def test_seed_articles_stand_on_a_right_topic() -> None:
    labels = {one["title"]: one for one in json.loads((GOLDEN / "topics/seeds.json").read_text())}
    right = []
    for path in sorted(SEEDS.glob("*.txt")):
        reading = digests.read(make_digest(path.read_bytes(), path.name), ZoneInfo("Asia/Almaty"))
        for article in reading.articles:
            label = labels.pop(article.title)
            found = primary(article.title, *article.paragraphs, lang=article.lang)
            right.append(found in label["primary"] + label["secondary"])
    assert not labels
    assert len(right) == 59
    assert sum(right) >= 47


@pytest.mark.parametrize(
    ("title", "topic"),
    [
        ("Orchestra opens its season with a new symphony", ARTS),
        ("Man arrested over bank robbery pleads guilty", CRIME),
        ("Inflation slows as exports grow", ECONOMY),
        ("Voters go to the polls in presidential election", POLITICS),
        ("Striker scores twice as hosts win the league", SPORT),
        ("Heavy snowfall and frost forecast for the weekend", WEATHER),
        ("Сборная выиграла матч чемпионата мира по футболу", SPORT),
        ("Футболдан әлем чемпионатында құрама жеңіске жетті", SPORT),
    ],
)
def test_plain_headlines_are_told(title: str, topic: TopicCode) -> None:
    assert primary(title) == topic


def test_the_archive_is_small_enough_to_ship() -> None:
    assert len(ARCHIVE) < 2_000_000


def test_packing_what_was_unpacked_loses_nothing() -> None:
    scripts = shipped.unpack(ARCHIVE)
    again = shipped.unpack(shipped.pack(scripts))
    for name, script in scripts.items():
        assert again[name].fit == script.fit
        for field in ("keys", "rarity", "weights", "scale"):
            np.testing.assert_array_equal(
                getattr(again[name].table, field), getattr(script.table, field)
            )


def test_keys_ascend_so_that_they_can_be_searched() -> None:
    for script in MODEL.scripts.values():
        assert (np.diff(script.table.keys.astype(np.int64)) > 0).all()


def test_the_version_follows_what_is_shipped() -> None:
    assert topics.load({"en": LEXICON}, ARCHIVE).version == MODEL.version
    assert topics.load({"en": LEXICON + "\n# more"}, ARCHIVE).version != MODEL.version
    assert topics.load({"kk": LEXICON}, ARCHIVE).version != MODEL.version


# Classifying


@given(PROSE, st.lists(PROSE, max_size=4), st.sampled_from([None, "en", "kk-KZ", "", "x"]))
def test_any_text_gets_a_share_of_every_topic(
    title: str, paragraphs: list[str], lang: str | None
) -> None:
    found = topics.classify(MODEL, title, paragraphs, lang, evidence=True)
    assert [code for code, _ in found.distribution] == list(MEDIATOPICS)
    assert math.isclose(sum(share for _, share in found.distribution), 1, abs_tol=1e-12)
    assert all(share > 0 for _, share in found.distribution)
    shares = dict(found.distribution)
    assert [(one.code, one.probability) for one in found.topics] == sorted(
        ((one.code, shares[one.code]) for one in found.topics), key=lambda pair: -pair[1]
    )
    assert len(found.topics) <= 1 + choice.MOST_SECONDARY
    assert len(found.evidence) <= additive.MOST_EVIDENCE
    assert bool(found.topics) == bool(list(additive.contributions(MODEL, title, paragraphs, lang)))
    if found.topics:
        assert found.topics[0].probability == max(shares.values())


@given(PROSE, st.lists(PROSE, max_size=3))
def test_evidence_adds_up_to_the_score(title: str, paragraphs: list[str]) -> None:
    added: dict[TopicCode, float] = defaultdict(float)
    for one in additive.contributions(MODEL, title, paragraphs):
        added[one.topic] += one.weight
    scores = additive.scores(MODEL, title, paragraphs)
    for code, score in zip(MEDIATOPICS, scores, strict=True):
        assert math.isclose(added[code], score, abs_tol=1e-9)


def test_evidence_of_cyrillic_words_adds_up_too() -> None:
    title, body = "Полиция задержала подозреваемых", ("Суд арестовал их; полиция ищет NASA.",)
    added: dict[TopicCode, float] = defaultdict(float)
    for one in additive.contributions(MODEL, title, body):
        assert " " not in one.word
        added[one.topic] += one.weight
    assert added == pytest.approx(
        dict(zip(MEDIATOPICS, additive.scores(MODEL, title, body), strict=True)), abs=1e-9
    )


def test_evidence_names_the_words_and_the_part() -> None:
    told = topics.classify(MODEL, "Goalkeeper injured", (), evidence=True).evidence
    assert {one.part for one in told} == {"lexicon", "table"}
    assert "goalkeeper" in {one.word for one in told if one.topic == SPORT and one.weight > 0}
    weights = [abs(one.weight) for one in told]
    assert weights == sorted(weights, reverse=True)


def test_no_evidence_is_given_unless_asked_for() -> None:
    assert topics.classify(MODEL, *STORIES[0]).evidence == ()


@pytest.mark.parametrize("title", ["", "zzyzx qwvbn", "2026", "...", "!?"])
def test_without_evidence_there_are_no_topics(title: str) -> None:
    found = topics.classify(MODEL, title, ())
    assert found.topics == ()
    assert not found.uncertain
    assert {share for _, share in found.distribution} == {1 / 17}


def test_a_word_in_the_title_counts_more() -> None:
    sport = list(MEDIATOPICS).index(SPORT)
    rest = "The court heard a lawyer on Monday"
    above = additive.scores(MODEL, "goalkeeper", (rest,))[sport]
    below = additive.scores(MODEL, "", ("goalkeeper", rest))[sport]
    assert above > below


def test_the_order_of_a_batch_changes_nothing() -> None:
    def run(stories: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, str]:
        return {title: repr(topics.classify(MODEL, title, body)) for title, body in stories}

    assert run(STORIES) == run(STORIES[::-1])


def test_a_clear_article_is_certain_and_a_torn_one_is_not() -> None:
    assert not topics.classify(MODEL, *STORIES[1]).uncertain
    assert topics.classify(MODEL, "Goalkeeper", ("orchestra", "snowfall", "robbery")).uncertain


def test_a_lexicon_of_the_language_stands_in_for_english() -> None:
    both = topics.load({"en": LEXICON, "xx": "[medtop:15000000]\n9 robbery"}, ARCHIVE)
    assert topics.classify(both, "robbery", (), "xx-YY").topics[0].code == SPORT
    assert topics.classify(both, "robbery", (), "fr").topics[0].code == CRIME


def test_words_far_down_a_body_are_not_read() -> None:
    padding = "zzyzx " * features.MOST_WORDS
    assert topics.classify(MODEL, "", (padding, "goalkeeper")).topics == ()


def test_an_unknown_classifier_is_named_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match=r"classifier 'best'.*additive"):
        topics.classify(MODEL, "A title", (), by="best")


def test_every_classifier_gives_a_classification() -> None:
    for classifier in topics.CLASSIFIERS:
        found = topics.classify(MODEL, *STORIES[0], by=classifier.NAME)
        assert found.topics[0].code == POLITICS


# Choosing


@given(st.lists(st.floats(-50, 50), min_size=17, max_size=17))
def test_shares_follow_the_scores(scores: list[float]) -> None:
    shares = choice.softmax(scores)
    order = choice.ranked(scores)
    assert [shares[index] for index in order] == sorted(shares, reverse=True)
    best = max(scores)
    exact = [math.exp(score - best) for score in scores]
    for share, power in zip(shares, exact, strict=True):
        assert share == pytest.approx(power / sum(exact), rel=0.01, abs=1e-6)


def test_a_topic_is_secondary_when_its_share_earns_it() -> None:
    limits = choice.Limits(least=0.2, margin=0.1)
    assert choice.chosen([0.5, 0.3, 0.2], [0, 1, 2], limits) == [0, 1, 2]
    assert choice.chosen([0.19, 0.8, 0.01], [1, 0, 2], limits) == [1]
    assert choice.chosen([0.25, 0.25, 0.25, 0.25], [0, 1, 2, 3], limits) == [0, 1, 2]
    assert choice.chosen([0.1] * 10, list(range(10)), limits) == [0]


def test_a_thin_margin_is_uncertain() -> None:
    assert choice.uncertain([0.35, 0.3], [0, 1], choice.Limits(0.2, margin=0.1))
    assert not choice.uncertain([0.4, 0.3], [0, 1], choice.Limits(0.2, margin=0.05))


# The lexicon


def hits(content: str, *words: str) -> list[tuple[str, dict[str, int]]]:
    read = lexicon.read("words.txt", content)
    return [
        (hit.words, {lexicon.TOPICS[topic]: weight for topic, weight in hit.weights})
        for hit in lexicon.hits(read, words)
    ]


def test_the_longest_entry_takes_its_words() -> None:
    content = "[medtop:04000000]\n2 bank*\n3 world bank\n[medtop:15000000]\n3 world cup"
    assert hits(content, "world", "bank", "banks") == [
        ("world bank", {ECONOMY: 3}),
        ("banks", {ECONOMY: 2}),
    ]
    assert hits(content, "world", "tour") == []


def test_an_entry_without_a_star_beats_a_stem() -> None:
    content = "[medtop:15000000]\n3 striker*\n-2 strikers"
    assert hits(content, "striker", "strikers", "strike") == [
        ("striker", {SPORT: 3}),
        ("strikers", {SPORT: -2}),
    ]


def test_a_star_at_the_end_of_a_phrase_is_for_its_last_word() -> None:
    content = "[medtop:02000000]\n3 drug traffick*"
    assert hits(content, "drug", "traffickers") == [("drug traffickers", {CRIME: 3})]
    assert hits(content, "drug", "traffic", "king") == []
    assert hits("[medtop:02000000]\n3 drug*", "drug", "dealer") == [("drug", {CRIME: 3})]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("3 film", 1, "before the first topic"),
        ("[medtop:99000000]", 1, "no topic"),
        ("# words\n\n[medtop:01000000]\nfilm 3", 4, "neither a topic nor a weight"),
        ("[medtop:01000000]\n0 film", 2, "neither a topic nor a weight"),
        ("[medtop:01000000]\n3 film,", 2, "no word or phrase"),
        ("[medtop:01000000]\n3 fi*lm", 2, "no word or phrase"),
        ("[medtop:01000000]\n3 one two three four five six", 2, "more than 5 words"),
        ("[medtop:01000000]\n3 film\n2 Film", 3, "stands twice"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(content: str, line: int, reason: str) -> None:
    with pytest.raises(ModelError, match=rf"^lexicon_en\.txt:{line}: .*{reason}") as caught:
        topics.load({"en": content}, ARCHIVE)
    assert caught.value.line == line


# The archive


@settings(max_examples=50)
@given(st.integers(0, len(ARCHIVE) - 1), st.integers(1, 255))
def test_one_wrong_byte_is_found(place: int, change: int) -> None:
    damaged = bytearray(ARCHIVE)
    damaged[place] ^= change
    with pytest.raises(ModelError, match="damaged"):
        topics.load({}, bytes(damaged))


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 1000, ARCHIVE[:-1], ARCHIVE[:5000]])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="damaged"):
        topics.load({}, data)


def test_an_archive_of_another_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = shipped.unpack(ARCHIVE)
    monkeypatch.setattr(shipped, "FORMAT", shipped.FORMAT + 1)
    newer = shipped.pack(scripts)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="another version"):
        topics.load({}, newer)


def test_an_archive_without_a_script_is_refused() -> None:
    scripts = shipped.unpack(ARCHIVE)
    with pytest.raises(ModelError, match="cyrillic"):
        topics.load({}, shipped.pack({"latin": scripts["latin"]}))


# Words


def test_numbers_and_possessives_are_no_words() -> None:
    words = features.read("Kazakhstan\u2019s GDP grew 4.5% in 2025", ())
    assert words.title == ("kazakhstan", "gdp", "grew", "in")


def test_pairs_do_not_reach_over_the_end_of_a_paragraph() -> None:
    apart = features.counts(features.read("", ("world", "bank")), features.LATIN)
    together = features.counts(features.read("", ("world bank",)), features.LATIN)
    assert len(apart) == 2
    assert len(together) == 3


def test_hashes_never_change() -> None:
    # The archive is keyed by them. CRC-32 of "123456789" is its published check value.
    assert features._crc("123456789") == 0xCBF43926
    assert list(features._word_pairs(("a1", "b2"))) == [
        features._crc("a1"),
        features._crc("b2"),
        features._crc("a1 b2"),
    ]


# Training

WORDS = {
    script: [f"{letter}{n:02}" for n in range(17 * 6)]
    for script, letter in (("en", "q"), ("ru", "щ"))
}


def make_example(number: int, source: str, lang: str) -> dict[str, object]:
    """Return a text whose words, six a topic, tell its topic."""
    topic = number % 17
    words = WORDS[lang][topic * 6 : topic * 6 + 6]
    text = " ".join(words[(number + step) % 6] for step in range(3))
    codes = [list(MEDIATOPICS)[topic]]
    return {"source": source, "lang": lang, "title": "", "text": text, "topics": codes}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder of training data: two sources that can judge, in two scripts."""
    rows = [
        make_example(number, source, lang)
        for source in ("x-wmt", "event")
        for lang in ("en", "ru")
        for number in range(170)
    ]
    folder = tmp_path / "data"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "few.jsonl").write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    (folder / "mediatopics.json").write_text(
        json.dumps([{"name": "arts", "definition": None, "top": ARTS, "retired": None}])
    )
    for name, part in (("labels", rows[:0]), ("open", rows)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in part)
    return folder


def run_training(data: Path, out: Path) -> bytes:
    result = CliRunner().invoke(train.main, ["--data", str(data), "--out", str(out), "--report"])
    assert result.exit_code == 0, result.output
    assert "leaving out event" in result.output
    return (out / "model.npz").read_bytes()


def test_training_twice_writes_the_same_bytes(data: Path, tmp_path: Path) -> None:
    first = run_training(data, tmp_path / "one")
    assert run_training(data, tmp_path / "two") == first
    learned = topics.load({}, first)
    for lang in ("en", "ru"):
        for topic, code in enumerate(MEDIATOPICS):
            found = topics.classify(
                learned, "", (" ".join(WORDS[lang][topic * 6 : topic * 6 + 3]),)
            )
            assert found.topics[0].code == code


def test_what_may_only_judge_is_never_trained_on(data: Path, tmp_path: Path) -> None:
    with gzip.open(data / "labels.jsonl.gz", "at", encoding="utf-8") as lines:
        lines.write(json.dumps(make_example(1, "bbc", "en")) + "\n")
    result = CliRunner().invoke(train.main, ["--data", str(data), "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "bbc may judge, but never train" in result.output
    assert not (tmp_path / "model.npz").exists()


def test_titles_are_found_in_texts_that_have_them() -> None:
    def read(source: str, text: str) -> tuple[str, str]:
        row = {"source": source, "text": text, "topics": [ARTS]}
        example = train._example(row)
        return example.title, example.text

    assert read("headline", "A museum opens") == ("A museum opens", "")
    assert read("event", "A museum opens. It is new.") == ("", "A museum opens. It is new.")
    assert read("wikinews", "A museum opens. It is new.") == ("A museum opens.", "It is new.")
    assert read("wikinews", "A museum opens") == ("", "A museum opens")


def test_a_fit_that_is_never_trusted_leaves_all_uncertain() -> None:
    wrong = np.eye(17)[[1] * 20] * 5
    judged = learning.Judged(wrong, wrong, [(0,)] * 20, np.ones(20))
    assert learning.fit_limits(judged, (1.0, 1.0)).margin == 1


def test_training_needs_a_source_that_can_judge() -> None:
    corpus = train.prepare(
        [train.Example("own", "en", "A title", "", (0,))], "latin", lexicon.read("none", "")
    )
    with pytest.raises(click.ClickException, match="can judge"):
        train.train(corpus, 10)


def test_a_secondary_topic_counts_less_than_a_primary() -> None:
    row = learning.targets([(3, 5)])[0]
    assert row.sum() == pytest.approx(1)
    assert row[3] > row[5] > 0


def test_a_table_keeps_no_more_rows_than_asked() -> None:
    texts = [dict.fromkeys(range(n % 30, n % 30 + 3), 1) for n in range(300)]
    labels = [(n % 17,) for n in range(300)]
    made = learning.learn(texts, labels, np.ones(300), 7)
    assert len(made.keys) == len(made.weights) == 7


def empty_model() -> Model:
    return Model({}, MODEL.scripts, "none")


def test_the_table_alone_can_classify() -> None:
    found = topics.classify(empty_model(), *STORIES[1], evidence=True)
    assert found.topics[0].code == SPORT
    assert {one.part for one in found.evidence} == {"table"}


def test_a_word_of_thousands_of_letters_is_cut_before_it_is_remembered() -> None:
    words = features.read("A title", [f"{'endless' * 4000} parliament"])
    assert [len(word) for word in words.body[0]] == [40, len("parliament")]
