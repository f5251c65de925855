"""The generated pages are what the schemas, the errors and the settings say, and leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import generate, tables
from gateway.settings import SETTINGS
from schemas.actions import SHAPES

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", generate.PAGES)
def test_a_page_on_disk_is_what_is_generated(page: str) -> None:
    assert (generate.FOLDER / page).read_text(encoding="utf-8") == generate.render(page), "run: make docs"


def test_every_meaning_is_of_a_field_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    meaning = tables.meaning

    def note(shape: str, field: str) -> object:
        asked.add(f"{shape}.{field}" if field in tables.meanings().get(shape, {}) else f"any.{field}")
        return meaning(shape, field)

    monkeypatch.setattr(tables, "meaning", note)
    for page in generate.PAGES:
        generate.render(page)
    assert asked == {f"{shape}.{field}" for shape, fields in tables.meanings().items() for field in fields}


def test_a_field_without_a_meaning_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"MessagePost\.colour"):
        tables.meaning("MessagePost", "colour")


def test_every_action_has_its_section() -> None:
    text = generate.render("protocol.md")
    assert set(re.findall(r"^### ([a-z]+(?:_[a-z]+)*)$", text, re.MULTILINE)) == set(SHAPES)


def test_every_code_that_the_source_names_is_in_the_table() -> None:
    table = generate.render("protocol.md").partition("## Errors")[2].partition("\n## ")[0]
    named = set()
    for package in ("gateway", "protocol", "storage"):
        for path in (ROOT / package).rglob("*.py"):
            named.update(re.findall(r'\bcode(?:: str)? ?= ?"([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert {code for code in named if f"| `{code}` |" not in table} == set()


def test_every_setting_has_its_section() -> None:
    text = generate.render("configuration.md")
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == list(SETTINGS)


def test_the_lines_of_examples_are_not_too_long() -> None:
    for block in re.findall(r"```text\n(.*?)```", generate.render("protocol.md"), re.DOTALL):
        assert max(map(len, block.splitlines())) <= tables.WIDTH + 20
