"""Pre-signed access: who holds a signature may do what was signed, without a token (protocol.md section 7).

A signature is made with a secret key over paths, methods, a project and a time. Nothing about it is kept: who
has the key can tell whether it is good.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from protocol.errors import BadRequest
from schemas.envelope import AuthenticateHeaders, RequestHeaders
from schemas.queues import SHARED_RESOURCES

ACTION_METHODS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "message_list": "GET",
        "message_get": "GET",
        "message_get_many": "GET",
        "message_post": "POST",
        "message_delete": "DELETE",
        "message_delete_many": "DELETE",
    }
)
"""The actions that a signature can permit on every transport, and the method that stands for each."""

_OTHER_ACTIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "claims": {
            "claim_create": "POST",
            "claim_get": "GET",
            "claim_update": "PATCH",
            "claim_delete": "DELETE",
        },
        "subscriptions": {
            "subscription_create": "POST",
            "subscription_list": "GET",
            "subscription_get": "GET",
            "subscription_update": "PATCH",
            "subscription_confirm": "PUT",
            "subscription_delete": "DELETE",
        },
    }
)
"""The same for what a signature permits over REST only."""

MAX_ITEMS: Final = 16
"""Paths, and methods, of one signature."""

LIFETIME: Final = 86_400
"""Seconds for which a signature is good unless it says otherwise."""

# None has a backslash or a comma, so there is only one way in which what is signed can be taken apart.
_PATH: Final = re.compile(
    r"/v2/queues/[a-zA-Z0-9_\-.]{1,64}/(?:messages|claims|subscriptions(?:/[0-9a-f-]{36}/confirm)?)"
)
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
_EXPIRES: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_GIVEN_TIME: Final = re.compile(_EXPIRES.pattern + r"(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")


class SignedUrl(NamedTuple):
    """What a signature permits."""

    paths: tuple[str, ...]
    methods: tuple[str, ...]
    project: str
    expires: str
    """`YYYY-MM-DDTHH:MM:SS`, UTC."""


def path_of(queue_name: str, resource: str) -> str:
    """The path under which a queue's messages, subscriptions or claims are signed."""
    return f"/v2/queues/{queue_name}/{resource}"


def confirmation_path(queue_name: str, subscription_id: str) -> str:
    """The path that is signed for who is asked to confirm a subscription (protocol.md section 6)."""
    return f"{path_of(queue_name, 'subscriptions')}/{subscription_id}/confirm"


def to_confirm(queue_name: str, subscription_id: str, project: str, end: float) -> SignedUrl:
    """What lets a subscriber confirm one subscription, and nothing else.

    :param end: when the signature expires, in seconds since the epoch.
    """
    return SignedUrl((confirmation_path(queue_name, subscription_id),), ("PUT",), project, _told(end))


def to_sign(
    queue_name: str,
    resources: Iterable[str],
    methods: Iterable[str],
    project: str,
    expires: str | None,
    now: float,
) -> SignedUrl:
    """What a client asks to be signed. Raises BadRequest if it cannot be.

    :param queue_name: a legal one.
    :param resources: of SHARED_RESOURCES; none are messages.
    :param methods: none are GET.
    :param expires: a time of RFC 3339, UTC if it has no zone; None: in LIFETIME.
    :param now: seconds since the epoch.
    """
    wanted = sorted(set(resources)) or ["messages"]
    unknown = [resource for resource in wanted if resource not in SHARED_RESOURCES]
    if unknown:
        raise BadRequest(f"paths are {', '.join(SHARED_RESOURCES)}, not {unknown[0][:64]!r}.")
    verbs = sorted(set(methods)) or ["GET"]
    if len(verbs) > MAX_ITEMS or not all(map(_METHOD.fullmatch, verbs)):
        raise BadRequest(f"methods are at most {MAX_ITEMS} HTTP methods in capitals, such as GET.")
    end = now + LIFETIME if expires is None else _given_time(expires)
    if end <= now:
        raise BadRequest("expires is in the past; give a time to come, UTC.")
    paths = tuple(path_of(queue_name, resource) for resource in wanted)
    return SignedUrl(paths, tuple(verbs), project, _told(end))


