"""Keys, and tokens that are signed with them.

::

    issuer = Issuer.new("RS256")
    token = issuer.token(project="p", roles=["admin"])
    start_gateway(folder, *issuer.arguments(folder))
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.auth.keys import read_keys

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]
ALGORITHMS: tuple[Algorithm, ...] = ("HS256", "RS256", "ES256", "EdDSA")

_WRITERS: dict[str, Any] = {
    "HS256": HMACAlgorithm,
    "RS256": RSAAlgorithm,
    "ES256": ECAlgorithm,
    "EdDSA": OKPAlgorithm,
}


@dataclass(frozen=True)
class Issuer:
    """Somebody who signs tokens. `key` is the secret, or the private key."""

    algorithm: Algorithm
    key: Any
    kid: str | None = None

    @classmethod
    def new(cls, algorithm: Algorithm = "HS256", kid: str | None = None) -> Issuer:
        """One with a new key."""
        match algorithm:
            case "HS256":
                return cls(algorithm, secrets.token_urlsafe(32), kid)
            case "RS256":
                return cls(algorithm, rsa.generate_private_key(65537, 2048), kid)
            case "ES256":
                return cls(algorithm, ec.generate_private_key(ec.SECP256R1()), kid)
            case "EdDSA":
                return cls(algorithm, ed25519.Ed25519PrivateKey.generate(), kid)

    def token(
        self,
        *,
        seconds: float = 600,
        headers: Mapping[str, Any] | None = None,
        claims: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """A token that expires in so many seconds; a claim that is None is left out."""
        given = {"project": "p", "exp": time.time() + seconds, **(claims or {}), **more}
        named = {} if self.kid is None else {"kid": self.kid}
        payload = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(payload, self.key, self.algorithm, {**named, **(headers or {})})

    @property
    def public(self) -> bytes:
        """What is in the gateway's file: the secret, or the public key."""
        if isinstance(self.key, str):
            return self.key.encode()
        pem: bytes = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    @property
    def jwk(self) -> dict[str, Any]:
        """The same as a JSON Web Key."""
        key = self.key if isinstance(self.key, str) else self.key.public_key()
        written: dict[str, Any] = _WRITERS[self.algorithm].to_jwk(key, as_dict=True)
        written.pop("key_ops", None)
        return written | ({} if self.kid is None else {"kid": self.kid})

    def arguments(self, folder: Path) -> list[str]:
        """What a gateway is started with that takes these tokens."""
        path = folder / "key"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.public)
        return ["--auth", "jwt", "--jwt-algorithm", self.algorithm, "--jwt-key-file", str(path)]


class KnownKeys:
    """The keys that a file would hold, for `gateway.auth.jwt.JWTAuthenticator`."""

    def __init__(self, data: bytes, algorithm: str) -> None:
        self._keys = read_keys(data, algorithm)

    async def find(self, kid: str | None) -> Any | None:
        """The key that a token means, or None."""
        return self._keys.find(kid)

    async def stop(self) -> None:
        """Nothing is under way."""


def key_set(*issuers: Issuer) -> bytes:
    """Their JSON Web Key Set."""
    return json.dumps({"keys": [issuer.jwk for issuer in issuers]}).encode()
