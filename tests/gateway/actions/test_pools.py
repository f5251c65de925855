"""Pools through a socket, in both forms, with real stores behind them (protocol.md sections 3 and 8)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, Form
from tests.support.expect import done, misshapen, refused
from tests.support.gateway import Gateway, start_gateway
from tests.support.servers import Server, free_port, start_redis, start_valkey

DEFAULT: dict[str, Any] = {"name": "default", "uri": None, "weight": 100, "flavor": None, "flavors": []}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A store on TCP that wants the password hunter2."""
    with start_redis(tmp_path_factory.mktemp("guarded") / "store", tcp=True) as server:
        server.client().config_set("requirepass", "hunter2")
        yield server


def create(client: Client, name: str, uri: str, weight: int = 1, **further: Any) -> None:
    body = {"pool_name": name, "uri": uri, "weight": weight, **further}
    assert done(client.request("pool_create", body), 201) == f"Pool {name} created."


def get(client: Client, name: str) -> Any:
    return done(client.request("pool_get", {"pool_name": name}), 200)


def names(client: Client, **page: Any) -> list[str]:
    return [pool["name"] for pool in done(client.request("pool_list", page), 200)["pools"]]


def test_a_pool_is_created_and_shown(admin: Client, valkey: Server) -> None:
    create(admin, "ssd", valkey.url, 7, options={"ü": [1.5, None, {"a": {}}]})
    shown = {"name": "ssd", "uri": valkey.url, "weight": 7, "flavor": None, "flavors": []}
    assert get(admin, "ssd") == {**shown, "options": {"ü": [1.5, None, {"a": {}}]}}
    assert done(admin.request("pool_list"), 200) == {"pools": [DEFAULT, shown], "marker": "ssd"}
    assert get(admin, "default") == {**DEFAULT, "options": {}}
    assert valkey.client().get("zg:layout") == b"1"


@pytest.mark.parametrize("weight", [0, 2**32 - 1])
@pytest.mark.parametrize("name", ["n", "n" * 64, "a.B_c-9"])
def test_what_a_pool_may_be(admin: Client, redis7: Server, name: str, weight: int) -> None:
    create(admin, name, redis7.url, weight)
    assert get(admin, name)["weight"] == weight


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        *(("pool_name", name, "1 to 64") for name in ("", "n" * 65, "a b", "ä", "a\n", "\x00")),
        *(("weight", weight, "weight must be from 0 to 4294967295") for weight in (-1, 2**32, 2**63)),
        ("flavor", "missing", "There is no flavor missing"),
        ("flavor", "no name", "There is no flavor 'no name'"),
        ("flavor", "\x00", "There is no flavor"),
        ("options", {"a": "x" * 65_536}, "at most 65536"),
        ("uri", "", "uri: It must begin with redis://"),
        ("uri", "http://:hunter2@host", "uri: It must begin with redis://"),
        ("uri", "redis://:hunter2@host:0", "uri: The port of server 1"),
        ("uri", "redis://:hunter2@host/\x00", "uri: It holds a space or a control character"),
        ("uri", "redis+sentinel://:hunter2@host", "uri: The service's name is missing"),
        ("uri", "redis://:hunter2@" + "h" * 2048, "at most 2048"),
    ],
)
def test_what_a_pool_may_not_be(admin: Client, valkey: Server, field: str, value: Any, word: str) -> None:
    body = {"pool_name": "p", "uri": valkey.url, "weight": 1, field: value}
    reply = admin.request("pool_create", body)
    refused(reply, 400, word)
    assert "hunter2" not in json.dumps(reply.document)
    assert names(admin) == ["default"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("pool_name", value) for value in (None, 1, ["p"])),
        *[("uri", value) for value in (None, 1, ["redis://:hunter2@host"])],
        *[("weight", value) for value in (None, "1", 1.0, True)],
        *[("flavor", 1), ("flavor", ["gold"])],
        *[("options", None), ("options", []), ("options", "x")],
    ],
)
def test_fields_have_types(admin: Client, field: str, value: Any) -> None:
    for action in ("pool_create", "pool_update"):
        body = {"pool_name": "p", "uri": "redis://:hunter2@host", "weight": 1, field: value}
        reply = admin.request(action, body)
        misshapen(reply, field)
        assert "hunter2" not in json.dumps(reply.document)


@pytest.mark.parametrize("field", ["pool_name", "uri", "weight"])
def test_a_new_pool_needs_name_address_and_weight(admin: Client, field: str) -> None:
    body = {"pool_name": "p", "uri": "redis://:hunter2@host", "weight": 1}
    del body[field]
    misshapen(admin.request("pool_create", body), field)


