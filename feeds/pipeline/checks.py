"""What a check says, shared by all who make one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `advice` names what mends it, and is empty when it is well."""

    name: str
    ok: bool
    detail: str
    advice: str = ""
