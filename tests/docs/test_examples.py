"""The examples of the reference go with the running gateway as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.conversation import FOLDER, Conversation, Names, conversations
from docs.generate import render
from schemas.actions import SHAPES
from tests.support.gateway import Gateway
from tests.support.servers import start_valkey

CONVERSATIONS = conversations()
TEMPLATE = FOLDER.parent / "templates" / "protocol.md"


@pytest.fixture(scope="module")
def second_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a store with the password that stands in the examples."""
    with start_valkey(tmp_path_factory.mktemp("second") / "store", tcp=True) as server:
        server.client().config_set("requirepass", "secret")
        yield f"127.0.0.1:{server.tcp_port}"


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one.path.stem)
def test_a_conversation_goes_as_recorded(
    conversation: Conversation, gateway: Gateway, second_store: str
) -> None:
    recorded, live = Names(), Names()
    steps = conversation.play(gateway.url, second_store)
    for step, played in zip(conversation.steps, steps, strict=True):
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
