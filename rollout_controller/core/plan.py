"""From facts to effects: what is still missing between the world and what the phase wants.

Nothing here remembers what was done before: each call compares the observed world with the phase's goal
and names the next writes, those towards stable first. Waiting is left to the agenda.
"""

from __future__ import annotations

from rollout_controller.core import conditions as is_
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.model import (
    Adopt,
    Delete,
    Effect,
    Facts,
    Finalizer,
    HandOver,
    MakeCanary,
    Observed,
    Part,
    PauseDeployment,
    Phase,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
    Workload,
)
from rollout_controller.core.stages import need


def plan(o: Observed, facts: Facts, agenda: Agenda, *, gone: bool) -> list[Effect]:
    """The effects that this world needs now, in the order in which they must be tried."""
    if gone:
        return _leave(o, facts)
    match facts.phase:
        case Phase.INITIALIZING:
            return _initialize(o, facts, agenda)
        case Phase.HEALTHY:
            return _rest(o, facts)
        case Phase.PROGRESSING if facts.stage < 0:
            return _guard(o, facts) + _prepare(o, facts, agenda)
        case Phase.PROGRESSING | Phase.PAUSED:
            return _in_stage(o, facts, agenda)
        case Phase.PROMOTING:
            return _promote(o, facts, agenda)
        case Phase.REVERTING:
            return _revert(o, facts, agenda)
        case Phase.REVERTED:
            return _guard(o, facts)
        case _:
            return []


def _guard(o: Observed, facts: Facts) -> list[Effect]:
    """What stands in the way of losing a release: our finalizer, and the Deployment's pause."""
    effects: list[Effect] = [] if o.finalizer else [Finalizer(present=True)]
    if o.workload is not None and is_.deployment_present(o):
        if not o.workload.labelled:
            effects.append(Adopt(present=True))
        if not (o.workload.paused and o.workload.held) and o.workload.target != facts.stable:
            effects.append(PauseDeployment())
    return effects


def _rest(o: Observed, facts: Facts) -> list[Effect]:
    """At rest nothing of ours is in the way: the held pause goes, then the finalizer."""
    w = o.workload
    if w is None or not is_.deployment_present(o):
        return [Finalizer(present=False)] if o.finalizer and not o.unread else []
    effects: list[Effect] = [] if w.labelled else [Adopt(present=True)]
    if w.target != facts.stable or facts.stable is None:
        return effects
    if w.held:
        effects.append(Unpause(facts.stable))
    if o.finalizer:
        effects.append(Finalizer(present=False))
    return effects


def _leave(o: Observed, facts: Facts) -> list[Effect]:
    """The Rollout goes: the Deployment is given back, the finalizer last."""
    effects: list[Effect] = []
    w = o.workload
    if w is not None and is_.deployment_present(o):
        if w.held and facts.stable is not None and w.target == facts.stable:
            effects.append(Unpause(facts.stable))
        if w.labelled:
            effects.append(Adopt(present=False))
    if o.finalizer:
        effects.append(Finalizer(present=False))
    return effects


