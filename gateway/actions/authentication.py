"""Authentication (protocol.md section 3)."""

from __future__ import annotations

from gateway.actions.call import Answer, Call
from schemas.node import AuthenticateReply


async def authenticate(call: Call) -> Answer:
    """Say who speaks from now on; AuthenticationFailed leaves who spoke before.

    Where nothing is configured that could refuse, every token is taken (docs/compatibility.md, 8).
    """
    authentication = call.client.authentication
    if authentication is not None:
        # X-Project-ID is not looked at, as upstream does not: the project is the token's.
        await authentication.authenticate(call.incoming.token)
    return 200, AuthenticateReply(message="Authentified.")
