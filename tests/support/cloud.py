"""A cloud for OpenStack's own clients: Keystone, whose catalog names a gateway, and the clients from PyPI.

::

    with start_cloud(keystone, tmp_path) as cloud, cloud.command_line(python, "ada") as openstack:
        openstack("messaging", "queue", "create", "jobs")
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support.gateway import ROOT, Gateway, start_gateway
from tests.support.keystone import PASSWORD, Keystone

INSTALL_TIMEOUT = 300
"""Seconds to install the clients."""

TIMEOUT = 60
"""Seconds that one command may take on a busy machine."""

HERE = Path(__file__).parent

MEMBER, ADMIN = "ada", "grace"
"""Who has the role `member` in the project, and who is an administrator."""


class Cloud(NamedTuple):
    """A gateway that Keystone's catalog names, and a project with two people in it.

    :ivar project: its id; its name is `demo`.
    """

    keystone: Keystone
    gateway: Gateway
    project: str

    def environment(self, user: str) -> dict[str, str]:
        """What `openstack` and openstacksdk are told."""
        return openstack_environment(self.keystone, user, "demo")

    def command_line(self, python: Path, user: str) -> CommandLine:
        """The program `openstack`, for somebody; `python` is that of an environment that has it."""
        return CommandLine(python, self.environment(user))


class CommandLine:
    """`openstack`, all commands in one process: to load it takes seconds."""

    def __init__(self, python: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [python, "-P", HERE / "openstack_commands.py"],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate(timeout=TIMEOUT)

    def __call__(self, *words: str) -> Any:
        """Run a command that has to succeed: what it prints, read where it is JSON (`-f json`)."""
        code, out, errors = self._run(words)
        assert code == 0, errors
        return json.loads(out) if out.startswith(("{", "[")) else out

    def refused(self, *words: str) -> str:
        """Run a command that has to fail: what it says."""
        code, _, errors = self._run(words)
        assert code != 0
        return errors

    def _run(self, words: tuple[str, ...]) -> tuple[int, str, str]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        code, out, errors = json.loads(self._process.stdout.readline())
        return code, out, errors


def openstack_environment(keystone: Keystone, user: str, project: str) -> dict[str, str]:
    """The variables by which OpenStack's clients know Keystone and who asks, both by name."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return inherited | {
        "OS_AUTH_URL": f"{keystone.url}/v3",
        "OS_USERNAME": user,
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_MESSAGE_CLIENT_ID": "3381af92-2b9e-11e3-b191-71861300734c",
        "NO_PROXY": "127.0.0.1",
    }


def install_clients(folder: Path, which: str = "openstack") -> Path:
    """The Python of a new environment in `folder` that has such clients, and nothing of ours.

    :param which: those of `tests/clients/{which}.lock`.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    # uv: it takes a fifth of pip's time.
    command: list[str | Path] = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    command += ["--require-hashes", "-r", ROOT / "tests" / "clients" / f"{which}.lock"]
    subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT)
    return python


@contextmanager
def start_cloud(keystone: Keystone, folder: Path) -> Iterator[Cloud]:
    """Start a gateway that asks this Keystone, and have the catalog name it. Once for each Keystone.

    :param folder: where the gateway's data goes.
    """
    project = keystone.create_project("demo")
    keystone.create_user(MEMBER, {project: ["member"]})
    keystone.create_user(ADMIN, {project: ["admin"]})
    keys = folder / "signing-keys"
    keys.write_text("only-for-examples-and-tests")
    arguments = [
        "--auth",
        "keystone",
        "--keystone-auth-url",
        f"{keystone.url}/v3",
        "--keystone-timeout",
        "30",
    ]
    arguments += ["--signing-key-file", str(keys)]
    environment = {"ZAQAR_GATEWAY_KEYSTONE_PASSWORD": PASSWORD}
    with start_gateway(folder / "data", *arguments, environment=environment) as gateway:
        keystone.create_service("messaging", "zaqar", gateway.http_url)
        keystone.create_service("messaging-websocket", "zaqar-websocket", gateway.url)
        yield Cloud(keystone, gateway, project)
