"""Servers that only broadcast: what comes on /publish goes to all on /subscribe. Nothing is stored."""

from __future__ import annotations

import shutil
import subprocess
from abc import abstractmethod
from pathlib import Path

from bench.paths import BUILT, HERE, SENDLOOP
from bench.peers.peer import BODY, MARK, Missing, Peer, repeated
from bench.server import Server, free_port


class Broadcast(Peer):
    """A server that is started with a port."""

    @abstractmethod
    def command(self, port: int) -> list[str | Path]:
        """What starts it on loopback."""

    def start(self, folder: Path) -> Server:
        server = Server(folder)
        port = free_port()
        server.run("server", self.command(port))
        try:
            server.wait_port(port)
        except BaseException:
            server.stop()
            raise
        return server

    def subscribe(self) -> list[str]:
        return ["--path", "/subscribe"]

    def publish(self, messages: int) -> list[str]:
        posts = repeated(f'"{BODY}"', messages)
        return [*self.subscribe(), "--publish-path", "/publish", *posts, "--message", MARK]


class Ws(Broadcast):
    """The package `ws` on Node."""

    name = "Node ws"
    folder = BUILT / "ws"

    def version(self) -> str:
        node = shutil.which("node")
        if node is None or not (self.folder / "node_modules" / "ws").is_dir():
            raise Missing("node, or ws from npm, is not installed")
        code = "console.log(process.versions.node, require('ws/package.json').version)"
        command = [node, "-e", code]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        runtime, package = done.stdout.split()
        return f"ws {package}, Node {runtime}"

    def command(self, port: int) -> list[str | Path]:
        return ["node", self.folder / "server.js", str(port)]


class Picows(Broadcast):
    """picows on uvloop."""

    name = "picows"
    python = BUILT / "picows" / "bin" / "python"

    def version(self) -> str:
        if not self.python.exists():
            raise Missing("picows from PyPI is not installed")
        code = "from importlib.metadata import version; print(version('picows'), version('uvloop'))"
        done = subprocess.run([self.python, "-c", code], check=True, capture_output=True, text=True)
        package, loop = done.stdout.split()
        return f"picows {package}, uvloop {loop}"

    def command(self, port: int) -> list[str | Path]:
        return [self.python, HERE / "peers" / "picows_server.py", str(port)]


class SendLoop(Broadcast):
    """The limit: a C program with one send() for each subscriber and message."""

    name = "C send loop"

    def version(self) -> str:
        if not SENDLOOP.exists():
            raise Missing("it is not compiled")
        return "bench/native/sendloop.c"

    def command(self, port: int) -> list[str | Path]:
        return [SENDLOOP, str(port)]
