"""The JavaScript SDK with OpenStack Zaqar from PyPI: what needs no extension works there too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers.upstream import CONFIGURATION
from bench.server import Server, free_port
from tests.support.javascript import ROOT, node
from tests.support.servers import start_redis

INSTALL_TIMEOUT = 600
"""Seconds that pip has to install the server."""


@pytest.fixture(scope="session")
def zaqar_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a new environment that has OpenStack's server, and nothing of ours."""
    venv = tmp_path_factory.mktemp("zaqar") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    requirements = ROOT / "bench" / "peers" / "zaqar.lock"
    pip: list[str | Path] = [venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
    pip += ["--quiet", "--require-hashes", "-r", requirements]
    subprocess.run(pip, check=True, timeout=INSTALL_TIMEOUT)
    return venv / "bin" / "zaqar-server"


@pytest.fixture
def upstream(zaqar_server: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of a running one."""
    with start_redis(tmp_path / "redis", tcp=True) as redis, Server(tmp_path) as server:
        port = free_port()
        text = CONFIGURATION.format(port=port, redis_port=redis.tcp_port)
        (tmp_path / "zaqar.conf").write_text(text)
        server.run("zaqar", [zaqar_server, "--config-file", tmp_path / "zaqar.conf"])
        server.wait_port(port)
        yield f"ws://127.0.0.1:{port}/"


@pytest.mark.timeout(INSTALL_TIMEOUT + 120)
def test_what_needs_no_extension_works(upstream: str) -> None:
    told = node("test/end-to-end/conversation.js", json.dumps({"url": upstream, "extension": False}))
    assert told["extended"] is False
    assert told["metadata"] == {"team": "video"}
    assert told["stats"] == {"free": 3, "claimed": 0, "total": 3}
    assert told["listed"] == ["first", "second", "third"]
    assert told["got"] == "first"
    assert told["claimed"] == "first"
    assert told["left"] == ["second", "third"]
    assert told["missing"] == ["NotFoundError", 404, ""]
    assert told["pushed"] == {"hello": "world"}
    assert told["consumeRefused"] == "unsupported"
    assert told["queues"] == ["jobs", "news"]
