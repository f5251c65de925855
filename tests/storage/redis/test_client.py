"""How a server is reached and greeted: passwords, databases, TLS."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet.defer import Deferred

from protocol.errors import Unavailable
from storage.errors import StoreUnavailable
from storage.redis.store import RedisStore
from storage.redis.topology import store_client
from tests.support.reactor import reactor, run, wait_until
from tests.support.servers import Server, free_port, start_redis, start_valkey
from tests.support.store import PATIENCE, LiveQueue, connected_to


def test_a_password_and_a_database(tmp_path: Path) -> None:
    with start_valkey(tmp_path / "store", tcp=True) as server:
        admin = server.client()
        admin.config_set("requirepass", "secret")
        with connected_to(f"redis://:secret@127.0.0.1:{server.tcp_port}/5") as store:
            LiveQueue(store).post("in database 5")
            assert admin.info("keyspace").keys() == {"db5"}


@pytest.mark.parametrize("greeting", ["nobody:wrong@{}", "{}?db=99"])
def test_a_greeting_that_is_refused_is_tried_again(tmp_path: Path, greeting: str) -> None:
    with start_valkey(tmp_path / "store") as server:
        store = RedisStore(reactor, "unix://" + greeting.format(server.socket_path), PATIENCE)
        with pytest.raises(StoreUnavailable):
            run(store.start, 0.2)
        admin = server.client()
        before = admin.info("stats")["total_connections_received"]
        wait_until(lambda: admin.info("stats")["total_connections_received"] > before)
        run(store.stop)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    store = RedisStore(reactor, f"unix://{tmp_path}/nothing.sock", PATIENCE)
    with pytest.raises(StoreUnavailable, match="no connection"):
        run(store.start, 0.1)
    run(store.stop)


def test_stopping_ends_those_who_wait_for_a_connection(tmp_path: Path) -> None:
    client = store_client(reactor, f"unix://{tmp_path}/nothing.sock", PATIENCE)

    async def wait_and_stop() -> None:
        client.start()
        waiting = Deferred.fromCoroutine(client.connected(60))
        await client.stop()
        await waiting

    with pytest.raises(StoreUnavailable):
        run(wait_and_stop, timeout=30)


def test_it_connects_as_soon_as_the_server_is_there(tmp_path: Path) -> None:
    client = store_client(reactor, f"unix://{tmp_path}/store/store.sock", PATIENCE)
    run(client.start)
    with start_valkey(tmp_path / "store"):
        run(client.connected, PATIENCE)
        assert run(client.execute, "PING") == b"PONG"
        run(client.stop)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[Server, Path, int]]:
    """A server with TLS, the file of its certificate, and its port."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    pem = serialization.Encoding.PEM
    key_file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_file.write_bytes(certificate.public_bytes(pem))
    port = free_port()
    server = start_redis(
        tmp_path / "store",
        tls_port=str(port),
        tls_cert_file=str(certificate_file),
        tls_key_file=str(key_file),
        tls_auth_clients="no",
    )
    with server:
        yield server, certificate_file, port


def test_tls(tls_server: tuple[Server, Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, certificate, port = tls_server
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with connected_to(f"rediss://localhost:{port}") as store:
        jobs = LiveQueue(store)
        jobs.post("sealed")
        assert jobs.bodies() == ["sealed"]


def test_tls_to_a_server_that_nobody_vouches_for(tls_server: tuple[Server, Path, int]) -> None:
    store = RedisStore(reactor, f"rediss://localhost:{tls_server[2]}", PATIENCE)
    with pytest.raises(Unavailable, match="certificate verify failed"):
        run(store.start, 3)
    run(store.stop)
