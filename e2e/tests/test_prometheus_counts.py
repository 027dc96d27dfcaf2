"""What PromQL makes of counters on a real Prometheus: exact counts of each side, none lost, none invented."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from time import monotonic

import pytest
import pytest_asyncio

from e2e.tests.metricslab import SCRAPE, MetricsLab, Pod
from rollout_controller.core.judge_counts import Counts, Sides
from rollout_controller.prometheus.client import Prometheus, PrometheusSettings
from rollout_controller.prometheus.evidence import Evidence, read_evidence, read_scrapes
from rollout_controller.prometheus.promql import Labels, Scope

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("metricslab")]

CANARY, OTHER, STABLE = "web-7d9f6c5b44-abcde", "web-7d9f6c5b44-fghij", "web-66f7b8c9d5-klmno"


class Watcher:
    """Reads what was counted since a moment."""

    def __init__(self, lab: MetricsLab, prometheus: Prometheus) -> None:
        self._lab = lab
        self.prometheus = prometheus
        self.scope = Scope.of(lab.namespace, "web", canary="7d9f6c5b44", stable="66f7b8c9d5")
        self._since = monotonic()

    async def begin(self) -> None:
        """Counts from now on; what pods count up to now has been scraped."""
        await self._lab.scrape()
        self._since = monotonic()
        # An answer looks back from when it was asked, which is a little after that was decided.
        await asyncio.sleep(10 * SCRAPE)

    async def read(self, *, histogram: bool = False) -> Evidence:
        """What both sides counted since `begin`."""
        span = timedelta(seconds=monotonic() - self._since)
        return await read_evidence(self.prometheus, Labels(), self.scope, span, histogram=histogram)

    async def sides(self) -> Sides:
        await self._lab.scrape()
        return (await self.read()).sides


@pytest_asyncio.fixture(scope="module")
async def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MetricsLab]:
    async with MetricsLab.open(tmp_path_factory.mktemp("prometheus")) as one:
        yield one


@pytest.fixture
def lab(shared_lab: MetricsLab) -> MetricsLab:
    shared_lab.begin()
    return shared_lab


@pytest_asyncio.fixture
async def watcher(lab: MetricsLab) -> AsyncIterator[Watcher]:
    prometheus = Prometheus(PrometheusSettings(lab.url))
    yield Watcher(lab, prometheus)
    prometheus.close()


def counting(requests: float = 0, errors: float = 0) -> Pod:
    """A pod that has answered before anybody looks."""
    pod = Pod()
    for count, code in ((requests, "200"), (errors, "503")):
        if count:
            pod.add(count, code)
    return pod


async def test_each_side_counts_what_its_counters_grew(lab: MetricsLab, watcher: Watcher) -> None:
    lab.pods = {CANARY: counting(100, 7), OTHER: counting(50, 1), STABLE: counting(1000, 3)}
    await watcher.begin()
    for name, good, bad in ((CANARY, 10, 1), (OTHER, 20, 2), (STABLE, 300, 0)):
        lab.pods[name].add(good)
        lab.pods[name].add(bad, "503")
    assert await watcher.sides() == Sides(Counts(33, 3), Counts(300, 0))


async def test_the_first_error_of_a_pod_counts_though_its_series_is_new(
    lab: MetricsLab, watcher: Watcher
) -> None:
    lab.pods = {CANARY: counting(100), STABLE: counting(1000)}
    await watcher.begin()
    lab.pods[CANARY].add(1, "500")
    lab.pods[STABLE].add(2, "504")
    assert await watcher.sides() == Sides(Counts(1, 1), Counts(2, 2))


async def test_a_pod_that_was_scraped_before_its_first_request_counts_from_the_first(
    lab: MetricsLab, watcher: Watcher
) -> None:
    lab.pods = {CANARY: Pod(), STABLE: Pod()}
    await watcher.begin()
    assert await watcher.sides() == Sides(None, None)
    lab.pods[CANARY].add(5)
    lab.pods[STABLE].add(6)
    assert await watcher.sides() == Sides(Counts(5), Counts(6))


async def test_a_canary_pod_that_prometheus_meets_later_counts_whole_and_a_stable_one_not_at_all(
    lab: MetricsLab, watcher: Watcher
) -> None:
    lab.pods = {STABLE: counting(1000)}
    await watcher.begin()
    lab.pods |= {CANARY: counting(40, 2), "web-66f7b8c9d5-pqrst": counting(5000, 50)}
    lab.pods[STABLE].add(10)
    assert await watcher.sides() == Sides(Counts(42, 2), Counts(10))


async def test_a_counter_that_began_anew_counts_what_it_counts_now(lab: MetricsLab, watcher: Watcher) -> None:
    lab.pods = {CANARY: counting(100, 20), STABLE: counting(1000)}
    await watcher.begin()
    lab.pods[CANARY] = counting(7, 1)
    assert (await watcher.sides()).canary == Counts(8, 1)


async def test_the_last_requests_of_a_pod_that_is_gone_still_count(lab: MetricsLab, watcher: Watcher) -> None:
    lab.pods = {CANARY: counting(100), OTHER: counting(10), STABLE: counting(1000)}
    await watcher.begin()
    lab.pods[CANARY].add(4, "500")
    await lab.scrape()
    del lab.pods[CANARY]
    lab.pods[OTHER].add(3)
    assert (await watcher.sides()).canary == Counts(7, 4)


async def test_scrapes_that_failed_when_counting_began_invent_nothing(
    lab: MetricsLab, watcher: Watcher
) -> None:
    lab.pods = {CANARY: counting(100, 9), STABLE: counting(1000, 5)}
    await lab.scrape()
    lab.pods[CANARY].down = lab.pods[STABLE].down = True
    await watcher.begin()
    lab.pods[CANARY].down = lab.pods[STABLE].down = False
    lab.pods[CANARY].add(2)
    lab.pods[STABLE].add(3)
    assert await watcher.sides() == Sides(Counts(2), Counts(3))


async def test_a_prometheus_that_lost_everything_counts_only_what_it_sees_itself(
    lab: MetricsLab, watcher: Watcher
) -> None:
    lab.pods = {CANARY: counting(100, 9), STABLE: counting(1000, 5)}
    await watcher.begin()
    await lab.stop()
    await lab.start("empty")
    assert await watcher.sides() == Sides(None, None)
    await watcher.begin()
    lab.pods[CANARY].add(2, "500")
    assert await watcher.sides() == Sides(Counts(2, 2), Counts(0))


async def test_grpc_counts_by_its_own_status_and_the_callers_faults_are_no_errors(
    lab: MetricsLab, watcher: Watcher
) -> None:
    lab.pods = {CANARY: Pod(), STABLE: counting(1)}
    await watcher.begin()
    for status in ("0", "1", "3", "5", "7", "16"):
        lab.pods[CANARY].add(10, "200", status)
    for status in ("2", "4", "8", "13", "14", "15"):
        lab.pods[CANARY].add(1, "200", status)
    for code in ("404", "429", "0"):
        lab.pods[CANARY].add(5, code)
    assert (await watcher.sides()).canary == Counts(81, 6)


async def test_only_pods_of_the_two_revisions_count(lab: MetricsLab, watcher: Watcher) -> None:
    strangers = ("web-api-7d9f6c5b44-abcde", "web-7d9f6c5b44x-abcde", "web-7d9f6c5b44-abcde-x", "api-abcde")
    lab.pods = {CANARY: counting(1), STABLE: counting(1), **{name: counting(1) for name in strangers}}
    await watcher.begin()
    for pod in lab.pods.values():
        pod.add(5)
    assert await watcher.sides() == Sides(Counts(5), Counts(5))


async def test_pods_of_the_same_name_elsewhere_do_not_count(lab: MetricsLab, watcher: Watcher) -> None:
    elsewhere = counting(1)
    elsewhere.namespace = "elsewhere"
    lab.pods = {CANARY: elsewhere, STABLE: counting(1)}
    await watcher.begin()
    elsewhere.add(5)
    assert await watcher.sides() == Sides(None, Counts(0))


async def test_durations_come_as_one_histogram_of_each_side(lab: MetricsLab, watcher: Watcher) -> None:
    lab.pods = {CANARY: counting(1), OTHER: counting(1), STABLE: counting(1)}
    bounds = (100.0, 250.0, 500.0)
    for pod in lab.pods.values():
        pod.take(1000, 1, bounds)
    await watcher.begin()
    lab.pods[CANARY].take(5, 80, bounds)
    lab.pods[OTHER].take(2, 300, bounds)
    lab.pods[OTHER].take(1, 900, bounds)
    for name in (CANARY, OTHER):
        lab.pods[name].add(4)
    await lab.scrape()
    evidence = await watcher.read(histogram=True)
    assert evidence.sides.canary is not None
    assert evidence.sides.canary.buckets == ((100, 5), (250, 5), (500, 7), (float("inf"), 8))
    assert evidence.sides.stable is not None
    assert evidence.sides.stable.buckets[-1] == (float("inf"), 0)


async def test_the_newest_sample_tells_whether_a_look_is_a_new_one(lab: MetricsLab, watcher: Watcher) -> None:
    lab.pods = {CANARY: counting(1), STABLE: counting(1)}
    await watcher.begin()
    lab.pods[CANARY].add(1)
    await lab.scrape()
    first = await watcher.read()
    assert first.age is not None
    assert 0 <= first.age < 5 * SCRAPE
    await lab.scrape()
    second = await watcher.read()
    assert first.newest is not None
    assert second.newest is not None
    assert second.newest > first.newest
    lab.pods[CANARY].down = True
    await lab.scrape()
    stable_only = await watcher.read()
    assert stable_only.newest is not None
    assert stable_only.newest > second.newest


async def test_up_tells_the_scrape_interval_and_which_canary_pods_are_scraped(
    lab: MetricsLab, watcher: Watcher
) -> None:
    assert (
        await read_scrapes(watcher.prometheus, Labels(), watcher.scope, timedelta(minutes=1))
    ).interval is None
    lab.pods = {CANARY: Pod(), OTHER: Pod(down=True), STABLE: Pod()}
    await lab.scrape()
    await asyncio.sleep(5 * SCRAPE)  # the passing of scrapes is what is measured
    scrapes = await read_scrapes(watcher.prometheus, Labels(), watcher.scope, timedelta(minutes=1))
    assert scrapes.interval == pytest.approx(SCRAPE, rel=0.5)
    assert scrapes.canary_up == scrapes.canary_twice == {CANARY}
    soon = await read_scrapes(watcher.prometheus, Labels(), watcher.scope, timedelta(seconds=SCRAPE * 0.25))
    assert soon.canary_twice == frozenset()
