"""`zaqar-gateway bench` as a program, against a gateway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.gateway import ROOT, Gateway
from tests.support.servers import free_port

DEADLINE = 60.0
"""Seconds that a load of a few sockets may take, with its start."""


def bench(load: str, gateway: Gateway, *arguments: str) -> list[str]:
    options = ["--url", gateway.url, "--sockets", "3", "--seconds", "0.3"]
    return [sys.executable, "-m", "gateway", "bench", load, *options, *arguments]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)


def queues(gateway: Gateway, project: str) -> list[Any]:
    with Client(gateway.url, project=project) as client:
        found: list[Any] = client.request("queue_list").body["queues"]
        return found


@pytest.mark.parametrize(
    ("load", "actions"),
    [
        ("post", ["message_post"]),
        ("claim", ["message_post", "claim_create", "message_delete"]),
        ("fanout", ["delivery", "message_post"]),
        ("resume", ["resume"]),
    ],
)
def test_a_load_tells_what_it_did_and_leaves_nothing(
    load: str, actions: list[str], gateway: Gateway, tmp_path: Path
) -> None:
    project = f"bench-{load}"
    done = run(bench(load, gateway, "--project", project, "--json", str(tmp_path / "figures.json")))
    assert (done.returncode, done.stderr) == (0, "")
    figures = {row["action"]: row for row in json.loads((tmp_path / "figures.json").read_text())["figures"]}
    assert list(figures) == actions
    for action, row in figures.items():
        assert row["operations"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert f"{action} " in done.stdout
    assert queues(gateway, project) == []


def test_each_message_goes_to_every_socket_and_each_claimed_one_is_deleted(
    gateway: Gateway, tmp_path: Path
) -> None:
    for load in ("fanout", "claim"):
        run(bench(load, gateway, "--json", str(tmp_path / f"{load}.json")))
    read = {load: json.loads((tmp_path / f"{load}.json").read_text()) for load in ("fanout", "claim")}
    rows = {load: {row["action"]: row["operations"] for row in read[load]["figures"]} for load in read}
    assert rows["fanout"]["delivery"] == 3 * rows["fanout"]["message_post"]
    assert rows["claim"]["message_delete"] == 10 * rows["claim"]["message_post"]


def test_messages_have_the_size_that_is_asked_for(gateway: Gateway) -> None:
    with Client(gateway.url, project="bench-size") as client:
        command = bench("fanout", gateway, "--project", "bench-size", "--size", "1000", "--seconds", "60")
        loads = subprocess.Popen(
            # Whoever runs the tests may have had it ignored, as a shell does for what runs in the background.
            ["env", "--default-signal=INT", *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + DEADLINE
        messages: list[Any] = []
        while not messages and time.monotonic() < deadline:
            for queue in client.request("queue_list").body["queues"]:
                page = client.request("message_list", {"queue_name": queue["name"]})
                messages = page.body["messages"]
        # Ended early, it tells the figures so far and removes its queue.
        loads.send_signal(signal.SIGINT)
        output, _ = loads.communicate(timeout=DEADLINE)
    assert loads.returncode == 0
    assert "delivery" in output
    assert {len(json.dumps(message["body"], separators=(",", ":"))) for message in messages} == {1000}
    assert queues(gateway, "bench-size") == []


def test_a_server_that_refuses_is_told_in_one_line(gateway: Gateway) -> None:
    done = run(bench("post", gateway, "--project", "x" * 257))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("zaqar-gateway: error: the server refused queue_create: 400 ")
    assert done.stderr.count("\n") == 1


def test_no_server() -> None:
    url = f"ws://127.0.0.1:{free_port()}/"
    done = run([sys.executable, "-m", "gateway", "bench", "post", "--url", url])
    assert done.returncode == 1
    assert done.stderr.startswith(f"zaqar-gateway: error: cannot connect to {url}: ")
    assert done.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written(gateway: Gateway, tmp_path: Path) -> None:
    done = run(bench("post", gateway, "--json", str(tmp_path)))
    assert done.returncode == 1
    assert done.stderr == f"zaqar-gateway: error: cannot write {tmp_path}: Is a directory\n"
