"""Subscriptions: nobody joins but by their own answer or the operator's act, and who left is gone."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from test_cli import Shell

from feeds import app as opened
from feeds import config, tokens
from feeds.app import App
from feeds.errors import NotFoundError, UsageError
from feeds.model import DeliveryState, Letter, Subscriber
from feeds.pipeline import messages, subscriptions, suppressed, upkeep
from feeds.pipeline.despatch import Pace
from feeds.store import schema
from feeds.store.editions import COMPOSED, Slotted
from feeds.store.subscribers import ACTIVE, BOUNCED, COMPLAINED, PENDING, UNSUBSCRIBED, Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PUBLIC = "https://news.example.org/"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Return the application with subscription pages, over an empty record."""
    with opening(tmp_path, {"FEEDS_WEB_PUBLIC_URL": PUBLIC}) as app:
        yield app


def opening(folder: Path, environ: dict[str, str]) -> AbstractContextManager[App]:
    (folder / "seeds").mkdir(exist_ok=True)
    flags = {name: str(folder / name) for name in ("seeds", "out", "state")}
    found = config.load(flags, environ, Path("/dev/null"))
    return opened.open_app(found, environ | {"FEEDS_NOW": NOW.isoformat()})


def person(app: App, email: str = "you@example.org") -> Subscriber:
    return app.store.subscribers.find(email)


def state(app: App, email: str = "you@example.org") -> str:
    return person(app, email).state


def active(app: App, email: str = "you@example.org") -> str:
    """Add a subscriber; return the token of the subscription."""
    subscriptions.add(app, Wish(email), NOW)
    return link(app, email)


def link(app: App, email: str = "you@example.org") -> str:
    return tokens.subscription(opened.secret(app), person(app, email))


def questions(app: App) -> list[Letter]:
    """Return the mail that waits to be sent."""
    return [one.letter for one in app.store.messages.due(NOW + 365 * DAY)]


def answer(app: App) -> str:
    """Return the token in the last question that was asked."""
    found = re.findall(rb"/c/([0-9]+\.[A-Za-z0-9_-]{24})", unfolded(questions(app)[-1].data))
    assert isinstance(found[0], bytes)
    return found[0].decode()


def unfolded(data: bytes) -> bytes:
    return data.replace(b"=\r\n", b"")


def signed_up(app: App, email: str = "you@example.org", now: datetime = NOW) -> str:
    subscriptions.sign_up(app, email, Wish(email), now)
    return answer(app)


def take_in(
    app: App, wishes: list[Wish], now: datetime, *, consent: str | None, dry: bool = False
) -> dict[str, int]:
    wanted = [(wish, "") for wish in wishes]
    return dict(subscriptions.take_in(app, wanted, now, consent=consent, dry=dry))


# Signing up


def test_who_signs_up_is_asked_by_mail_and_subscribes_by_the_answer_alone(app: App) -> None:
    wish = Wish("ignored@example.org", channels=("sport",))
    subscriptions.sign_up(app, " You@Example.org", wish, NOW)
    assert (state(app), person(app).channels) == (PENDING, ("sport",))
    [question] = questions(app)
    assert question.recipient == "you@example.org"
    assert subscriptions.confirm(app, answer(app), NOW)
    assert state(app) == ACTIVE


def test_an_answer_is_good_once(app: App) -> None:
    token = signed_up(app)
    assert subscriptions.confirm(app, token, NOW)
    assert not subscriptions.confirm(app, token, NOW)


def test_an_answer_dies_after_two_weeks(app: App) -> None:
    token = signed_up(app)
    assert not subscriptions.confirm(app, token, NOW + 15 * DAY)
    assert state(app) == PENDING


def test_an_address_is_asked_once_a_day(app: App) -> None:
    first = signed_up(app)
    signed_up(app, now=NOW + DAY / 2)
    assert len(questions(app)) == 1
    second = signed_up(app, now=NOW + DAY)
    assert len(questions(app)) == 2
    assert not subscriptions.confirm(app, first, NOW + DAY)
    assert subscriptions.confirm(app, second, NOW + DAY)


def test_what_was_entered_last_is_what_they_get(app: App) -> None:
    signed_up(app)
    subscriptions.sign_up(app, "you@example.org", Wish("", channels=("arts",)), NOW)
    subscriptions.confirm(app, answer(app), NOW)
    assert person(app).channels == ("arts",)


