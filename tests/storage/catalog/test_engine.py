"""The engine: which databases it takes, and how it opens SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from storage.catalog.engine import make_engine, sqlite_url


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 2500)],
)
def test_sqlite_is_durable_and_checks_foreign_keys(tmp_path: Path, pragma: str, value: object) -> None:
    engine = make_engine(sqlite_url(tmp_path / "catalog.sqlite"), lock_timeout=2.5)
    for _ in range(2):  # Every connection, not only the first.
        with engine.connect() as connection:
            assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


@pytest.mark.parametrize("name", ["plain.sqlite", "a b.sqlite", "100%?timeout=1&x#y.sqlite", "größe.sqlite"])
def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    with make_engine(sqlite_url(tmp_path / name), lock_timeout=1).begin() as connection:
        connection.execute(text("CREATE TABLE t (a)"))
    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:////catalog.sqlite",
        "postgresql://localhost/catalog",
    ],
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the catalog's URL"):
        make_engine(url, lock_timeout=1)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(ValueError, match="the catalog's URL") as caught:
        make_engine("mysql://gateway:secret@localhost/catalog", lock_timeout=1)
    assert "secret" not in str(caught.value)
