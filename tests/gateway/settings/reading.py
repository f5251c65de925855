"""Settings as a file, the environment and the command line give them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings, SettingsError
from gateway.settings.sources import load


def from_toml(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return load({"config": str(path), **given}, environ or {})[0]


def refused(given: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as raised:
        load(given, environ)
    assert "\n" not in str(raised.value)
    return str(raised.value)
