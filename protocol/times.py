"""Times as clients are shown them."""

from __future__ import annotations

from datetime import UTC, datetime


def shown_time(seconds: int) -> str:
    """A time in seconds since the epoch as `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, UTC)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
