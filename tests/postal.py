"""A mail office for tests: Postfix and Dovecot as real processes, on loopback, with all in one folder.

    with postal.opened() as office:
        office.smtp                # port: STARTTLS and a login are asked for
        office.imap                # port: TLS from the start
        office.authority           # file of the certificate authority to trust
        office.letters(address)    # what is in a mailbox, by IMAP

Whoever is in `MAILBOXES` has a mailbox, with `PASSWORD`. At `READERS` Postfix takes any address, so that
an unknown one comes back later; at `STRICT` it refuses each at once. Nothing leaves the machine and
nothing is asked of the DNS. The folder is no one of pytest's: the servers' own users have to get in.
"""

from __future__ import annotations

import imaplib
import ipaddress
import os
import pwd
import random
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOME, READERS, STRICT = "news.example.org", "readers.example", "strict.example"
PASSWORD = "open sesame"
SENDER, BOUNCES = f"daily@{HOME}", f"bounces@{HOME}"
MAILBOXES = tuple(f"{name}@{READERS}" for name in ("stays", "clicks", "writes", "russian"))

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # where Debian has servers
_UNPRIVILEGED = "nobody"  # whose the mailboxes are: Dovecot serves none of root's

_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.{home}
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
default_transport = error:5.1.2 nothing leaves this machine
recipient_delimiter = +
virtual_mailbox_domains = {home}, {readers}
virtual_transport = lmtp:unix:{folder}/dovecot/lmtp
virtual_alias_domains = {strict}
virtual_alias_maps =
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/dovecot/auth-smtp
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
"""
_MASTER = """\
127.0.0.1:{smtp} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_DOVECOT = """\
protocols = imap lmtp
listen = 127.0.0.1
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = {folder}/dovecot.log
ssl = required
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
mail_location = maildir:{folder}/mail/%u
mail_uid = {unprivileged}
mail_gid = {group}
first_valid_uid = 1
auth_mechanisms = plain
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/people
}}
userdb {{
  driver = passwd-file
  args = {folder}/people
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imap}
  }}
}}
service auth {{
  unix_listener auth-smtp {{
    mode = 0666
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Office:
    """A mail office at work: its folder, and the ports of 127.0.0.1 it is reached at."""

    folder: Path
    smtp: int
    imap: int

    @property
    def authority(self) -> Path:
        """The file of the authority that signed its certificate."""
        return self.folder / "authority.pem"

    @property
    def context(self) -> ssl.SSLContext:
        """Trust in that authority alone."""
        return ssl.create_default_context(cafile=str(self.authority))

    @property
    def log(self) -> str:
        """What Postfix wrote down, a line an event."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def letters(self, address: str) -> list[bytes]:
        """Return the messages of a mailbox as IMAP gives them out, in the order they came."""
        with imaplib.IMAP4_SSL("127.0.0.1", self.imap, ssl_context=self.context) as inbox:
            inbox.login(address, PASSWORD)
            _, [held] = inbox.select(readonly=True)
            if held == b"0":
                return []
            _, answer = inbox.fetch("1:*", "(BODY.PEEK[])")
        return [part[1] for part in answer if isinstance(part, tuple)]

    def submit(self, sender: str, recipient: str, message: bytes) -> None:
        """Send a message as a person's mail program does."""
        with smtplib.SMTP("127.0.0.1", self.smtp, "reader.example") as server:
            server.starttls(context=self.context)
            server.login(sender, PASSWORD)
            server.sendmail(sender, [recipient], message)

    def settle(self) -> None:
        """Wait until Postfix has nothing left to do: all is delivered, or came back.

        A message may change queues between two looks, and a bounce comes before its letter goes: three
        looks in a row see whatever there is.
        """
        queues = [self.folder / "queue" / name for name in ("incoming", "active", "deferred")]
        until(lambda: not any(_holds_files(queue) for queue in queues * 3))


