"""Names of queues and projects."""

from __future__ import annotations

import pytest

from protocol.errors import BadRequest
from protocol.names import check_name, check_project, is_queue_name


@pytest.mark.parametrize("name", ["a", "q" * 64, "a.b", "A-Z_09.-", "..", "-", "queues_set"])
def test_legal_queue_names(name: str) -> None:
    assert is_queue_name(name)
    check_name(name, "queue")


@pytest.mark.parametrize(
    "name", ["", " ", "q" * 65, "a b", "a/b", "ünï", "日本", "a\nb", "q%20", "\x00", "٣"]
)
def test_illegal_queue_names(name: str) -> None:
    assert not is_queue_name(name)
    with pytest.raises(BadRequest, match="A flavor name has"):
        check_name(name, "flavor")


def test_deviation_28_a_queue_name_matches_as_a_whole() -> None:
    assert not is_queue_name("nl\n")


@pytest.mark.parametrize("project", ["p", "p" * 256, "pröj", "a.b", "a b", "日本"])
def test_legal_projects(project: str) -> None:
    check_project(project)


@pytest.mark.parametrize("project", ["p" * 257, "a\x00", "a\n", "\x7f", "\ud800"])
def test_illegal_projects(project: str) -> None:
    with pytest.raises(BadRequest, match="project id"):
        check_project(project)


def test_deviation_28_an_empty_project_is_refused() -> None:
    with pytest.raises(BadRequest, match="empty"):
        check_project("")
