"""docs/openstack.md, done as it stands there with an empty Keystone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.cloud import INSTALL_TIMEOUT, openstack_environment
from tests.support.gateway import start_gateway
from tests.support.keystone import PASSWORD, Keystone

PAGE = Path(__file__).resolve().parents[2] / "docs" / "openstack.md"

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT + 600)


def section(title: str) -> str:
    """What stands under a heading, up to the next."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^## {title}\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def block(title: str, language: str) -> str:
    """The one piece of code in a language under a heading."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", section(title), re.DOTALL | re.MULTILINE)
    return str(found)


def replaced(text: str, **words: str) -> str:
    """The text with each word replaced, which has to be there."""
    for old, new in words.items():
        assert old in text
        text = text.replace(old, new)
    return text


def run(command: list[str], environment: dict[str, str]) -> str:
    """What a command prints that has to succeed."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_from_top_to_bottom(keystone_python: Path, openstack_python: Path, tmp_path: Path) -> None:
    with Keystone(keystone_python, tmp_path / "keystone") as keystone:
        keystone.start()
        admin = openstack_environment(keystone, "admin", "admin")
        path = {"PATH": f"{openstack_python.parent}:{admin['PATH']}"}
        script = replaced(
            block("A user for the gateway", "sh"), **{"--password-prompt": f"--password {PASSWORD}"}
        )
        run(["bash", "-ec", script], admin | path)

        (tmp_path / "keystone-password").write_text(PASSWORD)
        (tmp_path / "signing-keys").write_text("only-for-examples-and-tests")
        config = tmp_path / "zaqar-gateway.toml"
        words = {"https://keystone.example.com:5000": keystone.url, "/etc/zaqar-gateway/": f"{tmp_path}/"}
        words |= {"messaging.example.com": "127.0.0.1", "0.0.0.0": "127.0.0.1"}
        config.write_text(replaced(block("The gateway", "toml"), **words))
        command = block("The gateway", "sh").split()
        assert command == ["zaqar-gateway", "serve", "--config", "/etc/zaqar-gateway.toml"]

        with start_gateway(tmp_path / "data", "--config", str(config), "--keystone-timeout", "30") as gateway:
            address = gateway.http_url.removeprefix("http://")
            script = replaced(block("The catalog", "sh"), **{"messaging.example.com:9000": address})
            run(["bash", "-ec", script], admin | path)
            # The administrator has a role in a project, too.
            told = run(["bash", "-ec", block("A session", "sh")], admin | path)
            assert all(
                word in told for word in ("cat.png", "dog.png", "Claim_ID", "'claimed': 1", "Signature")
            )
            python = block("A session", "python")
            assert run([str(openstack_python), "-c", python], admin | path) == "['good']\n"
