"""The classifier's data: made ready from bytes and text, and written as bytes by training. Pure.

The tables come in one NumPy archive (`.npz`, no pickles): for each script its `keys`, `rarity`,
`weights`, `scale` and `fit` (the numbers of `Fit` in order); `topics`, the order of columns; and
`format`. The comment of the archive, its last 32 bytes, is the BLAKE2b-128 of all before it.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from feeds.errors import ModelError
from feeds.topics import lexicon
from feeds.topics.choice import Limits
from feeds.topics.features import CYRILLIC, LATIN
from feeds.topics.lexicon import TOPICS, Lexicon
from feeds.topics.table import Table

FORMAT = 1
"""Grows when the archive or the features change: an older archive is then refused."""

NAME = "model.npz"
"""The archive's name, for errors."""

_DIGEST = 32  # hexadecimal digits


@dataclass(frozen=True, slots=True)
class Fit:
    """How the parts add up for one script, fitted on sources left out of training.

    The score of a topic is the lexicon's score times `lexicon` plus the table's times `table`. The prior
    is even: one that follows how often topics occur told sources left out worse.
    """

    lexicon: float
    table: float
    limits: Limits


@dataclass(frozen=True, slots=True)
class Script:
    """What was learned for one script."""

    table: Table
    fit: Fit


@dataclass(frozen=True, slots=True)
class Model:
    """All that classifying needs. `version` names the exact data; the same data, the same name."""

    lexicons: Mapping[str, Lexicon]
    scripts: Mapping[str, Script]
    version: str


def load(lexicons: Mapping[str, str], table: bytes) -> Model:
    """Return the model over lexicons, by language (`en`), and the archive that training wrote.

    Raises:
        ModelError: a lexicon has a line that can't be read, or the archive is not whole.
    """
    ready = {lang: lexicon.read(f"lexicon_{lang}.txt", text) for lang, text in lexicons.items()}
    return Model(ready, unpack(table), _version(lexicons, table))


def _version(lexicons: Mapping[str, str], table: bytes) -> str:
    digest = hashlib.blake2b(table, digest_size=6)
    for lang in sorted(lexicons):
        for part in (lang, lexicons[lang]):
            digest.update(hashlib.blake2b(part.encode()).digest())
    return f"additive-{digest.hexdigest()}"


def pack(scripts: Mapping[str, Script]) -> bytes:
    """Return the archive that `unpack` reads; the same scripts, the same bytes."""
    arrays: dict[str, NDArray[np.generic]] = {
        "format": np.array(FORMAT),
        "topics": np.array(TOPICS, dtype="U16"),
    }
    for name, script in scripts.items():
        table, fit = script.table, script.fit
        arrays[f"{name}.keys"], arrays[f"{name}.rarity"] = table.keys, table.rarity
        arrays[f"{name}.weights"], arrays[f"{name}.scale"] = table.weights, table.scale
        arrays[f"{name}.fit"] = np.array((fit.lexicon, fit.table, *astuple(fit.limits)))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"0" * _DIGEST
    body = buffer.getvalue()[:-_DIGEST]
    return body + _digest(body)


def unpack(data: bytes) -> dict[str, Script]:
    """Return the scripts of an archive.

    Raises:
        ModelError: the archive is damaged, or of another format.
    """
    if len(data) < _DIGEST or _digest(data[:-_DIGEST]) != data[-_DIGEST:]:
        raise ModelError(NAME, "damaged, or not written by feeds.train")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            if int(arrays["format"]) != FORMAT or tuple(arrays["topics"].tolist()) != TOPICS:
                raise ModelError(NAME, "written by another version; run feeds.train")
            return {name: _script(arrays, name) for name in (LATIN, CYRILLIC)}
    except (KeyError, ValueError, OSError) as error:
        raise ModelError(NAME, str(error)) from error


def _script(arrays: Mapping[str, NDArray[np.generic]], name: str) -> Script:
    table = Table(
        arrays[f"{name}.keys"].astype(np.uint32),
        arrays[f"{name}.rarity"].astype(np.uint8),
        arrays[f"{name}.weights"].astype(np.int8),
        arrays[f"{name}.scale"].astype(np.float64),
    )
    by_lexicon, by_table, least, margin = arrays[f"{name}.fit"].tolist()
    return Script(table, Fit(by_lexicon, by_table, Limits(least, margin)))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST // 2).hexdigest().encode()
