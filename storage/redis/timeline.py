"""Which timeline of writes a server is on: another one each time that it takes over, or is started again.

Replication is asynchronous, and a disk lags: who goes on after a failover or a crash may have lost what was
acknowledged. The scripts note in each queue where it was when a timeline began there (lua/opening.lua). So
whoever stands behind that place on an earlier one has got what the store does not have.
"""

from __future__ import annotations

import hashlib

_FIELDS = (b"run_id:", b"master_replid:")
"""What names the process, and the data set as long as it has one primary (INFO)."""


def timeline(said: bytes) -> bytes:
    """The timeline by what a server's INFO says: 8 bytes, or none where it says neither of the fields."""
    found = sorted(line for line in said.splitlines() if line.startswith(_FIELDS))
    return hashlib.sha256(b"\n".join(found)).digest()[:8] if found else b""
