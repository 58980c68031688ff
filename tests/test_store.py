"""Room 4: the record keeps what it is told, knows an article again, and refuses what it can't read."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import alembic.autogenerate
import alembic.migration
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from factories import ECONOMY, NOW, POLITICS, make_article, make_digest
from hypothesis import given
from hypothesis import strategies as st

from feeds.errors import DigestError, NotFoundError, SchemaError, StoreError
from feeds.model import (
    Article,
    Classification,
    DateSource,
    Entry,
    Outcome,
    Precision,
    Reading,
    TopicCode,
    TopicShare,
)
from feeds.store import Store, identity, migrate, rows, schema
from feeds.store.database import Database
from feeds.store.editions import COMPOSED, Slotted
from feeds.store.entries import Filing, _candidates
from feeds.store.identity import Capture
from feeds.store.subscribers import ACTIVE, PENDING, UNSUBSCRIBED, Wish, normalise

LONG = "The council met on Tuesday and agreed on a new budget for schools and roads."
OTHER = "Rain is expected in the north and the west from early morning until the evening."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "feeds.db") as opened:
        yield opened


def filing(article: Article, code: TopicCode = POLITICS, channel: str = "politics") -> Filing:
    shares = (TopicShare(code, 0.75),)
    return Filing(
        article, Classification(shares, uncertain=False, distribution=(), model="m"), channel, ()
    )


def record(  # noqa: PLR0913 -- what tests vary
    store: Store,
    *articles: Article,
    name: str = "a.txt",
    received: datetime = NOW,
    publisher: str | None = None,
    archive: bool = False,
    filings: tuple[Filing, ...] = (),
) -> Counter[str]:
    digest = make_digest(f"{name}{received}", name, received)
    return store.digests.record(
        digest,
        look=digest.sha256,
        formats="1",
        reading=Reading(Outcome.ARTICLES, "made", 1.0),
        filings=filings or tuple(filing(article) for article in articles),
        publisher=publisher,
        authority="example.org,2026",
        all_channel="all",
        archive=archive,
    )


def entries(store: Store) -> list[Entry]:
    return list(store.entries.newest())


# The file and its tables


def test_the_record_is_private_and_safe_against_power_loss(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    with Store(path) as store, store._database.read() as connection:
        assert path.stat().st_mode & 0o777 == 0o600
        wanted = {
            "journal_mode": "wal",
            "synchronous": 2,
            "foreign_keys": 1,
            "busy_timeout": 10_000,
        }
        found = {key: connection.scalar(sa.text(f"PRAGMA {key}")) for key in wanted}
    assert found == wanted


def test_the_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    with store._database.read() as connection:
        context = alembic.migration.MigrationContext.configure(connection)
        assert alembic.autogenerate.compare_metadata(context, schema.metadata) == []


def test_the_schema_knows_every_migration() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    revisions = [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()]
    assert tuple(reversed(revisions)) == schema.REVISIONS


def test_a_newer_record_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaError, match=r"newer version \(9999.*upgrade feeds"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "feeds.db"
    path.write_bytes(b"this is no database at all, but long enough to be looked at " * 20)
    with pytest.raises(StoreError, match=r"feeds\.db: .*not a database; .*backup"):
        Store(path)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        Store(tmp_path / "no" / "feeds.db")


def test_opening_twice_at_once_makes_the_tables_once(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def opens() -> None:
        try:
            Store(tmp_path / "feeds.db").close()
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the test shall see it
            failures.append(error)

    threads = [threading.Thread(target=opens) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_writers_side_by_side_wait_for_each_other(tmp_path: Path) -> None:
    with Store(tmp_path / "feeds.db") as one, Store(tmp_path / "feeds.db") as other:

        def add(store: Store, name: str) -> None:
            for number in range(20):
                wish = Wish(f"{name}{number}@example.org")
                store.subscribers.add(wish, NOW, state=ACTIVE, reason="test", revive=True)

        threads = [threading.Thread(target=add, args=pair) for pair in ((one, "a"), (other, "b"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.subscribers.count() == {"active": 40}


def test_all_processes_agree_on_the_authority(tmp_path: Path) -> None:
    answers: list[str] = []

    def asks(name: str) -> None:
        with Store(tmp_path / "feeds.db") as store:
            answers.append(store.authority(name))

    threads = [threading.Thread(target=asks, args=(f"{n}.example,2026",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len(set(answers)) == 1


def test_the_authority_is_fixed_when_first_asked_for(store: Store) -> None:
    assert store.authority("first.example,2026") == "first.example,2026"
    assert store.authority("second.example,2027") == "first.example,2026"


def test_what_a_pass_asks_of_the_record_uses_an_index(store: Store) -> None:
    """Explains the statements as they are sent, so that no rewording can lose an index unseen."""
    record(store, make_article("A", LONG))
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    sa.event.listen(store._database._engine, "before_cursor_execute", note)
    store.entries.window("politics", 50, None)
    store.entries.also("all", 50)
    list(store.entries.changed(0))
    list(store.entries.newest(3, "politics"))
    list(store.entries.newest(3))
    store.entries.arrived(0, 1)
    store.entries.last_change("politics")
    store.editions.last("daily")
    store.editions.last("daily", composed=True)
    store.editions.unsent()
    store.documents.paths("politics")
    store.documents.targets(but="articles")
    record(store, make_article("B", OTHER), name="b")
    reads = [one for one in sent if one[0].startswith(("SELECT", "UPDATE"))]
    assert len(reads) > 20
    with store._database.read() as connection:
        for statement, parameters in reads:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [row[-1] for row in plan]
            scans = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
            parts = {f"SCAN {step.split()[1]}" for step in steps if step.startswith("CO-ROUTINE")}
            scans = [step for step in scans if step not in parts]  # what a part found, 100 at most
            sorts = [step for step in steps if step == "USE TEMP B-TREE FOR ORDER BY"]
            assert scans + sorts == [], (statement, steps)


def test_a_new_article_asks_little_of_the_record(store: Store) -> None:
    """10,000 of them may come at once, and each statement takes a tenth of a millisecond."""
    sent: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    sa.event.listen(store._database._engine, "before_cursor_execute", note)
    record(store, make_article("A", LONG))
    assert len(sent) <= 13
    assert [one for one in sent if one.startswith("DELETE")] == []


def test_no_statement_needs_more_variables_than_any_sqlite_takes(store: Store) -> None:
    engine = store._database._engine

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)

    sa.event.listen(engine, "connect", limit)
    engine.dispose()  # the connections that are open have the old limit
    record(store, *(make_article(f"Title {n}", LONG, published=None) for n in range(1200)))
    assert len(list(store.entries.newest())) == 1200
    add = store.subscribers.add
    add(Wish("a@example.org"), NOW, state=ACTIVE, reason="r", revive=True)
    [person] = store.subscribers.all()
    slot = Slotted(0, "daily", "2026-01-02T08:00", NOW, COMPOSED, 0, NOW, "{}")
    store.editions.record(slot, {person.id: "<1@example.org>"})
    [delivery] = store.deliveries.of(1)
    ids = [entry.id for entry in entries(store)]
    [number] = store.deliveries.freeze([(delivery, person)], ids).values()
    assert store.deliveries.drafts([number])[number].received == frozenset()
    for number in range(1200):
        error = DigestError(f"{number}", "special", "a FIFO")
        store.digests.refuse(error, "look", "1", NOW)
    store.digests.forget(set())
    assert store.digests.quarantined() == []


# Entries


def test_an_article_comes_back_as_it_was_recorded(store: Store) -> None:
    published = datetime(2024, 2, 29, 23, 30, tzinfo=UTC)
    article = Article(
        title="Қазақ тақырыбы “with” quotes",
        paragraphs=("One.", "Two <b>."),
        published=published,
        precision=Precision.DAY,
        date_source=DateSource.EXPLICIT_DATE_ONLY,
        between=(published, published + timedelta(days=1)),
        views=12,
        photo_credit="P",
        source="S",
        dateline="ASTANA",
        author="A",
        url="https://example.org/",
        lang="kk",
        truncated=True,
        line=7,
    )
    record(store, article)
    [entry] = entries(store)
    assert entry.article == article
    assert entry.views_at == NOW
    assert entry.digest == "a.txt"
    assert entry.topics == (TopicShare(POLITICS, 0.75),)


def test_the_id_is_minted_once_and_is_a_tag_uri(store: Store) -> None:
    record(store, make_article("A", LONG))
    [entry] = entries(store)
    assert len(entry.id) == 20
    assert entry.uri == f"tag:example.org,2026:{entry.id}"
    assert store.entries.find(entry.id[:6]) == entry


def test_an_unknown_or_ambiguous_id_is_refused(store: Store) -> None:
    record(store, *(make_article(f"Title {n}", LONG) for n in range(40)))
    for key in ("zz", "%", "_", ""):
        with pytest.raises(NotFoundError):
            store.entries.find(key)
    first = Counter(entry.id[0] for entry in entries(store)).most_common(1)[0][0]
    with pytest.raises(NotFoundError, match="did you mean"):
        store.entries.find(first)


def test_updated_is_published_less_the_place_among_those_that_share_it(store: Store) -> None:
    alone = make_article("Alone", LONG, published=datetime(2026, 1, 1, 8, 0, tzinfo=UTC))
    twins = [make_article(f"Twin {n}", LONG) for n in range(2)]
    undated = [make_article(f"Undated {n}", LONG, published=None) for n in range(2)]
    record(store, alone, *twins, *undated)
    updated = {entry.article.title: entry.updated for entry in entries(store)}
    assert updated == {
        "Alone": datetime(2026, 1, 1, 8, 0, tzinfo=UTC),
        "Twin 0": datetime(2026, 1, 1, 9, 59, 59, tzinfo=UTC),
        "Twin 1": datetime(2026, 1, 1, 9, 59, 58, tzinfo=UTC),
        "Undated 0": NOW - timedelta(seconds=3),
        "Undated 1": NOW - timedelta(seconds=4),
    }


def test_updated_is_never_in_the_future(store: Store) -> None:
    record(store, make_article("A", LONG, published=NOW + timedelta(days=3)))
    [entry] = entries(store)
    assert entry.updated == NOW
    assert entry.published == NOW + timedelta(days=3)


def test_two_digests_never_share_a_moment(store: Store) -> None:
    for name in "abc":
        record(
            store, *(make_article(f"{name}{n}", LONG, published=None) for n in range(5)), name=name
        )
    moments = [entry.updated for entry in entries(store)]
    assert len(set(moments)) == len(moments)


def test_entries_come_newest_first_then_in_the_order_of_the_digest(store: Store) -> None:
    old = make_article("Old", LONG, published=datetime(2025, 1, 1, tzinfo=UTC))
    same = [make_article(f"Same {n}", LONG) for n in range(3)]
    record(store, old, *same)
    titles = [entry.article.title for entry in entries(store)]
    assert titles == ["Same 0", "Same 1", "Same 2", "Old"]


def test_the_same_digest_again_changes_nothing(store: Store) -> None:
    article = make_article("A", LONG, views=5)
    assert record(store, article) == {"new": 1}
    change = store.entries.last_change()
    assert record(store, article, name="b.txt") == {"unchanged": 1}
    assert store.entries.last_change() == change


def test_newer_views_change_the_page_and_no_feed(store: Store) -> None:
    record(store, make_article("A", LONG, views=5))
    [before] = entries(store)
    window = store.entries.last_change("politics")
    later = NOW + timedelta(hours=1)
    assert record(store, make_article("A", LONG, views=9), received=later) == {"updated": 1}
    [after] = entries(store)
    assert (after.article.views, after.views_at, after.updated) == (9, later, before.updated)
    assert store.entries.last_change("politics") == window
    assert [entry.id for entry in store.entries.changed(window)] == [after.id]


def test_a_corrected_body_raises_updated_and_keeps_id_and_published(store: Store) -> None:
    record(store, make_article("A", LONG))
    [before] = entries(store)
    later = NOW + timedelta(hours=1)
    record(store, make_article("A", LONG.replace("Tuesday", "Monday")), received=later)
    [after] = entries(store)
    assert (after.id, after.uri, after.published) == (before.id, before.uri, before.published)
    assert after.updated == later
    assert "Monday" in after.article.paragraphs[0]
    assert store.entries.last_change("politics") > 1


def test_a_correction_raises_updated_even_among_others(store: Store) -> None:
    record(store, make_article("S", LONG, published=NOW))
    [before] = entries(store)
    soon = NOW + timedelta(seconds=1)
    crowd = [make_article(f"{n}", OTHER, published=None) for n in range(5)]
    record(store, *crowd, name="b", received=soon)
    record(store, make_article("S", OTHER, published=NOW), name="c", received=soon)
    [after] = [entry for entry in entries(store) if entry.article.title == "S"]
    assert after.article.paragraphs == (OTHER,)
    assert after.updated > before.updated


def test_a_teaser_becomes_its_full_text_with_the_date(store: Store) -> None:
    teaser = make_article("A", LONG[:50] + "...", published=None, truncated=True)
    record(store, teaser)
    [before] = entries(store)
    record(store, make_article("A", LONG, OTHER), received=NOW + timedelta(hours=1))
    [after] = entries(store)
    assert after.id == before.id
    assert after.article.paragraphs == (LONG, OTHER)
    assert not after.article.truncated
    assert after.published == make_article().published
    record(store, teaser, received=NOW + timedelta(hours=2))
    assert entries(store) == [after]


def test_a_better_text_may_move_an_entry_but_keeps_its_id(store: Store) -> None:
    teaser = make_article("A", LONG[:50] + "...", truncated=True)
    record(store, teaser)
    [before] = entries(store)
    moved = filing(make_article("A", LONG), ECONOMY, "economy")
    record(store, filings=(moved,), received=NOW + timedelta(hours=1))
    [after] = entries(store)
    assert (after.id, after.channel) == (before.id, "economy")
    assert store.entries.window("politics", 50, None) == []
    assert store.entries.window("economy", 50, None) == [after]
    assert store.entries.last_change("politics") == store.entries.last_change("economy")


def test_matching_looks_at_few_entries_however_many_share_a_title(store: Store) -> None:
    """A column of every day: thousands of entries of one title, each with words of its own."""
    days = [NOW - timedelta(days=day) for day in range(300)]
    column = [
        make_article("Business in brief", f"On that day {n} trades were made.", published=day)
        for n, day in enumerate(days)
    ]
    record(store, *column)
    with store._database.read() as connection:
        for article in column[:3]:
            assert len(_candidates(connection, rows.article_columns(article))) == 1
        new = make_article("Business in brief", "Words that none had before.", published=None)
        assert _candidates(connection, rows.article_columns(new)) == []
    assert record(store, *column, name="again") == {"unchanged": 300}


def test_the_same_title_with_another_stamp_and_body_stays_apart(store: Store) -> None:
    record(store, make_article("Weather", LONG))
    tomorrow = make_article("Weather", OTHER, published=datetime(2026, 1, 2, 5, 0, tzinfo=UTC))
    assert record(store, tomorrow, name="b") == {"new": 1}


def test_a_column_of_every_day_stays_apart_though_its_words_are_the_same(store: Store) -> None:
    days = [datetime(2026, 1, day, 7, 0, tzinfo=UTC) for day in (1, 2, 3)]
    for day in days:
        article = make_article(
            "Weather for today",
            "Snow is expected.",
            published=day,
            precision=Precision.DAY,
            date_source=DateSource.EXPLICIT_DATE_ONLY,
        )
        assert record(store, article, name=f"{day}") == {"new": 1}
        stamped = make_article("Weather for today", "Snow is expected.", published=day)
        assert record(store, stamped, name=f"{day} again") == {"updated": 1}
    assert [entry.published for entry in entries(store)] == days[::-1]


def test_an_older_capture_takes_no_views_back(store: Store) -> None:
    record(store, make_article("A", LONG, views=900))
    assert record(store, make_article("A", LONG, views=5), name="b") == {"unchanged": 1}
    [entry] = entries(store)
    assert entry.article.views == 900


def test_equal_files_of_two_publishers_are_two_digests(store: Store) -> None:
    digest, reading = make_digest("same", "a.txt"), Reading(Outcome.ARTICLES, "made", 1.0)
    for publisher in ("One", "Two"):
        assert not store.digests.sight(digest, "look", "1", publisher)
        done = store.digests.record(
            digest,
            "look",
            "1",
            reading,
            [filing(make_article("A", LONG))],
            publisher=publisher,
            authority="a.example,2026",
            all_channel="all",
            archive=False,
        )
        assert done == {"new": 1}
        assert store.digests.sight(digest, "look", "1", publisher)


def test_publishers_part_otherwise_equal_articles(store: Store) -> None:
    record(store, make_article("A", LONG), publisher="One")
    assert record(store, make_article("A", LONG), publisher="Two", name="b") == {"new": 1}
    assert record(store, make_article("A", LONG), publisher="One", name="c") == {"unchanged": 1}
    assert len({entry.id for entry in entries(store)}) == 2


def test_a_window_holds_the_entries_that_came_last_even_if_old(store: Store) -> None:
    for n in range(4):
        record(store, make_article(f"New {n}", LONG), name=f"{n}")
    old = make_article("Old", LONG, published=datetime(2020, 1, 1, tzinfo=UTC))
    record(store, old, name="late")
    titles = [entry.article.title for entry in store.entries.window("politics", 3, None)]
    assert titles == ["Old", "New 3", "New 2"]


def test_a_window_of_days_holds_all_that_came_within_them(store: Store) -> None:
    for n in range(6):
        record(store, make_article(f"{n}", LONG), name=f"{n}", received=NOW + timedelta(days=n))
    window = store.entries.window("politics", 2, timedelta(days=3))
    assert [entry.article.title for entry in window] == ["5", "4", "3", "2"]
    assert len(store.entries.window("all", 2, timedelta(0))) == 2
    corrected = make_article("0", LONG.replace("Tuesday", "Monday"))
    record(store, corrected, name="late", received=NOW + timedelta(days=9))
    window = store.entries.window("politics", 2, timedelta(days=3))
    assert [entry.article.title for entry in window] == ["0", "5", "4", "3"]


def test_archived_entries_are_published_but_never_mailed(store: Store) -> None:
    record(store, make_article("A", LONG), archive=True)
    record(store, make_article("B", LONG), name="b")
    assert [
        entry.article.title for entry in store.entries.arrived(0, store.entries.last_seq())
    ] == ["B"]
    assert len(store.entries.window("politics", 50, None)) == 2


# Identity, as a pure decision

stamps = st.none() | st.sampled_from([datetime(2026, 1, day, 9, 0, tzinfo=UTC) for day in (1, 2)])
bodies = st.lists(st.sampled_from([LONG, OTHER, LONG[:60]]), max_size=3).map(tuple)
articles = st.builds(
    lambda title, stamp, body, views, cut: replace(
        make_article(title, published=stamp, views=views, truncated=cut), paragraphs=body
    ),
    st.sampled_from(["A", "a", "B"]),
    stamps,
    bodies,
    st.none() | st.integers(0, 9),
    st.booleans(),
)
captures = st.builds(Capture, articles, st.sampled_from([None, "One", "Two"]))


@given(captures)
def test_a_capture_is_the_same_as_itself_with_other_views_and_quotes(capture: Capture) -> None:
    article = capture.article
    other = replace(article, views=1000, url="https://example.org/x", line=99)
    assert identity.same(capture, replace(capture, article=other))
    assert identity.mint(capture) == identity.mint(replace(capture, article=other))


@given(captures, captures)
def test_sameness_has_no_direction(one: Capture, other: Capture) -> None:
    assert identity.same(one, other) == identity.same(other, one)


@given(articles, articles)
def test_merging_keeps_the_best_of_both_and_settles(known: Article, found: Article) -> None:
    merged, _ = identity.merge(known, found)
    assert merged.paragraphs in (known.paragraphs, found.paragraphs)
    assert (merged.published is None) == (known.published is None and found.published is None)
    assert identity.merge(merged, found) == (merged, False) or merged.truncated != found.truncated


def test_quote_marks_and_spaces_alone_are_no_correction() -> None:
    known = make_article("A", "He said “yes” \u2013 twice, said the ministry.")
    found = make_article("A", 'He said "yes" -  twice, said the ministry.')
    assert identity.merge(known, found) == (known, False)


def test_a_lesser_capture_that_lost_its_lead_changes_nothing() -> None:
    known, found = make_article("A", LONG, OTHER), make_article("A", OTHER)
    assert identity.merge(known, found) == (known, False)


# Digests


def test_a_file_that_looks_the_same_is_known_by_its_look(store: Store) -> None:
    record(store, make_article("A", LONG))
    look = store.digests.looks("1")["a.txt"]
    assert look == make_digest(f"a.txt{NOW}").sha256


def test_unknown_content_is_told_without_waiting_for_a_writer(store: Store, tmp_path: Path) -> None:
    with store._database.write(), Store(tmp_path / "feeds.db") as other:
        assert not other.digests.sight(make_digest("new", "a.txt", NOW), "look", "1", None)


def test_the_same_content_under_another_name_is_a_sighting(store: Store) -> None:
    record(store, make_article("A", LONG))
    copy = make_digest(f"a.txt{NOW}", "copy.txt", NOW)
    assert store.digests.sight(copy, "look", "1", None)
    assert store.digests.looks("1")["copy.txt"] == "look"
    assert not store.digests.sight(make_digest("other"), "look", "1", None)


def test_a_quarantined_file_is_read_again_when_the_formats_change(store: Store) -> None:
    digest = make_digest("no format", "odd.txt")
    reading = Reading(Outcome.QUARANTINE, reason="unknown_format", detail="none fits")
    values = {"publisher": None, "authority": "a,2026", "all_channel": "all", "archive": False}
    store.digests.record(digest, "look", "1", reading, (), **values)  # type: ignore[arg-type]  # as above
    [found] = store.digests.quarantined()
    assert (found.file, found.sha256, found.reason) == ("odd.txt", digest.sha256, "unknown_format")
    assert "odd.txt" in store.digests.looks("1")
    assert "odd.txt" not in store.digests.looks("2")
    assert not store.digests.sight(digest, "look", "2", None)
    store.digests.record(digest, "look", "2", Reading(Outcome.ARTICLES, "new"), (), **values)  # type: ignore[arg-type]  # as above
    assert store.digests.quarantined() == []


def test_a_quarantined_file_that_is_gone_is_forgotten(store: Store) -> None:
    store.digests.refuse(DigestError("pipe", "special", "a FIFO"), "look", "1", NOW)
    store.digests.forget({"pipe", "other"})
    assert len(store.digests.quarantined()) == 1
    store.digests.forget({"other"})
    assert store.digests.quarantined() == []
    assert "pipe" not in store.digests.looks("1")


def test_a_file_that_cannot_be_opened_is_quarantined_once(store: Store) -> None:
    error = DigestError("pipe", "not_regular", "a FIFO")
    for _ in range(2):
        store.digests.refuse(error, "look", "1", NOW)
    [found] = store.digests.quarantined()
    assert (found.file, found.sha256, found.reason) == ("pipe", None, "not_regular")
    assert store.digests.count() == {"quarantine": 1}


# Subscribers


def test_a_subscriber_is_added_once_and_changed_after(store: Store) -> None:
    add = store.subscribers.add
    assert add(Wish("a@example.org"), NOW, state=ACTIVE, reason="r", revive=True) == "added"
    assert add(Wish("a@example.org"), NOW, state=ACTIVE, reason="r", revive=True) == "unchanged"
    wish = Wish("a@example.org", ("politics",))
    assert add(wish, NOW, state=ACTIVE, reason="r", revive=True) == "changed"
    assert store.subscribers.find("A@Example.ORG").channels == ("politics",)


def test_an_import_never_brings_back_who_left(store: Store) -> None:
    wish = Wish("a@example.org")
    store.subscribers.add(wish, NOW, state=ACTIVE, reason="r", revive=True)
    assert store.subscribers.suppress(1, UNSUBSCRIBED, NOW, "asked")
    assert store.subscribers.add(wish, NOW, state=PENDING, reason="r", revive=False) == "refused"
    assert store.subscribers.all(ACTIVE) == []
    assert store.subscribers.add(wish, NOW, state=ACTIVE, reason="r", revive=True) == "changed"
    assert store.subscribers.find("a@example.org").token_version == 2


def test_a_stranger_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError):
        store.subscribers.find("nobody@example.org")
    assert store.subscribers.get(1) is None
    assert not store.subscribers.suppress(1, UNSUBSCRIBED, NOW, "asked")


@pytest.mark.parametrize(
    "bad",
    ["", "a", "@b.org", "a@", "a b@c.org", "a@b@c.org", "a@b.org\r\nBcc: c@d.org", "<a@b.org>",
     "a..b@c.org", ".a@b.org", "a@.org", "a" * 250 + "@b.org", "a\u0000@b.org"],
)  # fmt: skip
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="an address has the form"):
        normalise(bad)


def test_an_address_is_compared_without_case() -> None:
    assert normalise(" You+News@Example.ORG ") == "you+news@example.org"
    assert normalise("имя@пример.рф") == "имя@пример.рф"


@pytest.mark.parametrize("revision", schema.REVISIONS[:-1])
def test_a_record_of_every_released_version_comes_up_to_date(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "feeds.db"
    database = Database(path)
    with database.write() as connection:
        migrate.upgrade(connection, str(path), revision)
        connection.exec_driver_sql("INSERT INTO meta VALUES ('id_authority', 'example.org,2026')")
        connection.exec_driver_sql("INSERT INTO documents (path, target) VALUES ('a', 'site')")
    database.close()
    with Store(path) as store:
        assert store.authority("other.org,2027") == "example.org,2026"
        assert store.documents.paths("site") == ["a"]
        with store._database.read() as connection:
            context = alembic.migration.MigrationContext.configure(connection)
            assert alembic.autogenerate.compare_metadata(context, schema.metadata) == []
