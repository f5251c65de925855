"""Clients for the tests of the actions: each action is tried in both forms, on the running program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from protocol.extension import SUBPROTOCOL
from tests.support.client import Client, Form
from tests.support.expect import done
from tests.support.gateway import Gateway, start_gateway

Connect = Callable[..., Client]


@pytest.fixture(params=["json", "msgpack"])
def form(request: pytest.FixtureRequest) -> Form:
    """Both forms in turn."""
    found: Form = request.param
    return found


@pytest.fixture
def client(gateway: Gateway, form: Form) -> Iterator[Client]:
    """A connected client with a project of its own."""
    with Client(gateway.url, form=form) as connected:
        yield connected


@pytest.fixture(params=["gateway", "plain_gateway"])
def extended(request: pytest.FixtureRequest, form: Form) -> Iterator[Client]:
    """A client that has agreed on protocol.extension, with and without the short path for frames."""
    running: Gateway = request.getfixturevalue(request.param)
    with Client(running.url, form=form, subprotocol=SUBPROTOCOL) as connected:
        yield connected


@pytest.fixture
def connect(gateway: Gateway, client: Client) -> Iterator[Connect]:
    """Connects further clients, in the same project and form as `client`; closed at the end."""
    with ExitStack() as closing:

        def make(**options: object) -> Client:
            fields = {"project": client.project, "form": client.form, **options}
            return closing.enter_context(Client(gateway.url, **fields))  # type: ignore[arg-type]  # any of its options

        yield make


@pytest.fixture(scope="session")
def strict_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that keeps checksums, and deletes many only for whoever names their claims."""
    folder = tmp_path_factory.mktemp("strict") / "data"
    with start_gateway(folder, "--enable-checksum", "--message-delete-with-claim-id") as running:
        yield running


@pytest.fixture
def strict_client(strict_gateway: Gateway, form: Form) -> Iterator[Client]:
    """A client of `strict_gateway`."""
    with Client(strict_gateway.url, form=form) as connected:
        yield connected


@pytest.fixture(scope="session")
def pool_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose pools and flavors tests may change: elsewhere they would change where queues go."""
    with start_gateway(tmp_path_factory.mktemp("pools") / "data", "--log-level", "debug") as running:
        yield running


@pytest.fixture
def admin(pool_gateway: Gateway, form: Form) -> Iterator[Client]:
    """A client of `pool_gateway`. What it leaves of queues, flavors and pools is removed."""
    with Client(pool_gateway.url, form=form) as connected:
        yield connected
        for what in ("queue", "flavor", "pool"):
            page: dict[str, object] = {}
            while found := done(connected.request(f"{what}_list", page), 200)[f"{what}s"]:
                page["marker"] = found[-1]["name"]
                for each in found:
                    if (what, each["name"]) != ("pool", "default"):
                        done(connected.request(f"{what}_delete", {f"{what}_name": each["name"]}), 204)
        done(connected.request("pool_update", {"pool_name": "default", "weight": 100}), 200)
