"""Who left gets nothing ever after: through imports, restores, erasure, old links, kills and losses."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from feeds import app as opened
from feeds import config, pipeline, tokens
from feeds.app import App
from feeds.config import Settings
from feeds.errors import StoreError, UsageError
from feeds.pipeline import backups, subscriptions, suppressed
from feeds.pipeline.suppressed import LIFTED, Line
from feeds.store.subscribers import ACTIVE, BOUNCED, COMPLAINED, ERASED, UNSUBSCRIBED, Wish

NOW = datetime(2026, 1, 2, 6, 30, tzinfo=UTC)
YOU = "you@example.org"
ENVIRON = {"FEEDS_NOW": NOW.isoformat()}


@pytest.fixture
def found(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def settings_of(folder: Path) -> Settings:
    (folder / "seeds").mkdir(parents=True)
    flags = {name: str(folder / name) for name in ("seeds", "out", "state")}
    return config.load(flags, {}, Path("/dev/null"))


@pytest.fixture
def app(found: Settings) -> Iterator[App]:
    with opened.open_app(found, ENVIRON) as app:
        yield app


def link(app: App, email: str = YOU) -> str:
    return tokens.subscription(opened.secret(app), app.store.subscribers.find(email))


def asked(app: App, email: str = YOU) -> str | None:
    """Return the token that answers the open question, None when none is open."""
    person = app.store.subscribers.seek(email)
    moment = app.store.subscribers.asked(person.id) if person else None
    if person is None or moment is None:
        return None
    return tokens.confirmation(opened.secret(app), person, moment)


def join(app: App, email: str = YOU) -> str:
    subscriptions.add(app, Wish(email), NOW)
    return link(app, email)


def state(app: App, email: str = YOU) -> str | None:
    person = app.store.subscribers.seek(email)
    return person.state if person else None


def lines(found: Settings) -> list[Line]:
    return suppressed.read(found.state_folder / suppressed.FILE)


def imported(app: App, email: str = YOU) -> dict[str, int]:
    wanted = [(Wish(email), "")]
    return dict(subscriptions.take_in(app, wanted, NOW, consent="they said so"))


def restored(found: Settings, file: Path, environ: dict[str, str] | None = None) -> None:
    backups.restore(found, file, NOW, environ)


def again(found: Settings, environ: dict[str, str] | None = None) -> AbstractContextManager[App]:
    return opened.open_app(found, ENVIRON | (environ or {}))


# The paths


def test_not_by_an_import(app: App) -> None:
    subscriptions.leave(app, join(app), NOW, "test")
    assert imported(app) == {UNSUBSCRIBED: 1}
    assert state(app) == UNSUBSCRIBED


@pytest.mark.parametrize("kind", [UNSUBSCRIBED, BOUNCED, COMPLAINED])
def test_not_by_a_restore(found: Settings, tmp_path: Path, kind: str) -> None:
    with again(found) as app:
        join(app)
        backups.backup(app, tmp_path / "b.tar")
        subscriptions.end(app, app.store.subscribers.find(YOU), kind, NOW, "test")
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert state(app) == kind
        assert imported(app) == {kind: 1}


def test_not_by_erasing_and_a_restore(found: Settings, tmp_path: Path) -> None:
    with again(found) as app:
        join(app)
        backups.backup(app, tmp_path / "b.tar")
        subscriptions.forget(app, YOU, NOW)
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert app.store.subscribers.all() == []
        assert imported(app) == {ERASED: 1}
        with pytest.raises(UsageError):
            subscriptions.add(app, Wish(YOU), NOW)


def test_not_by_a_restore_of_a_time_before_they_joined(found: Settings, tmp_path: Path) -> None:
    with again(found) as app:
        backups.backup(app, tmp_path / "b.tar")
        subscriptions.leave(app, join(app), NOW, "test")
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert state(app) is None
        assert imported(app) == {UNSUBSCRIBED: 1}
        assert subscriptions.add(app, Wish(YOU), NOW) == "added"
        assert state(app) == ACTIVE


def test_not_by_an_old_link(found: Settings, tmp_path: Path) -> None:
    with again(found) as app:
        subscriptions.sign_up(app, YOU, Wish(""), NOW)
        token = asked(app)
        assert token is not None
        backups.backup(app, tmp_path / "b.tar")
        assert subscriptions.confirm(app, token, NOW)
        old = link(app)
        subscriptions.leave(app, old, NOW, "test")
        assert not subscriptions.confirm(app, token, NOW)
        assert not subscriptions.change(app, old, Wish("", channels=()), NOW)
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert not subscriptions.confirm(app, token, NOW)
        assert state(app) == UNSUBSCRIBED


def test_not_by_a_restore_with_another_key(found: Settings, tmp_path: Path) -> None:
    """The backup is of another machine's record, which knows the same person."""
    other = settings_of(tmp_path / "other")
    with again(other) as app:
        join(app)
        backups.backup(app, tmp_path / "b.tar")
    with again(found) as app:
        subscriptions.leave(app, join(app), NOW, "test")
        subscriptions.forget(app, _left(app, "gone@example.org"), NOW)
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert state(app) == UNSUBSCRIBED
        assert imported(app, "gone@example.org") == {ERASED: 1}


