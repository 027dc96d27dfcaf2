"""From facts to effects: what is still missing between the world and what the phase wants.

Nothing here remembers what was done before: each call compares the observed world with the phase's goal
and names the next writes, those towards stable first. Waiting is left to the agenda.
"""

from __future__ import annotations

from rollout_controller.core import conditions as is_
from rollout_controller.core import sides
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.effects import (
    Adopt,
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
from rollout_controller.core.model import Observed
from rollout_controller.core.release import RUNNING, Facts, Hash, Phase
from rollout_controller.core.stages import carried, need
from rollout_controller.core.takeback import initialize, leave, let_go, revert, without_pods, without_roll
from rollout_controller.core.world import Part, Traffic, Workload


def plan(o: Observed, facts: Facts, agenda: Agenda, *, gone: bool) -> list[Effect]:
    """The effects that this world needs now, in the order in which they must be tried."""
    effects = sides.kept(o, leave(o, facts) if gone else _towards_goal(o, facts, agenda))
    if Part.DESTINATION_RULE in o.absent:
        return [e for e in effects if not isinstance(e, Pin)]
    if Part.SERVICE in o.absent:  # the other one has its pin taken off all the same
        return [e for e in effects if not isinstance(e, Pin) or e == Pin(None, None)]
    return effects


def _towards_goal(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    if o.holder and not o.owner and facts.phase not in RUNNING:
        return []  # what is in the world is another's, which has to take it back first
    match facts.phase:
        case Phase.INVALID if o.owner:
            return let_go(o, facts, agenda)
        case Phase.INVALID if not is_.nothing_left(o):  # a status of before the release was put back
            return initialize(o, agenda)
        case Phase.INITIALIZING:
            return initialize(o, agenda)
        case Phase.HEALTHY | Phase.REVERTED if facts.accepted:
            return sides.at_rest(o)
        case Phase.HEALTHY:
            return _rest(o, facts)
        case Phase.PROMOTING | Phase.REVERTING if is_.handed_over(o):
            return _finish(o, facts)
        case Phase.PROGRESSING if facts.stage < 0:
            return _guard(o, facts) + _prepare(o, facts, agenda)
        case Phase.PROGRESSING | Phase.PAUSED:
            return _in_stage(o, facts, agenda)
        case Phase.PROMOTING:
            return _promote(o, facts, agenda)
        case Phase.REVERTING:
            return revert(o, facts, agenda)
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
        if not ((o.workload.paused and o.workload.held) or is_.let_roll(o, facts)):
            effects += [PauseDeployment()] if o.workload.target != facts.stable else []
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


def _prepare(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Lay the way for the first stage: home, pinned, earlier ReplicaSets away, then the canary's pods."""
    w, t = o.workload, o.traffic
    if w is None or t is None or facts.canary is None or not is_.deployment_present(o) or o.unread:
        return []
    if t.subsets[0] not in {None, facts.stable}:
        return [Pin(None, None)]
    if not t.home:
        return [SetTraffic(0)] if is_.stable_serves(o) else []
    left, rolled = is_.leftovers(o), {*is_.twins(o), *is_.half_rolled(o, facts)}
    effects = without_roll(o, rolled)
    if not is_.weights_settled(o, agenda):
        return effects
    if t.subsets != (facts.stable, facts.canary):
        return [*effects, Pin(facts.stable, facts.canary)]
    effects += without_pods(o, left, agenda)
    if left or rolled or not is_.pins_settled(o, agenda):
        return effects
    pods = is_.next_pods(o, facts)
    return [*effects, MakeCanary(facts.canary, pods)] if w.canary is None else effects + _scaled(w, pods)


def _scaled(w: Workload, pods: int) -> list[Effect]:
    """The canary at `pods` at least; taken down only to `replicas`: a wavering gate scales nothing."""
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
    if facts.phase is Phase.PROGRESSING and is_.leaving(o, facts, agenda):
        wanted = max(wanted, is_.next_pods(o, facts))
    return effects + _scaled(w, wanted)


def _hold_traffic(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """The share that the stage wants: lower at once, raise only onto known subsets with pods enough."""
    t, w = o.traffic, o.workload
    if t is None or w is None or facts.canary is None or facts.stage < 0:
        return []
    want, pins = is_.wanted(facts), (facts.stable, facts.canary)
    less = _less(t, want)
    home_serves = is_.stable_serves(o)
    if t.subsets[0] not in {None, facts.stable}:
        return _pinned_back(t, pins, want) if home_serves else []
    enough = want == SetTraffic(0) or 0 < is_.ready(o) >= carried(want.load, w.replicas)
    repair: list[Effect] = [Pin(*pins)] if not t.pinned_to(*pins) and enough and home_serves else []
    if t.canary_weight[1] > want.weight:
        return [less, *repair] if home_serves else []
    as_wanted = t.canary_weight == (want.weight, want.weight) and is_.feeds(t, want)
    if as_wanted or t.subsets != pins:
        return repair
    if enough and o.error is None and not o.unread and is_.pins_settled(o, agenda):
        return [want]
    return [less] if t.mirror[1] > want.mirror and home_serves else []


def _less(t: Traffic, want: SetTraffic) -> SetTraffic:
    """What is wanted without what would be more than there is."""
    kept = want.header_pins if t.pinned_routes != "none" else ()
    return SetTraffic(min(want.weight, t.canary_weight[1]), min(want.mirror, t.mirror[1]), kept)


def _pinned_back(t: Traffic, pins: tuple[Hash | None, Hash | None], want: SetTraffic) -> list[Effect]:
    """Stable's own subset selects another revision: whatever that one can carry, it goes back at once."""
    _stable, canary = pins
    if t.subsets == (canary, canary):  # weights mean nothing yet
        as_wanted = t.canary_weight == (want.weight, want.weight) and is_.feeds(t, want)
        return [Pin(*pins)] if as_wanted else [want, Pin(*pins)]
    return [Pin(*pins), _less(t, want)] if t.canary_weight[1] > want.weight else [Pin(*pins)]


def _promote(o: Observed, facts: Facts, agenda: Agenda) -> list[Effect]:
    """Graduation: everything onto the canary by name, home, hand-over, and the marks taken off again."""
    if facts.lowered_to is not None:
        return _hold_traffic(o, facts, agenda) + _guard(o, facts)
    w, t, canary = o.workload, o.traffic, facts.canary
    effects = _guard(o, facts)
    if w is None or t is None or w.canary is None or canary is None or o.unread:
        return effects
    if not is_.deployment_present(o):
        return effects
    effects += _scaled(w, w.replicas)
    full = min(w.canary.available, w.canary.ready_endpoints) >= w.replicas and w.canary.spec == w.replicas
    if not full or not w.synced:
        return effects
    if t.lacks[0]:
        return effects  # everybody would be sent where nobody answers
    if not t.pinned_to(canary, canary):
        return [*effects, Pin(canary, canary)]
    if not is_.pins_settled(o, agenda) or w.canary.everywhere < w.replicas:
        return effects
    if not t.home:
        return [*effects, SetTraffic(0)]
    if effects or not is_.weights_settled(o, agenda) or not _old_is_quiet(o, facts, agenda):
        return effects
    return [HandOver(w.canary.name, w.replicas, w.max_surge)]


def _old_is_quiet(o: Observed, facts: Facts, agenda: Agenda) -> bool:
    """Whether the old pods, which lost their share when the last stage began, are sent nothing any more."""
    if facts.stable is None or facts.since is None:
        return True
    return is_.quiet(o, facts.stable, facts.since + o.timing.settle, agenda)


def _finish(o: Observed, facts: Facts) -> list[Effect]:
    """After the hand-over: the old pods go, then the pins, then the pause that held the new version back."""
    w, t = o.workload, o.traffic
    if w is None or not is_.deployment_present(o) or o.unread:
        return []
    if w.sides is not None:
        settled = t is None or (t.canary_weight == (100, 100) and not t.fed)
        return [SetTraffic(100)] if not settled and is_.ready(o) else []
    if facts.stable is not None and not is_.unserved(o, facts.stable):
        return [Pin(facts.canary, facts.canary)] if is_.ready(o) else []
    effects: list[Effect] = []
    if w.target != facts.canary:
        if not (w.paused and w.held):
            effects.append(PauseDeployment())
        if w.stable is not None and w.stable.spec:
            effects.append(Scale(w.stable.name, 0))
    if w.stable is not None and (w.stable.spec or w.stable.existing):
        return effects
    if t is not None and not t.home:
        effects.append(SetTraffic(0))
    if t is not None and t.pinned:
        effects.append(Pin(None, None))
    if not effects and is_.held_for_nothing(o, facts):
        effects.append(Unpause(w.target))
    return effects
