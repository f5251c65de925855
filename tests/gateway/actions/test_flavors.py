"""Flavors through a socket, in both forms (protocol.md sections 3 and 8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.client import Client
from tests.support.expect import done, misshapen, refused
from tests.support.servers import Server

CAPABILITIES = ["FIFO", "CLAIMS", "AOD", "HIGH_THROUGHPUT"]


@pytest.fixture
def with_pools(admin: Client, valkey: Server) -> Client:
    for name in ("a", "b"):
        body = {"pool_name": name, "uri": valkey.url, "weight": 1}
        done(admin.request("pool_create", body), 201)
    return admin


def create(client: Client, name: str, *pools: str) -> None:
    body = {"flavor_name": name, "pool_list": list(pools)}
    assert done(client.request("flavor_create", body), 201) == f"Flavor {name} created."


def get(client: Client, name: str) -> Any:
    return done(client.request("flavor_get", {"flavor_name": name}), 200)


def test_a_flavor_is_created_and_shown(with_pools: Client) -> None:
    create(with_pools, "gold", "b", "a", "b")
    shown = {"name": "gold", "pool_list": ["a", "b"]}
    assert get(with_pools, "gold") == {**shown, "capabilities": CAPABILITIES}
    assert done(with_pools.request("flavor_list"), 200) == {"flavors": [shown], "marker": "gold"}
    page = done(with_pools.request("flavor_list", {"detailed": True}), 200)
    assert page["flavors"] == [{**shown, "capabilities": CAPABILITIES}]


def test_a_flavor_of_one_pool_can_be_told_as_zaqars_schema_has_it(with_pools: Client) -> None:
    body = {"flavor_name": "gold", "pool_name": "b", "capabilities": {}}
    done(with_pools.request("flavor_create", body), 201)
    assert get(with_pools, "gold")["pool_list"] == ["b"]
    both = {"flavor_name": "silver", "pool_name": "b", "pool_list": ["a"]}
    done(with_pools.request("flavor_create", both), 201)
    assert get(with_pools, "silver")["pool_list"] == ["a"]


@pytest.mark.parametrize("name", ["", "f" * 65, "a b", "ä", "f\n"])
def test_an_illegal_name_is_refused(admin: Client, name: str) -> None:
    body = {"flavor_name": name, "pool_list": ["default"]}
    refused(admin.request("flavor_create", body), 400, "A flavor name has 1 to 64")


@pytest.mark.parametrize("pools", [[], ["default"] * 101])
def test_a_flavor_has_from_1_to_100_pools(admin: Client, pools: list[str]) -> None:
    create(admin, "gold", *(["default"] * 100))
    for action, name in (("flavor_create", "new"), ("flavor_update", "gold")):
        refused(admin.request(action, {"flavor_name": name, "pool_list": pools}), 400, "from 1 to 100 items")
    refused(admin.request("flavor_create", {"flavor_name": "new"}), 400, "pool_list")


@pytest.mark.parametrize("value", [None, "a", 1, [1], [None], {"a": 1}])
def test_fields_have_types(admin: Client, value: Any) -> None:
    for action in ("flavor_create", "flavor_update"):
        misshapen(admin.request(action, {"flavor_name": "f", "pool_list": value}), "pool_list")
    for action in ("flavor_get", "flavor_delete"):
        misshapen(admin.request(action, {"pool_name": "p"}), "flavor_name")


def test_a_name_is_taken_once(with_pools: Client) -> None:
    create(with_pools, "gold", "a")
    reply = with_pools.request("flavor_create", {"flavor_name": "gold", "pool_list": ["b"]})
    refused(reply, 409, "There is a flavor gold already.")
    assert reply.body["code"] == "name_taken"
    assert get(with_pools, "gold")["pool_list"] == ["a"]


@pytest.mark.parametrize("pool", ["missing", "", "a b", "\x00", "A"])
def test_unknown_pools_are_named(with_pools: Client, pool: str) -> None:
    create(with_pools, "gold", "a")
    for action, name in (("flavor_create", "new"), ("flavor_update", "gold")):
        reply = with_pools.request(action, {"flavor_name": name, "pool_list": ["b", pool]})
        refused(reply, 404, "There is no pool", pool.strip("\x00"))
        assert reply.body["code"] == "unknown_pool"
    assert get(with_pools, "gold")["pool_list"] == ["a"]


def test_an_update_replaces_the_pools(with_pools: Client) -> None:
    create(with_pools, "gold", "a")
    body = {"flavor_name": "gold", "pool_list": ["default", "b"]}
    shown = {"name": "gold", "pool_list": ["b", "default"], "capabilities": CAPABILITIES}
    assert done(with_pools.request("flavor_update", body), 200) == shown
    assert get(with_pools, "gold") == shown


@pytest.mark.parametrize("name", ["missing", "", "a b", "\x00", "f" * 65])
def test_an_unknown_flavor(admin: Client, name: str) -> None:
    for action, further in (
        ("flavor_get", {}),
        ("flavor_update", {"pool_list": ["default"]}),
        ("flavor_delete", {}),
    ):
        reply = admin.request(action, {"flavor_name": name, **further})
        refused(reply, 404, "There is no flavor")
        assert reply.body["code"] == "unknown_flavor"


def test_flavors_are_listed_by_name_with_any_limit(admin: Client) -> None:
    expected = sorted(["B", "a", "a.b", "a_b", "Z", "0", "zz", *(f"n{i}" for i in range(14))])
    for name in reversed(expected):
        create(admin, name, "default")
    for limit in (1, 7, 20):
        seen: list[str] = []
        page: dict[str, Any] = {"limit": limit, "flavor_name": "ignored"}
        while found := done(admin.request("flavor_list", page), 200)["flavors"]:
            seen += [flavor["name"] for flavor in found]
            page["marker"] = seen[-1]
        assert seen == expected
    assert done(admin.request("flavor_list", {"marker": "zz"}), 200) == {"flavors": [], "marker": None}
    refused(admin.request("flavor_list", {"limit": 0}), 400, "limit must be from 1 to 20")


def test_a_flavor_goes_and_its_queues_stay(with_pools: Client) -> None:
    create(with_pools, "gold", "a")
    done(with_pools.request("queue_create", {"queue_name": "q", "metadata": {"_flavor": "gold"}}), 201)
    assert done(with_pools.request("flavor_delete", {"flavor_name": "gold"}), 204) == "Flavor gold removed."
    refused(with_pools.request("flavor_delete", {"flavor_name": "gold"}), 404)
    assert done(with_pools.request("queue_get", {"queue_name": "q"}), 200) == {"_flavor": "gold"}
    refused(with_pools.request("pool_delete", {"pool_name": "a"}), 409, "it is used by 1 queue.")
