"""Worlds in one line: what `decide` sees, built from a usual world and what is different in it.

`old` is stable, `new` the canary; the Deployment has 10 replicas. Each world is settled: whatever is waited
for has passed, so that a test says only what it is about.

    but(at_step(2), verdict=failing(), workload={"stable": {"ready_endpoints": 0}})
"""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar

from rollout_controller.core.effects import Effect
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Observed
from rollout_controller.core.release import (
    Command,
    Facts,
    HeaderMatch,
    HeaderPin,
    PausedBy,
    Phase,
    Policy,
    Stage,
    StageKey,
    Verb,
)
from rollout_controller.core.stages import need
from rollout_controller.core.verdict import Verdict
from rollout_controller.core.world import Pods, Traffic, Workload

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=4)
"""When the present stage of a usual world began: longer ago than any of its least durations."""
STARTED = NOW - timedelta(hours=1)
REPLICAS = 10
T = TypeVar("T")


def but(value: T, **changes: Any) -> T:
    """The same value with other fields; a dict changes fields of a field."""
    known = {
        name: but(getattr(value, name), **change)
        if isinstance(change, dict) and is_dataclass(getattr(value, name))
        else change
        for name, change in changes.items()
    }
    return replace(value, **known)  # type: ignore[type-var]  # every value here is a dataclass


def later(o: Observed, passed: timedelta) -> Observed:
    """The same world, seen later."""
    return replace(o, now=o.now + passed)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def stage(weight: int, **changes: Any) -> Stage:
    usual = Stage(f"{weight}%", weight, scale=weight, min_pods=2, min_duration=seconds(60))
    return but(usual, **changes)


PLAN = (stage(5), stage(25), stage(50, approval=True), stage(100, min_duration=seconds(120)))
AT_5, AT_25, AT_50, AT_100 = range(4)

PIN: HeaderPin = (HeaderMatch("x-canary", "exact", "true"),)
FED_PLAN = (
    stage(0),
    stage(0, mirror=20, scale=20),
    stage(25, mirror=20),
    stage(25),
    stage(100, min_duration=seconds(120)),
)
"""With `PIN`: pinned users alone, copies too, then a share."""
AT_PIN, AT_MIRROR, AT_BOTH, AT_SHARE, AT_ALL = range(5)
BLUE_GREEN = (
    stage(0, name="preview", scale=100, min_pods=1, mirror=10),
    stage(100, name="live", min_pods=1, min_duration=seconds(120)),
)
AT_PREVIEW, AT_LIVE = range(2)


def policy(**changes: Any) -> Policy:
    usual = Policy(
        stages=PLAN,
        max_duration=timedelta(minutes=30),
        drain=seconds(30),
        progress_deadline=timedelta(minutes=10),
        inconclusive_after=timedelta(minutes=5),
        inconclusive_then="Pause",
    )
    return but(usual, **changes)


def pods(
    revision: str, count: int, of: Literal["deployment", "us"] = "deployment", *, current: bool = False
) -> Pods:
    """A ReplicaSet at full count: as many available, ready and existing as its spec says."""
    return Pods(revision, f"web-{revision}", of, count, count, count, count, current)


def traffic(weight: int, *pins: str | None) -> Traffic:
    """All routes at this weight, pinned (to old and new unless told), for a long time."""
    stable, canary = pins or ("old", "new")
    return Traffic((weight, weight), (stable, canary), SINCE, SINCE, version="1")


def verdict(result: Literal["pass", "fail", "inconclusive"], index: int) -> Verdict:
    words = {"pass": "error rate 0.1 % (limit 1 %)", "fail": "error rate 5 % (limit 1 %)"}
    return Verdict(
        StageKey("new", index, SINCE), result, SINCE, sentence=words.get(result, "too few requests")
    )


def failing(index: int = AT_25) -> Verdict:
    return verdict("fail", index)


def command(verb: Verb, value: str = "true", *, claimed: bool = True) -> Command:
    return Command(verb, value, f"{verb}={value}@7", claimed)


ERROR = Finding(
    "SubsetMissing", "error", "DestinationRule shop/web", "spec.subsets", "no subset canary", "add it"
)


# -- usual worlds, one for each column of the transition table ------------------------------------------


def _workload(**changes: Any) -> Workload:
    usual = Workload(
        replicas=REPLICAS,
        max_surge=3,
        paused=False,
        held=False,
        labelled=True,
        synced=True,
        target="old",
        stable=pods("old", REPLICAS, current=True),
        canary=None,
        image="web:1",
        namespace="shop",
        name="web",
    )
    return but(usual, **changes)


