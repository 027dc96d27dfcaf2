"""Timed wake-ups and the loop around the queue. The scheduler reads the real clock: times are short."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest

from rollout_controller.controller.loop import Loop
from rollout_controller.controller.result import PassResult
from rollout_controller.controller.wakeups import Wakeups
from rollout_controller.ports import Key

WEB, PAY = Key("ns", "web"), Key("ns", "pay")


def after(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def eventually(what: str, happened: Callable[[], bool], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not happened():
        assert time.monotonic() < deadline, f"waited {within} s for {what}"
        await asyncio.sleep(0.005)


@pytest.fixture
async def fired() -> AsyncIterator[tuple[Wakeups, list[tuple[str, datetime]]]]:
    seen: list[tuple[str, datetime]] = []
    wakeups = Wakeups(lambda key: seen.append((key.name, datetime.now(UTC))))
    wakeups.start()
    yield wakeups, seen
    wakeups.stop()


Fired = tuple[Wakeups, list[tuple[str, datetime]]]


async def test_a_key_is_woken_when_its_time_has_come_and_not_before(fired: Fired) -> None:
    wakeups, seen = fired
    at = after(0.2)
    wakeups.wake_at(WEB, at)
    await eventually("the wake-up", lambda: bool(seen))
    assert seen[0][0] == "web"
    assert timedelta(0) <= seen[0][1] - at < timedelta(seconds=1)


async def test_the_last_time_asked_for_counts(fired: Fired) -> None:
    wakeups, seen = fired
    wakeups.wake_at(WEB, after(0.1))
    wakeups.wake_at(WEB, at := after(0.3))
    await eventually("the wake-up", lambda: bool(seen))
    await asyncio.sleep(0.1)
    assert [key for key, _ in seen] == ["web"]
    assert seen[0][1] >= at


async def test_a_time_that_has_passed_wakes_at_once_however_long_ago_it_was(fired: Fired) -> None:
    wakeups, seen = fired
    wakeups.wake_at(WEB, after(-3600))
    await eventually("the wake-up", lambda: bool(seen), within=1)


async def test_a_wake_up_noticed_late_is_not_dropped(fired: Fired) -> None:
    wakeups, seen = fired
    wakeups.wake_at(WEB, after(0.1))
    time.sleep(1.4)  # noqa: ASYNC251 - the event loop is held up on purpose
    await eventually("the wake-up", lambda: bool(seen), within=1)


async def test_no_time_takes_the_wake_up_away_and_leaves_those_of_others(fired: Fired) -> None:
    wakeups, seen = fired
    wakeups.wake_at(WEB, after(0.1))
    wakeups.wake_at(PAY, after(0.2))
    wakeups.wake_at(WEB, None)
    wakeups.wake_at(Key("ns", "unknown"), None)
    await eventually("the wake-up of pay", lambda: bool(seen))
    assert [key for key, _ in seen] == ["pay"]


async def test_the_loop_looks_again_when_a_pass_asked_for_it_and_forgets_what_is_gone() -> None:
    answers = {WEB: [PassResult(wake_at=after(0.1)), PassResult()], PAY: [PassResult(gone=True)]}
    seen: list[str] = []

    async def one(key: Key) -> PassResult:
        seen.append(key.name)
        return answers[key].pop(0)

    loop = Loop(one)
    loop.start()
    loop._done(PAY, PassResult(wake_at=after(0.05)))
    loop.wake(PAY)
    loop.wake(WEB)
    await eventually("the second pass of web", lambda: seen.count("web") == 2)
    assert seen == ["pay", "web", "web"]
    assert await loop.stop(1) == 0


async def test_a_failed_pass_leaves_the_time_asked_for_before_it() -> None:
    answers = [PassResult(wake_at=after(0.25)), PassResult(failed=True), PassResult(), PassResult()]
    begun: list[datetime] = []

    async def one(key: Key) -> PassResult:
        begun.append(datetime.now(UTC))
        return answers.pop(0)

    loop = Loop(one)
    loop.start()
    loop.wake(WEB)
    await eventually("the first pass", lambda: len(begun) == 1)
    loop.wake(WEB)
    await eventually("the timed pass", lambda: len(begun) == 3)
    assert begun[2] - begun[0] < timedelta(seconds=0.4), "the queue's own retry would come later"
    await loop.stop(1)
