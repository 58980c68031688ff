"""Tells who asks: the client's address, and the language that it reads. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

_NETWORK = 64  # bits of an IPv6 address that a household or a machine has for itself


def client(peer: str, forwarded: Sequence[str]) -> str:
    """Return what stands for a client when requests are counted.

    That is the peer. Only when the peer is this machine, the last address of `forwarded` (lines of
    X-Forwarded-For) is: a proxy beside us wrote it, whatever stands before it anyone may have written.
    Of an IPv6 address the network counts, since a client has all addresses of it.
    """
    found = _address(peer)
    if found is not None and found.is_loopback and forwarded:
        found = _address(forwarded[-1].rpartition(",")[2]) or found
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(found), _NETWORK), strict=False))
    return str(found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address, an IPv4 one that is written as IPv6 or with a port as well."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found


def language(accepted: str, known: Sequence[str], default: str) -> str:
    """Return which of the `known` languages a client likes best (RFC 9110, section 12.5.4)."""
    wanted: list[tuple[float, str]] = []
    for part in accepted.split(","):
        tag, _, weight = part.partition(";")
        wanted.append((_weight(weight), tag.strip().partition("-")[0].lower()))
    wanted.sort(key=lambda pair: -pair[0])
    return next((tag for weight, tag in wanted if weight > 0 and tag in known), default)


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
