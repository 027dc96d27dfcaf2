"""The controller's loop: wakes in, passes out, timed wake-ups back in."""

from __future__ import annotations

from rollout_controller.controller.queue import PASS_LIMIT, WORKERS, Pass, Queue, Watcher
from rollout_controller.controller.result import PassResult
from rollout_controller.controller.wakeups import Wakeups
from rollout_controller.ports import Key


class Loop:
    """The queue and its clock. Wakes are taken at any time; passes run from `start` to `stop`."""

    def __init__(
        self,
        run_pass: Pass,
        *,
        watcher: Watcher | None = None,
        workers: int = WORKERS,
        limit: float = PASS_LIMIT,
    ) -> None:
        self.queue = Queue(run_pass, done=self._done, watcher=watcher, workers=workers, limit=limit)
        self._wakeups = Wakeups(self.queue.wake)

    def wake(self, key: Key) -> None:
        """Something happened that this Rollout's decision may rest on."""
        self.queue.wake(key)

    def start(self) -> None:
        """Begin to work; the caches are filled by now."""
        self._wakeups.start()
        self.queue.open()

    async def stop(self, within: float) -> int:
        """Take up nothing more and let running passes end; how many were cut after `within` seconds."""
        self._wakeups.stop()
        return await self.queue.drain(within)

    def _done(self, key: Key, result: PassResult) -> None:
        if result.failed:
            # The queue tries again by itself; a time asked for earlier still stands.
            if result.wake_at is not None:
                self._wakeups.wake_at(key, result.wake_at)
            return
        self._wakeups.wake_at(key, None if result.gone else result.wake_at)
