"""The JavaScript SDK: its own tests, its size and types, and Node with the gateway over a bad network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, start_gateway
from tests.support.javascript import INSTALL_TIMEOUT, SDK, chaos_proxy, install, judge, node, run, talking
from tests.support.tokens import Issuer

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT + 180)


def test_its_own_tests() -> None:
    install()
    run("node", "--test", *sorted((SDK / "test").glob("*.test.js")))


def test_it_is_small() -> None:
    size = node("scripts/size.js")
    assert size["gzipped"] <= size["limit"] == 10_240


def test_it_has_no_dependency_and_only_relative_imports() -> None:
    package = json.loads((SDK / "package.json").read_text(encoding="utf-8"))
    assert "dependencies" not in package
    for path in (SDK / "src").glob("*.js"):
        for target in re.findall(r'^(?:import|export) .*from "(.+)";$', path.read_text(), re.MULTILINE):
            assert re.fullmatch(r"\./\w+\.js", target), (path.name, target)


def test_its_types_hold_and_can_be_used(tmp_path: Path) -> None:
    install()
    run("npx", "--no-install", "tsc")
    for name in ("index", "msgpack", "webhook"):
        assert (SDK / "types" / f"{name}.d.ts").exists()
    run("npx", "--no-install", "tsc", "--project", "test/types")


def test_the_package_holds_what_it_exports() -> None:
    install()
    (packed,) = json.loads(run("npm", "pack", "--dry-run", "--json", "--ignore-scripts"))
    held = {file["path"] for file in packed["files"]}
    package = json.loads((SDK / "package.json").read_text(encoding="utf-8"))
    exported = {path.removeprefix("./") for entry in package["exports"].values() for path in entry.values()}
    assert held >= exported | {"README.md", "LICENSE", "package.json"}
    assert not any(path.startswith("test/") for path in held)


def test_the_examples_of_the_readme_fit_the_types(tmp_path: Path) -> None:
    install()
    run("npx", "--no-install", "tsc")
    readme = (SDK / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```js\n(.+?)```", readme, re.DOTALL)
    assert len(blocks) > 8
    for number, block in enumerate(blocks):
        given = (
            "" if "const gateway" in block else "declare const gateway: import('zaqar-gateway').Gateway;\n"
        )
        (tmp_path / f"block{number}.mts").write_text(f"{given}{block}\nexport {{}};\n")
    (tmp_path / "others.d.ts").write_text('declare module "ws";\ndeclare module "react-native";\n')
    types = {
        "zaqar-gateway": [f"{SDK}/types/index.d.ts"],
        "zaqar-gateway/msgpack": [f"{SDK}/types/msgpack.d.ts"],
        "zaqar-gateway/webhook": [f"{SDK}/types/webhook.d.ts"],
    }
    options = json.loads((SDK / "test" / "types" / "tsconfig.json").read_text())["compilerOptions"]
    config = {"compilerOptions": {**options, "paths": types}, "include": ["*.mts", "*.d.ts"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    run("npx", "--no-install", "tsc", "--project", tmp_path)


@pytest.mark.parametrize("codec", ["json", "msgpack"])
def test_nothing_is_lost_doubled_or_out_of_order(gateway: Gateway, codec: str) -> None:
    with chaos_proxy(gateway.url, seed=6, cuts=10, mean_seconds=0.5) as (url, faults):
        options = {"url": url, "messages": 1_000, "pace": 5, "codec": codec}
        report = node("test/end-to-end/run-chaos.js", json.dumps(options), timeout=120)
    judge(report, 1_000)
    assert len(faults) == 10


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_nothing_is_lost_over_a_hundred_cuts(gateway: Gateway) -> None:
    with chaos_proxy(gateway.url, seed=66, cuts=100, mean_seconds=0.6) as (url, faults):
        options = {"url": url, "messages": 10_000, "pace": 8}
        report = node("test/end-to-end/run-chaos.js", json.dumps(options), timeout=900)
    judge(report, 10_000)
    assert len(faults) == 100


def test_the_gateway_as_an_application_uses_it(gateway: Gateway) -> None:
    told = node("test/end-to-end/conversation.js", json.dumps({"url": gateway.url, "extension": True}))
    assert told["extended"] is True
    assert told["stats"] == {"free": 3, "claimed": 0, "total": 3}
    assert told["listed"] == ["first", "second", "third"]
    assert told["claimed"] == "first"
    assert told["left"] == ["second", "third"]
    assert told["pushed"] == {"hello": "world"}
    assert told["missing"] == ["NotFoundError", 404, "not_found"]
    assert told["consumed"] == ["second", "third"]


def test_a_gateway_that_is_restarted_is_found_again(tmp_path: Path) -> None:
    with start_gateway(tmp_path / "data") as first:
        address = ["--port", first.url.rstrip("/").rpartition(":")[2]]
        with talking("test/end-to-end/restart.js", json.dumps({"url": first.url})) as told:
            assert told() == "begun"
            first.stop()
            with start_gateway(tmp_path / "data", *address):
                assert told() == {"received": list(range(200)), "draining": True, "gaps": []}


def test_a_connection_outlives_its_tokens(tmp_path: Path) -> None:
    issuer = Issuer.new("HS256")
    with start_gateway(tmp_path / "data", *issuer.arguments(tmp_path), "--jwt-leeway", "0") as guarded:
        options = {"url": guarded.url, "secret": issuer.key, "seconds": 4, "messages": 12}
        told = node("test/end-to-end/tokens.js", json.dumps(options), timeout=60)
    assert told["received"] == list(range(12))
    assert told["opened"] == 1
    assert told["asked"] >= 4
    assert told["refused"] in ("NotAllowedError", "ClosedError")
    assert told["state"] == "closed"
