"""What the evaluator makes of traffic: passes, failures, and what wakes a Rollout."""

import asyncio
from dataclasses import replace

import pytest
import structlog
from structlog.typing import EventDict

from rollout_controller.controller.jobs import Job
from rollout_controller.prometheus.promql import Scope
from tests.support.evaluating import (
    KEY,
    NEW,
    OLD,
    OTHER,
    POD,
    Bench,
    job,
    play,
    prometheus,
    stretch,
)
from tests.support.fakeprometheus import Revision, none, steady
from tests.support.logging import restored_logging


def test_five_percent_of_errors_at_five_requests_a_second_fail_within_seconds_and_wake_at_once() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=5, error_share=0.05))
        bench.judging.watch(KEY, job())
        failed = await bench.failed_at()
        assert failed <= 23.1
        assert bench.wakes[-1][0] == pytest.approx(failed, abs=0.1)
        assert bench.judging.verdict(KEY) is not None
        await bench.judging.close()

    play(main())


def test_a_failure_stays_for_its_canary_and_is_forgotten_with_the_release() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=50, error_share=0.5))
        bench.judging.watch(KEY, job())
        await bench.failed_at()
        bench.judging.watch(KEY, job(index=1, since=20))
        assert (await bench.until(60)).result == "fail"
        bench.judging.watch(KEY, None)
        assert bench.judging.verdict(KEY) is None
        bench.judging.watch(KEY, job(since=60))
        assert (await bench.until(61)).result == "inconclusive"
        await bench.judging.close()

    play(main())


def test_a_failure_is_not_that_of_the_next_canary() -> None:
    async def main() -> None:
        metrics = prometheus(rate=50, error_share=0.5)
        metrics.revisions["newer"] = Revision(steady(50), pods=("web-newer-aaaaa",))
        bench = Bench.of(metrics)
        bench.judging.watch(KEY, job())
        await bench.failed_at()
        bench.judging.watch(KEY, job(canary="newer", since=30))
        verdict = await bench.until(45)
        assert (verdict.key.canary, verdict.result) == ("newer", "pass")
        await bench.judging.close()

    play(main())


def test_a_new_stage_begins_without_verdict_and_without_failures() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=50, error_share=0.5))
        bench.judging.watch(KEY, job())
        assert (await bench.until(5)).failures == 1
        bench.judging.watch(KEY, job(index=1, since=5, failures=1))
        verdict = await bench.until(8)
        assert (verdict.key.index, verdict.result, verdict.failures) == (1, "inconclusive", 0)
        assert (await bench.until(9.5)).failures == 1
        await bench.judging.close()

    play(main())


def test_a_look_that_was_under_way_when_a_stage_began_does_not_count_in_it() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=50))
        bench.metrics.delay = 2
        bench.judging.watch(KEY, job())
        await bench.until(5)  # asks since second 4
        bench.judging.watch(KEY, job(index=1, since=5))
        verdict = await bench.until(8.5)
        assert (verdict.key.index, verdict.result) == (1, "inconclusive")
        await bench.judging.close()

    play(main())


def test_failures_counted_before_a_restart_count_on() -> None:
    async def main() -> None:
        fresh, again = Bench.of(prometheus(50, 0.5)), Bench.of(prometheus(50, 0.5))
        fresh.judging.watch(KEY, job())
        again.judging.watch(KEY, job(failures=1))
        assert (await fresh.until(4.5)).failures == 1
        assert (await again.until(4.5)).result == "fail"
        await fresh.judging.close()
        await again.judging.close()

    play(main())


def test_a_restart_alone_fails_nothing_whatever_was_counted_before() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        bench.judging.watch(KEY, job(failures=7))
        verdict = await bench.until(3)
        assert (verdict.result, verdict.failures) == ("inconclusive", 1)
        assert (await bench.until(5)).result == "pass"
        await bench.judging.close()

    play(main())