def test_who_subscribes_gets_no_question_and_no_change(app: App) -> None:
    active(app)
    subscriptions.sign_up(app, "you@example.org", Wish("", channels=("arts",)), NOW)
    assert (questions(app), person(app).channels, state(app)) == ([], (), ACTIVE)


@pytest.mark.parametrize("kind", [UNSUBSCRIBED, BOUNCED, COMPLAINED])
def test_who_is_gone_stays_so_until_they_answer(app: App, kind: str) -> None:
    old = active(app)
    subscriptions.end(app, person(app), kind, NOW, "test")
    token = signed_up(app)
    assert state(app) == kind
    assert subscriptions.confirm(app, token, NOW)
    assert (state(app), person(app).token_version) == (ACTIVE, 2)
    assert not subscriptions.leave(app, old, NOW, "test")
    assert state(app) == ACTIVE


def test_a_question_that_a_kill_kept_back_is_written_when_they_sign_up_again(app: App) -> None:
    app.store.subscribers.ask(Wish("you@example.org"), NOW, "test")
    assert questions(app) == []
    subscriptions.sign_up(app, "you@example.org", Wish(""), NOW + timedelta(minutes=1))
    assert subscriptions.confirm(app, answer(app), NOW)


def test_without_a_public_address_the_answer_is_a_mail(tmp_path: Path) -> None:
    with opening(tmp_path, {}) as app:
        subscriptions.sign_up(app, "you@example.org", Wish(""), NOW)
        [question] = questions(app)
        asked = app.store.subscribers.asked(1)
        assert asked is not None
        token = tokens.confirmation(opened.secret(app), person(app), asked)
        assert f"confirm {token}".encode() in unfolded(question.data)
        assert b"https://" not in unfolded(question.data).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "a b@example.org", "a\r\nBcc: x@y.z"])
def test_what_is_no_address_is_refused(app: App, email: str) -> None:
    with pytest.raises(UsageError, match=r"name@example\.org"):
        subscriptions.sign_up(app, email, Wish(""), NOW)
    assert app.store.subscribers.all() == []


# Tokens


def test_forged_old_and_foreign_tokens_change_nothing(app: App) -> None:
    mine, theirs = active(app), active(app, "they@example.org")
    number, _, proof = theirs.partition(".")
    bad = [
        f"{mine.partition('.')[0]}.{proof}",
        f"{number}.{mine.partition('.')[2]}",
        mine[:-1],
        f"{mine}x",
        f"0{mine}",
        "",
        "1",
        "1." + "\N{BLACK SQUARE}" * 24,
        "9" * 30 + "." + "A" * 24,
        tokens.bounce(opened.secret(app), person(app)),
        tokens.confirmation(opened.secret(app), person(app), NOW),
    ]
    for token in bad:
        assert subscriptions.subscription(app, token) is None, token
        assert not subscriptions.leave(app, token, NOW, "test")
        assert not subscriptions.change(app, token, Wish("", channels=("arts",)), NOW)
        assert not subscriptions.erase(app, token, NOW)
        assert not subscriptions.confirm(app, token, NOW)
    assert [one.state for one in app.store.subscribers.all()] == [ACTIVE, ACTIVE]


@given(st.text() | st.from_regex(r"[0-9]{1,20}\.[A-Za-z0-9_-]{24}"))
def test_any_text_can_be_held_against_a_token(token: str) -> None:
    number = tokens.number_of(token)
    assert number is None or token.startswith((f"{number}.", "0"))
    expected = tokens.subscription(b"a key", Subscriber(7, "a@example.org", NOW))
    assert tokens.same(token, expected) == (token == expected)
    assert tokens.number_of(expected) == 7


def test_a_token_made_by_this_version_holds_for_ever() -> None:
    """Links in old letters must go on working: the rule may never change unnoticed."""
    one = Subscriber(7, "a@example.org", NOW)
    assert tokens.subscription(b"a key", one) == "7.kgZwDbufS6Z8pkFauFpy16qP"
    assert tokens.confirmation(b"a key", one, NOW) == "7.GccNCkX9iKo4JbMEEoX1rMYm"
    assert tokens.bounce(b"a key", one) == "7.GMWrRSwGYNydYAmUoGXc1Wpl"
    assert tokens.address_hash(b"a key", "a@example.org")[:16] == "049d15336b68e0c6"


