"""The evaluator while requests do not go where the routes send them, and while they stray after a revert."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rollout_controller.controller.jobs import Job, Stray
from rollout_controller.core.share import Bypass
from rollout_controller.core.verdict import Verification
from rollout_controller.ports import ProxiesError, Sample, Sender, Subset
from tests.support.evaluating import KEY, NEW, POD, Bench, draining, job, play, prometheus, scope, time
from tests.support.fakeprometheus import FakePrometheus, Revision, Total, none, steady

SUBSET = Subset("web.shop.svc.cluster.local", "canary")


def traffic(bench: Bench) -> Verification:
    verdict = bench.judging.verdict(KEY)
    assert verdict is not None
    return verdict.traffic


def test_a_canary_with_its_share_is_verified_with_its_first_pass() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=50))
        bench.judging.watch(KEY, job())
        assert (await bench.until(4.5)).result == "pass"
        assert (traffic(bench).status, traffic(bench).reason) == ("True", "AsRouted")
        assert bench.wakes == [(4.0, KEY)]
        assert bench.metrics.times("up") == [4.0]  # the scrape interval, and no more questions
        await bench.judging.close()

    play(main())


def test_a_canary_that_gets_a_fifth_of_its_share_is_held_and_told_of_after_two_looks() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=100, requests=steady(20)))
        bench.judging.watch(KEY, job())
        for at in (12, 14):  # the first seconds may be a late push
            assert (await bench.until(at)).result == "inconclusive"
            assert traffic(bench).status == "Unknown"
        verdict = await bench.until(24)
        assert (verdict.result, verdict.failures) == ("inconclusive", 0)
        assert traffic(bench).reason == "FarTooFew"
        assert "the canary got 1.04 % of" in verdict.sentence
        assert bench.wakes[-1][0] == pytest.approx(23, abs=0.1)
        await bench.judging.close()

    play(main())


def test_a_share_that_comes_right_passes_again() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=100, requests=lambda at: 20 * at + 80 * max(0.0, at - 60)))
        bench.judging.watch(KEY, job())
        assert (await bench.until(60)).result == "inconclusive"
        assert traffic(bench).status == "False"
        assert (await bench.until(95)).result == "pass"
        assert traffic(bench).status == "True"
        await bench.judging.close()

    play(main())


def test_a_push_that_is_ten_seconds_late_is_no_alarm() -> None:
    async def main() -> None:
        # The weight is live ten seconds after it was taken for settled.
        bench = Bench.of(prometheus(rate=100, requests=steady(100, since=12)))
        bench.judging.watch(KEY, replace_bypass(job(), Bypass(stable=True)))
        for second in range(4, 60):
            await bench.until(second)
            assert traffic(bench).status != "False"
        assert (await bench.until(60)).result == "pass"
        await bench.judging.close()

    play(main())


def test_canary_pods_that_are_not_scraped_yet_are_waited_for_and_no_sign_of_too_few_requests() -> None:
    async def main() -> None:
        # Four of five pods serve, but Prometheus has not found them yet.
        bench = Bench.of(prometheus(rate=100, requests=steady(20)))
        bench.judging.watch(KEY, job(ready={POD: 0.0, "web-new-bbbbb": 0.0}))
        verdict = await bench.until(60)
        assert traffic(bench).status == "Unknown"
        assert (verdict.result, verdict.failures) == ("inconclusive", 0)
        assert "Prometheus does not scrape 1 of 2 ready canary pods yet" in verdict.sentence
        await bench.judging.close()

    play(main())


def test_a_stable_that_is_scraped_later_than_the_step_began_shows_that_no_request_reaches_the_canary() -> (
    None
):
    async def main() -> None:
        # All of stable's pods were made anew: of their requests nothing is counted from the step's beginning.
        metrics = prometheus(rate=100, requests=none)
        metrics.revisions["old"] = replace(metrics.revisions["old"], scraped_since=6.0)
        bench = Bench.of(metrics)
        bench.judging.watch(KEY, job())
        await bench.until(6)
        assert traffic(bench).status == "Unknown"
        await bench.until(60)
        assert (traffic(bench).status, traffic(bench).reason) == ("False", "NoRequests")
        await bench.judging.close()

    play(main())


def renewed(seconds: float, requests: Total) -> Bench:
    """All of stable's pods but one that soon goes are made anew so many seconds after the step began; that
    one was sent next to nothing."""
    metrics = prometheus(rate=100, requests=requests)
    metrics.revisions["gone"] = Revision(steady(1, until=seconds), pods=("web-old-ddddd",))
    metrics.revisions["old"] = replace(metrics.revisions["old"], scraped_since=seconds)
    return Bench.of(metrics)


def test_a_pod_of_stables_that_was_known_before_and_went_hides_no_canary_without_requests() -> None:
    async def main() -> None:
        bench = renewed(6, none)
        bench.judging.watch(KEY, job())
        await bench.until(60)
        assert (traffic(bench).status, traffic(bench).reason) == ("False", "NoRequests")
        await bench.judging.close()

    play(main())


def test_a_single_request_hides_no_canary_that_gets_no_others() -> None:
    async def main() -> None:
        bench = renewed(6, lambda at: float(at >= 8))
        bench.judging.watch(KEY, job())
        assert (await bench.until(60)).failures == 0  # it is held, as something does arrive
        assert (traffic(bench).status, traffic(bench).reason) == ("False", "NoRequests")
        await bench.judging.close()

    play(main())


def test_a_stable_made_anew_between_two_failing_looks_does_not_put_off_the_second() -> None:
    async def main() -> None:
        # The canary gets no request at all; the looks of 5 and 7 s would say so.
        metrics = prometheus(rate=100, requests=none)
        bench = Bench.of(metrics)
        bench.judging.watch(KEY, job())
        assert (await bench.until(6)).failures == 1
        metrics.revisions["old"] = replace(metrics.revisions["old"], scraped_since=6.5)
        assert await bench.failed_at(within=90) < 70
        await bench.judging.close()

    play(main())


class Begun(FakePrometheus):
    """One that began anew at 100 s: it answers nothing to what reaches back beyond that."""

    async def query(self, promql: str, *, at: datetime | None = None) -> list[Sample]:
        rows = await super().query(promql, at=at)
        last = self.asked[-1]
        return rows if last.at - last.span >= 100 else []


def test_a_busy_canary_is_not_held_against_a_stable_of_which_a_part_is_scraped_later() -> None:
    async def main() -> None:
        whole = prometheus(rate=2)
        metrics = Begun({**whole.revisions, "few": Revision(steady(2, since=-600), pods=("web-old-ddddd",))})
        metrics.revisions["old"] = replace(metrics.revisions["old"], scraped_since=121.0)
        bench = Bench.of(metrics)
        bench.judging.watch(KEY, job(latency=True))  # which wants 100 requests, more than a window has
        for second in range(101, 200):
            await bench.until(second)
            assert traffic(bench).status != "False", second
        await bench.judging.close()

    play(main())


def test_too_many_requests_are_told_after_two_looks() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=10, requests=steady(100)))
        bench.judging.watch(KEY, job())
        verdict = await bench.until(24)
        assert (verdict.result, traffic(bench).reason) == ("inconclusive", "FarTooMany")
        await bench.judging.close()

    play(main())


@pytest.mark.parametrize("since", [19.0, 20.0, 21.0, 22.0, 23.0, 24.0])
def test_a_stable_whose_pods_are_nearly_all_new_is_no_sign_of_too_many_requests(since: float) -> None:
    async def main() -> None:
        metrics = prometheus(rate=100, requests=steady(100))
        # One pod is left. Of the others nothing is counted until they are older than the window.
        before = Revision(steady(1890, since=-600, until=since), pods=("web-old-bbbbb",), scraped_until=since)
        young = Revision(steady(1890, since=-600), pods=("web-old-ddddd",), scraped_since=since)
        metrics.revisions["old"] = Revision(steady(10, since=-600), pods=("web-old-ccccc",))
        metrics.revisions |= {"before": before, "young": young}
        bench = Bench.of(metrics)
        bench.judging.watch(KEY, job())
        for second in range(4, 90):
            assert (await bench.until(second)).result == "pass" or second < 5
            assert traffic(bench).status != "False"
        assert traffic(bench).status == "True"
        await bench.judging.close()

    play(main())


def test_a_bypass_is_taken_from_the_newest_job() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus(rate=100, requests=steady(20)))
        bench.judging.watch(KEY, job())
        await bench.until(30)
        assert traffic(bench).status == "False"
        bench.judging.watch(KEY, replace_bypass(job(), Bypass(stable=True)))
        await bench.until(60)
        assert traffic(bench).status == "False"  # nothing verifies it, and nothing passes
        assert (await bench.until(61)).result == "inconclusive"
        await bench.judging.close()

    play(main())


def replace_bypass(one: Job, bypass: Bypass) -> Job:
    assert one.stretch is not None
    thresholds = replace(one.stretch.thresholds, bypass=bypass)
    return replace(one, stretch=replace(one.stretch, thresholds=thresholds))


# -- requests that stray -------------------------------------------------------------------------------


class FakeIstiod:
    """Implements `ports.Proxies`: answers this, or fails so."""

    def __init__(self, *senders: Sender, fault: str = "") -> None:
        self.senders_known, self.fault = list(senders), fault
        self.asked: list[tuple[Subset, str]] = []

    async def senders(self, subset: Subset, namespace: str) -> list[Sender]:
        self.asked.append((subset, namespace))
        if self.fault:
            raise ProxiesError(self.fault)
        return self.senders_known


def straying(since: float = 15.0, subset: Subset | None = SUBSET) -> Job:
    """The canary is drained; what begins at it from then on, and 15 s before, has no business there."""
    stray = Stray(scope(), time(since), timedelta(seconds=15), subset, "shop")
    return replace(draining(NEW), strays={NEW: stray})


def test_requests_that_still_arrive_are_told_with_who_sends_them_and_until_they_end() -> None:
    async def main() -> None:
        istiod = FakeIstiod(Sender("gw-0.istio-system", "is behind"))
        bench = Bench.of(prometheus(requests=steady(5, until=40)), istiod)
        bench.judging.watch(KEY, straying())
        await asyncio.sleep(16.5)
        assert bench.judging.strays(KEY) == {}
        assert istiod.asked == []
        await asyncio.sleep(2)
        assert bench.judging.strays(KEY) == {NEW: "proxy gw-0.istio-system is behind"}
        assert set(istiod.asked) == {(SUBSET, "shop")}
        assert bench.wakes[-1] == (17.0, KEY)
        await asyncio.sleep(30)
        assert bench.judging.strays(KEY) == {}
        assert bench.wakes[-1][0] == pytest.approx(44, abs=1.1)
        await bench.judging.close()

    play(main())


@pytest.mark.parametrize("requests", [none, steady(5, until=15)])
def test_a_canary_that_went_quiet_in_time_has_no_strays(requests: object) -> None:
    async def main() -> None:
        istiod = FakeIstiod()
        bench = Bench.of(prometheus(requests=requests), istiod)
        bench.judging.watch(KEY, straying())
        for second in range(60):
            await asyncio.sleep(1)
            assert bench.judging.strays(KEY) == {}, second
        assert istiod.asked == []
        await bench.judging.close()

    play(main())


def test_long_requests_that_end_late_began_before_and_are_no_strays() -> None:
    async def main() -> None:
        metrics = prometheus(requests=steady(5), slow=steady(5))
        bench = Bench.of(metrics)
        # Those that take 800 ms count as strays within a second, not within half of one.
        for within, strays in ((500, {}), (1000, {NEW: ""})):
            stray = Stray(scope(), time(0), timedelta(milliseconds=within), None, "shop")
            bench.judging.watch(KEY, replace(draining(NEW), strays={NEW: stray}))
            await asyncio.sleep(10)
            assert bench.judging.strays(KEY) == strays
        await bench.judging.close()

    play(main())


def test_an_istiod_that_does_not_answer_leaves_what_is_known() -> None:
    async def main() -> None:
        istiod = FakeIstiod(fault="no connection")
        bench = Bench.of(prometheus(), istiod)
        bench.judging.watch(KEY, straying())
        await asyncio.sleep(20)
        assert bench.judging.strays(KEY) == {NEW: ""}
        istiod.fault = ""
        await asyncio.sleep(5)
        assert bench.judging.strays(KEY) == {NEW: "no proxy that istiod knows is behind"}
        await bench.judging.close()

    play(main())


@pytest.mark.parametrize("subset", [None, SUBSET])
def test_without_istiod_or_a_host_nobody_is_asked(subset: Subset | None) -> None:
    async def main() -> None:
        istiod = FakeIstiod()
        bench = Bench.of(prometheus(), istiod if subset is None else None)
        bench.judging.watch(KEY, straying(subset=subset))
        await asyncio.sleep(20)
        assert bench.judging.strays(KEY) == {NEW: ""}
        assert istiod.asked == []
        await bench.judging.close()

    play(main())


def test_strays_are_forgotten_when_the_canary_may_be_sent_requests_again() -> None:
    async def main() -> None:
        bench = Bench.of(prometheus())
        bench.judging.watch(KEY, straying())
        await asyncio.sleep(20)
        assert bench.judging.strays(KEY) == {NEW: ""}
        bench.judging.watch(KEY, draining(NEW))
        assert bench.judging.strays(KEY) == {}
        bench.judging.watch(KEY, None)
        assert bench.judging.strays(KEY) == {}
        await bench.judging.close()

    play(main())


def test_a_prometheus_without_answer_or_scrapes_tells_of_no_strays() -> None:
    async def main() -> None:
        silent = Revision(steady(5), pods=(POD,), scraped_since=1e9)
        bench = Bench.of(prometheus())
        bench.metrics.revisions[NEW] = silent
        bench.judging.watch(KEY, straying())
        await asyncio.sleep(30)
        assert bench.judging.strays(KEY) == {}
        await bench.judging.close()

    play(main())
