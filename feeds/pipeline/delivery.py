"""The corridor's last verb: the letters of an edition go out.

A letter is made from a draft that is on record before the first of its letters goes, so that one that
goes again is the same to the byte, whatever changed since.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from feeds import app as opened
from feeds import editions, outbox, tokens
from feeds.app import App
from feeds.errors import DeliveryError, StoreError, UsageError
from feeds.model import Delivery, DeliveryState, Edition, Letter, Mix, Subscriber
from feeds.pipeline import despatch, messages, post, returns, subscriptions, suppressed
from feeds.pipeline.composing import message_ids, thaw
from feeds.pipeline.despatch import Pace, Parcel
from feeds.pipeline.progress import Progress, quiet, report
from feeds.store.deliveries import REPEATED, Frozen
from feeds.store.editions import OPEN, PASSED, Slotted
from feeds.store.notes import Note
from feeds.store.outgoing import WAITING, Ended
from feeds.store.subscribers import ACTIVE

if TYPE_CHECKING:
    from feeds.letters import Draft

log = logging.getLogger(__name__)

_IN_TURN = timedelta(days=2)  # a letter that fails for longer holds up no other
_BATCH = 100  # letters that are claimed at once
_UNHURRIED = 10  # the same, where a rate keeps them apart
_DRAFTS = 128  # that are kept in memory, of some 50 kB each

Wanted = list[tuple[Delivery, Subscriber]]


def held(app: App) -> str | None:
    """Return why sending is stopped, since a restore, or None; `let_go` lifts it."""
    return app.store.notes.read(Note.HELD)


def let_go(app: App) -> bool:
    """Lift the stop of sending; return whether there was one."""
    lifted = app.store.notes.strike(Note.HELD)
    if lifted:
        log.info("sending released")
    return lifted


def due(app: App, now: datetime) -> list[Slotted]:
    """Return the editions with letters to deliver, in the order they were composed.

    An edition composed while nobody subscribed stays open until the next slot of its name: those who
    have joined since are queued for it. While sending is stopped nothing is due.
    """
    if held(app):
        return []
    for one in _open(app):
        app.store.deliveries.join(one.id, message_ids(app, one.name, one.slot), now)
    return app.store.editions.unsent()


def queue_for(app: App, email: str, now: datetime) -> None:
    """Queue the latest editions for one who subscribed after they were composed; asked for by hand."""
    person = app.store.subscribers.find(email)
    for settings in app.settings.editions:
        one = app.store.editions.last(settings.name, composed=True)
        wanted = not person.editions or settings.name in person.editions
        if one is not None and wanted and person.state == ACTIVE and not held(app):
            key, domain = opened.secret(app), opened.mail_domain(app)
            mine = tokens.message_id(key, one.name, one.slot, person.id, domain)
            app.store.deliveries.join(one.id, {person.id: mine}, now)


def _open(app: App) -> list[Slotted]:
    """Return the editions that were composed while nobody subscribed, until their next slot."""
    latest = [app.store.editions.last(settings.name) for settings in app.settings.editions]
    return [one for one in latest if one is not None and one.state == OPEN]


def waiting(app: App, *, again: str | None = None) -> list[tuple[Slotted, list[Subscriber]]]:
    """Return the editions with letters to deliver and who would get one now; changes nothing.

    `again` is a slot whose letters would be repeated.
    """
    people = {person.id: person for person in app.store.subscribers.all(ACTIVE)}
    slotted = repeatable(app, again) if again else app.store.editions.unsent()
    states = REPEATED if again else WAITING
    now = None if again else app.now()
    queued: dict[Slotted, set[int]] = {
        one: {person.id for page in _pages(app, one, states, now) for _, person in page}
        for one in slotted
    }
    for one in [] if again else _open(app):
        had = {delivery.subscriber for delivery in app.store.deliveries.of(one.id)}
        joined = set(message_ids(app, one.name, one.slot)) - had
        queued[one] = queued.get(one, set()) | joined
    return [(one, [people[n] for n in sorted(who) if n in people]) for one, who in queued.items()]


def repeatable(app: App, slot: str) -> list[Slotted]:
    """Return the editions of a slot whose letters can be repeated: not those that were passed over.

    Raises:
        UsageError: one waits for approval.
    """
    found = [one for one in app.store.editions.find(slot) if one.state not in PASSED]
    if waits := next((one for one in found if one.waits), None):
        raise UsageError(
            f"{waits.name} {slot} waits for approval: `feeds edition approve {slot}` lets it go"
        )
    return found


def awaits_hand(app: App) -> bool:
    """Whether letters wait for a person to send the first ones over SMTP, by `feeds send`."""
    return app.settings.mail.transport == "smtp" and app.store.notes.read(Note.MAILED) is None


def begin(app: App) -> None:
    """Let letters go over SMTP without a person, from now on."""
    app.store.notes.settle(Note.MAILED, app.now().astimezone(UTC).isoformat())


def deliver(
    app: App,
    now: datetime,
    *,
    by_hand: bool = False,
    progress: Progress = quiet,
    pace: Pace | None = None,
) -> Counter[str]:
    """Send what is due, messages before letters; count the letters by the state they end in.

    Unless it is done `by_hand`, a server in trouble is left in peace for a while, and the first letters
    over SMTP wait for a person. The caller holds the lock.

    Raises:
        ConfigError: by this configuration nothing may leave.
    """
    done: Counter[str] = Counter()
    if held(app):
        return done
    _prepare(app, now)
    by_smtp = app.settings.mail.transport == "smtp"
    if by_smtp and (passed := app.store.deliveries.pass_over(now)):
        done[DeliveryState.SUPPRESSED] += passed
        log.warning("letters passed over, since the next edition has come count=%d", passed)
    given_up = app.store.deliveries.give_up(now, now - app.settings.mail.give_up)
    if given_up:
        log.warning("letters given up count=%d", given_up)
        done[DeliveryState.FAILED] += given_up
    known = post.trouble(app)
    if known is not None and now < known.until and not by_hand:
        return done
    pace = pace or Pace(app.settings.mail.rate)
    subscriptions.ask_pending(app, now)
    messages.send(app, now, pace)
    slotted = due(app, now)
    if slotted and awaits_hand(app) and not by_hand:
        log.info("letters wait: the first ones over SMTP go by `feeds send`")
        return done
    for one in slotted:
        if pace.cut:
            break
        done += send(app, one, progress=progress, pace=pace)
    if by_hand and done[DeliveryState.SENT]:
        begin(app)
    return done


def send(  # noqa: PLR0913 -- an edition, to whom, how fast
    app: App,
    slotted: Slotted,
    *,
    only: str | None = None,
    again: bool = False,
    progress: Progress = quiet,
    pace: Pace | None = None,
) -> Counter[str]:
    """Deliver the queued letters of an edition; count the deliveries by the state they end in.

    `only` names one address; `again` also repeats what was delivered, to the same bytes. Who still waits
    for an earlier edition of the last two days waits for this one, too: what a letter carries depends
    on those before it. While sending is stopped nothing is delivered, and nothing counted.
    """
    if held(app):
        return Counter()
    _prepare(app, app.now())
    number = app.store.subscribers.find(only).id if only is not None else None
    if again:
        by_smtp = app.settings.mail.transport == "smtp"
        app.store.deliveries.again(slotted.id, number, anew=by_smtp)
    since = app.now() - _IN_TURN
    behind = set() if again else app.store.deliveries.kept_waiting(slotted.id, since)
    total = app.store.deliveries.number(slotted.id, WAITING, app.now())
    pages = _shown(_pages(app, slotted, WAITING, app.now()), progress, total)
    table = Table(app, slotted)
    wanted = (
        [pair for pair in page if pair[1].id not in behind and number in {None, pair[1].id}]
        for page in pages
    )
    by_smtp = app.settings.mail.transport == "smtp"
    done = _post(table, wanted, total, pace) if by_smtp else _file(table, wanted)
    return done + table.done


def _prepare(app: App, now: datetime) -> None:
    """Refuse what may not leave, settle what a kill left, and learn who is to get nothing any more."""
    post.check(app.settings)
    post.recover(app)
    suppressed.catch_up(app, now)


def _pages(
    app: App, slotted: Slotted, states: Sequence[DeliveryState], now: datetime | None
) -> Iterator[Wanted]:
    after = 0
    size = _UNHURRIED if app.settings.mail.rate else _BATCH
    while page := app.store.deliveries.page(slotted.id, states, now, after=after, limit=size):
        yield page
        after = page[-1][0].id


def _shown(pages: Iterator[Wanted], progress: Progress, total: int) -> Iterator[Wanted]:
    """Yield pages while progress goes on; it ends early when it is asked to stop."""
    steps = iter(progress("Sending letters", range(total)))
    for page in pages:
        taken = [pair for pair, _ in zip(page, steps, strict=False)]
        yield taken
        if len(taken) < len(page):
            return


@dataclass(slots=True)
class Table:
    """An edition on the table: its drafts, rendered once, and what was settled without sending."""

    app: App
    slotted: Slotted
    done: Counter[str] = field(default_factory=Counter)
    edition: Edition = field(init=False)
    fixed: bool = False
    drafts: OrderedDict[int, Draft | None] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.edition = thaw(self.slotted)

    def lay(self, wanted: Wanted) -> Iterator[tuple[Delivery, Subscriber, Draft]]:
        """Yield what is to be sent with its draft; settle what isn't: who left, or has nothing in it."""
        store, now = self.app.store.deliveries, self.app.now()
        gone = [one.id for one, person in wanted if person.state != ACTIVE]
        if gone:
            store.suppress(gone, now, "left before it was sent")
            self.done[DeliveryState.SUPPRESSED] += len(gone)
        here = [pair for pair in wanted if pair[1].state == ACTIVE]
        if not here:
            return
        of = store.freeze(here, editions.mentioned(self.edition))
        if not self.fixed:  # an editor may have changed it until there was a draft
            self.edition, self.fixed = thaw(self.app.store.editions.get(self.slotted.id)), True
        frozen = store.drafts(number for number in of.values() if number not in self.drafts)
        empty = []
        for delivery, person in sorted(here, key=lambda pair: (of[pair[0].id], pair[0].id)):
            try:
                draft = self._draft(of[delivery.id], frozen, person)
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 -- one letter never stops the others
                self.spoil(delivery, error)
                continue
            if draft is None:
                empty.append(delivery.id)
            else:
                yield delivery, person, draft
        if empty:
            store.suppress(empty, now, "nothing in it for them")
            self.done[DeliveryState.SUPPRESSED] += len(empty)

    def _draft(self, number: int, frozen: dict[int, Frozen], person: Subscriber) -> Draft | None:
        from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

        if number not in self.drafts:
            known = frozen[number]
            if not known.rendered:
                known = self._render(known, person)
            content = known.content
            self.drafts[number] = letters.load(content) if content is not None else None
            if len(self.drafts) > _DRAFTS:
                self.drafts.popitem(last=False)
        return self.drafts[number]

    def _render(self, frozen: Frozen, person: Subscriber) -> Frozen:
        """Render a draft and put it on record, before the first letter made from it goes."""
        from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

        wishes = replace(person, channels=frozen.channels, languages=frozen.languages)
        mix = editions.selection(self.edition, wishes, frozen.received)
        if mix is None:
            return self.app.store.deliveries.keep(frozen, None, ())
        made = letters.draft(mix, wishes, self.app.publication, post.identity(self.app))
        content = letters.dump(made)
        return self.app.store.deliveries.keep(frozen, content, made.entries)

    def spoil(self, delivery: Delivery, error: Exception) -> None:
        """Record that a letter can't be made or written."""
        report(log, error, "delivery failed", f"{self.edition.name} {delivery.id}")
        final = isinstance(error, DeliveryError) and error.permanent
        state = DeliveryState.FAILED if final else DeliveryState.DEFERRED
        ended = Ended(delivery.id, state, error=str(error))
        self.app.store.deliveries.mark([ended], [], self.app.now())
        self.done[state] += 1


