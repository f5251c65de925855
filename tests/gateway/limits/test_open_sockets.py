"""How sockets are counted: in all, by address and by project."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.limits.sockets import OpenSockets, client_of
from gateway.settings import Settings


def limited(tmp_path: Path, share: int = 1, **chosen: int) -> OpenSockets:
    return OpenSockets(Settings(data_dir=tmp_path, **{"max_sockets": 0, **chosen}), share)  # type: ignore[arg-type]  # each of its own type


def refusals(found: OpenSockets, *addresses: str, sockets: int = 0) -> list[str]:
    """The limit that each new socket meets, or nothing, beside so many others."""
    refused = []
    for _ in range(sockets):
        found.opened()
    for address in addresses:
        refusal = found.enter(address)
        refused.append("" if refusal is None else refusal.limit)
        if refusal is None:
            found.opened()
            sockets += 1
    for _ in range(sockets):
        found.closed()
    return refused


def test_without_limits_there_may_be_any_number(tmp_path: Path) -> None:
    found = limited(tmp_path)
    assert not found.by_address
    assert not any(refusals(found, *["10.0.0.1"] * 1000))


def test_as_many_sockets_as_may_be(tmp_path: Path) -> None:
    found = limited(tmp_path, max_sockets=2)
    assert refusals(found, "10.0.0.1", "10.0.0.2", "10.0.0.3") == ["", "", "max_sockets"]
    assert refusals(found, "10.0.0.3", "10.0.0.1", sockets=1) == ["", "max_sockets"]


def test_an_address_takes_nothing_from_another(tmp_path: Path) -> None:
    found = limited(tmp_path, max_sockets_per_address=2)
    assert found.by_address
    assert refusals(found, *["10.0.0.1"] * 4) == ["", "", *["max_sockets_per_address"] * 2]
    assert refusals(found, "10.0.0.2") == [""]
    found.leave("10.0.0.1")
    assert refusals(found, "10.0.0.1", "10.0.0.1") == ["", "max_sockets_per_address"]


def test_a_refused_socket_is_not_counted(tmp_path: Path) -> None:
    found = limited(tmp_path, max_sockets=1, max_sockets_per_address=1)
    assert refusals(found, *["10.0.0.1"] * 3, sockets=1) == ["max_sockets"] * 3
    assert refusals(found, "10.0.0.1") == [""]
    assert refusals(found, *["10.0.0.1"] * 3) == ["max_sockets_per_address"] * 3
    found.leave("10.0.0.1")
    assert refusals(found, "10.0.0.1") == [""]


def test_the_whole_node_is_busy_and_one_address_sends_too_much(tmp_path: Path) -> None:
    found = limited(tmp_path, max_sockets=1, max_sockets_per_address=1)
    found.opened()
    everybody = found.enter("10.0.0.1")
    assert everybody is not None
    assert everybody.status == 503
    found.closed()
    assert found.enter("10.0.0.1") is None
    one = found.enter("10.0.0.1")
    assert one is not None
    assert one.status == 429


def test_a_project_takes_nothing_from_another(tmp_path: Path) -> None:
    found = limited(tmp_path, max_sockets_per_project=2)
    assert [found.enter_project("a") for _ in range(3)] == [True, True, False]
    assert found.enter_project("b")
    found.leave_project("a")
    assert [found.enter_project("a") for _ in range(2)] == [True, False]


def test_processes_divide_each_limit_rounded_up(tmp_path: Path) -> None:
    found = limited(tmp_path, share=4, max_sockets=9, max_sockets_per_address=6)
    assert refusals(found, *["10.0.0.1"] * 3, "10.0.0.2", "10.0.0.3") == [
        *["", ""],
        *["max_sockets_per_address", "", "max_sockets"],
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unix", "unix", True),
        ("unix", "", False),
    ],
)
def test_who_is_one_client(one: str, other: str, same: bool) -> None:
    assert (client_of(one) == client_of(other)) is same
