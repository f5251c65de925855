"""What the hand-written pages name is there, and what they are to name is named."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.metrics import Metrics
from storage.redis import scripts

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
DIFFERENCES = range(1, 32)


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.is_file(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target


def test_the_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"](docs/{page.name})" not in text] == []


def test_all_differences_are_there_in_order() -> None:
    numbers = re.findall(r"^#### (\d+)\. ", read("compatibility.md"), re.MULTILINE)
    assert [int(number) for number in numbers] == list(DIFFERENCES)


def test_the_source_refers_to_differences_that_exist() -> None:
    for folder in ("gateway", "protocol", "schemas", "storage", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            for number in re.findall(r"docs/compatibility\.md, (\d+)", path.read_text(encoding="utf-8")):
                assert int(number) in DIFFERENCES, path


def test_every_metric_is_described() -> None:
    text = read("operations.md")
    for family in Metrics().registry.collect():
        if not family.name.endswith("_created"):
            name = family.name + ("_total" if family.type == "counter" else "")
            assert f"| `{name}` | {family.type} |" in text


def test_every_log_event_is_described() -> None:
    table = read("operations.md").partition("## Logs")[2].partition("\n## ")[0]
    described = set(re.findall(r"`(\w+)`", table))
    named = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named.update(re.findall(r'log\.\w+\(\s*"([a-z_]+)"', text))
    assert named
    assert named - described == set()


def test_every_key_of_a_queue_is_described() -> None:
    table = read("architecture.md").partition("### Keys")[2].partition("\n### ")[0]
    named = set(re.findall(r'PREFIX \.\. "(\w+)"', scripts.POST.source))
    assert named
    assert {key for key in named if f"`{key}`" not in table} == set()


def test_the_commands_of_the_configuration_page_say_what_stands_there() -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ZAQAR_GATEWAY_")}
    program = f"{shlex.quote(sys.executable)} -m gateway "
    consoles = re.findall(r"```console\n\$ (.+)\n((?:.+\n)+)```", read("configuration.md"))
    assert len(consoles) == 2
    for command, output in consoles:
        done = subprocess.run(
            command.replace("zaqar-gateway ", program),
            shell=True,
            cwd=ROOT,
            env={**inherited, "HOME": "/home/me", "XDG_DATA_HOME": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == output
