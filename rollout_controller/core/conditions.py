"""What can be said of an observed world: the predicates that transitions and effects share.

Each is a small answer to one question. Those that depend on the time take the `Agenda`, so that a "not
yet" also says when to ask again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rollout_controller.core.agenda import Agenda
from rollout_controller.core.effects import SetTraffic
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Facts, Hash, Phase, Stage
from rollout_controller.core.stages import affordable, carried, need
from rollout_controller.core.world import Part, Pods, Timing, Traffic

DRAIN: Final = timedelta(seconds=30)
"""The usual `spec.drain`, where the spec cannot be used."""


def deployment_present(o: Observed) -> bool:
    """Whether there is a Deployment to write to."""
    return o.workload is not None and Part.DEPLOYMENT not in o.absent


def subsets_present(o: Observed) -> bool:
    """Whether there is what both sides are told apart by: the DestinationRule, or both Services."""
    return not {Part.DESTINATION_RULE, Part.SERVICE} & o.absent


def canary_share(o: Observed, facts: Facts) -> tuple[int, int]:
    """The lowest and highest share of the canary's revision, (0, 0) without canary or traffic.

    Its subset's weight is its share also where that subset does not exist, and nobody answers.
    """
    if o.traffic is None or facts.canary is None:
        return (0, 0)
    return _as_meant(o.traffic, facts.canary).share(facts.canary)


def _as_meant(t: Traffic, canary: Hash | None) -> Traffic:
    """The traffic as if the canary's subset were there, where it does not exist."""
    return replace(t, subsets=(t.subsets[0], canary)) if t.lacks[1] else t


def handed_over(o: Observed) -> bool:
    """Whether the canary's ReplicaSet belongs to the Deployment: from there on there is no way back.

    Of two Deployments nothing changes hands: the promoted one is home as soon as that is decided.
    """
    if o.workload is None:
        return False
    if o.workload.sides is not None:
        return o.facts.phase is Phase.PROMOTING
    return o.workload.canary is not None and o.workload.canary.of == "deployment"


def native_roll(o: Observed) -> Pods | None:
    """The ReplicaSet with which the Deployment itself rolls the new template, if it has pods."""
    if o.workload is None:
        return None
    return next(
        (p for p in o.workload.others if p.of == "deployment" and p.current and (p.spec or p.existing)), None
    )


def twins(o: Observed) -> tuple[Pods, ...]:
    """ReplicaSets of the Deployment with the canary's template: at the hand-over it would find them first."""
    return tuple(p for p in o.workload.others if p.of == "deployment" and p.current) if o.workload else ()


def half_rolled(o: Observed, facts: Facts) -> tuple[Pods, ...]:
    """ReplicaSets of the Deployment with pods beside stable's, left by a roll of its own that was stopped.

    None while it asks for stable's template: then it takes them away by itself once it may.
    """
    w = o.workload
    if w is None or w.sides is not None or w.target == facts.stable:
        return ()
    return tuple(p for p in w.others if p.of == "deployment" and (p.spec or p.existing))


def leftovers(o: Observed) -> tuple[Pods, ...]:
    """Canaries of ours that no release owns any more."""
    return tuple(p for p in o.workload.others if p.of == "us") if o.workload else ()


def ready(o: Observed) -> int:
    """Ready endpoints of the canary."""
    return o.workload.canary.ready_endpoints if o.workload and o.workload.canary else 0


def trouble(o: Observed) -> str:
    """Why canary pods cannot become ready, to be added to how many there are; "" if nothing is known."""
    canary = o.workload.canary if o.workload is not None else None
    return f": {canary.trouble}" if canary is not None and canary.trouble else ""


def stable_serves(o: Observed) -> bool:
    """Whether traffic may be moved to stable: it has a ready endpoint, or nothing is served anyway.

    Pods that could not be read do not stop a way back; without Rollout and Deployment nobody waits for it.
    Where stable's own subset does not exist, the canary's users are the only ones who get answers.
    """
    if Part.PODS in o.unread or o.workload is None or (o.deleting and not deployment_present(o)):
        return True
    if o.traffic is not None and o.traffic.lacks == (True, False) and ready(o):
        return False
    return stable_ready(o) or ready(o) == 0


