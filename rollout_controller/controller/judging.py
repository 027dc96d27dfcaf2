"""Judges running releases, each in a task of its own, and keeps the newest verdict for the passes to read.

A pass says after each look what there is to judge from now on and never waits for an answer; a verdict
that changes wakes the Rollout. Prometheus is asked by few at a time: a slow one delays verdicts, no passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

import structlog

from rollout_controller.controller.jobs import Job, job_of
from rollout_controller.controller.observe import Sighting
from rollout_controller.core.judge import Judgement, Look, Nothing, begin, enough, failing, fold
from rollout_controller.core.judge_checks import Latency
from rollout_controller.core.judge_counts import Sides
from rollout_controller.core.model import Facts, Hash, Verdict
from rollout_controller.ports import Clock, Key, Metrics, MetricsError
from rollout_controller.prometheus.evidence import Evidence, Scrapes, read_evidence, read_scrapes
from rollout_controller.prometheus.promql import Labels, Scope

AT_ONCE: Final = 8
"""Evaluations that may be under way at the same time."""
SCRAPES: Final = 3
"""A window holds at least so many scrapes."""
QUIET_EVERY: Final = timedelta(seconds=1)
QUIET_SPAN: Final = timedelta(seconds=5)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Run:
    """One release that is judged: the job, the fold, and what was said of who is still sent requests."""

    job: Job
    state: Judgement | None = None
    busy: Mapping[Hash, bool | None] = field(default_factory=lambda: MappingProxyType({}))
    task: asyncio.Task[None] | None = None


class Judging:
    """The evaluator. `wake` is called when a result, a count of failures or a busy side changes."""

    def __init__(
        self, metrics: Metrics, clock: Clock, labels: Labels, settle: timedelta, wake: Callable[[Key], None]
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._labels = labels
        self._settle = settle
        self._wake = wake
        self._runs: dict[Key, _Run] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def judge(self, key: Key, sighting: Sighting | None, facts: Facts | None) -> None:
        """What is to be judged from now on; nothing if no release runs."""
        job = job_of(sighting, facts, self._settle) if sighting is not None and facts is not None else None
        run = self._runs.get(key)
        if job is None:
            if run is not None and run.task is not None:
                run.task.cancel()
            self._runs.pop(key, None)
            return
        if run is not None and run.job.stretch == job.stretch:
            run.job = job
            return
        if run is not None and run.task is not None:
            run.task.cancel()
        state = begin(job.key, self._clock.now(), job.failures) if job.key is not None else None
        if run is not None and run.state is not None and run.state.failed and run.job.canary == job.canary:
            state = run.state
        fresh = _Run(job, state, run.busy if run is not None else MappingProxyType({}))
        self._runs[key] = fresh
        fresh.task = asyncio.create_task(self._judge_on(key, fresh), name=f"judge {key}")

    def verdict(self, key: Key) -> Verdict | None:
        """The newest verdict on this Rollout's canary, None if nothing is judged."""
        run = self._runs.get(key)
        return run.state.verdict if run is not None and run.state is not None else None

    def busy(self, key: Key) -> Mapping[Hash, bool | None]:
        """Who is still sent requests, as last asked; see `Observed.busy`."""
        run = self._runs.get(key)
        return run.busy if run is not None else MappingProxyType({})

    async def close(self) -> None:
        """End all tasks."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        self._runs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _judge_on(self, key: Key, run: _Run) -> None:
        structlog.contextvars.bind_contextvars(namespace=key.namespace, rollout=key.name)
        while True:
            await asyncio.sleep(self._pause(run).total_seconds())
            try:
                async with self._slots:
                    if run.job.asks_busy:
                        await self._ask_busy(key, run)
                    if run.job.key is not None:
                        await self._evaluate(key, run)
            except Exception:
                log.exception("an evaluation broke; the release is not judged until the next one")

    def _pause(self, run: _Run) -> timedelta:
        """Until the next evaluation: the user's interval, and none before there is evidence."""
        if run.job.key is None:
            return QUIET_EVERY
        pause = run.job.interval if run.state is not None and run.state.newest is not None else timedelta(0)
        first = run.job.evidence_from - self._clock.now()
        return max(pause, first, min(run.job.interval, timedelta(seconds=1)))

    async def _evaluate(self, key: Key, run: _Run) -> None:
        job, state = run.job, run.state
        if state is None:
            return
        try:
            look: Look | Nothing = await self._look(job, state)
        except MetricsError as fault:
            look = Nothing(str(fault))
        after = fold(state, look, job.thresholds, self._clock.now())
        run.state = after
        before = state.verdict
        told = (before.result, before.failures) != (after.verdict.result, after.verdict.failures)
        if told or not before.readings:
            log.info(
                "verdict",
                result=after.verdict.result,
                failures=after.verdict.failures,
                sentence=after.verdict.sentence,
                stage_index=after.verdict.key.index,
            )
            self._wake(key)

    async def _look(self, job: Job, state: Judgement) -> Look | Nothing:
        now = self._clock.now()
        since = now - job.evidence_from
        if since <= timedelta(0):
            return Nothing("waiting for the canary's first requests")
        scrapes = await read_scrapes(self._metrics, self._labels, job.scope, job.window * 2)
        window, remark = _window(job, scrapes)
        evidence = await self._read(job, min(window, since))
        if since > window and not enough(evidence.sides, job.thresholds):
            evidence = await self._read(job, since)
            window = since
        if evidence.newest is None and evidence.sides.canary is None and evidence.sides.stable is None:
            return Nothing("Prometheus knows no requests of these pods yet")
        covered = scrapes.canary_for is not None and timedelta(seconds=scrapes.canary_for) >= min(
            window, since
        )
        look = Look(evidence.sides, None, evidence.newest, covered, True, remark)
        if state.counted is not None and failing(look, job.thresholds):
            fresh: Sides = (await self._read(job, now - state.counted)).sides
            look = replace(look, fresh=fresh)
        return look

    async def _read(self, job: Job, span: timedelta) -> Evidence:
        histogram = any(isinstance(check, Latency) for check in job.thresholds.checks)
        return await read_evidence(self._metrics, self._labels, job.scope, span, histogram=histogram)

    async def _ask_busy(self, key: Key, run: _Run) -> None:
        """Whether the pods of each side were sent anything in the last seconds."""
        asked: dict[Hash, bool | None] = {}
        for revision, scope in run.job.sides.items():
            asked[revision] = await self._is_busy(scope)
        if asked != run.busy:
            run.busy = asked
            self._wake(key)

    async def _is_busy(self, scope: Scope) -> bool | None:
        try:
            evidence = await read_evidence(self._metrics, self._labels, scope, QUIET_SPAN, histogram=False)
        except MetricsError:
            return None
        return evidence.sides.canary is not None and evidence.sides.canary.requests > 0


def _window(job: Job, scrapes: Scrapes) -> tuple[timedelta, str]:
    """The user's window, widened to three scrapes with a word about it."""
    if scrapes.interval is None:
        return job.window, ""
    least = timedelta(seconds=SCRAPES * scrapes.interval)
    if job.window >= least:
        return job.window, ""
    return least, f"the window is widened to {least.total_seconds():.0f} s, three scrape intervals"
