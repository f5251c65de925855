"""Encryption of what is stored: settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.settings.kinds import check_file, text
from gateway.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class Encryption:
    """Encryption of what is stored."""

    encryption_key_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        text("FILE", "a file", check_file),
        "file of keys, an id and 64 hexadecimal digits on each line: the first encrypts, all decrypt",
        default_text="with the embedded Valkey encryption-keys in data_dir, made at the first start",
        optional=True,
    )
