"""The stock OpenStack client works unchanged: python-zaqarclient from PyPI, over WebSocket and REST."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud import INSTALL_TIMEOUT, MEMBER, Cloud
from tests.support.gateway import Gateway, start_gateway
from tests.support.tokens import Issuer

HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT + 120)


def test_stock_client_works_unchanged(gateway: Gateway, openstack_python: Path) -> None:
    converse(openstack_python, gateway.url, "token", "stock-client")


def test_stock_client_authenticates(openstack_python: Path, tmp_path: Path) -> None:
    issuer = Issuer.new()
    with start_gateway(tmp_path / "data", *issuer.arguments(tmp_path)) as gateway:
        converse(openstack_python, gateway.url, issuer.token(project="stock"), "stock")


def test_stock_client_works_over_rest(gateway: Gateway, openstack_python: Path) -> None:
    converse_over_rest(openstack_python, gateway.http_url, {})


def test_stock_client_finds_the_gateway_in_the_catalog(cloud: Cloud, openstack_python: Path) -> None:
    converse_over_rest(openstack_python, "", cloud.environment(MEMBER))


def converse_over_rest(python: Path, endpoint: str, environment: dict[str, str]) -> None:
    """The same over REST. The endpoint may be empty: then Keystone's catalog tells it."""
    command: list[str | Path] = [python, HERE / "zaqarclient_rest_conversation.py", endpoint]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    assert got["ping"] is True
    assert {"rel/queues", "rel/messages", "rel/claims", "rel/subscriptions"} <= set(got["home"])
    assert got["metadata"]["owner"] == "stock"
    assert got["posted"] == 25
    assert got["listed"] == [{"job": n} for n in range(25)]
    assert (got["one"], got["several"]) == ({"job": 3}, [{"job": 3}, {"job": 4}, {"job": 5}])
    assert got["claimed"] == got["renewed"] == [{"job": 0}, {"job": 1}]
    assert "404" in got["released"]
    assert got["popped"] == [{"job": 1}, {"job": 2}]
    assert (got["stats"], got["purged"]) == (19, 0)
    assert got["subscriptions"] == [["http://example.org/hook", 700]]
    assert got["signed"] == ["expires", "methods", "paths", "project", "signature"]
    others = [f"other-{n}" for n in range(4)]
    assert (got["count"], got["queues"], got["left"]) == (5, ["jobs", *others], [])


def converse(python: Path, url: str, token: str, project: str) -> None:
    """Have the client do what it does, and look at what it got."""
    command: list[str | Path] = [python, HERE / "zaqarclient_conversation.py", url, token, project]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got: list[Any] = json.loads(done.stdout)

    steps = {operation: (status, content) for operation, status, content in got}
    assert steps["queue_create"] == (201, "Queue jobs created.")
    assert steps["message_post"][0] == 201
    first, second = steps["message_post"][1]["message_ids"]
    status, claim = steps["claim_create"]
    assert status == 201
    assert [(message["id"], message["body"]) for message in claim["messages"]] == [(first, {"job": 1})]
    assert steps["message_delete"] == (204, {})
    left = steps["message_list"][1]["messages"]
    assert [(message["id"], message["body"]) for message in left] == [(second, "two")]
    assert steps["message_get"][0] == 404
    assert steps["queue_delete"] == (204, "Queue jobs removed.")
