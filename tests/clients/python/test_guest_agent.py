"""The guest agent of the examples, as a program: commands, reports, signs of life, and sudden ends."""

from __future__ import annotations

import asyncio
import configparser
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.asynchronous import PATIENCE, asynchronous, until
from tests.support.gateway import ROOT
from tests.support.gateway import Gateway as Program
from zaqar_gateway_client import Gateway, connect

EXAMPLES = ROOT / "clients" / "python" / "examples"


@contextmanager
def agent(
    program: Program, project: str, *arguments: str, **environ: str
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, str(EXAMPLES / "guest_agent.py"), "--url", program.url, "--project", project]
    process = subprocess.Popen([*command, "--name", "web-1", *arguments], env={**os.environ, **environ})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def reports(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    """The next reports."""
    got: list[dict[str, Any]] = []
    async with (
        asyncio.timeout(PATIENCE),
        gateway.subscribe("agent-reports", from_="earliest") as subscription,
    ):
        async for message in subscription:
            got.append(message.body)
            if len(got) == count:
                return got
    raise AssertionError


@asynchronous
async def test_commands_are_done_in_order_and_reported(gateway: Program) -> None:
    project = str(uuid.uuid4())
    async with connect(gateway.url, project=project) as client:
        commands = client.queue("agent-web-1-commands")
        asked = [
            {"command": "facts"},
            {"command": "run", "argv": ["sh", "-c", "echo out; echo err >&2; exit 3"]},
            {"command": "run", "argv": ["reboot"]},
            {"command": "run", "argv": ["/no/such/program"]},
            {"command": "run", "argv": ["sleep", "60"], "timeout": 0.1},
            "nonsense",
            {"command": "run", "argv": ["sleep", "1"], "timeout": "soon"},
            {"command": "run", "argv": ["sleep", "a\0b"]},
            {"command": "run", "argv": ["sh", "-c", "head -c 100000 /dev/zero"]},
        ]
        ids = [await commands.post(command) for command in asked]
        with agent(
            gateway, project, "--allow", "sh", "--allow", "sleep", "--allow", "/no/such/program"
        ) as process:
            got = await reports(client, len(asked))
            await until(lambda: process.poll() is None)
            process.terminate()
            assert await asyncio.to_thread(process.wait, 20) == 0
        assert [report["command_id"] for report in got] == ids
        assert [report["status"] for report in got] == ["done"] * 2 + ["failed"] * 6 + ["done"]
        assert got[1]["result"] == {"exit_code": 3, "output": "out\nerr\n"}
        assert got[2]["reason"] == "reboot is not allowed here"
        assert got[3]["reason"] == "/no/such/program cannot be run: No such file or directory"
        assert got[4]["reason"] == "sleep did not end within 0.1 seconds"
        assert [report["reason"] for report in got[6:8]] == [
            "timeout is no number",
            "sleep cannot be run: embedded null byte",
        ]
        assert (await commands.stats()).total == 0


@asynchronous
async def test_killed_at_work_it_gets_the_command_again_and_reports_once(
    gateway: Program, tmp_path: Path
) -> None:
    project = str(uuid.uuid4())
    runs, go_on = tmp_path / "runs", tmp_path / "go-on"
    script = f"echo run >> {runs}; while [ ! -e {go_on} ]; do sleep 0.05; done"
    async with connect(gateway.url, project=project) as client:
        commands = client.queue("agent-web-1-commands")
        asked = await commands.post({"command": "run", "argv": ["sh", "-c", script]})
        with agent(gateway, project, "--allow", "sh") as process:
            await until(runs.exists)
            process.send_signal(signal.SIGKILL)
        with agent(gateway, project, "--allow", "sh"):
            # Its lease ends five seconds after its socket.
            await until(lambda: runs.read_text().count("run") == 2, 30)
            go_on.touch()
            (report,) = await reports(client, 1)
            assert report["command_id"] == asked
            await until_empty(client)
            # The repeated report of one that was killed behind it would have been this.
            first = (await client.queue("agent-reports").list()).messages[0].id
            again = await client.queue("agent-reports").post(report, dedup_id=f"report-{asked}")
            assert again == first


async def until_empty(client: Gateway) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await client.queue("agent-web-1-commands").stats()).total:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)


@asynchronous
async def test_it_tells_that_it_lives_to_the_queue_and_to_systemd(gateway: Program, tmp_path: Path) -> None:
    project = str(uuid.uuid4())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        async with connect(gateway.url, project=project) as client:
            with agent(
                gateway, project, "--interval", "0.1", NOTIFY_SOCKET=str(tmp_path / "notify")
            ) as process:
                async with asyncio.timeout(PATIENCE):
                    signs = []
                    async for message in client.subscribe("agent-liveness", from_="earliest"):
                        signs.append(message)
                        if len(signs) == 3:
                            break
                assert {sign.body["agent"] for sign in signs} == {"web-1"}
                assert {sign.ttl for sign in signs} == {60}
                process.terminate()
                await asyncio.to_thread(process.wait, 20)
        told = [systemd.recv(100)]
        while told[-1] != b"STOPPING=1":
            told.append(systemd.recv(100))
        assert told[:2] == [b"READY=1", b"WATCHDOG=1"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_there_is_no_gateway(number: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{unused.getsockname()[1]}/"
        command = [sys.executable, str(EXAMPLES / "guest_agent.py"), "--url", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                assert process.stderr is not None
                assert b"cannot connect" in process.stderr.readline()
                process.send_signal(number)
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()


def test_the_unit_starts_it_as_it_can_be_started() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read(EXAMPLES / "guest-agent.service")
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    options = service["ExecStart"].split()[2:]
    help_text = subprocess.run(
        [sys.executable, EXAMPLES / "guest_agent.py", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(option in help_text for option in options if option.startswith("--"))
