"""OpenStack's own clients work unchanged with Keystone's tokens and catalog: openstacksdk and `openstack`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud import ADMIN, INSTALL_TIMEOUT, MEMBER, Cloud, CommandLine
from tests.support.servers import start_valkey

HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT + 300)

JSON = ("-f", "json")


@pytest.fixture(scope="module")
def openstack(cloud: Cloud, openstack_python: Path) -> Iterator[CommandLine]:
    """`openstack` of a member of the project."""
    with cloud.command_line(openstack_python, MEMBER) as running:
        yield running


@pytest.fixture(scope="module")
def admin(cloud: Cloud, openstack_python: Path) -> Iterator[CommandLine]:
    """`openstack` of an administrator."""
    with cloud.command_line(openstack_python, ADMIN) as running:
        yield running


def test_openstacksdk(cloud: Cloud, openstack_python: Path) -> None:
    done = subprocess.run(
        [openstack_python, HERE / "openstacksdk_conversation.py"],
        env=cloud.environment(MEMBER),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    got: dict[str, Any] = json.loads(done.stdout)
    assert got["endpoint"] == f"{cloud.gateway.http_url}/v2/"
    assert got["version"] == [2, 0]
    assert got["websocket"] == cloud.gateway.url
    assert got["queues"] == [f"jobs-{n}" for n in range(7)]
    assert got["queue"] == ["jobs-0", 700, 262144, "of the SDK"]
    assert got["listed"] == list(range(25))
    assert got["message"] == [True, {"job": 0}, 600]
    assert got["claimed"] == list(range(10))
    assert (got["claim"], got["free"], got["freed"], got["nothing"]) == (200, [10, 11], [1, 2], None)
    assert got["subscription"] == "http://example.org/2"
    assert got["subscriptions"] == ["http://example.org/0", "http://example.org/1"]
    assert (got["missing"], got["token"], got["left"]) == (404, True, [])


def test_queues(openstack: CommandLine) -> None:
    for name in ("one", "two", "three"):
        assert openstack("messaging", "queue", "create", name, *JSON) == {"Name": name}
    listed = openstack("messaging", "queue", "list", "--limit", "2", *JSON)
    assert listed == [{"Name": "one"}, {"Name": "three"}]
    assert openstack("messaging", "queue", "list", "--marker", "three", *JSON) == [{"Name": "two"}]
    (shown,) = openstack("messaging", "queue", "list", "--limit", "1", "--detailed", "--with_count", *JSON)
    assert shown["Href"] == "/v2/queues/one"
    assert shown["Metadata_Dict"]["_default_message_ttl"] == 3600

    openstack("messaging", "queue", "set", "metadata", "one", '{"owner": "me", "_default_message_ttl": 600}')
    found = openstack("messaging", "queue", "get", "metadata", "one", *JSON)["Metadata"]
    assert (found["owner"], found["_default_message_ttl"]) == ("me", 600)
    openstack("messaging", "queue", "set", "metadata", "one", "{}")
    assert "owner" not in openstack("messaging", "queue", "get", "metadata", "one", *JSON)["Metadata"]
    assert openstack.refused("messaging", "queue", "set", "metadata", "one", '{"_default_message_ttl": 1}')

    for name in ("one", "two", "three"):
        openstack("messaging", "queue", "delete", name)
    assert openstack("messaging", "queue", "list", *JSON) == []


def test_messages(openstack: CommandLine) -> None:
    posted = [{"body": {"job": 1}}, {"body": "two", "ttl": 90}, {"body": [3]}]
    openstack("messaging", "message", "post", "jobs", json.dumps(posted))
    assert openstack("messaging", "message", "list", "jobs", *JSON) == []
    listed = openstack("messaging", "message", "list", "jobs", "--echo", *JSON)
    assert [(message["Body"], message["TTL"]) for message in listed] == [
        ({"job": 1}, 3600),
        ("two", 90),
        ([3], 3600),
    ]
    assert len(openstack("messaging", "message", "list", "jobs", "--echo", "--limit", "2", *JSON)) == 2
    several = ",".join(message["ID"] for message in listed[1:])
    found = openstack("messaging", "message", "list", "jobs", "--message-ids", several, *JSON)
    assert [message["Body"] for message in found] == ["two", [3]]

    stats = openstack("messaging", "queue", "stats", "jobs", *JSON)["Stats"]["messages"]
    assert (stats["total"], stats["oldest"]["body"], stats["newest"]["body"]) == (3, {"job": 1}, [3])
    other = "00000000-0000-4000-8000-000000000000"
    assert len(openstack("messaging", "message", "list", "jobs", "--client-id", other, *JSON)) == 3
    openstack("messaging", "queue", "purge", "jobs", "--resource_types", "messages")
    assert openstack("messaging", "queue", "stats", "jobs", *JSON)["Stats"]["messages"]["total"] == 0
    openstack("messaging", "queue", "delete", "jobs")


def test_claims(openstack: CommandLine) -> None:
    openstack("messaging", "message", "post", "work", '[{"body": 1}, {"body": 2}, {"body": 3}]')
    claim = openstack("messaging", "claim", "create", "work", "--limit", "2", "--ttl", "100", *JSON)
    assert [message["Messages"] for message in claim] == [1, 2]
    held = claim[0]["Claim_ID"]
    assert [one["Message"] for one in openstack("messaging", "claim", "query", "work", held, *JSON)] == [1, 2]
    listed = openstack("messaging", "message", "list", "work", "--echo", "--include-claimed", *JSON)
    assert [message["Claim ID"] for message in listed] == [held, held, None]
    renew = ("messaging", "claim", "renew", "work", held, "--ttl", "200", "--grace", "100")
    assert [message["Message"] for message in openstack(*renew, *JSON)] == [1, 2]
    openstack("messaging", "claim", "release", "work", held)
    assert "404" in openstack.refused("messaging", "claim", "query", "work", held)
    assert len(openstack("messaging", "message", "list", "work", "--echo", *JSON)) == 3
    assert openstack("messaging", "claim", "create", "nothing", *JSON) == []
    openstack("messaging", "queue", "delete", "work")


def test_subscriptions(openstack: CommandLine) -> None:
    create = ("messaging", "subscription", "create", "news")
    made = openstack(*create, "http://example.org/", "600", "--options", '{"post_data": "x"}', *JSON)
    other = openstack(*create, "mailto:ada@example.org", "600", *JSON)
    assert openstack(*create, "http://example.org/", "600", *JSON)["ID"] == made["ID"]

    update = ("messaging", "subscription", "update", "news", made["ID"])
    openstack(*update, "--ttl", "700")
    openstack(*update, "--subscriber", "https://example.org/hook", "--options", '{"post_data": "y"}')
    shown = openstack("messaging", "subscription", "show", "news", made["ID"], *JSON)
    assert shown == {
        "ID": made["ID"],
        "Subscriber": "https://example.org/hook",
        "TTL": 700,
        "Age": shown["Age"],
        "Confirmed": False,
        "Options": {"post_data": "y"},
    }
    first = openstack("messaging", "subscription", "list", "news", "--limit", "1", *JSON)
    assert [one["ID"] for one in first] == [made["ID"]]
    rest = openstack("messaging", "subscription", "list", "news", "--marker", made["ID"], *JSON)
    assert [one["ID"] for one in rest] == [other["ID"]]
    openstack("messaging", "subscription", "delete", "news", made["ID"])
    openstack("messaging", "queue", "purge", "news", "--resource_types", "subscriptions")
    assert openstack("messaging", "subscription", "list", "news", *JSON) == []
    openstack("messaging", "queue", "delete", "news")


def test_signed_url(openstack: CommandLine) -> None:
    asked = ("--methods", "GET,POST", "--ttl-seconds", "600", "--paths", "messages,claims")
    signed = openstack("messaging", "queue", "signed", "url", "weather", *asked, *JSON)
    assert signed["Paths"] == "/v2/queues/weather/claims,/v2/queues/weather/messages"
    assert (signed["Methods"], len(signed["Signature"])) == ("GET,POST", 64)


def test_the_node(openstack: CommandLine, admin: CommandLine) -> None:
    assert openstack("messaging", "ping", *JSON) == {"Pingable": True}
    home = openstack("messaging", "homedoc")
    assert home["resources"]["rel/queue"]["href-template"] == "/v2/queues/{queue_name}"
    health = admin("messaging", "health")
    assert health["storage_reachable"] is True
    assert health["operation_status"]["post_messages"]["succeeded"] is True


def test_pools_and_flavors(
    admin: CommandLine, openstack: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with start_valkey(tmp_path_factory.mktemp("second") / "store", tcp=True) as store:
        uri = f"redis://127.0.0.1:{store.tcp_port}/0"
        created = admin("messaging", "pool", "create", "second", uri, "50", *JSON)
        assert created == {"Name": "second", "Weight": 50, "URI": uri, "Flavor": None, "Options": {}}
        assert admin("messaging", "pool", "update", "second", "--pool_weight", "60", *JSON)["Weight"] == 60
        listed = admin("messaging", "pool", "list", "--detailed", *JSON)
        assert [pool["Name"] for pool in listed] == ["default", "second"]
        assert (
            admin("messaging", "flavor", "create", "fast", "--pool_list", "second", *JSON)["Name"] == "fast"
        )
        shown = admin("messaging", "flavor", "show", "fast", *JSON)
        assert (shown["Pool list"], "CLAIMS" in shown["Capabilities"]) == (["second"], True)
        assert admin("messaging", "pool", "show", "second", *JSON)["Flavor"] == "fast"
        update = ("messaging", "flavor", "update", "fast", "--pool_list", "second,default")
        assert sorted(admin(*update, *JSON)["Pool_list"]) == ["default", "second"]
        assert [one["Name"] for one in admin("messaging", "flavor", "list", "--detailed", *JSON)] == ["fast"]
        admin("messaging", "flavor", "delete", "fast")
        admin("messaging", "pool", "delete", "second")
        assert [pool["Name"] for pool in admin("messaging", "pool", "list", *JSON)] == ["default"]


@pytest.mark.parametrize("command", [("pool", "list"), ("flavor", "list"), ("health",)], ids=" ".join)
def test_administration_is_for_administrators(openstack: CommandLine, command: tuple[str, ...]) -> None:
    assert "403" in openstack.refused("messaging", *command)


def test_what_is_wrong_is_told(openstack: CommandLine) -> None:
    told = openstack.refused("messaging", "message", "post", "jobs", '[{"body": 1, "ttl": 1}]')
    assert "Code: 400. Title: Invalid API request." in told or "Invalid request body" in told
    assert "ttl" in told