def test_the_link_of_a_letter_is_no_answer_to_a_question(app: App) -> None:
    signed_up(app)
    assert not subscriptions.confirm(app, link(app), NOW)


def test_a_number_given_twice_after_a_restore_shares_no_link() -> None:
    key = b"key of a test"
    one = Subscriber(7, "a@example.org", NOW)
    other = replace(one, email="b@example.org")
    assert tokens.subscription(key, one) != tokens.subscription(key, other)
    assert tokens.bounce(key, one) != tokens.bounce(key, other)


def test_the_address_of_a_page_is_short_enough_for_any_mail_program(tmp_path: Path) -> None:
    public = f"https://{'n' * 27}.org/"
    assert len(public) == 40
    with opening(tmp_path, {"FEEDS_WEB_PUBLIC_URL": public}) as app:
        url = subscriptions.preferences_url(app, Subscriber(999_999_999, "a@example.org", NOW))
    assert url is not None
    assert len(url) <= 77


# Leaving and changing


def test_one_leaves_with_one_click_and_as_often_as_one_likes(app: App) -> None:
    token = active(app)
    assert subscriptions.leave(app, token, NOW, "one click")
    assert subscriptions.leave(app, token, NOW, "one click")
    assert state(app) == UNSUBSCRIBED


def test_who_leaves_takes_back_the_question_that_is_open(app: App) -> None:
    token = active(app)
    subscriptions.leave(app, token, NOW, "test")
    asked = signed_up(app)
    assert subscriptions.leave(app, token, NOW, "test")
    assert questions(app) == []
    assert not subscriptions.confirm(app, asked, NOW)
    assert state(app) == UNSUBSCRIBED


def test_one_changes_what_one_gets_but_not_after_leaving(app: App) -> None:
    token = active(app)
    wish = Wish("other@example.org", channels=("arts",), languages=("en",))
    assert subscriptions.change(app, token, wish, NOW)
    found = person(app)
    assert (found.channels, found.languages) == (("arts",), ("en",))
    subscriptions.leave(app, token, NOW, "test")
    assert not subscriptions.change(app, token, Wish("", channels=()), NOW)
    assert (state(app), person(app).channels) == (UNSUBSCRIBED, ("arts",))


@pytest.mark.parametrize(
    ("first", "then", "stays"),
    [
        (BOUNCED, UNSUBSCRIBED, UNSUBSCRIBED),
        (UNSUBSCRIBED, BOUNCED, UNSUBSCRIBED),
        (UNSUBSCRIBED, COMPLAINED, COMPLAINED),
        (COMPLAINED, UNSUBSCRIBED, COMPLAINED),
    ],
)
def test_the_stronger_reason_stays(app: App, first: str, then: str, stays: str) -> None:
    active(app)
    subscriptions.end(app, person(app), first, NOW, "test")
    subscriptions.end(app, person(app), then, NOW, "test")
    assert state(app) == stays


def test_the_consent_log_holds_each_step_and_no_address(app: App) -> None:
    subscriptions.confirm(app, signed_up(app), NOW)
    subscriptions.change(app, link(app), Wish("", channels=("arts",)), NOW)
    subscriptions.leave(app, link(app), NOW, "by one click")
    subscriptions.forget(app, "you@example.org", NOW)
    assert [row["kind"] for row in consents(app)] == ["erased"]
    active(app, "two@example.org")
    subscriptions.remove(app, "two@example.org", NOW)
    rows = consents(app)
    assert [row["kind"] for row in rows] == ["erased", ACTIVE, UNSUBSCRIBED]
    assert not any("@" in str(row["text"]) for row in rows)


def consents(app: App) -> list[sa.RowMapping]:
    with app.store._database.read() as connection:
        return list(connection.execute(sa.select(schema.consents)).mappings())


