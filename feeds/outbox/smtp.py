"""One connection to the configured server, letter by letter (RFC 5321). I/O.

A letter goes in two halves, so that the record can be written between them: `offer` hands over all but
the final dot, `conclude` sets the dot. Until the dot a letter is surely not taken; after it, only the
answer tells. Each letter has one recipient, since each has its own way to unsubscribe.

With PIPELINING (RFC 2920) MAIL, RCPT and DATA are one write and the wait for one answer. What kind of
error is raised says what to do: `DeliveryError` is of this letter, `ServerError` of the server,
`UncertainError` can't be known. Messages of errors hold no address.
"""

from __future__ import annotations

import re
import ssl
from types import TracebackType
from typing import Self

from feeds.errors import DeliveryError, ServerError, UncertainError
from feeds.model import Letter
from feeds.outbox import session
from feeds.outbox.session import REFUSAL, MalformedError, Reply, Server, Session

__all__ = ["Connection", "Server"]

COMMAND, DOT = 60.0, 120.0
"""Seconds to wait for an answer to a command, and to the final dot; RFC 5321, section 4.5.3.2, allows
more, but a server that needs as long is better tried later."""

_CLOSING, _GO_ON, _NO_LOGIN, _TOO_LARGE = 421, 354, 530, 552
_ERROR = 400  # codes from here on say no
_FOREIGN = "5.6.7"  # RFC 6531, section 3.5: no SMTPUTF8 for this address
_GLANCE = 0.1  # seconds for what should have come in already
_FAREWELL = 10.0  # seconds to wait for the answer to QUIT, which nobody needs
_LONGEST = 254  # bytes of an address: RFC 5321, section 4.5.3.1.3, less its brackets
_PART = r"[^\s<>()\[\],;:\\\"@]+"
_ADDRESS = re.compile(f"{_PART}@{_PART}")
_XTEXT = re.compile(rb"[^!-*,-<>-~]")  # RFC 3461, section 4: what is written as +XX


