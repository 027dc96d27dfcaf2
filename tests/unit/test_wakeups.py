"""Timed wake-ups and the loop around the queue, on a virtual clock that the scheduler reads too."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import apscheduler.executors.base
import apscheduler.schedulers.base
import pytest

import rollout_controller.controller.wakeups
from rollout_controller.controller.loop import Loop
from rollout_controller.controller.result import PassResult
from rollout_controller.controller.wakeups import Wakeups
from rollout_controller.ports import Key
from tests.support.virtualtime import VirtualDatetime, VirtualLoop, run_virtual

WEB, PAY = Key("ns", "web"), Key("ns", "pay")


@pytest.fixture(autouse=True)
def _virtual_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (
        apscheduler.executors.base,
        apscheduler.schedulers.base,
        rollout_controller.controller.wakeups,
    ):
        monkeypatch.setattr(module, "datetime", VirtualDatetime)


def after(seconds: float) -> datetime:
    return VirtualDatetime.now(UTC) + timedelta(seconds=seconds)


def now() -> float:
    """The time of the loop, to the tenth of a millisecond: the wall clock has microseconds."""
    return round(asyncio.get_running_loop().time(), 4)


def fired(ask: Callable[[Wakeups], Awaitable[None]]) -> list[tuple[str, float]]:
    """The keys that are woken within ten seconds of what is asked for, and when."""
    seen: list[tuple[str, float]] = []

    async def scene() -> None:
        wakeups = Wakeups(lambda key: seen.append((key.name, now())))
        wakeups.start()
        await ask(wakeups)
        await asyncio.sleep(10)
        wakeups.stop()

    run_virtual(scene())
    return seen


def test_a_key_is_woken_when_its_time_has_come_and_not_before() -> None:
    async def ask(wakeups: Wakeups) -> None:
        wakeups.wake_at(WEB, after(0.2))

    assert fired(ask) == [("web", 0.2)]


def test_the_last_time_asked_for_counts() -> None:
    async def ask(wakeups: Wakeups) -> None:
        wakeups.wake_at(WEB, after(0.1))
        wakeups.wake_at(WEB, after(0.3))

    assert fired(ask) == [("web", 0.3)]


def test_a_time_that_has_passed_wakes_at_once_however_long_ago_it_was() -> None:
    async def ask(wakeups: Wakeups) -> None:
        wakeups.wake_at(WEB, after(-3600))

    ((key, at),) = fired(ask)
    assert key == "web"
    assert at < 0.1


def test_a_wake_up_noticed_late_is_not_dropped() -> None:
    async def ask(wakeups: Wakeups) -> None:
        wakeups.wake_at(WEB, after(0.1))
        await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.hold_up(1.4)

    assert fired(ask) == [("web", 1.45)]


def test_no_time_takes_the_wake_up_away_and_leaves_those_of_others() -> None:
    async def ask(wakeups: Wakeups) -> None:
        wakeups.wake_at(WEB, after(0.1))
        wakeups.wake_at(PAY, after(0.2))
        wakeups.wake_at(WEB, None)
        wakeups.wake_at(Key("ns", "unknown"), None)

    assert [key for key, _ in fired(ask)] == ["pay"]


def test_the_loop_looks_again_when_a_pass_asked_for_it_and_forgets_what_is_gone() -> None:
    seen: list[tuple[str, float]] = []

    async def one(key: Key) -> PassResult:
        seen.append((key.name, now()))
        return (
            PassResult(gone=True)
            if key == PAY
            else PassResult(wake_at=after(0.1) if len(seen) == 2 else None)
        )

    async def scene() -> None:
        loop = Loop(one)
        loop.start()
        loop._done(PAY, PassResult(wake_at=after(0.05)))
        loop.wake(PAY)
        loop.wake(WEB)
        await asyncio.sleep(10)
        assert await loop.stop(1) == 0

    run_virtual(scene())
    assert seen == [("pay", 0), ("web", 0), ("web", 0.1)]


def test_a_failed_pass_leaves_the_time_asked_for_before_it() -> None:
    begun: list[float] = []

    async def one(key: Key) -> PassResult:
        begun.append(now())
        if len(begun) == 1:
            return PassResult(wake_at=after(0.25))
        return PassResult(failed=len(begun) == 2)

    async def scene() -> None:
        loop = Loop(one)
        loop.start()
        loop.wake(WEB)
        await asyncio.sleep(0.1)
        loop.wake(WEB)
        await asyncio.sleep(10)
        await loop.stop(1)

    run_virtual(scene())
    assert begun == [0, 0.1, 0.25], "the queue's own retry would come later"
