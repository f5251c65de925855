"""This project, with its embedded store."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from bench.paths import HERE
from bench.peers import zaqar_frames
from bench.peers.peer import Missing, Peer
from bench.server import Server, free_port

SERVE = f"{shlex.quote(sys.executable)} -m gateway serve"
WATCH = HERE / "peers" / "collections"


class Gateway(Peer):
    """A gateway.

    :param name: its name in the table.
    :param command: what starts it, such as `zaqar-gateway serve --log-level warning`.
    :param echo: whether replies repeat the request; without needs the extension.
    """

    def __init__(self, name: str = "zaqar-gateway", command: str = SERVE, echo: bool = True) -> None:
        self.name = name
        self.command = command
        self.echo = echo

    def version(self) -> str:
        words = shlex.split(self.command)
        command = [*words[: words.index("serve")], "--version"]
        try:
            return subprocess.run(
                command, check=True, capture_output=True, text=True, timeout=60
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError) as error:
            raise Missing(f"{shlex.join(command)}: {error}") from error

    def start(self, folder: Path) -> Server:
        server = Server(folder)
        port = free_port()
        given = f"--port {port} --data-dir {shlex.quote(str(folder))}/data --fsync everysec"
        # sitecustomize.py in there notes garbage collections, if it is told a file to note them in.
        environment = {"PYTHONPATH": str(WATCH), **self.environment(folder)}
        server.run("gateway", shlex.split(f"{self.command} {given}"), environment)
        try:
            server.wait_port(port)
        except BaseException:
            server.stop()
            raise
        return server

    def environment(self, folder: Path) -> dict[str, str]:
        """What is added to the environment."""
        return {}

    def post(self) -> list[str] | None:
        return zaqar_frames.post(self.echo)

    def subscribe(self) -> list[str]:
        return zaqar_frames.subscribe()

    def publish(self, messages: int) -> list[str]:
        return zaqar_frames.publish(messages)

    def over_rest(self) -> Peer:
        return self

    def with_webhooks(self) -> Peer:
        return DeliveringGateway(self.name, self.command)


class DeliveringGateway(Gateway):
    """A gateway that may deliver to webhooks on loopback."""

    def environment(self, folder: Path) -> dict[str, str]:
        return {"ZAQAR_GATEWAY_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}


class WatchedGateway(Gateway):
    """A gateway that notes how long its garbage collections take, in `collections` in its folder."""

    def environment(self, folder: Path) -> dict[str, str]:
        return {"BENCH_COLLECTIONS": str(folder / "collections")}


def collections(folder: Path) -> list[float]:
    """Microseconds of each garbage collection in a watched gateway that took more than 100."""
    file = folder / "collections"
    return [float(line) for line in file.read_text().splitlines()] if file.exists() else []
