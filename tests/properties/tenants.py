"""Two projects on one gateway, and each of them alone on another: what one is told must be the same in both.

Each request of a project goes to the gateway that both are on, and to the one that it has for itself. There,
ids that the other project was given are replaced by ids of the same form that are nobody's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from protocol.extension import SUBPROTOCOL
from tests.support.client import Client, Reply
from tests.support.tokens import Issuer

Who = Literal["one", "two"]

CLIENT_ID = "11111111-1111-4111-8111-111111111111"
"""Of both projects: they differ in nothing but the project."""

POSTED = ["q", "q.r", "r", "Q", "-"]
"""Queues that both use, each its own."""

SILENT: Mapping[Who, str] = {"one": "silent-one", "two": "silent-two"}
"""The queue with a project's consumers, to which the other one posts and it does not itself."""

NO_NAMES = ["q{r}", "q/../r", "q:r", "q ", " q", "", "q\n", "q\0", "é", "q" * 65, "%71"]

NAMES = [*POSTED, *SILENT.values(), *NO_NAMES]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MARKER = re.compile(r"[0-9]{16}")
_SECRET = re.compile(r"\b[0-9a-f]{64}\b")
_VARYING = re.compile(rf"{_UUID.pattern}|\b{_MARKER.pattern}\b|{_SECRET.pattern}")
_PASSING = {"age", "created", "seconds", "ref", "server_time"}
_TOLD_LATER = {*_PASSING, "marker"}


class Step(NamedTuple):
    """One request of one project."""

    who: Who
    action: str
    queue: int
    """Number of a name."""
    theirs: bool
    """Whether the id in it is one of those that the other project was given."""
    id: int
    """Which of them."""
    number: int
    """Chooses among the other fields."""
    pretend: bool = False
    """Whether X-Project-ID is the other project."""


def body_of(step: Step, queue: str, known: str) -> dict[str, Any]:
    """The body of a request. Every action is here, with every field that names something."""
    number, where = step.number, {"queue_name": queue}
    dead_letters = {"_max_claim_count": number, "_dead_letter_queue": POSTED[number % 3]}
    bodies: Mapping[str, dict[str, Any]] = {
        "get_home_doc": {},
        "ping_node": {},
        "describe": {},
        "queue_create": {**where, "metadata": dead_letters if number > 2 else {"n": number}},
        "queue_list": {"marker": queue, "detailed": True} if number % 2 else {"limit": number + 1},
        "queue_get": where,
        "queue_update": {**where, "patch": [{"op": "add", "path": "/metadata/a", "value": number}]},
        "queue_delete": where,
        "queue_get_stats": where,
        "queue_purge": where,
        "queue_share": {**where, "expires": "2035-01-01T00:00:00"},
        "message_post": {
            **where,
            "messages": [{"body": number, "dedup_id": f"d{number}"}, {"body": [step.who]}],
        },
        "message_list": {
            **where,
            "echo": True,
            **({"marker": known} if number % 2 else {"include_claimed": True}),
        },
        "message_get": {**where, "message_id": known},
        "message_get_many": {**where, "message_ids": [known]},
        "message_delete": {**where, "message_id": known, **({"claim_id": known} if number % 2 else {})},
        "message_delete_many": {**where, **({"message_ids": [known]} if number % 2 else {"pop": 1})},
        "message_release": {**where, "message_ids": [known], "claim_id": known},
        "claim_create": {**where, "limit": number + 1},
        "claim_get": {**where, "claim_id": known},
        "claim_update": {**where, "claim_id": known, "ttl": 60},
        "claim_delete": {**where, "claim_id": known},
        "claim_subscribe": {"queue_name": SILENT[step.who], "credit": 2},
        "claim_unsubscribe": {**where, "claim_id": known},
        "subscription_create": {
            **where,
            **({"subscriber": f"http://{number}.example/"} if number % 2 else {}),
            **({"from": known} if number > 2 else {}),
        },
        "subscription_list": {**where, **({"marker": known} if number % 2 else {})},
        "subscription_get": {**where, "subscription_id": known},
        "subscription_update": {**where, "subscription_id": known, "ttl": 600},
        "subscription_delete": {**where, "subscription_id": known},
        "subscription_confirm": {**where, "subscription_id": known, "confirmed": number % 2 == 0},
        "check_node_health": {},
        "pool_create": {"pool_name": "p", "uri": "redis://localhost", "weight": 1},
        "pool_list": {},
        "pool_get": {"pool_name": "default"},
        "pool_update": {"pool_name": "default", "weight": 0},
        "pool_delete": {"pool_name": "default"},
        "flavor_create": {"flavor_name": "f", "pool_list": ["default"]},
        "flavor_list": {},
        "flavor_get": {"flavor_name": "f"},
        "flavor_update": {"flavor_name": "f", "pool_list": []},
        "flavor_delete": {"flavor_name": "f"},
    }
    return bodies[step.action]


