"""Room 10: a letter > the world, by a transport. I/O.

In: a letter. Out: the state in which its delivery ends, or a `DeliveryError`. `folder` keeps letters
as files and is a whole transport; `smtp` is one connection to a server, whose two halves the caller
drives, since the record has to be written between them. Both are harmless when repeated, as far as
their medium allows. `smtp` is imported by who needs it: a pass with nothing to send starts faster.
"""

from __future__ import annotations

from feeds.outbox.folder import Folder, discard, file_name

__all__ = ["Folder", "discard", "file_name"]
