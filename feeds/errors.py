"""Every error raised on purpose, in one tree. Words; imports nothing.

    FeedsError
      ConfigError         a setting is wrong: names the key and where it was set
      UsageError          the command was asked for something it can't do
      DigestError         a file in seeds/ can't be read: becomes a quarantine record
      ModelError          a word list or table of the classifier can't be read
      TemplateError       a template can't be rendered
      StoreError          the record can't be opened, read or written
        SchemaError       the record was written by a newer version
      BackupError         a backup can't be made, or is not whole
      LockError           another process holds the state folder
      NotFoundError       no entry, edition or subscriber by that name
      PublishError        a document can't be written below out/
      MailboxError        bounces can't be fetched, or a message can't be read
      DeliveryError       a letter can't be handed over
        ServerError       the server takes no letter now, whoever it is for
        UncertainError    the server may have taken the letter: its last answer is missing

Fields carry what a program needs; the message is built from them. An error of a library is wrapped,
`raise ... from`, by the room that owns the library. Errors are caught in two places: the loops over
items in `pipeline`, and the command line.
"""

from __future__ import annotations

from collections.abc import Sequence


class FeedsError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(FeedsError):
    """A setting is wrong.

    `key` is the dotted key, `source` says where it was set (a file, a variable, a flag).
    """

    def __init__(self, key: str, source: str, reason: str) -> None:
        super().__init__(f"{source}: {key}: {reason}")
        self.key, self.source, self.reason = key, source, reason


class UsageError(FeedsError):
    """The command was asked for something it can't do; the message names the way out."""


class DigestError(FeedsError):
    """A digest can't be read.

    `reason` is a short code (`unknown_format`, `binary`, `too_large`, ...), `detail` a sentence for
    people, `line` the 1-based line where reading ended, if one is to blame.
    """

    def __init__(self, name: str, reason: str, detail: str, line: int | None = None) -> None:
        where = f"{name}:{line}" if line is not None else name
        super().__init__(f"{where}: {reason}: {detail}")
        self.name, self.reason, self.detail, self.line = name, reason, detail, line


class ModelError(FeedsError):
    """A word list or table of the classifier can't be read; `line` is 1-based, if it has lines."""

    def __init__(self, name: str, reason: str, line: int | None = None) -> None:
        where = f"{name}:{line}" if line is not None else name
        super().__init__(f"{where}: {reason}")
        self.name, self.reason, self.line = name, reason, line


class TemplateError(FeedsError):
    """A template can't be rendered; `line` is 1-based, if known."""

    def __init__(self, name: str, line: int | None, reason: str) -> None:
        where = f"{name}:{line}" if line is not None else name
        super().__init__(f"template {where}: {reason}")
        self.name, self.line, self.reason = name, line, reason


class StoreError(FeedsError):
    """The record can't be opened, read or written; `place` is its file or URL without secrets."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class SchemaError(StoreError):
    """The record was written by a newer version of feeds."""


class BackupError(FeedsError):
    """A backup can't be made, or an archive is not a whole backup; `place` is the file."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class LockError(FeedsError):
    """Another process holds the state folder; `holder` says which."""

    def __init__(self, place: str, holder: str) -> None:
        super().__init__(f"{place} is in use by {holder}; wait for it to end, or stop it")
        self.place, self.holder = place, holder


class NotFoundError(FeedsError):
    """Nothing on record by that name; `near` are names that were perhaps meant."""

    def __init__(self, kind: str, key: str, near: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"no {kind} {key!r} on record{hint}")
        self.kind, self.key, self.near = kind, key, tuple(near)


class PublishError(FeedsError):
    """A document can't be written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class MailboxError(FeedsError):
    """Bounces can't be fetched or read; `place` is the mailbox without its password, or the file."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class DeliveryError(FeedsError):
    """A letter can't be handed over.

    `code` is the SMTP reply (None outside SMTP), `status` its enhanced code, as `5.1.1` (RFC 3463), if
    there is one; `permanent` says that trying again is useless.
    The address stands in a field for the record, never in the message, which may reach a log.
    """

    def __init__(
        self,
        address: str,
        code: int | None,
        reason: str,
        *,
        permanent: bool,
        status: str | None = None,
    ) -> None:
        super().__init__(f"delivery failed: {reason}" + (f" ({code})" if code else ""))
        self.address, self.code, self.reason, self.permanent = address, code, reason, permanent
        self.status = status


class ServerError(DeliveryError):
    """The server can't be reached, refuses us, or ended the conversation: no fault of the letter.

    It was surely not taken. `permanent` says that the configuration has to change first.
    """


class UncertainError(DeliveryError):
    """The connection was lost after the final dot: the letter may have been taken (RFC 1047)."""
