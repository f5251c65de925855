"""What keeps the data, and how: settings."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from gateway.settings.kinds import (
    boolean,
    check_catalog_url,
    check_folder,
    check_redis_url,
    choice,
    integer,
    seconds,
    text,
)
from gateway.settings.setting import setting
from storage.redis import address


@dataclass(frozen=True, kw_only=True)
class Storing:
    """Store and catalog."""

    data_dir: Path = setting(  # noqa: RUF009  # it makes a field
        MISSING,
        text("FOLDER", "a folder", check_folder),
        "folder of the embedded store and of the SQLite catalog",
        default_text="$XDG_DATA_HOME/zaqar-gateway or ~/.local/share/zaqar-gateway",
    )
    redis_url: str | None = setting(
        None,
        text("URL", address.FORMS, check_redis_url),
        "Redis 7 or Valkey 8 and later that keeps the messages; empty is the embedded one",
        default_text="an embedded Valkey in data_dir",
        optional=True,
        secret=True,
    )
    catalog_url: str | None = setting(
        None,
        text(
            "URL",
            "a SQLAlchemy URL of sqlite, mysql, mariadb or postgresql, e.g. mysql+pymysql://user:password@host/zaqar",
            check_catalog_url,
        ),
        "database of the catalog; empty is SQLite",
        default_text="a SQLite file in data_dir",
        optional=True,
        secret=True,
    )
    fsync: str = setting(
        "always",
        choice("always", "everysec"),
        "when the embedded store syncs to disk: before it answers, or once a second",
    )
    min_replicas: int = setting(
        0, integer(0, 100), "replicas of redis_url that must have a write before it is answered"
    )
    request_timeout: float = setting(10.0, seconds(0.1, 300), "seconds the store has for one request")
    max_messages_per_post: int = setting(1000, integer(1, 1000), "messages one post may hold")
    dedup_window: int = setting(
        600, integer(1, 86_400), "seconds in which a message with the same dedup_id is not stored again"
    )
    sweep_interval: float = setting(5.0, seconds(0.1, 3600), "seconds between two sweeps of what has expired")
    enable_checksum: bool = setting(False, boolean(), "store and show a checksum of each message body")
    message_delete_with_claim_id: bool = setting(
        False, boolean(), "deleting a claimed message needs its claim id"
    )
