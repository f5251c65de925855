"""A store on each kind of server, and a queue on it whose time stands still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.redis.store import RedisStore
from tests.support.servers import Server, start_redis, start_valkey
from tests.support.store import LiveQueue, connected_to
from tests.support.topologies import Cluster, Service, start_cluster, start_service

ABOUT_ONE_SERVER = {
    "test_connection.py",
    "test_health.py",
    "test_probe.py",
    "test_runner.py",
    "test_scripts.py",
}
"""What these look into, cut and forbid is one server; test_connecting.py and fault tests have the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the servers that a test is not about."""

    def is_wanted(item: pytest.Item) -> bool:
        here = isinstance(item, pytest.Function) and hasattr(item, "callspec")
        kind = item.callspec.params.get("store_server") if here else None  # type: ignore[attr-defined]  # just looked
        return item.path.name not in ABOUT_ONE_SERVER or kind not in ("service", "cluster")

    items[:] = filter(is_wanted, items)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A Redis with a replica and sentinels for the whole session, with nothing on disk."""
    with start_service(tmp_path_factory.mktemp("service"), start_redis) as service:
        yield service


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Valkey cluster for the whole session, with nothing on disk."""
    with start_cluster(tmp_path_factory.mktemp("cluster"), start_valkey) as cluster:
        yield cluster


@pytest.fixture(
    params=[
        "valkey",
        "redis7",
        pytest.param("service", marks=pytest.mark.long),
        pytest.param("cluster", marks=pytest.mark.long),
    ]
)
def store_server(request: pytest.FixtureRequest) -> Server | Service | Cluster:
    """Each kind of store in turn, empty. The short run has test_topologies.py for the last two."""
    server: Server | Service | Cluster = request.getfixturevalue(request.param)
    server.client().flushall()
    return server


@pytest.fixture
def store(store_server: Server | Service | Cluster) -> Iterator[RedisStore]:
    """A started store on it."""
    with connected_to(store_server.url) as started:
        yield started


@pytest.fixture
def jobs(store: RedisStore) -> LiveQueue:
    """A fresh queue whose clock is moved by the test alone."""
    return LiveQueue(store)
