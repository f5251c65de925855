"""Clients that post, claim and delete at random, and a ledger of what the gateway has promised them.

A reply that came is a promise. A request without a reply, or one whose reply leaves that open (`UNSURE`), was
done or not: the ledger then allows both. What any other 503 told was not done.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.support.client import Client, Reply

QUEUE = "jobs"
PROJECT = "load"
UNSURE = ("outcome_unknown", "too_few_replicas")
"""Codes of 503 that leave open whether it was done, or will last."""

CLAIM_TTL = 43_200
"""Seconds: no claim ends by itself in a test."""


@dataclass
class Ledger:
    """What all clients were told, by message body and claim id. Every change is made under `lock`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Posted and answered: body -> id, in the order of the answers, which is that of each client's posts."""
    unknown: set[str] = field(default_factory=set)
    """Bodies whose post has no answer."""
    refused: set[str] = field(default_factory=set)
    """Bodies that must not be there."""
    deleted: set[str] = field(default_factory=set)
    perhaps_deleted: set[str] = field(default_factory=set)
    claims: dict[str, dict[str, str]] = field(default_factory=dict)
    """Claims in force: claim id -> what it holds, id -> body."""
    perhaps_released: set[str] = field(default_factory=set)
    """Claims whose release has no answer."""
    faults: list[str] = field(default_factory=list)

    def claimed(self, claim_id: str, messages: dict[str, str]) -> None:
        """A claim was handed out: none of its messages may be in another that is in force."""
        for other, held in self.claims.items():
            if twice := held.keys() & messages.keys():
                self.faults.append(f"claims {claim_id} and {other} were both handed {twice}")
        if gone := self.deleted & set(messages.values()):
            self.faults.append(f"claim {claim_id} was handed deleted messages {gone}")
        self.claims[claim_id] = messages


class Worker(threading.Thread):
    """One client with a socket of its own. It ends when told to, or when its connection breaks."""

    def __init__(self, url: str, name: str, ledger: Ledger, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.posted = 0
        """Posts answered with 201."""
        self.unavailable = 0
        """Requests answered with 503."""
        self._url = url
        self._ledger = ledger
        self._random = random.Random(seed)
        self._number = 0
        self._claims: list[str] = []
        self._ended = threading.Event()
        self.start()

    def end(self) -> None:
        """Stop after the request under way, and wait for that."""
        self._ended.set()
        self.join(30)
        assert not self.is_alive(), f"{self.name} hangs"

    def run(self) -> None:
        try:
            with Client(self._url, project=PROJECT) as client:
                while not self._ended.is_set():
                    self._step(client)
        except (ConnectionClosed, OSError):
            return  # the gateway was killed; the ledger has the request under way as unknown
        # Whatever else it is must fail the test, which reads the ledger.
        except Exception as error:
            with self._ledger.lock:
                self._ledger.faults.append(f"{self.name}: {error!r}")
            raise

    def _step(self, client: Client) -> None:
        if len(self._claims) > 3:
            self._work_off(client, self._claims.pop(0))
        elif self._random.random() < 0.5:
            self._post(client)
        else:
            self._claim(client)

    def _post(self, client: Client) -> None:
        bodies = []
        for _ in range(self._random.randint(1, 3)):
            self._number += 1
            bodies.append(f"{self.name}-{self._number}")
        ledger = self._ledger
        with ledger.lock:
            ledger.unknown.update(bodies)
        reply = client.request(
            "message_post", {"queue_name": QUEUE, "messages": [{"body": body} for body in bodies]}
        )
        with ledger.lock:
            if self._was_done(reply, 201):
                ledger.unknown.difference_update(bodies)
                ledger.acknowledged.update(zip(bodies, reply.body["message_ids"], strict=True))
                self.posted += 1
            elif reply.body["code"] not in UNSURE:
                ledger.unknown.difference_update(bodies)
                ledger.refused.update(bodies)

    def _claim(self, client: Client) -> None:
        limit = self._random.randint(1, 5)
        reply = client.request("claim_create", {"queue_name": QUEUE, "ttl": CLAIM_TTL, "limit": limit})
        with self._ledger.lock:
            if self._was_done(reply, 201, 204) and reply.status == 201:
                claim_id = reply.body["claim_id"]
                held = {message["id"]: message["body"] for message in reply.body["messages"]}
                self._ledger.claimed(claim_id, held)
                self._claims.append(claim_id)

    def _work_off(self, client: Client, claim_id: str) -> None:
        """Delete some or all messages of a claim, then give it back, or keep it: it must outlive the kill."""
        ledger = self._ledger
        with ledger.lock:
            held = ledger.claims[claim_id].copy()
        for message_id, body in list(held.items())[: self._random.randint(0, len(held))]:
            with ledger.lock:
                ledger.perhaps_deleted.add(body)
            request = {"queue_name": QUEUE, "message_id": message_id, "claim_id": claim_id}
            reply = client.request("message_delete", request)
            with ledger.lock:
                if self._was_done(reply, 204):
                    ledger.perhaps_deleted.discard(body)
                    ledger.deleted.add(body)
                    del ledger.claims[claim_id][message_id]
                elif reply.body["code"] not in UNSURE:
                    ledger.perhaps_deleted.discard(body)
        if self._random.random() < 0.7:
            with ledger.lock:
                kept = ledger.claims.pop(claim_id)
                ledger.perhaps_released.add(claim_id)
            reply = client.request("claim_delete", {"queue_name": QUEUE, "claim_id": claim_id})
            with ledger.lock:
                if self._was_done(reply, 204):
                    ledger.perhaps_released.discard(claim_id)
                elif reply.body["code"] not in UNSURE:
                    ledger.perhaps_released.discard(claim_id)
                    ledger.claimed(claim_id, kept)

    def _was_done(self, reply: Reply, *statuses: int) -> bool:
        if reply.status in statuses:
            return True
        if reply.status != 503 or not isinstance(reply.body.get("code"), str):
            self._ledger.faults.append(f"{self.name} was told {reply.document!r:.300}")
        self.unavailable += 1
        return False


def all_messages(client: Client, queue: str = QUEUE) -> list[dict[str, Any]]:
    """Every message of a queue in its order, the claimed ones too."""
    found: list[dict[str, Any]] = []
    marker: str | None = None
    while True:
        body = {"queue_name": queue, "limit": 20, "echo": True, "include_claimed": True}
        if marker is not None:
            body["marker"] = marker
        reply = client.request("message_list", body)
        assert reply.status == 200, reply.document
        found += reply.body["messages"]
        if not reply.body["messages"]:
            return found
        marker = reply.body["marker"]
