"""The corridor's last verbs: compose what a slot carries, and send it."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from feeds import app as opened
from feeds import channels, editions, outbox, slots, tokens
from feeds.app import App
from feeds.config import EditionSettings
from feeds.errors import DeliveryError, StoreError
from feeds.model import Delivery, DeliveryState, Edition, EntryId, Letter, Mix, Subscriber
from feeds.pipeline.progress import Progress, quiet, report
from feeds.store.editions import COMPOSED, OPEN, SKIPPED, WAITING, Slotted, Turn
from feeds.store.notes import Note
from feeds.store.subscribers import ACTIVE

log = logging.getLogger(__name__)

_MISSED = 101  # slots that are looked back to, the latest one included
_LEASE = timedelta(minutes=1)
_IN_TURN = timedelta(days=2)  # a letter that fails for longer holds up no other
_SUBJECTS = 10  # earlier subjects that a new one must differ from


def compose(app: App, now: datetime) -> Counter[str]:
    """Decide the slots that have come, of each edition; count the `composed`, `skipped` and `failed`.

    The record holds the truth: what has come is put there as due, claimed by lease, and decided once.
    Only the latest slot can be composed: after a downtime one edition covers the gap, and the slots
    before it that nothing decided, the last 100 at most, are skipped. While nothing was ever put on
    record no slot is used up, so that the first run that reads something has its edition.
    """
    done: Counter[str] = Counter()
    through = app.store.entries.last_seq()
    for settings in app.settings.editions if through else ():
        _fall_due(app, settings, now)
        turns = [turn for turn in app.store.editions.due(settings.name) if turn.fires <= now]
        for turn in turns:
            done.update(_take_turn(app, settings, turn, now, through, latest=turn == turns[-1]))
    return done


def _fall_due(app: App, settings: EditionSettings, now: datetime) -> None:
    """Put on record what has come of an edition's schedule since its last decided slot."""
    schedule = _schedule(app, settings)
    slot, last = slots.latest(schedule, now), app.store.editions.last_fires(settings.name)
    if slot is None or (last is not None and last >= slot.fires):
        return  # nothing has come, or the clock was set back: what is decided stays so
    come = slots.between(schedule, last, slot.fires)[-_MISSED:] if last else (slot,)
    app.store.editions.fall_due([Turn(settings.name, one.text, one.fires) for one in come])


def _take_turn(  # noqa: PLR0913 -- a slot, and what decides it
    app: App,
    settings: EditionSettings,
    turn: Turn,
    now: datetime,
    through: int,
    *,
    latest: bool,
) -> list[str]:
    """Decide one due slot under a lease; return what it became, nothing when it stays due."""
    slot = slots.Slot(turn.fires, turn.slot)
    if not app.store.editions.claim(turn, app.worker, now, now + _LEASE):
        return []
    if not latest:
        return _record(app, settings.name, slot, now, through)
    done = _decide(app, settings, slot, now, through)
    if done in ([], ["failed"]):
        app.store.editions.give_back(turn)
    return done


def compose_now(app: App, now: datetime) -> Counter[str]:
    """Compose every edition that has something new, whatever its schedule says."""
    done: Counter[str] = Counter()
    through = app.store.entries.last_seq()
    for settings in app.settings.editions:
        slot = _moment(app, settings, now)
        done.update(_decide(app, settings, slot, now, through, by_hand=True))
    return done


def fresh(app: App, now: datetime) -> list[Edition]:
    """Return what `compose_now` would compose; changes nothing."""
    through = app.store.entries.last_seq()
    made = [
        _compose(app, settings, _moment(app, settings, now), now, through)
        for settings in app.settings.editions
    ]
    return [one for one in made if isinstance(one, Edition)]


def preview(app: App, now: datetime) -> list[Edition]:
    """Return, for each edition, what would be composed now, else its latest; changes nothing."""
    new = {one.name: one for one in fresh(app, now)}
    found: list[Edition] = []
    for settings in app.settings.editions:
        latest = app.store.editions.last(settings.name, composed=True)
        if settings.name in new:
            found.append(new[settings.name])
        elif latest is not None:
            found.append(thaw(latest))
    return found


