"""OpenStack Zaqar from PyPI, which clients have to work with too; and a cloud with the gateway in it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers.upstream import CONFIGURATION
from bench.server import Server, free_port
from tests.support.cloud import Cloud, start_cloud
from tests.support.gateway import ROOT
from tests.support.keystone import Keystone
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
        text = CONFIGURATION.format(transport="websocket", port=port, redis_port=redis.tcp_port)
        (tmp_path / "zaqar.conf").write_text(text)
        server.run("zaqar", [zaqar_server, "--config-file", tmp_path / "zaqar.conf"])
        server.wait_port(port)
        yield f"ws://127.0.0.1:{port}/"


@pytest.fixture(scope="session")
def cloud(keystone: Keystone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud for the whole session."""
    with start_cloud(keystone, tmp_path_factory.mktemp("cloud")) as running:
        yield running