class Connection:
    """A connection that opens when it is needed, and again after it was lost.

    `sent` counts the letters that were taken. Not for several threads at once.
    """

    def __init__(
        self,
        server: Server,
        *,
        command: float = COMMAND,
        dot: float = DOT,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.server, self.sent = server, 0
        self._command, self._dot = command, dot
        self._context = context
        self._session: Session | None = None
        self._letter: Letter | None = None
        self._used = False  # a letter was concluded since it was opened
        self._reset = False  # a transaction was left half done

    def open(self) -> None:
        """Connect, encrypt and log in, if that isn't done.

        Raises:
            ServerError: the server takes no letters, or not from us.
        """
        if self._session is None:
            self._session = session.connect(self.server, self._context, self._command)
            self._used = self._reset = False

    def offer(self, letter: Letter) -> None:
        """Hand over a letter up to its final dot, not included.

        Servers limit the letters of a connection by 421 or by hanging up; a connection that has been
        good before is therefore opened again, once, before that counts as an error.

        Raises:
            DeliveryError: the server refuses this letter, or it can't be sent as it is; the next may go.
            ServerError: the server takes none now.
        """
        if self._letter is not None:
            raise ValueError("a letter is offered already")
        _check(letter)
        self.open()
        again = self._used
        self._letter = letter  # from here on, whatever interrupts us, only hanging up is safe
        try:
            try:
                self._begin(letter)
            except ServerError:
                if not again or self._session is not None:
                    raise
                self.open()
                self._begin(letter)
        except DeliveryError:
            self._letter = None
            raise

    def conclude(self) -> None:
        """Set the final dot; return when the server has taken the letter.

        Raises:
            DeliveryError: the server refuses the letter.
            ServerError: the server was gone before the dot, or answered it with 421; not taken.
            UncertainError: the answer is missing, or is none.
        """
        letter, self._letter = self._letter, None
        link = self._session
        if letter is None or link is None:
            raise ValueError("no letter is offered")
        try:
            early = link.reply(self._command) if link.heard() else None
        except (OSError, MalformedError) as error:
            raise self._lost(error) from error
        if early is not None:
            raise self._cut_short(letter, early)
        try:
            link.write(b".\r\n", self._dot)
            reply = link.reply(self._dot)
        except (OSError, MalformedError) as error:
            self._hang_up()
            reason = f"{_why(error)} after the final dot"
            raise UncertainError(letter.recipient, None, reason, permanent=False) from error
        self._used = True
        if reply.good:
            self.sent += 1
        elif reply.code == _CLOSING:
            self._hang_up()
            raise session.refused("letter", reply, permanent=False)
        elif reply.code < _ERROR:  # 3xx asks for more, and there is no more
            self._hang_up()
            reason = "an answer to the final dot that is none"
            raise UncertainError(letter.recipient, reply.code, reason, permanent=False)
        else:
            raise _denied("letter", letter, reply)

    def abandon(self) -> None:
        """Take back a letter that was offered: once its text has begun, hanging up is the only way."""
        if self._letter is not None:
            self._letter = None
            self._hang_up()

    def close(self) -> None:
        """End the conversation. A letter that was taken stays so, whatever the server says to QUIT."""
        self.abandon()
        if self._session is not None:
            try:
                self._session.write(b"QUIT\r\n", min(self._command, _FAREWELL))
                self._session.reply(min(self._command, _FAREWELL))
            except (OSError, MalformedError):
                pass  # nothing is left to be done or to be told
            finally:
                self._hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._hang_up()  # the process is to end: no waiting for a server
        self.close()

    def _begin(self, letter: Letter) -> None:
        """Go from MAIL FROM to the end of the text."""
        link = self._session
        assert link is not None  # the caller has opened it
        commands = _commands(letter, link)
        if self._reset:
            commands = {"RSET": b"RSET\r\n"} | commands
        try:
            self._reset = False
            replies = self._ask(commands, link)
            self._judge(letter, replies, link)
        except (OSError, MalformedError) as error:
            raise self._lost(error) from error
        try:
            link.write(_stuffed(letter.data), self._dot)
        except OSError as error:
            try:
                said = link.reply(_GLANCE)  # what the server said before it hung up
            except (OSError, MalformedError):
                raise self._lost(error) from error
            raise self._cut_short(letter, said) from error

    def _ask(self, commands: dict[str, bytes], link: Session) -> dict[str, Reply]:
        """Send commands, in one write if the server can take that; return the replies by command.

        Replies to the rest are missing after a 421; one by one, after any refusal; and when the
        connection is lost after a refusal, which stands nevertheless.
        """
        together = link.offers("pipelining") is not None
        replies: dict[str, Reply] = {}
        try:
            if together:
                link.write(b"".join(commands.values()), self._command)
            for name, command in commands.items():
                if not together:
                    link.write(command, self._command)
                reply = replies[name] = link.reply(self._command)
                if reply.code == _CLOSING or not (together or reply.good or name == "RSET"):
                    break
        except (OSError, MalformedError):
            if _refusal(replies) is None:
                raise
            self._hang_up()
        return replies

    def _judge(self, letter: Letter, replies: dict[str, Reply], link: Session) -> None:
        """Return if the server waits for the text; else raise for the first command it refused."""
        refusal = _refusal(replies)
        if refusal is None:
            return
        name, reply = refusal
        if self._session is not None and name != "DATA" and _waits(replies):
            # RFC 2920, section 3.1: the server waits for a text though nobody is to get it.
            self._end_empty(link)
        self._used, self._reset = True, name != "MAIL"
        if any(each.code == _CLOSING for each in replies.values()):
            self._hang_up()
        if reply.code < _ERROR:
            raise MalformedError
        if reply.code == _CLOSING:
            raise session.refused(name, reply, permanent=False)
        if reply.code == _NO_LOGIN:
            raise session.refused(name, reply, permanent=True)
        if name == "MAIL" and reply.code != _TOO_LARGE and reply.status != _FOREIGN:
            raise session.refused("sender", reply, permanent=reply.code >= REFUSAL)
        raise _denied("recipient" if name == "RCPT" else "letter", letter, reply, name)

    def _end_empty(self, link: Session) -> None:
        """End a text that has no recipient at once; whatever is answered, no letter was sent."""
        try:
            link.write(b".\r\n", self._command)
            link.reply(self._command)
        except (OSError, MalformedError):
            self._hang_up()

    def _cut_short(self, letter: Letter, said: Reply) -> DeliveryError:
        """Hang up on a server that spoke before the final dot; return what it means."""
        self._hang_up()
        if said.code < _ERROR or said.code == _CLOSING:
            return session.refused("letter", said, permanent=False)
        return _denied("letter", letter, said)

    def _lost(self, error: Exception) -> ServerError:
        """Hang up; return the error of a letter that was surely not taken."""
        self._hang_up()
        return ServerError("", None, f"{_why(error)} before the final dot", permanent=False)

    def _hang_up(self) -> None:
        link, self._session = self._session, None
        if link is not None:
            link.close()


def _refusal(replies: dict[str, Reply]) -> tuple[str, Reply] | None:
    """Return the first command that was refused; RSET is none, since MAIL tells whether it worked."""
    for name, reply in replies.items():
        if reply.code == _CLOSING:
            return name, reply
        if name != "RSET" and not (reply.code == _GO_ON if name == "DATA" else reply.good):
            return name, reply
    return None


def _waits(replies: dict[str, Reply]) -> bool:
    return "DATA" in replies and replies["DATA"].code == _GO_ON


def _commands(letter: Letter, link: Session) -> dict[str, bytes]:
    """Return the commands of a letter, with the parameters that the server knows.

    Raises:
        DeliveryError: the server doesn't know one that the letter needs, or has no room; permanent.
    """
    mail, rcpt = [f"MAIL FROM:<{letter.sender}>"], [f"RCPT TO:<{letter.recipient}>"]
    size = link.offers("size")
    if size is not None:
        if size.isdecimal() and 0 < int(size) < len(letter.data):
            reason = f"larger than the {int(size)} bytes that the server takes"
            raise _unfit(letter, reason, "5.3.4", _TOO_LARGE)
        mail.append(f"SIZE={len(letter.data)}")
    if not letter.data.isascii():
        if link.offers("8bitmime") is None:
            raise _unfit(letter, "the server takes no 8-bit letters (8BITMIME)", "5.6.3")
        mail.append("BODY=8BITMIME")
    if not (letter.sender + letter.recipient).isascii():
        if link.offers("smtputf8") is None:
            raise _unfit(letter, "the server takes no such address (SMTPUTF8)", _FOREIGN)
        mail.append("SMTPUTF8")
    if link.offers("dsn") is not None:
        mail += ["RET=HDRS", f"ENVID={_xtext(letter.message_id.strip('<>'))}"]
        rcpt.append("NOTIFY=FAILURE,DELAY")
    return {
        "MAIL": f"{' '.join(mail)}\r\n".encode(),
        "RCPT": f"{' '.join(rcpt)}\r\n".encode(),
        "DATA": b"DATA\r\n",
    }


def _check(letter: Letter) -> None:
    """Refuse what could be read as another command, or as the end of the letter."""
    if not _fit(letter.recipient):
        raise _unfit(letter, "no address that can be sent", "5.1.3")
    if letter.sender and not _fit(letter.sender):
        raise ServerError("", None, "the sender is no address that can be sent", permanent=True)
    data, ends = letter.data, letter.data.count(b"\r\n")
    if data.count(b"\r") != ends or data.count(b"\n") != ends:
        # Servers disagree on where such a line ends, and so on where a letter ends.
        raise _unfit(letter, "a line ends with CR or LF alone", "5.6.0")


def _fit(address: str) -> bool:
    return (
        bool(_ADDRESS.fullmatch(address))
        and address.isprintable()  # surrogates aren't, so it can be encoded
        and len(address.encode()) <= _LONGEST
    )


def _stuffed(data: bytes) -> bytes:
    """Return a letter's text as it goes out: a dot before one that begins a line (section 4.5.2)."""
    if not data.endswith(b"\r\n"):
        data += b"\r\n"
    if data.startswith(b"."):
        data = b"." + data
    return data.replace(b"\r\n.", b"\r\n..")


def _xtext(text: str) -> str:
    """Return text as a value of DSN's parameters (RFC 3461, section 4)."""
    return _XTEXT.sub(
        lambda sign: b"+%02X" % ord(sign[0]), text.encode("utf-8", "replace")
    ).decode()


def _unfit(letter: Letter, reason: str, status: str, code: int | None = None) -> DeliveryError:
    """Return the error of a letter that can't be offered to this server at all."""
    return DeliveryError(letter.recipient, code, reason, permanent=True, status=status)


def _denied(what: str, letter: Letter, reply: Reply, command: str = "") -> DeliveryError:
    """Return the error of a letter that the server refused."""
    # RFC 5321, section 4.5.3.1.10: 552 to RCPT says "too many", which passes.
    permanent = reply.code >= REFUSAL and not (command == "RCPT" and reply.code == _TOO_LARGE)
    return DeliveryError(
        letter.recipient,
        reply.code,
        f"{what} refused: {reply.text}",
        permanent=permanent,
        status=reply.status,
    )


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (
        "an answer that is none" if isinstance(error, MalformedError) else "the connection was lost"
    )
