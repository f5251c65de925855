"""The stock OpenStack client works unchanged: python-zaqarclient from PyPI, over WebSocket and REST."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway, start_gateway
from tests.support.tokens import Issuer

HERE = Path(__file__).parent

INSTALL_TIMEOUT = 300
"""Seconds that pip has to install the client."""


@pytest.fixture(scope="session")
def zaqarclient_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that has the client, and nothing of ours."""
    folder = tmp_path_factory.mktemp("zaqarclient") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    requirements = HERE / "zaqarclient.lock"
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "-r",
        requirements,
    ]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT)
    return python


@pytest.mark.timeout(INSTALL_TIMEOUT + 60)
def test_stock_client_works_unchanged(gateway: Gateway, zaqarclient_python: Path) -> None:
    converse(zaqarclient_python, gateway.url, "token", "stock-client")


@pytest.mark.timeout(INSTALL_TIMEOUT + 60)
def test_stock_client_authenticates(zaqarclient_python: Path, tmp_path: Path) -> None:
    issuer = Issuer.new()
    with start_gateway(tmp_path / "data", *issuer.arguments(tmp_path)) as gateway:
        converse(zaqarclient_python, gateway.url, issuer.token(project="stock"), "stock")


@pytest.mark.timeout(INSTALL_TIMEOUT + 60)
def test_stock_client_works_over_rest(gateway: Gateway, zaqarclient_python: Path) -> None:
    conversation = HERE / "zaqarclient_rest_conversation.py"
    command: list[str | Path] = [zaqarclient_python, conversation, gateway.http_url, "stock-rest"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    assert got["metadata"]["owner"] == "stock"
    assert got["posted"] == 25
    assert got["listed"] == [{"job": n} for n in range(25)]
    assert got["claimed"] == [{"job": 0}, {"job": 1}]
    assert got["popped"] == [{"job": 1}, {"job": 2}]
    assert got["stats"] == 22
    assert got["subscriptions"] == [["http://example.org/hook", 700]]
    assert got["signed"] == ["expires", "methods", "paths", "project", "signature"]
    assert (got["count"], got["queues"], got["left"]) == (1, ["jobs"], [])


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
