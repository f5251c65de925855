"""docs/limits.md names every limit, and what is answered beyond it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

import storage.errors  # noqa: F401  # its errors are among those that are told
from gateway.settings.limits import Limits
from protocol.errors import RequestError

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
METRICS = TEXT.partition("\n## Metrics\n")[2]


def kinds() -> list[type[RequestError]]:
    """Every error that a limit is answered with."""
    found: list[type[RequestError]] = []
    waiting = [RequestError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found += [kind] if kind.limit else []
    return found


@pytest.mark.parametrize("name", [field.name for field in fields(Limits) if field.name.startswith("max_")])
def test_every_setting_is_in_the_table_and_is_a_label(name: str) -> None:
    assert f"| `{name}` |" in TEXT
    assert f"`{name}`" in METRICS


def test_every_refusal_is_a_label_and_has_its_code_in_the_table() -> None:
    assert kinds()
    for kind in kinds():
        assert f"`{kind.limit}`" in METRICS
        assert f"{kind.status} `{kind.code}`" in TEXT
