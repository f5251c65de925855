"""Messages, claims, delays, expiry, dead letters and time on a real store, against a plain model of a queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from storage.redis.store import RedisStore
from tests.properties.machine import StoreMachine
from tests.support.servers import Server
from tests.support.store import connected

Connections = tuple[RedisStore, RedisStore]


@pytest.fixture
def connections(store_server: Server) -> Iterator[Connections]:
    with connected(store_server) as first, connected(store_server) as second:
        yield first, second


def play(connections: Connections, **limits: int) -> None:
    chosen = settings(deadline=None, suppress_health_check=list(HealthCheck), **limits)
    run_state_machine_as_test(lambda: StoreMachine(*connections), settings=chosen)


@pytest.mark.parametrize("store_server", ["valkey"], indirect=True)
def test_the_store_does_as_the_model_says(connections: Connections) -> None:
    play(connections, max_examples=40, stateful_step_count=200)
