"""What can be a certificate, what cannot, and what is said of it."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.settings import SettingsError
from gateway.settings.sources import load
from gateway.tls import Certificate, CertificateError
from tests.support.certificates import Authority
from tests.support.gateway import Gateway, launch_gateway
from tests.support.raw import RawSocket


def test_a_good_one_is_told_of(authority: Authority, tmp_path: Path) -> None:
    with capture_logs() as events:
        Certificate(*authority.issue(tmp_path))
    assert [event["event"] for event in events] == ["certificate_loaded"]
    assert events[0]["path"] == str(tmp_path / "gateway.pem")
    assert events[0]["expires"].endswith("+00:00")


def test_a_key_for_everybody_is_warned_of(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(tmp_path)
    key.chmod(0o644)
    with capture_logs() as events:
        Certificate(certificate, key)
    assert [event["path"] for event in events if event["event"] == "key_readable_by_all"] == [str(key)]


UNKNOWN_KEY = """-----BEGIN PRIVATE KEY-----
MCwCAQAwBQYDKgMEBCABAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ==
-----END PRIVATE KEY-----
"""
"""PKCS 8, of an algorithm (1.2.3.4) that there is not."""


def test_what_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(tmp_path)
    _, other_key = authority.issue(tmp_path, "other")
    garbage, missing = tmp_path / "garbage", tmp_path / "missing"
    garbage.write_bytes(b"\x00 garbage")
    encrypted = tmp_path / "encrypted"
    command = ["openssl", "pkey", "-in", str(key), "-aes128", "-passout", "pass:x", "-out", str(encrypted)]
    subprocess.run(command, check=True)
    unknown = tmp_path / "unknown"
    unknown.write_text(UNKNOWN_KEY)
    for paths, named, word in (
        ((garbage, key), garbage, ""),
        ((missing, key), missing, "No such file"),
        ((tmp_path, key), tmp_path, "Is a directory"),
        ((key, key), key, ""),
        ((certificate, garbage), garbage, ""),
        ((certificate, missing), missing, "No such file"),
        ((certificate, certificate), certificate, ""),
        ((certificate, other_key), other_key, "mismatch"),
        ((certificate, encrypted), encrypted, "encrypted"),
        ((certificate, unknown), unknown, "1.2.3.4"),
    ):
        with pytest.raises(CertificateError) as raised:
            Certificate(*paths)
        assert f" {named}: " in str(raised.value)
        assert word in str(raised.value)
        assert not str(raised.value).endswith(": ")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_gateway_without_a_good_one_does_not_start(tmp_path: Path, workers: str) -> None:
    paths = ("--tls-cert", str(tmp_path / "none.pem"), "--tls-key", str(tmp_path / "none.key"))
    gateway = launch_gateway(tmp_path / "data", "--workers", workers, *paths)
    assert gateway.wait() == 1
    assert "none.pem: No such file" in gateway.wait_event("start_failed")["reason"]


def test_certificate_and_key_belong_together() -> None:
    for given, missing in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        with pytest.raises(SettingsError, match=rf"^{given}: .* without {missing}; allowed: both or none"):
            load({given: "a.pem"}, {})


def test_old_versions_and_weak_ciphers_are_refused(secure_gateway: Gateway, tls: ssl.SSLContext) -> None:
    for limit in ("version", "cipher"):
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        if limit == "version":
            old.set_ciphers("ALL:@SECLEVEL=0")
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        else:
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            old.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM:!CHACHA20")
        with pytest.raises(ssl.SSLError):
            RawSocket(secure_gateway.url, tls=old)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        with RawSocket(secure_gateway.url, tls=context) as raw:
            assert isinstance(raw.socket, ssl.SSLSocket)
            assert raw.socket.selected_alpn_protocol() == "http/1.1"


def test_addresses_are_shown_with_their_scheme(secure_gateway: Gateway) -> None:
    assert secure_gateway.url.startswith("wss://127.0.0.1:")
