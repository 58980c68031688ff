"""Settings, read once: flag > `FEEDS_*` > `feeds.toml` > default.

Each key is declared once, with its default, how it is read and what it does. A variable is named for
its key: `FEEDS_MAIL_FROM` sets `mail.from`. An unknown key is an error that names the near ones.
Secrets never stand in the file.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, TypeVar

from feeds import channels
from feeds.config import values
from feeds.config.values import Reader
from feeds.errors import ConfigError
from feeds.model import Source

DEFAULT_FILE = Path("feeds.toml")

LATER = frozenset({
    "channel", "digests", "topics", "feeds.defaults", "feeds.hub", "seeds.on_delete",
})  # fmt: skip
"""Names that are reserved and have no effect yet: setting one is warned about, not refused."""

S = TypeVar("S")


def _key(default: Any, read: Reader, text: str, name: str | None = None) -> Any:
    """Declare a setting: default (as in the file), reader, what it does, its key if it differs."""
    return field(default=default, metadata={"read": read, "text": text, "key": name})


@dataclass(frozen=True, slots=True)
class PublicationSettings:
    """`[publication]`: how the publication presents itself."""

    title: str = _key("News digest", values.text, "name of the publication")
    description: str = _key("News by topic", values.text, "one sentence below the name")
    language: str = _key("en", values.language, "language of the pages")
    timezone: str = _key("Asia/Almaty", values.zone, "zone of digests, pages and schedules")
    author: str | None = _key(None, values.text, "who answers for it")
    base_url: str = _key("http://127.0.0.1:8080/", values.base, "the public address of out/")
    id_authority: str | None = _key(None, values.authority, "first part of every id, for ever")


@dataclass(frozen=True, slots=True)
class SeedsSettings:
    """`[seeds]`: which files are digests."""

    settle: timedelta = _key("2s", values.duration, "how long a written file must look the same")
    max_bytes: int = _key("64 MiB", values.size, "a larger file is quarantined")
    ignore: tuple[str, ...] = _key((), values.texts, "globs of names that are no digests")


@dataclass(frozen=True, slots=True)
class FeedsSettings:
    """`[feeds]`: what a feed holds, and when it is published."""

    schedule: str = _key("on arrival", values.arrival, "when feeds watch publishes channels")
    entries: int = _key(50, values.whole, "the latest entries of a feed")
    days: timedelta | None = _key(None, values.duration, "more, if they came within this time")
    max_bytes: int = _key("1 MB", values.size, "but no more than this")
    content: str = _key("full", values.choice("full", "summary"), "what of an article")


@dataclass(frozen=True, slots=True)
class EditionSettings:
    """`[[edition]]`: one newsletter."""

    name: str = _key("daily", values.slug, "its name, for ever")
    cron: str = _key("every day at 08:00", values.cron, "when it goes out")
    timezone: str | None = _key(None, values.zone, "zone of its schedule; else the publication's")
    channels: tuple[str, ...] = _key((), values.texts, "its channels; all if none is named")
    languages: tuple[str, ...] = _key((), values.texts, "its languages; all if none is named")
    wait: timedelta = _key("3h", values.duration, "how long a slot waits for something new")
    max_age: timedelta = _key("7d", values.duration, "older articles are published, not mailed")
    max_entries: int = _key(15, values.whole, "the most articles of a letter")
    subject: str = _key("{lead} + {n} more", values.subject, "subject of the letter")
    approve: str = _key("none", values.choice("none", "required"), "whether an editor approves it")
    catch_up: str = _key(
        "merge", values.choice("merge", "each", "skip"), "what slots missed in a downtime become"
    )
    empty: str = _key("skip", values.choice("skip", "send"), "a slot with nothing new")


@dataclass(frozen=True, slots=True)
class MailSettings:
    """`[mail]`: how letters leave."""

    transport: str = _key("folder", values.choice("folder", "smtp"), "how letters leave")
    host: str = _key("127.0.0.1", values.host, "the mail server")
    port: int | None = _key(None, values.port, "its port; 587, with tls 465, with none 25")
    security: str = _key(
        "starttls", values.choice("starttls", "tls", "none"), "how the connection is kept private"
    )
    username: str | None = _key(None, values.text, "account; its password is FEEDS_MAIL_PASSWORD")
    sender: str | None = _key(None, values.mailbox, "From, as News <news@example.org>", "from")
    reply_to: str | None = _key(None, values.mailbox, "where answers go")
    rate: values.Rate | None = _key(None, values.rate, "the most letters, as 30 a minute")
    retry: tuple[timedelta, ...] = _key(
        ("1m", "5m", "15m", "1h", "3h", "6h"), values.durations, "pauses between tries"
    )
    give_up: timedelta = _key("48h", values.duration, "or at the next slot, if that comes first")
    on_uncertain: str = _key(
        "resend", values.choice("resend", "hold"), "a letter that the server may have taken"
    )
    connections: int | None = _key(
        None, values.connections, "to the mail server at once; else one for each 500 letters, to 10"
    )
    unsubscribe: str = _key("https", values.choice("https", "mailto"), "how one leaves")
    dkim_key: Path | None = _key(None, values.path, "PEM file of the key that signs (RFC 6376)")
    dkim_selector: str = _key("feeds", values.label, "selector of its record in the DNS")
    bounces: str | None = _key(None, values.text, "where mail that comes back is read")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`[web]`: where `feeds serve` listens; by default where `publication.base_url` points.

    Without `public_url` there are no subscription pages.
    """

    host: str | None = _key(None, values.text, "address to listen on")
    port: int | None = _key(None, values.port, "port to listen on")
    public_url: str | None = _key(None, values.public, "public address of the subscription pages")


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """`[operator]`: for whoever looks after the installation."""

    listen: str | None = _key(None, values.listening, "private address of /healthz and /metrics")
    email: str | None = _key(None, values.mailbox, "who is told by mail, once a day at most")
    silent_after: timedelta = _key("26h", values.duration, "when no digest coming is worth a word")


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """`[backup]`: what feeds watch keeps in .feeds/backups/."""

    every: timedelta = _key("1d", values.duration, "how often the record is backed up")
    keep: int = _key(7, values.whole, "the newest backups; older ones are removed")


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """`[retention]`: what becomes of what is old; unset, it is kept."""

    deliveries: timedelta = _key("90d", values.duration, "how long a delivery stays on record")
    outbox: timedelta = _key("7d", values.duration, "how long a letter stays in .feeds/outbox/")
    quarantine: timedelta | None = _key(None, values.duration, "what is gone from seeds/, as well")
    consent: timedelta | None = _key(None, values.duration, "consents of those who left")


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """`[[source]]`: a publisher, for the digests whose name matches."""

    name: str | None = _key(None, values.text, "the publisher's name")
    match: str = _key("*", values.text, "glob on the digest's name")
    home: str | None = _key(None, values.address, "address of its home page")
    rights: str | None = _key(None, values.text, "rights line")
    search: str | None = _key(None, values.address, "address of its search, with {title}")
    content: str = _key("full", values.choice("full", "summary"), "what of an article may be shown")
    indexed: bool = _key(False, values.flag, "whether search engines may index its articles")


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings. `origins` tells where each key that is no default was set."""

    seeds_folder: Path
    out_folder: Path
    state_folder: Path
    publication: PublicationSettings
    seeds: SeedsSettings
    feeds: FeedsSettings
    mail: MailSettings
    web: WebSettings
    operator: OperatorSettings
    backup: BackupSettings
    retention: RetentionSettings
    editions: tuple[EditionSettings, ...]
    sources: tuple[Source, ...]
    origins: Mapping[str, str]
    warnings: tuple[str, ...]


_PLACES = {"seeds": "seeds", "out": "out", "state": ".feeds"}
_PLACES_ABOUT = {
    "seeds": "digests, only ever read",
    "out": "what is published",
    "state": "the record and its keys",
}
_SECTIONS: dict[str, type[Any]] = {
    "publication": PublicationSettings,
    "seeds": SeedsSettings,
    "feeds": FeedsSettings,
    "mail": MailSettings,
    "web": WebSettings,
    "operator": OperatorSettings,
    "backup": BackupSettings,
    "retention": RetentionSettings,
}
_LISTS: dict[str, type[Any]] = {"edition": EditionSettings, "source": SourceSettings}


def load(
    flags: Mapping[str, str | None], environ: Mapping[str, str], file: Path | None
) -> Settings:
    """Read the settings; `flags` may hold `seeds`, `out` and `state`; `file` must exist when named.

    Raises:
        ConfigError: a key is unknown or its value is wrong.
    """
    if "FEEDS_DATABASE" in environ:
        raise ConfigError(
            "database", "FEEDS_DATABASE", "this version keeps the record in SQLite only"
        )
    origins: dict[str, str] = {}
    table, source = _read(file)
    warnings = _check_names(table, source)
    places = {name: _place(name, flags, environ, origins) for name in _PLACES}
    _keep_apart(places, origins)
    made = {
        name: _section(kind, table.get(name, {}), name, source, environ, origins)
        for name, kind in _SECTIONS.items()
    }
    lists = {
        name: tuple(_section(kind, row, name, source, {}, origins) for row in table.get(name, []))
        for name, kind in _LISTS.items()
    }
    return Settings(
        seeds_folder=places["seeds"],
        out_folder=places["out"],
        state_folder=places["state"],
        **made,
        editions=_named(
            lists["edition"] or (_section(EditionSettings, {}, "edition", source, {}, {}),), source
        ),
        sources=tuple(_source(row, source) for row in lists["source"]),
        origins=origins,
        warnings=warnings,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A setting in force: its key, its value, where it was set, and what it does."""

    key: str
    value: object
    source: str
    about: str