def stable_ready(o: Observed) -> bool:
    """Whether stable has a ready endpoint."""
    stable = o.workload.stable if o.workload else None
    return stable is not None and stable.ready_endpoints > 0


def stable_replaced(o: Observed) -> bool:
    """Whether the Deployment runs another ReplicaSet instead of stable's: it rolled while nobody looked."""
    w = o.workload
    if w is None or (w.stable is not None and (w.stable.spec or w.stable.existing)):
        return False
    return any(p.of == "deployment" and p.spec for p in w.others)


def canary_reached(o: Observed, facts: Facts) -> bool:
    """Whether the canary's revision is sent anything: a share, pinned requests, or copies."""
    t = o.traffic
    return t is not None and facts.canary is not None and _as_meant(t, facts.canary).reaches(facts.canary)


def pods_lost(o: Observed, facts: Facts) -> bool:
    """The canary is sent requests and has nobody to answer them."""
    if o.workload is None or Part.PODS in o.unread or o.workload.replicas == 0 or not deployment_present(o):
        return False
    return facts.stage >= 0 and canary_reached(o, facts) and ready(o) == 0


def subset_lost(o: Observed, facts: Facts) -> bool:
    """The canary's subset is sent requests and does not exist, while stable's does: nobody answers them."""
    return facts.stage >= 0 and lacks_canary(o) and o.traffic is not None and not o.traffic.home


def lacks_canary(o: Observed) -> bool:
    """Whether stable's subset exists and the canary's does not."""
    return o.traffic is not None and o.traffic.lacks == (False, True)


def desired_weight(facts: Facts) -> int:
    """The share that the present stage gives the canary; less while pods are short."""
    stage = facts.at
    if stage is None:
        return 0
    return stage.weight if facts.lowered_to is None else min(facts.lowered_to, stage.weight)


def wanted(facts: Facts) -> SetTraffic:
    """What the present stage sends to the canary; less of a share, and fewer copies, while pods are short."""
    stage = facts.at
    if stage is None:
        return SetTraffic(0)
    mirror = stage.mirror if facts.lowered_to is None else min(facts.lowered_to, stage.mirror)
    return SetTraffic(desired_weight(facts), mirror, facts.header_pins)


def feeds(t: Traffic, want: SetTraffic) -> bool:
    """Whether pinned routes and copies are as wanted."""
    return t.pinned_routes == ("ours" if want.header_pins else "none") and t.mirror == (
        want.mirror,
        want.mirror,
    )


def share_withheld(o: Observed, facts: Facts) -> bool:
    """Whether what the present stage sends was not read back yet, with pods enough: it has not begun."""
    want, w = wanted(facts), o.workload
    missing = facts.reached < want.weight or (not facts.fed and bool(want.mirror or want.header_pins))
    return missing and w is not None and 0 < ready(o) >= carried(want.load, w.replicas)


def short_of_pods(o: Observed, facts: Facts) -> int | None:
    """The lower share that the ready canary pods still carry, None if they are enough for the stage.

    A raised `replicas` is no shortage: pods are missing only if they are fewer than the number that the
    share was granted on, too.
    """
    stage = facts.at
    if stage is None or o.workload is None or Part.PODS in o.unread or not deployment_present(o):
        return None
    count = ready(o)
    if count >= min(carried(stage.load, o.workload.replicas), facts.granted):
        return None
    return min(affordable(count, o.workload.replicas), stage.load)


def foreign_pins(o: Observed, facts: Facts) -> bool:
    """Whether somebody relabelled a subset in the middle of a stage."""
    if o.traffic is None or facts.stage < 0 or handed_over(o):
        return False
    ours = {(facts.stable, facts.canary)}
    if facts.phase is Phase.PROMOTING:
        ours.add((facts.canary, facts.canary))
    return not any(o.traffic.pinned_to(*pins) for pins in ours)


