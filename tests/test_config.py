"""Settings: the order of places, clear errors, nothing silent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from feeds import config
from feeds.config import values
from feeds.errors import ConfigError


def load(text: str | None = None, tmp_path: Path | None = None, **environ: str) -> config.Settings:
    file = None
    if text is not None:
        assert tmp_path is not None
        file = tmp_path / "feeds.toml"
        file.write_text(text)
    return config.load({}, environ, file)


def test_everything_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = load()
    assert (str(found.seeds_folder), str(found.out_folder)) == ("seeds", "out")
    assert str(found.state_folder) == ".feeds"
    assert found.publication.base_url == "http://127.0.0.1:8080/"
    assert found.feeds.max_bytes == 1_000_000
    assert found.seeds.max_bytes == 64 * 1024**2
    [edition] = found.editions
    assert (edition.name, edition.wait, edition.max_age) == (
        "daily",
        timedelta(hours=3),
        timedelta(days=7),
    )
    assert found.origins == {}


def test_a_flag_wins_over_a_variable_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "feeds.toml"
    file.write_text('[publication]\ntitle = "File"\nauthor = "File"\n')
    environ = {"FEEDS_PUBLICATION_TITLE": "Variable", "FEEDS_OUT": "/variable", "FEEDS_SEEDS": "/v"}
    found = config.load({"out": "/flag", "seeds": None}, environ, file)
    assert (found.publication.title, found.publication.author) == ("Variable", "File")
    assert (str(found.out_folder), str(found.seeds_folder)) == ("/flag", "/v")
    assert found.origins["publication.title"] == "FEEDS_PUBLICATION_TITLE"
    assert found.origins["publication.author"] == str(file)
    assert found.origins["out"] == "--out"


def test_an_empty_file_and_none_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load("", tmp_path) == load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[publication]\ntitel = 'x'", r"publication\.titel: no such setting; there is title"),
        ("[publicatoin]", r"publicatoin: no such setting; there is publication"),
        ("[feeds]\nentries = 0", r"feeds\.entries: expected a whole number from 1; found 0"),
        ("[feeds]\nentries = true", r"expected a whole number"),
        ("[feeds]\nmax_bytes = '1 pound'", r'expected a size, as "500 kB"'),
        ("[feeds]\ndays = '7 weeks'", r"expected a duration"),
        ("[feeds]\ncontent = 'some'", r"expected 'full' or 'summary'"),
        ("[publication]\ntimezone = 'Mars/Olympus'", r"expected a zone of the IANA database"),
        ("[publication]\nbase_url = 'news.example.org'", r"expected an address"),
        ("[publication]\nbase_url = 'javascript:x'", r"expected an address"),
        ("[publication]\nbase_url = 'http://host:abc/'", r"expected an address"),
        ("[publication]\nbase_url = 'http://host/?q'", r"expected the address of out/"),
        ("[web]\nport = 99999", r"expected a port, 1 to 65535"),
        ("[feeds]\ndays = '99999999999d'", r"expected a shorter duration"),
        ("[feeds]\nmax_bytes = '" + "9" * 400 + " MB'", r"expected a smaller size"),
        ("edition = [1]", r"expected tables, \[\[edition\]\]; found 1"),
        ("[[edition]]\nchannels = ['sprot']", r"no channel 'sprot'; there is politics, "),
        ("[[edition]]\nsubject = '{leda}'", r"expected text with \{lead\}"),
        ("[mail]\nfrom = 'N <n@exa..mple>'", r"a domain that can be"),
        ("[publication]\nlanguage = 'english please'", r"expected a language tag"),
        ("[publication]\nid_authority = 'example.org'", r"as in RFC 4151"),
        ("[[edition]]\nname = '../x'", r"expected a short name"),
        ("[[edition]]\ncron = '0 8 * * 1'", r"edition\.cron: "),
        ("[[edition]]\n[[edition]]", r"two editions are named 'daily'"),
        ("[mail]\ntransport = 'pigeon'", r"mail\.transport: expected 'folder' or 'smtp'"),
        ("[mail]\nrate = 'fast'", r'mail\.rate: expected a rate, as "30 a minute"'),
        ("[mail]\nretry = []", r"mail\.retry: expected durations"),
        ("[mail]\nconnections = 51", r"mail\.connections: expected 1 to 50"),
        ("[mail]\nhost = 'a b'", r"mail\.host: expected a host"),
        ("[mail]\ndkim_selector = 'a_b'", r"mail\.dkim_selector: expected a selector"),
        ("[web]\npublic_url = 'https://x.org/" + "y" * 30 + "'", r"at most 40 characters"),
        ("[mail]\nfrom = 'a\\r\\nBcc: b@c.org'", r"mail\.from: "),
        ("[[source]]\nhome = 'https://example.org/'", r"each \[\[source\]\] needs a name"),
        ("[[source]]\nname = 'X'\nhome = 'javascript:x'", r"source\.home: expected an address"),
        ("[source]\nname = 'X'", r"source: expected a table, \[\[source\]\]"),
        ("publication = 3", r"publication: expected a table, \[publication\]"),
        ("[publication\n", r"not TOML: .*line 1"),
    ],
)
def test_a_wrong_setting_names_the_key_the_file_and_the_way_out(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load(text, tmp_path)
    assert "feeds.toml" in str(caught.value)


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^FEEDS_FEEDS_ENTRIES: feeds\.entries: "):
        load("", tmp_path, FEEDS_FEEDS_ENTRIES="many")


def test_a_database_that_would_not_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FEEDS_DATABASE: database: "):
        load("", tmp_path, FEEDS_DATABASE="postgresql://x/y")


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        config.load({}, {}, tmp_path / "other.toml")


def test_a_reserved_name_is_warned_about(tmp_path: Path) -> None:
    found = load('[seeds]\non_delete = "keep"\n[topics]\nuncertain = "best"\n', tmp_path)
    assert [warning.split(": ", 1)[1] for warning in found.warnings] == [
        "seeds.on_delete has no effect in this version",
        "[topics] has no effect in this version",
    ]


@pytest.mark.parametrize(
    "text", [f"[feeds]\nentries = {'1' * 5000}", "a = " + "[" * 5000, '[seeds]\nsettle = "999999d"']
)
def test_what_is_beyond_any_measure_is_an_error_like_others(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(text, tmp_path)


@pytest.mark.parametrize(
    "places",
    [
        {"state": "out/state"},
        {"out": "seeds"},
        {"out": "."},
        {"seeds": "."},
        {"state": "seeds/../seeds/x"},
    ],
)
def test_places_that_hold_each_other_are_refused(places: dict[str, str | None]) -> None:
    with pytest.raises(ConfigError, match="lies in"):
        config.load(places, {}, Path("/dev/null"))


def test_every_reserved_name_is_unknown_otherwise() -> None:
    known = {row.key for row in config.rows(config.load({}, {}, Path("/dev/null")))}
    assert not known & config.LATER


def test_a_base_url_ends_in_one_slash(tmp_path: Path) -> None:
    found = load('[publication]\nbase_url = "https://example.org/news"', tmp_path)
    assert found.publication.base_url == "https://example.org/news/"


def test_sources_and_editions_are_read(tmp_path: Path) -> None:
    found = load(
        '[[source]]\nname = "Times"\nmatch = "at_*"\nindexed = true\n'
        '[[edition]]\nname = "morning"\n[[edition]]\nname = "evening"\nmax_age = "1.5d"\n',
        tmp_path,
    )
    [source] = found.sources
    assert (source.name, source.match, source.indexed, source.content) == (
        "Times",
        "at_*",
        True,
        "full",
    )
    assert [edition.name for edition in found.editions] == ["morning", "evening"]
    assert found.editions[1].max_age == timedelta(hours=36)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("7 d", 604_800), ("0.5m", 30)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert values.duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    ("text", "number"), [("1 MB", 10**6), ("64 MiB", 1 << 26), ("500 kB", 500_000), ("1B", 1)]
)
def test_a_size_is_a_number_and_a_unit(text: str, number: int) -> None:
    assert values.size(text) == number


def test_rows_tell_every_setting_and_where_it_was_set(tmp_path: Path) -> None:
    rows = {row.key: (row.value, row.source) for row in config.rows(load("", tmp_path))}
    assert rows["mail.from"] == (None, "default")
    assert rows["edition[0].cron"] == ("every day at 08:00", "default")
    assert rows["seeds"] == ("seeds", "default")
