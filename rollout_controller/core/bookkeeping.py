"""What a release learns without anything happening: verdicts, shares read back, missing pods."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rollout_controller.core import conditions as is_
from rollout_controller.core import drift, sides
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.model import Observed
from rollout_controller.core.release import RUNNING, Facts, Phase
from rollout_controller.core.world import Part

SOON: Final = timedelta(seconds=10)
"""What is over within this time is not noted for itself: a pass with which the stage can end, and pods for
the next one that are waited for."""

_IN_STAGE = RUNNING - {Phase.REVERTING}


def tell_apart(o: Observed) -> Observed:
    """The world with a ReplicaSet of the Deployment that bears the canary's hash, but was not handed over by
    us, among the others.

    It is an older one, for the hash is made from the template, and a version that is released again bears
    the one it had; or somebody made the Deployment adopt the canary, which then is a native roll. One that
    took stable's place is the canary in Reverting, too: its hand-over was on its way when that began.
    """
    w = o.workload
    if w is None or w.canary is None or w.canary.of == "us" or o.facts.phase is Phase.PROMOTING:
        return o
    took_over = w.canary.spec > 0 and (w.stable is None or w.stable.spec == 0)
    if o.facts.phase is Phase.REVERTING and took_over:
        return o
    return replace(o, workload=replace(w, canary=None, others=(*w.others, w.canary)))


def learn(o: Observed, facts: Facts, agenda: Agenda) -> Facts:
    """The facts with everything noted that this observation tells of the running release."""
    if not _whole(facts):
        facts = Facts(token=facts.token, history=facts.history, previous=facts.previous)
    facts = sides.learn(o, facts)
    if facts.phase not in _IN_STAGE or is_.handed_over(o):
        return facts
    facts = _note_hindrance(o, facts)
    facts = _learn_verdict(o, facts, agenda)
    facts = _note_share(o, facts)
    if is_.lowered_outside(o, facts):
        return facts  # an abort, which a shortage seen in the same moment must not hide
    facts = _note_shortage(o, facts)
    return _note_interference(o, facts)


def begin_stretch(facts: Facts, now: datetime) -> Facts:
    """The present stage from `now` on: its duration and its evidence start anew.

    Nothing is known of it yet, which is what the evaluator's first verdict says too: to note that now saves
    a status write for it.
    """
    return replace(facts, since=now, gate="inconclusive", gate_since=now)


def _whole(facts: Facts) -> bool:
    """Whether the status holds what its phase rests on; one that was edited or cut is no memory."""
    if facts.phase in {Phase.INITIALIZING, Phase.INVALID}:
        return True
    if facts.stable in {None, facts.canary} or (facts.canary is None and facts.phase is not Phase.HEALTHY):
        return False
    begun = -1 if facts.since is None else facts.last
    return facts.phase not in _IN_STAGE or (bool(facts.plan) and -1 <= facts.stage <= begun)


def _note_hindrance(o: Observed, facts: Facts) -> Facts:
    """Nobody is late who could not be asked for: while a write of ours fails, new pods are not waited for."""
    if o.unwritten is None or facts.lowered_to is not None:
        return facts
    return replace(facts, waiting_since=None)


def _learn_verdict(o: Observed, facts: Facts, agenda: Agenda) -> Facts:
    """A pass with which the stage is about to end is noted only if it then lasts: a fact is a write."""
    verdict = o.verdict
    if verdict is None or verdict.key != facts.key:
        return facts
    news = verdict.result == "pass" and facts.gate == "inconclusive" and not facts.failures
    if news and facts.phase is Phase.PROGRESSING and facts.at is not None and facts.since is not None:
        end = max(facts.since + o.timing.settle + facts.at.min_duration, verdict.since)
        if agenda.due(end - SOON) and not agenda.due(end + SOON):
            return facts
    return note_verdict(o, facts)


def note_verdict(o: Observed, facts: Facts) -> Facts:
    """The facts with the present stage's verdict, if there is one."""
    verdict = o.verdict
    if verdict is None or verdict.key != facts.key:
        return facts
    since = (facts.gate_since if facts.gate == verdict.result else None) or verdict.since
    return replace(facts, gate=verdict.result, gate_since=since, failures=verdict.failures)


