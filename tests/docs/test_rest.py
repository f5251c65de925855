"""The commands of docs/rest.md work as they stand there, and it names every path."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from gateway.http.rest.routes import ROUTES
from tests.support.gateway import Gateway

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")


def commands() -> str:
    """What a reader types, but for the start of the gateway."""
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL))
    return re.sub(r"^\$ ", "", blocks, flags=re.MULTILINE).replace(
        "zaqar-gateway serve --data-dir data\n", ""
    )


def test_the_commands_work(gateway: Gateway) -> None:
    script = commands().replace("http://127.0.0.1:9000", gateway.http_url)
    assert script.count("zaqar") > 10
    # Else curl takes a refusal for an answer like any other.
    script = 'set -eux\ncurl() { command curl --fail-with-body "$@"; }\n' + script
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("HTTP/1.1 201 Created") == 2


def test_every_path_is_named() -> None:
    table = TEXT.partition("## Paths")[2].partition("\n## ")[0]
    for route in ROUTES:
        if not route.path.startswith("/v2/topics"):
            row = next(line for line in table.splitlines() if f"`{route.path}`" in line)
            assert route.method in row or "the same" in row, route
            for parameter in route.query:
                if parameter.name not in ("name", "marker", "limit", "detailed"):
                    assert f"`{parameter.name}`" in row, (route, parameter)
