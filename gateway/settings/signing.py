"""Pre-signed access: settings."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.settings.kinds import check_file, text
from gateway.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Pre-signed access."""

    signing_key_file: str | None = setting(
        None,
        text("FILE", "a file", check_file),
        "file of secret keys, one a line: the first signs URLs, all are accepted",
        default_text="none: nothing is signed or accepted",
        optional=True,
    )
