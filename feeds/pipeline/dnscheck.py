"""What the DNS says of our mail: SPF, DKIM, DMARC, and the names of the mail server.

Whoever answers questions is handed in, so that all of this can be tried without a network. A domain
without these records loses its letters to the spam folder, and above 5,000 letters a day Gmail, Yahoo
and Outlook refuse them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from feeds.pipeline.checks import Check

if TYPE_CHECKING:
    import dns.resolver

    from feeds.dkim import Signer

Resolve = Callable[[str, str], Sequence[str] | None]
"""Returns the records of one type that a name has, as text; None when nobody answers."""

_SECONDS = 3.0  # for one question
_SKIPPED = "skipped: no DNS"
_POLICIES = ("none", "quarantine", "reject")
_LABELS = 2  # of a domain that may have a policy for those below it


def resolver() -> Resolve:
    """Return what asks the resolvers of this machine, for 3 seconds a question."""
    import dns.exception  # noqa: PLC0415 -- dnspython, 0.1 s: feeds doctor alone asks the DNS
    import dns.resolver  # noqa: PLC0415 -- the same

    try:
        asked = dns.resolver.Resolver()
    except dns.exception.DNSException:  # the machine has none
        return _silent
    return ask(asked)


def ask(asked: dns.resolver.Resolver) -> Resolve:
    """Return what puts questions to one resolver of dnspython."""
    import dns.exception  # noqa: PLC0415 -- as above
    import dns.resolver  # noqa: PLC0415 -- as above

    asked.timeout = asked.lifetime = _SECONDS

    def resolve(name: str, kind: str) -> Sequence[str] | None:
        try:
            found = asked.resolve(name, kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError):
            return None
        if kind == "TXT":  # a long text stands in several strings (RFC 7208, section 3.3)
            return [b"".join(record.strings).decode("utf-8", "replace") for record in found]
        return [record.to_text().rstrip(".") for record in found]

    return resolve


def checks(
    domains: Sequence[str], host: str, signer: Signer | None, resolve: Resolve
) -> Iterator[Check]:
    """Yield the checks of mail that leaves by `host`, From the first of `domains`.

    The others are those of the envelope's sender. `signer` is the key that signs, if we do.
    """
    if not resolve(
        ".", "NS"
    ):  # who doesn't know the root tells nothing of the rest, or makes it up
        resolve = _silent
    for domain in dict.fromkeys(domains):
        yield _spf(domain, resolve)
    if signer is not None:
        yield _dkim(signer, resolve)
    yield _dmarc(domains[0], resolve)
    yield _ptr(host, resolve)


def _silent(_name: str, _kind: str) -> None:
    """Answer nothing."""


def _spf(domain: str, resolve: Resolve) -> Check:
    """Check who may send for a domain (RFC 7208)."""
    if (texts := resolve(domain, "TXT")) is None:
        return Check("spf", ok=True, detail=_SKIPPED)
    found = [
        text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")
    ]
    if not found:
        advice = (
            f"publish a TXT record at {domain}, as `v=spf1 mx ~all`; your mail provider names what"
            " belongs into it"
        )
        detail = f"{domain} doesn't say which servers may send for it"
        return Check("spf", ok=False, detail=detail, advice=advice)
    if len(found) > 1:  # section 4.5: then none of them counts
        detail = f"{domain} has {len(found)} SPF records, so that none counts"
        return Check("spf", ok=False, detail=detail, advice="join them into one TXT record")
    words = found[0].lower().split()
    if "+all" in words or "all" in words:
        detail = f"{domain} lets every server send for it: {found[0]}"
        return Check("spf", ok=False, detail=detail, advice="end it in `~all` instead")
    if words[1:] == ["-all"]:
        detail = f"{domain} says that no server may send for it: {found[0]}"
        return Check("spf", ok=False, detail=detail, advice="name your mail server in it")
    return Check("spf", ok=True, detail=f"{domain}: {found[0]}")


def _dkim(signer: Signer, resolve: Resolve) -> Check:
    """Check that the published key is ours (RFC 6376, section 3.6.1)."""
    from feeds import dkim  # noqa: PLC0415 -- cryptography, 0.1 s

    ours, host = dkim.record(signer), signer.host
    if (texts := resolve(host, "TXT")) is None:
        detail = f"{_SKIPPED}; the TXT record of {host} has to be `{ours}`"
        return Check("dkim dns", ok=True, detail=detail)
    publish = f"publish this TXT record at {host}: `{ours}`"
    keys = [_tags(text).get("p") for text in texts if "p" in _tags(text)]
    if not keys:
        return Check("dkim dns", ok=False, detail=f"there is no key at {host}", advice=publish)
    if _tags(ours)["p"] in keys:
        return Check("dkim dns", ok=True, detail=f"the key at {host} is ours")
    what = "was revoked" if keys == [""] else "is not that of mail.dkim_key"
    return Check("dkim dns", ok=False, detail=f"the key at {host} {what}", advice=publish)


def _dmarc(domain: str, resolve: Resolve) -> Check:
    """Check that a domain, or one above it, says what becomes of forged mail (RFC 7489)."""
    labels = domain.split(".")
    for start in range(max(1, len(labels) - _LABELS + 1)):
        host = f"_dmarc.{'.'.join(labels[start:])}"
        if (texts := resolve(host, "TXT")) is None:
            return Check("dmarc", ok=True, detail=_SKIPPED)
        found = [text for text in texts if _tags(text).get("v") == "DMARC1"]
        if len(found) == 1 and _tags(found[0]).get("p", "").lower() in _POLICIES:
            return Check("dmarc", ok=True, detail=f"{host}: {found[0]}")
        if found:
            detail = f"{host} has no policy that counts: {'; '.join(found)}"
            advice = "make it one TXT record, as `v=DMARC1; p=none`"
            return Check("dmarc", ok=False, detail=detail, advice=advice)
    return Check(
        "dmarc",
        ok=False,
        detail=f"{domain} has no DMARC record, which Gmail, Yahoo and Outlook ask for",
        advice=f"publish a TXT record at _dmarc.{domain}, to begin with `v=DMARC1; p=none`",
    )


def _ptr(host: str, resolve: Resolve) -> Check:
    """Check that the addresses of the mail server have names, and the names these addresses."""
    found = _addresses(host, resolve)
    if found is None:
        return Check("ptr", ok=True, detail=_SKIPPED)
    if not found:
        advice = "check host below [mail]"
        return Check("ptr", ok=False, detail=f"{host} has no address in the DNS", advice=advice)
    public = [one for one in found if ipaddress.ip_address(one).is_global]
    if not public:
        detail = f"{host} is not on the public net: the server that it hands letters to matters"
        return Check("ptr", ok=True, detail=detail)
    for one in public:
        names = resolve(ipaddress.ip_address(one).reverse_pointer, "PTR")
        if names is None:
            return Check("ptr", ok=True, detail=_SKIPPED)
        back = [there for name in names for there in _addresses(name, resolve) or ()]
        if one not in back:
            wrong = f"is called {names[0]}, which is another" if names else "has no name (PTR)"
            advice = f"have whoever gives you {one} set its PTR record; Gmail refuses without"
            return Check("ptr", ok=False, detail=f"{one} of {host} {wrong}", advice=advice)
    return Check("ptr", ok=True, detail=f"{host} and its address name each other")


def _addresses(host: str, resolve: Resolve) -> list[str] | None:
    """Return the addresses of a host, or the one that it is; None when nobody answers."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    if host.lower() == "localhost":
        return ["127.0.0.1"]
    answers = [resolve(host, kind) for kind in ("A", "AAAA")]
    if answers[0] is None:
        return None
    return [str(ipaddress.ip_address(one)) for answer in answers for one in answer or ()]


def _tags(text: str) -> dict[str, str]:
    """Return the tags of a record, without white space in their values (RFC 6376, section 3.2)."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): "".join(value.split()) for name, mark, value in pairs if mark}
