"""The JavaScript SDK, as the gateway serves it to pages under `/sdk/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_INSTALLED = Path(__file__).with_name("javascript")
"""Where the wheel has the modules (pyproject.toml)."""

_CHECKOUT = Path(__file__).parents[2] / "clients" / "js" / "src"


def modules() -> Mapping[bytes, bytes]:
    """The SDK's modules by their names; `index.js` imports the others. Some 100 kB."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    return {path.name.encode(): path.read_bytes() for path in sorted(folder.glob("*.js"))}
