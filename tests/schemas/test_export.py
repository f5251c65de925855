"""The JSON Schema files are what the types say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from schemas import export
from schemas.actions import SHAPES

DOCUMENTS = dict(export.documents())


def test_files_on_disk_are_what_is_generated() -> None:
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in export.FOLDER.glob("*.json")}
    assert on_disk == export.texts()


def test_every_action_has_a_request_and_a_reply() -> None:
    for action in SHAPES:
        assert f"{action}.request.json" in DOCUMENTS
        assert f"{action}.reply.json" in DOCUMENTS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_valid_2020_12(name: str) -> None:
    document = DOCUMENTS[name]
    jsonschema_rs.meta.validate(document)
    jsonschema_rs.Draft202012Validator(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["$id"] == f"urn:zaqar-gateway:{name.removesuffix('.json')}"
    assert document["title"]
    assert document["description"]


def test_main_writes_the_files_and_removes_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "json"
    monkeypatch.setattr(export, "FOLDER", folder)
    export.main()
    (folder / "gone.request.json").write_text("{}")
    export.main()
    assert {path.name for path in folder.iterdir()} == set(export.texts())
    assert json.loads((folder / "error.json").read_text()) == DOCUMENTS["error.json"]


@pytest.mark.parametrize(
    ("action", "body", "valid"),
    [
        ("message_post", {"queue_name": "q", "messages": [{"ttl": 60, "delay": 900, "body": None}]}, True),
        ("message_post", {"queue_name": "q", "messages": [{"ttl": 59, "body": None}]}, False),
        ("message_post", {"queue_name": "q", "messages": [{"ttl": 60}]}, False),
        ("message_post", {"queue_name": "q", "messages": [5]}, False),
        ("message_post", {"queue_name": "q", "messages": []}, False),
        ("message_post", {"queue_name": "a b", "messages": [{"body": 1}]}, False),
        ("message_list", {"queue_name": "a b", "limit": 20, "unknown": 1}, True),
        ("message_list", {"queue_name": "q", "limit": 21}, False),
        ("message_get_many", {"queue_name": "q", "message_ids": []}, False),
        ("queue_create", {"queue_name": "q", "metadata": None}, True),
        ("queue_create", {"queue_name": "q", "metadata": []}, False),
        ("queue_purge", {"queue_name": "q", "resource_types": ["messages"]}, True),
        ("queue_purge", {"queue_name": "q", "resource_types": ["claims"]}, False),
        ("queue_share", {"queue_name": "q", "paths": ["claims"], "methods": [], "expires": "2035"}, True),
        ("queue_share", {"queue_name": "q", "paths": ["queues"]}, False),
        ("queue_share", {"queue_name": "q", "unknown": 1}, False),
        ("queue_update", {"queue_name": "q", "patch": [{"op": "remove", "path": "/metadata/a"}]}, True),
        ("queue_update", {"queue_name": "q", "patch": [{"op": "move", "path": "/metadata/a"}]}, False),
        ("claim_update", {"queue_name": "q", "claim_id": "c", "grace": -5}, True),
        ("claim_create", {"queue_name": "q", "grace": 59}, False),
        ("subscription_create", {"queue_name": "q", "options": None}, False),
        ("subscription_create", {"queue_name": "q", "ttl": 10**12}, True),
        ("authenticate", {"queue_name": 5}, True),
    ],
)
def test_request_schemas_say_ranges_and_shapes(action: str, body: dict[str, Any], valid: bool) -> None:
    validator = jsonschema_rs.Draft202012Validator(DOCUMENTS[f"{action}.request.json"])
    assert validator.is_valid(body) is valid


def test_notification_schema_has_the_names_of_the_wire() -> None:
    assert list(DOCUMENTS["event.notification.json"]["properties"]) == [
        "ttl",
        "body",
        "Message_Type",
        "queue_name",
    ]
