"""The asyncio client of zaqar-gateway.

::

    async with connect("ws://127.0.0.1:9000/", project="demo") as gateway:
        await gateway.queue("news").post({"hello": "world"})
        async for message in gateway.subscribe("news", from_="earliest"):
            print(message.body)
"""

from __future__ import annotations

import ssl
import uuid

from zaqar_gateway_client.claim import Claim
from zaqar_gateway_client.codec import Form
from zaqar_gateway_client.consumer import Consumer, Handler
from zaqar_gateway_client.errors import (
    BadRequest,
    CallTimeout,
    Closed,
    Conflict,
    ConnectFailed,
    ConnectionLost,
    Ended,
    ExtensionNeeded,
    Forbidden,
    GatewayError,
    NotAuthenticated,
    NotFound,
    OutboxFull,
    PostExpired,
    RequestFailed,
    Unavailable,
)
from zaqar_gateway_client.gateway import Gateway
from zaqar_gateway_client.link import GetToken, Options
from zaqar_gateway_client.outbox import MAX_BYTES, MAX_MESSAGES
from zaqar_gateway_client.positions import FilePositions, MemoryPositions, Positions
from zaqar_gateway_client.queue import Queue
from zaqar_gateway_client.records import Gap, Message, NewMessage, Page, Resumed, Stats
from zaqar_gateway_client.subscription import Subscription
from zaqar_gateway_client.webhook import SIGNATURE_HEADER, SignatureInvalid, verify_webhook

__version__ = "0.1.0"

__all__ = [
    "SIGNATURE_HEADER",
    "BadRequest",
    "CallTimeout",
    "Claim",
    "Closed",
    "Conflict",
    "ConnectFailed",
    "ConnectionLost",
    "Consumer",
    "Ended",
    "ExtensionNeeded",
    "FilePositions",
    "Forbidden",
    "Gap",
    "Gateway",
    "GatewayError",
    "GetToken",
    "Handler",
    "MemoryPositions",
    "Message",
    "NewMessage",
    "NotAuthenticated",
    "NotFound",
    "OutboxFull",
    "Page",
    "Positions",
    "PostExpired",
    "Queue",
    "RequestFailed",
    "Resumed",
    "SignatureInvalid",
    "Stats",
    "Subscription",
    "Unavailable",
    "connect",
    "verify_webhook",
]


def connect(  # noqa: PLR0913 - each is a keyword that most leave out
    url: str,
    *,
    project: str,
    get_token: GetToken | None = None,
    client_id: str | None = None,
    form: Form = "json",
    timeout: float = 30.0,
    heartbeat: float = 20.0,
    positions: Positions | None = None,
    extension: bool = True,
    outbox_messages: int = MAX_MESSAGES,
    outbox_bytes: int = MAX_BYTES,
    tls: ssl.SSLContext | None = None,
) -> Gateway:
    """A gateway, to be used as `async with connect(...) as gateway`, which waits for the first connection.

    :param url: `ws://HOST:PORT/` or `wss://HOST:PORT/`.
    :param project: whose queues; `X-Project-ID` of every request.
    :param get_token: answers a token, or a coroutine for one; none: nobody authenticates. It is asked again
        before the token expires, without dropping the connection.
    :param client_id: `Client-ID` of every request, a UUID; default: a random one.
    :param form: `"json"` or `"msgpack"`.
    :param timeout: seconds that calls wait unless they are told otherwise, and the first connection too.
    :param heartbeat: seconds between two pings; a connection that is silent for as long then is given up.
    :param positions: where subscriptions keep how far the application has come.
    :param extension: False to speak Zaqar's protocol only, whatever the server offers.
    :param outbox_messages: how many posts may wait to be stored; with `outbox_bytes`, their size.
    :param tls: for `wss://`; default: the system's certificates.
    :raises ConnectFailed: on entering: it was refused, or did not come about within `timeout`.
    :raises NotAuthenticated: on entering: the token was refused.
    """
    return Gateway(
        Options(
            url=url,
            project=project,
            get_token=get_token,
            client_id=client_id or str(uuid.uuid4()),
            form=form,
            timeout=timeout,
            heartbeat=heartbeat,
            positions=positions,
            extension=extension,
            outbox_messages=outbox_messages,
            outbox_bytes=outbox_bytes,
            tls=tls,
        )
    )
