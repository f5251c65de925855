"""What tokens are taken by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.identity import Identity
from gateway.auth.jwt import JWTAuthenticator
from gateway.settings import Settings
from tests.support.tokens import Issuer, KnownKeys

Identify = Callable[[str], Identity]


def identify_with(issuer: Issuer, folder: Path, data: bytes | None = None, **settings: Any) -> Identify:
    """What looks at tokens with this issuer's key, or with the keys in `data`."""
    made = Settings(data_dir=folder, jwt_algorithm=issuer.algorithm, **settings)
    keys = KnownKeys(issuer.public if data is None else data, issuer.algorithm)
    authenticator = JWTAuthenticator(made, keys)
    return lambda token: asyncio.run(authenticator.identify(token))


@pytest.fixture
def hs256() -> Issuer:
    """Somebody who signs with a secret."""
    return Issuer.new("HS256")
