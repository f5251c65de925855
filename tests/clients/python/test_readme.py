"""What the documents of the client and of the command line show works as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from tests.support.gateway import ROOT, Gateway

README = ROOT / "clients" / "python" / "README.md"
COMMAND_LINE = ROOT / "docs" / "command-line.md"

URL = "ws://127.0.0.1:9000/"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_five_lines_print_what_is_posted(gateway: Gateway) -> None:
    project = str(uuid.uuid4())
    program = blocks(README, "python")[0].replace(URL, gateway.url).replace('"demo"', repr(project))
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"{'hello': 'world'}\n"
        process.terminate()


def test_every_name_of_the_examples_exists() -> None:
    import zaqar_gateway_client  # noqa: PLC0415

    text = "\n".join(blocks(README, "python"))
    # Names with a capital are the client's, but for Python's own.
    used = set(re.findall(r"\b([A-Z][a-z]+[A-Za-z]*)\(", text))
    assert used
    assert used <= set(zaqar_gateway_client.__all__)
    calls = set(re.findall(r"\bqueue\.(\w+)\(", text))
    assert calls >= {"post", "list", "claim", "pop", "stats"}
    assert all(hasattr(zaqar_gateway_client.Queue, name) for name in calls)


def shell(gateway: Gateway, project: str, commands: str) -> str:
    """What these commands write, with this Python's `zaqar-gateway`."""
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ZAQAR_URL": gateway.url,
        "ZAQAR_PROJECT": project,
    }
    done = subprocess.run(
        ["sh", "-c", commands],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def shape(line: str) -> object:
    """A line of JSON without what differs each time."""
    document = json.loads(line)
    if isinstance(document, dict):
        for key in ("id", "position", "created", "oldest_age", "newest_age"):
            if key in document:
                document[key] = type(document[key])
    return document


def test_the_session_of_the_command_line_page(gateway: Gateway) -> None:
    session = blocks(COMMAND_LINE, "console")[0]
    project = str(uuid.uuid4())
    steps = re.findall(r"^\$ (.+)\n((?:[^$].*\n)*)", session, re.MULTILINE)
    assert len(steps) == 4
    for command, output in steps:
        told = shell(gateway, project, command).splitlines()
        assert [shape(line) for line in told] == [shape(line) for line in output.splitlines()], command


def test_the_commands_with_the_guest_agent(gateway: Gateway) -> None:
    (session,) = [block for block in blocks(README, "console") if "guest_agent.py" in block]
    start, post, tail = re.findall(r"^\$ (.+)$", session, re.MULTILINE)
    project = str(uuid.uuid4())
    start = start.replace("python ", f"{sys.executable} ").replace(
        "--name", f"--url {gateway.url} --project {project} --name"
    )
    commands = f"{start.removesuffix('&')} >/dev/null 2>&1 & {post} >/dev/null; {tail}; kill $!"
    report = json.loads(shell(gateway, project, commands))["body"]
    assert report["status"] == "done"
    assert "load average" in report["result"]["output"]
