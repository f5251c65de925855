"""gophercloud works unchanged, in Go: every function of its `messaging/v2`, found in Keystone's catalog."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud import INSTALL_TIMEOUT, MEMBER, Cloud

SOURCES = sorted((Path(__file__).parent / "gophercloud").glob("*.go"))

LIBRARIES = Path("/usr/share/gocode")
"""Where Debian's packages put libraries of Go, gophercloud among them."""

BUILD_TIMEOUT = 300
"""Seconds to compile what takes two on an idle machine."""

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT + BUILD_TIMEOUT + 120)

DEFAULTS = {
    "_dead_letter_queue": "",
    "_dead_letter_queue_messages_ttl": 0,
    "_default_message_delay": 0,
    "_default_message_ttl": 3600,
    "_max_claim_count": 0,
    "_max_messages_post_size": 262144,
    "flavor": "",
}
"""A queue's metadata as gophercloud shows it: what there is not is "" or 0."""


@pytest.fixture(scope="module")
def got(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program of `gophercloud/` got, part by part."""
    program = build(tmp_path_factory.mktemp("go"))
    # By name, gophercloud 0.12 finds a project in the domain that it takes the person from.
    environment = cloud.environment(MEMBER) | {"OS_DOMAIN_ID": "default"}
    done = subprocess.run(
        [program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told.pop("endpoint") == f"{cloud.gateway.http_url}/"
    return told


def build(folder: Path) -> Path:
    """Compile the program. Go's cache and the program go into `folder`, and nothing elsewhere."""
    program = folder / "conversation"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO"))}
    # With cgo, as Debian has compiled Go's own packages: without, they would be compiled anew.
    environment = inherited | {
        "GO111MODULE": "off",
        "GOCACHE": str(folder / "cache"),
        "GOENV": "off",
        "GOPATH": str(LIBRARIES),
        "GOTMPDIR": str(folder),
        "HOME": str(folder),
    }
    done = subprocess.run(
        ["go", "build", "-o", program, *SOURCES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\nIs everything of tests/system-packages.sh installed?"
    return program


def test_queues(got: dict[str, Any], cloud: Cloud) -> None:
    queues = got["queues"]
    assert queues["listed"] == [f"jobs-{n}" for n in range(5)]
    (detailed,) = queues["detailed"]
    assert (detailed["name"], detailed["href"]) == ("jobs-4", "/v2/queues/jobs-4")
    assert detailed["metadata"] == DEFAULTS

    made = DEFAULTS | {
        "_dead_letter_queue": "jobs-1",
        "_dead_letter_queue_messages_ttl": 800,
        "_default_message_delay": 1,
        "_default_message_ttl": 700,
        "_max_claim_count": 3,
        "_max_messages_post_size": 2048,
    }
    extra = {"_enable_encrypt_messages": False, "description": "of gophercloud", "sizes": [1, 2]}
    assert queues["made"] == queues["made again"] == {"known": made, "extra": extra}
    changed = made | {"_max_claim_count": 10, "_default_message_ttl": 500}
    assert queues["updated"] == {"known": changed, "extra": extra | {"owner": "ada"}}
    assert queues["removed"] == {"known": changed, "extra": extra}
    assert queues["removed again"] == 409

    assert queues["stats"] == {"claimed": 0, "free": 3, "total": 3}
    assert queues["purged"] == {"claimed": 0, "free": 0, "total": 0}
    assert queues["deleted"]["known"] == DEFAULTS
    assert queues["refused"] == 400

    shared = queues["shared"]
    paths = ("claims", "messages", "subscriptions")
    assert shared["paths"] == [f"/v2/queues/made/{path}" for path in paths]
    assert shared["methods"] == ["GET", "PATCH", "POST", "PUT"]
    assert (shared["project"], shared["expires"]) == (cloud.project, "2037-09-01T00:00:00")
    assert len(shared["signature"]) == 64
    by_default = queues["shared by default"]
    assert (by_default["paths"], by_default["methods"]) == (["/v2/queues/made/messages"], ["GET"])


def test_messages(got: dict[str, Any]) -> None:
    messages = got["messages"]
    assert (messages["posted"], messages["found"]) == (25, True)
    assert (messages["one"]["body"], messages["one"]["ttl"]) == ({"job": 3}, 600)
    assert messages["one"]["href"] == f"/v2/queues/letters/messages/{messages['one']['id']}"
    assert messages["own"] == []
    assert messages["listed"] == list(range(25))
    assert messages["from"] == list(range(20, 25))
    assert messages["several"] == [3, 4, 5]
    assert (messages["deleted"], messages["all deleted"]) == (404, 404)
    assert messages["popped"] == [0, 1, 2, 7]
    assert messages["first popped"]["ttl"] == 600
    assert messages["left"] == list(range(8, 25))
    assert (messages["undelayed"], messages["delayed"]) == ([], [1, 2])
    assert (messages["refused"], messages["nothing"]) == (400, 0)


def test_claims(got: dict[str, Any]) -> None:
    claims = got["claims"]
    assert claims["nothing"] == 0
    assert [(claimed["body"], claimed["ttl"]) for claimed in claims["claimed"]] == [
        ({"job": 0}, 600),
        ({"job": 1}, 600),
        ({"job": 2}, 600),
    ]
    assert (claims["held"], claims["its path"]) == (True, True)
    claim = claims["claim"]
    assert [claimed["body"] for claimed in claim["messages"]] == [{"job": 0}, {"job": 1}, {"job": 2}]
    assert (claim["ttl"], claims["renewed"]) == (100, 200)
    assert (claims["free"], claims["with claimed"]) == ([3, 4], [0, 1, 2, 3, 4])
    assert claims["without the claim"] == 403
    assert claims["released"] == [1, 2, 3, 4]
    assert (claims["gone"], claims["by default"]) == (404, 4)


def test_another_token_for_a_revoked_one(got: dict[str, Any]) -> None:
    assert got["authentication"] == {"another": True, "left": []}
