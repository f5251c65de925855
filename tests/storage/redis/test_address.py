"""URLs of message stores: what they say, and what is wrong with them, without showing a password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.redis.address import Address, AddressError, Kind, Node, masked, parse

SERVER, SENTINEL, CLUSTER = Kind.SERVER, Kind.SENTINEL, Kind.CLUSTER


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://host", Address(SERVER, (Node("host", 6379),))),
        ("redis://host:6380/2", Address(SERVER, (Node("host", 6380),), database=2)),
        ("redis://host/?db=3", Address(SERVER, (Node("host", 6379),), database=3)),
        ("redis://:p%40ss@[::1]:6380", Address(SERVER, (Node("::1", 6380),), password="p@ss")),
        ("redis://:pa@ss@host", Address(SERVER, (Node("host", 6379),), password="pa@ss")),
        (
            "rediss://me:secret@host/?x=1",
            Address(SERVER, (Node("host", 6379),), tls=True, user="me", password="secret"),
        ),
        ("unix:///run/my%20redis.sock?db=1", Address(SERVER, path="/run/my redis.sock", database=1)),
        ("unix://:pw@/run/a@b.sock", Address(SERVER, path="/run/a@b.sock", password="pw")),
        ("unix:///run/s?password=pw", Address(SERVER, path="/run/s", password="pw")),
        (
            "redis+sentinel://a,b:1,[::1]/my%20service/4",
            Address(
                SENTINEL,
                (Node("a", 26379), Node("b", 1), Node("::1", 26379)),
                service="my service",
                database=4,
            ),
        ),
        (
            "redis+sentinel://me:pw@a/one",
            Address(SENTINEL, (Node("a", 26379),), service="one", user="me", password="pw"),
        ),
        (
            "redis+cluster://me:pw@a:1,b",
            Address(CLUSTER, (Node("a", 1), Node("b", 6379)), user="me", password="pw"),
        ),
        ("redis+cluster://a/0", Address(CLUSTER, (Node("a", 6379),))),
    ],
)
def test_what_a_url_says(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("hunter2", "must begin with redis://, rediss://, unix://, redis"),
        ("http://:hunter2@host", "must begin with"),
        ("redis:/:hunter2@host", "must begin with"),
        ("redis://:hun ter2@host", "a space or a control character"),
        ("redis://:hunter2/x@host", "A / in a user name or a password is written as %2F."),
        ("redis://me:123?hunter2@host", "A ? in a user name or a password is written as %3F"),
        ("redis://:hunter2@", "Server 1 is not of the form host:port."),
        ("redis://:hunter2@host:0", "The port of server 1 is not a number from 1 to 65535."),
        ("redis://host:hunter2", "Server 1 is not of the form host:port."),
        ("redis://[::1", "Server 1 is not of the form host:port."),
        ("redis://:hunter2@a,b", "several servers"),
        ("redis://:hunter2@a/b", "The database is not a number."),
        ("unix://:hunter2@", "The path of the Unix socket is missing"),
        ("redis+sentinel://:hunter2@a,b:x/one", "Server 2 is not of the form host:port."),
        ("redis+sentinel://:hunter2@a,b", "The service's name is missing"),
        ("redis+sentinel://:hunter2@a,b/one/two", "The database is not a number."),
        ("redis+cluster://:hunter2@a,,b", "Server 2 is not of the form host:port."),
        ("redis+cluster://:hunter2@a/1", "A cluster has database 0 only"),
    ],
)
def test_what_is_wrong_with_a_url(url: str, why: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse(url)
    assert why in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert "ter2" not in str(caught.value)


def test_an_address_shows_no_password() -> None:
    assert "hunter2" not in repr(parse("redis://:hunter2@host"))


def test_nodes_are_told_as_people_write_them() -> None:
    assert (str(Node("host", 1)), str(Node("::1", 2))) == ("host:1", "[::1]:2")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host", "redis://host:6379"),
        ("redis://:hunter2@host:1/2", "redis://:***@host:1/2"),
        ("rediss://me%40x:hunter2@[::1]/?db=3&x=hunter2", "rediss://me%40x:***@[::1]:6379/3"),
        ("redis://hunter2@host", "redis://***@host:6379"),
        ("redis://host/?password=hunter2", "redis://:***@host:6379"),
        ("redis://host/?p%61ssword=hunter2&username=me", "redis://me:***@host:6379"),
        ("redis://host?password=a@hunter2", "***"),
        ("redis://:a@hunter2@host", "redis://:***@host:6379"),
        ("unix:///run/my%20redis.sock?db=1", "unix:///run/my%20redis.sock?db=1"),
        ("unix://:hunter2@/run/a@b.sock", "unix://:***@/run/a%40b.sock"),
        ("redis+sentinel://me:hunter2@a,b:1/my%20one/4", "redis+sentinel://me:***@a:26379,b:1/my%20one/4"),
        ("redis+cluster://:hunter2@a:1,b", "redis+cluster://:***@a:1,b:6379"),
        ("redis://:hunter2@", "***"),
        ("hunter2", "***"),
    ],
)
def test_what_is_shown_has_no_password_and_leads_to_the_same_place(url: str, shown: str) -> None:
    assert masked(url) == shown
    if shown != "***":
        address, again = parse(url), parse(shown)
        assert (again.kind, again.nodes, again.path, again.tls) == (
            *(address.kind, address.nodes, address.path, address.tls),
        )
        assert (again.service, again.database) == (address.service, address.database)


# Without a colon: what stands before one is a user's name.
secrets = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=":"), min_size=1, max_size=8
).map("hunter2".__add__)


@given(
    secret=secrets,
    url=st.sampled_from(["redis://:{}@h", "redis://{}@h:1/2", "unix://u:{}@/s", "redis://h?{}"]),
)
def test_no_password_is_shown_however_it_is_given(secret: str, url: str) -> None:
    assert "hunter2" not in masked(url.format(secret))
    assert "hunter2" not in masked(url.format(quote(secret)))
    assert "hunter2" not in masked(url.format("password=" + quote(secret)))
