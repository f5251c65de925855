"""Limits of projects where tokens say who is which: what one project does costs another nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.gateway.limits.conftest import Start
from tests.support.client import Client
from tests.support.expect import done
from tests.support.gateway import Gateway
from tests.support.metrics import value
from tests.support.reactor import wait_until
from tests.support.tokens import Issuer

ISSUER = Issuer("HS256", "the secret of these tests, which has 32 bytes and more")

StartGuarded = Callable[..., Gateway]


@pytest.fixture
def guarded(start: Start, tmp_path: Path) -> StartGuarded:
    """Starts a gateway that takes ISSUER's tokens, with further arguments."""
    return lambda *arguments: start(*ISSUER.arguments(tmp_path), *arguments)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as closing:
        yield closing


def authenticate(client: Client, project: str) -> Any:
    return client.request("authenticate", headers={"X-Auth-Token": ISSUER.token(project=project)})


def close_code(client: Client) -> int:
    """The code with which the gateway closes."""
    with pytest.raises(ConnectionClosed) as closed:
        client.receive()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_a_project_with_as_many_sockets_as_it_may_have(guarded: StartGuarded, stack: ExitStack) -> None:
    gateway = guarded("--max-sockets-per-project", "2")

    def connect(project: str) -> Client:
        return stack.enter_context(Client(gateway.url, project=project))

    first, second, third = [connect("a") for _ in range(3)]
    done(authenticate(first, "a"), 200)
    done(authenticate(second, "a"), 200)
    reply = authenticate(third, "a")
    assert (reply.status, reply.body["code"]) == (429, "too_many_sockets")
    assert close_code(third) == 4102
    assert value(gateway, "refused_total", limit="max_sockets_per_project") == 1
    # Another project has its own, and who renews a token takes no other place.
    done(authenticate(connect("b"), "b"), 200)
    done(authenticate(first, "a"), 200)
    done(first.request("ping_node"), 204)
    # Who leaves makes room.
    first.close()
    wait_until(lambda: value(gateway, "connections") == 2)
    done(authenticate(connect("a"), "a"), 200)


def test_a_socket_that_changes_its_project_counts_for_the_new_one(
    guarded: StartGuarded, stack: ExitStack
) -> None:
    gateway = guarded("--max-sockets-per-project", "1")
    one, other = [stack.enter_context(Client(gateway.url, project=name)) for name in ("a", "b")]
    done(authenticate(one, "a"), 200)
    done(authenticate(other, "b"), 200)
    # There is no room in `b`: the socket stays what it was.
    assert authenticate(one, "b").status == 429
    done(one.request("queue_list", {}), 200)
    done(authenticate(other, "c"), 200)
    done(authenticate(one, "b"), 200)
    third = stack.enter_context(Client(gateway.url, project="a"))
    done(authenticate(third, "a"), 200)


def test_a_token_of_the_handshake_is_refused_by_the_close(guarded: StartGuarded, stack: ExitStack) -> None:
    gateway = guarded("--max-sockets-per-project", "1")
    first = stack.enter_context(Client(gateway.url, project="a"))
    done(authenticate(first, "a"), 200)
    token = ISSUER.token(project="a")
    second = stack.enter_context(Client(gateway.url, project="a", subprotocol=f"bearer.{token}"))
    assert close_code(second) == 4102
    assert value(gateway, "refused_total", limit="max_sockets_per_project") == 1


def test_a_project_is_not_charged_for_what_others_send_in_its_name(
    guarded: StartGuarded, stack: ExitStack
) -> None:
    gateway = guarded("--max-project-requests-per-second", "1", "--request-burst", "5")
    stranger = stack.enter_context(Client(gateway.url, project="victim"))
    other = stack.enter_context(Client(gateway.url, project="victim"))
    done(authenticate(other, "attacker"), 200)
    for client in (stranger, other):
        for _ in range(50):
            client.send("queue_list", {})
        with suppress(ConnectionClosed):
            assert {client.receive_reply().status for _ in range(50)} <= {403, 429}
    victim = stack.enter_context(Client(gateway.url, project="victim"))
    done(authenticate(victim, "victim"), 200)
    assert [victim.request("queue_list", {}).status for _ in range(4)] == [200] * 4


def test_who_has_a_signature_counts_for_the_project_that_gave_it(
    guarded: StartGuarded, stack: ExitStack, tmp_path: Path
) -> None:
    (tmp_path / "signing").write_text("a key that signs and is long")
    gateway = guarded(
        *("--signing-key-file", str(tmp_path / "signing"), "--max-sockets-per-project", "2"),
        *("--max-project-requests-per-second", "1", "--request-burst", "5"),
    )
    owner, device, another = [stack.enter_context(Client(gateway.url, project="a")) for _ in range(3)]
    done(authenticate(owner, "a"), 200)
    signed = done(owner.request("queue_share", {"queue_name": "q"}), 200)
    headers = {
        f"URL-{name.capitalize()}": signed[name] for name in ("paths", "methods", "expires", "signature")
    }

    def read(client: Client) -> Any:
        return client.request("message_get_many", {"queue_name": "q", "message_ids": ["x"]}, headers)

    statuses = [read(device).status for _ in range(20)]
    assert statuses[0] == 200
    assert 429 in statuses
    # The owner's rate is used up as well, and there is no room for a third socket.
    assert owner.request("queue_list", {}).status == 429
    assert read(another).body["code"] == "too_many_sockets"
    assert close_code(another) == 4102
