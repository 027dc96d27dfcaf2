"""One queue for all Rollouts: each is worked on by at most one pass at a time, many of them side by side.

A key is idle, waiting, running, or running and wanted again. `wake` is for what comes from outside (a change,
a command, a verdict, a timer) and is never delayed; a pass that failed is tried again by the queue itself,
more and more slowly.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from rollout_controller.controller.result import PassResult
from rollout_controller.ports import Key

WORKERS: Final = 8
PASS_LIMIT: Final = 10.0
"""Seconds that a pass may take."""

FIRST_RETRY: Final = 0.5
LONGEST_RETRY: Final = 10.0
"""Seconds from a failed pass to the queue's own next try: doubled from the first to the longest."""

MANY: Final = 30
"""Passes in a row that asked for one more; the next ones are slowed down as if they had failed."""

log = structlog.get_logger(__name__)


Pass = Callable[[Key], Awaitable[PassResult]]
"""One look at one Rollout. It may be cancelled at any await."""


class Watcher(Protocol):
    """Told how each pass ended: `ok`, `failed`, `late` (over the time limit), `error` (a defect) or `cut`."""

    def passed(self, key: Key, outcome: str, seconds: float) -> None: ...


@dataclass(slots=True)
class _Entry:
    """What the queue remembers of a key that is not idle; times are the loop's."""

    wanted: float | None = None
    task: asyncio.Task[None] | None = None
    retry: asyncio.TimerHandle | None = None
    failures: int = 0
    in_a_row: int = 0


class Queue:
    """Runs passes, first come first served, `workers` at a time. It belongs to one event loop."""

    def __init__(
        self,
        run_pass: Pass,
        *,
        done: Callable[[Key, PassResult], None] = lambda _key, _result: None,
        watcher: Watcher | None = None,
        workers: int = WORKERS,
        limit: float = PASS_LIMIT,
    ) -> None:
        self._run_pass = run_pass
        self._done = done
        self._watcher = watcher
        self._workers = workers
        self._limit = limit
        self._open = False
        self._waiting: deque[Key] = deque()
        self._entries: dict[Key, _Entry] = {}
        self._running: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Begin to run passes; what was woken before has waited."""
        self._open = True
        self._dispatch()

    def wake(self, key: Key) -> None:
        """Want a pass of this key: now, or right after the one that runs, which may have looked too early."""
        entry = self._entries.setdefault(key, _Entry())
        if entry.retry is not None:
            entry.retry.cancel()
            entry.retry = None
        if entry.wanted is None:
            entry.wanted = asyncio.get_running_loop().time()
            if entry.task is None:
                self._waiting.append(key)
        self._dispatch()

    async def drain(self, within: float) -> int:
        """Begin nothing more, let what runs end; the number of passes that had to be cut after `within` s."""
        self._open = False
        for entry in self._entries.values():
            if entry.retry is not None:
                entry.retry.cancel()
        if not self._running:
            return 0
        _, late = await asyncio.wait(self._running, timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    @property
    def depth(self) -> int:
        """Keys that wait for a pass, those that run and are wanted again included."""
        return sum(entry.wanted is not None for entry in self._entries.values())

    @property
    def running(self) -> int:
        return len(self._running)

    def oldest(self) -> float:
        """Seconds that the key that waits longest has waited, 0 if none does."""
        now = asyncio.get_running_loop().time()
        return max((now - e.wanted for e in self._entries.values() if e.wanted is not None), default=0.0)

    def _dispatch(self) -> None:
        while self._open and self._waiting and len(self._running) < self._workers:
            key = self._waiting.popleft()
            entry = self._entries[key]
            entry.task = asyncio.create_task(self._one(key, entry), name=f"pass {key}")
            self._running.add(entry.task)

    async def _one(self, key: Key, entry: _Entry) -> None:
        # A task has a context of its own, begun as a copy of that of whoever woke: cleared of another pass.
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(namespace=key.namespace, rollout=key.name, stage="")
        begun = asyncio.get_running_loop().time()
        entry.wanted = None  # not before: a wake up to here is served by this pass
        outcome, result = "cut", PassResult(failed=True)
        try:
            outcome, result = await self._attempt(key)
        finally:
            assert entry.task is not None, "a pass runs in its entry's task"  # noqa: S101
            self._running.discard(entry.task)
            entry.task = None
            if self._watcher is not None:
                self._watcher.passed(key, outcome, asyncio.get_running_loop().time() - begun)
            self._settle(key, entry, result)
            self._dispatch()

    async def _attempt(self, key: Key) -> tuple[str, PassResult]:
        try:
            async with asyncio.timeout(self._limit) as limit:
                result = await self._run_pass(key)
            self._done(key, result)
        except Exception as error:  # one Rollout's trouble must not end the others' passes
            if isinstance(error, TimeoutError) and limit.expired():
                log.error("pass took too long and was ended", limit=self._limit)
                return "late", PassResult(failed=True)
            log.exception("pass ended by a defect")
            return "error", PassResult(failed=True)
        return ("failed" if result.failed else "ok"), result

    def _settle(self, key: Key, entry: _Entry, result: PassResult) -> None:
        loop = asyncio.get_running_loop()
        entry.in_a_row = entry.in_a_row + 1 if result.again else 0
        slowed = result.failed or entry.in_a_row > MANY
        entry.failures = entry.failures + 1 if slowed else 0
        if result.again and not slowed and entry.wanted is None:
            entry.wanted = loop.time()
        if entry.wanted is not None:
            self._waiting.append(key)
        elif slowed and self._open:
            longest = min(FIRST_RETRY * 2 ** min(entry.failures - 1, 16), LONGEST_RETRY)
            # Spread out, so that what failed together does not come back together.
            delay = longest * random.uniform(0.8, 1.0)  # noqa: S311
            entry.retry = loop.call_later(delay, self.wake, key)
        elif not slowed:
            del self._entries[key]
