"""The process: settings."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.settings.kinds import choice, seconds
from gateway.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class Running:
    """The process."""

    log_level: str = setting(
        "info", choice("debug", "info", "warning", "error"), "the least serious events that are logged"
    )
    log_format: str = setting(
        "auto",
        choice("auto", "human", "json"),
        "form of the log; auto is human on a terminal and json elsewhere",
    )
    heartbeat_interval: float = setting(
        10.0, seconds(0.1, 300), "seconds between two signs of life to other nodes; three missed are a death"
    )
    shutdown_timeout: float = setting(
        4.0, seconds(0.1, 300), "seconds that requests in flight have at shutdown"
    )
