"""Effects that take back: everybody home, canaries and marks away, at last the Rollout itself."""

from __future__ import annotations

from collections.abc import Iterable

from rollout_controller.core import conditions as is_
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.effects import (
    Adopt,
    Delete,
    Effect,
    Finalizer,
    PauseDeployment,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
)
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Facts
from rollout_controller.core.world import Part, Pods


def revert(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Everybody to stable now; then, one after the other: native roll, canary and marks away."""
    t, w = o.traffic, o.workload
    effects = _send_home(o, facts)
    if w is None:
        return effects
    if is_.deployment_present(o) and w.target != facts.stable and not (w.paused and w.held):
        effects.append(PauseDeployment())
    if o.unread:
        return effects
    # A twin of a newer template tells, once that one is released, whether it was stable before.
    twins = is_.twins(o) if w.target == facts.canary else ()
    rolled = [p for p in {*twins, *is_.half_rolled(o, facts)} if is_.unserved(o, p.hash)]
    effects += without_roll(o, rolled)
    if effects or rolled:
        return effects
    canaries = [p for p in (w.canary, *is_.leftovers(o)) if p is not None and p.of == "us"]
    effects += without_pods(o, canaries, agenda)
    gone = not w.bereft and not any(p.spec or p.existing for p in canaries)
    if gone and t is not None and t.pinned and is_.weights_settled(o, agenda):
        effects.append(Pin(None, None))
    return effects


def _send_home(o: Observed, facts: Facts) -> list[Effect]:
    """The writes that take the canary's share away; none while stable could not answer.

    Pins are put back while there are canary pods to tell apart, or where stable's subset selects others:
    before the weight where that moves nobody to the canary, else after it.
    """
    t, stable = o.traffic, o.workload.stable if o.workload is not None else None
    if t is None or not is_.stable_serves(o):
        return []
    if stable is not None and not stable.selected:
        return [Pin(facts.stable, facts.canary)]  # the weight follows once the Service lists its pods
    home: list[Effect] = [] if t.home else [SetTraffic(0)]
    at_home = t.subsets[0] in {None, facts.stable} and not _canary_runs(o, facts)
    if at_home or t.pinned_to(facts.stable, facts.canary) or not is_.subsets_present(o):
        return home
    back = Pin(facts.stable, facts.canary)
    return [back, *home] if t.subsets[1] == facts.canary else [*home, back]


def _canary_runs(o: Observed, facts: Facts) -> bool:
    """Whether there are canary pods, or may be."""
    if o.workload is None or Part.PODS in o.unread:
        return facts.stage >= 0
    canary = o.workload.canary
    return o.workload.bereft > 0 or (canary is not None and (canary.spec > 0 or canary.existing > 0))


def without_roll(o: Observed, rolled: Iterable[Pods]) -> list[Effect]:
    """What a roll of the Deployment's own left goes, once stable serves; of twins nothing stays, for at the
    hand-over the Deployment would find them first."""
    effects: list[Effect] = []
    for pods in sorted(rolled, key=lambda p: p.name):
        if pods.spec and is_.stable_ready(o):
            effects.append(Scale(pods.name, 0))
        elif pods.current and not pods.spec and not pods.existing:
            effects.append(Delete(pods.name))
    return effects


def without_pods(o: Observed, canaries: Iterable[Pods], agenda: Agenda) -> list[Effect]:
    """Canaries go: their pods once nothing is sent to them any more, then their ReplicaSets."""
    effects: list[Effect] = []
    for pods in canaries:
        if pods.spec and is_.drained(o, pods.hash, agenda):
            effects.append(Scale(pods.name, 0))
        elif not pods.spec and not pods.existing:
            effects.append(Delete(pods.name))
    return effects


def initialize(o: Observed, agenda: Agenda) -> list[Effect]:
    """Take back what a release without memory left behind, then adopt the Deployment."""
    w, t = o.workload, o.traffic
    if w is None or o.unread:
        return []
    adopt = is_.deployment_present(o) and not w.labelled and not o.deleting and not o.owner
    effects: list[Effect] = [Adopt(present=True)] if adopt else []
    left = is_.leftovers(o)
    ours = None if o.holder else t
    if ours is not None and (ours.pinned or left or ours.pinned_routes != "none"):
        owned = [p for p in (w.stable, *w.others) if p is not None and p.of == "deployment"]
        kept = any(p.hash == ours.subsets[0] and p.ready_endpoints > 0 for p in owned)
        if ours.pinned and not kept:
            return [*effects, Pin(None, None)]
        if not ours.home:
            return [*effects, SetTraffic(0)]
    effects += without_pods(o, left, agenda)
    if left:
        return effects
    if ours is not None and ours.pinned:
        return [*effects, Pin(None, None)] if is_.weights_settled(o, agenda) else effects
    if o.finalizer and not o.deleting:
        effects.append(Finalizer(present=False))
    return effects


def let_go(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Another Rollout owns what this one claims: nothing of ours stays in its way, the finalizer goes last.

    The gate's label stays, for the owner to put its own in its place: without one a template would slip by.
    """
    if not o.finalizer:
        return []
    effects, stable = initialize(o, agenda), is_.unpausable(o, facts)
    last = effects == [Finalizer(present=False)]
    held = o.workload is not None and o.workload.held and not o.holder
    return [Unpause(stable), *effects] if last and held and stable is not None else effects


def leave(o: Observed, facts: Facts) -> list[Effect]:
    """The Rollout goes: the Deployment is given back, the finalizer last."""
    effects: list[Effect] = []
    w, stable = o.workload, is_.unpausable(o, facts)
    if w is not None and is_.deployment_present(o):
        if w.held and stable is not None and not o.holder:
            effects.append(Unpause(stable))
        if w.labelled:
            effects.append(Adopt(present=False))
    if o.finalizer:
        effects.append(Finalizer(present=False))
    return effects
