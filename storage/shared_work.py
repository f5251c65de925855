"""`SharedWork`: what several wait for at once is done once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedWork(Generic[K, T]):
    """Work by key. Who asks for a key that is being worked on gets the outcome of that."""

    def __init__(self) -> None:
        self._waiting: dict[K, list[Deferred[T]]] = {}

    def join(
        self, key: K, work: Callable[[], Coroutine[Any, Any, T]], keep: Callable[[T], None]
    ) -> Deferred[T]:
        """The outcome of the work, which is begun if nobody has yet.

        :param keep: is told the result, unless the key was forgotten meanwhile.
        """
        answer: Deferred[T] = Deferred()
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.append(answer)
            return answer
        waiting = self._waiting[key] = [answer]

        def tell(outcome: T | Failure) -> None:
            if self._waiting.get(key) is waiting:
                del self._waiting[key]
                if not isinstance(outcome, Failure):
                    keep(outcome)
            for each in waiting:
                each.callback(outcome)

        # Not awaited by any of them: one that is cancelled does not take the answer from the others.
        Deferred.fromCoroutine(work()).addBoth(tell)
        return answer

    def forget(self, key: K) -> None:
        """Who asks from now on begins anew; those who wait are told, but the outcome is not kept."""
        self._waiting.pop(key, None)
