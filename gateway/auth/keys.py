"""Keys that signatures of tokens are checked by: which can be used, and which one is meant (RFC 7517)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

LEAST_SECRET: Final = 32
"""Bytes of a secret: as many as its digest has (RFC 7518 section 3.2)."""

LEAST_RSA_BITS: Final = 2048
"""RFC 7518 section 3.3."""

MAX_KEYS: Final = 100
"""Keys of one set; no issuer has so many."""

_FAMILIES: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "HS256": ("oct", (bytes,)),
    "RS256": ("RSA", (rsa.RSAPublicKey,)),
    "ES256": ("EC", (ec.EllipticCurvePublicKey,)),
    "EdDSA": ("OKP", (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)),
}
"""What kind of key each algorithm has: the JWK's `kty`, and our types."""


class UnfitKey(ValueError):
    """A key cannot be used. The message says why, and shows nothing of it."""


class Keys:
    """The keys of one algorithm.

    :param by_id: by the `kid` that tokens name; None for one that has none.
    :param named: whether a token has to name its key. Else there is one key, whatever a token says.
    """

    def __init__(self, by_id: Mapping[str | None, Any], *, named: bool) -> None:
        self._by_id = by_id
        self._named = named

    def find(self, kid: str | None) -> Any | None:
        """The key that a token means; None if there is none, or it does not say which of several."""
        if not self._named or (kid is None and len(self._by_id) == 1):
            return next(iter(self._by_id.values()))
        return None if kid is None else self._by_id.get(kid)


def read_keys(data: bytes, algorithm: str) -> Keys:
    """The keys in a file: a JSON Web Key Set, a public key in PEM form, or for HS256 the secret itself.

    A line's end behind a secret does not belong to it. Raises UnfitKey.
    """
    if data.lstrip().startswith(b"{"):
        return read_key_set(data, algorithm)
    if algorithm == "HS256":
        key: Any = data.rstrip(b"\r\n")
        if b"-----BEGIN" in key:
            raise UnfitKey("it is a key in PEM form; HS256 has a secret")
    else:
        if b"PRIVATE KEY" in data:
            raise UnfitKey(
                "it is a private key; the gateway needs the public one, and nobody else the private"
            )
        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            raise UnfitKey("it is no public key in PEM form") from None
    _check(key, algorithm)
    return Keys({None: key}, named=False)


def read_key_set(data: bytes, algorithm: str) -> Keys:
    """The keys of a JSON Web Key Set that are for this algorithm; it may have others. Raises UnfitKey."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise UnfitKey("it is not JSON") from None
    found = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) > MAX_KEYS:
        raise UnfitKey(f'it is no JSON Web Key Set: {{"keys": [...]}} with at most {MAX_KEYS} keys')
    by_id: dict[str | None, Any] = {}
    for jwk in found:
        if isinstance(jwk, dict) and _is_for(jwk, algorithm):
            kid = jwk.get("kid")
            if not (kid is None or isinstance(kid, str)) or kid in by_id:
                raise UnfitKey("two of its keys have the same kid, or one that is no text")
            by_id[kid] = _read_jwk(jwk, algorithm)
    if not by_id:
        raise UnfitKey(f"none of its keys is for {algorithm}")
    return Keys(by_id, named=True)


def _is_for(jwk: Mapping[str, Any], algorithm: str) -> bool:
    return (
        jwk.get("kty") == _FAMILIES[algorithm][0]
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
    )


def _read_jwk(jwk: Mapping[str, Any], algorithm: str) -> Any:
    if "d" in jwk:
        raise UnfitKey("one of its keys is private; the gateway needs the public ones only")
    try:
        key = jwt.PyJWK(dict(jwk), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise UnfitKey(f"one of its keys is no key for {algorithm}") from None
    _check(key, algorithm)
    return key


def _check(key: Any, algorithm: str) -> None:
    """Raise UnfitKey if a key is of another kind, or weak."""
    if not isinstance(key, _FAMILIES[algorithm][1]):
        raise UnfitKey(f"it is no key for {algorithm}")
    if isinstance(key, bytes) and len(key) < LEAST_SECRET:
        raise UnfitKey(f"a secret needs at least {LEAST_SECRET} bytes, and this has {len(key)}")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        raise UnfitKey(f"an RSA key needs at least {LEAST_RSA_BITS} bits, and this has {key.key_size}")
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1):
        raise UnfitKey(f"{algorithm} has keys of the curve P-256")
