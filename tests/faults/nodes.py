"""Several gateways on one store and one catalog."""

from __future__ import annotations

from storage.catalog.engine import make_engine
from storage.catalog.schema import upgrade
from tests.support.servers import Server


def shared(store: Server, catalog_url: str) -> tuple[str, ...]:
    """What each of them is started with. The catalog has its tables then."""
    engine = make_engine(catalog_url, 30)
    upgrade(engine)
    engine.dispose()
    return "--redis-url", store.url, "--catalog-url", catalog_url
