"""A few threads for calls that block: daemons, so that none of them keeps a process from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

_Task = tuple["Future[Any]", Callable[[], Any]]


class Threads:
    """At most `limit` threads, started with the first calls.

    Those of concurrent.futures would be waited for when the process ends.
    """

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._closed = False

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Run the call in a thread; a future that is cancelled in time is never run."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                future.cancel()
                return future
            self._tasks.put((future, call))
            if self._started < self._limit:
                self._started += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
        return future

    def close(self) -> None:
        """Take no more calls, cancel those that wait, and let the threads end."""
        with self._lock:
            self._closed = True
            while not self._tasks.empty():
                task = self._tasks.get()
                if task is not None:
                    task[0].cancel()
            for _ in range(self._started):
                self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
