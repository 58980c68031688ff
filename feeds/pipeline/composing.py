"""The corridor's third verb: what a slot carries becomes an edition, frozen on record."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from feeds import app as opened
from feeds import channels, editions, slots, tokens
from feeds.app import App
from feeds.config import EditionSettings
from feeds.errors import StoreError
from feeds.model import Brief, Correction, Edition, Entry, EntryId
from feeds.pipeline.progress import report
from feeds.store.editions import AWAITED, COMPOSED, OPEN, SKIPPED, Slotted, Turn
from feeds.store.subscribers import ACTIVE

log = logging.getLogger(__name__)

_MISSED = 101  # slots that are looked back to, the latest one included
_LEASE = timedelta(minutes=1)
_SUBJECTS = 10  # earlier subjects that a new one must differ from
_CORRECTIONS = 20  # of an edition, at most
_LATE = timedelta(hours=1)  # a slot is missed no sooner, however short its `wait`


@dataclass(frozen=True, slots=True)
class _Case:
    """A slot that is decided: the last entry and the last change of the record that it considers.

    One that is `missed` takes what had come when it fired; one `by_hand` is made only of something new.
    """

    settings: EditionSettings
    slot: slots.Slot
    now: datetime
    through: int
    change: int
    missed: bool = False
    by_hand: bool = False

    @property
    def name(self) -> str:
        return self.settings.name


def compose(app: App, now: datetime) -> Counter[str]:
    """Decide the slots that have come, of each edition; count the `composed`, `skipped` and `failed`.

    The record holds the truth: what has come is put there as due, claimed by lease, and decided once.
    Several are due after a downtime, the last 100 at most. By `catch_up`, `merge` makes one edition for
    the latest and skips those before; `each` makes one of each, of what had come by then (see `_come`);
    `skip` also skips the latest when it fired longer ago than `wait`, an hour at least: what came
    meanwhile goes with the next. Where an editor has to approve, `each` is as `merge`: a later slot
    would supersede the earlier ones at once. While nothing was ever put on record no slot is used up,
    so that the first run that reads something has its edition.
    """
    done: Counter[str] = Counter()
    change, through = app.store.entries.last_change(), app.store.entries.last_seq()
    for settings in app.settings.editions if through else ():
        first = app.store.editions.last_fires(settings.name) is None
        latest = _fall_due(app, settings, now)
        for turn in app.store.editions.due(settings.name):
            if turn.fires > now:
                continue
            if not app.store.editions.claim(turn, app.worker, now, now + _LEASE):
                break  # another worker has it: what it takes, the next must not
            slot, missed = slots.Slot(turn.fires, turn.slot), turn.fires < latest
            case = _Case(settings, slot, now, through, change, missed=missed)
            done.update(_take_turn(app, case, turn, first=first))
    return done


def _fall_due(app: App, settings: EditionSettings, now: datetime) -> datetime:
    """Put on record what has come of an edition's schedule since its last decided slot.

    Returns when its latest slot fired, `now` when none ever did.
    """
    schedule = _schedule(app, settings)
    slot, last = slots.latest(schedule, now), app.store.editions.last_fires(settings.name)
    if slot is None:
        return now
    if last is None or last < slot.fires:  # else the clock was set back: what is decided stays so
        come = slots.between(schedule, last, slot.fires)[-_MISSED:] if last else (slot,)
        app.store.editions.fall_due([Turn(settings.name, one.text, one.fires) for one in come])
    return slot.fires


def _take_turn(app: App, case: _Case, turn: Turn, *, first: bool) -> list[str]:
    """Decide one due slot that was claimed; return what it became, nothing when it stays due.

    The `first` slot of a name, when none was ever decided, never comes too late.
    """
    settings = case.settings
    made_up = settings.catch_up == "each" and settings.approve != "required"
    late = case.now > case.slot.fires + max(settings.wait, _LATE)
    skipped = settings.catch_up == "skip" and late and not first
    if skipped or (case.missed and not made_up):
        return _record(app, case, why="missed")
    done = _decide(app, case)
    if done in ([], ["failed"]):
        app.store.editions.give_back(turn)
    return done


def compose_now(app: App, now: datetime) -> Counter[str]:
    """Compose every edition that has something new, whatever its schedule says.

    It supersedes one that waits for approval, when something came since.
    """
    done: Counter[str] = Counter()
    for case in _by_hand(app, now):
        done.update(_decide(app, case))
    return done


def fresh(app: App, now: datetime) -> list[Edition]:
    """Return what `compose_now` would compose; changes nothing."""
    made = [_compose(app, case) for case in _by_hand(app, now)]
    return [one for one in made if isinstance(one, Edition)]


def _by_hand(app: App, now: datetime) -> Iterator[_Case]:
    """Yield each edition as a case of this moment, but one that waits for approval and has all."""
    change, through = app.store.entries.last_change(), app.store.entries.last_seq()
    for settings in app.settings.editions:
        waiting = app.store.editions.awaiting(settings.name)
        if not waiting or waiting[-1].through < through:
            slot = _moment(app, settings, now)
            yield _Case(settings, slot, now, through, change, by_hand=True)


def preview(app: App, now: datetime) -> list[Edition]:
    """Return, for each name, an edition to look at; changes nothing.

    That is the one that waits for approval, else what would be composed now, else the latest.
    """
    new = {one.name: one for one in fresh(app, now)}
    found: list[Edition] = []
    for settings in app.settings.editions:
        waiting = app.store.editions.awaiting(settings.name)
        latest = app.store.editions.last(settings.name, composed=True)
        if waiting:
            found.append(thaw(waiting[-1]))
        elif settings.name in new:
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


def _compose(app: App, case: _Case) -> Edition | editions.Reason:
    settings = case.settings
    earlier = app.store.editions.made(case.name, _SUBJECTS)
    last = earlier[0] if earlier else None
    new = _new(app, case, last)
    listed = app.publication.channels
    after = last.change if last else 0
    corrections = () if case.missed else _corrections(app, case.name, after, case.change)
    return editions.compose(
        new,
        editions.Occasion(
            slot=case.slot.text,
            fires=case.slot.fires,
            now=case.now,
            first=last is None,
            subjects=frozenset(thaw(one).subject for one in earlier),
            corrections=corrections,
            missed=case.missed,
        ),
        editions.Terms(
            name=case.name,
            timezone=_zone(app, settings),
            channels=settings.channels,
            languages=settings.languages,
            wait=settings.wait,
            max_age=settings.max_age,
            limit=settings.max_entries,
            subject=_pattern(app, settings),
            empty=settings.empty == "send" and not case.by_hand,
        ),
        app.publication,
        {entry.id: channels.secondary(entry.topics, listed) for entry in new},
    )


def _pattern(app: App, settings: EditionSettings) -> str:
    """Return what subjects are made from: as configured, else in the publication's language."""
    if settings.subject != EditionSettings().subject:
        return settings.subject
    from feeds.letters import words  # noqa: PLC0415 -- only when something is composed

    return words.say(app.publication.language)("subject", lead="{lead}", n="{n}")


