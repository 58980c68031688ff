"""DKIM: a signature that says which domain answers for a letter (RFC 6376). A tool, pure.

rsa-sha256 over relaxed headers and the simple body, without `l=`, which would let others add to the
body. From and Subject are named once more than they occur (section 8.15), so that nobody can add a
second one. Both headers of a one-click unsubscribe are signed, as RFC 8058, section 4, asks. The
moment is handed in: the same letter has the same bytes.

A key of Ed25519 (RFC 8463) is refused: as the only signature it counts as none at most receivers.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SIGNED = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "MIME-Version",
    "Content-Type",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Archive",
    "List-Help",
    "Auto-Submitted",
    "Feedback-ID",
    "Content-Language",
)
"""The headers that are signed wherever they occur, in the order of the tag `h=`."""

_NAMES = tuple(name.lower().encode("ascii") for name in SIGNED)
_ONCE_MORE = frozenset({b"from", b"subject"})
_SMALLEST, _LARGEST = 1024, 4096  # bits: RFC 8301, section 3.2
_LINE = 76  # characters of a header line
_PADDING, _SHA256 = padding.PKCS1v15(), hashes.SHA256()
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_LINES = re.compile(rb"\r\n(?![ \t])")  # a folded line goes on with a blank
_SPACE = re.compile(rb"[ \t]+")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: a domain (`d=`), the selector of its key (`s=`), and the key itself."""

    domain: str
    selector: str
    key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def host(self) -> str:
        """The name in the DNS under which `record` is published."""
        return f"{self.selector}._domainkey.{self.domain}"


def load(pem: bytes, domain: str, selector: str) -> Signer:
    """Return the signer of a key in PEM (PKCS #1 or #8, without a password).

    `domain` and `selector` are names of the DNS, an international one in its ASCII form.

    Raises:
        ValueError: no RSA key of 1,024 to 4,096 bits, or no name of the DNS; the message says which.
    """
    for kind, name in (("domain", domain), ("selector", selector)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"the {kind} {name!r} is no name of the DNS")
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is locked by a password; it has to be stored without") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("no private key in PEM") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("no RSA key; most receivers check no other kind")  # noqa: TRY004  # a value of the user's
    if not _SMALLEST <= key.key_size <= _LARGEST:
        raise ValueError(
            f"an RSA key of {key.key_size} bits; receivers check {_SMALLEST} to {_LARGEST}"
        )
    return Signer(domain.lower(), selector, key)


def record(signer: Signer) -> str:
    """Return the text of the TXT record to publish at `signer.host` (section 3.6.1).

    A zone file wants it in quoted parts of at most 255 characters; most web forms cut it themselves.
    """
    public = signer.key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode('ascii')}"


def sign(signer: Signer, data: bytes, moment: datetime) -> bytes:
    """Return a message with its signature on top.

    `data` is the whole message with CRLF line ends, as it goes out. `moment` (aware) becomes the
    tag `t=`, in whole seconds.

    Raises:
        ValueError: the message has no From, which has to be signed (section 5.4); or `moment` is naive.
    """
    if moment.utcoffset() is None:
        raise ValueError("moment must be an aware datetime")
    start, body = _parts(data)
    names, lines = _headers(data[:start])
    if names.count(b"from") == 1:  # that is the one more
        raise ValueError("the message has no From")
    header = _unsigned(signer, b":".join(names), body, int(moment.timestamp()))
    # Section 3.7: the signature's own header comes last, with an empty b= and no line end.
    name, _, value = header.partition(b":")
    lines.append(name.lower() + b":" + _relaxed(value))
    signature = base64.b64encode(signer.key.sign(b"\r\n".join(lines), _PADDING, _SHA256))
    folded = b"\r\n\t".join(
        signature[at : at + _LINE - 1] for at in range(0, len(signature), _LINE - 1)
    )
    return b"".join((header, folded, b"\r\n", data))


def _parts(data: bytes) -> tuple[int, bytes]:
    """Return where the header section ends, and the hash of the simple body (section 3.4.3)."""
    if data.startswith(b"\r\n"):
        start, text = 0, 2
    elif (found := data.find(b"\r\n\r\n")) >= 0:
        start, text = found + 2, found + 4
    else:
        start = text = len(data)
    end = len(data)
    while data.endswith(b"\r\n", text, end):
        end -= 2
    digest = hashlib.sha256(memoryview(data)[text:end])  # a view: the body isn't copied
    digest.update(b"\r\n")  # empty lines at the end count as none, no line end as one
    return start, digest.digest()


def _headers(section: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the names for `h=`, and the relaxed lines in the order in which they are signed."""
    found: dict[bytes, list[bytes]] = {}
    for line in _LINES.split(section):
        name, colon, value = line.partition(b":")
        if colon:
            found.setdefault(name.rstrip(b" \t").lower(), []).append(value)
    names: list[bytes] = []
    lines: list[bytes] = []
    for name in _NAMES:
        values = found.get(name, [])
        names += [name] * (len(values) + (name in _ONCE_MORE))
        # Section 5.4.2: of several, the lowest is signed first.
        lines += [name + b":" + _relaxed(value) for value in reversed(values)]
    return names, lines


def _relaxed(value: bytes) -> bytes:
    """Return a header's value on one line, each run of blanks as one (section 3.4.2)."""
    return _SPACE.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")


def _unsigned(signer: Signer, names: bytes, body: bytes, moment: int) -> bytes:
    """Return the header up to its empty `b=`, folded between tags and between names."""
    pieces = [
        b"v=1;",
        b" a=rsa-sha256;",
        b" c=relaxed/simple;",
        b" d=" + signer.domain.encode("ascii") + b";",
        b" s=" + signer.selector.encode("ascii") + b";",
        b" t=%d;" % moment,
        *(b" h=" + names + b";").replace(b":", b":\0").split(b"\0"),
        b" bh=" + base64.b64encode(body) + b";",
    ]
    lines = [b"DKIM-Signature: "]
    for piece in pieces:
        if len(lines[-1]) + len(piece) > _LINE:
            lines.append(b"\t" + piece.lstrip(b" "))
        else:
            lines[-1] += piece
    return b"\r\n".join([*lines, b"\tb="])
