"""The receivers in docs/webhooks.md, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.javascript import INSTALL_TIMEOUT, SDK, install
from tests.support.reactor import wait_until
from tests.support.servers import free_port, listens

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT + 180)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    keys = tmp_path / "signing-keys"
    keys.write_text("a-key-that-is-long-enough")
    settings = ("--signing-key-file", str(keys), "--webhook-allowed-networks", "127.0.0.1")
    with start_gateway(tmp_path / "data", *settings) as running:
        yield running


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def status_of_a_forgery(port: int) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/orders", b'{"body": "forged"}', {"X-Zaqar-Signature": "t=1,v1=" + "0" * 64})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("language", ["python", "js"])
def test_a_receiver(gateway: Gateway, tmp_path: Path, language: str) -> None:
    port = free_port()
    if language == "js":
        install()
        command, folder = ["node", "--input-type=module", "--eval", block("js")], SDK
    else:
        command, folder = [sys.executable, "-c", block("python")], PAGE.parents[1]
    with Client(gateway.url, project="demo") as client:
        asked = {"queue_name": "orders", "subscriber": f"http://127.0.0.1:{port}/orders"}
        secret = done(client.request("subscription_create", asked), 201)["signature_secret"]
        environment = {**os.environ, "PORT": str(port), "SIGNATURE_SECRET": secret}
        printed = tmp_path / "printed"
        with printed.open("w") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=subprocess.DEVNULL
            )
        try:
            wait_until(lambda: listens(port), timeout=30)
            post(client, "orders", {"order": 17}, "again")
            wait_until(lambda: printed.read_text().count("\n") == 2, timeout=30)
            assert status_of_a_forgery(port) == 401
        finally:
            process.kill()
            process.wait()
    first, second = printed.read_text().splitlines()
    assert first.startswith("order {")
    assert "17" in first
    assert second == "order again"
