"""The JavaScript SDK with OpenStack Zaqar from PyPI: what needs no extension works there too."""

from __future__ import annotations

import json

import pytest

from tests.clients.conftest import INSTALL_TIMEOUT
from tests.support.javascript import node


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
