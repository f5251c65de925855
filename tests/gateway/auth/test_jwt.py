"""JSON Web Tokens: whom they speak for, and all that speaks for nobody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.identity import Identity
from gateway.auth.jwt import MAX_TOKEN
from protocol.errors import AuthenticationFailed
from tests.gateway.auth.conftest import Identify, identify_with
from tests.support.tokens import ALGORITHMS, Algorithm, Issuer, key_set

SECRET = Issuer("HS256", "s" * 32)
"""A key that need not be random."""

LEEWAY = 10
"""Seconds; the default."""


def encoded(document: Any) -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Any, payload: Any, secret: bytes = b"s" * 32) -> str:
    """A token with any header and payload, signed with HMAC-SHA256."""
    message = f"{encoded(header)}.{encoded(payload)}"
    return f"{message}.{encoded(hmac.new(secret, message.encode(), hashlib.sha256).digest())}"


def refused(identify: Identify, token: str) -> str:
    """A token that speaks for nobody; the reason for the log, which has nothing of the token."""
    with pytest.raises(AuthenticationFailed) as raised:
        identify(token)
    assert str(raised.value) == "Authentication failed."
    assert raised.value.reason
    return raised.value.reason


@pytest.fixture
def identify(tmp_path: Path) -> Identify:
    """What takes the tokens of SECRET."""
    return identify_with(SECRET, tmp_path)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("as_set", [False, True])
def test_a_token_of_each_algorithm(algorithm: Algorithm, as_set: bool, tmp_path: Path) -> None:
    issuer = Issuer.new(algorithm, kid="k1" if as_set else None)
    identify = identify_with(issuer, tmp_path, key_set(issuer) if as_set else None)
    expires = time.time() + 60
    token = issuer.token(project="p", sub="ann", roles=["Member", "admin"], exp=expires)
    assert identify(token) == Identity("p", "ann", frozenset({"member", "admin"}), expires + LEEWAY)
    stranger = Issuer.new(algorithm, kid=issuer.kid)
    assert refused(identify, stranger.token()) == "InvalidSignatureError"
    head, payload, signature = token.split(".")
    other = encoded({"project": "q", "exp": expires})
    assert refused(identify, f"{head}.{other}.{signature}") == "InvalidSignatureError"
    assert refused(identify, f"{head}.{payload}.") == "InvalidSignatureError"


# Attacks


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, ["HS256"], 256, "HS512", "hs256"])
def test_a_token_does_not_choose_the_algorithm(identify: Identify, name: object) -> None:
    claims = {"project": "p", "exp": time.time() + 60}
    refused(identify, signed({"alg": name, "typ": "JWT"}, claims))
    refused(identify, f"{encoded({'alg': name})}.{encoded(claims)}.")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_secret(algorithm: Algorithm, tmp_path: Path) -> None:
    issuer = Issuer.new(algorithm, kid="k1")
    claims = {"project": "p", "exp": time.time() + 60}
    for data in (issuer.public, key_set(issuer)):
        identify = identify_with(issuer, tmp_path, data)
        for secret in (issuer.public, issuer.public.strip(), data):
            for name in ("HS256", algorithm):
                refused(identify, signed({"alg": name, "kid": "k1"}, claims, secret))


def test_a_token_brings_no_key(tmp_path: Path) -> None:
    issuer, attacker = Issuer.new("RS256", kid="k1"), Issuer.new("RS256", kid="k1")
    identify = identify_with(issuer, tmp_path, key_set(issuer))
    for header in (
        {"jwk": attacker.jwk},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example"},
    ):
        assert refused(identify, attacker.token(headers=header)) == "InvalidSignatureError"


def test_a_token_of_another_algorithm_is_not_taken_though_its_key_is_known(tmp_path: Path) -> None:
    first, second = Issuer.new("RS256", kid="k1"), Issuer.new("ES256", kid="k2")
    identify = identify_with(first, tmp_path, key_set(first, second))
    identify(first.token())
    assert refused(identify, second.token()) == "algorithm"


@pytest.mark.parametrize("kid", ["k3", "", "../k1", 1, None, ["k1"], {"k1": 1}])
def test_a_key_that_is_not_there(kid: object, tmp_path: Path) -> None:
    first, second = Issuer.new("HS256", kid="k1"), Issuer.new("HS256", kid="k2")
    identify = identify_with(first, tmp_path, key_set(first, second))
    identify(first.token())
    identify(second.token())
    claims = {"project": "p", "exp": time.time() + 60}
    header = {"alg": "HS256"} | ({} if kid is None else {"kid": kid})
    refused(identify, signed(header, claims, first.key.encode()))


def test_the_only_key_need_not_be_named(tmp_path: Path) -> None:
    issuer = Issuer.new("HS256", kid="k1")
    identify = identify_with(issuer, tmp_path, key_set(issuer))
    assert identify(Issuer("HS256", issuer.key).token()).project == "p"
    assert refused(identify, Issuer("HS256", issuer.key, "k2").token()) == "unknown key"


def test_what_is_critical_and_unknown(identify: Identify) -> None:
    claims = {"project": "p", "exp": time.time() + 60}
    refused(identify, signed({"alg": "HS256", "crit": ["x"], "x": 1}, claims))
    refused(identify, signed({"alg": "HS256", "crit": []}, claims))
    refused(identify, signed({"alg": "HS256", "b64": False, "crit": ["b64"]}, claims))


def test_giants_and_nests(identify: Identify) -> None:
    assert refused(identify, SECRET.token(filler="x" * MAX_TOKEN)) == "too long"
    nest = b'{"alg":"HS256","x":' + b"[" * 2_800 + b"]" * 2_800 + b"}"
    refused(identify, f"{encoded(nest)}.{encoded({})}.x")
    refused(identify, signed({"alg": "HS256"}, nest))
    refused(identify, signed({"alg": "HS256"}, b'{"project":"p","exp":' + b"9" * 5_000 + b"}"))


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a.b.c", "e30.e30.", "null", "\0", "é.é.é", "\ud800.a.b", "a" * 100, "bearer.x"],
)
def test_what_is_no_token(identify: Identify, token: str) -> None:
    refused(identify, token)


@pytest.mark.parametrize("payload", [[], "x", 1, None, b"", b"\xff", b'{"exp":'])
def test_claims_that_are_none(identify: Identify, payload: Any) -> None:
    refused(identify, signed({"alg": "HS256"}, payload))


# Claims


@pytest.mark.parametrize("seconds", [-LEEWAY - 5, -86_400, -1e12])
def test_an_expired_token(identify: Identify, seconds: float) -> None:
    assert refused(identify, SECRET.token(seconds=seconds)) == "ExpiredSignatureError"


def test_clocks_may_differ_a_little(identify: Identify) -> None:
    expires = time.time() - LEEWAY + 5
    assert identify(SECRET.token(exp=expires)).expires == pytest.approx(expires + LEEWAY)
    identify(SECRET.token(nbf=time.time() + LEEWAY - 5, iat=time.time() + LEEWAY - 5))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_before_its_time(identify: Identify, claim: str) -> None:
    assert refused(identify, SECRET.token(claims={claim: time.time() + 60})) == "ImmatureSignatureError"


@pytest.mark.parametrize(
    "expires", ["soon", [], {}, -1, "99999999999", 10**400, float("inf"), float("nan"), 1e300]
)
def test_an_expiry_that_is_none(identify: Identify, expires: Any) -> None:
    refused(identify, signed({"alg": "HS256"}, {"project": "p", "exp": expires}))


def test_a_token_that_would_live_for_ever(identify: Identify) -> None:
    assert refused(identify, SECRET.token(exp=None)) == "MissingRequiredClaimError"


def test_issuer_and_audience(tmp_path: Path) -> None:
    identify = identify_with(SECRET, tmp_path, jwt_issuer="https://me", jwt_audience="gateway")
    right = {"iss": "https://me", "aud": "gateway"}
    identify(SECRET.token(claims=right))
    identify(SECRET.token(iss="https://me", aud=["other", "gateway"]))
    wrongs: list[dict[str, Any]] = [
        {"iss": "https://you"},
        {"iss": None},
        {"iss": ""},
        {"aud": "gatewa"},
        {"aud": ["gateways", "a"]},
        {"aud": []},
        {"aud": None},
        {"aud": 1},
        {"aud": {"gateway": 1}},
    ]
    for wrong in wrongs:
        refused(identify, SECRET.token(claims={**right, **wrong}))


def test_a_token_for_somebody_else_is_refused_where_no_audience_is_set(identify: Identify) -> None:
    assert refused(identify, SECRET.token(aud="other")) == "InvalidAudienceError"


@pytest.mark.parametrize("project", ["", "a" * 257, "a\nb", 1, [], None, True, {"a": 1}])
def test_a_project_that_is_none(identify: Identify, project: Any) -> None:
    assert "project" in refused(identify, SECRET.token(project=project))


def test_half_a_surrogate_pair_is_no_project(identify: Identify) -> None:
    payload = b'{"project":"\\ud800","exp":%d}' % (time.time() + 60)
    assert refused(identify, signed({"alg": "HS256"}, payload)) == "project"


@pytest.mark.parametrize(
    ("roles", "read"),
    [
        (["Admin", "member"], {"admin", "member"}),
        ("admin  member", {"admin", "member"}),
        ([], set()),
        ("", set()),
    ],
)
def test_roles(identify: Identify, roles: Any, read: set[str]) -> None:
    assert identify(SECRET.token(roles=roles)).roles == read


@pytest.mark.parametrize("roles", [1, {"admin": True}, [1], ["a" * 256], ["r"] * 101, [["admin"]], True])
def test_roles_that_are_none(identify: Identify, roles: Any) -> None:
    assert refused(identify, SECRET.token(roles=roles)) == "roles"


@pytest.mark.parametrize("user", [1, [], "a" * 256])
def test_a_user_that_is_none(identify: Identify, user: Any) -> None:
    refused(identify, SECRET.token(sub=user))


def test_claims_have_the_names_that_are_set(tmp_path: Path) -> None:
    names: dict[str, Any] = {
        "jwt_project_claim": "https://me/tenant",
        "jwt_roles_claim": "scope",
        "jwt_user_claim": "email",
    }
    identify = identify_with(SECRET, tmp_path, **names)
    claims: dict[str, Any] = {"https://me/tenant": "t", "scope": "a b", "email": "ann@me", "project": "no"}
    found = identify(SECRET.token(claims=claims))
    assert (found.project, sorted(found.roles), found.user) == ("t", ["a", "b"], "ann@me")


# Whatever comes

parts = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=60).map(encoded),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ).map(encoded),
)


@given(st.lists(parts, min_size=1, max_size=4))
def test_anything_else_speaks_for_nobody(pieces: list[str]) -> None:
    refused(identify_with(SECRET, Path("unused")), ".".join(pieces))


@given(
    st.dictionaries(
        st.sampled_from(["exp", "nbf", "iat", "sub", "jti", "aud", "iss", "project", "roles"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.lists(st.text(max_size=5)),
    ),
    st.dictionaries(
        st.sampled_from(["kid", "typ", "crit", "b64", "cty"]), st.none() | st.integers() | st.text()
    ),
)
def test_whatever_an_issuer_claims_is_taken_or_refused(
    claims: dict[str, Any], header: dict[str, Any]
) -> None:
    identify = identify_with(SECRET, Path("unused"))
    token = signed({**header, "alg": "HS256"}, {"exp": int(time.time()) + 60, "project": "p", **claims})
    try:
        assert identify(token).project == claims.get("project", "p")
    except AuthenticationFailed:
        with pytest.raises((jwt.PyJWTError, AuthenticationFailed)):
            identify(token)
