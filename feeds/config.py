"""Settings, read once: flag > `FEEDS_*` > `feeds.toml` > default.

Each key is declared once, with its default, how it is read and what it does. A variable is named for
its key: `FEEDS_MAIL_FROM` sets `mail.from`. An unknown key is an error that names the near ones.
Secrets never stand in the file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feeds import channels, slots
from feeds.errors import ConfigError
from feeds.model import Source

DEFAULT_FILE = Path("feeds.toml")

LATER = frozenset({
    "backup", "channel", "digests", "operator", "retention", "topics",
    "edition.approve", "edition.catch_up", "edition.empty",
    "feeds.defaults", "feeds.hub", "feeds.schedule",
    "mail.bounces", "mail.connections", "mail.dkim_key", "mail.dkim_selector", "mail.give_up",
    "mail.host", "mail.on_uncertain", "mail.port", "mail.rate", "mail.retry", "mail.security",
    "mail.unsubscribe", "mail.username",
    "seeds.on_delete", "seeds.settle", "web.public_url",
})  # fmt: skip
"""Names that are reserved and have no effect yet: setting one is warned about, not refused."""

_LAST_PORT = 65_535

Reader = Callable[[Any], Any]
S = TypeVar("S")


def _key(default: Any, read: Reader, text: str, name: str | None = None) -> Any:
    """Declare a setting: default (as in the file), reader, what it does, its key if it differs."""
    return field(default=default, metadata={"read": read, "text": text, "key": name})


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence) or not all(isinstance(part, str) for part in value):
        raise ValueError('expected a list, as ["a", "b"]')
    return tuple(value)


def _whole(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a whole number from 1")
    return value


def _flag(value: Any) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise ValueError("expected true or false")
    return found


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}


def duration(value: Any) -> timedelta:
    """Read a duration: a number and one of s, m, h, d; fractions allowed.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(value).strip(), re.ASCII)
    if not found:
        raise ValueError('expected a duration, as "90s", "1.5h" or "7d"')
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError as error:
        raise ValueError("expected a shorter duration") from error


def size(value: Any) -> int:
    """Read a size in bytes, as `1 MB` or `64 MiB`.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]?i?B)", str(value).strip(), re.ASCII)
    if not found or found[2] not in _SIZES:
        raise ValueError('expected a size, as "500 kB", "1 MB" or "64 MiB"')
    try:
        return int(float(found[1]) * _SIZES[found[2]])
    except OverflowError as error:
        raise ValueError("expected a smaller size") from error


def _zone(value: Any) -> str:
    try:
        ZoneInfo(_text(value))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('expected a zone of the IANA database, as "Asia/Almaty"') from error
    return str(value)


def _base(value: Any) -> str:
    parts = urllib.parse.urlsplit(_address(value))
    if parts.query or parts.fragment:
        raise ValueError('expected the address of out/, as "https://news.example.org/"')
    return str(value).rstrip("/") + "/"


def _address(value: Any) -> str:
    try:
        parts = urllib.parse.urlsplit(_text(value))
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that don't match, or a port that is none
        usable = False
    if not usable:
        raise ValueError('expected an address, as "https://example.org/"')
    return str(value)


def _language(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", str(value)):
        raise ValueError('expected a language tag (BCP 47), as "en" or "kk"')
    return str(value)


def _authority(value: Any) -> str:
    shape = r"[A-Za-z0-9][A-Za-z0-9.@_-]*,\d{4}(-\d\d(-\d\d)?)?"
    if not re.fullmatch(shape, str(value), re.ASCII):
        raise ValueError('expected "domain,date" as in RFC 4151, as "example.org,2026"')
    return str(value)


def _slug(value: Any) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(value)) or len(str(value)) > 64:  # noqa: PLR2004 -- fits any file system
        raise ValueError('expected a short name of a-z, 0-9 and "-", as "daily"')
    return str(value)


def _choice(*names: str) -> Reader:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"expected {' or '.join(repr(name) for name in names)}")
        return str(value)

    return read


def _cron(value: Any) -> str:
    slots.parse(_text(value), "UTC")
    return str(value)


def _mailbox(value: Any) -> str:
    if not re.fullmatch(r"([^<>\r\n]*<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)", _text(value)):
        raise ValueError('expected an address, as "News <news@example.org>"')
    try:
        parseaddr(value)[1].rpartition("@")[2].encode("idna")
    except UnicodeError as error:
        raise ValueError("expected an address with a domain that can be") from error
    return str(value)


def _port(value: Any) -> int:
    number = _whole(value)
    if number > _LAST_PORT:
        raise ValueError(f"expected a port, 1 to {_LAST_PORT}")
    return number


def _subject(value: Any) -> str:
    unknown = re.sub(r"\{(lead|n|date|time)\}", "", _text(value))
    if "{" in unknown or "}" in unknown:
        raise ValueError("expected text with {lead}, {n}, {date} or {time} in it")
    return str(value)


@dataclass(frozen=True, slots=True)
class PublicationSettings:
    """`[publication]`: how the publication presents itself."""

    title: str = _key("News digest", _text, "name of the publication")
    description: str = _key("News by topic", _text, "one sentence below the name")
    language: str = _key("en", _language, "language of the pages")
    timezone: str = _key("Asia/Almaty", _zone, "zone of digests, pages and schedules")
    author: str | None = _key(None, _text, "who answers for it")
    base_url: str = _key("http://127.0.0.1:8080/", _base, "the public address of out/")
    id_authority: str | None = _key(None, _authority, "first part of every id, for ever")


@dataclass(frozen=True, slots=True)
class SeedsSettings:
    """`[seeds]`: which files are digests."""

    max_bytes: int = _key("64 MiB", size, "a larger file is quarantined")
    ignore: tuple[str, ...] = _key((), _texts, "globs of names that are no digests")


@dataclass(frozen=True, slots=True)
class FeedsSettings:
    """`[feeds]`: what a feed holds."""

    entries: int = _key(50, _whole, "the latest entries of a feed")
    days: timedelta | None = _key(None, duration, "more, if they came within this time")
    max_bytes: int = _key("1 MB", size, "but no more than this")
    content: str = _key("full", _choice("full", "summary"), "what of an article")


@dataclass(frozen=True, slots=True)
class EditionSettings:
    """`[[edition]]`: one newsletter."""

    name: str = _key("daily", _slug, "its name, for ever")
    cron: str = _key("every day at 08:00", _cron, "when it goes out")
    timezone: str | None = _key(None, _zone, "zone of its schedule; else the publication's")
    channels: tuple[str, ...] = _key((), _texts, "its channels; all if none is named")
    languages: tuple[str, ...] = _key((), _texts, "its languages; all if none is named")
    wait: timedelta = _key("3h", duration, "how long a slot waits for something new")
    max_age: timedelta = _key("7d", duration, "older articles are published, not mailed")
    max_entries: int = _key(15, _whole, "the most articles of a letter")
    subject: str = _key("{lead} + {n} more", _subject, "subject of the letter")


@dataclass(frozen=True, slots=True)
class MailSettings:
    """`[mail]`: how letters leave."""

    transport: str = _key("folder", _choice("folder"), "letters as files in .feeds/outbox/")
    sender: str | None = _key(None, _mailbox, "From, as News <news@example.org>", "from")
    reply_to: str | None = _key(None, _mailbox, "where answers go")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`[web]`: where `feeds serve` listens; by default where `publication.base_url` points."""

    host: str | None = _key(None, _text, "address to listen on")
    port: int | None = _key(None, _port, "port to listen on")


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """`[[source]]`: a publisher, for the digests whose name matches."""

    name: str | None = _key(None, _text, "the publisher's name")
    match: str = _key("*", _text, "glob on the digest's name")
    home: str | None = _key(None, _address, "address of its home page")
    rights: str | None = _key(None, _text, "rights line")
    search: str | None = _key(None, _address, "address of its search, with {title}")
    content: str = _key("full", _choice("full", "summary"), "what of an article may be shown")
    indexed: bool = _key(False, _flag, "whether search engines may index its articles")


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
    editions: tuple[EditionSettings, ...]
    sources: tuple[Source, ...]
    origins: Mapping[str, str]
    warnings: tuple[str, ...]


