"""An event loop whose clock jumps: sleeping takes no time, and order in time is exact.

For code that waits only on timers and other coroutines. Where nothing is left that could ever happen, the run
ends with an error instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, TypeVar

T = TypeVar("T")
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)


class _Selector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: no timer is set and nothing is ready to run")
        self.now += max(timeout, 0.0)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and moves only when everything waits."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    def hold_up(self, seconds: float) -> None:
        """As if a coroutine had kept the loop busy for so long."""
        self._virtual.now += seconds


class VirtualDatetime(datetime):
    """To be patched in for `datetime` where code asks the wall clock: BEGIN when the loop begins."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one will do
        return (BEGIN + timedelta(seconds=asyncio.get_running_loop().time())).astimezone(tz)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own with a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
