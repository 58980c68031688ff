"""Opens what a command works with: the record, the publication, the one clock, the lock. I/O.

In: settings and the environment. Out: an `App`, which is handed to the corridor. Package data counts
as code and is read here; so are the two files of the state folder beside the record.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import os
import secrets
import socket
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parseaddr
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from feeds import __version__, channels
from feeds.config import Settings
from feeds.errors import ConfigError, LockError, StoreError
from feeds.publication import Publication
from feeds.store import Store, backup

if TYPE_CHECKING:
    from feeds.topics import Model

_LEAST_PAGE = 512  # bytes; SQLite takes a shorter file for an empty one
SECRET_BYTES = 32  # as many as SHA-256 gives, RFC 2104 section 3


@dataclass(frozen=True, slots=True)
class App:
    """What the corridor works with.

    `authority` begins every new id; `now` reads the clock, UTC; `worker` is the name under which slots
    are leased: that of the machine, since the lock lets one process a machine work on a record.
    """

    settings: Settings
    store: Store
    publication: Publication
    authority: str
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    worker: str = field(default_factory=socket.gethostname)

    @property
    def out(self) -> Path:
        """The folder of what is published."""
        return self.settings.out_folder

    @property
    def outbox(self) -> Path:
        """The folder of letters that were written as files."""
        return self.settings.state_folder / "outbox"


@contextmanager
def open_app(settings: Settings, environ: Mapping[str, str]) -> Iterator[App]:
    """Open the record (made when there is none) and build the publication.

    Raises:
        StoreError: the state folder or the record can't be opened.
        ConfigError: `FEEDS_NOW` is no moment.
    """
    now = clock(environ)
    _private_folder(settings.state_folder)
    _refuse_loss(settings.state_folder)
    with Store(settings.state_folder / "feeds.db") as store:
        authority = settings.publication.id_authority or store.authority(
            _authority(settings.publication.base_url, now())
        )
        yield App(settings, store, publication(settings), authority, environ, now)


def reconfigured(app: App, settings: Settings) -> App:
    """Return the application under other settings, over the same open record."""
    authority = settings.publication.id_authority or app.authority
    return replace(app, settings=settings, publication=publication(settings), authority=authority)


def publication(settings: Settings) -> Publication:
    """Return the publication as its readers know it."""
    about = settings.publication
    return Publication(
        title=about.title,
        description=about.description,
        language=about.language,
        timezone=about.timezone,
        author=about.author,
        base_url=about.base_url,
        templates=tuple(str(folder) for folder in _template_folders()),
        channels=channels.DEFAULTS,
        sources=settings.sources,
        subscribe=f"{pages}subscribe" if (pages := settings.web.public_url) else None,
    )


def clock(environ: Mapping[str, str]) -> Callable[[], datetime]:
    """Return the clock: the system's in UTC, or `FEEDS_NOW` (RFC 3339) standing still.

    Raises:
        ConfigError: `FEEDS_NOW` is no moment with a zone.
    """
    fixed = environ.get("FEEDS_NOW")
    if fixed is None:
        return lambda: datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(fixed)
    except ValueError as error:
        raise ConfigError("now", "FEEDS_NOW", f"no RFC 3339 moment: {fixed!r}") from error
    if moment.utcoffset() is None:
        raise ConfigError("now", "FEEDS_NOW", f"{fixed!r} has no zone; add Z or an offset")
    moment = moment.astimezone(UTC)
    return lambda: moment


@contextmanager
def lock(settings: Settings, command: str) -> Iterator[bool]:
    """Hold the state folder for a command that changes `out/` or sends.

    Yields whether the one before was killed: it left its name in the file.

    Raises:
        LockError: another process holds it; at once, without waiting.
    """
    _private_folder(settings.state_folder)
    path = settings.state_folder / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error
    with open(descriptor, "r+b", buffering=0) as file:  # noqa: PTH123 -- a descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = file.read().decode(errors="replace").strip() or "another process"
            raise LockError(str(settings.state_folder), holder) from error
        killed = bool(file.read())
        file.truncate(0)
        file.seek(0)
        with suppress(OSError):  # the disk is full: it is held all the same, by no name
            file.write(f"feeds {command} (process {os.getpid()})\n".encode())
        yield killed
        file.truncate(0)


def prove(settings: Settings) -> None:
    """Read through the record, as far as a crash or a failing disk can have damaged it.

    Raises:
        StoreError: it is damaged; nothing was changed.
    """
    path = settings.state_folder / "feeds.db"
    if path.exists() and path.stat().st_size and (faults := backup.glance(path)):
        reason = f"the record is damaged: {faults[0]}; `feeds doctor` names the backup to restore"
        raise StoreError(str(path), reason)


def sender(app: App) -> str:
    """Return the mailbox that letters come from: configured, else `newsletter` at the public host."""
    if app.settings.mail.sender:
        return app.settings.mail.sender
    return f"newsletter@{_domain(app.publication.base_url)}"


def mail_domain(app: App) -> str:
    """Return the domain of the sender, in ASCII: the namespace of Message-ID and List-Id."""
    domain = parseaddr(sender(app))[1].rpartition("@")[2]
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigError("mail.from", "configuration", f"no domain: {domain!r}") from error


def secret(app: App) -> bytes:
    """Return the key of tokens and Message-IDs.

    That is `FEEDS_SECRET`, else what the file named by `FEEDS_SECRET_FILE` holds, else a key of our own,
    made when first needed.

    Raises:
        StoreError: the file can't be read or made.
    """
    if given := app.environ.get("FEEDS_SECRET"):
        return given.encode()
    named = app.environ.get("FEEDS_SECRET_FILE")
    path = Path(named) if named else app.settings.state_folder / "secret"
    try:
        if not named and not path.exists():
            _mint_secret(path)
        key = path.read_bytes()
    except OSError as error:
        raise StoreError(str(path), error.strerror or str(error)) from error
    if named:
        key = key.strip()  # an editor ends the file with a line feed
    if len(key) < (1 if named else SECRET_BYTES):
        raise StoreError(str(path), "the key is cut short; put it back from a backup")
    return key


def password(app: App, *accounts: str) -> str | None:
    """Return the password of the first account that has one, as `FEEDS_MAIL_PASSWORD`, or a file's.

    Raises:
        StoreError: the file named by `FEEDS_..._PASSWORD_FILE` can't be read.
    """
    for account in accounts:
        variable = f"FEEDS_{account.upper()}_PASSWORD"
        if given := app.environ.get(variable):
            return given
        if named := app.environ.get(f"{variable}_FILE"):
            try:
                return Path(named).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8"
                raise StoreError(named, reason) from error
    return None


def _mint_secret(path: Path) -> None:
    """Make the key file whole, unless another process is first.

    One name for what isn't finished, locked while it is written: what a kill left is made anew.
    """
    beside = path.with_name(f".{path.name}.tmp")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(beside, flags, 0o600), "r+b") as file:  # noqa: PTH123 -- a descriptor
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():  # since this process looked
            beside.unlink(missing_ok=True)
            return
        file.truncate()
        file.write(secrets.token_bytes(SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
        beside.replace(path)


@cache
def classifier() -> Model:
    """Return the classifier over the shipped word lists and table."""
    from feeds import topics  # noqa: PLC0415 -- numpy, 0.1 s: only when something must be classified

    data = resources.files("feeds.topics")
    lexicons = {"en": (data / "lexicon_en.txt").read_text(encoding="utf-8")}
    return topics.load(lexicons, (data / "model.npz").read_bytes())


def look(app: App) -> str:
    """Return what every document depends on besides the record, as 32 hexadecimal digits.

    Version, publication, what a feed holds, authority and templates: when it changes, all is made anew.
    """
    digest = hashlib.blake2b(digest_size=16)
    feeds = app.settings.feeds
    holds = (feeds.entries, feeds.days, feeds.max_bytes, feeds.content)
    for part in (__version__, app.publication, holds, app.authority):
        digest.update(repr(part).encode())
    for folder in _template_folders():
        for path in sorted(folder.iterdir()):
            if path.is_file():
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _template_folders() -> tuple[Path, ...]:
    """Return the folders of templates, the first that has one wins: the user's own, the shipped one.

    The user's is `templates/` in the working directory, if a file there differs from the shipped one of
    that name: in a checkout they are the same.
    """
    shipped, own = _templates(), Path("templates").resolve()
    if own == shipped.resolve() or not own.is_dir():
        return (shipped,)
    changed = (path for path in own.iterdir() if path.is_file() and _differs(path, shipped))
    return (own, shipped) if any(changed) else (shipped,)


def _differs(path: Path, shipped: Path) -> bool:
    there = shipped / path.name
    return not there.is_file() or there.read_bytes() != path.read_bytes()


def _templates() -> Path:
    """Return the shipped templates: inside the package, or beside it in a checkout."""
    inside = Path(__file__).parent / "templates"
    return inside if inside.is_dir() else inside.parent.parent / "templates"


def _authority(base_url: str, now: datetime) -> str:
    """Return a default authority: the host of `base_url` if it is a domain, and today (RFC 4151)."""
    return f"{_domain(base_url)},{now:%Y-%m-%d}"


def _domain(address: str) -> str:
    """Return the host of an address if it is a domain name, else `localhost`."""
    host = urllib.parse.urlsplit(address).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host if "." in host else "localhost"
    return "localhost"


def _refuse_loss(folder: Path) -> None:
    """Begin no new record beside the key of an old one: whoever was mailed would be mailed again."""
    record, key = folder / "feeds.db", folder / "secret"
    if key.exists() and not (record.exists() and record.stat().st_size >= _LEAST_PAGE):
        raise StoreError(
            str(record),
            "the record is lost, its key is there; `feeds restore FILE` puts a backup in its place;"
            f" to begin anew, remove {key}",
        )


def _private_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(str(path), f"{reason}; name another folder with --state") from error
