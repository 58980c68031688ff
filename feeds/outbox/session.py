"""A conversation with an SMTP server, up to the point where it takes letters. I/O.

In: the server of the configuration. Out: a session that is greeted, encrypted and logged in, and reads
replies (RFC 5321, section 4.2). Connecting, STARTTLS (RFC 3207) and AUTH (RFC 4954) are smtplib's; the
replies are read here, since smtplib's reader has no end where the server's has none: here each has
one, in time, in length and in lines.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import re
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Literal, Protocol

from feeds.errors import ServerError

REFUSAL = 500
"""Codes from here on are final, those of 400 and more may pass (RFC 5321, section 4.2.1)."""

_LINE = 4_096  # bytes of a reply's line; RFC 5321, section 4.5.3.1.5, allows 512
_LINES = 128
_CHUNK = 16_384
_REPLY = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([^\r\n]*))?\r?\n\Z")
_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|\Z)")
_ADDRESS = re.compile(r"<?[^\s<>@]*@[^\s<>]*>?")
_TEXT = 200  # characters of a reply that are told


@dataclass(frozen=True, slots=True)
class Server:
    """The server that takes our letters, and how we present ourselves.

    `starttls` and `tls` check the certificate against the names the system trusts; `none` sends all in
    clear, the password as well. `hello` is our name in EHLO, best one that resolves to our address.
    """

    host: str
    port: int
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    hello: str = "localhost"


class MalformedError(Exception):
    """What came back is no reply of SMTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer: its code, and the texts of its lines as they came."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def good(self) -> bool:
        """Whether the server did what it was asked (RFC 5321, section 4.2.1)."""
        return self.code // 100 == 2  # noqa: PLR2004

    @property
    def text(self) -> str:
        """The text for logs: printable, on one line, not long, and without addresses."""
        text = " ".join(b" ".join(self.lines).decode("utf-8", "replace").split())
        printable = "".join(sign if sign.isprintable() else "?" for sign in text)
        return _ADDRESS.sub("(address)", printable)[:_TEXT]

    @property
    def status(self) -> str | None:
        """The enhanced code at the start of the text, as `5.1.1` (RFC 2034)."""
        found = _STATUS.match(self.lines[0].decode("ascii", "replace")) if self.lines else None
        return found[0] if found else None


class Session(Protocol):
    """What a transaction needs of a connection."""

    def write(self, data: bytes, timeout: float) -> None:
        """Send all of it within some seconds, or raise OSError."""
        ...

    def reply(self, timeout: float) -> Reply:
        """Return the next reply; raise OSError when there is none in time, or `MalformedError`."""
        ...

    def heard(self) -> bool:
        """Return whether the server spoke out of turn; raise OSError when it has hung up."""
        ...

    def offers(self, extension: str) -> str | None:
        """Return the parameters of an extension, or None when it isn't offered."""
        ...

    def close(self) -> None:
        """Hang up, without a word."""
        ...


class _Replies(smtplib.SMTP):
    """smtplib's client with another reader of replies, and its own writer."""

    _unread: bytes = b""

    def write(self, data: bytes, timeout: float) -> None:
        link = self._link()
        link.settimeout(timeout)
        link.sendall(data)

    def reply(self, timeout: float) -> Reply:
        code, lines = self._read(timeout)
        return Reply(code, tuple(lines))

    def heard(self) -> bool:
        if self._unread:
            return True
        link = self._link()
        link.settimeout(0)
        try:
            # Blocking is the answer that is hoped for, be it of the socket or of TLS.
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._unread = link.recv(_CHUNK)
                if not self._unread:
                    raise ConnectionResetError
        finally:
            link.settimeout(None)
        return bool(self._unread)

    def offers(self, extension: str) -> str | None:
        return self.esmtp_features.get(extension)

    def getreply(self) -> tuple[int, bytes]:
        """Return a reply as smtplib's own commands want it."""
        try:
            code, lines = self._read(self.timeout)
        except (OSError, MalformedError):
            self.close()
            raise
        return code, b"\n".join(lines)

    def _read(self, timeout: float) -> tuple[int, list[bytes]]:
        """Return a reply's code and the texts of its lines (RFC 5321, section 4.2.1)."""
        until = time.monotonic() + timeout
        lines: list[bytes] = []
        while len(lines) < _LINES:
            found = _REPLY.match(self._line(until))
            if found is None:
                raise MalformedError
            code, dash, text = found.groups(b"")
            lines.append(text.strip())
            if dash != b"-":
                return int(code), lines
        raise MalformedError

    def _line(self, until: float) -> bytes:
        """Return the next line, however it comes in."""
        while (end := self._unread.find(b"\n") + 1) == 0:
            if len(self._unread) > _LINE:
                raise MalformedError
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            link = self._link()
            link.settimeout(left)
            more = link.recv(_CHUNK)
            if not more:
                raise ConnectionResetError
            self._unread += more
        line, self._unread = self._unread[:end], self._unread[end:]
        return line

    def _link(self) -> socket.socket:
        if self.sock is None:
            raise ConnectionResetError
        return self.sock


