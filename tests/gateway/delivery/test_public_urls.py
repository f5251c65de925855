"""Where subscribers reach the gateway: the catalog of a real Keystone, or what the operator says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.keystone_client import KeystoneUnavailable, open_client
from gateway.delivery.public_urls import Finding
from gateway.settings import Settings
from protocol.confirmations import PublicUrls
from tests.support.gateway import start_gateway
from tests.support.keystone import PASSWORD, Keystone, start_keystone
from tests.support.reactor import reactor, run
from tests.support.receiver import receiving
from tests.support.rest import Rest

pytestmark = pytest.mark.timeout(600)


def found(folder: Path, url: str, **further: Any) -> PublicUrls:
    settings = Settings(
        data_dir=folder, keystone_auth_url=url, keystone_password=PASSWORD, keystone_timeout=60.0, **further
    )

    async def scenario() -> PublicUrls:
        client = open_client(reactor, settings)
        try:
            return await Finding(settings, client).find()
        finally:
            await client.stop()

    return run(scenario, timeout=120)


@pytest.fixture
def keystone(keystone_python: Path, tmp_path: Path) -> Iterator[Keystone]:
    """One in whose catalog other tests have put nothing, nor find what is put there."""
    with start_keystone(keystone_python, tmp_path / "keystone") as running:
        yield running


def test_the_catalog_is_asked(keystone: Keystone, tmp_path: Path) -> None:
    assert found(tmp_path, keystone.url) == PublicUrls()
    keystone.add_service("zaqar", "http://messaging.example.org:8888")
    keystone.add_service("zaqar-websocket", "ws://messaging.example.org:9000/")
    urls = PublicUrls("http://messaging.example.org:8888", "ws://messaging.example.org:9000/")
    assert found(tmp_path, keystone.url) == urls
    # And so it comes to who is asked.
    project = keystone.create_project("confirming")
    token = keystone.token(keystone.create_user("carla", {project: ["member"]}), project)
    (tmp_path / "keys").write_text("a key that only this test has")
    arguments = ["--auth", "keystone", "--keystone-auth-url", keystone.url, "--keystone-timeout", "60"]
    arguments += ["--signing-key-file", str(tmp_path / "keys"), "--require-confirmation"]
    arguments += ["--webhook-allowed-networks", "127.0.0.0/8"]
    environment = {"ZAQAR_GATEWAY_KEYSTONE_PASSWORD": PASSWORD}
    with (
        receiving() as receiver,
        start_gateway(tmp_path / "data", *arguments, environment=environment) as gateway,
        Rest(gateway.http_url, project=project, token=token) as rest,
    ):
        rest.done("POST", "/v2/queues/jobs/subscriptions", {"subscriber": receiver.url})
        document = json.loads(receiver.wait_for(1, 60)[0].data)
        path = document["URL-Paths"]
        assert document["WSGISubscribeURL"] == f"http://messaging.example.org:8888{path}"
        assert document["WebSocketSubscribeURL"] == f"ws://messaging.example.org:9000{path}"


def test_what_the_operator_says_needs_no_catalog(tmp_path: Path) -> None:
    urls = PublicUrls("https://host/x", "wss://host/x")
    assert found(tmp_path, "http://127.0.0.1:1", public_url="https://host/x") == urls
    nobody = Finding(Settings(data_dir=tmp_path), None)
    assert run(nobody.find) == PublicUrls()


def test_a_keystone_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(KeystoneUnavailable):
        found(tmp_path, "http://127.0.0.1:1")
