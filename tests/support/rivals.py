"""Several Rollouts of one world, each looked at when it is woken: with queue, index and timers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from rollout_controller.api import names
from rollout_controller.controller.memory import Memory
from rollout_controller.controller.status import facts_of
from rollout_controller.core.release import Facts, Phase
from rollout_controller.kube.index import Index
from rollout_controller.kube.store import Change
from rollout_controller.ports import Json, Key, Kind, Ref
from tests.support import environment, mesh
from tests.support.simulation import KEY, TIMING, Call, Evidence, Pass, Told
from tests.support.world import World

PASSES: Final = 800
REST: Final = timedelta(minutes=10)
"""So long without a write: longer than any wait of this shop."""
OURS: Final = names.FIELD_MANAGER
_WORLD: Final = frozenset(Kind) - {Kind.ROLLOUT}


@dataclass(slots=True)
class Rivals:
    """A controller with its wake-ups. `writes` are those to other objects than Rollouts, by Rollout."""

    world: World
    evidence: Evidence = field(default_factory=Evidence)
    told: Told = field(default_factory=Told)
    writes: list[tuple[str, Call]] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    _index: Index = field(init=False)
    _lost: dict[str, int] = field(default_factory=dict)
    _memories: dict[Key, Memory] = field(default_factory=dict)
    _woken: deque[Key] = field(default_factory=deque)
    _wake_at: dict[Key, datetime | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._index = Index(lambda kind, namespace, name: self.world.get(Ref(kind, namespace, name)))
        for rollout in self.world.every(Kind.ROLLOUT):
            self._wake(self._index.woken_by(Kind.ROLLOUT, Change(None, rollout)))
        self._lost = mesh.lost(self.world)
        self.world.on_write = self._written

    def facts(self, name: str) -> Facts:
        return facts_of(self.world.need(Ref(Kind.ROLLOUT, KEY.namespace, name)).get("status") or {})

    def phases(self) -> dict[str, Phase]:
        """The phase of each Rollout."""
        return {r["metadata"]["name"]: self.facts(r["metadata"]["name"]).phase for r in self._rollouts()}

    def message(self, name: str) -> str:
        """What the status of a Rollout says."""
        status = self.world.need(Ref(Kind.ROLLOUT, KEY.namespace, name)).get("status") or {}
        return str(status.get("message"))

    def to_rest(self, limit: int = PASSES) -> Rivals:
        """Until nobody is woken any more, or nothing was written for a long time."""
        version, since = self.world.version, self.world.now
        for _ in range(limit):
            if not self.advance() or self.world.now - since > REST:
                return self
            if self.world.version != version:
                version, since = self.world.version, self.world.now
        raise AssertionError(f"no rest after {limit} passes: {self.phases()}")

    def until(self, name: str, phase: Phase, stage: int = -1) -> Rivals:
        """Until a Rollout is in this phase, and at this stage at least."""
        for _ in range(PASSES):
            facts = self.facts(name)
            if facts.phase is phase and facts.stage >= stage:
                return self
            assert self.advance(), f"at rest before: {self.phases()}"
        raise AssertionError(f"never came: {self.phases()}")

    def advance(self) -> bool:
        """One pass of whoever was woken first; else what moves by itself; else the time."""
        if self._woken:
            self._look(self._woken.popleft())
            return True
        before = self.world.version
        environment.settle(self.world)
        if self.world.version != before:
            return True
        return self._pass_time()

    def _look(self, key: Key) -> None:
        memory = self._memories.setdefault(key, Memory())
        made = Pass(self.world, memory, self.evidence, TIMING, told=self.told, key=key)
        result = made.run()
        assert result is not None, "nobody crashes it"
        self.writes += [(key.name, call) for call in made.writes if call.target.kind in _WORLD]
        self._wake_at[key] = result.wake_at
        if result.gone:
            self._memories.pop(key)
            self._wake_at.pop(key)
        elif result.again or result.failed:
            self._wake({key})

    def _pass_time(self) -> bool:
        timers: dict[Key, datetime] = {key: at for key, at in self._wake_at.items() if at is not None}
        for key in self._wake_at:
            ready = self.evidence.due(self.world, TIMING, key)
            if ready is not None and ready > self.world.now:
                timers[key] = min(ready, timers.get(key, ready))
        moments = [*timers.values(), *filter(None, [environment.due(self.world)])]
        if not moments:
            return False
        self.world.now = max(self.world.now, min(moments))
        for key, at in timers.items():
            if at <= self.world.now:
                self._wake_at[key] = None
                self._wake({key})
        return True

    def _written(self, world: World, ref: Ref, old: Json | None, new: Json | None, manager: str) -> None:
        woken = self._index.woken_by(ref.kind, Change(old, new))
        if manager != OURS or len(woken) > 1:
            self._wake(woken)
        if ref.kind is Kind.DEPLOYMENT and new is not None:
            label = (new["metadata"].get("labels") or {}).get(names.LABEL)
            if not self.labels or self.labels[-1] != label:
                self.labels.append(label)
        lost = mesh.lost(world)
        more = any(percent > self._lost.get(name, 0) for name, percent in lost.items())
        assert not (more and manager == OURS), f"our write of {ref} loses requests: {self._lost} {lost}"
        self._lost = lost

    def _wake(self, keys: set[Key]) -> None:
        for key in sorted(keys):
            if key not in self._woken:
                self._woken.append(key)

    def _rollouts(self) -> list[Json]:
        return sorted(self.world.every(Kind.ROLLOUT), key=lambda one: str(one["metadata"]["name"]))