def sign(key: bytes, url: SignedUrl) -> str:
    """The signature: HMAC-SHA256, in lower case hexadecimal."""
    # Not newlines: a backslash and an n.
    text = r"\n".join((",".join(sorted(url.paths)), ",".join(sorted(url.methods)), url.project, url.expires))
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def permitted_until(
    keys: Sequence[bytes],
    headers: RequestHeaders | AuthenticateHeaders,
    action: str,
    queue_name: str,
    now: float,
) -> float | None:
    """When the signature in the headers expires, if it permits the action; else None, whatever is wrong.

    On every transport: one of ACTION_METHODS. Over REST there are more, see `permitted_over_rest`.

    :param keys: any of them may have signed.
    :param headers: of the request; those that are a URL's may be of any type.
    :param queue_name: the queue that the action is done with (docs/compatibility.md, 4).
    :param now: seconds since the epoch.
    """
    return _permitted_until(keys, headers, ACTION_METHODS.get(action), [path_of(queue_name, "messages")], now)


def permitted_over_rest(
    keys: Sequence[bytes],
    headers: RequestHeaders | AuthenticateHeaders,
    action: str,
    body: Any,
    now: float,
) -> float | None:
    """When the signature in the headers expires, if it permits the action over REST; else None.

    There it may be for claims and subscriptions too. A path permits all that is below it; the path that
    confirms one subscription permits that alone.

    :param body: of the action; the paths are made of its names.
    """
    for resource in SHARED_RESOURCES:
        method = _OTHER_ACTIONS.get(resource, ACTION_METHODS).get(action)
        if method is not None:
            paths = [path_of(body.queue_name, resource)]
            if action == "subscription_confirm":
                paths.append(confirmation_path(body.queue_name, body.subscription_id))
            return _permitted_until(keys, headers, method, paths, now)
    return None


def _permitted_until(
    keys: Sequence[bytes],
    headers: RequestHeaders | AuthenticateHeaders,
    method: str | None,
    opening: Sequence[str],
    now: float,
) -> float | None:
    """When the signature expires, if it is for the method and for one of the paths in `opening`."""
    signature, expires = headers.url_signature, headers.url_expires
    paths, methods = _items(headers.url_paths, _PATH), _items(headers.url_methods, _METHOD)
    if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature) or not paths or not methods:
        return None
    if not isinstance(expires, str) or not _EXPIRES.fullmatch(expires):
        return None
    url = SignedUrl(paths, methods, headers.project_id, expires)
    good = False
    for key in keys:  # all of them, so that the time taken does not tell which
        good |= hmac.compare_digest(sign(key, url), signature)
    if not good or method not in methods or not any(path in paths for path in opening):
        return None
    end = _seconds(expires)
    return end if end is not None and end > now else None


def shared_actions(url: SignedUrl) -> list[str]:
    """What a signature permits, over whatever transport, as actions."""
    found = []
    for resource in SHARED_RESOURCES:
        if any(path.endswith(f"/{resource}") for path in url.paths):
            actions = _OTHER_ACTIONS.get(resource, ACTION_METHODS)
            found += [action for action, method in actions.items() if method in url.methods]
    return found


def is_signed(headers: RequestHeaders | AuthenticateHeaders) -> bool:
    """Whether a request has a signature, be it good or not."""
    return headers.url_signature is not UNSET


def _items(value: object, form: re.Pattern[str]) -> tuple[str, ...]:
    """A list of strings of this form; empty if it is anything else."""
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        return ()
    found = tuple(item for item in value if isinstance(item, str) and form.fullmatch(item))
    return found if len(found) == len(value) else ()


def _told(end: float) -> str:
    return datetime.fromtimestamp(int(end), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _given_time(text: str) -> float:
    if not _GIVEN_TIME.fullmatch(text):
        raise BadRequest(f"expires is a time such as 2035-01-01T00:00:00, UTC, not {text[:64]!r}.")
    seconds = _seconds(text)
    if seconds is None:
        raise BadRequest(f"expires is no time that there is: {text[:64]!r}.")
    return seconds


def _seconds(text: str) -> float | None:
    """Seconds since the epoch; None for a day or an hour that there is not, or past the year 9999."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None
