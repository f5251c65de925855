"""Nodes that push, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.push.nodes import Nodes
from tests.support.hub import Node
from tests.support.reactor import run
from tests.support.servers import Server


@pytest.fixture
def node(valkey: Server, tmp_path: Path) -> Iterator[Node]:
    """A started one."""
    node = Node(valkey, tmp_path)
    run(node.start)
    yield node
    run(node.stop)


@pytest.fixture
def nodes(valkey: Server, tmp_path: Path) -> Iterator[Nodes]:
    valkey.client().flushall()
    nodes = Nodes(valkey.url, tmp_path)
    run(nodes.start)
    yield nodes
    run(nodes.stop)