def test_no_address_gets_into_the_log(app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    subscriptions.confirm(app, signed_up(app), NOW)
    subscriptions.leave(app, link(app), NOW, "test")
    subscriptions.forget(app, "you@example.org", NOW)
    assert "subscriber erased" in caplog.text
    assert "example.org" not in caplog.text


# Erasing


def deliver(app: App, email: str = "you@example.org") -> None:
    """Put an edition on record, sent to a subscriber and written as a file."""
    now, who = NOW, person(app, email).id
    slotted = Slotted(0, "daily", "2026-01-02T08:00", now, COMPOSED, 0, now, "{}")
    with app.store._database.write() as connection:
        edition = {"name": "daily", "slot": slotted.slot, "fires": now, "state": COMPOSED}
        edition |= {"through": 0, "decided": now, "content": "{}"}
        number = connection.execute(sa.insert(schema.editions), edition).inserted_primary_key
        assert number is not None
        row = {"edition": number[0], "subscriber": who, "state": DeliveryState.QUEUED}
        row |= {"message_id": "<a@b>", "tries": 0, "at": now}
        connection.execute(sa.insert(schema.deliveries), row)
    app.outbox.mkdir()
    (app.outbox / f"daily-2026-01-02T0800-{who}.eml").write_text("To: you@example.org")


def test_nothing_of_an_erased_person_stays_but_a_hash(app: App) -> None:
    token = active(app)
    deliver(app)
    app.store.suppressions.came_back(1, "soft", "4.2.2", 1, NOW)
    assert subscriptions.erase(app, token, NOW)
    assert app.store.subscribers.all() == []
    with app.store._database.read() as connection:
        for table in (schema.deliveries, schema.bounces, schema.messages):
            assert connection.execute(sa.select(table)).all() == []
        blocks = connection.execute(sa.select(schema.blocks)).all()
    assert [row.kind for row in blocks] == ["erased"]
    assert list(app.outbox.iterdir()) == []
    left = (app.settings.state_folder / suppressed.FILE).read_text()
    assert "example" not in left
    assert blocks[0].hash in left


def test_no_file_of_mail_to_an_erased_person_stays(app: App) -> None:
    """Of a question, too, where mail is written as files."""
    signed_up(app)
    messages.send(app, NOW, Pace(None))
    assert b"you@example.org" in b"".join(path.read_bytes() for path in app.outbox.iterdir())
    subscriptions.forget(app, "you@example.org", NOW)
    assert list(app.outbox.iterdir()) == []


def test_the_number_of_an_erased_person_is_never_given_again(app: App) -> None:
    token = active(app)
    subscriptions.erase(app, token, NOW)
    active(app, "next@example.org")
    assert person(app, "next@example.org").id == 2
    assert not subscriptions.leave(app, token, NOW, "test")


def test_only_their_own_confirmation_brings_an_erased_person_back(app: App) -> None:
    subscriptions.erase(app, active(app), NOW)
    wish = Wish("you@example.org")
    with pytest.raises(UsageError, match="erased; only its owner"):
        subscriptions.add(app, wish, NOW, force=True)
    assert take_in(app, [wish], NOW, consent="they said so") == {"erased": 1}
    token = signed_up(app)
    assert take_in(app, [wish], NOW, consent="they said so") == {"erased": 1}
    with pytest.raises(UsageError, match="erased"):
        subscriptions.add(app, wish, NOW)
    assert state(app) == PENDING
    assert subscriptions.confirm(app, token, NOW)
    assert state(app) == ACTIVE
    assert subscriptions.add(app, wish, NOW) == "unchanged"


def test_nobody_is_erased_by_a_wrong_address(app: App) -> None:
    with pytest.raises(NotFoundError):
        subscriptions.forget(app, "nobody@example.org", NOW)


# The operator's acts


def test_the_operator_takes_back_who_left_but_a_complainer_only_by_force(app: App) -> None:
    active(app)
    subscriptions.remove(app, "you@example.org", NOW)
    assert subscriptions.add(app, Wish("you@example.org"), NOW) == "changed"
    assert (state(app), person(app).token_version) == (ACTIVE, 2)
    subscriptions.end(app, person(app), COMPLAINED, NOW, "test")
    with pytest.raises(UsageError, match="--force"):
        subscriptions.add(app, Wish("you@example.org"), NOW)
    assert subscriptions.add(app, Wish("you@example.org"), NOW, force=True) == "changed"
    assert state(app) == ACTIVE


@pytest.mark.parametrize("consent", [None, "a paper form of May"])
def test_an_import_takes_back_nobody_who_is_gone(app: App, consent: str | None) -> None:
    for kind in (UNSUBSCRIBED, BOUNCED, COMPLAINED):
        active(app, f"{kind}@example.org")
        subscriptions.end(app, person(app, f"{kind}@example.org"), kind, NOW, "test")
    subscriptions.erase(app, active(app, "erased@example.org"), NOW)
    kinds = (UNSUBSCRIBED, BOUNCED, COMPLAINED, "erased")
    wishes = [Wish(f"{kind}@example.org") for kind in (*kinds, "new")]
    expected = dict.fromkeys(kinds, 1) | {"added": 1}
    assert take_in(app, wishes, NOW, consent=consent, dry=True) == expected
    assert len(app.store.subscribers.all()) == 3
    assert take_in(app, wishes, NOW, consent=consent) == expected
    assert {one.state for one in app.store.subscribers.all()} == {
        UNSUBSCRIBED, BOUNCED, COMPLAINED, ACTIVE if consent else PENDING,
    }  # fmt: skip


def test_who_is_imported_is_asked_by_mail_once(app: App) -> None:
    wishes = [Wish(f"{number}@example.org") for number in range(5)]
    take_in(app, wishes, NOW, consent=None)
    assert subscriptions.ask_pending(app, NOW, most=3) == 3
    assert subscriptions.ask_pending(app, NOW, most=3) == 2
    assert subscriptions.ask_pending(app, NOW) == 0
    assert sorted(one.recipient for one in questions(app)) == [wish.email for wish in wishes]
    assert subscriptions.confirm(app, answer(app), NOW)


def test_an_import_asks_whom_a_kill_left_unasked(app: App) -> None:
    app.store.subscribers.ask(Wish("you@example.org"), NOW, "cut short after this")
    assert subscriptions.ask_pending(app, NOW + timedelta(hours=1)) == 1
    assert len(questions(app)) == 1


def test_an_import_with_consent_subscribes_who_is_pending(app: App) -> None:
    token = signed_up(app)
    done = take_in(app, [Wish("you@example.org")], NOW, consent="on paper")
    assert (done, state(app)) == ({"changed": 1}, ACTIVE)
    assert not subscriptions.confirm(app, token, NOW)


# What is old


def test_who_never_answers_is_off_the_record_after_a_month(app: App) -> None:
    signed_up(app)
    active(app, "active@example.org")
    subscriptions.take_in(app, [(Wish("unasked@example.org"), "")], NOW, consent=None)
    left = active(app, "left@example.org")
    subscriptions.leave(app, left, NOW, "test")
    signed_up(app, "left@example.org")
    assert upkeep.prune(app, NOW + 29 * DAY)["pending"] == 0
    assert upkeep.prune(app, NOW + 31 * DAY)["pending"] == 1
    assert [one.email for one in app.store.subscribers.all()] == [
        "active@example.org", "unasked@example.org", "left@example.org",
    ]  # fmt: skip


def test_what_came_back_goes_after_three_months_and_the_state_stays(app: App) -> None:
    active(app)
    app.store.suppressions.came_back(1, "hard", "5.1.1", None, NOW)
    subscriptions.end(app, person(app), BOUNCED, NOW, "test")
    assert upkeep.prune(app, NOW + 89 * DAY)["bounces"] == 0
    assert upkeep.prune(app, NOW + 91 * DAY)["bounces"] == 1
    assert state(app) == BOUNCED


def test_mail_that_ended_goes_with_the_deliveries(app: App) -> None:
    signed_up(app)
    assert upkeep.prune(app, NOW + 95 * DAY)["messages"] == 0  # it waits; so did they, too long
    signed_up(app, now=NOW + 95 * DAY)
    subscriptions.end(app, person(app), UNSUBSCRIBED, NOW + 95 * DAY, "test")
    assert upkeep.prune(app, NOW + 180 * DAY)["messages"] == 0
    assert upkeep.prune(app, NOW + 190 * DAY)["messages"] == 1


def test_files_of_mail_go_with_those_of_letters(app: App) -> None:
    signed_up(app)
    messages.send(app, NOW, Pace(None))
    assert upkeep.prune(app, NOW + 6 * DAY)["letters"] == 0
    assert upkeep.prune(app, NOW + 8 * DAY)["letters"] == 1
    assert list(app.outbox.iterdir()) == []


def test_the_consents_of_all_who_are_gone_go_when_told(app: App) -> None:
    for kind in (UNSUBSCRIBED, BOUNCED, COMPLAINED):
        active(app, f"{kind}@example.org")
        subscriptions.end(app, person(app, f"{kind}@example.org"), kind, NOW, "test")
    subscriptions.erase(app, active(app, "erased@example.org"), NOW)
    active(app)
    keep = replace(app.settings.retention, consent=30 * DAY)
    app = opened.reconfigured(app, replace(app.settings, retention=keep))
    assert upkeep.prune(app, NOW + 31 * DAY)["consents"] == 7
    assert [row["kind"] for row in consents(app)] == [ACTIVE]


# The command line


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    for name in [name for name in os.environ if name.startswith("FEEDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FEEDS_NOW", NOW.isoformat())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds").mkdir()
    return Shell(capsys)


CONSENT = ("--confirmed", "--consent", "forms of May")


def listed(shell: Shell) -> list[tuple[str, str, str]]:
    rows = [json.loads(line) for line in shell("subscribers", "list", "--json").splitlines()]
    return [(row["email"], row["state"], ",".join(row["channels"])) for row in rows]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfE-Mail;Channels\r\nA@example.org;sport,arts\r\n\r\n b@example.org ;\r\n",
        "EMAIL\tName\tchannels\nA@example.org\tA\tsport;arts\nb@example.org\n".encode("utf-16"),
        b'Name,Email Address,channels\nA,"Mrs. A <a@example.org>","sport,arts"\nB,b@example.org\n',
        b"\n\nemail,channels\na@example.org,sport;arts\n,\n  ,\nb@example.org,,more,than,named\n",
    ],
    ids=["excel", "unicode", "named", "blank"],
)
def test_tables_of_many_programs_are_read(shell: Shell, data: bytes) -> None:
    Path("list.csv").write_bytes(data)
    assert shell("subscribers", "import", "list.csv", *CONSENT) == "2 added\n"
    assert listed(shell) == [
        ("a@example.org", ACTIVE, "sport,arts"),
        ("b@example.org", ACTIVE, ""),
    ]