def rows(settings: Settings) -> list[Row]:
    """Return every setting, in the order of the file."""
    found = [
        Row(name, str(getattr(settings, f"{name}_folder")), _origin(settings, name), about)
        for name, about in _PLACES_ABOUT.items()
    ]
    for name, kind in _SECTIONS.items():
        found += _rows(settings, kind, getattr(settings, name), name, None)
    lists: dict[str, tuple[Any, ...]] = {"edition": settings.editions, "source": settings.sources}
    for name, listed in lists.items():
        for number, row in enumerate(listed):
            found += _rows(settings, _LISTS[name], row, f"{name}[{number}]", name)
    return found


def _rows(
    settings: Settings, kind: type[Any], section: object, name: str, origin: str | None
) -> list[Row]:
    """Return the settings of a section; all of a list have one `origin`."""
    return [
        Row(
            f"{name}.{key}",
            getattr(section, entry.name),
            _origin(settings, origin or f"{name}.{key}"),
            entry.metadata["text"],
        )
        for key, entry in zip(_keys(kind), fields(kind), strict=True)
    ]


def _origin(settings: Settings, key: str) -> str:
    return settings.origins.get(key, "default")


def _read(file: Path | None) -> tuple[dict[str, Any], str]:
    path = file or DEFAULT_FILE
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream), str(path)
    except FileNotFoundError as error:
        if file is None:
            return {}, str(path)
        raise ConfigError("--config", str(path), "no such file") from error
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, or beyond any measure
        raise ConfigError("not TOML", str(path), str(error)) from error
    except OSError as error:
        raise ConfigError("--config", str(path), error.strerror or str(error)) from error


