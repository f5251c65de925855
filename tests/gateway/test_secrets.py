"""No secret gets out: all that a run wrote and said is searched for those it was given."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import redis
from sqlalchemy import make_url

from tests.support.certificates import Authority
from tests.support.client import Client
from tests.support.databases import DatabaseServer
from tests.support.gateway import ROOT, Gateway, launch_gateway, start_gateway
from tests.support.raw import RawSocket, http, split_response
from tests.support.reactor import wait_until
from tests.support.servers import Server, start_valkey
from tests.support.tokens import Issuer
from tests.support.workers import is_running, pids

STORE, CATALOG, POOL = "store-hunter2", "catalog-hunter2", "pool-hunter2"
METRICS, TOKEN, SIGNATURE, BODY = "metrics-hunter2", "token-hunter2", "signature-hunter2", "body-hunter2"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    """A store that wants a password."""
    with start_valkey(tmp_path / "store", tcp=True) as server:
        server.client().config_set("requirepass", STORE)
        yield server


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Server]:
    """A second one."""
    with start_valkey(tmp_path / "pool", tcp=True) as server:
        server.client().config_set("requirepass", POOL)
        yield server


@pytest.fixture
def catalog(mariadb: DatabaseServer) -> Iterator[str]:
    """The URL of a database that wants a password."""
    with mariadb.database() as url:
        mariadb.execute(
            f"CREATE OR REPLACE USER secretive@localhost IDENTIFIED BY '{CATALOG}'",
            "GRANT ALL ON *.* TO secretive@localhost",
        )
        given = make_url(url).set(username="secretive", password=CATALOG)
        yield given.render_as_string(hide_password=False)


class Run:
    """A gateway that was given secrets, and what it has said to its clients."""

    def __init__(self, gateway: Gateway, tls: ssl.SSLContext, key: Path) -> None:
        self.gateway = gateway
        self.tls = tls
        self.key_lines = [line for line in key.read_text().splitlines() if "-" not in line]
        self.said: list[bytes] = []

    @property
    def secrets(self) -> list[str]:
        """What nobody may see."""
        return [STORE, CATALOG, POOL, METRICS, TOKEN, SIGNATURE, *self.key_lines]

    def ask(self, action: str, body: Any, form: Any = "json", **headers: str) -> int:
        """Send a request on a socket of its own; keeps the whole reply."""
        with Client(self.gateway.url, project="p", form=form, tls=self.tls) as client:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            reply = client.request(action, body, fields)
        self.said.append(json.dumps(reply.document, default=repr).encode())
        self.said.append(msgpack.packb(reply.document))
        return reply.status

    def http(self, path: str, upgrade: bool = False, **headers: str) -> int:
        """Send a plain request or a handshake; keeps the whole answer."""
        with RawSocket(self.gateway.url, handshake=False, tls=self.tls) as raw:
            request = raw.upgrade_request(**headers)
            if upgrade:
                raw.send(request)
                answer = raw.receive_head() + b"\r\n\r\n"
            else:
                raw.send(
                    request.replace(b"GET /", b"GET " + path.encode())
                    .replace(b"websocket", b"none")
                    .replace(b"Connection: Upgrade", b"Connection: close")
                )
                answer = raw.receive_rest()
        self.said.append(answer)
        return split_response(answer)[0]

    def processes(self) -> list[int]:
        """The program and all below it."""
        found = [self.gateway.pid]
        for parent in found:
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    found += [int(pid) for pid in children.read_text().split()]
        return found

    def written(self) -> Iterator[tuple[str, bytes]]:
        """All that it wrote or showed but for its replies: where, and what."""
        yield "log", "\n".join(self.gateway.log_lines).encode()
        for path in self.gateway.data_dir.rglob("*"):
            if path.is_file():
                yield str(path), path.read_bytes()

    def shown(self) -> Iterator[tuple[str, bytes]]:
        """What its processes show to others."""
        for pid in self.processes():
            # Its own environment is the operator's; what it hands on is the gateway's.
            for name in ("cmdline",) if pid == self.gateway.pid else ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    yield f"{name} of {pid}", Path(f"/proc/{pid}/{name}").read_bytes()


@pytest.fixture
def run(tmp_path: Path, store: Server, catalog: str) -> Iterator[Run]:
    authority = Authority()
    certificate, key = authority.issue(tmp_path)
    (tmp_path / "token").write_text(METRICS)
    environment = {
        "ZAQAR_GATEWAY_REDIS_URL": f"redis://:{STORE}@127.0.0.1:{store.tcp_port}",
        "ZAQAR_GATEWAY_CATALOG_URL": catalog,
        "ZAQAR_GATEWAY_METRICS_TOKEN_FILE": str(tmp_path / "token"),
    }
    upgrade = [sys.executable, "-m", "gateway", "catalog", "upgrade", "--data-dir", str(tmp_path / "data")]
    subprocess.run(upgrade, cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True)
    arguments = ("--tls-cert", str(certificate), "--tls-key", str(key), "--log-level", "debug")
    with start_gateway(tmp_path / "data", *arguments, "--workers", "2", environment=environment) as gateway:
        yield Run(gateway, authority.client_context(), key)


def use(run: Run, pool: Server) -> None:
    """Requests, good and bad, with secrets wherever they may stand."""
    headers = {"X_Auth_Token": TOKEN, "URL_Signature": SIGNATURE}
    good = {"queue_name": "q", "messages": [{"body": BODY}]}
    for form in ("json", "msgpack"):
        run.ask("authenticate", {}, form, **headers)
        assert run.ask("message_post", good, form, **headers) == 201
        assert run.ask("message_post", {**good, "messages": 1}, form, **headers) == 400
        assert run.ask("no_such_action", good, form, **headers) == 400
    uri = f"redis://:{POOL}@127.0.0.1:{pool.tcp_port}"
    assert run.ask("pool_create", {"pool_name": "second", "weight": 1, "uri": uri}) == 201
    assert run.ask("pool_get", {"pool_name": "second"}) == 200
    assert run.ask("pool_list", {"detailed": True}) == 200
    assert (
        run.ask("pool_create", {"pool_name": "third", "weight": 1, "uri": f"redis://:{POOL}x@host:99999"})
        == 400
    )
    assert (
        run.ask("pool_create", {"pool_name": "third", "weight": 1, "uri": uri.replace("@", "-wrong@")}) >= 400
    )
    assert run.http("/metrics") == run.http("/readyz") == 200
    assert run.http("/metrics", Authorization=f"Bearer {METRICS}") == 200
    signed = f"project=p&signature={SIGNATURE}&methods=GET&paths=/v2/queues/q/messages"
    assert run.http(f"/v2/queues/q/events?{signed}&expires=2099-01-01T00:00:00") == 404
    assert run.http("/none", Authorization=f"Bearer {TOKEN}") == 404
    assert run.http("/", upgrade=True, Authorization=f"Bearer {TOKEN}", X_Auth_Token=TOKEN) == 101
    assert run.http("/", upgrade=True, Sec_WebSocket_Protocol=f"zaqar-gateway.v1, bearer.{TOKEN}") == 101
    assert run.http("/", upgrade=True, Sec_WebSocket_Protocol=f"bearer.{TOKEN}, bearer.{TOKEN}") == 400
    assert run.http("/", upgrade=True, Origin="http://evil.example", X_Auth_Token=TOKEN) == 403


def suffer(run: Run, store: Server, mariadb: DatabaseServer) -> None:
    """What can go wrong, goes wrong."""
    worker = pids(run.gateway)[1]
    os.kill(worker, signal.SIGKILL)
    run.gateway.wait_event("worker_listening", count=3)
    assert not is_running(worker)
    run.gateway.send_signal(signal.SIGHUP)
    with redis.Redis(port=store.tcp_port or 0, password=STORE) as client:
        client.config_set("requirepass", "another")
        client.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: run.ask("message_list", {"queue_name": "q"}) == 503)
        client.config_set("requirepass", STORE)
    wait_until(lambda: run.ask("message_list", {"queue_name": "q"}) == 200)
    mariadb.stop()
    try:
        assert run.ask("queue_create", {"queue_name": "new"}) == 503
    finally:
        mariadb.start()
    store.kill()
    assert run.ask("message_list", {"queue_name": "q"}) == 503
    assert run.http("/readyz") == 503


def test_what_a_run_wrote_and_said(run: Run, store: Server, pool: Server, mariadb: DatabaseServer) -> None:
    use(run, pool)
    shown = list(run.shown())
    assert len(shown) >= 5, "the program's command line, and that and the environment of two workers"
    suffer(run, store, mariadb)
    shown += run.shown()
    run.gateway.terminate()
    run.gateway.wait()
    written = list(run.written())
    assert any(b'"level": "debug"' in content for _, content in written)
    for secret in run.secrets:
        for place, content in (*written, *shown, *(("a reply", said) for said in run.said)):
            assert secret.encode() not in content, f"{secret} is in {place}: {content[-2000:]!r}"
    for place, content in (*written, *shown):
        assert BODY.encode() not in content, place


def test_keys_and_tokens(tmp_path: Path) -> None:
    """With real keys: of the issuer, of signatures, and a password for a Keystone that is away."""
    issuer, signing = Issuer.new("HS256"), "signing-hunter2-signing"
    (tmp_path / "signing").write_text(f"{signing}\n")
    arguments = issuer.arguments(tmp_path)
    arguments[arguments.index("jwt")] = "jwt,keystone"
    environment = {
        "ZAQAR_GATEWAY_KEYSTONE_AUTH_URL": "http://127.0.0.1:9",
        "ZAQAR_GATEWAY_KEYSTONE_PASSWORD": CATALOG,
        "ZAQAR_GATEWAY_SIGNING_KEY_FILE": str(tmp_path / "signing"),
        "ZAQAR_GATEWAY_LOG_LEVEL": "debug",
    }
    good, refused, late = issuer.token(), Issuer.new("HS256").token(), issuer.token(seconds=-60)
    opaque = "gAAAAA-hunter2"
    said = []
    with start_gateway(tmp_path / "data", *arguments, environment=environment) as gateway:

        def authenticate(client: Client, token: str) -> int:
            reply = client.request("authenticate", {}, {"X-Auth-Token": token})
            said.append(json.dumps(reply.document))
            return reply.status

        with Client(gateway.url, project="p") as client:
            assert [authenticate(client, token) for token in (refused, late, opaque)] == [401, 401, 503]
            assert authenticate(client, good) == 200
            signed = client.request("queue_share", {"queue_name": "q"}).body
            said.append(json.dumps(client.request("queue_create", {"queue_name": "q"}).document))
        signature = signed["signature"]
        headers = {
            "URL-Signature": signature,
            "URL-Expires": signed["expires"],
            "URL-Methods": signed["methods"],
            "URL-Paths": signed["paths"],
        }
        with Client(gateway.url, project="p") as client:
            for expected, more in ((200, {}), (403, {"URL-Signature": signature[::-1]})):
                reply = client.request("message_list", {"queue_name": "q"}, {**headers, **more})
                said.append(json.dumps(reply.document))
                assert reply.status == expected
        said.append(http(gateway.http_url, "/metrics")[2].decode())
        command_line = Path(f"/proc/{gateway.pid}/cmdline").read_text()
    log = "\n".join(gateway.log_lines)
    assert '"authenticated"' in log
    assert '"authentication_failed"' in log
    for secret in (issuer.key, signing, CATALOG, good, refused, late, opaque, signature, signature[::-1]):
        for place, content in (("log", log), ("command line", command_line), ("replies", "\n".join(said))):
            assert secret not in content, f"{secret} is in the {place}"


@pytest.mark.parametrize("variable", ["REDIS_URL", "CATALOG_URL"])
def test_a_start_that_fails(tmp_path: Path, store: Server, variable: str) -> None:
    wrong = {
        "REDIS_URL": f"redis://:{POOL}@127.0.0.1:{store.tcp_port}",
        "CATALOG_URL": f"mysql+pymysql://nobody:{POOL}@127.0.0.1:{store.tcp_port}/none",
    }[variable]
    environment = {f"ZAQAR_GATEWAY_{variable}": wrong, "ZAQAR_GATEWAY_LOG_LEVEL": "debug"}
    gateway = launch_gateway(tmp_path / "data", environment=environment)
    assert gateway.wait(120) == 1  # it tries for a while
    gateway.wait_event("start_failed")
    assert POOL not in "\n".join(gateway.log_lines)