def _released(canary_pods: int) -> Workload:
    """The Deployment asks for `new`, held paused; `canary_pods` run beside the old ones."""
    canary = pods("new", canary_pods, "us", current=True)
    stable = pods("old", REPLICAS)
    return _workload(paused=True, held=True, target="new", stable=stable, canary=canary, image="web:2")


def healthy() -> Observed:
    return Observed(
        now=NOW,
        policy=policy(),
        generation=1,
        facts=Facts(phase=Phase.HEALTHY, stable="old"),
        workload=_workload(),
        traffic=traffic(0, None, None),
    )


def initializing() -> Observed:
    running = pods("old", REPLICAS, current=True)
    return but(healthy(), facts=Facts(), workload={"stable": None, "others": (running,)})


def invalid() -> Observed:
    return but(healthy(), facts={"phase": Phase.INVALID}, findings=(ERROR,))


def new_template() -> Observed:
    """At rest, and the gate holds a template that nobody has seen yet."""
    held = _workload(paused=True, held=True, target="new", stable=pods("old", REPLICAS))
    return but(healthy(), workload=held)


def preparing() -> Observed:
    """Pinned, home and settled; two canary pods are ready for the first stage."""
    facts = Facts(
        phase=Phase.PROGRESSING, stable="old", canary="new", plan=PLAN, started=STARTED, waiting_since=SINCE
    )
    return but(healthy(), facts=facts, workload=_released(2), traffic=traffic(0), finalizer=True)


def at_step(
    index: int,
    result: Literal["pass", "fail", "inconclusive"] | None = None,
    plan: tuple[Stage, ...] = PLAN,
    header_pins: tuple[HeaderPin, ...] = (),
) -> Observed:
    """In a stage for longer than it has to be, with the pods that the next one needs."""
    at, wanted = plan[index], need(plan[min(index + 1, len(plan) - 1)], REPLICAS)
    mesh = but(traffic(at.weight), mirror=(at.mirror, at.mirror))
    o = but(
        preparing(),
        facts={
            "plan": plan,
            "stage": index,
            "since": SINCE,
            "waiting_since": None,
            "reached": at.weight,
            "granted": wanted,
            "header_pins": header_pins,
            "fed": True,
        },
        policy={"stages": plan, "header_pins": header_pins},
        workload=_released(wanted),
        traffic=but(mesh, pinned_routes="ours" if header_pins else "none"),
        verdict=verdict(result, index) if result else None,
    )
    return but(o, facts={"gate": result, "gate_since": SINCE}) if result else o


def fed_step(index: int, result: Literal["pass", "fail", "inconclusive"] | None = None) -> Observed:
    """The same in a release with a header pin and mirrors."""
    return at_step(index, result, FED_PLAN, (PIN,))


def blue_green(index: int, result: Literal["pass", "fail", "inconclusive"] | None = None) -> Observed:
    """The same in a blue-green release whose preview is pinned and gets copies."""
    return at_step(index, result, BLUE_GREEN, (PIN,))


def paused(by: PausedBy = PausedBy.COMMAND, index: int = AT_25) -> Observed:
    o = but(at_step(index, "pass"), facts={"phase": Phase.PAUSED, "paused_by": by, "reason": by.value})
    if by is PausedBy.SPEC:
        return but(o, policy={"paused": True})
    if by is PausedBy.FINDING:
        return but(o, findings=(ERROR,))
    return but(o, verdict=verdict("inconclusive", index)) if by is PausedBy.INCONCLUSIVE else o


def promoting() -> Observed:
    """The bake is over; the stable subset still selects the old version."""
    return but(at_step(AT_100, "pass"), facts={"phase": Phase.PROMOTING})


def handed_over() -> Observed:
    """The canary's ReplicaSet is the Deployment's; three old pods are ending."""
    stable = but(pods("old", 0), existing=3)
    return but(
        promoting(),
        workload={"canary": {"of": "deployment"}, "stable": stable},
        traffic=traffic(0, "new", "new"),
        busy={"old": False},
    )


def reverting() -> Observed:
    """Home, and the canary's pods are still drained."""
    return but(
        at_step(AT_25, "fail"),
        facts={"phase": Phase.REVERTING, "reason": "error rate 5 % (limit 1 %)", "reached": 0},
        traffic=traffic(0),
    )


def reverted() -> Observed:
    return but(
        new_template(),
        facts={"phase": Phase.REVERTED, "canary": "new", "reason": "error rate 5 % (limit 1 %)"},
        finalizer=True,
    )


# -- what became of a world -----------------------------------------------------------------------------


def of_kind(effects: tuple[Effect, ...], *kinds: type) -> tuple[Effect, ...]:
    return tuple(e for e in effects if isinstance(e, kinds))
