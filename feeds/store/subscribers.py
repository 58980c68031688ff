"""The subscribers on record. Addresses stand here and nowhere else: never in a log, never in out/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from feeds.errors import NotFoundError
from feeds.model import DeliveryState, Subscriber
from feeds.store import rows
from feeds.store.database import Database, chunks, insert, pairs
from feeds.store.schema import bounces, consents, messages, subscribers
from feeds.store.suppressions import forget

ACTIVE, PENDING = "active", "pending"
UNSUBSCRIBED, BOUNCED, COMPLAINED = "unsubscribed", "bounced", "complained"
ERASED = "erased"
"""No state: nothing is left of whoever is erased but a hash in `blocks`."""

GONE = (BOUNCED, UNSUBSCRIBED, COMPLAINED)
"""States of who gets nothing any more, the weaker first: a stronger one takes a weaker one's place."""

ASK_AGAIN = timedelta(days=1)
"""The least time between two questions to one person whether they want to subscribe."""

QUESTION = "confirm:"
"""How the keys of messages begin that ask; the number and the moment follow, each after a colon."""

_PAGE = 1_000  # subscribers in memory at a time


@dataclass(frozen=True, slots=True)
class Wish:
    """What a subscriber wants: empty means all, None whatever it was before (all, for a new one).

    `email` is normalised (see `normalise`).
    """

    email: str
    channels: tuple[str, ...] | None = None
    editions: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None


