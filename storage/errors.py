"""What a store or the catalog can fail with. All but the first six are told to clients as they are.

::

    StaleQueue                        the route is old: look it up again (never told to a client)
    NoQueue                           the catalog has no such queue (each action answers that its own way)
    QueueMoved                        the queue is in another pool, whatever the catalog says
    MoveLapsed, MoveOvertaken         told to who moves a queue: begin anew; leave it to another
    MoveUnfinished                    the queue is on its way to a third pool
    UnknownPool                       404
    UnknownFlavor                     400
    PoolUnusable                      400, nothing that can be used as a pool answers at its address
    TooManyQueues                     403, the project has as many as it may have
    QueueFull                         413, the queue holds as much as it may
    DoesNotFit                        400, a value is too long for the database
    NameTaken                         409, a pool or a flavor of this name exists
    PoolInUse                         409, queues or flavors need the pool
    Unavailable (protocol.errors)     503, a retry may help
    ├── StoreUnavailable              no connection; nothing was written
    │   └── StoreLoading              it was started just now
    ├── StoreBusy                     too many commands wait; nothing was written
    ├── StoreFull                     memory is used up; nothing was written
    ├── StoreReadOnly                 a replica, or a primary that may not write now; nothing was written
    ├── StoreFailed                   the store refused for another reason
    ├── OutcomeUnknown                the connection broke before the answer: it may have been written
    ├── TooFewReplicas                it was written, but a failover may lose it
    ├── NoPool                        no pool takes new queues
    ├── MessageUnreadable             a message is kept encrypted, and cannot be read
    │   ├── EncryptionKeyMissing          this gateway lacks the key, for reading it or for posting
    │   └── MessageNotAuthentic           it was changed in the store, or moved there to another queue
    └── CatalogUnavailable            the SQL database does not answer
"""

from __future__ import annotations

from protocol.errors import BadRequest, Conflict, Forbidden, NotFound, RequestError, Unavailable


class StaleQueue(Exception):
    """The store does not have this incarnation of the queue, or it is about to leave."""


class NoQueue(Exception):
    """The project has no queue of this name."""


class QueueMoved(Exception):
    """The queue has left this store for that of another pool: the catalog's row has to follow."""

    def __init__(self, pool: str) -> None:
        super().__init__(f"The queue is in pool {pool} now.")
        self.pool = pool


class MoveLapsed(Exception):
    """The source of a move did not hear of it for too long, and notes changes no more."""


class MoveOvertaken(Exception):
    """Another program has begun to move the queue."""


class MoveUnfinished(Exception):
    """A move of the queue to another pool has begun, and has not ended."""


class UnknownPool(NotFound):
    """There is no pool of this name."""

    code = "unknown_pool"


class UnknownFlavor(BadRequest):
    """There is no flavor of this name."""

    code = "unknown_flavor"


class PoolUnusable(BadRequest):
    """The address of a pool was tried, and no store that can be used answers there. The message says why."""

    code = "pool_unusable"


class DoesNotFit(BadRequest):
    """A value is longer than the database's column, or holds what no column can."""

    code = "does_not_fit"


class TooManyQueues(Forbidden):
    """The project has as many queues as it may have. Nothing was created."""

    code = "too_many_queues"
    limit = "max_queues_per_project"


class QueueFull(RequestError):
    """The queue holds as many messages, or as many bytes of them, as it may. Nothing was stored."""

    status = 413
    code = "queue_full"
    retry = True

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(message)
        self.limit = limit


class NameTaken(Conflict):
    """There is a pool or a flavor of this name."""

    code = "name_taken"


class PoolInUse(Conflict):
    """The pool cannot be removed, or not be put elsewhere. The message says what needs it."""

    code = "pool_in_use"


class StoreUnavailable(Unavailable):
    """There is no connection to the store. Nothing was written."""

    code = "store_unavailable"


class StoreLoading(StoreUnavailable):
    """The store is still loading its data. Nothing was written."""

    code = "store_loading"


class StoreBusy(Unavailable):
    """More commands wait for the store than are allowed to. Nothing was written."""

    code = "store_busy"


class StoreFull(Unavailable):
    """The store's memory is used up: it takes nothing new, but deletes and reads. Nothing was written."""

    code = "store_full"


class StoreReadOnly(Unavailable):
    """The store takes no writes: a replica, or it lacks replicas, or its disk fails. Nothing was written."""

    code = "store_read_only"


class StoreFailed(Unavailable):
    """The store refused the command."""

    code = "store_failed"


class OutcomeUnknown(Unavailable):
    """The connection to the store broke before it answered: the request may have been done or not."""

    code = "outcome_unknown"


class TooFewReplicas(Unavailable):
    """The primary has written it, but too few replicas have within the time: a failover may lose it."""

    code = "too_few_replicas"


class NoPool(Unavailable):
    """No pool takes new queues, or none of the flavor does. Nothing was created."""

    code = "no_pool"


class MessageUnreadable(Unavailable):
    """A message is kept encrypted, and cannot be read. It stays where it is.

    :param key_id: the key that it was encrypted by; for the operator's log.
    """

    code = "message_unreadable"

    def __init__(self, message: str, key_id: str = "") -> None:
        super().__init__(message)
        self.key_id = key_id


class EncryptionKeyMissing(MessageUnreadable):
    """This gateway does not have the key: for what is stored, or for what its queue wants encrypted."""

    code = "encryption_key_missing"


class MessageNotAuthentic(MessageUnreadable):
    """What is stored is not what a gateway has written for this queue."""

    code = "message_not_authentic"


class CatalogUnavailable(Unavailable):
    """The SQL database does not answer."""

    code = "catalog_unavailable"
