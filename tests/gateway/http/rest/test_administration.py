"""Pools, flavors and health over REST: for who says to be an administrator."""

from __future__ import annotations

from pathlib import Path

from tests.support.gateway import start_gateway
from tests.support.rest import Rest
from tests.support.servers import start_valkey


def test_pools_and_flavors(tmp_path: Path) -> None:
    with (
        start_valkey(tmp_path / "store", tcp=True) as store,
        start_gateway(tmp_path / "data") as gateway,
        Rest(gateway.http_url) as rest,
    ):
        uri = f"redis://127.0.0.1:{store.tcp_port}"
        pool = {"uri": uri, "weight": 3}
        assert rest.refused(403, "PUT", "/v2/pools/fast", pool) == "admin_only"
        made = rest.ask("PUT", "/v2/pools/fast", pool, X_Roles="member, Admin")
        assert (made.status, made.headers["location"]) == (201, "/v2/pools/fast")
        rest.refused(409, "PUT", "/v2/pools/fast", pool, X_Roles="admin")
        shown = rest.done("GET", "/v2/pools/fast", X_Roles="admin")
        assert (shown["name"], shown["uri"], shown["weight"], shown["href"]) == (
            *("fast", uri, 3),
            "/v2/pools/fast",
        )
        assert rest.done("PATCH", "/v2/pools/fast", {"weight": 4}, X_Roles="admin")["weight"] == 4
        page = rest.done("GET", "/v2/pools?limit=1", X_Roles="admin")
        assert [(one["name"], one["href"]) for one in page["pools"]] == [("default", "/v2/pools/default")]
        page = rest.done("GET", page["links"][0]["href"], X_Roles="admin")
        assert [one["name"] for one in page["pools"]] == ["fast"]

        rest.done("PUT", "/v2/flavors/quick", {"pool_list": ["fast"]}, X_Roles="admin")
        flavor = rest.done("GET", "/v2/flavors/quick", X_Roles="admin")
        assert (flavor["pool_list"], flavor["href"]) == (["fast"], "/v2/flavors/quick")
        assert "FIFO" in flavor["capabilities"]
        rest.refused(409, "DELETE", "/v2/pools/fast", X_Roles="admin")
        assert rest.ask("DELETE", "/v2/flavors/quick", X_Roles="admin").status == 204
        assert rest.ask("DELETE", "/v2/pools/fast", X_Roles="admin").status == 204
        rest.refused(404, "GET", "/v2/pools/fast", X_Roles="admin")


def test_health(rest: Rest) -> None:
    assert rest.refused(403, "GET", "/v2/health") == "admin_only"
    assert rest.done("GET", "/v2/health", X_Roles="admin")["storage_reachable"] is True


def test_who_says_to_be_an_administrator_where_nobody_can_be_one(tmp_path: Path) -> None:
    arguments = ("--host", "0.0.0.0", "--allow-anonymous")
    with start_gateway(tmp_path / "data", *arguments) as gateway:
        url = gateway.http_url.replace("0.0.0.0", "127.0.0.1")
        with Rest(url) as rest:
            assert rest.refused(403, "GET", "/v2/pools", X_Roles="admin") == "admin_only"
