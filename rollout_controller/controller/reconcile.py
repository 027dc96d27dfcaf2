"""One pass: observe, decide, and if there is anything to do, look live, decide again, write that.

The order of writes is claim, status, effects, notices. Facts are written before what follows from them, but
for the way back: towards stable nothing waits for a status that could not be written.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import structlog

from rollout_controller.controller.execute import Executor, RolloutWriter
from rollout_controller.controller.memory import Memory
from rollout_controller.controller.observe import Observer, Sighting, Verdicts
from rollout_controller.controller.orphans import release, strays
from rollout_controller.controller.result import PassResult
from rollout_controller.controller.status import status_of, worth_writing
from rollout_controller.core.conditions import canary_reached
from rollout_controller.core.decide import decide
from rollout_controller.core.display import still_reached
from rollout_controller.core.effects import Claim, Drop, Finalizer, Pin, SetTraffic
from rollout_controller.core.finding import WRITE_FAILS
from rollout_controller.core.model import Decision
from rollout_controller.core.release import Facts, Phase
from rollout_controller.core.world import Timing
from rollout_controller.ports import (
    Clock,
    Cluster,
    ClusterError,
    Conflict,
    Json,
    Key,
    Kind,
    Notifier,
    Ref,
    Refused,
    Unavailable,
)

log = structlog.get_logger(__name__)

REFRESH = timedelta(seconds=30)
"""How often numbers alone are written to the status."""


class Judges(Verdicts, Protocol):
    """The evaluator, as a pass sees it: told after each look what is to be judged from now on."""

    def judge(self, key: Key, sighting: Sighting | None, facts: Facts | None) -> None: ...


class Reconciler:
    """Runs passes. It may be thrown away at any await and made anew: what counts is in the cluster."""

    def __init__(
        self, cluster: Cluster, clock: Clock, judges: Judges, notifier: Notifier, timing: Timing | None = None
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._judges = judges
        self._notifier = notifier
        self._observer = Observer(cluster, clock, judges, timing or Timing())
        self._memories: dict[Key, Memory] = {}

    async def run_pass(self, key: Key) -> PassResult:
        """One pass over one Rollout. Raises nothing but defects."""
        memory = self._memories.setdefault(key, Memory())
        try:
            return await self._pass(key, memory)
        except Conflict as moved_on:
            log.info("the world moved on", detail=str(moved_on))
            return PassResult(again=True)
        except ClusterError as problem:
            log.warning("pass failed", error=str(problem))
            return PassResult(failed=True)

    async def _pass(self, key: Key, memory: Memory) -> PassResult:
        seen = await self._observer.look(key, memory, live=False)
        if seen is None:
            return await self._forget(key)
        decision = decide(seen.observed)
        astray = await self._astray(key, seen, live=False)
        if not astray and not self._anything(seen, decision, memory):
            self._judges.judge(key, seen, decision.facts)
            again = _all_written(seen, memory)
            return PassResult(_earliest(decision.wake_at, self._look_again(seen, memory)), again)
        seen = await self._observer.look(key, memory, live=True)
        if seen is None:
            return await self._forget(key)
        decision = decide(seen.observed)
        structlog.contextvars.bind_contextvars(stage=decision.display.step or "-")
        self._judges.judge(key, seen, decision.facts)
        try:
            await self._write(seen, decision, memory)
            if astray:
                await release(self._cluster, key, await self._astray(key, seen, live=True))
        except (Refused, Unavailable) as problem:
            self._could_not_write(seen, decision, memory, problem)
            raise
        again = _all_written(seen, memory) or bool(decision.effects)
        return PassResult(_earliest(decision.wake_at, self._look_again(seen, memory)), again)

    async def _forget(self, key: Key) -> PassResult:
        """The Rollout is gone: the Deployments that it labelled are given back."""
        self._judges.judge(key, None, None)
        left = await strays(self._cluster, key)
        if left:
            if await self._cluster.get(Ref(Kind.ROLLOUT, *key), live=True) is not None:
                return PassResult(failed=True)  # made anew, and the watch will tell
            await release(self._cluster, key, left)
        self._memories.pop(key, None)
        return PassResult(gone=True)

    async def _astray(self, key: Key, seen: Sighting, *, live: bool) -> list[Json]:
        """The Deployments that bear our label and are not ours; unknown without a spec that can be used."""
        if seen.snapshot is None:
            return []
        routing = seen.snapshot.routing
        owned = routing.deployment if routing.deployments is None else ""  # the gate is for one Deployment
        return await strays(self._cluster, key, owned=owned, live=live)

    def _anything(self, seen: Sighting, decision: Decision, memory: Memory) -> bool:
        if decision.effects or decision.gone or decision.facts != seen.observed.facts:
            return True
        return self._shows_enough(seen, _status(seen, decision), memory)

    def _shows_enough(self, seen: Sighting, status: Json, memory: Memory) -> bool:
        """Whether a status that holds the same facts as the present one shows enough else to be written."""
        worth = worth_writing(seen.rollout.get("status") or {}, status)
        return worth == "now" or (worth == "later" and self._refresh_due(seen, memory))

    def _refresh_due(self, seen: Sighting, memory: Memory) -> bool:
        return memory.written_at is None or memory.written_at + REFRESH <= seen.observed.now

    def _look_again(self, seen: Sighting, memory: Memory) -> datetime | None:
        """While a release runs its numbers are refreshed; while the gate is not proven, it is asked again."""
        ask = memory.gate.ask_at if memory.gate is not None else None
        facts, now = seen.observed.facts, seen.observed.now
        if facts.phase in {Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING}:
            due = (memory.written_at or now) + REFRESH
            return _earliest(ask, due if due > now else now + REFRESH)
        return ask

    async def _write(self, seen: Sighting, decision: Decision, memory: Memory) -> None:
        writer = RolloutWriter(self._cluster, seen.rollout)
        safe = decision.facts.phase is Phase.REVERTING
        failed = await self._claim(writer, decision, safe)
        if not isinstance(failed, Unavailable):  # two calls without an answer take all the time of a pass
            failed = await self._write_status(writer, seen, decision, memory, safe) or failed
        try:
            await self._effects(writer, seen, decision, failed)
        finally:
            if failed is None:
                self._tell(writer, decision)
        if failed is not None:
            raise failed

    async def _effects(
        self, writer: RolloutWriter, seen: Sighting, decision: Decision, failed: ClusterError | None
    ) -> None:
        """In order; the first failure ends the pass. After a failed status only traffic is sent back."""
        executor = Executor(self._cluster, seen.snapshot) if seen.snapshot is not None else None
        for effect in decision.effects:
            if isinstance(effect, Claim) or (failed is not None and not isinstance(effect, SetTraffic | Pin)):
                continue
            log.info("effect", effect=repr(effect))
            if isinstance(effect, Finalizer):
                await writer.finalizer(effect)
            elif isinstance(effect, Drop):
                await writer.drop(effect)
            elif executor is not None:
                await executor.run(effect)

    def _tell(self, writer: RolloutWriter, decision: Decision) -> None:
        for notice in decision.notices:
            log.info(notice.message, event_reason=notice.reason, phase=decision.facts.phase.value)
            self._notifier.notify(writer.rollout, notice.type, notice.reason, notice.message)

    def _could_not_write(
        self, seen: Sighting, decision: Decision, memory: Memory, problem: Refused | Unavailable
    ) -> None:
        """One Event for each write that fails; one more if it is what users wait for to be sent back."""
        facts = decision.facts
        back = facts.phase is Phase.REVERTING and canary_reached(seen.observed, facts)
        if memory.could_not_write(problem, back=back) and memory.unwritten is not None:
            finding = memory.unwritten.finding
            words = still_reached(finding) if back else str(finding)
            self._notifier.notify(seen.rollout, "Warning", WRITE_FAILS, words)

    async def _claim(self, writer: RolloutWriter, decision: Decision, safe: bool) -> ClusterError | None:
        """A failed claim ends the pass, but for an abort: it acts all the same, and is claimed later."""
        for effect in decision.effects:
            if isinstance(effect, Claim):
                try:
                    await writer.claim(effect)
                except ClusterError as problem:
                    if not safe:
                        raise
                    return problem
        return None

    async def _write_status(
        self, writer: RolloutWriter, seen: Sighting, decision: Decision, memory: Memory, safe: bool
    ) -> ClusterError | None:
        status = _status(seen, decision)
        changed = decision.facts != seen.observed.facts
        if decision.gone or not (changed or self._shows_enough(seen, status, memory)):
            return None
        try:
            await writer.status(status, towards_safety=safe and changed)
        except ClusterError as problem:
            if not safe:
                raise
            log.warning("status not written, going back all the same", error=str(problem))
            return problem
        memory.written_at = seen.observed.now
        policy = seen.observed.policy
        memory.strategy = (policy.stages, policy.header_pins) if policy is not None else None
        return None


def _all_written(seen: Sighting, memory: Memory) -> bool:
    """Forget the write that failed, as it was done or is not wanted any more; whether the status tells of it.

    What could not be read may still ask for it.
    """
    return not seen.observed.unread and memory.all_written()


def _status(seen: Sighting, decision: Decision) -> Json:
    deployment = seen.snapshot.released if seen.snapshot is not None else None
    generation = deployment["metadata"].get("generation") if deployment is not None else None
    before = seen.rollout.get("status") or {}
    return status_of(decision.facts, decision.display, before, seen.observed.now, generation)


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((m for m in moments if m is not None), default=None)