def _note_share(o: Observed, facts: Facts) -> Facts:
    """`reached` follows the share read back, up to what the stage grants.

    A share that rose, or pinned routes and copies that are there now, begin the stage's stretch anew: between
    the status that granted them and their write there may have been a crash, and any time, in which the
    canary was sent what the stage before gave it. Nothing is reached where no VirtualService is left: what
    the first one says that is made anew is no way back.
    """
    if facts.stage < 0 or is_.foreign_pins(o, facts):
        return facts
    if o.traffic is not None and not o.traffic.routed and Part.VIRTUAL_SERVICE not in o.unread:
        return replace(facts, reached=0, fed=False)
    low = min(is_.canary_share(o, facts)[0], is_.desired_weight(facts))
    if low > facts.reached:
        facts = begin_stretch(replace(facts, reached=low), o.now)
    want = is_.wanted(facts)
    if o.traffic is None or facts.fed or not (want.mirror or want.header_pins):
        return facts
    return begin_stretch(replace(facts, fed=True), o.now) if is_.feeds(o.traffic, want) else facts


def _note_shortage(o: Observed, facts: Facts) -> Facts:
    """Fewer ready pods than the share needs lower it; their return raises it, as a new stretch of the stage.

    Lowering is noted in `reached` before it is done, or it would look like somebody else's abort.
    """
    if o.workload is None or o.traffic is None or facts.stage < 0 or Part.PODS in o.unread:
        return facts
    carried = is_.short_of_pods(o, facts)
    fed = facts.fed and not is_.wanted(facts).mirror  # other copies are wanted from now on
    if carried is None:
        if facts.lowered_to is None:
            return facts
        return begin_stretch(replace(facts, lowered_to=None, waiting_since=None, fed=fed), o.now)
    if facts.lowered_to is not None and carried >= facts.lowered_to:
        return facts
    lower = replace(facts, lowered_to=carried, reached=min(facts.reached, carried), fed=fed)
    if facts.lowered_to is not None:
        return lower
    return replace(lower, shortages=facts.shortages + 1, waiting_since=o.now)


def _note_interference(o: Observed, facts: Facts) -> Facts:
    """Count what somebody else raised or relabelled, once for each state of the objects."""
    if o.traffic is None or o.traffic.version == facts.corrected:
        return facts
    if not is_.raised_outside(o, facts) and not is_.foreign_pins(o, facts):
        return facts
    return replace(
        facts,
        corrections=facts.corrections + 1,
        corrected=o.traffic.version,
        interference=drift.interference(o, facts),
        advice=drift.advice(o, facts),
    )


def note_waiting(o: Observed, facts: Facts, agenda: Agenda) -> Facts:
    """Since when the next stage waits for pods, with nothing else that holds it.

    Pods that come soon are waited for without a word: a fact is a write.
    """
    if facts.phase is not Phase.PROGRESSING or facts.lowered_to is not None or o.unwritten is not None:
        return facts
    if facts.stage < 0:
        return facts if facts.waiting_since is not None else replace(facts, waiting_since=o.now)
    waits = is_.leaving(o, facts, agenda) and is_.ready(o) < is_.next_pods(o, facts)
    if waits and facts.waiting_since is None:
        return replace(facts, waiting_since=o.now) if _patience_ends(o, facts, agenda) else facts
    if not waits and facts.waiting_since is not None:
        return replace(facts, waiting_since=None)
    return facts


def _patience_ends(o: Observed, facts: Facts, agenda: Agenda) -> bool:
    """Whether the stage could have been left some time ago, had there been the pods."""
    stage = facts.at
    if stage is None or facts.since is None or o.verdict is None or o.policy is None or facts.approved:
        return True
    passed = max(facts.since + o.timing.settle + stage.min_duration, o.verdict.since)
    return agenda.due(passed + min(SOON, o.policy.progress_deadline))
