"""What all deliveries of a node share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.auth.trusts import Trusts, make_trusts
from gateway.delivery.endpoints import Endpoints
from gateway.delivery.metrics import DeliveryMetrics
from gateway.delivery.sender import Sender
from gateway.delivery.senders import make_senders
from gateway.limits.share import part_of
from gateway.settings import Settings
from protocol.subscribers import scheme_of
from storage.records import Subscription
from storage.router import Router
from storage.stores import Stores


@dataclass(frozen=True)
class Resources:
    """What it takes to deliver."""

    reactor: Any
    router: Router
    stores: Stores
    senders: Mapping[str, Sender]
    """By the scheme of the subscriber's URL. What has none here is kept, and not delivered."""
    endpoints: Endpoints
    metrics: DeliveryMetrics
    trusts: Trusts | None = None
    """Lets the gateway speak for who subscribed; stopped with the senders. None: for nobody."""
    require_confirmation: bool = False
    """Whether only subscribers get messages that have confirmed."""

    def sender_of(self, subscription: Subscription) -> Sender | None:
        """Who sends to a subscription; None: nobody does now."""
        if self.require_confirmation and not subscription.confirmed:
            return None
        return self.senders.get(scheme_of(subscription.subscriber))


def means_to_deliver(
    reactor: Any,
    settings: Settings,
    router: Router,
    stores: Stores,
    metrics: DeliveryMetrics,
    signing_keys: Sequence[bytes],
    share: int,
) -> Resources:
    """What the settings allow for. `share`: among how many processes the node's limits are divided.

    Raises SettingsError if a file that they name cannot be used.
    """
    per_endpoint = part_of(settings.max_deliveries_per_endpoint, share)
    endpoints = Endpoints(reactor, per_endpoint, part_of(settings.max_deliveries, share))
    metrics.watch(lambda: endpoints.count, lambda: endpoints.open_circuits)
    trusts = make_trusts(reactor, settings)
    senders = make_senders(reactor, settings, signing_keys, trusts)
    return Resources(
        reactor, router, stores, senders, endpoints, metrics, trusts, settings.require_confirmation
    )
