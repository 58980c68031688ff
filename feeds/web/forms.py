"""Reads what a form sends: both kinds of body that forms have (HTML, section 4.10.21). Never a file.

A body has at most 16 kB and 10 seconds. Bytes that are no UTF-8 become U+FFFD.
"""

from __future__ import annotations

import asyncio
import email.message
import urllib.parse
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

Form = Mapping[str, tuple[str, ...]]
"""The values of each field, in order."""

_MOST_BYTES = 16_384
_MOST_FIELDS = 200
_PATIENCE = 10.0  # seconds
_MULTIPART = "multipart/form-data"


async def received(request: Request) -> Form:
    """Return the fields of a request's body.

    Raises:
        HTTPException: it is too large (413), too slow (408) or no form (400).
    """
    data = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE):
            async for piece in request.stream():
                data += piece
                if len(data) > _MOST_BYTES:
                    raise HTTPException(413)
        return fields(bytes(data), request.headers.get("content-type", ""))
    except TimeoutError as error:
        raise HTTPException(408) from error
    except (ClientDisconnect, ValueError, TypeError) as error:  # TypeError: of `email`, on RFC 2231
        raise HTTPException(400) from error


def fields(data: bytes, media_type: str) -> Form:
    """Return the fields of a body; what isn't said to be multipart is taken for URL-encoded.

    Raises:
        ValueError: there are too many of them, or it can't be read.
    """
    if media_type.strip().lower().startswith(_MULTIPART):
        return _multipart(data, media_type)
    found = urllib.parse.parse_qs(
        data.decode(errors="replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
    )
    return {name: tuple(values) for name, values in found.items()}


def _multipart(data: bytes, media_type: str) -> Form:
    """Return the fields of multipart/form-data (RFC 7578), which is MIME but for its file parts."""
    head = b"Content-Type: " + media_type.encode("latin-1", "replace") + b"\r\n\r\n"
    parts = email.message_from_bytes(head + data).get_payload()
    if not isinstance(parts, list):
        raise ValueError("no parts")  # noqa: TRY004 -- said of what came in
    found: dict[str, tuple[str, ...]] = {}
    for part in parts[:_MOST_FIELDS]:
        assert isinstance(part, email.message.Message)  # as the list holds
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes) and part.get_filename() is None:
            found[name] = (*found.get(name, ()), content.decode(errors="replace"))
    return found
