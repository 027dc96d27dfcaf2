"""When the evaluator looks, and how far back; when it begins and when it ends."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from rollout_controller.ports import Key
from tests.support.evaluating import (
    KEY,
    SETTLED,
    Bench,
    job,
    play,
    prometheus,
)
from tests.support.fakeprometheus import steady


def test_it_looks_once_traffic_is_settled_then_as_soon_as_requests_may_be_enough_then_every_interval() -> (
    None
):
    async def main() -> None:
        bench = Bench.of(prometheus(rate=4))
        bench.judging.watch(KEY, job())
        await bench.until(40)
        assert bench.metrics.times() == [4, 5, 7, 8, 13, 23, 33]
        await bench.judging.close()

    play(main())


def test_a_busy_canary_is_judged_one_second_after_traffic_is_settled() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=100))
        bench.judging.watch(KEY, job())
        assert (await bench.until(4.5)).result == "pass"
        assert bench.wakes == [(4.0, KEY)]
        await bench.until(40)
        assert bench.metrics.times() == [4, 13, 23, 33]
        assert bench.wakes == [(4.0, KEY)]
        await bench.judging.close()

    play(main())


def test_while_the_first_requests_leave_it_open_it_looks_again_before_the_interval_is_over() -> None:
    async def main() -> None:
        # One error in the first 20 requests is 5 %, and may be chance.
        bench = Bench.of(prometheus(rate=5, errors=lambda at: float(at >= 5)))
        bench.judging.watch(KEY, job())
        verdict = await bench.until(12.9)
        assert (verdict.result, verdict.failures) == ("inconclusive", 0)
        early = bench.metrics.times()
        assert early[:3] == [4, 5, 7]
        assert len(early) > 4
        assert all(later - sooner >= 1 for sooner, later in itertools.pairwise(early))
        await bench.until(34)
        assert bench.metrics.times()[len(early) :] == [13, 23, 33]
        await bench.judging.close()

    play(main())


def test_a_window_is_looked_back_over_and_never_past_where_traffic_settled() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=100))
        bench.judging.watch(KEY, job())
        await bench.until(64)
        assert bench.metrics.spans() == [1, 10, 20, 30, 30, 30, 30]
        await bench.judging.close()

    play(main())


def test_a_small_service_is_looked_at_farther_back_until_there_are_requests_enough() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=0.2))
        bench.judging.watch(KEY, job())
        verdict = await bench.until(95)
        assert (verdict.result, verdict.needed) == ("inconclusive", 2)
        assert (await bench.until(125)).result == "pass"
        late = [q for q in bench.metrics.asked if q.kind == "requests" and q.at > 60]
        assert all(q.span <= q.at - SETTLED + 1e-6 for q in late)
        looks = {at: [q.span for q in late if q.at == at] for at in {q.at for q in late}}
        assert looks[113.0] == [50, 100]
        await bench.judging.close()

    play(main())


def test_a_window_shorter_than_three_scrapes_is_widened_and_their_interval_is_known_from_then_on() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=100, scrape=15))
        bench.judging.watch(KEY, job(window=20))
        assert bench.judging.scrape_interval(KEY) is None
        verdict = await bench.until(100)
        assert max(bench.metrics.spans()) == 45
        assert bench.judging.scrape_interval(KEY) == timedelta(seconds=15)
        assert verdict.result == "pass"
        await bench.judging.close()

    play(main())


@pytest.mark.parametrize(("latency", "failures"), [(False, 0), (True, 2)])
def test_the_histogram_is_asked_for_only_by_a_check_of_latency(latency: bool, failures: int) -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=100, slow=steady(10)))
        bench.judging.watch(KEY, job(latency=latency))
        verdict = await bench.until(20)
        assert bool(bench.metrics.times("buckets")) == latency
        assert verdict.failures == failures
        await bench.judging.close()

    play(main())


def test_a_release_that_is_over_is_asked_after_no_more() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        bench.judging.watch(KEY, job())
        await bench.until(20)
        bench.judging.watch(KEY, None)
        count = len(bench.metrics.asked)
        await asyncio.sleep(100)
        assert len(bench.metrics.asked) == count
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("judge")] == []

    play(main())


def test_a_pass_that_says_the_same_again_changes_nothing() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=4))
        for second in range(41):
            bench.judging.watch(KEY, job())
            await bench.until(second)
        assert bench.metrics.times() == [4, 5, 7, 8, 13, 23, 33]
        await bench.judging.close()

    play(main())


def test_an_edited_interval_counts_at_once() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        bench.judging.watch(KEY, job(interval=300, window=300))
        await bench.until(20)
        bench.judging.watch(KEY, job(interval=5))
        await bench.until(34)
        assert bench.metrics.times() == [4, 23, 28, 33]
        await bench.judging.close()

    play(main())


def test_closing_ends_every_task() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(50))
        for number in range(3):
            bench.judging.watch(Key("shop", str(number)), job())
        await asyncio.sleep(20)
        await bench.judging.close()
        assert len(asyncio.all_tasks()) == 1

    play(main())
