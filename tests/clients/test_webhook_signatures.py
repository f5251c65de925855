"""Both clients' verifiers against what a gateway delivers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.expect import done, post
from tests.support.gateway import Gateway, start_gateway
from tests.support.javascript import INSTALL_TIMEOUT, install, run
from tests.support.receiver import Received, receiving
from tests.support.rest import Rest
from tests.support.webhooks import subscribe
from zaqar_gateway_client import SignatureInvalid, verify_webhook

pytestmark = pytest.mark.timeout(INSTALL_TIMEOUT + 180)

NEW, OLD = "the-new-key-of-the-operator", "the-old-key-of-the-operator"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    keys = tmp_path / "keys"
    keys.write_text(f"{NEW}\n{OLD}")
    settings = ("--webhook-allowed-networks", "127.0.0.1", "--signing-key-file", str(keys))
    with start_gateway(tmp_path / "data", *settings) as running:
        yield running


def secret_of(client: Client, queue: str, subscription: str) -> str:
    named = {"queue_name": queue, "subscription_id": subscription}
    secret: str = done(client.request("subscription_get", named), 200)["signature_secret"]
    return secret


def delivered(gateway: Gateway) -> tuple[dict[str, str], dict[str, Received]]:
    """What a gateway has sent to two webhooks, and their secrets."""
    with receiving() as receiver, Client(gateway.url, project="p") as client:
        secrets = {}
        for path in ("/a", "/b"):
            asked = {"queue_name": "q", "subscriber": receiver.url.rstrip("/") + path}
            told = done(client.request("subscription_create", asked), 201)
            secrets[path] = told["signature_secret"]
            assert secret_of(client, "q", told["subscription_id"]) == secrets[path]
        listed = done(client.request("subscription_list", {"queue_name": "q"}), 200)
        assert "signature_secret" not in json.dumps(listed)
        post(client, "q", "caf\u00e9")
        return secrets, {each.path: each for each in receiver.wait_for(2)}


def test_the_python_client_verifies(gateway: Gateway) -> None:
    secrets, came = delivered(gateway)
    for path, other in (("/a", "/b"), ("/b", "/a")):
        verify_webhook(came[path].headers, came[path].data, secrets[path])
        with pytest.raises(SignatureInvalid):
            verify_webhook(came[path].headers, came[path].data, secrets[other])
        with pytest.raises(SignatureInvalid):
            verify_webhook(came[other].headers, came[path].data + b" ", secrets[path])
    assert not [line for line in gateway.log_lines for secret in secrets.values() if secret in line]


def test_the_javascript_client_verifies(gateway: Gateway) -> None:
    install()
    secrets, came = delivered(gateway)
    script = """
      import { verifyWebhook } from "./src/webhook.js";
      const { secrets, came } = JSON.parse(process.argv[1]);
      const outcomes = {};
      for (const [path, { headers, data }] of Object.entries(came)) {
        for (const [of, secret] of Object.entries(secrets)) {
          const body = Buffer.from(data, "latin1");
          const verified = verifyWebhook(headers, body, secret);
          outcomes[path + of] = await verified.then(() => "good", ({ name }) => name);
        }
      }
      console.log(JSON.stringify(outcomes));
    """
    told = {
        path: {"headers": dict(each.headers), "data": each.data.decode("latin-1")}
        for path, each in came.items()
    }
    given = json.dumps({"secrets": secrets, "came": told})
    outcomes = json.loads(run("node", "--input-type=module", "--eval", script, given))
    assert outcomes == {
        "/a/a": "good",
        "/a/b": "SignatureInvalid",
        "/b/a": "SignatureInvalid",
        "/b/b": "good",
    }


def test_a_secret_stays_good_while_its_key_does(gateway: Gateway, tmp_path: Path) -> None:
    """The operator changes the key: who has a secret by the old one goes on, until that key is taken out."""
    with receiving() as receiver, Client(gateway.url, project="p") as client:
        subscription = subscribe(client, "q", receiver.url)
        before = secret_of(client, "q", subscription)
    gateway.stop()
    (tmp_path / "keys").write_text(f"the-newest-key-of-the-operator\n{NEW}")
    settings = ("--webhook-allowed-networks", "127.0.0.1", "--signing-key-file", str(tmp_path / "keys"))
    with (
        start_gateway(tmp_path / "data", *settings) as again,
        receiving(receiver.port) as receiver,
        Client(again.url, project="p") as client,
    ):
        after = secret_of(client, "q", subscription)
        assert after != before
        post(client, "q", 1)
        (received,) = receiver.wait_for(1)
    for secret in (before, after, [before, after]):
        verify_webhook(received.headers, received.data, secret)


def test_secrets_over_rest(gateway: Gateway) -> None:
    with Rest(gateway.http_url, project="p") as rest:
        path = "/v2/queues/q/subscriptions"
        created = rest.done("POST", path, {"subscriber": "http://203.0.113.1/"})
        assert len(created["signature_secret"]) == 64
        shown = rest.done("GET", f"{path}/{created['subscription_id']}")
        assert shown["signature_secret"] == created["signature_secret"]
        assert shown["delivery"] == {"delivered": 0, "failed": 0, "missed": 0, "last_error": ""}
        # Told its id once more, as it is not confirmed.
        assert rest.done("POST", path, {"subscriber": "http://203.0.113.1/"}) == created
        (listed,) = rest.done("GET", path)["subscriptions"]
        assert not {"signature_secret", "delivery"} & set(listed)
        mail = rest.done("POST", path, {"subscriber": "mailto:a@b.example"})
        assert "signature_secret" not in mail