_PLACES = {"seeds": "seeds", "out": "out", "state": ".feeds"}
_SECTIONS: dict[str, type[Any]] = {
    "publication": PublicationSettings,
    "seeds": SeedsSettings,
    "feeds": FeedsSettings,
    "mail": MailSettings,
    "web": WebSettings,
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


def rows(settings: Settings) -> list[tuple[str, object, str]]:
    """Return every setting as key, value and where it was set, in the order of the file."""
    found: list[tuple[str, object, str]] = [
        (name, str(getattr(settings, f"{name}_folder")), settings.origins.get(name, "default"))
        for name in _PLACES
    ]
    for name, kind in _SECTIONS.items():
        section = getattr(settings, name)
        for key, attribute in _keys(kind).items():
            dotted = f"{name}.{key}"
            value = getattr(section, attribute)
            found.append((dotted, value, settings.origins.get(dotted, "default")))
    lists: dict[str, tuple[Any, ...]] = {"edition": settings.editions, "source": settings.sources}
    for name, listed in lists.items():
        for number, row in enumerate(listed):
            origin = settings.origins.get(name, "default")
            found += [
                (f"{name}[{number}].{entry.name}", getattr(row, entry.name), origin)
                for entry in fields(row)
            ]
    return found


def _read(file: Path | None) -> tuple[dict[str, Any], str]:
    path = file or DEFAULT_FILE
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream), str(path)
    except FileNotFoundError as error:
        if file is None:
            return {}, str(path)
        raise ConfigError("--config", str(path), "no such file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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


def _section(  # noqa: PLR0913, PLR0917 -- a section, and the places that may set it
    kind: type[S],
    table: Mapping[str, Any],
    name: str,
    source: str,
    environ: Mapping[str, str],
    origins: dict[str, str],
) -> S:
    values: dict[str, Any] = {}
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
            values[entry.name] = raw if raw is None else entry.metadata["read"](raw)
        except ValueError as error:
            raise ConfigError(dotted, origin, f"{error}; found {raw!r}") from error
    return kind(**values)


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
    values = {entry.name: getattr(row, entry.name) for entry in fields(row)}
    return Source(**values)
