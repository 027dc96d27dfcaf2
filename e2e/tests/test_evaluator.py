"""The evaluator before a real Prometheus that is stopped, hangs, forgets and comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
import pytest_asyncio

from e2e.tests.metricslab import MetricsLab, Pod
from e2e.tests.support import wait_for
from rollout_controller.controller.jobs import Job, Stretch
from rollout_controller.controller.judging import Judging
from rollout_controller.core.judge import Thresholds
from rollout_controller.core.judge_checks import ErrorRate, Latency
from rollout_controller.core.release import StageKey
from rollout_controller.core.verdict import Verdict
from rollout_controller.ports import Key
from rollout_controller.prometheus.client import Prometheus, PrometheusSettings
from rollout_controller.prometheus.promql import Labels, Scope

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("metricslab")]

KEY = Key("shop", "web")
CANARY, STABLE = "web-new-abcde", "web-old-klmno"
BOUNDS = (100.0, 250.0, 500.0, 1000.0)
ZERO = timedelta(0)


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Bench:
    """A canary with 200 requests a second beside a stable with 1000, and the evaluator that judges it."""

    lab: MetricsLab
    judging: Judging
    woken: list[Verdict | None]
    errors: float = 0.0
    """The canary's share of failed requests."""
    slow: float = 0.0
    """The canary's share of requests that take 800 ms."""
    sent: bool = True
    """Whether any request reaches the canary."""

    async def traffic(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            for name, count in ((CANARY, 10 * self.sent), (STABLE, 50)):
                pod = self.lab.pods[name]
                bad, slow = (self.errors * count, self.slow * count) if name == CANARY else (0, 0)
                pod.add(count - bad)
                pod.add(bad, "503")
                pod.take(count - slow, 20, BOUNDS)
                pod.take(slow, 800, BOUNDS)

    def watch(self, *, drained: tuple[str, ...] = (), judged: bool = True) -> None:
        """A stage begins now, at 20 %; looks each second, over three."""
        now = datetime.now(UTC)
        scopes = {r: Scope.of(self.lab.namespace, "web", canary=r, stable="old") for r in ("new", "old")}
        stretch = Stretch(
            key=StageKey("new", 0, now),
            scope=scopes["new"],
            thresholds=Thresholds((ErrorRate(0.01), Latency(0.99, 500)), 20, 2, 20, 20),
            interval=timedelta(seconds=1),
            window=timedelta(seconds=3),
            warmup=ZERO,
            settled=now,
            ready={CANARY: now},
        )
        self.judging.watch(KEY, Job(stretch if judged else None, {r: scopes[r] for r in drained}))

    async def becomes(self, result: str, within: float = 15.0) -> Verdict:
        """Wait for this result."""

        async def so() -> Verdict | None:
            verdict = self.judging.verdict(KEY)
            return verdict if verdict is not None and verdict.result == result else None

        with contextlib.suppress(AssertionError):
            return await wait_for(so, result, within, every=0.02)
        raise AssertionError(f"expected {result} within {within:g} s, found {self.judging.verdict(KEY)}")


@pytest_asyncio.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MetricsLab]:
    async with MetricsLab.open(tmp_path_factory.mktemp("prometheus")) as one:
        yield one


@pytest_asyncio.fixture
async def bench(lab: MetricsLab) -> AsyncIterator[Bench]:
    lab.begin()
    lab.pods = {CANARY: Pod(), STABLE: Pod()}
    await lab.scrape()
    prometheus = Prometheus(PrometheusSettings(lab.url, timeout=1.0))
    woken: list[Verdict | None] = []
    judging = Judging(
        prometheus, SystemClock(), Labels(), ZERO, lambda key: woken.append(judging.verdict(key))
    )
    one = Bench(lab, judging, woken)
    sending = asyncio.create_task(one.traffic())
    yield one
    sending.cancel()
    await judging.close()
    prometheus.close()


async def test_a_good_canary_passes_and_the_verdict_shows_both_sides(bench: Bench) -> None:
    bench.watch()
    verdict = await bench.becomes("pass")
    errors, latency = verdict.readings
    assert (errors.value, errors.stable, errors.limit) == (0, 0, 0.01)
    assert latency.value == pytest.approx(99)
    assert errors.requests >= 20
    assert verdict.sentence == "error rate 0 % (limit 1 %), p99 99 ms (limit 500 ms)"
    assert bench.woken[-1] is not None


@pytest.mark.parametrize(("errors", "slow", "words"), [(0.05, 0.0, "error rate"), (0.0, 0.05, "p99")])
async def test_a_bad_canary_fails_and_the_verdict_wakes(
    bench: Bench, errors: float, slow: float, words: str
) -> None:
    bench.errors, bench.slow = errors, slow
    bench.watch()
    verdict = await bench.becomes("fail")
    assert verdict.failures == 2
    assert words in verdict.sentence
    assert bench.woken[-1] == verdict


async def test_a_canary_that_turns_bad_fails_after_it_passed(bench: Bench) -> None:
    bench.watch()
    await bench.becomes("pass")
    bench.errors = 0.5
    await bench.becomes("fail")


async def test_a_prometheus_that_goes_away_ends_the_pass_and_its_return_brings_it_back(bench: Bench) -> None:
    bench.watch()
    await bench.becomes("pass")
    await bench.lab.stop()
    verdict = await bench.becomes("inconclusive")
    assert "no connection to Prometheus" in verdict.sentence
    await bench.lab.start()
    await bench.becomes("pass", within=30)


async def test_a_prometheus_that_hangs_ends_the_pass_within_its_timeout_and_keeps_failures(
    bench: Bench,
) -> None:
    bench.watch()
    await bench.becomes("pass")
    await bench.lab.pause()
    try:
        began = monotonic()
        verdict = await bench.becomes("inconclusive")
        assert "gave no answer within 1 s" in verdict.sentence
        assert monotonic() - began < 5
    finally:
        bench.lab.resume()
    bench.errors = 0.5
    await bench.becomes("fail", within=30)


async def test_a_prometheus_that_forgot_everything_judges_what_it_sees_from_then_on(bench: Bench) -> None:
    bench.errors = 0.5
    await asyncio.sleep(1)  # errors that lie before what it will know
    await bench.lab.stop()
    bench.errors = 0.0
    await bench.lab.start("empty")
    bench.watch()
    verdict = await bench.becomes("pass", within=30)
    assert verdict.failures == 0


async def test_traffic_that_does_not_arrive_fails_once_the_pods_were_scraped(bench: Bench) -> None:
    bench.sent = False
    bench.watch()
    verdict = await bench.becomes("fail")
    assert "no request reached the canary" in verdict.sentence


async def test_a_side_is_busy_until_its_requests_end(bench: Bench) -> None:
    bench.watch(drained=("new", "old"), judged=False)

    async def known(expected: dict[str, bool | None]) -> bool:
        return dict(bench.judging.busy(KEY)) == expected

    await wait_for(lambda: known({"new": True, "old": True}), "both sides to be busy")
    bench.sent = False
    await wait_for(lambda: known({"new": False, "old": True}), "the canary to be quiet")