def test_a_name_is_taken_once(admin: Client, valkey: Server, redis7: Server) -> None:
    create(admin, "ssd", valkey.url)
    for name in ("ssd", "default"):
        # That is said before the store is tried.
        for uri in (redis7.url, "unix:///nowhere.sock"):
            reply = admin.request("pool_create", {"pool_name": name, "uri": uri, "weight": 2})
            refused(reply, 409, f"There is a pool {name} already.")
            assert reply.body["code"] == "name_taken"
    assert get(admin, "ssd")["uri"] == valkey.url


def test_a_store_that_is_not_there_is_no_pool(admin: Client, guarded: Server, valkey: Server) -> None:
    create(admin, "ssd", valkey.url)
    dead, port = free_port(), guarded.tcp_port
    for uri, *words in (
        (
            f"redis://:hunter2@127.0.0.1:{dead}",
            f"cannot connect to redis://:***@127.0.0.1:{dead}: ",
            "refused",
        ),
        (
            f"redis+sentinel://:hunter2@127.0.0.1:{dead}/one",
            "cannot connect to redis+sentinel://:***@",
            "refused",
        ),
        (
            "unix:///nowhere.sock?password=hunter2",
            "cannot connect to unix://:***@/nowhere.sock: ",
            "No such file",
        ),
        (
            f"redis://:hunter3@127.0.0.1:{port}",
            f"cannot connect to redis://:***@127.0.0.1:{port}: ",
            "WRONGPASS",
        ),
        (f"redis://hunter2@127.0.0.1:{port}", f"cannot connect to redis://***@127.0.0.1:{port}: ", "NOAUTH"),
    ):
        for action, name in (("pool_create", "new"), ("pool_update", "ssd")):
            reply = admin.request(action, {"pool_name": name, "uri": uri, "weight": 5})
            refused(reply, 400, *words)
            assert reply.body["code"] == "pool_unusable"
            assert "hunter" not in json.dumps(reply.document)
    assert names(admin) == ["default", "ssd"]
    assert (get(admin, "ssd")["uri"], get(admin, "ssd")["weight"]) == (valkey.url, 1)


