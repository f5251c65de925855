"""The how-to of a browser with a token, done as it stands there, in Chromium."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from docs.conversation import FOLDER
from gateway.auth.policy_rules import RULES
from tests.support.chromium import Chromium
from tests.support.gateway import start_gateway
from tests.support.javascript import served

PAGE = FOLDER.parent / "authentication.md"


def section(title: str) -> str:
    """What stands under a heading, up to the next."""
    found = re.search(rf"^## {title}\n(.*?)^## ", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def code(text: str, language: str) -> str:
    """The one piece of code in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(found)


def python(source: str, folder: Path) -> str:
    """What a piece of Python prints when it is run in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def test_a_browser_with_a_token(tmp_path: Path) -> None:
    text = section("A browser with a token, in five lines")
    make, protect, serve = code(text, "sh").splitlines()
    found = re.fullmatch(r"python3 -c '(.*)' > secret", make)
    assert found
    (tmp_path / "secret").write_text(python(found[1], tmp_path))
    assert protect == "chmod 600 secret"
    (tmp_path / "secret").chmod(0o600)
    program, _, *options = serve.split()
    assert (program, options) == ("zaqar-gateway", ["--auth", "jwt", "--jwt-key-file", "secret"])
    options[-1] = str(tmp_path / "secret")
    token = python(code(text, "python"), tmp_path).strip()
    script = code(text, "js")
    with start_gateway(tmp_path / "data", *options) as gateway:
        told = {"eyJ…": token, "ws://127.0.0.1:9000/": gateway.url}
        for placeholder, value in told.items():
            assert script.count(placeholder) == 1
            script = script.replace(placeholder, value)
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "page.html").write_text(f"<!doctype html><script>{script}</script>")
        with served(tmp_path / "site") as site, Chromium(tmp_path / "profile") as browser:
            browser.open(f"{site}/page.html")
            browser.wait_console("Authentified.")
            browser.wait_console("message_ids")
            gateway.wait_event("authenticated")


def test_all_rules_of_a_policy_are_told() -> None:
    told: dict[str, str] = {}
    for rules, actions in re.findall(r"^\| (`.*) \| (`.*) \|$", section("Roles and policy"), re.MULTILINE):
        kind = ""
        for before, name in re.findall(r"`(\w*):(\w+)`", rules):
            kind = before or kind
            told[f"{kind}:{name}"] = actions
    told |= {rule.replace("pools:", "flavors:"): "flavor_" for rule in told if rule.startswith("pools:")}
    assert told.keys() == set(RULES.values())
    for action, rule in RULES.items():
        assert told[rule] == "flavor_" or f"`{action}`" in told[rule]