def _check_names(table: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """Refuse unknown names; return a warning for each that is reserved."""
    warnings = []
    for name, content in table.items():
        kind = _SECTIONS.get(name) or _LISTS.get(name)
        if name in LATER:
            warnings.append(f"{source}: [{name}] has no effect in this version")
            continue
        if kind is None:
            raise ConfigError(name, source, _unknown(name, [*_SECTIONS, *_LISTS]))
        shape = dict if name in _SECTIONS else list
        if not isinstance(content, shape):
            brackets = f"[{name}]" if shape is dict else f"[[{name}]]"
            raise ConfigError(name, source, f"expected a table, {brackets}")
        for row in content if isinstance(content, list) else [content]:
            if not isinstance(row, dict):
                raise ConfigError(name, source, f"expected tables, [[{name}]]; found {row!r}")
            for key in row:
                dotted = f"{name}.{key}"
                if dotted in LATER:
                    warnings.append(f"{source}: {dotted} has no effect in this version")
                elif key not in _keys(kind):
                    raise ConfigError(dotted, source, _unknown(key, _keys(kind)))
    return tuple(warnings)


def _unknown(name: str, known: Sequence[str] | Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=2) or sorted(known)
    return f"no such setting; there is {', '.join(near)}"


def _keys(kind: type[Any]) -> dict[str, str]:
    """Return the keys of a section with the attribute that holds each."""
    return {entry.metadata["key"] or entry.name: entry.name for entry in fields(kind)}


def _place(
    name: str,
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    origins: dict[str, str],
) -> Path:
    variable = f"FEEDS_{name.upper()}"
    if (flag := flags.get(name)) is not None:
        origins[name] = f"--{name}"
        return Path(flag)
    if variable in environ:
        origins[name] = variable
        return Path(environ[variable])
    return Path(_PLACES[name])


def _keep_apart(places: Mapping[str, Path], origins: Mapping[str, str]) -> None:
    """Refuse places that hold each other: keys would be served, or seeds/ be written to."""
    found = {name: path.resolve() for name, path in places.items()}
    for inner, outer in permutations(found, 2):
        if found[inner].is_relative_to(found[outer]):
            reason = (
                f"{places[inner]} lies in {places[outer]}, which is {outer}; name another place"
            )
            raise ConfigError(inner, origins.get(inner) or origins.get(outer, "default"), reason)


def _section(  # noqa: PLR0913, PLR0917 -- a section, and the places that may set it
    kind: type[S],
    table: Mapping[str, Any],
    name: str,
    source: str,
    environ: Mapping[str, str],
    origins: dict[str, str],
) -> S:
    settings: dict[str, Any] = {}
    raw: Any
    for entry in fields(kind):  # type: ignore[arg-type]  # every kind is a dataclass
        key = entry.metadata["key"] or entry.name
        dotted, variable = f"{name}.{key}", f"FEEDS_{name}_{key}".upper()
        if variable in environ:
            raw, origin = environ[variable], variable
        elif key in table:
            raw, origin = table[key], source
        else:
            raw, origin = entry.default, "default"
        if origin != "default":
            origins[name if name in _LISTS else dotted] = origin
        try:
            settings[entry.name] = raw if raw is None else entry.metadata["read"](raw)
        except ValueError as error:
            raise ConfigError(dotted, origin, f"{error}; found {raw!r}") from error
    return kind(**settings)


def _named(editions: tuple[EditionSettings, ...], source: str) -> tuple[EditionSettings, ...]:
    names = [edition.name for edition in editions]
    there = [channel.slug for channel in channels.DEFAULTS]
    for edition in editions:
        if names.count(edition.name) > 1:
            raise ConfigError("edition.name", source, f"two editions are named {edition.name!r}")
        for slug in edition.channels:
            if slug not in there:
                reason = f"no channel {slug!r}; there is {', '.join(there)}"
                raise ConfigError("edition.channels", source, reason)
    return editions


def _source(row: SourceSettings, source: str) -> Source:
    if row.name is None:
        raise ConfigError("source.name", source, "each [[source]] needs a name")
    known = {entry.name: getattr(row, entry.name) for entry in fields(row)}
    return Source(**known)
