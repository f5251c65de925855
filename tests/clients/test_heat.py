"""OpenStack Heat works unchanged: resources of Zaqar, signals, metadata of servers, and events of stacks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.support.cloud import INSTALL_TIMEOUT, MEMBER, Cloud, install_clients
from tests.support.reactor import wait_until

HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(2 * INSTALL_TIMEOUT + 300)

TRIGGER = "trust+http://mistral.example.org:8989/v2/executions"
FOREVER = 220367260800
"""Seconds that a subscription of Heat's lives if the template does not say it: until the year 9000."""


@pytest.fixture(scope="module")
def got(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Heat got, step by step. It makes no resource whose service it does not find in the catalog."""
    for kind, name in (("orchestration", "heat"), ("cloudformation", "heat-cfn"), ("workflowv2", "mistral")):
        cloud.keystone.create_service(kind, name, f"http://{name}.example.org/")
    python = install_clients(tmp_path_factory.mktemp("heat") / "venv", "heat")
    trusts = len(cloud.keystone.trusts())
    done = subprocess.run(
        [python, "-W", "ignore", HERE / "heat_conversation.py"],
        env=cloud.environment(MEMBER),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Those of the trigger: deleted with it, and ten seconds after the change of it.
    wait_until(lambda: len(cloud.keystone.trusts()) == trusts, timeout=30)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_stack_is_made_changed_and_deleted(got: dict[str, Any]) -> None:
    assert got["created"] == ["CREATE", "COMPLETE", "Stack CREATE completed successfully"]
    assert got["updated"] == ["UPDATE", "COMPLETE", "Stack UPDATE completed successfully"]
    assert got["deleted"] == ["DELETE", "COMPLETE", "Stack DELETE completed successfully"]
    server, events = got["left"]
    assert (server.startswith("cloud-server-"), events) == (True, "events")


def test_queues(got: dict[str, Any]) -> None:
    jobs, updated = got["jobs"], got["jobs updated"]
    assert got["queue"] == "jobs"
    assert (jobs["owner"], jobs["sizes"], jobs["_default_message_ttl"]) == ("heat", {"of": [1, 2]}, 3600)
    assert (updated["owner"], updated["_default_message_ttl"]) == ("ada", 600)
    assert "sizes" not in updated


def test_signed_urls(got: dict[str, Any], cloud: Cloud) -> None:
    paths = ["/v2/queues/jobs/claims", "/v2/queues/jobs/messages"]
    assert got["url"] == {"paths": paths, "methods": ["GET", "POST"], "project": cloud.project}
    assert got["by url"] == ["by its URL"]
    daily = {name: values[0] for name, values in parse_qs(got["daily"]).items()}
    assert (daily["paths"], daily["methods"]) == ("/v2/queues/jobs/messages", "GET")
    assert (daily["project_id"], daily["queue_name"], len(daily["signature"])) == (cloud.project, "jobs", 64)


def test_subscriptions_and_triggers_of_workflows(got: dict[str, Any]) -> None:
    made, updated = got["subscriptions"], got["subscriptions updated"]
    assert made.pop("http://example.org/hook") == [3600, {"post_headers": {"X-Of": "heat"}}]
    assert made.pop("mailto:ada@example.org") == [FOREVER, {}]
    assert updated.pop("https://example.org/other") == [7200, {"post_data": "x"}]
    assert updated.pop("mailto:ada@example.org") == [FOREVER, {"subject": "Jobs"}]
    for subscriptions, size in ((made, 1), (updated, 2)):
        ((subscriber, (lifetime, options)),) = subscriptions.items()
        assert (subscriber, lifetime, set(options)) == (TRIGGER, FOREVER, {"post_data", "trust_id"})
        assert json.loads(options["post_data"]) == {
            "workflow_id": "resize",
            "params": {"env": {"notification": "$zaqar_message$"}},
            "input": {"size": size},
        }


def test_signals(got: dict[str, Any]) -> None:
    signals = got["signals"]
    assert (signals["status"], signals["data"]) == (["SUCCESS"], "ready")
    assert (signals["signed"], signals["nothing"]) == ([{"deploy_stdout": "done"}], [])


def test_metadata_of_servers(got: dict[str, Any], cloud: Cloud) -> None:
    first, again = got["metadata"]
    assert again == first
    told = first["os-collect-config"]["zaqar"]
    assert (told["project_id"], told["auth_url"]) == (cloud.project, f"{cloud.keystone.url}/v3")


def test_events_of_stacks(got: dict[str, Any]) -> None:
    events = {tuple[str, ...](event) for event in got["events"]}
    assert got["events"][0] == ["cloud", "CREATE", "IN_PROGRESS"]
    assert got["events"][-1] == ["cloud", "DELETE", "COMPLETE"]
    parts = {"bare", "daily", "handle", "hook", "jobs", "mail", "server", "trigger", "url"}
    for action in ("CREATE", "DELETE"):
        assert done(events, action) == parts
    assert done(events, "UPDATE") == {"hook", "jobs", "mail", "trigger"}


def done(events: set[tuple[str, ...]], action: str) -> set[str]:
    """The resources that were told to have got through something."""
    return {name for name, *what in events if what == [action, "COMPLETE"]} - {"cloud"}