def _post(table: Table, pages: Iterator[Wanted], count: int, pace: Pace | None) -> Counter[str]:
    """Send letters by SMTP."""
    app = table.app
    make = post.maker(app, table.edition.composed)
    parcels = ([_parcel(make, *laid) for laid in table.lay(wanted)] for wanted in pages)
    outcome = despatch.despatch(
        app.store.deliveries,
        parcels,
        post.connector(app),
        post.rules(app, count),
        app.now,
        pace or Pace(app.settings.mail.rate),
    )
    what = f"edition={table.edition.name} slot={table.edition.slot}"
    post.tell(outcome, what)
    for parcel, error in outcome.refusals:
        if error.permanent and parcel.subscriber is not None:
            returns.smtp_refusal(
                app, parcel.subscriber, table.slotted.id, error.status, error.code, app.now()
            )
    post.remember(app, outcome)
    return Counter({state.value: number for state, number in outcome.done.items()})


def letter(app: App, mix: Mix, person: Subscriber, message_id: str) -> Letter:
    """Return a mix as a letter to one person; nothing of it goes on record."""
    from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

    made = letters.draft(mix, person, app.publication, post.identity(app))
    return post.maker(app, mix.edition.composed)(made, message_id, person)


def _parcel(
    make: post.Maker,
    delivery: Delivery,
    person: Subscriber,
    draft: Draft,
) -> Parcel:
    return Parcel(
        id=delivery.id,
        domain=person.email.rpartition("@")[2],
        tries=delivery.tries,
        make=partial(make, draft, delivery.message_id, person),
        subscriber=person.id,
    )


def _file(table: Table, pages: Iterator[Wanted]) -> Counter[str]:
    """Write letters as files."""
    app, done = table.app, Counter[str]()
    folder, make = outbox.Folder(app.outbox), post.maker(app, table.edition.composed)
    for wanted in pages:
        ended: list[Ended] = []
        for delivery, person, draft in table.lay(wanted):
            try:
                letter = make(draft, delivery.message_id, person)
                state = folder.deliver(delivery, letter)
            except Exception as error:  # noqa: BLE001 -- one letter never stops the others
                app.store.deliveries.mark(ended, [], app.now())
                ended.clear()
                table.spoil(delivery, error)
                continue
            ended.append(Ended(delivery.id, state))
            done[state] += 1
        app.store.deliveries.mark(ended, [], app.now())
    return done