def _new(app: App, case: _Case, last: Slotted | None) -> list[Entry]:
    """Return the entries that the edition of a case may carry, by record sequence.

    They came after what the `last` edition considered. Editions made for missed slots considered no more
    than the one before them, so what those carried is left out by name; so is what an editor dropped
    from an edition that was superseded.
    """
    after = last.through if last else 0
    gone: set[EntryId] = set()
    for one in app.store.editions.reaching(case.name, after) if last else ():
        gone |= {brief.entry for brief in thaw(one).briefs}
        gone |= editions.dropped(one.content or "{}")
    for one in app.store.editions.superseded(case.name, after):
        gone |= editions.dropped(one.content or "{}")
    found = [one for one in app.store.entries.arrived(after, case.through) if one.id not in gone]
    if not case.missed:
        return found
    oldest = case.slot.fires - case.settings.max_age
    come = [entry for entry in found if _come(entry, case.slot.fires)]
    return [entry for entry in come if last is None or entry.best_date >= oldest]


def _come(entry: Entry, moment: datetime) -> bool:
    """Whether an entry had come by a moment: it was seen by then, or published while nobody looked."""
    return min(entry.first_seen, entry.best_date) <= moment


def _corrections(app: App, name: str, after: int, through: int) -> tuple[Correction, ...]:
    """Return what was corrected or withdrawn, after a change, of what editions of a name carried.

    The latest first.
    """

    def told() -> Iterator[Correction]:
        for one in app.store.entries.amended(after, through):
            brief = _carried(app, name, one.entry)
            if brief is not None:
                also = channels.secondary(one.entry.topics, app.publication.channels)
                yield editions.correction(one.entry, one.kind, one.at, brief, also, app.publication)

    return tuple(islice(told(), _CORRECTIONS))


