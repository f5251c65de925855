"""What docs/security.md says of the source, and the tests that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SOURCES = [
    path for room in ("gateway", "protocol", "schemas", "storage") for path in (ROOT / room).rglob("*.py")
]

RUNNING = {"eval", "exec", "compile", "__import__"}
"""Builtins that make code of what they are given."""

UNPACKING = {"pickle", "marshal", "shelve", "dill"}
"""Modules that do, of what was packed with them."""


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[\w/.]+)`", PAGE))))
def test_a_test_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_nothing_is_unpickled_or_evaluated() -> None:
    assert len(SOURCES) > 100
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    assert not UNPACKING & {name.name.split(".")[0] for name in names}, path
                case ast.ImportFrom(module=str(module)):
                    assert module.split(".")[0] not in UNPACKING, path
                case ast.Call(func=ast.Name(id=name)):
                    assert name not in RUNNING, path
                case ast.Attribute(value=ast.Name(id="yaml"), attr=name):
                    assert name == "safe_load", path