def lowered_outside(o: Observed, facts: Facts) -> bool:
    """Whether the canary's share is below what was reached, and not by us.

    Pinned routes or copies that were there and were taken away are the same: what a weight of 0 has to lose.
    """
    if o.traffic is None or foreign_pins(o, facts) or handed_over(o) or Part.VIRTUAL_SERVICE in o.absent:
        return False
    if facts.stage < 0:
        return False
    return canary_share(o, facts)[0] < facts.reached or starved(o, facts)


def starved(o: Observed, facts: Facts) -> bool:
    """Whether pinned routes or copies were taken away after they had been read back."""
    t, want = o.traffic, wanted(facts)
    if t is None or not facts.fed or facts.phase is Phase.PROMOTING:
        return False
    return t.mirror[0] < want.mirror or (bool(want.header_pins) and t.pinned_routes == "none")


def raised_outside(o: Observed, facts: Facts) -> bool:
    """Whether the canary subset's weight is above the stage's, or it gets more copies than that grants."""
    stage = facts.at
    if facts.phase is Phase.PROMOTING or o.traffic is None or stage is None:
        return False
    return o.traffic.canary_weight[1] > stage.weight or (facts.fed and o.traffic.mirror[1] > stage.mirror)


def weights_settled(o: Observed, agenda: Agenda) -> bool:
    """Whether the weights have been what they are for long enough that the proxies know."""
    return o.traffic is None or agenda.due(o.traffic.weights_since + o.timing.settle)


def pins_settled(o: Observed, agenda: Agenda) -> bool:
    """Whether the subsets have been what they are for long enough that the proxies know."""
    return o.traffic is None or agenda.due(o.traffic.subsets_since + o.timing.settle_relabel)


def converged(o: Observed, facts: Facts, agenda: Agenda) -> bool:
    """Whether the world is, and has settled, as the present stage wants it."""
    stage = facts.at
    if stage is None or o.traffic is None or facts.lowered_to is not None:
        return False
    as_wanted = o.traffic.subsets == (facts.stable, facts.canary) and o.traffic.canary_weight == (
        stage.weight,
        stage.weight,
    )
    as_wanted = as_wanted and feeds(o.traffic, wanted(facts))
    return as_wanted and weights_settled(o, agenda) and pins_settled(o, agenda)


def held_long_enough(o: Observed, facts: Facts, agenda: Agenda) -> bool:
    """Whether the present stage has had its `min_duration` (or bake) since it settled."""
    stage = facts.at
    if stage is None or facts.since is None:
        return False
    return agenda.due(facts.since + o.timing.settle + stage.min_duration)


def gate_passes(o: Observed, facts: Facts) -> bool:
    """Whether the gate lets the present stage go: a live evaluator's pass for exactly this stretch."""
    stage = facts.at
    if stage is None or not stage.gate:
        return stage is not None
    return o.verdict is not None and o.verdict.result == "pass" and o.verdict.key == facts.key


def exit_held(o: Observed, facts: Facts, agenda: Agenda) -> bool:
    """Whether the present stage's own conditions for leaving it hold (approval apart)."""
    if facts.stage < 0:
        return True
    return converged(o, facts, agenda) and held_long_enough(o, facts, agenda) and gate_passes(o, facts)


def next_stage(facts: Facts) -> Stage | None:
    """The stage that comes next, the last one after `promote: full`; None after the last."""
    if facts.stage >= facts.last:
        return None
    return facts.plan[facts.last if facts.approved == "full" else facts.stage + 1]


def next_pods(o: Observed, facts: Facts) -> int:
    """The ready canary pods without which the next stage is not entered.

    None after the last: the graduation itself waits for all of them, for as long as it takes.
    """
    stage = next_stage(facts)
    return need(stage, o.workload.replicas) if stage is not None and o.workload is not None else 0


def leaving(o: Observed, facts: Facts, agenda: Agenda) -> bool:
    """Whether only pods are wanting for the next stage: exit held or approved, and the world converged."""
    stage = facts.at
    if stage is None:
        return True
    if facts.approved is not None:
        return converged(o, facts, agenda)
    return exit_held(o, facts, agenda) and not stage.approval


def way_laid(o: Observed, facts: Facts) -> bool:
    """Whether all that the first stage needs is there: home, pinned, and the canary made."""
    if o.traffic is None or o.workload is None or o.workload.canary is None or handed_over(o):
        return False
    return o.traffic.subsets == (facts.stable, facts.canary) and o.traffic.home


