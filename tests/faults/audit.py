"""Whether a gateway kept its promises: what is in the queue, and what the clients were told."""

from __future__ import annotations

from tests.faults.load import CLAIM_TTL, QUEUE, Ledger, all_messages
from tests.support.client import Client


def check(client: Client, ledger: Ledger) -> None:
    """Compare the queue with what the clients were told. None of them is at work; from then on it counts."""
    assert not ledger.faults, ledger.faults
    messages = all_messages(client)
    bodies = [message["body"] for message in messages]
    there = set(bodies)
    assert len(bodies) == len(there), f"twice: {sorted(body for body in there if bodies.count(body) > 1)}"

    lost = ledger.acknowledged.keys() - ledger.deleted - ledger.perhaps_deleted - there
    assert not lost, f"acknowledged and lost: {lost}"
    assert not there & ledger.deleted, f"deleted and back: {there & ledger.deleted}"
    assert not there & ledger.refused, f"refused and there: {there & ledger.refused}"
    assert there <= ledger.acknowledged.keys() | ledger.unknown
    for message in messages:
        assert ledger.acknowledged.get(message["body"], message["id"]) == message["id"]

    position = {body: place for place, body in enumerate(bodies)}
    by_client: dict[str, list[int]] = {}
    for body in ledger.acknowledged:
        if body in position:
            by_client.setdefault(body.rpartition("-")[0], []).append(position[body])
    for name, places in by_client.items():
        assert places == sorted(places), f"the messages of client {name} are out of order"

    # From here on the store is what is known.
    ledger.acknowledged = {message["body"]: message["id"] for message in messages}
    ledger.unknown.clear()
    ledger.deleted |= ledger.perhaps_deleted - there
    ledger.perhaps_deleted.clear()
    _check_claims(client, ledger, {message["id"]: message["claim_id"] for message in messages})


def _check_claims(client: Client, ledger: Ledger, shown: dict[str, str | None]) -> None:
    """Every claim that was handed out still holds what it held; nothing of it is handed out again."""
    held: set[str] = set()
    for claim_id, promised in ledger.claims.items():
        reply = client.request("claim_get", {"queue_name": QUEUE, "claim_id": claim_id})
        expected = {message_id for message_id, body in promised.items() if body not in ledger.deleted}
        if reply.status == 404:  # a claim whose last message was deleted may be shown without any, or be gone
            assert not expected, f"claim {claim_id} is gone, and held {expected}"
            continue
        assert reply.status == 200, reply.document
        holds = [message["id"] for message in reply.body["messages"]]
        assert sorted(holds) == sorted(expected), claim_id
        assert all(shown[message_id] == claim_id for message_id in holds)
        assert not held & set(holds), f"held by two claims: {held & set(holds)}"
        held |= set(holds)

    free = {message_id for message_id, claim_id in shown.items() if claim_id is None}
    handed_out: list[str] = []
    probes: list[str] = []
    while True:
        reply = client.request("claim_create", {"queue_name": QUEUE, "ttl": CLAIM_TTL, "limit": 20})
        if reply.status == 204:
            break
        assert reply.status == 201, reply.document
        probes.append(reply.body["claim_id"])
        handed_out += [message["id"] for message in reply.body["messages"]]
    assert sorted(handed_out) == sorted(free)
    assert not held & set(handed_out)

    # Half of the claims go on into the next round; the others, and those that nobody knows of, are released.
    unknown = {claim_id for claim_id in shown.values() if claim_id} - ledger.claims.keys()
    ended = list(ledger.claims)[::2]
    for claim_id in [*probes, *unknown, *ended]:
        assert client.request("claim_delete", {"queue_name": QUEUE, "claim_id": claim_id}).status == 204
        ledger.claims.pop(claim_id, None)
    ledger.perhaps_released.clear()
