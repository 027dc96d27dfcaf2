"""Two Deployments that serve in turn: what is remembered of them, and what is said of them.

Only traffic is moved: the Deployments roll, scale and pause by themselves. `stable` is the name of the one
that serves, `canary` the revision of the idle one that is released. A release begins when the idle one has
another template than the one that was last accepted; promoted, it is home, and the other one is idle.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout_controller.core.effects import Effect, Finalizer, SetTraffic
from rollout_controller.core.model import Notice, Observed
from rollout_controller.core.release import Facts, Hash, Phase
from rollout_controller.core.world import Sides

SERVING_ROLLS: Final = "ServingRolls"
"""The warning while the serving side rolls a template; the Event of that change is `UngatedChange`."""
_FOLLOWS = frozenset({Phase.INITIALIZING, Phase.INVALID, Phase.HEALTHY, Phase.REVERTED})
"""Where nothing is under way: who moves everybody to the idle side then makes it the one that serves."""


def of(o: Observed) -> Sides | None:
    """The two sides, None where one Deployment is released, or while they could not be read."""
    return o.workload.sides if o.workload is not None else None


def kept(o: Observed, effects: list[Effect]) -> list[Effect]:
    """Of these effects those that may be had on two Deployments: traffic, and our own finalizer."""
    fixed = o.traffic is not None and o.traffic.fixed
    if of(o) is None and not fixed:
        return effects
    return [effect for effect in effects if isinstance(effect, SetTraffic | Finalizer)]


def at_rest(o: Observed) -> list[Effect]:
    """Between releases nothing is held on either, also after a revert: our finalizer stands for nothing."""
    return [Finalizer(present=False)] if o.finalizer and not o.unread else []


def learn(o: Observed, facts: Facts) -> Facts:
    """The facts with what became of the two sides without a release of ours."""
    sides = of(o)
    if facts.accepted and sides is None and o.workload is not None:
        return Facts(token=facts.token, history=facts.history)  # one Deployment took the place of two
    if sides is None or facts.stable is None:
        return facts
    accepted = dict(facts.accepted)
    names = {sides.serving.name, sides.idle.name}
    if facts.stable not in names or not names <= accepted.keys():
        return Facts(token=facts.token, history=facts.history)  # of another workload, or cut: no memory
    if facts.phase in _FOLLOWS and o.traffic is not None and o.traffic.canary_weight == (100, 100):
        phase = facts.phase if facts.phase is Phase.INVALID else Phase.INITIALIZING
        by = o.traffic.changed_by
        who = f"{by.who} moved everybody" if by is not None else "everybody was moved"
        moved = f"{who} from {sides.serving.name} to {sides.idle.name}, and not by a release"
        rolled = _with(facts, sides.idle.name, sides.idle.revision or accepted[sides.idle.name])
        return Facts(phase, token=facts.token, history=facts.history, reason=moved, accepted=rolled)
    serving = sides.serving
    if serving.revision and serving.revision != accepted[serving.name]:
        return replace(facts, accepted=_with(facts, serving.name, serving.revision))
    return facts


def told(o: Observed, facts: Facts) -> list[Notice]:
    """Events about what happened to the side that serves."""
    sides, before = of(o), o.facts
    if sides is None or before.stable is None:
        return []
    if facts.stable is None and before.phase in _FOLLOWS and facts.reason:
        words = f"{facts.reason}: {sides.idle.name} counts as the one that serves from now on"
        by = o.traffic.changed_by if o.traffic is not None else None
        advice = f". {by.advice}" if by is not None and by.advice else ""
        return [Notice("Warning", "ServingSideChanged", words + advice)]
    if facts.stable != before.stable or facts.accepted == before.accepted:
        return []
    if dict(facts.accepted).get(sides.serving.name) == dict(before.accepted).get(sides.serving.name):
        return []
    words = (
        f"the template of {sides.serving.name} was changed while it serves everybody or most: it rolls by"
        f" itself, and no step or gate holds it. Release new versions with {sides.idle.name}, the idle one;"
        f" kubectl rollout undo deployment/{sides.serving.name} takes this one back"
    )
    return [Notice("Warning", "UngatedChange", words)]


def adopted(o: Observed, facts: Facts) -> tuple[tuple[str, Hash], ...]:
    """What is accepted of both once they are adopted: what they run, where nothing is remembered of it."""
    sides = of(o)
    if sides is None:
        return ()
    known = dict(facts.accepted)
    return tuple(sorted((one.name, known.get(one.name, one.revision)) for one in (sides.serving, sides.idle)))


def adoptable(o: Observed) -> bool:
    """Whether it is plain which of the two serves, and what both of them run."""
    sides = of(o)
    if sides is None:
        return True
    plain = o.traffic is not None and o.traffic.canary_weight == (0, 0)
    return plain and bool(sides.serving.revision and sides.idle.revision)


def promoted(o: Observed, facts: Facts) -> Facts:
    """The facts with the released side as the one that serves."""
    sides = of(o)
    if sides is None or facts.canary is None:
        return facts
    return replace(facts, stable=sides.idle.name, accepted=_with(facts, sides.idle.name, facts.canary))


def _with(facts: Facts, name: str, revision: Hash) -> tuple[tuple[str, Hash], ...]:
    return tuple(sorted({**dict(facts.accepted), name: revision}.items()))


# -- words -----------------------------------------------------------------------------------------------


def who_serves(sides: Sides, facts: Facts) -> str:
    """Which of the two serves by these facts, which may be newer than the sight of it, and what the other one
    is for."""
    both = [sides.serving.name, sides.idle.name]
    serving, idle = both if facts.stable == both[0] else both[::-1]
    return f"{serving} serves everybody; {idle} is idle: release the next version there"


def missing(o: Observed, wanted: int) -> str:
    """Why pods are missing, or what to do about it; to be added to how many of `wanted` there are."""
    sides, w = of(o), o.workload
    if sides is None or w is None:
        return ""
    if o.facts.stage < 0 and sides.idle.others:
        return f", as {sides.idle.others} pods of {sides.idle.name} still have another template"
    if w.canary is not None and w.canary.spec < wanted:
        return f"; scale {sides.idle.name} to {wanted} at least, as its replicas are left to you"
    return ""


def asked_for(o: Observed) -> str:
    """Why a release begins: there is a new template."""
    sides = of(o)
    return f"{sides.idle.name if sides is not None else 'the Deployment'} has a new template"


def new_template(sides: Sides) -> str:
    """Why a release ends: the idle side asks for something else."""
    named = f", revision {sides.idle.revision}" if sides.idle.revision else ""
    return f"{sides.idle.name} has a new template{named}"
