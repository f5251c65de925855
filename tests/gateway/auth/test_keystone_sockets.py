"""Sockets of a gateway that asks Keystone: who gets in, who stays in, who is shown the door."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.client import Client, Form
from tests.support.gateway import Gateway, start_gateway
from tests.support.keystone import PASSWORD, Keystone

pytestmark = pytest.mark.timeout(600)

CACHE = 4
"""Seconds for which the gateway keeps an answer."""

PATIENCE = 60.0
"""Seconds that a busy machine has for what takes an instant elsewhere."""


@pytest.fixture(scope="module")
def gateway(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that keeps answers for a few seconds only."""
    arguments = [
        "--auth",
        "keystone",
        "--keystone-auth-url",
        f"{keystone.url}/v3/",
        "--keystone-timeout",
        "30",
    ]
    arguments += ["--keystone-cache", str(CACHE), "--authentication-timeout", "60"]
    folder = tmp_path_factory.mktemp("gateway")
    environment = {"ZAQAR_GATEWAY_KEYSTONE_PASSWORD": PASSWORD}
    with start_gateway(folder / "data", *arguments, environment=environment) as running:
        yield running


@pytest.fixture(scope="module")
def projects(keystone: Keystone) -> tuple[str, str, str]:
    """Two projects, and a user who is a member of the first and an administrator in the second."""
    names = [uuid.uuid4().hex for _ in range(3)]
    one, two = keystone.create_project(names[0]), keystone.create_project(names[1])
    return one, two, keystone.create_user(names[2], {one: ["member"], two: ["admin"]})


@pytest.fixture(params=["json", "msgpack"])
def client(
    request: pytest.FixtureRequest, gateway: Gateway, projects: tuple[str, str, str]
) -> Iterator[Client]:
    form: Form = request.param
    with Client(gateway.url, project=projects[0], form=form, timeout=PATIENCE) as connected:
        yield connected


def authenticate(client: Client, token: str) -> int:
    return client.request("authenticate", {}, {"X-Auth-Token": token}).status


def close_code(client: Client) -> int:
    """With which code the socket is closed, once it is."""
    with pytest.raises(ConnectionClosed):
        while True:
            client.receive(PATIENCE)
    code = client.socket.close_code
    assert code is not None
    return code


def test_project_and_roles_are_those_of_the_token(
    keystone: Keystone, client: Client, projects: tuple[str, str, str]
) -> None:
    one, two, user = projects
    assert client.request("queue_list", {}).status == 403
    assert authenticate(client, "bad") == 401
    token = keystone.token(user, one)
    reply = client.request("authenticate", {}, {"X-Auth-Token": token})
    assert reply.status == 200
    assert token not in str(reply.document)
    assert client.request("queue_create", {"queue_name": "q"}).status in (201, 204)
    assert client.request("queue_list", {}, {"X-Project-ID": two}).status == 403
    assert client.request("pool_list", {}).status == 403

    assert authenticate(client, keystone.token(user, None)) == 401
    assert authenticate(client, keystone.token(user, two)) == 200
    assert client.request("pool_list", {}, {"X-Project-ID": two}).status == 200
    assert client.request("queue_list", {}, {"X-Project-ID": two}).body["queues"] == []
    assert client.request("queue_list", {}).status == 403


def test_socket_of_a_revoked_token_is_closed(
    keystone: Keystone, gateway: Gateway, client: Client, projects: tuple[str, str, str]
) -> None:
    one, _, user = projects
    token, other = keystone.token(user, one), keystone.token(user, one)
    assert authenticate(client, token) == 200
    with Client(gateway.url, project=one, timeout=PATIENCE) as stays:
        assert authenticate(stays, other) == 200
        keystone.revoke(token)
        assert close_code(client) == 4003
        assert stays.request("queue_list", {}).status == 200
        with Client(gateway.url, project=one, timeout=PATIENCE) as late:
            assert authenticate(late, token) == 401


def test_socket_that_has_another_token_by_now_stays(
    keystone: Keystone, gateway: Gateway, projects: tuple[str, str, str]
) -> None:
    one, _, user = projects
    first, second = keystone.token(user, one), keystone.token(user, one)
    with Client(gateway.url, project=one, timeout=PATIENCE) as client:
        assert authenticate(client, first) == 200
        with Client(gateway.url, project=one, timeout=PATIENCE) as witness:
            assert authenticate(witness, first) == 200
            assert authenticate(client, second) == 200
            keystone.revoke(first)
            assert close_code(witness) == 4003
        assert client.request("queue_list", {}).status == 200


def test_keystone_away_keeps_out_who_is_out_and_in_who_is_in(
    keystone: Keystone, gateway: Gateway, projects: tuple[str, str, str]
) -> None:
    one, _, user = projects
    token, revoked = keystone.token(user, one), keystone.token(user, one)
    with Client(gateway.url, project=one, timeout=PATIENCE) as inside:
        assert authenticate(inside, revoked) == 200
        seen = len([event for event in gateway.events if event["event"] == "token_not_checked"])
        with Client(gateway.url, project=one, timeout=PATIENCE) as outside:
            keystone.kill()
            try:
                reply = outside.request("authenticate", {}, {"X-Auth-Token": token})
                assert (reply.status, reply.body["code"]) == (503, "keystone_unavailable")
                gateway.wait_event("token_not_checked", PATIENCE, count=seen + 2)
                assert inside.request("queue_list", {}).status == 200
            finally:
                keystone.start()
            assert authenticate(outside, token) == 200
        keystone.revoke(revoked)
        assert close_code(inside) == 4003


def test_nothing_secret_was_logged(
    keystone: Keystone, gateway: Gateway, projects: tuple[str, str, str]
) -> None:
    token = keystone.token(projects[2], projects[0])
    with Client(gateway.url, project=projects[0], timeout=PATIENCE) as client:
        assert authenticate(client, token) == 200
    log = "\n".join(gateway.log_lines)
    assert token not in log
    assert PASSWORD not in log
    assert "gAAAA" not in log  # with which every token of Keystone begins
