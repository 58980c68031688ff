"""An edition as it stands on record: JSON, and what an editor took out of it. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime

from feeds.model import Brief, Correction, Edition, EntryId


def as_json(edition: Edition, left_out: Collection[EntryId] = ()) -> str:
    """Return an edition as JSON, for the record; `from_json` is the inverse.

    `left_out` are the entries that an editor dropped from it: no later edition of its name takes them,
    even when this one never went.
    """
    values = asdict(edition) | {"composed": edition.composed.isoformat()}
    if left_out:
        values["dropped"] = sorted(left_out)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Edition:
    """Return the edition that `as_json` wrote.

    Raises:
        ValueError: the text is no edition.
    """
    try:
        values = json.loads(text)
        values.pop("dropped", None)
        values["composed"] = datetime.fromisoformat(values["composed"])
        values["channels"] = tuple((slug, title) for slug, title in values["channels"])
        values["briefs"] = tuple(
            Brief(**brief | {"also": tuple(brief["also"])}) for brief in values["briefs"]
        )
        values["corrections"] = tuple(
            Correction(**one | {"channels": tuple(one["channels"])})
            for one in values.get("corrections", ())
        )
        return Edition(**values)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no edition: {error}") from error


def dropped(text: str) -> frozenset[EntryId]:
    """Return the entries that an editor dropped from the edition that `as_json` wrote."""
    return frozenset(map(EntryId, json.loads(text).get("dropped", ())))
