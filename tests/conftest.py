"""What all tests share: real stores, one running gateway, hypothesis profiles, and that CI skips nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType

import hypothesis
import pytest

from storage.catalog.engine import sqlite_url
from tests.support.cloud import install_clients
from tests.support.databases import DatabaseServer, start_mariadb, start_postgresql
from tests.support.gateway import Gateway, start_gateway
from tests.support.keystone import Keystone, install_keystone, start_keystone
from tests.support.receiver import Receiver, receiving
from tests.support.servers import Server, start_redis, start_valkey

# No deadline: how long an example takes depends on the machine. On CI the same examples each time, so that
# a failure there is the change's own and can be repeated; by hand others each time, so that new ones are
# found. HYPOTHESIS_PROFILE=long is for `make test-long`.
hypothesis.settings.register_profile("short", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("short"), derandomize=True)
hypothesis.settings.register_profile(
    "long", parent=hypothesis.settings.get_profile("short"), max_examples=2000, stateful_step_count=300
)
on_ci = bool(os.environ.get("CI"))
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if on_ci else "short"))


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Valkey server for the whole session, on a Unix socket, with nothing on disk."""
    with start_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The system's Redis server for the whole session, on a Unix socket, with nothing on disk."""
    with start_redis(tmp_path_factory.mktemp("redis7")) as server:
        yield server


@pytest.fixture(params=["valkey", "redis7"])
def store_server(request: pytest.FixtureRequest) -> Server:
    """Both stores in turn, empty. A test that kills, fills or configures its store starts one of its own."""
    server: Server = request.getfixturevalue(request.param)
    server.client().flushall()
    return server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[DatabaseServer]:
    """A MariaDB server for the whole session. A test that stops it starts it again."""
    with start_mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[DatabaseServer]:
    """A PostgreSQL server for the whole session. A test that stops it starts it again."""
    with start_postgresql() as server:
        yield server


@pytest.fixture(params=["mariadb", "postgresql"])
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    """Both database servers in turn."""
    server: DatabaseServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path / "catalog.sqlite")
        return
    server: DatabaseServer = request.getfixturevalue(request.param)
    with server.database() as url:
        yield url


EXAMPLE_KEY = "only-for-examples-and-tests"
"""Signs in the examples of the reference."""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The program with its embedded defaults, on a free port, for the whole session."""
    folder = tmp_path_factory.mktemp("gateway")
    keys = folder / "signing-keys"
    keys.write_text(EXAMPLE_KEY)
    with start_gateway(folder / "data", "--signing-key-file", str(keys)) as running:
        yield running


@pytest.fixture(scope="session")
def plain_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The same without the short path for frames: for what both ways must do alike."""
    with start_gateway(tmp_path_factory.mktemp("plain") / "data", "--no-fast-path") as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Who webhooks are sent to."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def keystone_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has Keystone."""
    return install_keystone(tmp_path_factory.mktemp("keystone-environment") / "venv")


@pytest.fixture(scope="session")
def keystone(keystone_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keystone]:
    """A Keystone for the whole session. A test that stops it starts it again."""
    with start_keystone(keystone_python, tmp_path_factory.mktemp("keystone") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def openstack_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has OpenStack's own clients."""
    return install_clients(tmp_path_factory.mktemp("openstack-environment") / "venv")


def pytest_configure() -> None:
    """End like after Ctrl-C when SIGTERM comes, so that no fixture leaves its process behind."""

    def end(number: int, frame: FrameType | None) -> None:
        pytest.exit(f"ended by {signal.Signals(number).name}")

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On CI a skipped test is a failed one: everything it needs has to be there."""
    report = yield
    if on_ci and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
