"""How values are read, from a file or a variable. Pure.

Each reader takes what stands there and returns the setting, or raises `ValueError` with what was
expected.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feeds import slots

Reader = Callable[[Any], Any]

_LAST_PORT = 65_535
_MOST_CONNECTIONS = 50
_LONGEST = timedelta(days=36_500)
ON_ARRIVAL = "on arrival"


def text(value: Any) -> str:
    """Read text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected text")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts, or one text with commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence) or not all(isinstance(part, str) for part in value):
        raise ValueError('expected a list, as ["a", "b"]')
    return tuple(value)


def whole(value: Any) -> int:
    """Read a whole number from 1."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("expected a whole number from 1")
    return value


def flag(value: Any) -> bool:
    """Read true or false."""
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
    """Read a duration: a number and one of s, m, h, d; fractions allowed."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", str(value).strip(), re.ASCII)
    if not found:
        raise ValueError('expected a duration, as "90s", "1.5h" or "7d"')
    try:
        span = timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        span = timedelta.max
    if span > _LONGEST:
        raise ValueError("expected a shorter duration, at most 36500d")
    return span


def durations(value: Any) -> tuple[timedelta, ...]:
    """Read a list of durations, or one text with commas."""
    found = tuple(duration(part) for part in texts(value))
    if not found:
        raise ValueError('expected durations, as ["1m", "1h"]')
    return found


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `letters` in each span of time."""

    letters: int
    span: timedelta
    unit: str

    def __str__(self) -> str:
        return f"{self.letters} a {self.unit}"


_SPANS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


def rate(value: Any) -> Rate:
    """Read a rate in plain words, as `30 a minute`."""
    words = r"([\d,]+) (?:a|an|per|each|every) (second|minute|hour|day)"
    found = re.fullmatch(words, " ".join(text(value).lower().split()), re.ASCII)
    number = int(found[1].replace(",", "") or 0) if found else 0
    if not found or number < 1:
        raise ValueError('expected a rate, as "30 a minute"')
    return Rate(number, _SPANS[found[2]], found[2])


def connections(value: Any) -> int:
    """Read a number of connections, 1 to 50."""
    number = whole(value)
    if number > _MOST_CONNECTIONS:
        raise ValueError(f"expected 1 to {_MOST_CONNECTIONS}")
    return number


def path(value: Any) -> Path:
    """Read the path of a file."""
    return Path(text(value)).expanduser()


def label(value: Any) -> str:
    """Read a selector: labels of the DNS, parted by dots."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", str(value), re.ASCII):
        raise ValueError('expected a selector, as "feeds" or "2026.mail"')
    return str(value)


def host(value: Any) -> str:
    """Read the name or address of a server."""
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?", text(value), re.ASCII):
        raise ValueError('expected a host, as "mail.example.org"')
    return str(value).strip("[]")


def size(value: Any) -> int:
    """Read a size in bytes, as `1 MB` or `64 MiB`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]?i?B)", str(value).strip(), re.ASCII)
    if not found or found[2] not in _SIZES:
        raise ValueError('expected a size, as "500 kB", "1 MB" or "64 MiB"')
    try:
        return int(float(found[1]) * _SIZES[found[2]])
    except OverflowError as error:
        raise ValueError("expected a smaller size") from error


def zone(value: Any) -> str:
    """Read a zone of the IANA database."""
    try:
        ZoneInfo(text(value))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('expected a zone of the IANA database, as "Asia/Almaty"') from error
    return str(value)


def base(value: Any) -> str:
    """Read the address of a folder; it ends in one slash."""
    parts = urllib.parse.urlsplit(address(value))
    if parts.query or parts.fragment:
        raise ValueError('expected the address of out/, as "https://news.example.org/"')
    return str(value).rstrip("/") + "/"


_LONGEST_PUBLIC = 40


def public(value: Any) -> str:
    """Read the address of the subscription pages; it ends in one slash, and is short.

    Mail programs break addresses of more than 77 characters, and the token needs its place.
    """
    found = base(value)
    if len(found) > _LONGEST_PUBLIC:
        raise ValueError(f"expected an address of at most {_LONGEST_PUBLIC} characters")
    return found


def address(value: Any) -> str:
    """Read an http or https address."""
    try:
        parts = urllib.parse.urlsplit(text(value))
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that don't match, or a port that is none
        usable = False
    if not usable:
        raise ValueError('expected an address, as "https://example.org/"')
    return str(value)


def language(value: Any) -> str:
    """Read a language tag (BCP 47)."""
    if not re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", str(value)):
        raise ValueError('expected a language tag (BCP 47), as "en" or "kk"')
    return str(value)


def authority(value: Any) -> str:
    """Read an authority of tag URIs (RFC 4151, section 2.1): `domain,date`."""
    shape = r"[A-Za-z0-9][A-Za-z0-9.@_-]*,\d{4}(-\d\d(-\d\d)?)?"
    if not re.fullmatch(shape, str(value), re.ASCII):
        raise ValueError('expected "domain,date" as in RFC 4151, as "example.org,2026"')
    return str(value)


def slug(value: Any) -> str:
    """Read a short name that fits an address and any file system."""
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(value)) or len(str(value)) > 64:  # noqa: PLR2004 -- fits any file system
        raise ValueError('expected a short name of a-z, 0-9 and "-", as "daily"')
    return str(value)


def choice(*names: str) -> Reader:
    """Return a reader of one of these names."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"expected {' or '.join(repr(name) for name in names)}")
        return str(value)

    return read


def cron(value: Any) -> str:
    """Read a schedule, as `slots.parse` does."""
    slots.parse(text(value), "UTC")
    return str(value)


def arrival(value: Any) -> str:
    """Read a schedule, or `on arrival`: at once, whenever something comes."""
    return ON_ARRIVAL if " ".join(text(value).split()) == ON_ARRIVAL else cron(value)


def listening(value: Any) -> str:
    """Read an address to listen on, as `127.0.0.1:8081` or `[::1]:8081`."""
    parts = urllib.parse.urlsplit(f"//{text(value)}")
    try:
        usable = bool(parts.hostname) and parts.port not in {None, 0} and not parts.path
    except ValueError:
        usable = False
    if not usable:
        raise ValueError('expected an address and a port, as "127.0.0.1:8081"')
    return str(value)


def mailbox(value: Any) -> str:
    """Read a mailbox (RFC 5322, section 3.4) whose domain can be."""
    if not re.fullmatch(r"([^<>\r\n]*<[^<>@\s]+@[^<>@\s]+>|[^<>@\s]+@[^<>@\s]+)", text(value)):
        raise ValueError('expected an address, as "News <news@example.org>"')
    try:
        parseaddr(value)[1].rpartition("@")[2].encode("idna")
    except UnicodeError as error:
        raise ValueError("expected an address with a domain that can be") from error
    return str(value)


def port(value: Any) -> int:
    """Read a port of TCP."""
    number = whole(value)
    if number > _LAST_PORT:
        raise ValueError(f"expected a port, 1 to {_LAST_PORT}")
    return number


def subject(value: Any) -> str:
    """Read a subject with `{lead}`, `{n}`, `{date}` or `{time}` in it."""
    unknown = re.sub(r"\{(lead|n|date|time)\}", "", text(value))
    if "{" in unknown or "}" in unknown:
        raise ValueError("expected text with {lead}, {n}, {date} or {time} in it")
    return str(value)
