"""Where a message store is, from its URL: one server, a Sentinel service or a Cluster."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

FORMS = (
    "redis://, rediss:// or unix://, e.g. redis://:password@host:6379/0; "
    "redis+sentinel://:password@host:26379,host:26379/service; redis+cluster://:password@host:6379,host:6379"
)
"""What a URL may look like, for people."""

_PORT, _SENTINEL_PORT = 6379, 26379
_NODE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@\s]+)(?::([0-9]{1,5}))?")


class AddressError(ValueError):
    """A URL that cannot be used. The message says why, and shows nothing of it: it may hold a password."""


class Kind(enum.Enum):
    """What stands behind a URL."""

    SERVER = "one server"
    SENTINEL = "a Sentinel service"
    CLUSTER = "a cluster"


_KINDS = {
    "redis": Kind.SERVER,
    "rediss": Kind.SERVER,
    "unix": Kind.SERVER,
    "redis+sentinel": Kind.SENTINEL,
    "redis+cluster": Kind.CLUSTER,
}


class Node(NamedTuple):
    """A server on the network."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Address:
    """A message store's URL, read."""

    kind: Kind
    nodes: tuple[Node, ...] = ()
    """The server; the sentinels; some nodes of the cluster. Empty for a Unix socket."""
    path: str = ""
    """The Unix socket's."""
    service: str = ""
    """The name that the sentinels know the store by."""
    tls: bool = False
    user: str = ""
    password: str | None = field(default=None, repr=False)
    database: int = 0

    @property
    def login(self) -> list[tuple[str, ...]]:
        """The AUTH command, if there is a password."""
        return [] if self.password is None else [("AUTH", self.user or "default", self.password)]


def masked(url: str) -> str:
    """The URL as people may see it: made anew of what it says, without the password.

    A user without a password is of no use, so it may well be one, and is hidden too. Only `***` for what is
    no URL.
    """
    try:
        address = parse(url)
    except AddressError:
        return "***"
    login = ""
    if address.password:
        login = f"{quote(address.user)}:***@"
    elif address.user:
        login = "***@"
    scheme, database = url.partition("://")[0], f"/{address.database}" if address.database else ""
    if address.path:
        return f"{scheme}://{login}{quote(address.path)}" + database.replace("/", "?db=")
    service = f"/{quote(address.service)}" if address.service else ""
    return f"{scheme}://{login}{','.join(map(str, address.nodes))}{service}{database}"


def parse(url: str) -> Address:
    """Read a URL. Raises AddressError."""
    scheme, separator, rest = url.partition("://")
    kind = _KINDS.get(scheme)
    if kind is None or not separator:
        raise AddressError(f"It must begin with {', '.join(f'{each}://' for each in _KINDS)}.")
    if re.search(r"[\x00-\x20]", url):
        raise AddressError("It holds a space or a control character: write it as %20, %0A and so on.")
    rest, _, query = rest.partition("?")
    if "@" in query:  # who forgot to write a ? of the password as %3F would find parts of it taken for a host
        raise AddressError("A ? in a user name or a password is written as %3F, an @ behind a ? as %40.")
    options = dict(parse_qsl(query))
    place, slash, path = rest.partition("/")
    if "@" in path and "@" not in place and scheme != "unix":
        raise AddressError("A / in a user name or a password is written as %2F.")
    login, _, hosts = place.rpartition("@")
    user, colon, password = login.partition(":")
    user = options.get("username", unquote(user))
    secret = options.get("password", unquote(password) if colon else None)
    if scheme == "unix":
        if not path:
            raise AddressError("The path of the Unix socket is missing: unix:///path/to/socket.")
        return Address(
            kind,
            path=unquote(slash + path),
            database=_database(options.get("db", "")),
            user=user,
            password=secret,
        )
    nodes = _nodes(hosts, _SENTINEL_PORT if kind is Kind.SENTINEL else _PORT)
    service = ""
    if kind is Kind.SENTINEL:
        service, _, path = path.partition("/")
        if not service:
            raise AddressError("The service's name is missing: redis+sentinel://host:port,host:port/service.")
    elif kind is Kind.SERVER and len(nodes) > 1:
        raise AddressError("It names several servers, which only redis+sentinel:// and redis+cluster:// may.")
    database = _database(options.get("db", path))
    if kind is Kind.CLUSTER and database:
        raise AddressError("A cluster has database 0 only: leave the number out.")
    return Address(
        kind,
        nodes,
        service=unquote(service),
        tls=scheme == "rediss",
        database=database,
        user=user,
        password=secret,
    )


def _nodes(text: str, port: int) -> tuple[Node, ...]:
    found = []
    for number, part in enumerate(text.split(","), 1):
        match = _NODE.fullmatch(part)
        if match is None:
            raise AddressError(f"Server {number} is not of the form host:port.")
        told = port if match[2] is None else int(match[2])
        if not 1 <= told <= 65535:
            raise AddressError(f"The port of server {number} is not a number from 1 to 65535.")
        found.append(Node(unquote(match[1]).strip("[]"), told))
    return tuple(found)


def _database(text: str) -> int:
    if not re.fullmatch(r"[0-9]{0,5}", text):
        raise AddressError("The database is not a number.")
    return int(text or 0)
