"""This project, with its embedded store."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import msgspec

from bench.paths import HERE
from bench.peers import zaqar_frames
from bench.peers.peer import Missing, Peer
from bench.server import Server

SERVE = f"{shlex.quote(sys.executable)} -m gateway serve"
WATCH = HERE / "peers" / "collections"


class Gateway(Peer):
    """A gateway.

    :param name: its name in the table.
    :param command: what starts it, such as `zaqar-gateway serve --log-level warning`; of another checkout too.
    :param echo: whether replies repeat the request; without needs the extension.
    """

    def __init__(self, name: str = "zaqar-gateway", command: str = SERVE, echo: bool = True) -> None:
        self.name = name
        self._command = shlex.split(command)
        self._echo = echo

    def version(self) -> str:
        command = [*self._command[: self._command.index("serve")], "--version"]
        try:
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()
        except (OSError, subprocess.SubprocessError) as error:
            raise Missing(f"{shlex.join(command)}: {error}") from error

    def start(self, folder: Path) -> Server:
        server = Server(folder)
        given = ["--port", "0", "--data-dir", folder / "data", "--fsync", "everysec", "--log-format", "json"]
        # sitecustomize.py in there notes garbage collections, if it is told a file to note them in.
        log = server.run("gateway", [*self._command, *given], {"PYTHONPATH": str(WATCH), **self.environment(folder)})

        def listens() -> bool:
            for line in log.read_text().splitlines():
                if '"listening"' in line:
                    url: str = msgspec.json.decode(line)["url"]
                    server.port = int(url.rstrip("/").rpartition(":")[2])
            return server.port != 0

        try:
            server.wait(listens)
        except BaseException:
            server.stop()
            raise
        return server

    def environment(self, folder: Path) -> dict[str, str]:
        """What is added to the environment."""
        return {}

    def post(self) -> list[str] | None:
        return zaqar_frames.post(self._echo)

    def subscribe(self) -> list[str]:
        return zaqar_frames.subscribe()

    def publish(self, messages: int) -> list[str]:
        return zaqar_frames.publish(messages)


class WatchedGateway(Gateway):
    """A gateway that notes how long its garbage collections take, in `collections` in its folder."""

    def environment(self, folder: Path) -> dict[str, str]:
        return {"BENCH_COLLECTIONS": str(folder / "collections")}


def longest_collection(folder: Path) -> float:
    """Microseconds of the longest garbage collection in a watched gateway so far; 0 if there was none."""
    file = folder / "collections"
    return max((float(line) for line in file.read_text().splitlines()), default=0.0) if file.exists() else 0.0
