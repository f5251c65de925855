"""Catalogs on real databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from storage.catalog import schema
from storage.catalog.engine import make_engine
from storage.catalog.sql import SQLCatalog
from tests.support.reactor import reactor, run

MakeCatalog = Callable[..., SQLCatalog]


@pytest.fixture
def make_catalog(catalog_url: str) -> Iterator[MakeCatalog]:
    """Makes a started catalog on the test's database, which has the tables then."""
    made = []

    def make(**options: Any) -> SQLCatalog:
        catalog = SQLCatalog(reactor, catalog_url, **options)
        run(catalog.start, upgrade=True)
        made.append(catalog)
        return catalog

    yield make
    for catalog in made:
        run(catalog.stop)


@pytest.fixture
def catalog(make_catalog: MakeCatalog) -> SQLCatalog:
    return make_catalog()


@pytest.fixture
def engine(catalog_url: str) -> Iterator[Engine]:
    """An engine on the test's database, which has the tables."""
    made = make_engine(catalog_url, timeout=20, connections=5)
    schema.upgrade(made)
    yield made
    made.dispose()
