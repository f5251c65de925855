"""One gateway per data folder."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType

FOLDER_MODE = 0o700
"""The data folder holds everybody's messages: it is for the gateway's own user."""


class DataFolderError(Exception):
    """The data folder cannot be used. The message says why, and what to do."""


class DataFolderLock:
    """Holds `<data_dir>/lock` by flock(2), so the kernel lets it go when the process ends, however it ends.

    The file names the holder's process id and stays behind, free. It is a context manager.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._path = data_dir / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Make the folder if there is none, and take its lock.

        :raises DataFolderError: somebody has it, or the folder cannot be written.
        """
        try:
            self._data_dir.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            # Python opens with O_CLOEXEC: a Valkey that outlives the gateway does not hold on to the lock.
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataFolderError(
                f"the data folder {self._data_dir} cannot be used: {error.strerror}: {error.filename}; "
                "give another with --data-dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise DataFolderError(
                    f"the data folder {self._data_dir} cannot be locked: {error.strerror}; "
                    "give one on a local disk with --data-dir"
                ) from error
            who = f" (process {holder})" if holder.isdecimal() else ""
            raise DataFolderError(
                f"another gateway{who} runs on the data folder {self._data_dir}; "
                "stop it, or give another folder with --data-dir"
            ) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the lock go. Does nothing if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> DataFolderLock:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
