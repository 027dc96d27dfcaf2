"""A controller and its world, moved on together: pass, native controllers, time."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

from rollout_controller.controller.memory import Memory
from rollout_controller.controller.status import facts_of
from rollout_controller.core.release import Facts
from rollout_controller.core.world import Timing
from tests.support import environment
from tests.support.simulation import ROLLOUT, TIMING, Call, Evidence, Hook, Pass, Told
from tests.support.world import World

STEPS: Final = 500

Pace = Literal["prompt", "slow"]
"""How fast the native controllers are: at work after each write of ours, or one write of theirs after each
pass that had nothing left to do."""


@dataclass(slots=True)
class Run:
    """One controller in one world. `memory` is all that the controller has of its own."""

    world: World
    evidence: Evidence = field(default_factory=Evidence)
    memory: Memory = field(default_factory=Memory)
    timing: Timing = TIMING
    pace: Pace = "prompt"
    told: Told = field(default_factory=Told)

    def fork(self, world: World | None = None, memory: Memory | None = None) -> Run:
        """The same run, to be continued in another way: from this world, with this memory."""
        return Run(
            world=(world or self.world).fork(),
            evidence=self.evidence,
            memory=deepcopy(self.memory) if memory is None else memory,
            timing=self.timing,
            pace=self.pace,
            told=Told(list(self.told.notices)),
        )

    @property
    def facts(self) -> Facts:
        """What the Rollout's status holds."""
        return facts_of((self.world.get(ROLLOUT) or {}).get("status") or {})

    def advance(self, hook: Hook | None = None, made: Callable[[Pass], None] | None = None) -> bool:
        """One pass, and what follows until there is a reason for another; False if there will be none."""
        attempt = Pass(self.world, self.memory, self.evidence, self.timing, told=self.told)
        result = attempt.run(_Promptly(hook) if self.pace == "prompt" else hook)
        if made is not None:
            made(attempt)
        if result is None:
            self.memory = Memory()
            return True
        if result.again or result.failed:
            return True
        if self._native():
            return True
        coming = (environment.due(self.world), self.evidence.due(self.world, self.timing))
        later = [moment for moment in coming if moment is not None and moment > self.world.now]
        later += [result.wake_at] if result.wake_at is not None else []
        if not later:
            return False
        self.world.now = max(min(later), self.world.now)
        self._native()
        return True

    def _native(self) -> bool:
        """Let the native controllers work, at their pace; whether they wrote anything."""
        if self.pace == "slow":
            return environment.step(self.world)
        before = self.world.version
        environment.settle(self.world)
        return self.world.version != before

    def until(self, holds: Callable[[Run], bool], limit: int = STEPS) -> Run:
        """Advance until it holds."""
        for _ in range(limit):
            if holds(self):
                return self
            if not self.advance():
                break
        assert holds(self), f"it came to rest before: {self.facts}"
        return self

    def wait(self, time: timedelta, limit: int = STEPS) -> Run:
        """Advance until so much time has passed, or nothing will happen any more by itself."""
        until = self.world.now + time
        for _ in range(limit):
            if self.world.now >= until or not self.advance():
                return self
        raise AssertionError(f"{limit} passes did not take {time}: {self.facts}")

    def to_rest(self, limit: int = STEPS) -> Run:
        """Advance until nothing will happen any more by itself."""
        for _ in range(limit):
            if not self.advance():
                return self
        raise AssertionError(f"no rest after {limit} passes: {self.facts}")


class _Promptly(Hook):
    """Lets the native controllers work after each write."""

    def __init__(self, inner: Hook | None) -> None:
        self._inner = inner or Hook()

    def __call__(self, run: Pass, call: Call) -> Any:
        try:
            return self._inner(run, call)
        finally:
            if call.writes:
                environment.settle(run.world)