@pytest.mark.parametrize("data", [b"", b"\n", b"name\nA\n", b"email\n\xff\n", b"\xff\xfe\x00"])
def test_a_table_that_cannot_be_read_is_a_mistake_told_in_one_line(
    shell: Shell, data: bytes
) -> None:
    Path("list.csv").write_bytes(data)
    shell("subscribers", "import", "list.csv", status=2)
    assert shell.err.startswith("feeds: list.csv")
    assert shell.err.count("\n") == 1


def test_an_address_that_stands_twice_is_taken_once(shell: Shell) -> None:
    Path("list.csv").write_text("email,channels\na@example.org,sport\nA@Example.org,arts\nbad,\n")
    said = shell.json("subscribers", "import", "list.csv", *CONSENT, status=3)
    assert (said["added"], said["duplicates"], said["bad"]) == (1, 1, 1)
    assert listed(shell) == [("a@example.org", ACTIVE, "sport")]


def test_a_dry_run_says_exactly_what_the_import_does(shell: Shell) -> None:
    shell("subscribers", "add", "left@example.org")
    shell("subscribers", "remove", "left@example.org")
    shell("subscribers", "add", "old@example.org")
    shell("subscribers", "add", "same@example.org")
    Path("list.csv").write_text(
        "email,channels\nleft@example.org,\nold@example.org,arts\nsame@example.org,\nnew@example.org,\n"
    )
    before = listed(shell)
    arguments = ("subscribers", "import", "list.csv", *CONSENT)
    would = shell.json(*arguments, "--dry-run")
    assert listed(shell) == before
    assert would == shell.json(*arguments)
    assert (would["added"], would["changed"], would["unchanged"]) == (1, 1, 1)
    assert (would["refused"], would["reasons"][UNSUBSCRIBED]) == (1, 1)