class Subscribers:
    """Records who receives letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, state: str | None = None) -> list[Subscriber]:
        """Return the subscribers by id, in one state or all; see `iterate` for many."""
        return list(self.iterate(state))

    def iterate(self, *states: str | None) -> Iterator[Subscriber]:
        """Yield the subscribers by id, in some states or all, some in memory at a time.

        Each thousand is read as it is then: who joins meanwhile may come, nobody comes twice.
        """
        wanted = [state for state in states if state is not None]
        query = sa.select(subscribers).order_by(subscribers.c.id).limit(_PAGE)
        if wanted:
            query = query.where(subscribers.c.state.in_(wanted))
        after = 0
        while True:
            with self._database.read() as connection:
                page = connection.execute(query.where(subscribers.c.id > after)).mappings().all()
            yield from map(rows.subscriber, page)
            if len(page) < _PAGE:
                return
            after = page[-1]["id"]

    def get(self, number: int) -> Subscriber | None:
        """Return the subscriber with this number, None when there is none (any more)."""
        return self._one(subscribers.c.id == number)

    def asked(self, number: int) -> datetime | None:
        """Return when the question was asked whose answer is awaited, None when none is."""
        query = sa.select(subscribers.c.asked).where(subscribers.c.id == number)
        with self._database.read() as connection:
            found: datetime | None = connection.scalar(query)
        return found

    def seek(self, email: str) -> Subscriber | None:
        """Return the subscriber with this normalised address, None when there is none."""
        return self._one(subscribers.c.email == email)

    def _one(self, condition: sa.ColumnElement[bool]) -> Subscriber | None:
        with self._database.read() as connection:
            row = connection.execute(sa.select(subscribers).where(condition)).mappings().first()
        return rows.subscriber(row) if row is not None else None

    def find(self, email: str) -> Subscriber:
        """Return the subscriber with this address.

        Raises:
            NotFoundError: nobody by that address.
        """
        try:
            found = self.seek(normalise(email))
        except ValueError as error:
            raise NotFoundError("subscriber", email) from error
        if found is None:
            raise NotFoundError("subscriber", email)
        return found

    def add(self, wish: Wish, now: datetime, *, state: str, reason: str, revive: bool) -> str:
        """Record a wish; return `added`, `changed`, `unchanged` or `refused`.

        Who is there already gets the new wishes, and who is pending becomes active when `state` says
        so. Who is gone is taken back only with `revive`. `reason` goes into the consent log.
        """
        there = sa.select(subscribers).where(subscribers.c.email == wish.email)
        with self._database.write() as connection:
            row = connection.execute(there).mappings().first()
            if row is None:
                new = insert(connection, subscribers, _fresh(wish, state, now))
                _log(connection, new, state, reason, now)
                return "added"
            if row["state"] in GONE and not revive:
                return "refused"
            values = _changes(row, wish, state)
            if not values:
                return "unchanged"
            _update(connection, row["id"], values)
            if row["state"] in GONE:
                _begin_anew(connection, row["id"])
            _log(connection, row["id"], str(values.get("state", "changed")), reason, now)
            return "changed"

    def consented(self, numbers: Sequence[int]) -> dict[int, tuple[str, datetime]]:
        """Return how and when each of some subscriptions began, as far as it is on record."""
        found: dict[int, tuple[str, datetime]] = {}
        with self._database.read() as connection:
            for some in chunks(numbers):
                query = (
                    sa.select(consents.c.subscriber, consents.c.text, consents.c.at)
                    .where(consents.c.subscriber.in_(some), consents.c.kind == ACTIVE)
                    .order_by(consents.c.id)
                )
                found |= {row[0]: (row[1], row[2]) for row in connection.execute(query)}
        return found

    def among(self, emails: Sequence[str]) -> set[str]:
        """Return those of some normalised addresses that are on record."""
        with self._database.read() as connection:
            return set(_by_address(connection, emails))

    def take_in(
        self, wishes: Sequence[Wish], now: datetime, *, state: str, reason: str, dry: bool = False
    ) -> Counter[str]:
        """Record many wishes, none twice, in one transaction; count them by what became of them.

        That is `added`, `changed`, `unchanged`, or the state of who is gone and not taken back. With
        `dry` nothing is recorded.
        """
        done: Counter[str] = Counter()
        fresh: list[Wish] = []
        with self._database.read() if dry else self._database.write() as connection:
            there = _by_address(connection, [wish.email for wish in wishes])
            for wish in wishes:
                row = there.get(wish.email)
                if row is None:
                    fresh.append(wish)
                elif row["state"] in GONE:
                    done[row["state"]] += 1
                elif values := _changes(row, wish, state):
                    done["changed"] += 1
                    if not dry:
                        _update(connection, row["id"], values)
                        kind = str(values.get("state", "changed"))
                        _log(connection, row["id"], kind, reason, now)
                else:
                    done["unchanged"] += 1
            if fresh and not dry:
                _insert_all(connection, fresh, state, reason, now)
        done["added"] = len(fresh)
        return +done

    def ask(self, wish: Wish, now: datetime, reason: str) -> tuple[Subscriber, datetime] | None:
        """Record that someone is to be asked whether they want to subscribe; return them, and when.

        Who was asked within a day isn't asked again: the moment returned is that of the question then.
        None is returned, and nothing changed, when they subscribe already. Who is gone stays gone until
        they answer.
        """
        there = sa.select(subscribers).where(subscribers.c.email == wish.email)
        with self._database.write() as connection:
            row = connection.execute(there).mappings().first()
            if row is None:
                new = insert(connection, subscribers, _fresh(wish, PENDING, now) | {"asked": now})
                _log(connection, new, PENDING, reason, now)
            elif row["state"] == ACTIVE:
                return None
            else:
                values = _wishes(wish)
                # A moment in the future is of a clock that was wrong then.
                if row["asked"] is None or not timedelta() <= now - row["asked"] < ASK_AGAIN:
                    values["asked"] = now
                    _log(connection, row["id"], "asked", reason, now)
                _update(connection, row["id"], values)
            row = connection.execute(there).mappings().one()
        return rows.subscriber(row), row["asked"]

    def unasked(self, now: datetime, most: int) -> list[Subscriber]:
        """Return some of those who are pending and whom no mail asks, the first ones first.

        They were never asked, or just now by a process that was killed before it wrote the mail.
        """
        key = sa.literal(QUESTION) + sa.cast(subscribers.c.id, sa.Text) + ":"
        written = sa.exists().where(messages.c.key > key, messages.c.key < key + "~")
        cut_short = (subscribers.c.asked > now - ASK_AGAIN) & ~written
        query = (
            sa.select(subscribers)
            .where(subscribers.c.state == PENDING, subscribers.c.asked.is_(None) | cut_short)
            .order_by(subscribers.c.id)
            .limit(most)
        )
        with self._database.read() as connection:
            return [rows.subscriber(row) for row in connection.execute(query).mappings()]

    def confirm(self, number: int, asked: datetime, now: datetime, reason: str) -> bool:
        """Begin a subscription by its person's own answer to the question of that moment.

        Returns False, and changes nothing, when that isn't the question that is open. The links of a
        subscription that had ended are dead from now on.
        """
        open_one = sa.select(subscribers).where(
            subscribers.c.id == number, subscribers.c.asked == asked
        )
        with self._database.write() as connection:
            row = connection.execute(open_one).mappings().first()
            if row is None:
                return False
            values: dict[str, object] = {"state": ACTIVE, "asked": None}
            if row["state"] in GONE:
                values["token_version"] = row["token_version"] + 1
                _begin_anew(connection, number)
            _update(connection, number, values)
            _log(connection, number, ACTIVE, reason, now)
        return True

    def suppress(self, number: int, kind: str, now: datetime, reason: str) -> bool:
        """End a subscription: `bounced`, `unsubscribed` or `complained`; return whether that is news.

        The address stays on record, so that no import brings it back. An open question counts no more,
        and mail that waits for them goes nowhere. A weaker kind doesn't take a stronger one's place.
        """
        one = sa.select(subscribers.c.state).where(subscribers.c.id == number)
        with self._database.write() as connection:
            before = connection.scalar(one)
            if before is None:
                return False
            _update(connection, number, {"asked": None})
            _stop_mail(connection, number, now)
            if rank(before) >= rank(kind):
                return False
            _update(connection, number, {"state": kind})
            _log(connection, number, kind, reason, now)
        return True

    def change(self, number: int, wish: Wish, now: datetime, reason: str) -> None:
        """Record what a subscriber wants from now on; the address stays as it is."""
        with self._database.write() as connection:
            row = (
                connection.execute(sa.select(subscribers).where(subscribers.c.id == number))
                .mappings()
                .first()
            )
            values = _changes(row, wish, row["state"]) if row is not None else {}
            if values:
                _update(connection, number, values)
                _log(connection, number, "changed", reason, now)

    def raise_version(self, number: int, version: int) -> None:
        """Let no links of an earlier version of a subscription hold."""
        older = (subscribers.c.id == number) & (subscribers.c.token_version < version)
        with self._database.write() as connection:
            connection.execute(sa.update(subscribers).where(older).values(token_version=version))

    def erase(self, number: int, now: datetime, reason: str) -> None:
        """Take a person off the record with all that belongs to them; the number is never given again.

        Of them remains that somebody with this number was erased, and when.
        """
        with self._database.write() as connection:
            forget(connection, [number])
            _log(connection, number, ERASED, reason, now)
        self._database.wipe()

    def count(self) -> dict[str, int]:
        """Return how many subscribers are in each state."""
        query = sa.select(subscribers.c.state, sa.func.count()).group_by(subscribers.c.state)
        with self._database.read() as connection:
            return pairs(connection, query)


def normalise(email: str) -> str:
    """Return an address as it is compared and kept: no outer spaces, the domain in lower case.

    The local part is case-sensitive by RFC 5321, section 2.4, but no provider of today tells cases
    apart, and one person must not be two subscribers: it is folded, too.

    Raises:
        ValueError: it is no address of the form name@domain.
    """
    address = email.strip()
    local, at, domain = address.rpartition("@")
    bad = any(character.isspace() or not character.isprintable() for character in address)
    quotes = any(mark in address for mark in '<>()[]\\,;:"')
    if not (at and local and domain) or bad or quotes or "@" in local or len(address) > 254:  # noqa: PLR2004 -- RFC 5321, 4.5.3.1.3
        raise ValueError("an address has the form name@example.org")
    if "." in (local[0], local[-1], domain[0], domain[-1]) or ".." in address:
        raise ValueError("an address has the form name@example.org, without a stray dot")
    return f"{local.lower()}@{domain.lower()}"


def rank(state: str) -> int:
    """Return how strongly someone is gone: 0 not at all, the most when erased."""
    return (ACTIVE, *GONE, ERASED).index(state) if state != PENDING else 0


_NO_WISHES: dict[str, object] = {"channels": [], "editions": [], "languages": []}


def _fresh(wish: Wish, state: str, now: datetime) -> dict[str, object]:
    fresh = {"email": wish.email, "state": state, "joined": now, "token_version": 1}
    return _NO_WISHES | _wishes(wish) | fresh


def _wishes(wish: Wish) -> dict[str, object]:
    """Return the columns that a wish says something of."""
    said = {"channels": wish.channels, "editions": wish.editions, "languages": wish.languages}
    return {key: list(value) for key, value in said.items() if value is not None}


def _changes(row: sa.RowMapping, wish: Wish, state: str) -> dict[str, object]:
    """Return what a wish changes of a subscriber on record."""
    values = {key: value for key, value in _wishes(wish).items() if row[key] != value}
    if row["state"] in GONE and state not in GONE:
        again = {"state": state, "asked": None, "token_version": row["token_version"] + 1}
        return values | again
    if row["state"] == PENDING and state == ACTIVE:
        values |= {"state": ACTIVE, "asked": None}
    return values


def _update(connection: sa.Connection, number: int, values: Mapping[str, object]) -> None:
    if values:
        update = sa.update(subscribers).where(subscribers.c.id == number)
        connection.execute(update.values(**values))


def _begin_anew(connection: sa.Connection, number: int) -> None:
    """Forget what came back from a subscription that had ended."""
    connection.execute(sa.delete(bounces).where(bounces.c.subscriber == number))


def _stop_mail(connection: sa.Connection, number: int, now: datetime) -> None:
    """Let no question go out that a subscriber has answered by leaving."""
    open_states = (DeliveryState.QUEUED, DeliveryState.DEFERRED, DeliveryState.UNCERTAIN)
    waiting = messages.c.state.in_(open_states)
    stop = sa.update(messages).where(messages.c.subscriber == number, waiting)
    connection.execute(stop.values(state=DeliveryState.SUPPRESSED, data=None, at=now))


def _by_address(connection: sa.Connection, emails: Sequence[str]) -> dict[str, sa.RowMapping]:
    found: dict[str, sa.RowMapping] = {}
    for some in chunks(emails):
        query = sa.select(subscribers).where(subscribers.c.email.in_(some))
        found |= {row["email"]: row for row in connection.execute(query).mappings()}
    return found


def _insert_all(
    connection: sa.Connection, wishes: Sequence[Wish], state: str, reason: str, now: datetime
) -> None:
    connection.execute(sa.insert(subscribers), [_fresh(wish, state, now) for wish in wishes])
    there = _by_address(connection, [wish.email for wish in wishes])
    logged = [
        {"subscriber": row["id"], "kind": state, "text": reason, "at": now}
        for row in there.values()
    ]
    connection.execute(sa.insert(consents), logged)


def _log(connection: sa.Connection, subscriber: int, kind: str, text: str, now: datetime) -> None:
    values = {"subscriber": subscriber, "kind": kind, "text": text, "at": now}
    connection.execute(sa.insert(consents).values(values))
