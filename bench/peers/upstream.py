"""OpenStack Zaqar: its WebSocket server, its REST API and its Redis store."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench.paths import BUILT
from bench.peers import zaqar_frames
from bench.peers.peer import Missing, Peer
from bench.server import Server, ServerError, free_port

PROGRAM = BUILT / "zaqar" / "bin" / "zaqar-server"
UWSGI = PROGRAM.with_name("uwsgi")

CONFIGURATION = """\
[DEFAULT]
auth_strategy =
unreliable = true
[drivers]
transport = {transport}
message_store = redis
management_store = redis
[drivers:transport:websocket]
bind = 127.0.0.1
port = {port}
notification_bind = 127.0.0.1
[drivers:message_store:redis]
uri = redis://127.0.0.1:{redis_port}?socket_timeout=10
[drivers:management_store:redis]
uri = redis://127.0.0.1:{redis_port}?socket_timeout=10
[storage]
message_pipeline = zaqar.notification.notifier
"""


class Upstream(Peer):
    """Upstream with a `redis-server` that syncs to disk once a second."""

    name = "OpenStack Zaqar"
    transport = "websocket"

    def version(self) -> str:
        if not PROGRAM.exists():
            raise Missing("zaqar from PyPI is not installed")
        if shutil.which("redis-server") is None:
            raise Missing("there is no redis-server")
        code = "from importlib.metadata import version; print(version('zaqar'))"
        python = PROGRAM.with_name("python")
        zaqar = subprocess.run(
            [python, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()
        redis = subprocess.run(
            ["redis-server", "--version"], check=True, capture_output=True, text=True
        ).stdout
        return f"Zaqar {zaqar}, Redis {redis.split('v=')[1].split()[0]}"

    def start(self, folder: Path) -> Server:
        server = Server(folder)
        port, redis_port = free_port(), free_port()
        settings = folder / ".zaqar" / "zaqar.conf"  # where uWSGI's child looks for it, with HOME
        settings.parent.mkdir()
        settings.write_text(CONFIGURATION.format(transport=self.transport, port=port, redis_port=redis_port))
        redis = ["--port", str(redis_port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        try:
            server.run("redis", ["redis-server", *redis, "--appendonly", "yes", "--appendfsync", "everysec"])
            server.wait_port(redis_port)
            server.run("zaqar", self.command(settings, port), {"HOME": str(folder)})
            server.wait_port(port)
        except BaseException:
            server.stop()
            raise
        return server

    def command(self, settings: Path, port: int) -> list[str | Path]:
        """What starts it, once there is a store."""
        return [PROGRAM, "--config-file", settings]

    def post(self) -> list[str] | None:
        return zaqar_frames.post()

    def subscribe(self) -> list[str]:
        return zaqar_frames.subscribe()

    def publish(self, messages: int) -> list[str]:
        return zaqar_frames.publish(messages)

    def over_rest(self) -> Peer:
        return RestUpstream()

    def rate(self, wanted: float) -> float:
        # It delivers some 700 messages in a second: 50 posts to 100 subscribers would only pile up.
        return min(wanted, 5)

    def sockets(self, wanted: int) -> int:
        # To subscribe, it reads all subscriptions that there are: ten milliseconds each with 500.
        return min(wanted, 300)


class RestUpstream(Upstream):
    """Upstream's REST API under uWSGI, as its installation guide has it: an HTTP router and here one worker.

    Its notifier delivers to webhooks in threads of the worker. Other than there, connections stay open.
    """

    transport = "wsgi"

    def command(self, settings: Path, port: int) -> list[str | Path]:
        if not UWSGI.exists():
            raise ServerError("uwsgi is not installed")
        http = ["--http", f"127.0.0.1:{port}", "--http-keepalive=60"]
        worker = ["--master", "--die-on-term", "--workers", "1", "--enable-threads"]
        home = PROGRAM.parents[1]
        return [UWSGI, *http, *worker, "--home", home, "--module", "zaqar.transport.wsgi.app:application"]
