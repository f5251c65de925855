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
    command = command.replace("http://127.0.0.1:9000", gateway.http_url)
    command = command.replace("curl ", "curl --fail-with-body ", 1)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with Rest(gateway.http_url, project="demo") as rest:
        page = rest.done("GET", "/v2/queues/jobs/subscriptions")
    assert [each["subscriber"] for each in page["subscriptions"]] == ["mailto:ada@example.org?subject=Jobs"]
