"""Plain HTTP to a running gateway: its health and its readiness."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.support.gateway import Gateway
from tests.support.reactor import wait_until

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Without the proxies that the environment may name."""


def get(gateway: Gateway, path: str) -> tuple[int, bytes]:
    """The status and the body of a GET, whatever the status is."""
    try:
        with _DIRECT.open(gateway.http_url + path, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def readiness(gateway: Gateway) -> dict[str, Any]:
    """What `/readyz` says."""
    document: dict[str, Any] = json.loads(get(gateway, "/readyz")[1])
    return document


def wait_ready(gateway: Gateway, status: int = 200) -> None:
    """Wait until `/readyz` answers with this status."""
    wait_until(lambda: get(gateway, "/readyz")[0] == status, interval=0.05)