def test_who_is_imported_without_consent_is_asked(shell: Shell) -> None:
    Path("list.csv").write_text("email\na@example.org\nb@example.org\n")
    said = shell("subscribers", "import", "list.csv")
    assert said.splitlines()[0] == "2 added"
    assert "asked by mail" in said
    assert [row[1] for row in listed(shell)] == [PENDING, PENDING]


def test_an_export_is_read_back_as_it_was(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("subscribers", "add", "a@example.org", "--channels", "sport,arts", "--languages", "en")
    shell("subscribers", "add", "+formula@example.org")
    shell("subscribers", "add", "'quoted@example.org")
    shell("subscribers", "add", "left@example.org")
    shell("subscribers", "remove", "left@example.org")
    Path("wait.csv").write_text("email\nwaits@example.org\n")
    shell("subscribers", "import", "wait.csv")
    there = listed(shell)
    exported = shell("subscribers", "export")
    assert "\n'+formula@example.org,active" in exported
    assert exported.count("added by the operator") == 4
    (tmp_path / "other/seeds").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "other")
    Path("list.csv").write_text(exported)
    shell("subscribers", "import", "list.csv", *CONSENT)
    assert sorted(listed(shell)) == sorted(there)
    assert listed(shell) != []
    Path("left.csv").write_text("email\nleft@example.org\n")
    assert shell.json("subscribers", "import", "left.csv", *CONSENT)["refused"] == 1


