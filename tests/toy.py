"""A toy world in which decisions come true at once: pods are ready as soon as a ReplicaSet asks for them.

It is as small as it can be and still has all that effects touch, so that whole releases run in milliseconds,
and Hypothesis can begin anywhere. The simulated cluster, with real objects, is elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import (
    Adopt,
    Claim,
    Delete,
    Drop,
    Effect,
    Finalizer,
    HandOver,
    MakeCanary,
    PauseDeployment,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
)
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Decision, Observed
from rollout_controller.core.release import Command, Facts, HeaderPin, Phase, Policy
from rollout_controller.core.verdict import Verdict
from rollout_controller.core.world import Pods, Traffic, Workload
from tests.builders import NOW, SINCE, policy


@dataclass(frozen=True)
class Set:
    """A ReplicaSet; `template` is what it runs, `hash` how its pods are labelled. Oldest first in a Toy."""

    hash: str
    template: str
    of: Literal["deployment", "us"]
    count: int
    ready: bool = True

    @property
    def name(self) -> str:
        return f"web-{self.hash}"


@dataclass
class Toy:
    """A world at rest on `old`, until something is asked of it."""

    template: str = "old"
    replicas: int = 10
    paused: bool = False
    held: bool = False
    labelled: bool = True
    sets: tuple[Set, ...] = (Set("old", "old", "deployment", 10),)
    weight: int = 0
    mirror: int = 0
    header_pins: tuple[HeaderPin, ...] = ()
    pins: tuple[str | None, str | None] = (None, None)
    weights_since: datetime = SINCE
    subsets_since: datetime = SINCE
    now: datetime = NOW
    facts: Facts = field(default_factory=lambda: Facts(phase=Phase.HEALTHY, stable="old"))
    policy: Policy = field(default_factory=policy)
    finalizer: bool = False
    deleting: bool = False
    gone: bool = False
    command: Command | None = None
    findings: tuple[Finding, ...] = ()
    told: frozenset[tuple[str, str, str]] = frozenset()
    answer: Literal["pass", "fail", "inconclusive"] | None = "pass"
    version: int = 1
    log: list[Effect] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    witness: Callable[[Observed, Decision], None] = lambda _seen, _decision: None

    # -- what is seen

    def observe(self) -> Observed:
        key = self.facts.key
        judged = self.answer is not None and key is not None
        return Observed(
            now=self.now,
            policy=self.policy,
            generation=1,
            facts=self.facts,
            workload=self._workload(),
            traffic=Traffic(
                (self.weight, self.weight),
                self.pins,
                self.weights_since,
                self.subsets_since,
                version=str(self.version),
                pinned_routes=self._pinned_routes(),
                mirror=(self.mirror, self.mirror),
            ),
            deleting=self.deleting,
            finalizer=self.finalizer,
            command=self.command,
            verdict=Verdict(key, self.answer, SINCE) if judged and key and self.answer else None,
            findings=self.findings,
            told=self.told,
            busy={s.hash: False for s in self.sets},
        )

    def _pinned_routes(self) -> Literal["none", "ours", "other"]:
        if not self.header_pins:
            return "none"
        return "ours" if self.header_pins == self.facts.header_pins else "other"

    def _workload(self) -> Workload:
        seen = {s.hash: self._pods(s) for s in self.sets}
        known = {p.hash: p for p in seen.values()}
        stable = known.get(self.facts.stable or "")
        stable = stable if stable is not None and stable.of == "deployment" else None
        canary = known.get(self.facts.canary or "")
        canary = canary if canary is not stable else None
        current = next((p for p in (stable, canary) if p is not None and p.current), None)
        return Workload(
            replicas=self.replicas,
            max_surge=3,
            paused=self.paused,
            held=self.held,
            labelled=self.labelled,
            synced=True,
            target=current.hash if current else self.template,
            stable=stable,
            canary=canary,
            others=tuple(p for p in seen.values() if p not in (stable, canary)),
        )

    def _pods(self, s: Set) -> Pods:
        ready = s.count if s.ready else 0
        return Pods(s.hash, s.name, s.of, s.count, ready, ready, s.count, s.template == self.template)

    # -- what is done

    def look(self) -> Decision:
        """One pass: decide, remember, act; then the Deployment controller has its turn."""
        seen = self.observe()
        decision = decide(seen)
        self.witness(seen, decision)
        self.facts = decision.facts
        self.gone = decision.gone
        self.told = frozenset(finding.key for finding in decision.display.findings)
        self.events += [notice.reason for notice in decision.notices]
        for effect in decision.effects:
            self.apply(effect)
        self._deployment_controller()
        return decision

    def run(self, limit: int = 120, until: Phase | None = None) -> Toy:
        """Look until nothing is left to do nor to wait for (or `until` is reached); waiting costs nothing."""
        for _ in range(limit):
            before, sets = self.facts, self.sets
            decision = self.look()
            if self.gone or (until is not None and self.facts.phase is until and before.phase is not until):
                return self
            if decision.effects or decision.facts != before or self.sets != sets:
                continue
            if decision.wake_at is None:
                return self
            assert decision.wake_at > self.now, f"asks to look again at once, and changes nothing: {before}"
            self.now = decision.wake_at
        raise AssertionError(f"does not come to rest: {self.facts}, last effects {self.log[-6:]}")

    def ask(self, template: str) -> Toy:
        """A new template, which the gate holds."""
        self.template = template
        if self.labelled:
            self.paused = self.held = True
        self._deployment_controller()
        return self

    def apply(self, effect: Effect) -> None:
        self.log.append(effect)
        match effect:
            case Finalizer(present):
                self.finalizer = present
            case Claim(command):
                self.command = replace(command, claimed=True)
            case Drop():
                self.command = None
            case Adopt(present):
                self.labelled, self.held = present, self.held and present
            case PauseDeployment():
                self.paused = self.held = True
            case Unpause():
                self.paused = self.held = False
            case MakeCanary(canary, replicas):
                self.sets += (Set(canary, self.template, "us", replicas),)
            case Delete(name):
                assert all(s.count == 0 for s in self.sets if s.name == name), f"{name} has pods"
                self.sets = tuple(s for s in self.sets if s.name != name)
            case Pin(stable, canary):
                self.relabel(stable, canary)
            case SetTraffic(weight, mirror, header_pins):
                self.shift(weight, mirror, header_pins)
            case Scale(name, replicas):
                self._change(name, count=replicas)
            case HandOver(name):
                self._change(name, of="deployment")

    def shift(self, weight: int, mirror: int = 0, header_pins: tuple[HeaderPin, ...] = ()) -> None:
        if (weight, mirror, header_pins) != (self.weight, self.mirror, self.header_pins):
            self.weight, self.mirror, self.header_pins = weight, mirror, header_pins
            self.weights_since, self.version = self.now, self.version + 1

    def relabel(self, stable: str | None, canary: str | None) -> None:
        if (stable, canary) != self.pins:
            self.pins, self.subsets_since, self.version = (stable, canary), self.now, self.version + 1

    def break_pods(self, revision: str, *, ready: bool = False) -> Toy:
        self._change(f"web-{revision}", ready=ready)
        return self

    def count(self, revision: str) -> int:
        return sum(s.count for s in self.sets if s.hash == revision)

    def _change(self, name: str, **changes: object) -> None:
        self.sets = tuple(replace(s, **changes) if s.name == name else s for s in self.sets)  # type: ignore[arg-type]

    def _deployment_controller(self) -> None:
        """Rolls at once if not paused. Paused, it keeps the size; a saturated newest one takes over."""
        owned = [s for s in self.sets if s.of == "deployment"]
        new = next((s for s in owned if s.template == self.template), None)
        active = [s for s in owned if s.count]
        if not self.paused and new is None:
            new = Set(f"native-{self.template}", self.template, "deployment", self.replicas)
            self.sets += (new,)
        if not self.paused or (new is not None and new.count == self.replicas):
            kept = new
        else:
            kept = active[0] if len(active) == 1 else None
        for s in owned:
            if kept is not None:
                self._change(s.name, count=self.replicas if s.name == kept.name else 0)


def waited(toy: Toy, passed: timedelta) -> Toy:
    """The same world after nobody looked for a while."""
    toy.now += passed
    return toy
