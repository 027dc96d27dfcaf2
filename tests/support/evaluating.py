"""The evaluator on a virtual clock, before a made-up Prometheus: jobs in one line, and letting time pass."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rollout_controller.controller.jobs import Job, Stretch
from rollout_controller.controller.judging import Judging
from rollout_controller.core.judge import Thresholds
from rollout_controller.core.judge_checks import ErrorRate, Latency
from rollout_controller.core.release import StageKey
from rollout_controller.core.verdict import Verdict
from rollout_controller.ports import Key, Proxies
from rollout_controller.prometheus.promql import Labels, Scope
from tests.support.fakeprometheus import (
    BEGIN,
    FakePrometheus,
    Revision,
    VirtualClock,
    steady,
)
from tests.support.virtualtime import run_virtual

KEY = Key("shop", "web")
NEW, OLD = "new", "old"
POD, OTHER = "web-new-aaaaa", "web-new-bbbbb"
SETTLED = 3.0
"""Seconds after a stage's beginning."""


def time(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def scope(canary: str = NEW, stable: str = OLD) -> Scope:
    return Scope.of("shop", "web", canary=canary, stable=stable)


def stretch(
    *,
    index: int = 0,
    since: float = 0,
    canary: str = NEW,
    interval: float = 10,
    window: float = 30,
    warmup: float = 0,
    ready: Mapping[str, float] | None = None,
    failures: int = 0,
    latency: bool = False,
) -> Stretch:
    """Step 1 at 5 %, settled 3 s after it began, judged by an error rate of 1 %."""
    checks = (ErrorRate(0.01), Latency(0.99, 500)) if latency else (ErrorRate(0.01),)
    return Stretch(
        key=StageKey(canary, index, time(since)),
        scope=scope(canary),
        thresholds=Thresholds(checks, min_requests=20, failure_limit=2, weight=5, share=5),
        interval=timedelta(seconds=interval),
        window=timedelta(seconds=window),
        warmup=timedelta(seconds=warmup),
        settled=time(since + SETTLED),
        ready={pod: time(at) for pod, at in ({POD: 0.0} if ready is None else ready).items()},
        failures=failures,
    )


def job(drained: Iterable[str] = (), **changes: Any) -> Job:
    return Job(stretch(**changes), {r: scope(r, OLD if r == NEW else NEW) for r in drained})


def draining(*revisions: str) -> Job:
    return replace(job(drained=revisions), stretch=None)


def prometheus(
    rate: float = 5, error_share: float = 0.0, *, scrape: float = 1.0, **canary: Any
) -> FakePrometheus:
    """A canary with so many requests a second from the beginning, beside a stable with nineteen times as
    many."""
    new = Revision(steady(rate), steady(rate * error_share), pods=(POD,))
    old = Revision(steady(19 * rate, since=-600), pods=("web-old-ccccc",))
    return FakePrometheus({NEW: replace(new, **canary), OLD: old}, scrape)


@dataclass
class Bench:
    """An evaluator, the wakes it gave with their times, and a short way to let time pass."""

    metrics: FakePrometheus
    judging: Judging
    wakes: list[tuple[float, Key]]

    @staticmethod
    def of(metrics: FakePrometheus, proxies: Proxies | None = None) -> "Bench":
        wakes: list[tuple[float, Key]] = []

        def wake(key: Key) -> None:
            wakes.append((asyncio.get_running_loop().time(), key))

        judging = Judging(metrics, VirtualClock(), Labels(), timedelta(seconds=SETTLED), wake, proxies)
        return Bench(metrics, judging, wakes)

    async def until(self, seconds: float) -> Verdict:
        """Let time pass until then; the verdict at that time."""
        await asyncio.sleep(seconds - asyncio.get_running_loop().time())
        verdict = self.judging.verdict(KEY)
        assert verdict is not None
        return verdict

    async def failed_at(self, within: float = 120) -> float:
        """When the verdict became a failure."""
        for second in range(int(within * 10)):
            if (await self.until(second / 10)).result == "fail":
                return second / 10
        raise AssertionError(f"no failure within {within} s: {self.judging.verdict(KEY)}")


def play(main: Coroutine[Any, Any, None]) -> None:
    run_virtual(main)