def _carried(app: App, name: str, entry: Entry) -> Brief | None:
    """Return an entry as an edition of a name carried it, None when none did."""
    for one in app.store.editions.carrying(name, entry.id, entry.first_seen):
        for brief in thaw(one).briefs:
            if brief.entry == entry.id:
                return brief
    return None


def _decide(app: App, case: _Case) -> list[str]:
    """Put a slot on record with what was made of it; one by hand only when something is new.

    Returns `composed`, `skipped` or `failed`, or nothing when the slot waits or is decided already.
    """
    try:
        made = _compose(app, case)
        edition = made if isinstance(made, Edition) else None
        if edition is None and (case.by_hand or made is editions.Reason.WAITING):
            return []
        return _record(app, case, edition, why="" if edition else "nothing new")
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 -- one edition never stops the others
        report(log, error, "edition failed", case.name)
        return ["failed"]


def _record(app: App, case: _Case, edition: Edition | None = None, *, why: str = "") -> list[str]:
    """Record a slot, skipped without an edition; return what it became, if nothing had decided it."""
    content = editions.as_json(edition) if edition else None
    queued = message_ids(app, case.name, case.slot.text) if edition else {}
    state = (COMPOSED if queued else OPEN) if edition else SKIPPED
    through, change = case.through, case.change
    if case.missed:  # the rest of what there is goes with the latest slot
        last = next(iter(app.store.editions.made(case.name, 1)), None)
        through, change = (last.through, last.change) if last else (0, 0)
    slotted = Slotted(
        id=0,
        name=case.name,
        slot=case.slot.text,
        fires=case.slot.fires,
        state=state,
        through=through,
        decided=case.now,
        content=content,
        change=change,
        approval=AWAITED if edition and case.settings.approve == "required" else None,
    )
    waiting = app.store.editions.awaiting(case.name)
    if not app.store.editions.record(slotted, queued):
        return []
    for one in waiting:
        if one.fires <= case.slot.fires:
            log.warning(
                "edition superseded, not approved in time name=%s slot=%s", one.name, one.slot
            )
    said = why or ("waits for approval" if slotted.waits else "")
    log.info("edition %s name=%s slot=%s%s", state, case.name, slotted.slot, said and f": {said}")
    return ["composed" if edition else "skipped"]


def message_ids(app: App, name: str, slot: str) -> dict[int, str]:
    """Return the Message-ID of each active subscriber of an edition's name."""
    key, domain = opened.secret(app), opened.mail_domain(app)
    return {
        person.id: tokens.message_id(key, name, slot, person.id, domain)
        for person in app.store.subscribers.iterate(ACTIVE)
        if not person.editions or name in person.editions
    }


def _schedule(app: App, settings: EditionSettings) -> slots.Schedule:
    return slots.parse(settings.cron, _zone(app, settings))


def _zone(app: App, settings: EditionSettings) -> str:
    return settings.timezone or app.publication.timezone


def _moment(app: App, settings: EditionSettings, now: datetime) -> slots.Slot:
    """Return a slot outside the schedule, for an edition that is composed by hand."""
    return slots.Slot(now, f"{now.astimezone(ZoneInfo(_zone(app, settings))):%Y-%m-%dT%H:%M}")