def missing() -> str | None:
    """Return why there can be no mail office here, or None."""
    if os.geteuid() != 0:
        return "Postfix and Dovecot start as root alone"
    absent = [name for name in ("postfix", "dovecot") if program(name) is None]
    if not absent:
        parts = (Path("/usr/lib/dovecot") / name for name in ("imap", "lmtp"))
        absent = [f"dovecot-{part.name}d" for part in parts if not part.exists()]
    if absent:
        return f"not installed: {', '.join(absent)}"
    version = subprocess.check_output([program("dovecot") or "", "--version"], text=True)
    return None if version.startswith("2.3.") else "its configuration here is of Dovecot 2.3"


def program(name: str) -> str | None:
    """Return where a program is, be it a server's."""
    return shutil.which(name, path=_PATH)


@contextmanager
def opened() -> Iterator[Office]:
    """Open a mail office; at the end its processes end and its folder goes."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="feeds-postal-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o711)
        office = Office(folder, *_ports(2))
        _furnish(office)
        stack.enter_context(_dovecot(office))
        stack.enter_context(_postfix(office))
        yield office


def until(there: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for something; a minute is for ever here. A process that it needs must not end before."""
    for _ in range(3000):
        if there():
            return
        assert process is None or process.poll() is None, process
        time.sleep(0.02)
    raise AssertionError(there)


def certify(folder: Path) -> None:
    """Write `authority.pem`, and `server.pem` with certificate and key for 127.0.0.1."""
    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority for tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    for name, who, key, is_authority in (
        ("authority.pem", issuer, root, True),
        ("server.pem", subject, own, False),
    ):
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        ) | dict.fromkeys(("encipher_only", "decipher_only"), False)
        usage |= {"digital_signature": not is_authority}
        usage |= {"key_cert_sign": is_authority, "crl_sign": is_authority}
        made = (
            x509.CertificateBuilder(issuer, who, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()),
                critical=False,
            )
        )
        if not is_authority:
            made = made.add_extension(here, critical=False)
        data = made.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        if not is_authority:
            data += key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        (folder / name).write_bytes(data)


def _furnish(office: Office) -> None:
    """Write the configuration of both servers."""
    folder, owner = office.folder, pwd.getpwnam(_UNPRIVILEGED)
    certify(folder)
    for name in ("conf", "queue", "data", "dovecot", "mail"):
        (folder / name).mkdir(mode=0o755)
    os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
    os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
    values = {
        "folder": folder, "smtp": office.smtp, "imap": office.imap,
        "home": HOME, "readers": READERS, "strict": STRICT,
        "unprivileged": owner.pw_uid, "group": owner.pw_gid,
    }  # fmt: skip
    (folder / "conf/main.cf").write_text(_MAIN.format(**values))
    (folder / "conf/master.cf").write_text(_MASTER.format(**values))
    (folder / "dovecot.conf").write_text(_DOVECOT.format(**values))
    people = "".join(f"{who}:{PASSWORD}::::::\n" for who in (*MAILBOXES, SENDER, BOUNCES))
    (folder / "people").write_text(people)
    (folder / "people").chmod(0o644)


@contextmanager
def _dovecot(office: Office) -> Iterator[None]:
    process = subprocess.Popen(
        [program("dovecot") or "", "-F", "-c", office.folder / "dovecot.conf"]
    )
    try:
        until(lambda: answers(office.imap), process)
        until((office.folder / "dovecot/lmtp").exists, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _postfix(office: Office) -> Iterator[None]:
    command = [program("postfix") or "", "-c", str(office.folder / "conf")]
    started = subprocess.run([*command, "start"], capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stderr
    try:
        until(lambda: answers(office.smtp))
        yield
    finally:
        subprocess.run([*command, "stop"], capture_output=True, check=False)


def _ports(count: int) -> list[int]:
    """Return free ports of 127.0.0.1, below those that outgoing connections take (32768 and up)."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _holds_files(folder: Path) -> bool:
    """Whether there is a file below a folder, whatever goes meanwhile."""
    return any(names for _, _, names in os.walk(folder))
