"""The queue of passes, on a virtual clock: every time below is exact."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
import structlog

from rollout_controller.controller.queue import FIRST_RETRY, LONGEST_RETRY, MANY, Queue
from rollout_controller.controller.result import PassResult
from rollout_controller.ports import Key
from tests.support.virtualtime import run_virtual

WEB, PAY, SHOP = (Key("ns", name) for name in ("web", "pay", "shop"))
OK = PassResult()
FAILED = PassResult(failed=True)
AGAIN = PassResult(again=True)


class Passes:
    """Records the passes: (begin, end, key), and answers what it is told to."""

    def __init__(self, *results: PassResult | Exception, takes: float = 1.0) -> None:
        self.log: list[tuple[float, float, Key]] = []
        self.takes = takes
        self.now = 0
        self.most = 0
        self._results = list(results)

    async def __call__(self, key: Key) -> PassResult:
        begun = asyncio.get_running_loop().time()
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.now -= 1
            self.log.append((begun, asyncio.get_running_loop().time(), key))
        result = self._results.pop(0) if self._results else OK
        if isinstance(result, Exception):
            raise result
        return result

    @property
    def begins(self) -> list[float]:
        return [round(begun, 6) for begun, _, _ in self.log]

    @property
    def keys(self) -> list[str]:
        return [key.name for _, _, key in self.log]


class Outcomes:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def passed(self, key: Key, outcome: str, seconds: float) -> None:
        self.seen.append((key.name, outcome))


def play(
    passes: Callable[[Key], Awaitable[PassResult]],
    script: dict[float, list[Key]],
    *,
    until: float = 100.0,
    outcomes: Outcomes | None = None,
    workers: int = 8,
) -> Queue:
    """Wake the keys at the given times, and let everything run until then."""

    async def scene() -> Queue:
        queue = Queue(passes, workers=workers, watcher=outcomes)
        queue.open()
        loop = asyncio.get_running_loop()
        for at, keys in script.items():
            for key in keys:
                loop.call_at(at, queue.wake, key)
        await asyncio.sleep(until)
        await queue.drain(0)
        return queue

    return run_virtual(scene())


def test_wakes_that_come_while_a_key_waits_become_one_pass() -> None:
    passes = Passes()
    play(passes, {1: [WEB, WEB, WEB]})
    assert passes.begins == [1]


def test_a_wake_during_a_pass_brings_exactly_one_more_after_it() -> None:
    passes = Passes(takes=2)
    play(passes, {1: [WEB], 1.5: [WEB], 1.6: [WEB], 1.7: [WEB]})
    assert passes.begins == [1, 3]


def test_a_key_never_has_two_passes_at_once() -> None:
    passes = Passes(takes=0.7)
    play(passes, {t / 10: [WEB] for t in range(1, 100)}, workers=8)
    assert passes.most == 1
    assert len(passes.log) > 10


def test_no_more_passes_run_at_once_than_there_are_workers() -> None:
    passes = Passes()
    keys = [Key("ns", f"r{i}") for i in range(50)]
    play(passes, {1: keys}, workers=3)
    assert passes.most == 3
    assert len(passes.log) == 50


def test_different_keys_run_side_by_side() -> None:
    passes = Passes(takes=5)
    play(passes, {1: [WEB, PAY, SHOP]})
    assert passes.begins == [1, 1, 1]


def test_a_key_that_always_wants_more_does_not_keep_others_waiting() -> None:
    passes = Passes(*[AGAIN] * 10)
    play(passes, {1: [WEB], 2.5: [PAY]}, workers=1)
    assert passes.keys[:4] == ["web", "web", "pay", "web"]


def test_a_pass_that_changed_the_world_is_followed_by_one_more_at_once() -> None:
    passes = Passes(AGAIN)
    play(passes, {1: [WEB]})
    assert passes.begins == [1, 2]


@pytest.mark.parametrize("part", [0.8, 1.0])
def test_a_failed_pass_is_tried_again_later_and_later_a_fifth_of_it_at_random(
    part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        drawn.append((least, most))
        return least if part < 1 else most

    monkeypatch.setattr(random, "uniform", uniform)
    passes = Passes(*[FAILED] * 8, takes=0)
    play(passes, {1: [WEB]})
    waits = [b - a for a, b in zip(passes.begins, passes.begins[1:], strict=False)]
    longest = [min(FIRST_RETRY * 2**n, LONGEST_RETRY) for n in range(8)]
    assert waits == pytest.approx([part * one for one in longest], abs=1e-5)
    assert drawn == [(0.8, 1.0)] * 8


def test_a_wake_from_outside_is_not_delayed_by_failures_before_it() -> None:
    passes = Passes(*[FAILED] * 6, takes=0)
    play(passes, {0: [WEB], 20: [WEB]})
    assert 20 in passes.begins


def test_a_wake_takes_the_place_of_the_retry_that_was_to_come() -> None:
    passes = Passes(FAILED, takes=0)
    play(passes, {1: [WEB], 1.1: [WEB]})
    assert passes.begins == [1, 1.1]


def test_success_makes_the_next_failure_a_first_one() -> None:
    passes = Passes(FAILED, FAILED, FAILED, OK, FAILED, OK, takes=0)
    play(passes, {1: [WEB], 50: [WEB]})
    assert passes.begins[4] == 50
    assert passes.begins[5] - 50 <= FIRST_RETRY


def test_a_pass_over_its_time_is_ended_and_tried_again() -> None:
    outcomes = Outcomes()
    passes = Passes(takes=30)
    play(passes, {1: [WEB]}, until=12, outcomes=outcomes)
    assert passes.log[0][:2] == (1, 11)
    assert outcomes.seen[0] == ("web", "late")
    assert passes.begins[1] - 11 <= FIRST_RETRY


def test_a_slow_pass_of_one_key_delays_no_other() -> None:
    passes = Passes(takes=9)
    play(passes, {1: [WEB], 2: [PAY], 3: [SHOP]}, workers=3)
    assert passes.begins == [1, 2, 3]


def test_a_defect_in_a_pass_is_told_and_tried_again_and_harms_nobody_else() -> None:
    outcomes = Outcomes()
    passes = Passes(ValueError("a defect"), OK, OK, takes=0)
    play(passes, {1: [WEB, PAY]}, outcomes=outcomes)
    assert outcomes.seen == [("web", "error"), ("pay", "ok"), ("web", "ok")]


def test_a_timeout_error_of_the_pass_itself_is_not_mistaken_for_the_limit() -> None:
    outcomes = Outcomes()
    play(Passes(TimeoutError(), takes=0), {1: [WEB]}, outcomes=outcomes)
    assert outcomes.seen[0] == ("web", "error")


def test_a_key_that_asks_for_more_without_end_is_slowed_down() -> None:
    passes = Passes(*[AGAIN] * 10_000, takes=0.001)
    play(passes, {0: [WEB]}, until=60)
    assert MANY < len(passes.log) < MANY + 20


def test_nothing_is_remembered_of_keys_that_are_idle() -> None:
    queue = play(Passes(FAILED, AGAIN), {1: [WEB, PAY, SHOP]})
    assert queue._entries == {}


def test_wakes_before_the_queue_opens_wait_for_it() -> None:
    passes = Passes()

    async def scene() -> None:
        queue = Queue(passes)
        queue.wake(WEB)
        await asyncio.sleep(5)
        assert (passes.log, queue.depth, queue.oldest()) == ([], 1, 5)
        queue.open()
        await asyncio.sleep(5)

    run_virtual(scene())
    assert passes.begins == [5]


def test_draining_lets_running_passes_end_and_begins_no_other() -> None:
    passes = Passes(takes=2)

    async def scene() -> tuple[int, float]:
        queue = Queue(passes, workers=1)
        queue.open()
        queue.wake(WEB)
        queue.wake(PAY)
        await asyncio.sleep(0.5)
        queue.wake(WEB)
        return await queue.drain(3), asyncio.get_running_loop().time()

    assert run_virtual(scene()) == (0, 2)
    assert passes.keys == ["web"]


def test_draining_cuts_what_does_not_end_in_time() -> None:
    passes, outcomes = Passes(takes=9), Outcomes()

    async def scene() -> tuple[int, float]:
        queue = Queue(passes, watcher=outcomes)
        queue.open()
        queue.wake(WEB)
        await asyncio.sleep(0.5)
        return await queue.drain(3), asyncio.get_running_loop().time()

    assert run_virtual(scene()) == (1, 3.5)
    assert outcomes.seen == [("web", "cut")]


def test_a_failed_pass_is_not_tried_again_after_draining() -> None:
    passes = Passes(FAILED, FAILED, takes=1)

    async def scene() -> None:
        queue = Queue(passes)
        queue.open()
        queue.wake(WEB)
        await asyncio.sleep(0.5)
        await queue.drain(3)
        await asyncio.sleep(60)

    run_virtual(scene())
    assert len(passes.log) == 1


@pytest.mark.parametrize("result", [OK, FAILED])
def test_what_is_logged_in_a_pass_bears_its_rollout_and_nothing_of_another_pass(result: PassResult) -> None:
    seen: list[dict[str, object]] = []

    async def one(key: Key) -> PassResult:
        structlog.contextvars.bind_contextvars(**{f"of_{key.name}": True})
        seen.append(structlog.contextvars.get_contextvars())
        if key is WEB:
            queues[0].wake(PAY)
        return result

    async def scene() -> None:
        queues.append(Queue(one))
        queues[0].open()
        queues[0].wake(WEB)
        await asyncio.sleep(0.1)
        await queues[0].drain(0)

    queues: list[Queue] = []
    run_virtual(scene())
    assert seen[0] == {"namespace": "ns", "rollout": "web", "stage": "", "of_web": True}
    assert seen[1] == {"namespace": "ns", "rollout": "pay", "stage": "", "of_pay": True}