def unserved(o: Observed, revision: str) -> bool:
    """Whether no subset sends requests to this revision, as far as pins tell."""
    return o.traffic is None or not _as_meant(o.traffic, o.facts.canary).reaches(revision)


def drained(o: Observed, revision: str, agenda: Agenda) -> bool:
    """Whether a revision may lose its pods: its share is 0 in all proxies, and it has gone quiet since."""
    t = o.traffic
    if t is None:
        return True
    return unserved(o, revision) and quiet(o, revision, known_to_proxies(t, o.timing), agenda)


def known_to_proxies(t: Traffic, timing: Timing) -> datetime:
    """When weights and subsets that are as they are have reached all proxies."""
    return max(t.weights_since + timing.settle, t.subsets_since + timing.settle_relabel)


def quiet(o: Observed, revision: str, since: datetime, agenda: Agenda) -> bool:
    """Whether a revision that lost its share at `since` had its `drain`, and is sent no requests any more.

    Metrics that say requests still arrive, or that were not asked yet, are waited for at most
    `quiet_limit`; metrics that have no answer are not waited for.
    """
    if not agenda.due(since + (o.policy.drain if o.policy else DRAIN)):
        return False
    return o.busy.get(revision, True) in {False, None} or agenda.due(since + o.timing.quiet_limit)


def at_rest(o: Observed) -> bool:
    """Whether nothing of a release is left in mesh and cluster: no pins, no routes and no canary of ours.

    Weights do not count: they are the user's own where both subsets select every pod.
    """
    if o.traffic is not None and not o.traffic.unmarked:
        return False
    if o.workload is None or o.workload.sides is not None:
        return True
    return o.workload.canary is None and not o.workload.bereft and not leftovers(o)


def nothing_left(o: Observed) -> bool:
    """Whether this Rollout has nothing to take back; what is pinned is the holder's, where there is one."""
    canary = o.workload.canary if o.workload is not None else None
    return at_rest(o) or (bool(o.holder) and canary is None and not leftovers(o))


def stable_candidate(o: Observed) -> str | None:
    """The revision that a Rollout without memory takes for stable: the only ReplicaSet that is in use.

    None while the Deployment rolls by itself, or while it has no ready pod yet.
    """
    w = o.workload
    if w is None or not deployment_present(o):
        return None
    known = [p for p in (w.stable, *w.others) if p is not None and p.of == "deployment"]
    active = [p for p in known if p.spec or p.existing]
    if not active and w.replicas == 0:
        # None is in use: the present one, or while a new template is held the one that was stable before it.
        active = [p for p in known if p.current] or [p for p in known if p is w.stable or len(known) == 1]
    if len(active) != 1:
        return None
    (only,) = active
    usable = only.current and (only.ready_endpoints > 0 or w.replicas == 0)
    return only.hash if usable or w.paused else None


def unpausable(o: Observed, facts: Facts) -> str | None:
    """The stable revision if it is what the Deployment's template asks for: un-pausing then rolls nothing."""
    w = o.workload
    if w is None or not deployment_present(o):
        return None
    stable = facts.stable or stable_candidate(o)
    return next((p.hash for p in (w.stable, *w.others) if p and p.hash == stable and p.current), None)


def let_roll(o: Observed, facts: Facts) -> bool:
    """Whether somebody un-paused the Deployment for it to roll a version that was taken back.

    The gate refuses that to all but those who ask in our name. Who it was cannot be seen: a field that is
    removed has no manager.
    """
    return facts.phase is Phase.REVERTED and o.workload is not None and not o.workload.paused


def held_for_nothing(o: Observed, facts: Facts) -> bool:
    """Whether our pause holds back nothing but the version that was promoted."""
    w = o.workload
    return w is not None and deployment_present(o) and w.held and w.target == facts.canary


def stays_paused(o: Observed, facts: Facts) -> bool:
    """Whether a pause of ours has to outlive the Rollout, or a template that nobody released would roll."""
    w = o.workload
    return w is not None and deployment_present(o) and w.held and unpausable(o, facts) is None
