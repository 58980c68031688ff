"""An SMTP server that misbehaves on demand, with its own protocol code, for tests of sending.

    with chaos.server("rcpt-450") as peer:
        ...                      # send to 127.0.0.1, peer.port
        peer.scenario = "ok"     # may change while it runs
        peer.taken               # what it accepted, in order

A scenario is a name of `SCENARIOS`, some with a value after a colon (`flaky:0.3`, `limit-msgs:2`).
Several, parted by commas, are for one connection each, the last for all that follow. It offers
PIPELINING, SIZE, 8BITMIME, SMTPUTF8, DSN and ENHANCEDSTATUSCODES where the scenario says nothing else;
`without` takes some away.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import ssl
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from email import message_from_bytes

REPLIES = {
    "mail-421": ("MAIL", "421 4.3.2 closing"),
    "mail-451": ("MAIL", "451 4.3.0 later"),
    "mail-550": ("MAIL", "550 5.7.1 not from you"),
    "mail-552": ("MAIL", "552 5.3.4 too large"),
    "mail-553": ("MAIL", "553 5.6.7 no such addresses here"),
    "mail-354": ("MAIL", "354 go on"),
    "rcpt-530": ("RCPT", "530 5.7.0 log in first"),
    "rcpt-550": ("RCPT", "550 5.1.1 <{recipient}> nobody of that name"),
    "rcpt-552": ("RCPT", "552 5.5.3 too many recipients"),
    "rcpt-421": ("RCPT", "421 4.3.2 closing"),
    "rcpt-550-close": ("RCPT", "550 5.1.1 nobody of that name"),
    "rcpt-550-354": ("RCPT", "550 5.1.1 nobody of that name"),
    "data-421": ("DATA", "421 4.3.2 closing"),
    "data-451": ("DATA", "451 4.3.0 later"),
    "data-554": ("DATA", "554 5.7.1 no"),
    "data-554-close": ("DATA", "554 5.7.1 no"),
    "dot-421": ("DOT", "421 4.3.2 closing"),
    "dot-451": ("DOT", "451 4.3.0 later"),
    "dot-452": ("DOT", "452 4.3.1 no room"),
    "dot-552": ("DOT", "552 5.3.4 too large"),
    "dot-554": ("DOT", "554 5.6.0 no"),
    "garbage-reply": ("MAIL", "hello, who is there?"),
    "overlong-reply": ("MAIL", "250 " + "x" * 20_000),
    "endless-reply": ("MAIL", "\r\n".join(["250-more"] * 1_000)),
}
"""Scenarios that are another answer to one command, which then had no effect."""

SCENARIOS = (
    *REPLIES,
    "ok",
    "refuse-connect",
    "greet-421",
    "greet-554",
    "greet-garbage",
    "greet-silent",
    "ehlo-421",
    "ehlo-500-helo-only",
    "starttls-broken",
    "starttls-454",
    "starttls-injected",
    "auth-535",
    "auth-454",
    "rcpt-450",
    "half-refused",
    "drop-before-data",
    "drop-in-data",
    "drop-before-dot",
    "early-421",
    "early-552",
    "drop-after-dot",
    "stall-after-dot",
    "garbage-dot",
    "limit-msgs:2",
    "limit-msgs-close:2",
    "slow-replies",
    "drip",
    "late-354",
    "multi-line",
    "pipelining",
    "no-pipelining",
    "quit-421",
    "flaky:0.5",
)

FLAKY = (
    "mail-421",
    "mail-451",
    "rcpt-421",
    "rcpt-552",
    "data-421",
    "data-451",
    "drop-before-data",
    "drop-in-data",
    "drop-before-dot",
    "drop-after-dot",
    "dot-451",
    "dot-421",
    "garbage-reply",
)
"""What `flaky` draws from: all of it passes."""

_PATH = re.compile(r"(?:FROM|TO):<([^>]*)>", re.IGNORECASE)
_EXTENSIONS = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


@dataclass(frozen=True, slots=True)
class Taken:
    """A letter that the server took; `answered` says whether its 250 was written."""

    recipient: str
    message_id: str
    sha256: str
    answered: bool
    sender: str = ""
    data: bytes = field(default=b"", repr=False)


class Peer:
    """The server, as a test sees it."""

    def __init__(
        self,
        scenario: str,
        seed: int,
        without: tuple[str, ...],
        context: ssl.SSLContext | None,
    ) -> None:
        self.port = 0
        self.taken: list[Taken] = []
        self.commands: list[str] = []
        self.connections = 0
        self.hasty = 0  # commands that came before the answer to the one before them
        self._scenario, self._without, self._context = scenario, without, context
        self._random = random.Random(seed)
        self._greylisted: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def scenario(self) -> str:
        """How it behaves; a change counts from the next command on."""
        return self._scenario

    @scenario.setter
    def scenario(self, name: str) -> None:
        self._scenario, self.connections = name, 0
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def log(self) -> str:
        """Return what was taken, a line of JSON each."""
        entries = [asdict(each) | {"data": len(each.data)} for each in self.taken]
        return "\n".join(json.dumps(entry) for entry in entries)

    async def _listen(self) -> None:
        """Open the door or shut it, on the same port."""
        shut = self._scenario == "refuse-connect"
        if shut and self._server is not None:
            self._server.close()
            self._server = None
        if self._server is None and not (shut and self.port):
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
            if shut:
                await self._listen()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        names = self._scenario.split(",")
        number = min(self.connections, len(names) - 1)
        self.connections += 1
        talk = _Talk(self, names[number] if len(names) > 1 else None, reader, writer)
        with suppress(OSError, EOFError, _HungUpError, asyncio.CancelledError):
            await talk.run()
        writer.transport.abort()
        self._sessions.discard(task)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.call_soon(ready.set)
        self._loop.run_forever()
        if self._server is not None:
            self._server.close()
        for task in list(self._sessions):
            task.cancel()
        self._loop.run_until_complete(self._quiet())
        self._loop.close()

    async def _quiet(self) -> None:
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await asyncio.sleep(0)  # transports close a turn later


class _HungUpError(Exception):
    """The server ends the conversation without a word."""


class _Talk:
    """One connection."""

    def __init__(
        self,
        peer: Peer,
        fixed: str | None,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.peer, self.fixed, self.reader, self.writer = peer, fixed, reader, writer
        self.sender: str | None = None
        self.recipient: str | None = None
        self.count = 0
        self.drawn = "ok"
        self.waiting: list[str] = []

    @property
    def scenario(self) -> str:
        name = self.fixed or self.peer.scenario
        return self.drawn if name.startswith("flaky:") else name

    def value(self, name: str) -> float | None:
        """Return the value of a scenario that has one, when it is on."""
        whole = self.fixed or self.peer.scenario
        return float(whole.partition(":")[2]) if whole.startswith(f"{name}:") else None

    async def run(self) -> None:
        await self.greet()
        while True:
            line = await self.line()
            self.peer.commands.append(line)
            verb = line.split(" ", 1)[0].upper()
            early = bool(self.reader._buffer)  # type: ignore[attr-defined]  # what came in unasked
            self.peer.hasty += early
            if early and self.scenario == "no-pipelining":
                await self.say("554 5.5.1 wait for the answer", close=True)
            if verb == "MAIL" and (chance := self.value("flaky")) is not None:
                luck = self.peer._random
                self.drawn = luck.choice(FLAKY) if luck.random() < chance else "ok"
            if self.scenario == "pipelining" and verb == "MAIL":
                # No answer before the whole group is there: only who sends it at once gets on.
                self.waiting = [await self.line(), await self.line()]
            await self.command(verb, line)

    async def line(self) -> str:
        if self.waiting:
            return self.waiting.pop(0)
        return (await self.reader.readuntil(b"\n")).decode("utf-8").rstrip("\r\n")

    async def say(self, text: str, *, close: bool = False) -> None:
        if self.scenario == "multi-line" and text[3] == " ":
            text = f"{text[:3]}-first\r\n{text[:3]}-{text[4:]}\r\n{text}"
        data = f"{text}\r\n".encode()
        if self.scenario == "slow-replies":
            for at in range(len(data)):
                self.writer.write(data[at : at + 1])
                await self.writer.drain()
                await asyncio.sleep(0.0002)
        else:
            self.writer.write(data)
            await self.writer.drain()
        if close or text.startswith("421"):
            # An orderly end: abort would take back what was just said.
            self.writer.write_eof()
            with suppress(OSError):
                while await self.reader.read(65_536):
                    pass
            raise _HungUpError

    async def greet(self) -> None:
        if self.scenario == "refuse-connect":
            raise _HungUpError
        if self.scenario == "greet-silent":
            await self.reader.read(1)
        greetings = {
            "greet-421": "421 4.3.2 busy",
            "greet-554": "554 5.3.2 no service here",
            "greet-garbage": "SSH-2.0-OpenSSH_9.2",
        }
        if (text := greetings.get(self.scenario)) is not None:
            await self.say(text, close=True)
        await self.say("220 chaos.example ESMTP")

    async def command(self, verb: str, line: str) -> None:
        step, text = REPLIES.get(self.scenario, ("", ""))
        if verb == "MAIL" and self.scenario == "drip":
            while True:  # never a whole line, and never long without a byte
                self.writer.write(b"2")
                await self.writer.drain()
                await asyncio.sleep(0.02)
        if verb == step:
            if verb == "RCPT":
                text = text.format(recipient=_PATH.search(line)[1])  # type: ignore[index]
            await self.say(text, close=self.scenario.endswith("-close"))
            return
        actions = {
            "EHLO": self.ehlo,
            "STARTTLS": self.starttls,
            "AUTH": self.auth,
            "MAIL": self.mail,
            "RCPT": self.rcpt,
            "DATA": self.data,
            "QUIT": self.quit,
        }
        if verb in actions:
            await actions[verb](line)
        elif verb in {"HELO", "RSET", "NOOP"}:
            self.sender = self.recipient = None
            await self.say("250 2.0.0 fine")
        else:
            await self.say("500 5.5.2 what?")

    async def ehlo(self, _: str) -> None:
        if self.scenario == "ehlo-421":
            await self.say("421 4.3.2 closing")
        if self.scenario == "ehlo-500-helo-only":
            await self.say("500 what?")
            return
        words = [each for each in _EXTENSIONS if each.split(" ")[0] not in self.peer._without]
        if self.scenario == "no-pipelining":
            words.remove("PIPELINING")
        if self.scenario.startswith("starttls") or self.peer._context:
            words.append("STARTTLS")
        words.append("AUTH PLAIN LOGIN")
        await self.say(
            "\r\n".join(f"250-{each}" for each in ["chaos.example", *words]) + "\r\n250 HELP"
        )

    async def starttls(self, _: str) -> None:
        if self.scenario == "starttls-454":
            await self.say("454 4.7.0 not now")
        elif self.scenario == "starttls-injected":
            await self.say("220 2.0.0 go\r\n250 said in clear")
            await self.writer.start_tls(
                self.peer._context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            )
        else:
            await self.say("220 2.0.0 go")
            await self.say("this is no TLS", close=True)

    async def auth(self, _: str) -> None:
        answers = {
            "auth-535": "535 5.7.8 wrong for who@example.org",
            "auth-454": "454 4.7.0 later",
        }
        await self.say(answers.get(self.scenario, "235 2.7.0 welcome"))

    async def mail(self, line: str) -> None:
        if (limit := self.value("limit-msgs")) is not None and self.count >= limit:
            await self.say("421 4.7.0 enough for one connection")
        found = _PATH.search(line)
        assert found is not None, line
        self.sender, self.recipient = found[1], None
        await self.say("250 2.1.0 fine")

    async def rcpt(self, line: str) -> None:
        found = _PATH.search(line)
        assert found is not None, line
        recipient = found[1]
        if self.sender is None:
            await self.say("503 5.5.1 MAIL first")
        elif self.scenario == "rcpt-450" and recipient not in self.peer._greylisted:
            self.peer._greylisted.add(recipient)
            await self.say("450 4.2.0 come back later")
        elif self.scenario == "half-refused" and refused(recipient):
            await self.say("550 5.1.1 nobody of that name")
        else:
            self.recipient = recipient
            await self.say("250 2.1.5 fine")
            if self.scenario == "drop-before-data":
                raise _HungUpError

    async def data(self, _: str) -> None:
        if self.recipient is None and self.scenario != "rcpt-550-354":
            await self.say("503 5.5.1 RCPT first")
            return
        if self.scenario == "late-354":
            await asyncio.sleep(0.02)
        if self.scenario.startswith("early-"):
            early = {"early-421": "421 4.4.2 I can't wait", "early-552": "552 5.3.4 too large"}
            await self.say(f"354 go on\r\n{early[self.scenario]}", close=True)
        await self.say("354 go on")
        if self.scenario == "drop-in-data":
            await self.reader.read(64)
            raise _HungUpError
        if self.scenario == "drop-before-dot":
            await self.before_dot()
            raise _HungUpError
        text = await self.text()
        step, answer = REPLIES.get(self.scenario, ("", ""))
        if step == "DOT":
            await self.say(answer)
        elif self.recipient is None:
            await self.say("554 5.5.1 no valid recipients")
        else:
            await self.take(text)
        self.sender = self.recipient = None

    async def before_dot(self) -> None:
        """Wait until the text is there, as far as a letter of tests goes: its last line is `-- end`."""
        await self.reader.readuntil(b"-- end\r\n")

    async def text(self) -> bytes:
        lines: list[bytes] = []
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    async def take(self, text: bytes) -> None:
        """Take the letter, and say so, or not."""
        self.count += 1
        answered = self.scenario not in {"drop-after-dot", "stall-after-dot", "garbage-dot"}
        self.peer.taken.append(
            Taken(
                self.recipient or "",
                message_from_bytes(text)["Message-ID"] or "",
                hashlib.sha256(text).hexdigest(),
                answered,
                self.sender or "",
                text,
            )
        )
        if self.scenario == "drop-after-dot":
            raise _HungUpError
        if self.scenario == "stall-after-dot":
            await self.reader.read(1)  # until the other side gives up
            raise _HungUpError
        await self.say("OK queued" if self.scenario == "garbage-dot" else "250 2.0.0 taken")
        if (limit := self.value("limit-msgs-close")) is not None and self.count >= limit:
            raise _HungUpError

    async def quit(self, _: str) -> None:
        await self.say(
            "421 4.3.2 too late" if self.scenario == "quit-421" else "221 2.0.0 bye", close=True
        )


def refused(recipient: str) -> bool:
    """Return whether `half-refused` refuses this recipient."""
    return zlib.crc32(recipient.encode()) % 2 == 0


@contextmanager
def server(
    scenario: str = "ok",
    *,
    seed: int = 1,
    without: tuple[str, ...] = (),
    context: ssl.SSLContext | None = None,
) -> Iterator[Peer]:
    """Run the server in a thread of its own; it is gone, with its connections, at the end."""
    peer = Peer(scenario, seed, without, context)
    ready = threading.Event()
    thread = threading.Thread(target=peer._serve, args=(ready,), name="chaos")
    thread.start()
    try:
        assert ready.wait(10)
        yield peer
    finally:
        peer._loop.call_soon_threadsafe(peer._loop.stop)
        thread.join(10)
        assert not thread.is_alive()
