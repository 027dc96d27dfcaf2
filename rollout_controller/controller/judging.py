"""Judges running releases, each in a task of its own, and keeps the newest verdict for the passes to read.

A pass says after each look what there is to judge from now on and never waits for an answer; a verdict
that changes wakes the Rollout. Prometheus is asked for few Rollouts at a time: a slow one delays verdicts, no
passes. Nothing here decides: `looks` says what to ask and when, `core.judge` what it means.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import structlog

from rollout_controller.controller.jobs import Job, Stretch, in_the_dark, job_of
from rollout_controller.controller.looks import Looker, Memory, after_fault, next_look, next_question
from rollout_controller.controller.observe import Sighting
from rollout_controller.controller.strays import Strays
from rollout_controller.core.judge import Judgement, Look, Nothing, begin, fold
from rollout_controller.core.release import Facts, Hash, StageKey
from rollout_controller.core.verdict import Verdict
from rollout_controller.ports import Clock, Key, Metrics, MetricsError, Proxies
from rollout_controller.prometheus.promql import Labels

AT_ONCE: Final = 8
"""Rollouts for which Prometheus is asked at the same time."""
BROKEN: Final = timedelta(seconds=30)
"""The pause after a defect of ours, which the log tells."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Run:
    """One release: what is asked of it, the state of its gate, and when Prometheus is asked next."""

    job: Job
    look_at: datetime
    ask_at: datetime
    state: Judgement | None = None
    busy: Mapping[Hash, bool | None] = field(default_factory=lambda: MappingProxyType({}))
    strays: Mapping[Hash, str] = field(default_factory=lambda: MappingProxyType({}))
    memory: Memory = field(default_factory=Memory)
    faults: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Judging:
    """The evaluator. `wake` is called when a result, a count of failures or a busy side changes.

    `settle` is how long after its beginning a stage's requests begin to count; `proxies` is asked who still
    sends to a canary that everybody was sent back from.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Clock,
        labels: Labels,
        settle: timedelta,
        wake: Callable[[Key], None],
        proxies: Proxies | None = None,
    ) -> None:
        self._looker = Looker(metrics, labels)
        self._strays = Strays(self._looker, proxies)
        self._clock = clock
        self._settle = settle
        self._wake = wake
        self._runs: dict[Key, _Run] = {}
        self._scrapes: dict[Key, float] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def judge(self, key: Key, sighting: Sighting | None, facts: Facts | None) -> None:
        """What a pass has seen and decided; nothing of it is judged any more if the Rollout is gone."""
        if sighting is None or facts is None:
            self.watch(key, None)
            self._scrapes.pop(key, None)
        elif not in_the_dark(sighting, facts):
            self.watch(key, job_of(sighting, facts, self._settle))

    def watch(self, key: Key, job: Job | None) -> None:
        """Judge this from now on; None forgets the release and its verdict."""
        run = self._runs.get(key)
        if job is None:
            if run is not None:
                del self._runs[key]
                _cancel(run)
            return
        now = self._clock.now()
        if run is None:
            run = _Run(job, now, now)
            self._runs[key] = run
            self._take(run, None, job, now)
            run.task = asyncio.create_task(self._keep(key, run), name=f"judge {key}")
        else:
            before, run.job = run.job, job
            self._take(run, before, job, now)

    def verdict(self, key: Key) -> Verdict | None:
        """The newest verdict on this Rollout's canary, None if nothing is judged."""
        run = self._runs.get(key)
        return run.state.verdict if run is not None and run.state is not None else None

    def busy(self, key: Key) -> Mapping[Hash, bool | None]:
        """Who is still sent requests, as last asked; see `Observed.busy`."""
        run = self._runs.get(key)
        return run.busy if run is not None else MappingProxyType({})

    def strays(self, key: Key) -> Mapping[Hash, str]:
        """Who is still sent requests that should not be, as last asked; see `Observed.strays`."""
        run = self._runs.get(key)
        return run.strays if run is not None else MappingProxyType({})

    def scrape_interval(self, key: Key) -> timedelta | None:
        """How far apart the scrapes of this Rollout's pods are, None until a release was judged."""
        seconds = self._scrapes.get(key)
        return timedelta(seconds=round(seconds, 1)) if seconds else None

    async def close(self) -> None:
        """End all tasks."""
        runs = list(self._runs.values())
        self._runs.clear()
        for run in runs:
            _cancel(run)
        await asyncio.gather(*(run.task for run in runs if run.task), return_exceptions=True)

    def _take(self, run: _Run, before: Job | None, job: Job, now: datetime) -> None:
        """Note what is new in a job: another stretch begins anew, but for a failure of the same canary."""
        stretch, old = job.stretch, before.stretch if before is not None else None
        if before is None or job.drained.keys() != before.drained.keys():
            run.ask_at = now
            run.busy = MappingProxyType({r: b for r, b in run.busy.items() if r in job.drained})
            run.changed.set()
        run.strays = MappingProxyType({r: who for r, who in run.strays.items() if r in job.strays})
        if stretch is None:
            return
        run.memory.meet(stretch)
        state = run.state
        if state is None or state.verdict.key != stretch.key:
            if state is None or not (state.failed and state.verdict.key.canary == stretch.key.canary):
                failures = stretch.failures if state is None else 0
                run.state = begin(stretch.key, now, min(failures, stretch.thresholds.failure_limit - 1))
            run.look_at = next_look(stretch, run.memory, now)
            run.changed.set()
        elif old is None or _terms(old) != _terms(stretch):
            run.look_at = min(run.look_at, next_look(stretch, run.memory, now))
            run.changed.set()

    async def _keep(self, key: Key, run: _Run) -> None:
        """Look and ask whenever it is time, until cancelled."""
        structlog.contextvars.bind_contextvars(namespace=key.namespace, rollout=key.name)
        while True:
            due = [run.look_at] if run.job.stretch is not None else []
            due += [run.ask_at] if run.job.drained else []
            wait = (min(due) - self._clock.now()).total_seconds() if due else None
            if wait is None or wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await run.changed.wait()
                run.changed.clear()
                continue
            async with self._turns:
                await self._turn(key, run)

    async def _turn(self, key: Key, run: _Run) -> None:
        job, now = run.job, self._clock.now()
        # The task's context is a copy of that of the pass which began it, with the stage of that time.
        stage = str(job.stretch.key.index + 1) if job.stretch is not None else ""
        structlog.contextvars.bind_contextvars(stage=stage)
        try:
            if job.drained and run.ask_at <= now:
                run.ask_at = next_question(run.memory, now)
                await self._ask(key, run, job)
            if job.stretch is not None and run.look_at <= now:
                run.look_at = now + job.stretch.interval
                await self._look(key, run, job.stretch)
        except Exception:
            log.exception("the gate could not be judged")
            run.ask_at = run.look_at = self._clock.now() + BROKEN
        if run.memory.interval is not None and key in self._runs:
            self._scrapes[key] = run.memory.interval

    async def _look(self, key: Key, run: _Run, stretch: Stretch) -> None:
        before, now = run.state, self._clock.now()
        if before is None or before.verdict.key != stretch.key:
            return
        try:
            look: Look | Nothing = await self._looker.look(stretch, before, run.memory, now)
            run.faults = 0
        except MetricsError as fault:
            look = Nothing(str(fault))
            run.faults += 1
        if run.state is not before:
            return  # A new stretch began meanwhile: this look is none of its own.
        run.state = fold(before, look, stretch.thresholds, now)
        after = run.state.verdict
        if run.faults:
            run.look_at = after_fault(stretch, now, run.faults)
        else:
            requests = look.sides.requests if isinstance(look, Look) else 0
            undecided = after.result == "inconclusive" and after.failures == 0
            run.look_at = next_look(
                stretch, run.memory, now, requests=requests, needed=after.needed, undecided=undecided
            )
        self._tell(key, before.verdict, after)

    def _tell(self, key: Key, before: Verdict, after: Verdict) -> None:
        first = not before.readings and bool(after.readings)
        if _news(before) == _news(after) and not first:
            return
        log.info(
            "verdict",
            result=after.result,
            failures=after.failures,
            sentence=after.sentence,
            traffic=after.traffic.reason,
        )
        self._wake(key)

    async def _ask(self, key: Key, run: _Run, job: Job) -> None:
        """Whether the pods of each drained revision were sent anything in the last scrapes, and strays."""
        asked: dict[Hash, bool | None] = {}
        for revision, scope in job.drained.items():
            try:
                asked[revision] = await self._looker.is_busy(scope, run.memory)
            except MetricsError:
                asked[revision] = None
        if asked != dict(run.busy) and job.drained.keys() == run.job.drained.keys():
            run.busy = MappingProxyType(asked)
            self._wake(key)
        strays = await self._strays.ask(job.strays, run.memory, self._clock.now())
        if strays != dict(run.strays) and job.strays == run.job.strays:
            run.strays = MappingProxyType(strays)
            self._wake(key)


def _news(verdict: Verdict) -> tuple[str, int, str]:
    """What of a verdict is worth a pass."""
    return verdict.result, verdict.failures, verdict.traffic.status


def _terms(stretch: Stretch) -> tuple[StageKey, object, timedelta, timedelta, timedelta]:
    """What an edit of the spec can change in the middle of a stretch."""
    return (stretch.key, stretch.thresholds.checks, stretch.interval, stretch.window, stretch.warmup)


def _cancel(run: _Run) -> None:
    if run.task is not None:
        run.task.cancel()