def test_samples_that_stay_away_end_a_pass() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=1, scraped_until=50.0))
        bench.judging.watch(KEY, job())
        assert (await bench.until(60)).result == "pass"
        verdict = await bench.until(130)
        assert verdict.result == "inconclusive"
        await bench.judging.close()

    play(main())


def test_warm_up_is_shown_and_not_judged() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=50, error_share=0.5))
        bench.judging.watch(KEY, job(warmup=30, ready={POD: 0, OTHER: 2}))
        verdict = await bench.until(31)
        assert (verdict.result, verdict.failures) == ("inconclusive", 0)
        assert verdict.sentence == "error rate 50 % (limit 1 %); not judged yet, the pods are warming up"
        assert bench.metrics.spans()[-1] <= 30
        assert (await bench.until(33.5)).failures == 1
        assert bench.metrics.spans()[-1] == 1
        await bench.judging.close()

    play(main())


def test_a_pod_that_comes_and_goes_does_not_stay_young() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=50, error_share=0.5))
        for second in range(0, 40, 5):
            await asyncio.sleep(second - asyncio.get_running_loop().time())
            bench.judging.watch(KEY, job(warmup=20, ready={POD: second}))
        assert (await bench.until(40)).result == "fail"
        await bench.judging.close()

    play(main())


def test_traffic_that_does_not_arrive_fails() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(requests=none))
        bench.judging.watch(KEY, job())
        failed = await bench.failed_at()
        assert failed <= 33.1
        verdict = bench.judging.verdict(KEY)
        assert verdict is not None
        assert "no request reached the canary" in verdict.sentence
        await bench.judging.close()

    play(main())


@pytest.mark.parametrize(("since", "until"), [(1e9, 1e9), (-1000.0, 2.0)])
def test_pods_that_are_not_scraped_are_no_sign_of_traffic_that_does_not_arrive(
    since: float, until: float
) -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(requests=none, scraped_since=since, scraped_until=until))
        bench.judging.watch(KEY, job())
        verdict = await bench.until(70)
        assert (verdict.result, verdict.failures) == ("inconclusive", 0)
        assert "Prometheus does not scrape 1 of 1 ready canary pods yet" in verdict.sentence
        await bench.judging.close()

    play(main())


def test_a_slow_scrape_that_has_not_seen_the_traffic_is_no_sign_either() -> None:
    async def main() -> None:
        # Scraped each 30 s, at second 0 and 30: until then nothing is known of the traffic.
        bench = Bench.of(prometheus(rate=5, scrape=30))
        bench.judging.watch(KEY, job())
        for second in range(4, 90):
            assert (await bench.until(second)).failures == 0
        assert (await bench.until(90)).result == "pass"
        await bench.judging.close()

    play(main())


def test_versions_whose_pods_cannot_be_told_apart_are_never_judged() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50, 0.5))
        alike = Scope.of("shop", "w" * 60, canary=NEW, stable=OLD)
        bench.judging.watch(KEY, Job(replace(stretch(), scope=alike)))
        verdict = await bench.until(60)
        assert (verdict.result, verdict.failures) == ("inconclusive", 0)
        assert "at most 46 characters" in verdict.sentence
        assert bench.metrics.asked == []
        await bench.judging.close()

    play(main())


def test_a_line_about_a_verdict_tells_its_own_stage_not_that_in_which_judging_began() -> None:
    lines: list[EventDict] = []

    def keep(_logger: object, _method: str, line: EventDict) -> EventDict:
        lines.append(line)
        raise structlog.DropEvent

    async def main() -> None:
        bench = Bench.of(prometheus(rate=50))
        structlog.contextvars.bind_contextvars(stage="1/5")  # as the pass that begins to judge does
        bench.judging.watch(KEY, job())
        await bench.until(15)
        bench.judging.watch(KEY, job(index=2, since=15))
        await bench.until(40)
        await bench.judging.close()

    with restored_logging():
        structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
        play(main())
    told = [(line["stage"], line["result"]) for line in lines if line["event"] == "verdict"]
    assert told[0] == ("1", "pass")
    assert told[-1] == ("3", "pass")