class _Clear(_Replies):
    """A connection that begins in clear."""


class _Encrypted(_Replies, smtplib.SMTP_SSL):
    """A connection that begins with TLS (RFC 8314, section 3.3)."""


def connect(server: Server, context: ssl.SSLContext | None, timeout: float) -> Session:
    """Return a session that is ready for MAIL FROM.

    `context` says whom TLS trusts, else the system does. `timeout` is for each step, in seconds.

    Raises:
        ServerError: it didn't come to that; `permanent` when it never will with this configuration.
    """
    session: _Replies | None = None
    try:
        session = _dial(server, context, timeout)
        link = session._link()  # noqa: SLF001  # the class is ours
        # The final dot is a small packet after a large one: it must not wait for an acknowledgement.
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _greet(session)
        if server.security == "starttls":
            _encrypt(session, context or _trusting())
        if server.username is not None:
            _log_in(session, server.username, server.password or "")
    except ServerError:
        _drop(session)
        raise
    except (OSError, MalformedError, smtplib.SMTPException, ValueError) as error:
        _drop(session)
        raise _explained(server, error) from error
    return session


@functools.cache
def _trusting() -> ssl.SSLContext:
    """Return what checks certificates; one for all, since reading the authorities is slow."""
    return ssl.create_default_context()


def _dial(server: Server, context: ssl.SSLContext | None, timeout: float) -> _Replies:
    name = server.hello
    if server.security == "tls":
        trust = context or _trusting()
        return _Encrypted(server.host, server.port, name, timeout=timeout, context=trust)
    return _Clear(server.host, server.port, name, timeout=timeout)


def _greet(session: _Replies) -> None:
    """Say EHLO, to an old server HELO (RFC 5321, section 3.2)."""
    code, text = session.ehlo()
    if code >= REFUSAL:
        code, text = session.helo()
    reply = Reply(code, (text,))
    if not reply.good:
        raise refused("greeting", reply, permanent=code >= REFUSAL)


def _encrypt(session: _Replies, context: ssl.SSLContext) -> None:
    """Go over to TLS, or not at all: whoever can strike out STARTTLS could read along."""
    if session.offers("starttls") is None:
        raise ServerError(
            "", None, "the server offers no STARTTLS; another port may", permanent=True
        )
    session.starttls(context=context)
    if session._unread:  # noqa: SLF001  # said in clear before TLS, by whoever (CVE-2011-0411)
        raise MalformedError
    _greet(session)


def _log_in(session: _Replies, username: str, password: str) -> None:
    if session.offers("auth") is None:
        raise ServerError("", None, "the server offers no login (AUTH)", permanent=True)
    if (username + password).isascii():
        session.login(username, password)
        return
    # smtplib knows ASCII alone; PLAIN is UTF-8 (RFC 4616, section 2).
    secret = base64.b64encode(f"\0{username}\0{password}".encode()).decode("ascii")
    code, text = session.docmd("AUTH", f"PLAIN {secret}")
    if code != 235:  # noqa: PLR2004  # RFC 4954, section 6
        raise smtplib.SMTPAuthenticationError(code, text)


def _explained(server: Server, error: Exception) -> ServerError:
    """Return the error for people, with the server's own words but without ours."""
    where = f"{server.host}:{server.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"{where}: the certificate can't be trusted: {error.verify_message}"
        return ServerError("", None, reason, permanent=True)
    if isinstance(error, smtplib.SMTPAuthenticationError):
        # 454 passes (RFC 4954, section 6), as does any 4xx.
        return refused("login", _reply(error), permanent=error.smtp_code >= REFUSAL)
    if isinstance(error, smtplib.SMTPResponseException):
        step = "connection" if isinstance(error, smtplib.SMTPConnectError) else "STARTTLS"
        return refused(step, _reply(error), permanent=False)
    permanent = False
    if isinstance(error, MalformedError):
        reason = "answers, but not in SMTP"
    elif isinstance(error, smtplib.SMTPServerDisconnected):
        reason = "hung up"
    elif isinstance(error, smtplib.SMTPException):
        reason, permanent = "knows no way to log in that we know", True
    elif isinstance(error, TimeoutError):
        reason = "no answer in time"
    elif isinstance(error, OSError):
        reason = error.strerror or "hung up"
    else:
        reason, permanent = "a name that can't be sent", True
    return ServerError("", None, f"{where}: {reason}", permanent=permanent)


def _reply(error: smtplib.SMTPResponseException) -> Reply:
    text = error.smtp_error
    return Reply(error.smtp_code, (text if isinstance(text, bytes) else text.encode(),))


def refused(step: str, reply: Reply, *, permanent: bool) -> ServerError:
    """Return the error of a step that the server refused for its own reasons."""
    reason = f"{step} refused: {reply.text}"
    return ServerError("", reply.code, reason, permanent=permanent, status=reply.status)


def _drop(session: _Replies | None) -> None:
    if session is not None:
        session.close()
