"""Files of certificates that settings name: who may vouch for a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.settings.setting import SettingsError


@contextmanager
def reading_certificates(setting: str, path: Path | None) -> Iterator[None]:
    """Within, that file is read (gateway.http.client.trust_root); what is wrong with it is a SettingsError.

    :param setting: which names the file.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise SettingsError(f"{setting}: {error}") from None
