"""The evaluator while Prometheus does not answer; and who is still sent requests."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from rollout_controller.controller.jobs import Job
from rollout_controller.ports import Key
from rollout_controller.prometheus.promql import Scope
from tests.support.evaluating import (
    KEY,
    NEW,
    OLD,
    Bench,
    draining,
    job,
    play,
    prometheus,
    stretch,
)
from tests.support.fakeprometheus import DOWN, FakePrometheus, none, steady


def test_a_prometheus_that_is_down_ends_a_pass_and_is_asked_less_and_less_often() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        bench.judging.watch(KEY, job())
        assert (await bench.until(20)).result == "pass"
        bench.metrics.fault = DOWN
        verdict = await bench.until(24)
        assert (verdict.result, verdict.sentence) == ("inconclusive", str(DOWN))
        assert bench.wakes[-1] == (23.0, KEY)
        await bench.until(125)
        assert bench.metrics.times()[-5:] == [23, 33, 53, 83, 113]
        bench.metrics.fault = None
        assert (await bench.until(150)).result == "pass"
        await bench.judging.close()

    play(main())


def test_a_fault_neither_breaks_nor_extends_a_run_of_failures() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50, 0.5))
        bench.judging.watch(KEY, job())
        assert (await bench.until(5)).failures == 1
        bench.metrics.fault = DOWN
        verdict = await bench.until(60)
        assert (verdict.result, verdict.failures) == ("inconclusive", 1)
        bench.metrics.fault = None
        assert (await bench.until(100)).result == "fail"
        await bench.judging.close()

    play(main())


def test_a_prometheus_that_hangs_for_some_does_not_keep_others_from_their_verdicts() -> None:
    class Hanging(FakePrometheus):
        async def query(self, promql: str, *, at: datetime | None = None) -> Any:
            if "slow-" in promql:
                await asyncio.sleep(5)
                raise DOWN
            return await super().query(promql, at=at)

    async def main() -> None:
        fake = prometheus(50)
        bench = Bench.of(Hanging(fake.revisions))
        for number in range(20):
            hanging = Scope.of("shop", f"slow-{number}", canary=NEW, stable=OLD)
            bench.judging.watch(Key("shop", f"slow-{number}"), Job(replace(stretch(), scope=hanging)))
        bench.judging.watch(KEY, job())
        assert (await bench.until(20)).result == "pass"
        await bench.judging.close()

    play(main())


def test_a_defect_is_logged_and_the_release_is_judged_again_later() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        bench.metrics.fault = ZeroDivisionError("a defect")
        bench.judging.watch(KEY, job())
        assert (await bench.until(20)).result == "inconclusive"
        bench.metrics.fault = None
        assert (await bench.until(60)).result == "pass"
        await bench.judging.close()

    play(main())


def test_requests_are_asked_after_only_while_a_side_is_drained() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        bench.judging.watch(KEY, job())
        await bench.until(30)
        assert bench.judging.busy(KEY) == {}
        await bench.judging.close()

    play(main())


def test_a_side_is_busy_until_its_requests_end_and_the_rollout_wakes_when_they_do() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(requests=steady(50, until=20)))
        bench.judging.watch(KEY, draining(NEW, OLD))
        await asyncio.sleep(10)
        assert bench.judging.busy(KEY) == {NEW: True, OLD: True}
        await asyncio.sleep(14.5)
        assert bench.judging.busy(KEY) == {NEW: False, OLD: True}
        assert bench.wakes[-1][0] == pytest.approx(23, abs=1.1)
        await bench.judging.close()

    play(main())


def test_pods_that_never_had_a_request_are_quiet_and_pods_that_nobody_scrapes_unknown() -> None:
    async def main() -> None:
        for scraped, expected in ((-1000.0, False), (1e9, None)):
            bench = Bench.of(prometheus(requests=none, scraped_since=scraped))
            bench.judging.watch(KEY, draining(NEW))
            await asyncio.sleep(5)
            assert bench.judging.busy(KEY) == {NEW: expected}
            await bench.judging.close()

    play(main())


def test_a_prometheus_that_is_down_knows_of_no_side() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        bench.metrics.fault = DOWN
        bench.judging.watch(KEY, draining(NEW, OLD))
        await asyncio.sleep(5)
        assert bench.judging.busy(KEY) == {NEW: None, OLD: None}
        bench.metrics.fault = None
        await asyncio.sleep(5)
        assert bench.judging.busy(KEY) == {NEW: True, OLD: True}
        await bench.judging.close()

    play(main())


def test_a_release_that_is_promoted_is_judged_and_asked_after_at_the_same_time() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50, 0.5))
        bench.judging.watch(KEY, job())
        assert (await bench.until(5)).failures == 1
        bench.judging.watch(KEY, job(drained=(OLD,)))
        assert (await bench.until(14)).result == "fail"
        assert bench.judging.busy(KEY) == {OLD: True}
        await bench.judging.close()

    play(main())
