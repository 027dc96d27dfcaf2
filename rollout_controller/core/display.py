"""What status shows a person, rendered from observation and facts: nothing moves with clock or attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rollout_controller.core import conditions as is_
from rollout_controller.core import drift, sides, stages, strays
from rollout_controller.core.commands import annotate
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Display, Observed
from rollout_controller.core.release import RUNNING, Facts, PausedBy, Phase
from rollout_controller.core.rollback import goes_back

LONG: Final = 200
"""Characters beyond which a warning stands in the message of a status without its cure."""

UNREAD: Final = "waiting for the first readings"


def display(o: Observed, facts: Facts) -> Display:
    """The words and numbers beyond the facts."""
    verdict = o.verdict if o.verdict is not None and facts.canary == o.verdict.key.canary else None
    sent = facts.phase in RUNNING and facts.stage >= 0
    running = facts.phase in {Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING}
    return Display(
        message=_message(o, facts),
        step=step(facts),
        weight=_weight(o, facts),
        readings=verdict.readings if verdict is not None and running else (),
        verdict=verdict.result if verdict is not None and running and verdict.key == facts.key else None,
        sentence=verdict.sentence if verdict is not None and running else "",
        traffic=verdict.traffic if verdict is not None and sent else None,
        findings=o.findings,
        image=o.workload.image if o.workload else "",
        observed_generation=o.generation,
    )


def _weight(o: Observed, facts: Facts) -> int:
    """The canary's share as read; everything once it is the Deployment's own and no subset tells."""
    if o.traffic is None:
        return facts.reached
    if is_.handed_over(o) and o.traffic.subsets == (None, None):
        return 100
    return is_.canary_share(o, facts)[0]


def step(facts: Facts) -> str:
    """`3/5`; empty while no release runs."""
    return f"{facts.stage + 1}/{len(facts.plan)}" if facts.plan else ""


def _message(o: Observed, facts: Facts) -> str:
    words = _unread(o) if o.unread else _phase(o, facts)
    if facts.phase in {Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING}:
        words += drift.addition(facts)
    beside = "; ".join(told for told in (o.waits, _warnings(o, facts, words)) if told)
    return f"{words} ({beside})" if beside else words


def _warnings(o: Observed, facts: Facts, words: str) -> str:
    """The first warning, without its cure if that is long, and how many more there are in status.findings.

    One that the words tell of already, or whose cure they do, is not told again.
    """
    told = facts.advice if facts.advice and facts.advice in words else None
    warnings = [
        f
        for f in o.findings
        if f.severity == "warning" and str(f) not in words and f.fix.removesuffix(".") != told
    ]
    if not warnings:
        return ""
    first, more = warnings[0], len(warnings) - 1
    text = str(first) if len(str(first)) <= LONG else str(replace(first, fix=""))
    return f"{text}; {more} more warning{'s' if more > 1 else ''}" if more else text


def _unread(o: Observed) -> str:
    if o.policy is None and o.error is not None:
        return f"{o.error} Nothing moves before that"  # nothing is read with a spec that says not what
    return f"cannot read {', '.join(sorted(o.unread))} just now: a release does not go on before that"


def _phase(o: Observed, facts: Facts) -> str:
    words = {
        Phase.INITIALIZING: _initializing,
        Phase.INVALID: _invalid,
        Phase.HEALTHY: _healthy,
        Phase.PROGRESSING: _progressing,
        Phase.PAUSED: _paused,
        Phase.PROMOTING: _promoting,
        Phase.REVERTING: _reverting,
        Phase.REVERTED: _reverted,
    }[facts.phase]
    return words(o, facts)


def _initializing(o: Observed, facts: Facts) -> str:
    if o.holder:
        return f"waiting until Rollout {o.holder} has let go of what both claim"
    two = sides.of(o)
    if two is not None and is_.at_rest(o):
        waits = f"waiting until one of {two.serving.name} and {two.idle.name} serves everybody, and both have"
        return f"{facts.reason}; " * bool(facts.reason) + f"{waits} rolled out what they were given last"
    if facts.reason:
        return f"{facts.reason}; waiting until the Deployment has come to rest"
    if not is_.at_rest(o):
        return "taking back what an earlier release left in the mesh"
    return "waiting until one version of the Deployment is ready and serves alone"


def _invalid(o: Observed, facts: Facts) -> str:
    return str(o.error) if o.error is not None else facts.reason or "what was wrong is cured"


def _healthy(o: Observed, facts: Facts) -> str:
    two = sides.of(o)
    if two is not None:
        return sides.who_serves(two, facts)
    last = facts.history[-1] if facts.history else None
    if last is not None and last.outcome == "Promoted" and last.revision == facts.stable:
        return f"stable {facts.stable} serves everybody; promoted from canary"
    return f"stable {facts.stable} serves everybody"


def _place(facts: Facts) -> str:
    stage = facts.at
    back = f"back to a version that was stable before, as {facts.canary}" if goes_back(facts) else ""
    if stage is None:
        return f"going {back}" if back else "preparing the first step"
    place = f"step {step(facts)} {stages.place(stage, pinned=bool(facts.header_pins))}"
    return f"{place}, {back}" if back else place


def _judged(o: Observed, facts: Facts) -> str:
    if o.verdict is None or o.verdict.key != facts.key:
        return UNREAD
    return o.verdict.sentence or f"verdict {o.verdict.result}"


def _progressing(o: Observed, facts: Facts) -> str:
    place, ready = _place(facts), is_.ready(o)
    if facts.stage < 0:
        if o.workload is not None and o.workload.canary is not None:
            wanted = is_.next_pods(o, facts)
            why = is_.trouble(o) + sides.missing(o, wanted) if ready < wanted else ""
            return f"{place}: {ready} of {wanted} canary pods ready{why}"
        what = "the Services" if o.traffic is not None and o.traffic.services else "the subsets"
        return f"{place}: pinning {what} to stable {facts.stable} and canary {facts.canary}"
    if facts.lowered_to is not None:
        short = f"only {ready} of {facts.granted} canary pods are ready{is_.trouble(o)}"
        return f"{place}: lowered to {facts.lowered_to} % as {short}"
    if facts.waiting_since is not None:
        wanted = is_.next_pods(o, facts)
        count = f"{ready} of {wanted} ready{is_.trouble(o)}{sides.missing(o, wanted)}"
        return f"{place}: passed; waiting for canary pods, {count}"
    return f"{place}: {_judged(o, facts)}"


def _paused(o: Observed, facts: Facts) -> str:
    ways = annotate("resume=true", "promote=true" if facts.stage >= 0 else "promote=full", "abort=true")
    way_out = {
        PausedBy.SPEC: "set spec.paused to false to go on",
        PausedBy.COMMAND: ways,
        PausedBy.APPROVAL: annotate(f"promote={facts.canary}/{facts.stage + 1}", "abort=true"),
        PausedBy.INCONCLUSIVE: f"goes on with the first pass; or {ways}",
        PausedBy.FINDING: "goes on when cured",
        PausedBy.MAX_DURATION: ways,
        None: ways,
    }[facts.paused_by]
    judged = (
        f"; {_judged(o, facts)}" if facts.stage >= 0 and facts.paused_by is not PausedBy.INCONCLUSIVE else ""
    )
    promoted = "; promoted by command, which counts once it goes on" if facts.approved is not None else ""
    reason = facts.reason.removesuffix(".")
    return f"{_place(facts)}, paused: {reason}{judged}{promoted}; {way_out}"


def _promoting(o: Observed, facts: Facts) -> str:
    w, two = o.workload, sides.of(o)
    if two is not None:
        return f"at 100 %: {two.idle.name} becomes the one that serves, {two.serving.name} the idle one"
    if is_.handed_over(o):
        old = w.stable.existing if w is not None and w.stable is not None else 0
        if old:
            return f"handed over to the Deployment; {old} old pods are ending"
        return "handed over to the Deployment; taking the pins off"
    if o.traffic is not None and o.traffic.lacks[0] and o.error is not None:
        return f"at 100 %: the hand-over waits until this is cured: {o.error}"
    if w is not None and is_.ready(o) < w.replicas:
        count = f"{is_.ready(o)} of {w.replicas} ready{is_.trouble(o)}"
        return f"at 100 %; waiting for canary pods before the hand-over, {count}"
    if o.busy.get(facts.stable or ""):
        return f"at 100 %; pods of {facts.stable} are still sent requests, the hand-over waits for their end"
    return f"at 100 %: handing {facts.canary} over to the Deployment"


def still_reached(unwritten: Finding) -> str:
    """What is worse than all else: the way back was decided, and is not there."""
    return f"users still reach the canary, as the way back is not written: {unwritten}"


def _reverting(o: Observed, facts: Facts) -> str:
    if is_.handed_over(o):
        return _promoting(o, facts)
    why = drift.ended(facts.reason, facts)
    if not is_.stable_serves(o) and is_.canary_reached(o, facts):
        lost = o.traffic is not None and o.traffic.lacks[0]
        what = "Service" if o.traffic is not None and o.traffic.services else "subset"
        stable = f"the {what} of stable {facts.stable} does not exist" if lost else ""
        stable = stable or f"stable {facts.stable} has no ready pod to go back to"
        return f"{stable}, so the canary keeps its share: {why}"
    if is_.canary_reached(o, facts) and o.unwritten is not None:
        return f"{still_reached(o.unwritten)}; {why}"
    if is_.canary_reached(o, facts):
        return f"sending everybody back to stable {facts.stable}: {why}"
    if o.workload is not None and o.workload.bereft:
        left = f"{o.workload.bereft} canary pods without a ReplicaSet are waited for; delete those that stay"
        return f"everybody is back on stable {facts.stable}; {left}: {why}"
    back = "all routes lead to {} again" if strays.told(o) else "everybody is back on {}"
    if sides.of(o) is not None:
        return f"{back.format(facts.stable)}, the last requests are waited for: {why}"
    return f"{back.format(f'stable {facts.stable}')}, the canary is being drained: {why}"


def _reverted(o: Observed, facts: Facts) -> str:
    two = sides.of(o)
    what = f"canary {facts.canary}" if two is None else f"revision {facts.canary} of {two.idle.name}"
    words = f"{what} was taken back: {facts.reason}; "
    if o.error is not None:
        return f"{words}{o.error}"
    serves = f"stable {facts.stable}" if two is None else facts.stable
    template = "the template" if two is None else f"the template of {two.idle.name}"
    words += f"{serves} serves everybody. Change {template}, or {annotate('retry=true')}"
    return drift.ended(words, facts)
