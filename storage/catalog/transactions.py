"""Transactions, tried again where that is safe.

- A deadlock, or a lock that was not to be had: the database has undone all of it, so it is done again.
- The connection broke, or there was none: what was not committed is undone, so it is done again. If it
  broke while it committed, nobody knows: it is done again only if doing it twice does no harm.

Attempts end with the call's deadline. They sleep in the call's thread.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from oslo_db.exception import DBConnectionError, DBDataError, DBDeadlock
from sqlalchemy import Connection, Engine

from storage.catalog.engine import WRITING
from storage.catalog.threads import Call
from storage.errors import CatalogUnavailable, DoesNotFit

T = TypeVar("T")

RECONNECT = 5.0
"""Seconds that calls wait for a database that went away. Then they fail at once, until it is back."""

_SHORTEST, _LONGEST = 0.02, 0.5
"""Seconds between two attempts, before the random half is taken off."""


class Outage:
    """Since when the database has been away."""

    def __init__(self) -> None:
        self._since: float | None = None

    def goes_on(self) -> bool:
        """Note that an attempt found it away. True: for so long that it is not worth waiting."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        return now - self._since > RECONNECT

    def is_over(self) -> None:
        """Note that the database has answered."""
        self._since = None


class Transactions:
    """The transactions of one call.

    What they raise beside `oslo_db.exception.DBDuplicateEntry` and `DBReferenceError`, which the caller
    answers, is told by `storage.errors` or a fault.
    """

    def __init__(self, engine: Engine, outage: Outage, call: Call) -> None:
        self._engine = engine
        self._outage = outage
        self._call = call

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, which only reads."""
        return self._run(work, {}, repeatable=True)

    def write(self, work: Callable[[Connection], T], *, repeatable: bool = False) -> T:
        """What `work` returns, once it is committed.

        :param repeatable: `work` may be done once more after it was committed.
        """
        return self._run(work, WRITING, repeatable=repeatable)

    def _run(self, work: Callable[[Connection], T], options: dict[str, Any], *, repeatable: bool) -> T:
        pauses = _pauses()
        while True:
            committing = False
            try:
                with self._engine.connect().execution_options(**options) as connection:
                    transaction = connection.begin()
                    result = work(connection)
                    committing = True
                    transaction.commit()
            except DBDeadlock as error:
                problem = CatalogUnavailable("Others change the same in the SQL catalog. Try again.")
                problem.__cause__ = error
            except DBConnectionError as error:
                if committing and not repeatable:
                    raise CatalogUnavailable(
                        "The connection to the SQL catalog broke before it answered: the change may have "
                        "been made."
                    ) from error
                problem = CatalogUnavailable("The SQL catalog does not answer. Try again.")
                problem.__cause__ = error
                if self._outage.goes_on():
                    raise problem from error
            except DBDataError as error:
                raise DoesNotFit(
                    "A name or a value does not fit into the SQL catalog: it is too long or has a zero byte."
                ) from error
            else:
                self._outage.is_over()
                return result
            if not self._call.pause(next(pauses)):
                raise problem


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt: growing, and never the same for two that met."""
    pause = _SHORTEST
    while True:
        yield pause * random.uniform(0.5, 1)
        pause = min(2 * pause, _LONGEST)
