"""What the templates of letters are filled with. Pure.

`email`, `leave`, `manage`, `address` and `leave_subject` are a subscriber's own: the template gets a
marker for each, and is cut at them. A template may place them anywhere but can't change them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from feeds.errors import TemplateError
from feeds.letters import words
from feeds.letters.words import Say
from feeds.model import Mix, Section, Subscriber
from feeds.publication import Publication
from feeds.text import shorten

_PREVIEW_LIMIT = 140  # characters after the subject that an inbox may show
_PARAGRAPHS = re.compile(r"\n\s*\n")
_PERSONAL = ("email", "leave", "manage", "address", "leave_subject")


@dataclass(frozen=True, slots=True)
class Markers:
    """What stands for personal values while a template is rendered.

    They are made from all that the template is filled with, so that nothing in it can hold one; but not
    from where the templates lie: a letter is the same on every machine.
    """

    stem: str

    @staticmethod
    def over(*values: object) -> Markers:
        """Return the markers of a letter that is made from these values."""
        values = tuple(
            replace(one, templates=()) if isinstance(one, Publication) else one for one in values
        )
        return Markers("q" + hashlib.sha256(repr(values).encode()).hexdigest()[:20])

    def __getitem__(self, name: str) -> str:
        return f"{self.stem}{_PERSONAL.index(name)}z"

    def cut(self, template: str, text: str) -> tuple[str, ...]:
        """Return literal text and names of personal values by turns.

        Raises:
            TemplateError: the template changed a value, as by `|upper` or `|truncate`.
        """
        found = re.split(f"{self.stem}([0-{len(_PERSONAL) - 1}])z", text)
        if any(self.stem[:6] in literal.lower() for literal in found[::2]):
            names = ", ".join(_PERSONAL)
            raise TemplateError(template, None, f"changes one of {names}, which stay as they are")
        return tuple(_PERSONAL[int(piece)] if at % 2 else piece for at, piece in enumerate(found))


def language(wishes: Subscriber, publication: Publication) -> str:
    """Return the language of a letter: the first wished for that has words, else the publication's.

    That is English when the publication's has none.
    """
    return next(
        (tag for tag in (*wishes.languages, publication.language) if words.known(tag)), "en"
    )


def letter(
    mix: Mix, wishes: Subscriber, publication: Publication, markers: Markers, *, pages: bool
) -> dict[str, object]:
    """Return what both templates of a letter are filled with; addresses are absolute.

    `pages` says whether there are subscription pages: without them `manage` is None.
    """
    lang = language(wishes, publication)
    say = words.say(lang)
    below = _without_lead(mix)
    return {
        "say": say,
        "lang": lang,
        "mix": mix,
        "edition": mix.edition,
        "day": say.day(mix.edition.slot),
        "lead_section": _section_of_lead(mix),  # None in an edition without articles
        "sections": below,
        "related": dict(mix.related),
        "corrections": mix.corrections,
        "note": paragraphs(mix.edition.note),
        "contents": _contents(mix, say),
        "elsewhere": [section for section in below if section.more and not section.briefs],
        "preview": _preview(mix, say),
        "channels": titles(wishes.channels, publication, say),
        "web": publication.url(mix.edition.path),
        "email": markers["email"],
        "leave": markers["leave"],
        "manage": markers["manage"] if pages else None,
        "address": markers["address"],
        "leave_subject": markers["leave_subject"],
    }


def titles(slugs: Iterable[str], publication: Publication, say: Say) -> str:
    """Return the titles of channels in one line, a channel that is no more by its slug."""
    found = [(slug, publication.channel(slug)) for slug in slugs]
    named = (say.channel(slug, channel.title) if channel else slug for slug, channel in found)
    return ", ".join(named) or say("every")


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text whose blank lines part them, each as one line."""
    return [" ".join(one.split()) for one in _PARAGRAPHS.split(text) if one.strip()]


def shorter(mix: Mix) -> Mix:
    """Take the last article, the lead apart, out of the fullest section; the web copy has it.

    What stood below it as related goes, too, and is counted with it.
    """

    def spare(section: Section) -> int:
        return sum(brief != mix.lead for brief in section.briefs)

    place = max(range(len(mix.sections)), key=lambda at: (spare(mix.sections[at]), at))
    section = mix.sections[place]
    gone = [brief for brief in section.briefs if brief != mix.lead][-1]
    below = dict(mix.related).get(gone.entry, ())
    less = replace(
        section,
        briefs=tuple(brief for brief in section.briefs if brief.entry != gone.entry),
        more=section.more + 1 + len(below),
    )
    return replace(
        mix,
        sections=(*mix.sections[:place], less, *mix.sections[place + 1 :]),
        related=tuple(pair for pair in mix.related if pair[0] != gone.entry),
    )


def _contents(mix: Mix, say: Say) -> str:
    """Return the line that names the channels in the text part, and how much each has."""
    counts = (
        f"{say.channel(each.slug, each.title)} {len(each.briefs) + each.more}"
        for each in mix.sections
    )
    return f"{say('contents')}: {' · '.join(counts)}"


def _section_of_lead(mix: Mix) -> Section | None:
    return next((section for section in mix.sections if mix.lead in section.briefs), None)


def _without_lead(mix: Mix) -> list[Section]:
    """Return the sections below the lead: an article stands once in a letter."""
    return [
        replace(section, briefs=tuple(brief for brief in section.briefs if brief != mix.lead))
        for section in mix.sections
    ]


def _preview(mix: Mix, say: Say) -> str:
    """Return what an inbox shows after the subject: the next titles, else the lead's summary."""
    if mix.lead is None:
        return say("nothing")
    names = [brief.title for section in _without_lead(mix) for brief in section.briefs]
    return shorten(" · ".join(names[:3]) or mix.lead.summary, _PREVIEW_LIMIT)