def _left(app: App, email: str) -> str:
    subscriptions.leave(app, join(app, email), NOW, "test")
    return email


def test_not_by_a_restore_under_a_key_of_the_environment(found: Settings, tmp_path: Path) -> None:
    environ = {"FEEDS_SECRET": "a key that is kept elsewhere"}
    with again(found, environ) as app:
        join(app)
        backups.backup(app, tmp_path / "b.tar")
        subscriptions.leave(app, link(app), NOW, "test")
    restored(found, tmp_path / "b.tar", environ)
    with again(found, environ) as app:
        assert state(app) == UNSUBSCRIBED


def test_not_on_a_new_machine(found: Settings, tmp_path: Path) -> None:
    with again(found) as app:
        _left(app, YOU)
        backups.backup(app, tmp_path / "b.tar")
    shutil.rmtree(found.state_folder)
    found.state_folder.mkdir()
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert state(app) == UNSUBSCRIBED
    assert [line.kind for line in lines(found)] == [UNSUBSCRIBED]


DIGEST = "02.01.2026, 09:00 5\n\n{}\n\nThe parliament passed the state budget on Monday.\n \n"


def test_not_one_letter_more(found: Settings, tmp_path: Path) -> None:
    (found.seeds_folder / "a.txt").write_text(DIGEST.format("Parliament passes the budget"))
    with again(found) as app:
        join(app)
        join(app, "stays@example.org")
        pipeline.run(app)
        backups.backup(app, tmp_path / "b.tar")
        subscriptions.leave(app, link(app), NOW, "test")
    restored(found, tmp_path / "b.tar")
    (found.seeds_folder / "b.txt").write_text(DIGEST.format("Parliament debates a law"))
    with opened.open_app(found, {"FEEDS_NOW": (NOW + timedelta(days=1)).isoformat()}) as app:
        imported(app)
        pipeline.let_go(app)
        pipeline.run(app)
        letters = [path.read_text() for path in app.outbox.iterdir()]
    assert sum("To: stays@example.org" in letter for letter in letters) == 2
    assert sum("To: you@example.org" in letter for letter in letters) == 1


# Coming back


def test_who_came_back_since_the_backup_is_not_taken_for_gone(
    found: Settings, tmp_path: Path
) -> None:
    with again(found) as app:
        join(app)
        backups.backup(app, tmp_path / "b.tar")
        subscriptions.leave(app, link(app), NOW, "test")
        subscriptions.add(app, Wish(YOU), NOW)
        newest = link(app)
    assert [line.kind for line in lines(found)] == [UNSUBSCRIBED, LIFTED]
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert state(app) == ACTIVE
        assert subscriptions.leave(app, newest, NOW, "by the link of the latest letter")


# Kills and losses


