"""Files of the operator's that are read again on SIGHUP, while the node serves: keys, and the policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from gateway.logs import get_logger
from gateway.settings import Settings, SettingsError

log = get_logger(__name__)


class OperatorFile(ABC):
    """What one file says. Raises SettingsError if it cannot be used.

    :param setting: the name of the setting that it is.
    """

    def __init__(self, setting: str, path: Path) -> None:
        self._setting = setting
        self._path = path
        self._load()

    @abstractmethod
    def _load(self) -> None:
        """Read the file. Raises SettingsError, and has changed nothing then."""

    def reload(self) -> None:
        """Go by what the file says now. If it cannot be used, nothing changes."""
        try:
            self._load()
        except SettingsError as error:
            log.error("file_not_reloaded", setting=self._setting, reason=str(error))
        else:
            log.info("file_reloaded", setting=self._setting, path=str(self._path))


def has_files_to_reload(settings: Settings) -> bool:
    """Whether the settings name a file that is read again on SIGHUP."""
    return any(
        path is not None
        for path in (
            settings.tls_cert,
            settings.jwt_key_file,
            settings.policy_file,
            settings.signing_key_file,
            settings.encryption_key_file,
        )
    )
