"""Who may connect and who may see `/metrics`, as the settings say it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.http.access import LONGEST_TOKEN, Access
from gateway.settings import Settings
from tests.support.gateway import Gateway, launch_gateway, start_gateway
from tests.support.raw import RawSocket, split_response
from tests.support.reactor import wait_until

TOKEN = "s3cret-of-the-metrics"


def access(tmp_path: Path, **settings: object) -> Access:
    return Access(Settings(data_dir=tmp_path, **settings))  # type: ignore[arg-type]  # each of its own type


def sees(access: Access, peer: str, **headers: str) -> bool:
    return access.may_see_private_pages(
        peer, {name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_hosts_are_those_of_this_machine_unless_told(tmp_path: Path) -> None:
    default = access(tmp_path, host="127.0.0.2")
    for host in ("localhost:9000", "127.0.0.1", "[::1]", "127.0.0.2:1"):
        assert default.host_allowed(host)
    assert not default.host_allowed("gateway.example")
    told = access(tmp_path, allowed_hosts=("gateway.example",))
    assert told.host_allowed("gateway.example:443")
    assert not told.host_allowed("localhost")
    assert access(tmp_path, allow_anonymous=True).host_allowed("gateway.example")
    assert not access(tmp_path, allow_anonymous=True, allowed_hosts=("a",)).host_allowed("gateway.example")


def test_pages_are_everybodys_only_where_everybody_may_connect(tmp_path: Path) -> None:
    page = {"host": "localhost", "origin": "https://app.example"}
    assert not access(tmp_path).origin_allowed(page)
    assert access(tmp_path, allowed_origins=("https://app.example",)).origin_allowed(page)
    assert not access(tmp_path, allowed_hosts=("*",)).origin_allowed(page)
    assert access(tmp_path, allow_anonymous=True).origin_allowed(page)
    assert not access(tmp_path, allow_anonymous=True, allowed_origins=("null",)).origin_allowed(page)


def test_private_pages_are_for_this_machine(tmp_path: Path) -> None:
    default = access(tmp_path)
    for peer in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert sees(default, peer)
    for peer in ("192.0.2.1", "::ffff:192.0.2.1", "10.0.0.1", "", "socket"):
        assert not sees(default, peer)
    assert sees(access(tmp_path, public_metrics=True), "192.0.2.1")


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "via"])
def test_what_a_proxy_passed_on_is_not_from_this_machine(tmp_path: Path, header: str) -> None:
    assert not sees(access(tmp_path), "127.0.0.1", **{header: "127.0.0.1"})


def test_behind_a_trusted_proxy_the_forwarded_address_counts(tmp_path: Path) -> None:
    behind = access(tmp_path, trusted_proxies=("127.0.0.0/8",))
    assert sees(behind, "127.0.0.1")
    assert sees(behind, "127.0.0.1", x_forwarded_for="127.0.0.1", via="1.1 proxy")
    for forwarded in ("192.0.2.1", "127.0.0.1, 192.0.2.1", "unix:", "", "127.0.0.1,"):
        assert not sees(behind, "127.0.0.1", x_forwarded_for=forwarded)
    assert behind.client_address("127.0.0.1", {"x-forwarded-for": "192.0.2.1"}) == "192.0.2.1"


def test_the_token_opens_them_from_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    with_token = access(tmp_path, metrics_token_file=path)
    assert sees(with_token, "192.0.2.1", authorization=f"Bearer {TOKEN}")
    assert sees(with_token, "192.0.2.1", authorization=f"bearer  {TOKEN} ")
    for wrong in (
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        "Bearer s3cret",
        "Bearer é€",
    ):
        assert not sees(with_token, "192.0.2.1", authorization=wrong)
    assert not sees(access(tmp_path), "192.0.2.1", authorization="Bearer ")


@pytest.mark.parametrize("content", ["", "\n", "two\nlines", "x" * (LONGEST_TOKEN + 1)])
def test_a_token_has_to_be_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    with pytest.raises(ValueError, match="one line"):
        access(tmp_path, metrics_token_file=path)


# --- on the port ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with names, pages, a proxy and a token of its own."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "token").write_text(TOKEN)
    arguments = (
        *("--allowed-hosts", "gateway.example, 127.0.0.1", "--allowed-origins", "https://app.example,null"),
        *("--trusted-proxies", "127.0.0.1", "--metrics-token-file", str(folder / "token")),
    )
    with start_gateway(folder / "data", *arguments) as running:
        yield running


def ask(gateway: Gateway, path: str, **headers: str) -> int:
    fields = {"Host": "gateway.example", "Connection": "close", **headers}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    with RawSocket(gateway.http_url, handshake=False) as raw:
        raw.send("\r\n".join(lines).encode())
        return split_response(raw.receive_rest())[0]


def test_metrics_are_private(guarded: Gateway) -> None:
    assert ask(guarded, "/metrics") == 200
    far = {"X-Forwarded-For": "192.0.2.1"}
    assert ask(guarded, "/metrics", **far) == 403
    assert ask(guarded, "/metrics/x", **far) == 403
    assert ask(guarded, "/metrics/x") == 404
    assert ask(guarded, "/metrics", **far, Authorization=f"Bearer {TOKEN}") == 200
    assert ask(guarded, "/metrics", **far, Authorization="Bearer wrong") == 403
    for path in ("/healthz", "/readyz"):
        assert ask(guarded, path, **far) == 200


def test_hosts_and_pages_as_told(guarded: Gateway) -> None:
    assert ask(guarded, "/healthz", Host="localhost") == 421
    for origin, status in [("https://app.example", 101), ("null", 101), ("https://gateway.example:1", 101)]:
        with RawSocket(guarded.url, handshake=False) as raw:
            raw.send(raw.upgrade_request(Host="gateway.example", Origin=origin))
            assert raw.receive_head().startswith(b"HTTP/1.1 %d " % status)
    with RawSocket(guarded.url, handshake=False) as raw:
        # The host is looked at first.
        raw.send(raw.upgrade_request(Host="evil.example", Origin="https://evil.example"))
        assert split_response(raw.receive_rest())[0] == 421
    with RawSocket(guarded.url, handshake=False) as raw:
        raw.send(raw.upgrade_request(Host="gateway.example", Origin="https://evil.example"))
        status, _, _ = split_response(raw.receive_rest())
        assert status == 403


def test_the_log_tells_the_clients_own_address(guarded: Gateway) -> None:
    with RawSocket(guarded.url, handshake=False) as raw:
        raw.send(raw.upgrade_request(X_Forwarded_For="9.9.9.9, 192.0.2.7"))
        raw.receive_head()
        here = ":".join(map(str, raw.socket.getsockname()))

    def clients() -> list[str]:
        opened = [event for event in guarded.events if event["event"] == "connection_opened"]
        return [event["client"] for event in opened if event["peer"].endswith(here)]

    wait_until(clients)
    assert clients() == ["192.0.2.7"]


def test_a_token_that_cannot_be_read_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    gateway = launch_gateway(tmp_path / "data", "--metrics-token-file", str(tmp_path / "none"))
    assert gateway.wait() == 1
    assert str(tmp_path / "none") in gateway.wait_event("start_failed")["reason"]
