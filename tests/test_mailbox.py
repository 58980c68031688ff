"""The mailbox: places, Maildirs, files and pipes; and IMAP, of a real server where there is one."""

from __future__ import annotations

import getpass
import grp
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pytest
from factories import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from feeds import mailbox
from feeds.errors import MailboxError
from feeds.mailbox import Message, Place, Way, mime
from feeds.mailbox.reports import Kind, read

BOUNCE = (GOLDEN / "reports" / "postfix_unknown.eml").read_bytes()
DOVECOT = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin")
OPENSSL = shutil.which("openssl")


def subjects(messages: Iterator[Message]) -> list[str]:
    return [mime.parse(message.data).first("subject") for message in messages]


def letter(subject: str) -> bytes:
    return f"Subject: {subject}\n\nA body.\n".encode()


def make_maildir(folder: Path, /, **messages: bytes) -> Path:
    """Return a Maildir with these messages, unread, by the names of their files."""
    for name in ("new", "cur", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, data in messages.items():
        (folder / "new" / name).write_bytes(data)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))


# Places


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("imaps://me@imap.example.org", Place(Way.IMAPS, None, "imap.example.org", 993, "me")),
        (
            "imaps://b@x.org@imap.x.org:1993/Mail/Back",
            Place(Way.IMAPS, "b@x.org", "imap.x.org", 1993, "b@x.org", "Mail/Back"),
        ),
        (
            "IMAP://b%40x.org@[::1]/?address=back@y.org",
            Place(Way.IMAP, "back@y.org", "::1", 143, "b@x.org", "INBOX"),
        ),
        (
            "imap://me@h/Junk%20%26%20more",
            Place(Way.IMAP, None, "h", 143, "me", "Junk & more"),
        ),
        ("maildir:/var/mail/b", Place(Way.MAILDIR, None, path="/var/mail/b")),
        ("maildir:~/b?address=b@x.org", Place(Way.MAILDIR, "b@x.org", path="~/b")),
        (" bounces@example.org ", Place(Way.PIPE, "bounces@example.org")),
    ],
)
def test_a_place_reads_as_it_is_written(text: str, expected: Place) -> None:
    assert mailbox.place(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bounces",
        "imaps://imap.example.org",
        "imaps://me@",
        "imaps://me@host:0/",
        "imaps://me@host:99999/",
        "imaps://me@[::1/",
        "imaps://me@host/INBOX?folder=x",
        "imaps://me@host/#x",
        "imaps://me%0d%0aLOGOUT@host/",
        "imaps://me@host/IN%0aBOX",
        "imaps://me:canary@host/",
        "imaps://me@host/?address=nobody",
        "pop3://me@host",
        "maildir:",
        "a@b?address=c@d",
        "/var/mail/b",
        "two@example.org, three@example.org",
    ],
)
def test_a_place_that_makes_no_sense_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expect|has no place here") as caught:
        mailbox.place(text)
    assert "canary" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_place_or_refused(text: str) -> None:
    for each in (text, f"imaps://{text}", f"imap://me@host/{text}", f"maildir:{text}"):
        with suppress(ValueError):
            assert mailbox.place(each).way in Way