def test_a_kill_between_file_and_record_leaves_them_unsubscribed(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = join(app)

    def killed(*_arguments: object) -> bool:
        raise StoreError("feeds.db", "killed")

    with monkeypatch.context() as patched:
        patched.setattr(app.store.subscribers, "suppress", killed)
        with pytest.raises(StoreError):
            subscriptions.leave(app, token, NOW, "test")
    assert state(app) == ACTIVE
    suppressed.catch_up(app, NOW)
    assert state(app) == UNSUBSCRIBED


def test_a_kill_while_erasing_leaves_them_erased(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    join(app)

    def killed(*_arguments: object) -> bool:
        raise StoreError("feeds.db", "killed")

    with monkeypatch.context() as patched:
        patched.setattr(app.store.suppressions, "block", killed)
        with pytest.raises(StoreError):
            subscriptions.forget(app, YOU, NOW)
    assert imported(app) == {ERASED: 1}
    assert state(app) is None


def test_many_who_leave_at_once_all_leave(app: App, found: Settings) -> None:
    people = [f"{number}@example.org" for number in range(8)]
    for email in people:
        join(app, email)

    def leaves(email: str) -> bool:
        with again(found) as other:
            return subscriptions.leave(other, link(other, email), NOW, "test")

    with ThreadPoolExecutor(len(people)) as pool:
        assert all(pool.map(leaves, people))
    assert [state(app, email) for email in people] == [UNSUBSCRIBED] * len(people)
    assert len({line.hash for line in lines(found)}) == len(people)
    size = (found.state_folder / suppressed.FILE).stat().st_size
    through = app.store.suppressions.through()
    assert through is not None
    assert through[0] == size


def test_a_torn_line_spoils_neither_the_lines_before_nor_after(app: App, found: Settings) -> None:
    _left(app, YOU)
    path = found.state_folder / suppressed.FILE
    with path.open("ab") as file:
        file.write(b'{"hash": "torn')
    _left(app, "next@example.org")
    assert [line.kind for line in lines(found)] == [UNSUBSCRIBED, UNSUBSCRIBED]
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(
    "strange", [b"\n", b"null\n", b"[]\n", b"[" * 9_999 + b"\n", b"\xff\n", b'{"hash": 1}\n']
)
def test_strange_lines_are_passed_over(app: App, found: Settings, strange: bytes) -> None:
    _left(app, YOU)
    with (found.state_folder / suppressed.FILE).open("ab") as file:
        file.write(strange)
    suppressed.catch_up(app, NOW)
    _left(app, "next@example.org")
    assert len(lines(found)) == 2


def test_a_file_that_was_lost_is_written_anew(app: App, found: Settings) -> None:
    _left(app, YOU)
    subscriptions.forget(app, _left(app, "gone@example.org"), NOW)
    (found.state_folder / suppressed.FILE).unlink()
    suppressed.catch_up(app, NOW)
    assert sorted(line.kind for line in lines(found)) == [ERASED, UNSUBSCRIBED]


def test_who_left_before_there_was_a_file_gets_into_it(app: App, found: Settings) -> None:
    app.store.subscribers.add(Wish(YOU), NOW, state=ACTIVE, reason="test", revive=False)
    app.store.subscribers.suppress(1, UNSUBSCRIBED, NOW, "by an older version")
    suppressed.catch_up(app, NOW)
    assert [line.kind for line in lines(found)] == [UNSUBSCRIBED]


def test_the_file_is_private_and_holds_no_address(app: App, found: Settings) -> None:
    _left(app, YOU)
    path = found.state_folder / suppressed.FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert "example" not in path.read_text()
    assert set(json.loads(path.read_text())) == {"hash", "kind", "at", "version"}


def test_who_left_under_an_older_key_stays_so(found: Settings, tmp_path: Path) -> None:
    with again(found, {"FEEDS_SECRET": "the older key"}) as app:
        join(app)
        backups.backup(app, tmp_path / "b.tar")
        subscriptions.leave(app, link(app), NOW, "test")
    newer = {"FEEDS_SECRET": "the newer key"}
    with again(found, newer) as app:
        suppressed.catch_up(app, NOW)
    restored(found, tmp_path / "b.tar", newer)
    with again(found, newer) as app:
        assert state(app) == UNSUBSCRIBED


def test_who_came_back_under_a_newer_key_is_not_taken_for_gone(
    found: Settings, tmp_path: Path
) -> None:
    other = settings_of(tmp_path / "other")
    with again(other) as app:
        join(app)
        backups.backup(app, tmp_path / "b.tar")
    with again(found) as app:
        _left(app, YOU)
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        assert state(app) == UNSUBSCRIBED
        assert subscriptions.add(app, Wish(YOU), NOW) == "changed"
    restored(found, tmp_path / "b.tar")
    with again(found) as app:
        suppressed.catch_up(app, NOW)
        assert state(app) == ACTIVE
        assert imported(app) == {"unchanged": 1}


def test_a_record_without_anybody_gone_needs_no_file(app: App, found: Settings) -> None:
    join(app)
    suppressed.catch_up(app, NOW)
    assert lines(found) == []


def test_merging_loses_no_line(tmp_path: Path) -> None:
    lines = [Line(f"{number}", UNSUBSCRIBED, f"2026-01-0{number}", 1) for number in range(1, 6)]
    one, other = tmp_path / "one", tmp_path / "other"
    suppressed.write(one, [lines[0], lines[2], lines[4]])
    suppressed.write(other, [lines[0], lines[1], lines[3]])
    assert suppressed.merge(one, other) == lines
    suppressed.write(tmp_path / "longer", lines[::-1])
    suppressed.write(tmp_path / "shorter", lines[:2:-1])
    assert suppressed.merge(tmp_path / "shorter", tmp_path / "longer") == lines[::-1]
    assert suppressed.merge(tmp_path / "none", one) == [lines[0], lines[2], lines[4]]


# Any order of acts

EMAILS = st.sampled_from(["a@example.org", "b@example.org"])


class Acts(RuleBasedStateMachine):
    """People, the operator and the machine act in any order."""

    answers = Bundle("answers")
    links = Bundle("links")
    saved = Bundle("saved")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.settings = settings_of(self.folder)
        self.entered = ExitStack()
        self.now = NOW
        self.number = 0
        self.left: set[str] = set()
        self.dead: set[str] = set()
        self.given: dict[str, str] = {}

    @initialize()
    def begin(self) -> None:
        self.open()

    def open(self) -> None:
        self.app = self.entered.enter_context(opened.open_app(self.settings, ENVIRON))

    def teardown(self) -> None:
        self.entered.close()
        shutil.rmtree(self.folder)

    def _leaves(self, email: str) -> None:
        self.left.add(email)
        self.dead |= {token for token, owner in self.given.items() if owner == email}

    @rule(hours=st.sampled_from([1, 25]))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule(email=EMAILS, target=links)
    def add(self, email: str) -> str:
        try:
            subscriptions.add(self.app, Wish(email), self.now)
        except UsageError:  # erased
            return "1.x"
        self.left.discard(email)
        return link(self.app, email)

    @rule(email=EMAILS, consent=st.sampled_from([None, "on paper"]))
    def imports(self, email: str, consent: str | None) -> None:
        subscriptions.take_in(self.app, [(Wish(email), "")], self.now, consent=consent)
        subscriptions.ask_pending(self.app, self.now)

    @rule(email=EMAILS, target=answers)
    def sign_up(self, email: str) -> object:
        self.now += timedelta(seconds=1)  # no two questions are of one moment
        subscriptions.sign_up(self.app, email, Wish(""), self.now)
        token = asked(self.app, email)
        if token is None:
            return multiple()
        self.given[token] = email
        return token

    @rule(token=answers, target=links)
    def confirm(self, token: str) -> object:
        done = subscriptions.confirm(self.app, token, self.now)
        assert not (done and token in self.dead)
        if not done:
            return multiple()
        self.left.discard(self.given[token])
        return link(self.app, self.given[token])

    @rule(token=links)
    def leave(self, token: str) -> None:
        person = subscriptions.subscription(self.app, token)
        assert subscriptions.leave(self.app, token, self.now, "test") == (person is not None)
        if person is not None:
            self._leaves(person.email)

    @rule(token=links)
    def change(self, token: str) -> None:
        subscriptions.change(self.app, token, Wish("", channels=("arts",)), self.now)

    @rule(token=links)
    def erase(self, token: str) -> None:
        person = subscriptions.subscription(self.app, token)
        assert subscriptions.erase(self.app, token, self.now) == (person is not None)
        if person is not None:
            self._leaves(person.email)

    @rule(target=saved)
    def backup(self) -> Path:
        self.number += 1
        return backups.backup(self.app, self.folder / f"{self.number}.tar")

    @rule(file=saved)
    def restore(self, file: Path) -> None:
        self.entered.close()
        backups.restore(self.settings, file, self.now)
        self.open()

    @invariant()
    def nobody_is_active_who_left(self) -> None:
        if hasattr(self, "app"):
            people = self.app.store.subscribers.all(ACTIVE)
            assert not {person.email for person in people} & self.left


Acts.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.reuse, Phase.generate),  # to shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.slow
class TestActs(Acts.TestCase):  # type: ignore[misc, valid-type]  # made by Hypothesis
    """Whoever's last own act was to leave is not active, whatever else is done in whatever order."""
