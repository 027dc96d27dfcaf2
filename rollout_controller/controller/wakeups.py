"""Timed wake-ups: one per Rollout, the last one asked for counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from rollout_controller.ports import Key

_SOONEST: Final = timedelta(milliseconds=50)
"""A time that has passed still lets other Rollouts have their turn."""


class Wakeups:
    """Calls `wake` with a key when its time has come, however late that is noticed."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def start(self) -> None:
        """Begin to fire; to be called inside the event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def wake_at(self, key: Key, at: datetime | None) -> None:
        """Wake this key at that time (aware) instead of any other that was asked for; None: at none."""
        if at is None:
            self._forget(key)
            return
        self._scheduler.add_job(
            self._fire,
            "date",
            run_date=max(at, datetime.now(UTC) + _SOONEST),
            args=[key],
            id=str(key),
            # The scheduler's own default drops what it notices a second late.
            misfire_grace_time=None,
            coalesce=True,
            replace_existing=True,
        )

    def _forget(self, key: Key) -> None:
        try:
            self._scheduler.remove_job(str(key))
        except JobLookupError:
            return

    async def _fire(self, key: Key) -> None:
        # A coroutine, because the scheduler runs plain functions in threads.
        self._wake(key)