def test_no_cell_of_an_export_is_a_formula(shell: Shell) -> None:
    for start in "=+-'":
        shell("subscribers", "add", "--", f"{start}a@example.org")
    exported = shell("subscribers", "export")
    assert len(exported.splitlines()) == 5
    assert not re.search(r"(^|,)[=+@-]", exported, re.MULTILINE)


def test_one_state_is_listed_alone(shell: Shell) -> None:
    shell("subscribers", "add", "a@example.org")
    shell("subscribers", "add", "b@example.org")
    shell("subscribers", "remove", "b@example.org")
    assert shell("subscribers", "list", "--only", ACTIVE) == "a@example.org  active  all channels\n"
    assert len(shell("subscribers", "export", "--only", UNSUBSCRIBED).splitlines()) == 2


def test_the_erased_come_back_by_no_command(shell: Shell) -> None:
    shell("subscribers", "add", "a@example.org")
    assert shell("subscribers", "erase", "a@example.org") == "a@example.org: erased\n"
    shell("subscribers", "add", "a@example.org", "--force", status=2)
    assert "only its owner" in shell.err
    Path("list.csv").write_text("email\na@example.org\n")
    assert shell("subscribers", "import", "list.csv", *CONSENT) == "1 refused (1 erased)\n"
    shell("subscribers", "erase", "a@example.org", status=1)


def test_returned_mail_is_read_from_a_file_or_a_pipe(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("bounces", status=2)
    assert "mail.bounces" in shell.err
    shell("subscribers", "add", "a@example.org")
    found = config.load({}, {}, None)
    with opened.open_app(found, os.environ) as app:
        token = link(app, "a@example.org")
    data = f"Subject: unsubscribe {token}\n\n".encode()
    Path("mail.eml").write_bytes(data)
    assert shell.json("bounces", "mail.eml")["unsubscribed"] == 1
    assert listed(shell)[0][1] == UNSUBSCRIBED
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert shell("bounces", "-") == "1 message read: 1 asked to leave\n"
    shell("bounces", "gone.eml", status=1)
    assert shell.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux")
@pytest.mark.usefixtures("shell")
def test_a_hundred_thousand_are_imported_and_exported_in_little_memory() -> None:
    rows = "\n".join(f"person{number}@example.org" for number in range(100_000))
    Path("list.csv").write_text(f"email\n{rows}\n")
    script = (
        "import re, sys; from pathlib import Path; from feeds.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as ended: code = ended.code\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(code, re.search(r'VmHWM:\\s*(\\d+) kB', status)[1], file=sys.stderr)"
    )
    for arguments in (("import", "list.csv", *CONSENT), ("export",), ("list", "--json")):
        command = [sys.executable, "-c", script, "subscribers", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        code, size = map(int, done.stderr.split())
        assert code == 0
        assert size < 100 * 1024, arguments  # kB
    assert done.stdout.count("\n") == 100_000
