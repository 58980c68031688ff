"""What one can choose on the subscription pages, and what was chosen. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from feeds.config import EditionSettings
from feeds.letters.words import LANGUAGES, say
from feeds.model import Subscriber
from feeds.publication import Publication
from feeds.web.forms import Form
from feeds.web.words import TONGUES

KINDS = ("channels", "editions", "languages")


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be chosen: its value in the form, its name for people."""

    value: str
    title: str
    chosen: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Options of one kind, of which at least one must be chosen; `bad` says that none was."""

    kind: str
    options: tuple[Option, ...]
    bad: bool = False

    @property
    def wish(self) -> tuple[str, ...]:
        """What is wanted: nothing stands for all, also for what will be there later."""
        chosen = tuple(option.value for option in self.options if option.chosen)
        return () if len(chosen) == len(self.options) else chosen


def offered(
    publication: Publication,
    editions: Sequence[EditionSettings],
    language: str,
    person: Subscriber | None = None,
) -> tuple[Group, ...]:
    """Return what can be chosen, as the person has it now (all, for a new one).

    Only what some edition can bring. A group with one option is no choice.
    """
    words = say(language)
    taken = _taken([edition.channels for edition in editions])
    spoken = _taken([edition.languages for edition in editions]) or LANGUAGES
    there = {
        "channels": {
            channel.slug: words.channel(channel.slug, channel.title)
            for channel in publication.channels
            if not taken or channel.slug in taken
        },
        "editions": {edition.name: words.edition(edition.name) for edition in editions},
        "languages": {tag: TONGUES.get(tag, tag) for tag in spoken},
    }
    groups = [_group(kind, there[kind], person) for kind in KINDS]
    return tuple(group for group in groups if len(group.options) > 1)


def chosen(groups: Sequence[Group], form: Form) -> tuple[Group, ...]:
    """Return the groups as a form has them chosen; what isn't offered is left out."""
    found = []
    for group in groups:
        values = form.get(group.kind, ())
        options = tuple(replace(option, chosen=option.value in values) for option in group.options)
        found.append(replace(group, options=options, bad=not any(one.chosen for one in options)))
    return tuple(found)


def wishes(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """Return the wish of each kind that could be chosen."""
    return {group.kind: group.wish for group in groups}


def _group(kind: str, there: Mapping[str, str], person: Subscriber | None) -> Group:
    now: tuple[str, ...] = getattr(person, kind) if person else ()
    titles = dict(there) | {value: value for value in now if value not in there}
    options = (Option(value, title, not now or value in now) for value, title in titles.items())
    return Group(kind, tuple(options))


def _taken(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return all values of the parts, none when one of the parts takes everything."""
    return tuple(dict.fromkeys(value for part in parts for value in part)) if all(parts) else ()