def upcoming(app: App, now: datetime) -> list[tuple[str, slots.Slot]]:
    """Return the next slot of each edition, by name, the soonest first."""
    coming = [
        (settings.name, slot)
        for settings in app.settings.editions
        for slot in slots.upcoming(_schedule(app, settings), now, 1)
    ]
    return sorted(coming, key=lambda pair: pair[1].fires)


def thaw(slotted: Slotted) -> Edition:
    """Return the edition of a slot that was not skipped."""
    return editions.from_json(slotted.content or "")


def _compose(
    app: App, settings: EditionSettings, slot: slots.Slot, now: datetime, through: int
) -> Edition | editions.Reason:
    earlier = app.store.editions.newest(settings.name, composed=True, limit=_SUBJECTS)
    fresh = app.store.entries.arrived(earlier[0].through if earlier else 0, through)
    listed = app.publication.channels
    return editions.compose(
        fresh,
        editions.Occasion(
            slot=slot.text,
            fires=slot.fires,
            now=now,
            first=not earlier,
            subjects=frozenset(thaw(one).subject for one in earlier),
        ),
        editions.Terms(
            name=settings.name,
            timezone=_zone(app, settings),
            channels=settings.channels,
            languages=settings.languages,
            wait=settings.wait,
            max_age=settings.max_age,
            limit=settings.max_entries,
            subject=settings.subject,
        ),
        app.publication,
        {entry.id: channels.secondary(entry.topics, listed) for entry in fresh},
    )


def _decide(  # noqa: PLR0913 -- a slot, and what decides it
    app: App,
    settings: EditionSettings,
    slot: slots.Slot,
    now: datetime,
    through: int,
    *,
    by_hand: bool = False,
) -> list[str]:
    """Put a slot on record with what was made of it; one `by_hand` only when something is new.

    Returns `composed`, `skipped` or `failed`, or nothing when the slot waits or is decided already.
    """
    try:
        made = _compose(app, settings, slot, now, through)
        edition = made if isinstance(made, Edition) else None
        if edition is None and (by_hand or made is editions.Reason.WAITING):
            return []
        return _record(app, settings.name, slot, now, through, edition)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 -- one edition never stops the others
        report(log, error, "edition failed", settings.name)
        return ["failed"]


def _record(  # noqa: PLR0913, PLR0917 -- what stands on record of a slot
    app: App,
    name: str,
    slot: slots.Slot,
    now: datetime,
    through: int,
    edition: Edition | None = None,
) -> list[str]:
    """Record a slot, skipped without an edition; return what it became, if nothing had decided it."""
    content = editions.as_json(edition) if edition else None
    message_ids = _message_ids(app, name, slot.text) if edition else {}
    state = (COMPOSED if message_ids else OPEN) if edition else SKIPPED
    slotted = Slotted(0, name, slot.text, slot.fires, state, through, now, content)
    if not app.store.editions.record(slotted, message_ids):
        return []
    log.info("edition %s name=%s slot=%s", state, name, slot.text)
    return ["composed" if edition else "skipped"]


def _message_ids(app: App, name: str, slot: str) -> dict[int, str]:
    """Return the Message-ID of each active subscriber of an edition's name."""
    key, domain = opened.secret(app), opened.mail_domain(app)
    return {
        person.id: tokens.message_id(key, name, slot, person.id, domain)
        for person in app.store.subscribers.all(ACTIVE)
        if not person.editions or name in person.editions
    }


def _schedule(app: App, settings: EditionSettings) -> slots.Schedule:
    return slots.parse(settings.cron, _zone(app, settings))


def _zone(app: App, settings: EditionSettings) -> str:
    return settings.timezone or app.publication.timezone


def _moment(app: App, settings: EditionSettings, now: datetime) -> slots.Slot:
    """Return a slot outside the schedule, for an edition that is composed by hand."""
    return slots.Slot(now, f"{now.astimezone(ZoneInfo(_zone(app, settings))):%Y-%m-%dT%H:%M}")


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
        app.store.editions.join(one.id, _message_ids(app, one.name, one.slot), now)
    return app.store.editions.unsent()


def _open(app: App) -> list[Slotted]:
    """Return the editions that were composed while nobody subscribed, until their next slot."""
    latest = [app.store.editions.last(settings.name) for settings in app.settings.editions]
    return [one for one in latest if one is not None and one.state == OPEN]


def _states(*, again: bool) -> tuple[DeliveryState, ...]:
    """Return the states of deliveries that are to be made."""
    return (*WAITING, DeliveryState.WRITTEN) if again else WAITING