def test_a_store_that_throws_messages_away_is_no_pool(admin: Client, tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store", maxmemory_policy="allkeys-lfu") as server:
        reply = admin.request("pool_create", {"pool_name": "p", "uri": server.url, "weight": 1})
        refused(reply, 400, "maxmemory-policy is allkeys-lfu", "set it to noeviction")
        assert reply.body["code"] == "pool_unusable"


def test_passwords_are_shown_nowhere(admin: Client, pool_gateway: Gateway, guarded: Server) -> None:
    uri = f"redis://:hunter2@127.0.0.1:{guarded.tcp_port}"
    shown = uri.replace("hunter2", "***")
    body = {"pool_name": "ssd", "uri": uri, "weight": 1}
    changed = {"pool_name": "ssd", "uri": uri.replace("://:", "://default:") + "/1"}
    replies = [
        admin.request("pool_create", body),
        admin.request("pool_create", body),
        admin.request("pool_get", {"pool_name": "ssd"}),
        admin.request("pool_list", {"detailed": True}),
        admin.request("pool_update", changed),
        admin.request("pool_update", {**changed, "weight": None}),
        admin.request("pool_create", {"uri": uri}),
        admin.request("pool_update", {**body, "flavor": "missing"}),
    ]
    assert [reply.status for reply in replies] == [201, 409, 200, 200, 200, 400, 400, 400]
    assert [reply.request["body"] for reply in replies[:2]] == [{"pool_name": "ssd", "weight": 1}] * 2
    assert replies[6].request["body"] == {}
    assert replies[2].body["uri"] == replies[3].body["pools"][1]["uri"] == shown
    assert replies[4].body["uri"] == shown.replace("://:", "://default:") + "/1"
    assert "hunter2" not in json.dumps([reply.document for reply in replies])
    assert "hunter2" not in "\n".join(pool_gateway.log_lines)


def test_an_update_changes_what_is_given(admin: Client, valkey: Server, redis7: Server) -> None:
    create(admin, "ssd", valkey.url, 7, options={"a": 1})
    expected = get(admin, "ssd")
    for change in ({"weight": 0}, {"options": {"b": [2]}}, {"uri": redis7.url}, {"weight": 3, "options": {}}):
        expected |= change
        assert done(admin.request("pool_update", {"pool_name": "ssd", **change}), 200) == expected
        assert get(admin, "ssd") == expected
    refused(admin.request("pool_update", {"pool_name": "ssd"}), 400, "at least one of uri, weight, flavor")
    assert get(admin, "ssd") == expected


def test_the_default_pool_keeps_its_address(admin: Client, valkey: Server) -> None:
    for uri in (valkey.url, "unix:///nowhere.sock"):
        refused(admin.request("pool_update", {"pool_name": "default", "uri": uri}), 400, "redis_url")
    done(admin.request("flavor_create", {"flavor_name": "gold", "pool_list": ["default"]}), 201)
    for change in ({"weight": 3}, {"flavor": None}, {"flavor": "gold"}, {"weight": 100}):
        done(admin.request("pool_update", {"pool_name": "default", **change}), 200)
    shown: dict[str, Any] = {**DEFAULT, "flavor": "gold", "flavors": ["gold"], "options": {}}
    assert get(admin, "default") == shown
    refused(admin.request("pool_delete", {"pool_name": "default"}), 409, "gateway's own", "weight 0")


def test_a_pool_joins_and_leaves_flavors(admin: Client, valkey: Server) -> None:
    for flavor in ("gold", "silver"):
        done(admin.request("flavor_create", {"flavor_name": flavor, "pool_list": ["default"]}), 201)
    create(admin, "ssd", valkey.url, flavor="silver")
    assert (get(admin, "ssd")["flavor"], get(admin, "ssd")["flavors"]) == ("silver", ["silver"])
    done(admin.request("flavor_update", {"flavor_name": "gold", "pool_list": ["default", "ssd"]}), 200)
    assert (get(admin, "ssd")["flavor"], get(admin, "ssd")["flavors"]) == ("gold", ["gold", "silver"])
    for only, flavors in (("silver", ["silver"]), (None, [])):
        changed = done(admin.request("pool_update", {"pool_name": "ssd", "flavor": only}), 200)
        assert (changed["flavor"], changed["flavors"]) == (only, flavors)
    reply = admin.request("pool_update", {"pool_name": "ssd", "flavor": "missing"})
    refused(reply, 400, "There is no flavor missing")
    assert reply.body["code"] == "unknown_flavor"


@pytest.mark.parametrize("name", ["missing", "", "a b", "\x00", "n" * 65, "Default"])
def test_an_unknown_pool(admin: Client, name: str) -> None:
    for action, further in (
        ("pool_get", {}),
        ("pool_update", {"weight": 1}),
        ("pool_update", {"uri": "unix:///nowhere.sock"}),
        ("pool_delete", {}),
    ):
        reply = admin.request(action, {"pool_name": name, **further})
        refused(reply, 404, "There is no pool")
        assert reply.body["code"] == "unknown_pool"


def test_pools_are_listed_by_name_with_any_limit(admin: Client, valkey: Server) -> None:
    expected = sorted(["B", "a", "a.b", "a_b", "Z", "0", "zz", *(f"n{i}" for i in range(14))])
    for name in reversed(expected):
        create(admin, name, valkey.url)
    expected = sorted([*expected, "default"])
    for limit in (1, 7, 20):
        seen: list[str] = []
        page: dict[str, Any] = {"limit": limit}
        while found := done(admin.request("pool_list", page), 200)["pools"]:
            seen += [pool["name"] for pool in found]
            page["marker"] = seen[-1]
        assert seen == expected
    assert len(names(admin)) == 10
    assert names(admin, marker="default!", limit=1) == ["n0"]
    last = done(admin.request("pool_list", {"marker": "zz", "pool_name": 5, "flavor_name": "ignored"}), 200)
    assert last == {"pools": [], "marker": None}
    detailed = done(admin.request("pool_list", {"detailed": True, "limit": 20}), 200)["pools"]
    assert {"options" in pool for pool in detailed} == {True}
    refused(admin.request("pool_list", {"limit": 21}), 400, "limit must be from 1 to 20")


def test_a_pool_in_use_says_by_what(admin: Client, valkey: Server, redis7: Server) -> None:
    create(admin, "ssd", valkey.url)
    done(admin.request("flavor_create", {"flavor_name": "gold", "pool_name": "ssd"}), 201)
    done(admin.request("queue_create", {"queue_name": "q", "metadata": {"_flavor": "gold"}}), 201)
    reply = admin.request("pool_delete", {"pool_name": "ssd"})
    refused(reply, 409, "it is used by 1 queue and by flavor gold.")
    assert reply.body["code"] == "pool_in_use"
    refused(admin.request("pool_update", {"pool_name": "ssd", "uri": redis7.url}), 409, "1 queue", "move")
    assert (
        done(admin.request("pool_update", {"pool_name": "ssd", "uri": valkey.url}), 200)["uri"] == valkey.url
    )
    done(admin.request("flavor_delete", {"flavor_name": "gold"}), 204)
    refused(admin.request("pool_delete", {"pool_name": "ssd"}), 409, "it is used by 1 queue.")
    done(admin.request("queue_delete", {"queue_name": "q"}), 204)
    assert done(admin.request("pool_delete", {"pool_name": "ssd"}), 204) == "Pool ssd removed."
    refused(admin.request("pool_delete", {"pool_name": "ssd"}), 404)


# Placement


def test_a_queue_needs_a_pool_that_takes_it(admin: Client, valkey: Server) -> None:
    done(admin.request("queue_create", {"queue_name": "before", "metadata": {"_flavor": "missing"}}), 201)
    create(admin, "ssd", valkey.url, 0)
    done(admin.request("flavor_create", {"flavor_name": "gold", "pool_name": "ssd"}), 201)

    def creating(flavor: str | None) -> Any:
        return admin.request("queue_create", {"queue_name": "q", "metadata": {"_flavor": flavor}})

    reply = creating("gold")
    refused(reply, 503, "all pools of flavor gold have weight 0")
    assert reply.body["code"] == "no_pool"
    reply = creating("missing")
    refused(reply, 400, "There is no flavor missing")
    assert reply.body["code"] == "unknown_flavor"
    done(admin.request("pool_update", {"pool_name": "default", "weight": 0}), 200)
    refused(creating(None), 503, "all pools have weight 0")
    for action, further in (("message_post", {"messages": [{"body": 1}]}), ("subscription_create", {})):
        refused(admin.request(action, {"queue_name": "q", **further}), 503, "all pools have weight 0")
    assert done(admin.request("queue_list"), 200)["queues"] == [{"name": "before"}]
    posting = {"queue_name": "before", "messages": [{"body": 1}]}
    done(admin.request("message_post", posting), 201)
    done(admin.request("pool_update", {"pool_name": "default", "weight": 1}), 200)
    done(creating(None), 201)


def test_an_update_of_a_queue_knows_flavors(admin: Client, valkey: Server) -> None:
    done(admin.request("queue_create", {"queue_name": "q"}), 201)
    create(admin, "ssd", valkey.url)
    done(admin.request("flavor_create", {"flavor_name": "gold", "pool_name": "ssd"}), 201)

    def update(flavor: str) -> Any:
        patch = [{"op": "add", "path": "/metadata/_flavor", "value": flavor}]
        return admin.request("queue_update", {"queue_name": "q", "patch": patch})

    assert done(update("gold"), 200)["_flavor"] == "gold"
    refused(update("missing"), 400, "There is no flavor missing")
    # It has not moved: nothing but the flavor needs the pool.
    refused(admin.request("pool_delete", {"pool_name": "ssd"}), 409, "it is used by flavor gold.")


# Who may


def test_only_a_gateway_for_this_machine_is_administered(tmp_path: Path, form: Form) -> None:
    with (
        start_gateway(tmp_path / "data", "--allow-anonymous") as gateway,
        Client(gateway.url, form=form) as client,
    ):
        for action, body in (
            ("pool_create", {"pool_name": "p", "uri": "redis://:hunter2@h", "weight": 1}),
            ("pool_list", None),
            ("pool_get", {"pool_name": "default"}),
            ("pool_update", {"pool_name": "default", "weight": 0}),
            ("pool_delete", {"pool_name": "p"}),
            ("flavor_create", {"flavor_name": "f", "pool_name": "default"}),
            ("flavor_list", None),
            ("flavor_get", {"flavor_name": "f"}),
            ("flavor_update", {"flavor_name": "f", "pool_list": ["default"]}),
            ("flavor_delete", {"flavor_name": "f"}),
            ("check_node_health", None),
        ):
            reply = client.request(action, body)
            refused(reply, 403, action, "loopback", "--allow-anonymous")
            assert reply.body["code"] == "admin_only"
        misshapen(client.request("pool_get", {}), "pool_name")
        done(client.request("ping_node"), 204)
        done(client.request("queue_create", {"queue_name": "q"}), 201)
