"""The command of docs/mail.md works as it stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.rest import Rest

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "mail.md").read_text(encoding="utf-8")


def test_an_address_is_subscribed(gateway: Gateway) -> None:
    (command,) = re.findall(r"```sh\n(curl .*?)```", TEXT, re.DOTALL)
    with Rest(gateway.http_url) as rest:
        words = {"http://127.0.0.1:9000": gateway.http_url, "curl ": "curl --fail-with-body "}
        for old, new in (words | {"X-Project-ID: demo": f"X-Project-ID: {rest.project}"}).items():
            assert old in command
            command = command.replace(old, new)
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        page = rest.done("GET", "/v2/queues/jobs/subscriptions")
    assert [each["subscriber"] for each in page["subscriptions"]] == ["mailto:ada@example.org?subject=Jobs"]
