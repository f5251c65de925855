"""docs/compatibility.md, 3, 8 and 9: who speaks, where it is said and where it need not be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.registry import ACTIONS
from tests.support.client import Client, Reply
from tests.support.expect import bodies, done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.tokens import Issuer

ISSUER = Issuer("HS256", "the secret of these tests, which has 32 bytes and more")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that takes ISSUER's tokens."""
    folder = tmp_path_factory.mktemp("guarded")
    with start_gateway(folder / "data", *ISSUER.arguments(folder)) as running:
        yield running


def authenticate(client: Client, **claims: object) -> Reply:
    token = ISSUER.token(claims={"project": client.project, **claims})
    return client.request("authenticate", headers={"X-Auth-Token": token})


def test_03_the_project_is_the_tokens_whatever_the_header_says(guarded: Gateway) -> None:
    with Client(guarded.url, project="theirs") as owner, Client(guarded.url, project="ours") as other:
        authenticate(owner)
        post(owner, "q", "secret")
        authenticate(other)
        for header in ("theirs", "Theirs", "ours ", "ours\n", "OURS"):
            reply = other.request("message_list", {"queue_name": "q"}, {"X-Project-ID": header})
            assert (reply.status, reply.body["error"]) == (403, "Not authenticated.")
        assert other.request("message_list", {"queue_name": "q"}).status == 404
        assert bodies(owner, "q") == ["secret"]


def test_03_a_failed_one_leaves_the_old_and_another_ends_what_is_not_allowed(guarded: Gateway) -> None:
    with Client(guarded.url, project="old") as client, Client(guarded.url, project="old") as owner:
        authenticate(client)
        authenticate(owner)
        done(client.request("subscription_create", {"queue_name": "q"}), 201)
        assert client.request("authenticate", headers={"X-Auth-Token": "x"}).status == 401
        post(owner, "q", 1)
        assert client.wait_notifications(1)[0]["body"] == 1
        client.project = "new"
        done(authenticate(client), 200)
        post(owner, "q", 2)
        assert done(owner.request("subscription_list", {"queue_name": "q"}), 200)["subscriptions"] == []
        with pytest.raises(TimeoutError):
            client.receive(0.3)


def test_08_every_token_is_taken_where_nobody_has_to_authenticate(gateway: Gateway) -> None:
    options: list[dict[str, str]] = [{}, {"Authorization": "Bearer x"}, {"X-Auth-Token": "x"}]
    for headers in options:
        with Client(gateway.url, headers=headers) as client:
            reply = client.request("authenticate", headers={"X-Auth-Token": "whatever"})
            assert (reply.status, reply.body) == (200, {"message": "Authentified."})
            done(client.request("queue_list", {}), 200)


def test_09_what_is_for_administrators_needs_the_role(guarded: Gateway) -> None:
    with Client(guarded.url) as client:
        for roles, status in ((["member"], 403), (["admin"], 200)):
            authenticate(client, roles=roles)
            for action in ("pool_list", "flavor_list", "check_node_health"):
                assert ACTIONS[action].admin
                assert client.request(action, {}).status == status


def test_09_without_authentication_only_this_machine_administers(gateway: Gateway, tmp_path: Path) -> None:
    with Client(gateway.url) as client:
        done(client.request("pool_list", {}), 200)
    with (
        start_gateway(tmp_path / "data", "--allow-anonymous") as open_to_all,
        Client(open_to_all.url) as client,
    ):
        reply = client.request("pool_list", {})
        assert (reply.status, reply.body["code"]) == (403, "admin_only")
