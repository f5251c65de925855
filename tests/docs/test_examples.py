"""The examples of the reference go with the running gateway as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.conversation import FOLDER, Conversation, Names, conversations
from docs.generate import render
from schemas.actions import SHAPES
from tests.support.gateway import Gateway

CONVERSATIONS = conversations()
TEMPLATE = FOLDER.parent / "templates" / "protocol.md"


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one.path.stem)
def test_a_conversation_goes_as_recorded(conversation: Conversation, gateway: Gateway) -> None:
    recorded, live = Names(), Names()
    for step, played in zip(conversation.steps, conversation.play(gateway.url), strict=True):
        assert live.same(played) == recorded.same(step), step["name"]


def test_recording_again_keeps_what_is_asked(tmp_path: Path, gateway: Gateway) -> None:
    path = tmp_path / "claims.json"
    path.write_text((FOLDER / "claims.json").read_text(encoding="utf-8"), encoding="utf-8")
    Conversation(path).record(gateway.url)
    assert Names().same(Conversation(path).steps) == Names().same(Conversation(FOLDER / "claims.json").steps)


def test_a_new_step_refers_to_earlier_answers(tmp_path: Path, gateway: Gateway) -> None:
    post = Conversation(FOLDER / "messages.json").step("post")
    get = Conversation(FOLDER / "messages.json").step("get")
    get["send"]["body"]["message_id"] = "$post.message_ids.1"
    conversation = Conversation(FOLDER / "messages.json")
    conversation.steps = [{**post, "reply": None}, {**get, "reply": None}]
    posted, read = conversation.play(gateway.url)
    assert read["reply"]["body"]["messages"]["id"] == posted["reply"]["body"]["message_ids"][1]


def test_every_action_is_shown() -> None:
    shown = re.findall(r"<!-- (?:whole )?example: (\w+)/(\w+) -->", TEMPLATE.read_text(encoding="utf-8"))
    steps = [Conversation(FOLDER / f"{file}.json").step(name)["send"] for file, name in shown]
    assert {step["action"] for step in steps if isinstance(step, dict)} >= set(SHAPES)


def test_every_recorded_status_is_in_its_actions_table() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", render("protocol.md"), re.MULTILINE | re.DOTALL))
    for conversation in CONVERSATIONS:
        for step in conversation.steps:
            action = step["send"]["action"] if isinstance(step["send"], dict) else None
            status = step["reply"]["headers"]["status"]
            if action in SHAPES and status != 400:
                assert re.search(rf"^\| {status}\b", sections[action], re.MULTILINE), (action, status)
