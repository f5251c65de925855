"""nginx with the module nchan: published by HTTP, subscribed by WebSocket."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from bench.peers.peer import BODY, MARK, Missing, Peer, repeated
from bench.server import Server, free_port

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

CONFIGURATION = """\
load_module {module};
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /publish {{
            nchan_publisher;
            nchan_channel_id news;
            nchan_message_timeout 1m;
            nchan_message_buffer_length 100;
        }}
        location /subscribe {{
            nchan_subscriber websocket;
            nchan_subscriber_first_message newest;
            nchan_channel_id news;
        }}
    }}
}}
"""


class Nchan(Peer):
    """nginx with one worker. Messages stay in memory for a minute."""

    name = "nginx + nchan"

    def version(self) -> str:
        program = shutil.which("nginx", path=PATH)
        if program is None or not MODULE.exists():
            raise Missing("nginx and libnginx-mod-nchan are not installed")
        nginx = subprocess.run([program, "-v"], check=True, capture_output=True, text=True).stderr
        package = ["dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-nchan"]
        nchan = subprocess.run(package, check=False, capture_output=True, text=True).stdout
        module = re.sub(r"^[0-9]+:|[+-].*", "", nchan) or "of an unknown version"
        return f"nginx {nginx.strip().rpartition('/')[2]}, nchan {module}"

    def start(self, folder: Path) -> Server:
        server = Server(folder)
        port = free_port()
        text = CONFIGURATION.format(module=MODULE, folder=folder, port=port)
        (folder / "nginx.conf").write_text(text)
        program = shutil.which("nginx", path=PATH) or "nginx"
        server.run("nginx", [program, "-e", folder / "error.log", "-c", folder / "nginx.conf"])
        try:
            server.wait_port(port)
        except BaseException:
            server.stop()
            raise
        return server

    def subscribe(self) -> list[str]:
        return ["--path", "/subscribe"]

    def publish(self, messages: int) -> list[str]:
        head = f"POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(BODY) + 2}\r\n\r\n"
        posts = repeated(f'{head}"{BODY}"', messages)
        return [*self.subscribe(), "--publish-http", *posts, "--message", MARK]
