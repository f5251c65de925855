"""Delivery to subscribers that are not sockets: settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.settings.kinds import check_file, check_network, integer, listed, seconds, text
from gateway.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class Delivering:
    """Webhooks."""

    webhook_timeout: float = setting(
        10.0, seconds(0.1, 300), "seconds that a webhook has for its answer, connecting included"
    )
    webhook_allowed_networks: tuple[str, ...] = setting(
        (),
        listed(text("NETWORK", "an IP address or network such as 10.0.0.0/8", check_network)),
        "networks that webhooks may be in beside the public internet",
        default_text="none",
    )
    webhook_ca_file: Path | None = setting(  # noqa: RUF009  # it makes a field
        None,
        text("FILE", "a file", check_file),
        "certificates in PEM form that webhooks' servers are checked by, in place of the system's",
        default_text="none",
        optional=True,
    )
    max_deliveries: int = setting(
        100, integer(1, 10_000), "messages that a node delivers at the same time, to all webhooks and mail"
    )
    max_deliveries_per_endpoint: int = setting(
        8, integer(1, 1_000), "the same for one project to one server: a scheme, a host and a port"
    )
