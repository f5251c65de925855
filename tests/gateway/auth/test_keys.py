"""Keys: what can be used, and what is refused at the start."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.auth.keys import UnfitKey, read_keys
from tests.support.tokens import ALGORITHMS, Algorithm, Issuer, key_set


def unfit(data: bytes, algorithm: Algorithm) -> str:
    with pytest.raises(UnfitKey) as raised:
        read_keys(data, algorithm)
    return str(raised.value)


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


def test_a_secret_ends_before_the_end_of_its_line() -> None:
    for end in (b"", b"\n", b"\r\n"):
        assert read_keys(b"s" * 32 + end, "HS256").find(None) == b"s" * 32


@pytest.mark.parametrize("data", [b"", b"\n", b"s" * 31, b"s" * 31 + b"\n"])
def test_a_weak_secret(data: bytes) -> None:
    told = unfit(data, "HS256")
    assert "at least 32 bytes" in told
    assert "sss" not in told


def test_a_weak_secret_in_a_set() -> None:
    assert "at least 32 bytes" in unfit(key_set(Issuer("HS256", "s" * 31, "k")), "HS256")


def test_a_weak_rsa_key() -> None:
    weak = Issuer("RS256", rsa.generate_private_key(65537, 1024))
    assert "2048 bits" in unfit(weak.public, "RS256")
    assert "2048 bits" in unfit(key_set(weak), "RS256")


def test_another_curve() -> None:
    other = Issuer("ES256", ec.generate_private_key(ec.SECP384R1()))
    assert "P-256" in unfit(other.public, "ES256")
    assert unfit(jwks({**other.jwk, "alg": "ES256"}), "ES256")


def test_keys_are_for_one_algorithm() -> None:
    for algorithm in ALGORITHMS:
        for other in ALGORITHMS:
            if algorithm != other:
                assert unfit(Issuer.new(other).public if other != "HS256" else b"s" * 32, algorithm)
                assert f"for {algorithm}" in unfit(key_set(Issuer.new(other)), algorithm)


def test_a_private_key_is_nobodys_business() -> None:
    key = Issuer.new("RS256").key
    for kind in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem = key.private_bytes(Encoding.PEM, kind, NoEncryption())
        assert "private" in unfit(pem, "RS256")
        assert "PEM" in unfit(pem, "HS256")
    issuer = Issuer.new("EdDSA")
    assert "private" in unfit(jwks({**issuer.jwk, "d": "AAAA"}), "EdDSA")


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [1, null, "x", []]}',
        b'{"keys": ' + b"[" * 100_000,
        jwks({"kty": "RSA"}),
        jwks({"kty": "RSA", "n": "x", "e": "AQAB"}),
        jwks({"kty": "RSA", "n": 1, "e": 2}),
        jwks({"kty": ["RSA"]}),
        jwks(*[{"kty": "EC"}] * 101),
    ],
)
def test_what_is_no_set(data: bytes) -> None:
    assert unfit(data, "RS256")


def test_a_set_may_hold_keys_for_others() -> None:
    ours, other = Issuer.new("ES256", "k1"), Issuer.new("RS256", "k2")
    to_encrypt = {**Issuer.new("ES256", "k3").jwk, "use": "enc"}
    keys = read_keys(jwks(other.jwk, to_encrypt, ours.jwk), "ES256")
    assert keys.find("k1") is not None
    assert keys.find("k2") is keys.find("k3") is None


@pytest.mark.parametrize("kid", ["k1", 1, ["k1"]])
def test_ids_that_are_none(kid: Any) -> None:
    issuer = Issuer.new("HS256")
    assert "kid" in unfit(jwks({**issuer.jwk, "kid": "k1"}, {**issuer.jwk, "kid": kid}), "HS256")
