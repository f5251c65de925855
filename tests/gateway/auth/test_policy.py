"""Policy files: what they decide, what stands where they say nothing, and what is refused at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.auth.identity import Identity
from gateway.auth.policy import Policy
from gateway.auth.policy_rules import RULES, defaults
from gateway.settings import SettingsError
from protocol.registry import ACTIONS
from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import launch_gateway, start_gateway
from tests.support.tokens import Issuer


def who(*roles: str, project: str = "p", user: str = "ann") -> Identity:
    return Identity(project, user, frozenset(roles))


def policy(folder: Path, text: str) -> Policy:
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return Policy(path)


def unusable(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        policy(folder, text)
    return str(raised.value)


def test_every_action_has_its_rule_or_tells_nothing() -> None:
    assert ACTIONS.keys() - RULES.keys() == {"authenticate", "get_home_doc", "describe"}
    assert set(defaults()) == set(RULES.values())


@pytest.mark.parametrize("text", ["", "{}", "# nothing\n"])
def test_an_empty_file_changes_nothing(tmp_path: Path, text: str) -> None:
    made = policy(tmp_path, text)
    for name, action in ACTIONS.items():
        assert made.allows(who("admin"), name)
        assert made.allows(who("member"), name) is not action.admin


def test_rules_of_the_file_are_over_the_defaults(tmp_path: Path) -> None:
    made = policy(
        tmp_path,
        """
        writer: "role:writer or role:admin"
        "messages:create": "rule:writer"
        "queues:delete": "!"
        "pools:get_all": "role:operator"
        "claims:create": "project_id:work and not role:guest"
        "subscription:create": "user_id:ann"
        "queues:purge": "is_admin:True"
        "topics:create": "role:admin"
        """,
    )
    assert [made.allows(who(role), "message_post") for role in ("writer", "admin", "reader")] == [
        True,
        True,
        False,
    ]
    assert not made.allows(who("admin"), "queue_delete")
    assert [made.allows(who(role), "pool_list") for role in ("operator", "admin")] == [True, False]
    assert made.allows(who("admin"), "pool_get")
    for action in ("claim_create", "claim_subscribe"):
        assert made.allows(who(project="work"), action)
        assert not made.allows(who(project="play"), action)
        assert not made.allows(who("guest", project="work"), action)
    assert made.allows(who(user="ann"), "subscription_create")
    assert not made.allows(who(user="bob"), "subscription_create")
    assert [made.allows(who(role), "queue_purge") for role in ("admin", "x")] == [True, False]
    assert made.allows(who(), "message_list")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text", "rules and nothing else"),
        ('"queues:get": 1', "rules and nothing else"),
        ('"queues:get": ["role:admin"]', "rules and nothing else"),
        ("{", "not YAML"),
        ("a: b: c", "not YAML"),
        ('"queues:gte": "role:admin"', "no rule 'queues:gte'"),
        ('"queues:get": "role:admin and"', "not understood"),
        ('"queues:get": "admin"', "not understood"),
        ('"queues:get": "role:a or admin"', "not understood"),
        ('"queues:get": "rule:nobody"', "queues:get"),
        ('a: "rule:b"\nb: "rule:a"', "a"),
        ('"queues:get": "http://policy.example/%(project_id)s"', "another server"),
        ('"queues:get": "role:a or (https://policy.example/x)"', "another server"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    message = unusable(tmp_path, text)
    assert message.startswith("policy_file: ")
    assert told in message
    assert "\n" not in message


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        Policy(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not YAML"):
        Policy(tmp_path / "binary")


def test_a_gateway_with_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text('"queues:delete": "role:owner"\n"pools:get_all": ""\n')
    issuer = Issuer.new()
    arguments = [*issuer.arguments(tmp_path), "--policy-file", str(path)]
    with start_gateway(tmp_path / "data", *arguments) as gateway, Client(gateway.url, project="p") as client:
        for roles, status in ((["admin"], 403), (["Owner"], 204)):
            token = issuer.token(roles=roles)
            done(client.request("authenticate", headers={"X-Auth-Token": token}), 200)
            reply = client.request("queue_delete", {"queue_name": "q"})
            assert reply.status == status
            if status == 403:
                assert reply.body["code"] == "not_permitted"
            done(client.request("pool_list", {}), 200)


def test_a_gateway_does_not_start_with_a_policy_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text('"queues:gte": ""')
    arguments = [*Issuer.new().arguments(tmp_path), "--policy-file", str(tmp_path / "policy.yaml")]
    gateway = launch_gateway(tmp_path / "data", *arguments)
    try:
        assert gateway.wait() == 1
        assert "no rule 'queues:gte'" in gateway.wait_event("start_failed")["reason"]
    finally:
        gateway.close()
