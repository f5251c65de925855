"""Clients for the tests of the actions: each action is tried in both forms, on the running program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.client import Client, Form
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