def waiting(app: App, *, again: str | None = None) -> list[tuple[Slotted, list[Subscriber]]]:
    """Return the editions with letters to deliver and who would get one now; changes nothing.

    `again` is a slot whose letters would be repeated.
    """
    people = {person.id: person for person in app.store.subscribers.all(ACTIVE)}
    slotted = app.store.editions.find(again) if again else app.store.editions.unsent()
    states = _states(again=bool(again))
    queued = {
        one: {delivery.subscriber for delivery in app.store.editions.deliveries(one.id, *states)}
        for one in slotted
    }
    for one in [] if again else _open(app):
        had = {delivery.subscriber for delivery in app.store.editions.deliveries(one.id)}
        joined = set(_message_ids(app, one.name, one.slot)) - had
        queued[one] = queued.get(one, set()) | joined
    return [(one, [people[n] for n in sorted(who) if n in people]) for one, who in queued.items()]


def send(
    app: App,
    slotted: Slotted,
    *,
    only: str | None = None,
    again: bool = False,
    progress: Progress = quiet,
) -> Counter[str]:
    """Deliver the queued letters of an edition; count the deliveries by the state they end in.

    `only` names one address; `again` also repeats what was delivered, to the same bytes. Who still waits
    for an earlier edition of the last two days waits for this one, too: what a letter carries depends
    on those before it. While sending is stopped nothing is delivered, and nothing counted.
    """
    if held(app):
        return Counter()
    states = _states(again=again)
    edition = thaw(slotted)
    people = {person.id: person for person in app.store.subscribers.all(ACTIVE)}
    done: Counter[str] = Counter()
    since = app.now() - _IN_TURN
    behind = set() if again else app.store.editions.kept_waiting(slotted.id, since)
    queued = [
        one
        for one in app.store.editions.deliveries(slotted.id, *states)
        if one.subscriber not in behind
    ]
    for delivery in progress("Writing letters", queued):
        person = people.get(delivery.subscriber)
        if only is None or (person is not None and person.email == only):
            done[_deliver(app, edition, delivery, person)] += 1
    return done


def _deliver(
    app: App, edition: Edition, delivery: Delivery, person: Subscriber | None
) -> DeliveryState:
    now = app.now()
    record = app.store.editions.settle
    if person is None:  # left since; what was delivered before stays so on record
        if delivery.state in WAITING:
            record(delivery, DeliveryState.SUPPRESSED, now)
        return DeliveryState.SUPPRESSED
    among = [brief.entry for brief in edition.briefs]
    person, received = app.store.editions.freeze(delivery, person, among)
    mix = editions.selection(edition, person, received)
    if mix is None:  # nothing in it for them
        record(delivery, DeliveryState.SUPPRESSED, now)
        return DeliveryState.SUPPRESSED
    try:
        made = letter(app, mix, person, delivery.message_id)
        state = transport(app).deliver(delivery, made)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 -- one letter never stops the others
        report(log, error, "delivery failed", f"{edition.name} {delivery.id}")
        final = isinstance(error, DeliveryError) and error.permanent
        state = DeliveryState.FAILED if final else DeliveryState.DEFERRED
        record(delivery, state, now, error=str(error))
        return state
    record(delivery, state, now, carried=_carried(mix))
    return state


def transport(app: App) -> outbox.Transport:
    """Return how letters leave, as configured."""
    return {"folder": outbox.Folder(app.outbox)}[app.settings.mail.transport]


def _carried(mix: Mix) -> list[EntryId]:
    return [brief.entry for section in mix.sections for brief in section.briefs]


def letter(app: App, mix: Mix, person: Subscriber, message_id: str) -> Letter:
    """Return a subscriber's mix of an edition as a letter."""
    from feeds import letters  # noqa: PLC0415 -- Jinja2, 0.1 s

    key = opened.secret(app)
    sender, domain = opened.sender(app), opened.mail_domain(app)
    number, version = str(person.id), str(person.token_version)
    identity = letters.MailIdentity(
        sender=sender,
        domain=domain,
        message_id=message_id,
        unsubscribe=f"{number}.{tokens.mint(key, 'unsubscribe', number, version)}",
        reply_to=app.settings.mail.reply_to,
    )
    return letters.render(mix, person, app.publication, identity)