def _initialize(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Take back what a release without memory left behind, then adopt the Deployment."""
    w, t = o.workload, o.traffic
    if w is None or not is_.deployment_present(o) or o.unread:
        return []
    effects: list[Effect] = [] if w.labelled else [Adopt(present=True)]
    left = is_.leftovers(o)
    if t is not None and (t.pinned or left):
        kept = next((p for p in w.others if p.hash == t.subsets[0] and p.of == "deployment"), None)
        if t.pinned and (kept is None or kept.ready_endpoints == 0):
            return [*effects, Pin(None, None)]
        if t.canary_weight != (0, 0):
            return [*effects, SetTraffic(0)]
        if not (is_.weights_settled(o, agenda) and is_.pins_settled(o, agenda)):
            return effects
    for pods in left:
        effects.append(Scale(pods.name, 0) if pods.spec else Delete(pods.name))
    if left:
        return effects
    if t is not None and t.pinned:
        return [*effects, Pin(None, None)]
    if o.finalizer:
        effects.append(Finalizer(present=False))
    return effects


def _prepare(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Lay the way for the first stage: home, twins away, pinned, then the canary's pods."""
    w, t = o.workload, o.traffic
    if w is None or t is None or facts.canary is None or not is_.deployment_present(o) or o.unread:
        return []
    if t.canary_weight != (0, 0):
        return [SetTraffic(0)]
    left = is_.leftovers(o)
    if left:
        return [Scale(p.name, 0) if p.spec else Delete(p.name) for p in left if p.spec or not p.existing]
    effects: list[Effect] = [
        Delete(p.name)
        for p in w.others
        if p.of == "deployment" and p.current and not p.spec and not p.existing
    ]
    if not is_.weights_settled(o, agenda):
        return effects
    if t.subsets != (facts.stable, facts.canary):
        return [*effects, Pin(facts.stable, facts.canary)]
    if not is_.pins_settled(o, agenda):
        return effects
    pods = is_.next_pods(o, facts)
    if w.canary is None:
        return [*effects, MakeCanary(facts.canary, pods)]
    return effects + _scaled(w, pods)


def _scaled(w: Workload, pods: int) -> list[Effect]:
    """The canary at `pods` at least; taken down only to `replicas`, so that a wavering gate scales nothing."""
    if w.canary is None:
        return []
    wanted = min(max(pods, w.canary.spec), w.replicas)
    return [] if wanted == w.canary.spec else [Scale(w.canary.name, wanted)]


def _in_stage(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Hold the stage's share and pins, and make pods for the next one once only they are wanting."""
    traffic = _hold_traffic(o, facts, agenda)
    effects = [*traffic, *_guard(o, facts)]
    w, stage = o.workload, facts.at
    if w is None or stage is None or not is_.deployment_present(o) or Part.PODS in o.unread:
        return effects
    wanted = need(stage, w.replicas)
    if facts.phase is Phase.PROGRESSING and facts.lowered_to is None and is_.leaving(o, facts, agenda):
        wanted = max(wanted, is_.next_pods(o, facts))
    return effects + _scaled(w, wanted)


def _hold_traffic(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """The share that the stage wants: lower at once, raise only onto known subsets."""
    t = o.traffic
    if t is None or facts.canary is None or facts.stage < 0:
        return []
    weight, pins = is_.desired_weight(facts), (facts.stable, facts.canary)
    repair: list[Effect] = [] if t.subsets == pins else [Pin(*pins)]
    low, high = t.canary_weight
    if high > weight:
        return [SetTraffic(weight), *repair]
    if low == weight:
        return repair
    if repair and t.subsets != (facts.canary, facts.canary):
        return repair
    may_raise = is_.ready(o) > 0 and is_.pins_settled(o, agenda)
    return [SetTraffic(weight), *repair] if may_raise or repair else []


def _promote(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Graduation: everything onto the canary by name, home, hand-over, and the marks taken off again."""
    if is_.handed_over(o):
        return _finish(o, facts)
    if facts.lowered_to is not None:
        return _hold_traffic(o, facts, agenda) + _guard(o, facts)
    w, t, canary = o.workload, o.traffic, facts.canary
    effects = _guard(o, facts)
    if (
        w is None
        or t is None
        or w.canary is None
        or canary is None
        or o.unread
        or not is_.deployment_present(o)
    ):
        return effects
    effects += _scaled(w, w.replicas)
    full = min(w.canary.available, w.canary.ready_endpoints) >= w.replicas and w.canary.spec == w.replicas
    if not full or not w.synced:
        return effects
    if t.subsets != (canary, canary):
        if w.replicas and t.canary_weight != (100, 100):
            return _hold_traffic(o, facts, agenda) + effects
        return [*effects, Pin(canary, canary)]
    if not is_.pins_settled(o, agenda):
        return effects
    if t.canary_weight != (0, 0):
        return [*effects, SetTraffic(0)]
    if not is_.weights_settled(o, agenda) or not _old_is_quiet(o, facts, agenda):
        return effects
    return [*effects, HandOver(w.canary.name, w.replicas, w.max_surge)]


def _old_is_quiet(o: Observed, facts: Facts, agenda: Agenda) -> bool:
    """Whether the old pods, which lost their share when the last stage began, are sent nothing any more."""
    if facts.stable is None or facts.since is None or o.policy is None:
        return True
    if not agenda.due(facts.since + o.timing.settle + o.policy.drain):
        return False
    if o.busy.get(facts.stable, True) in {False, None}:
        return True
    return agenda.due(facts.since + o.timing.settle + o.timing.quiet_limit)


def _finish(o: Observed, facts: Facts) -> list[Effect]:
    """After the hand-over: the old pods go, then the pins."""
    w, t = o.workload, o.traffic
    if w is None or not is_.deployment_present(o) or o.unread:
        return []
    effects: list[Effect] = []
    if w.target != facts.canary:
        if not (w.paused and w.held):
            effects.append(PauseDeployment())
        if w.stable is not None and w.stable.spec:
            effects.append(Scale(w.stable.name, 0))
    if w.stable is not None and (w.stable.spec or w.stable.existing):
        return effects
    if t is not None and t.canary_weight != (0, 0):
        effects.append(SetTraffic(0))
    if t is not None and t.pinned:
        effects.append(Pin(None, None))
    return effects


def _revert(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Everybody to stable now; then, one after the other: drain, canary away, marks off."""
    t, w = o.traffic, o.workload
    effects = _send_home(o, facts)
    if w is None:
        return effects
    if is_.deployment_present(o) and w.target != facts.stable and not (w.paused and w.held):
        effects.append(PauseDeployment())
    if Part.PODS in o.unread or Part.REPLICA_SETS in o.unread:
        return effects
    rolled = is_.native_roll(o)
    if rolled is not None and w.target != facts.stable:
        effects += [Scale(rolled.name, 0)] if rolled.spec else []
        return effects
    if effects or (t is not None and facts.canary is not None and t.share(facts.canary) != (0, 0)):
        return effects
    for pods in (*([w.canary] if w.canary else []), *is_.leftovers(o)):
        if pods.of != "us":
            continue
        if pods.spec:
            wait = max(o.timing.settle, o.policy.drain if o.policy else o.timing.settle)
            effects += [Scale(pods.name, 0)] if is_.drained(o, pods.hash, wait, agenda) else []
        elif not pods.existing:
            effects.append(Delete(pods.name))
    gone = all(
        p.existing == 0 and p.spec == 0 for p in (*([w.canary] if w.canary else []), *is_.leftovers(o))
    )
    if gone and t is not None and t.pinned and is_.weights_settled(o, agenda):
        effects.append(Pin(None, None))
    return effects


def _send_home(o: Observed, facts: Facts) -> list[Effect]:
    """The writes that take the canary's share away; none while stable could not answer."""
    t, w = o.traffic, o.workload
    if t is None or not is_.stable_serves(o):
        return []
    pins = (facts.stable, facts.canary)
    if not t.pinned or t.subsets == pins:
        return [SetTraffic(0)] if t.canary_weight != (0, 0) else []
    canary_there = w is not None and w.canary is not None
    if facts.canary is None or not canary_there:
        return [SetTraffic(0)] if t.canary_weight != (0, 0) else []
    back: list[Effect] = [Pin(*pins)]
    return back + ([SetTraffic(0)] if t.canary_weight != (0, 0) else [])
