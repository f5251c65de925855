"""Certificates for tests: an authority of their own, and what it issues.

::

    authority = Authority()
    certificate, key = authority.issue(tmp_path)
    client = Client(gateway.url, tls=authority.client_context())
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_AN_HOUR = datetime.timedelta(hours=1)


class Authority:
    """Issues certificates for 127.0.0.1, ::1 and localhost, which are good for an hour."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Authority of the tests")
        builder = self._builder("Authority of the tests", self._key.public_key())
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = builder.add_extension(constraint, critical=True).sign(self._key, hashes.SHA256())

    def issue(self, folder: Path, name: str = "gateway") -> tuple[Path, Path]:
        """Write `<name>.pem` and `<name>.key`; the certificate is for this name. Returns their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [
                x509.DNSName("localhost"),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                x509.IPAddress(ipaddress.ip_address("::1")),
            ]
        )
        builder = self._builder(name, key.public_key()).add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        certificate_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
        certificate_path.write_bytes(pem(certificate) + pem(self.certificate))
        key_path.touch(mode=0o600)
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate_path, key_path

    def client_context(self) -> ssl.SSLContext:
        """What clients connect with that trust this authority only."""
        return ssl.create_default_context(cadata=pem(self.certificate).decode())

    def _builder(self, name: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _AN_HOUR)
            .not_valid_after(now + _AN_HOUR)
        )


def pem(certificate: x509.Certificate) -> bytes:
    """A certificate in a PEM file."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def shown_name(connection: ssl.SSLSocket) -> str:
    """The name that the other end's certificate is for."""
    certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    (name,) = x509.load_der_x509_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