def test_a_place_written_out_names_no_login() -> None:
    assert str(mailbox.place("imaps://b@x.org@imap.x.org/A")) == "imaps://imap.x.org/A"
    assert str(mailbox.place("imap://b@[::1]:10143")) == "imap://[::1]:10143/INBOX"
    assert "@" not in str(mailbox.place("bounces@example.org"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_only_this_machine_is_near(host: str) -> None:
    assert mailbox.place(f"imap://me@{host}/").near


def test_piped_mail_is_not_fetched() -> None:
    with pytest.raises(MailboxError, match="pipe it into feeds bounces") as caught:
        list(mailbox.messages(mailbox.place("bounces@example.org")))
    assert "@" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1.example.org", "192.0.2.1", "[2001:db8::1]", "local"])
def test_another_machine_is_not_near(host: str) -> None:
    assert not mailbox.place(f"imap://me@{host}/").near


# A Maildir


def test_a_maildir_gives_what_is_unread_oldest_first(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path / "b", **{"2.x": letter("two"), "1.x": letter("one")})
    (folder / "cur" / "0.x:2,").write_bytes(letter("zero"))
    (folder / "cur" / "3.x:2,FS").write_bytes(letter("seen"))
    (folder / "new" / ".hidden").write_bytes(letter("hidden"))
    place = mailbox.place(f"maildir:{folder}")
    assert subjects(mailbox.messages(place)) == ["zero", "one", "two"]


def test_what_is_done_is_marked_and_never_deleted(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path, **{"1.x": letter("one"), "2.x,S=9": letter("two")})
    (folder / "cur" / "3.x:2,F").write_bytes(letter("three"))
    place = mailbox.place(f"maildir:{folder}")
    for message in mailbox.messages(place):
        message.done()
    assert names(folder) == ["cur/1.x:2,S", "cur/2.x,S=9:2,S", "cur/3.x:2,FS"]
    assert list(mailbox.messages(place)) == []


def test_what_is_not_done_comes_again(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path, **{"1.x": letter("one"), "2.x": letter("two")})
    place = mailbox.place(f"maildir:{folder}")
    next(mailbox.messages(place)).done()
    assert subjects(mailbox.messages(place)) == ["two"]


def test_a_mail_program_beside_us_is_no_trouble(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path, **{f"{n}.x": letter(str(n)) for n in range(1, 5)})
    moved, read_, gone, vanished = ("1.x", "2.x", "3.x", "4.x")
    found = mailbox.messages(mailbox.place(f"maildir:{folder}"))
    first, second, third = next(found), next(found), next(found)
    (folder / "new" / moved).rename(folder / "cur" / f"{moved}:2,R")
    (folder / "new" / read_).rename(folder / "cur" / f"{read_}:2,S")
    (folder / "new" / gone).unlink()
    (folder / "new" / vanished).unlink()
    for message in (first, second, third):
        message.done()
        message.done()
    assert list(found) == []
    assert names(folder) == ["cur/1.x:2,RS", "cur/2.x:2,S"]


def test_a_message_never_takes_the_place_of_another(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path, **{"1.x": letter("new")})
    (folder / "cur" / "1.x:2,S").write_bytes(letter("old"))
    (message,) = mailbox.messages(mailbox.place(f"maildir:{folder}"))
    with pytest.raises(MailboxError):
        message.done()
    assert (folder / "cur" / "1.x:2,S").read_bytes() == letter("old")


def test_a_maildir_opens_no_fifo_and_follows_no_link(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path / "b", **{"1.x": letter("one")})
    os.mkfifo(folder / "new" / "2.x")
    (folder / "new" / "3.x").symlink_to("/dev/zero")
    (tmp_path / "private").write_bytes(letter("private"))
    (folder / "new" / "4.x").symlink_to(tmp_path / "private")
    (folder / "new" / "5.x").mkdir()
    assert subjects(mailbox.messages(mailbox.place(f"maildir:{folder}"))) == ["one"]


def test_a_large_message_is_read_in_part(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path, **{"1.x": letter("large")})
    os.truncate(folder / "new" / "1.x", 64 << 20)
    (message,) = mailbox.messages(mailbox.place(f"maildir:{folder}"))
    assert len(message.data) == mime.LIMIT


def test_a_message_that_can_not_be_read_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_maildir(tmp_path, **{f"{n}.x": letter(str(n)) for n in (1, 2, 3)})
    opens = Path.open

    def fail(path: Path, mode: str) -> IO[Any]:
        if path.name == "2.x":
            raise PermissionError(13, "Permission denied")
        return opens(path, mode)

    monkeypatch.setattr(Path, "open", fail)
    found = mailbox.messages(mailbox.place(f"maildir:{folder}"))
    assert subjects(islice(found, 2)) == ["1", "3"]
    with pytest.raises(MailboxError, match="Permission denied"):
        next(found)


def test_a_folder_that_is_no_maildir_is_named(tmp_path: Path) -> None:
    with pytest.raises(MailboxError, match="no Maildir: it needs"):
        list(mailbox.messages(mailbox.place(f"maildir:{tmp_path}")))


# A file or a pipe


def test_a_stream_holds_one_message() -> None:
    data = letter("one") + b"\nFrom here on it is text.\n"
    (message,) = mailbox.piped(io.BytesIO(data))
    assert message.data == data
    message.done()


def test_an_mbox_holds_many(tmp_path: Path) -> None:
    line = b"From MAILER-DAEMON Fri Jan  2 03:00:04 2026\n"
    two = letter("two") + b"From a line within a paragraph.\n"
    box = tmp_path / "mbox"
    box.write_bytes(b"\n".join(line + data for data in (BOUNCE, two, letter("three"))))
    found = [message.data.strip() for message in mailbox.opened(box)]
    assert found == [BOUNCE.strip(), two.strip(), letter("three").strip()]


def test_a_maildir_can_be_named_as_a_file(tmp_path: Path) -> None:
    folder = make_maildir(tmp_path, **{"1.x": letter("one")})
    for message in mailbox.opened(folder):
        message.done()
    assert names(folder) == ["cur/1.x:2,S"]


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_nothing_at_all_is_said(data: bytes) -> None:
    with pytest.raises(MailboxError, match="standard input: there is no message in it"):
        list(mailbox.piped(io.BytesIO(data)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MailboxError, match="missing: No such file"):
        list(mailbox.opened(tmp_path / "missing"))


class Endless(io.RawIOBase):
    """A message of 64 MB that never stands in memory."""

    left = 64 << 20

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # what io hands over
        size = min(len(view), self.left)
        view[:size] = b"x" * size
        self.left -= size
        return size


def test_a_pipe_is_read_to_its_end_but_not_kept() -> None:
    stream = Endless()
    (message,) = mailbox.piped(io.BufferedReader(stream))
    assert (len(message.data), stream.left) == (mime.LIMIT, 0)


# IMAP, of Dovecot


@dataclass(frozen=True)
class Server:
    """Dovecot on this machine: every login has its own, empty Maildir; the password is `geheim`."""

    root: Path
    port: int
    tls_port: int

    def maildir(self, login: str, folder: str = "", /, **messages: bytes) -> Path:
        """Deliver messages to an account, before it is first opened."""
        path = make_maildir(self.root / "mail" / login / folder, **messages)
        if os.getuid() == 0:
            for each in (self.root / "mail" / login, *(self.root / "mail" / login).rglob("*")):
                shutil.chown(each, "nobody")
        return path

    def place(self, login: str, folder: str = "INBOX") -> Place:
        return mailbox.place(f"imap://{login}@127.0.0.1:{self.port}/{folder}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def configuration(root: Path, port: int, tls_port: int) -> str:
    """Return a Dovecot 2.3 that runs as who runs the tests; root's mail it refuses: then nobody's."""
    me, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    as_root = os.getuid() == 0
    owner = "uid=nobody gid=nogroup" if as_root else f"uid={me} gid={group}"
    own = (
        ""
        if as_root
        else (
            f"default_internal_user = {me}\ndefault_login_user = {me}\n"
            f"default_internal_group = {group}\n"
            "service anvil {\n  chroot =\n}\n"
        )
    )
    chroot = "" if as_root else "chroot =\n"
    return f"""
base_dir = {root}/run
log_path = {root}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{root}/cert.pem
ssl_key = <{root}/key.pem
disable_plaintext_auth = no
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{root}/mail/%u
{own}
service imap-login {{
  {chroot}
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
passdb {{
  driver = static
  args = password=geheim
}}
userdb {{
  driver = static
  args = {owner} home={root}/mail/%u
}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if DOVECOT is None or OPENSSL is None:
        pytest.skip("Dovecot or OpenSSL is not installed")
    # Not below tmp_path, which no other account may enter; the names of sockets are short, too.
    root = Path(tempfile.mkdtemp(prefix="feeds-imap-"))
    root.chmod(0o755)
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(root / "key.pem")]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [OPENSSL, "req", "-x509", *key, *name, "-out", str(root / "cert.pem"), "-days", "2"]
    subprocess.run(command, check=True, capture_output=True)
    port, tls_port = free_port(), free_port()
    (root / "dovecot.conf").write_text(configuration(root, port, tls_port))
    process = subprocess.Popen([DOVECOT, "-F", "-c", str(root / "dovecot.conf")])
    try:
        for _ in range(300):
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (root / "log").read_text()
            time.sleep(0.1)
        else:
            pytest.fail((root / "log").read_text())
        yield Server(root, port, tls_port)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


def flags(folder: Path) -> list[str]:
    return sorted(path.name.partition(":")[2] for path in folder.glob("[cn]*/*.x*"))


def test_an_imap_folder_gives_what_is_unread_and_marks_only_what_is_done(server: Server) -> None:
    one, two = letter("one"), letter("two")
    folder = server.maildir("flags", **{"1.x": one, "2.x": two, "3.x": BOUNCE})
    found = mailbox.messages(server.place("flags"), "geheim")
    first = next(found)
    assert mime.parse(first.data).first("subject") == "one"
    next(found)
    assert flags(folder) == ["2,", "2,", "2,"]
    first.done()
    assert flags(folder) == ["2,", "2,", "2,S"]
    found.close()
    again = list(subjects(mailbox.messages(server.place("flags"), "geheim")))
    assert again == ["two", "Undelivered Mail Returned to Sender"]


def test_a_bounce_comes_through_imap_as_it_was(server: Server) -> None:
    server.maildir("whole", **{"1.x": BOUNCE})
    (message,) = mailbox.messages(server.place("whole"), "geheim")
    assert read(message.data) == read(BOUNCE)
    assert read(message.data)[0].kind is Kind.BOUNCE


def test_a_large_message_is_fetched_in_part(server: Server) -> None:
    server.maildir("large", **{"1.x": letter("large") + b"x\n" * (2 << 20), "2.x": letter("two")})
    large, small = mailbox.messages(server.place("large"), "geheim")
    assert len(large.data) == mime.LIMIT
    assert mime.parse(small.data).first("subject") == "two"


def test_an_empty_folder_gives_nothing(server: Server) -> None:
    server.maildir("empty")
    assert list(mailbox.messages(server.place("empty"), "geheim")) == []


def test_a_folder_may_have_any_name(server: Server) -> None:
    server.maildir("named", ".&BBIEPgQ3BDIEQARCBEs- &- mail", **{"1.x": letter("one")})
    server.maildir("named")
    place = server.place("named", "%D0%92%D0%BE%D0%B7%D0%B2%D1%80%D1%82%D1%8B%20%26%20mail")
    assert subjects(mailbox.messages(place, "geheim")) == ["one"]


def test_a_killed_process_loses_nothing(server: Server) -> None:
    folder = server.maildir("killed", **{f"{n}.x": letter(str(n)) for n in (1, 2, 3)})
    script = (
        "import os, signal; from feeds import mailbox\n"
        f"found = mailbox.messages(mailbox.place('imap://killed@127.0.0.1:{server.port}'), 'geheim')\n"
        "next(found).done(); next(found); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert flags(folder) == ["2,", "2,", "2,S"]
    assert subjects(mailbox.messages(server.place("killed"), "geheim")) == ["2", "3"]


def test_a_wrong_password_is_said_without_it(server: Server) -> None:
    server.maildir("b@example.org")
    with pytest.raises(MailboxError, match="the login was refused") as caught:
        list(mailbox.messages(server.place("b@example.org"), "canary"))
    assert "canary" not in str(caught.value)
    assert "b@" not in str(caught.value)


def test_a_missing_folder_is_said(server: Server) -> None:
    server.maildir("folderless")
    with pytest.raises(MailboxError, match=r"/Nowhere: there is no such folder"):
        list(mailbox.messages(server.place("folderless", "Nowhere"), "geheim"))


def test_a_message_can_no_longer_be_marked_when_the_connection_is_closed(server: Server) -> None:
    folder = server.maildir("late", **{"1.x": letter("one")})
    found = mailbox.messages(server.place("late"), "geheim")
    message = next(found)
    found.close()
    with pytest.raises(MailboxError):
        message.done()
    assert flags(folder) == ["2,"]


@pytest.mark.parametrize("way", ["imaps", "imap"])
def test_mail_is_read_over_tls_with_a_certificate_that_is_trusted(
    server: Server, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "near", property(lambda _: False))  # as if it were another machine
    server.maildir(f"tls-{way}", **{"1.x": letter("one")})
    port = server.tls_port if way == "imaps" else server.port
    place = mailbox.place(f"{way}://tls-{way}@127.0.0.1:{port}/")
    with pytest.raises(MailboxError, match="certificate can't be trusted"):
        list(mailbox.messages(place, "geheim"))
    monkeypatch.setenv("SSL_CERT_FILE", str(server.root / "cert.pem"))
    assert subjects(mailbox.messages(place, "geheim")) == ["one"]


# IMAP that misbehaves


def said(
    answer: Callable[[bytes, bytes], bytes], greeting: bytes = b"* OK ready\r\n"
) -> tuple[int, list[bytes]]:
    """Serve one connection: `answer` is given a command's mark and the rest. Return port and lines."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        with listening, listening.accept()[0] as line, line.makefile("rb") as lines:
            line.sendall(greeting)
            for text in lines:
                heard.append(text)
                mark, _, rest = text.strip().partition(b" ")
                reply = answer(mark, rest)
                if not reply:
                    return
                line.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    return int(listening.getsockname()[1]), heard


def polite(mark: bytes, rest: bytes) -> bytes:
    """Answer as a server with one unread message, without SASL."""
    untagged = {
        b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
        b"SELECT": b"* 1 EXISTS\r\n",
        b"UID SEARCH": b"* SEARCH 7\r\n",
        b"UID FETCH": b"* 1 FETCH (UID 7 BODY[]<0> {17}\r\nSubject: one\r\n\r\nx)\r\n",
    }
    first = next((text for start, text in untagged.items() if rest.startswith(start)), b"")
    return first + mark + b" OK done\r\n"


def test_a_server_without_sasl_will_do() -> None:
    port, heard = said(polite)
    assert subjects(mailbox.messages(mailbox.place(f"imap://me@127.0.0.1:{port}"), 'a "b')) == [
        "one"
    ]
    assert any(b'LOGIN "me" "a \\"b"' in line for line in heard)


def test_no_password_is_said_without_encryption(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Place, "near", property(lambda _: False))
    port, heard = said(polite)
    with pytest.raises(MailboxError, match="no STARTTLS"):
        list(mailbox.messages(mailbox.place(f"imap://me@127.0.0.1:{port}"), "canary"))
    assert b"canary" not in b"".join(heard)


def test_a_server_that_knows_us_asks_for_no_login() -> None:
    port, heard = said(polite, b"* PREAUTH welcome\r\n")
    assert subjects(mailbox.messages(mailbox.place(f"imap://me@127.0.0.1:{port}"), "x")) == ["one"]
    assert not any(b"LOGIN" in line for line in heard)


@pytest.mark.parametrize(
    "command", [b"CAPABILITY", b"LOGIN", b"SELECT", b"UID SEARCH", b"UID FETCH"]
)
@pytest.mark.parametrize("reply", [b"", b"* BYE gone\r\n", b"NO", b"BAD", b"\x00\xff\r\n"])
def test_a_server_that_fails_gives_one_error_or_nothing(command: bytes, reply: bytes) -> None:
    def answer(mark: bytes, rest: bytes) -> bytes:
        if not rest.startswith(command):
            return polite(mark, rest)
        return mark + b" " + reply + b" b@example.org\r\n" if reply in {b"NO", b"BAD"} else reply

    port, _ = said(answer)
    found = mailbox.messages(mailbox.place(f"imap://me@127.0.0.1:{port}"), "x")
    if (command, reply) == (b"UID FETCH", b"NO"):  # that message alone is passed over
        assert list(found) == []
        return
    with pytest.raises(MailboxError) as caught:
        list(found)
    assert "b@example.org" not in str(caught.value)


def test_a_message_that_can_not_be_marked_is_said() -> None:
    port, _ = said(
        lambda mark, rest: mark + b" NO no\r\n" if b"STORE" in rest else polite(mark, rest)
    )
    with closing(mailbox.messages(mailbox.place(f"imap://me@127.0.0.1:{port}"), "x")) as found:
        message = next(found)
        with pytest.raises(MailboxError, match="could not be marked"):
            message.done()


def test_a_folder_that_can_not_be_written_to_is_said() -> None:
    def answer(mark: bytes, rest: bytes) -> bytes:
        if rest.startswith(b"SELECT"):
            return b"* 1 EXISTS\r\n" + mark + b" OK [READ-ONLY] done\r\n"
        return polite(mark, rest)

    port, _ = said(answer)
    with pytest.raises(MailboxError, match="can't be marked as read"):
        list(mailbox.messages(mailbox.place(f"imap://me@127.0.0.1:{port}"), "x"))


def test_many_messages_are_searched_in_parts() -> None:
    def answer(mark: bytes, rest: bytes) -> bytes:
        if rest.startswith(b"SELECT"):
            return b"* 25000 EXISTS\r\n" + mark + b" OK done\r\n"
        if rest.startswith(b"UID SEARCH"):
            return b"* SEARCH\r\n" + mark + b" OK done\r\n"
        return polite(mark, rest)

    port, heard = said(answer)
    assert list(mailbox.messages(mailbox.place(f"imap://me@127.0.0.1:{port}"), "x")) == []
    searched = [line.split()[3] for line in heard if b"SEARCH" in line]
    assert searched == [b"1:10000", b"10001:20000", b"20001:25000"]


def test_where_nothing_listens_is_said() -> None:
    place = mailbox.place(f"imap://me@127.0.0.1:{free_port()}")
    with pytest.raises(MailboxError, match="nothing listens there"):
        list(mailbox.messages(place, "x"))


def test_a_password_that_is_missing_is_asked_for() -> None:
    with pytest.raises(MailboxError, match="FEEDS_BOUNCES_PASSWORD"):
        list(mailbox.messages(mailbox.place("imaps://me@imap.example.org")))