def nobodys(known: str) -> str:
    """An id or marker that is nobody's, of the same form; a marker is only a time, and stays."""
    return known if _MARKER.fullmatch(known) else f"{known[:-1]}{int(known[-1], 16) ^ 1:x}"


@dataclass
class Side:
    """A project on one gateway: its socket, what it has seen, and what it calls that."""

    client: Client
    ids: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def learn(self, value: Any) -> None:
        """Remember the ids and markers in a reply, in their order."""
        if isinstance(value, dict):
            for item in value.values():
                self.learn(item)
        elif isinstance(value, list):
            for item in value:
                self.learn(item)
        elif isinstance(value, str) and (_UUID.fullmatch(value) or _MARKER.fullmatch(value)):
            self.name(value)
            if value not in self.ids:
                self.ids.append(value)

    def name(self, known: str) -> str:
        return self.names.setdefault(known, f"<{len(self.names)}>")

    def told(self, value: Any, without: set[str]) -> Any:
        """What it was told, with names for what is another in every run."""
        if isinstance(value, dict):
            return {key: self.told(item, without) for key, item in value.items() if key not in without}
        if isinstance(value, list):
            return [self.told(item, without) for item in value]
        if isinstance(value, str):
            found = re.sub(r"http://127\.0\.0\.1:\d+/", "http://here/", value)
            return _VARYING.sub(lambda match: self.name(match[0]), found)
        return value


class Tenants:
    """The projects `one` and `two` on the gateway `both`, and each alone on one of the gateways `alone`."""

    def __init__(
        self, issuer: Issuer, both: str, alone: Mapping[Who, str], projects: Mapping[Who, str]
    ) -> None:
        self._closing = ExitStack()
        self.projects = projects
        self.together: dict[Who, Side] = {}
        self.alone: dict[Who, Side] = {}
        for who, project in projects.items():
            for sides, url in ((self.together, both), (self.alone, alone[who])):
                client = Client(
                    url, project=project, client_id=CLIENT_ID, subprotocol=SUBPROTOCOL, timeout=60
                )
                sides[who] = Side(self._closing.enter_context(client))
                token = issuer.token(project=project)
                assert client.request("authenticate", {}, {"X-Auth-Token": token}).status == 200

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def do(self, step: Step) -> None:
        """Send a request to both gateways. AssertionError if the answers tell them apart."""
        together, alone = self.together[step.who], self.alone[step.who]
        queue = NAMES[step.queue % len(NAMES)]
        if step.action == "message_post" and queue == SILENT[step.who]:
            queue = POSTED[0]
        real, other = self._ids(step)
        headers = (
            {"X-Project-ID": self.projects["two" if step.who == "one" else "one"]} if step.pretend else {}
        )
        told = []
        for side, known in ((together, real), (alone, other)):
            reply = side.client.request(step.action, body_of(step, queue, known), headers)
            side.learn(reply.body)
            told.append(self._told(side, step, reply))
        assert told[0] == told[1], f"{step}\ntogether: {told[0]}\nalone: {told[1]}"
        if step.pretend:
            assert told[0][0] == 403

    def _ids(self, step: Step) -> tuple[str, str]:
        """The id in a request, on the gateway of both and on the other."""
        together, alone = self.together[step.who], self.alone[step.who]
        if step.theirs:
            ids = self.together["two" if step.who == "one" else "one"].ids
            if ids:
                known = ids[step.id % len(ids)]
                if not _MARKER.fullmatch(known):
                    alone.names[nobodys(known)] = together.name(known)
                return known, nobodys(known)
        elif together.ids:
            number = step.id % len(together.ids)
            return together.ids[number], alone.ids[number]
        return "none", "none"

    def _told(self, side: Side, step: Step, reply: Reply) -> tuple[int, str]:
        return reply.status, json.dumps(side.told(reply.body, _PASSING), sort_keys=True)

    def compare_pushes(self) -> None:
        """What was pushed to a project is the same on both gateways. Comes last: waits for the last push."""
        for round_ in range(2):  # what the first round pushes to the wrong one has come by the second
            for who in self.projects:
                for name in POSTED:
                    for side in (self.together[who], self.alone[who]):
                        assert side.client.request("subscription_create", {"queue_name": name}).status in (
                            201,
                            409,
                        )
                        end = {"queue_name": name, "messages": [{"body": {"end": round_}}]}
                        side.learn(side.client.request("message_post", end).body)
            for who in self.projects:
                for side in (self.together[who], self.alone[who]):
                    while self._ends(side, round_) < len(POSTED):
                        side.client.wait_notifications(len(side.client.notifications) + 1)
        for who in self.projects:
            assert self._pushed(self.together[who]) == self._pushed(self.alone[who])

    @staticmethod
    def _ends(side: Side, round_: int) -> int:
        return sum(pushed.get("body") == {"end": round_} for pushed in side.client.notifications)

    @staticmethod
    def _pushed(side: Side) -> list[str]:
        pushed = side.client.notifications
        return sorted(json.dumps(side.told(each, _TOLD_LATER), sort_keys=True) for each in pushed)
