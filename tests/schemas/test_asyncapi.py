"""The AsyncAPI document is one, and whole."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from schemas.actions import SHAPES
from schemas.asyncapi import document
from schemas.events import EVENTS

DOCUMENT = document()


@pytest.fixture(scope="module")
def specification(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The JSON Schema of AsyncAPI 3.0 documents, as its authors publish it."""
    folder = tmp_path_factory.mktemp("asyncapi")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / "asyncapi" / name, folder)
    install = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(install, cwd=folder, check=True, timeout=120)
    path = folder / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_it_is_an_asyncapi_document(specification: Any) -> None:
    validator = jsonschema_rs.validator_for(specification)
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []
    broken = DOCUMENT | {"operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/socket"}}}}
    assert not validator.is_valid(broken)


def references(part: Any) -> Iterator[str]:
    """Every `$ref` in it."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        at: Any = DOCUMENT
        assert reference.startswith("#/")
        for key in reference[2:].split("/"):
            at = at[key]


def test_every_action_and_every_event_is_told() -> None:
    received = {name for name, each in DOCUMENT["operations"].items() if each["action"] == "receive"}
    sent = {name for name, each in DOCUMENT["operations"].items() if each["action"] == "send"}
    assert received == set(SHAPES)
    events = {f"event.{event.__struct_defaults__[0]}" for event in EVENTS}
    assert sent == events | {"notification", "extended_notification"}
    assert all(each["summary"] for each in DOCUMENT["operations"].values())
