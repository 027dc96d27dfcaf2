"""Which events occur in an observed world: one detector per row of the table.

A detector answers None (does not occur) or the reason, a phrase that a person reads after the name of the
new phase.
"""

from __future__ import annotations

from collections.abc import Callable

from rollout_controller.core import conditions as is_
from rollout_controller.core import drift, sides
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.finding import MISSING_SERVICE, MISSING_SUBSET
from rollout_controller.core.model import Observed
from rollout_controller.core.release import RUNNING, Command, Facts, PausedBy, Phase
from rollout_controller.core.stages import called
from rollout_controller.core.table import Event
from rollout_controller.core.world import Part

Detector = Callable[[Observed, Facts, Agenda], str | None]

MAX_SHORTAGES = 3
"""How often a share is lowered for want of pods before the canary counts as failing."""

_LOST = "all canary pods are lost: none is ready"


def command_of(o: Observed, facts: Facts) -> Command | None:
    """The command that may be executed in this pass: a claimed one, or an abort in any form; none twice."""
    command = o.command
    if command is None or command.token == facts.token:
        return None
    return command if command.claimed or command.verb == "abort" else None


def _verb(o: Observed, facts: Facts, verb: str) -> Command | None:
    command = command_of(o, facts)
    return command if command is not None and command.verb == verb else None


def _deleted(o: Observed, _f: Facts, _a: Agenda) -> str | None:
    return "the Rollout is deleted" if o.deleting else None


def _abort(o: Observed, f: Facts, a: Agenda) -> str | None:
    command = _verb(o, f, "abort")
    if command is not None:
        why = "" if command.value in {"", "true"} else f": {command.value}"
        return f"aborted by command{why}"
    if f.phase not in RUNNING or f.phase is Phase.REVERTING:
        return None
    if is_.lowered_outside(o, f):
        return _lowered(o, f, a)
    return drift.kept_on(o, f) if f.corrections > drift.MAX_CORRECTIONS else None


def _lowered(o: Observed, f: Facts, a: Agenda) -> str:
    """Without a stranger it was a way back of ours that no status was told of; its cause still holds."""
    if o.traffic is not None and o.traffic.changed_by is not None:
        return drift.lowered(o, f)
    own = _failed(o, f, a) or _template_stable(o, f, a) or _template_new(o, f, a)
    if own is None and is_.lacks_canary(o):
        return _no_way(o)
    if own is None and is_.ready(o) == 0 and Part.PODS not in o.unread:
        return f"{_LOST}{is_.trouble(o)}"
    return own or drift.lowered(o, f)


def _no_way(o: Observed) -> str:
    """That what leads to the canary is gone, with the finding about it."""
    service = o.traffic is not None and o.traffic.services
    what, code = ("Service", MISSING_SERVICE) if service else ("subset", MISSING_SUBSET)
    words = f"nobody answers requests for the canary, as its {what} does not exist any more"
    found = next((str(one) for one in o.findings if one.code == code), "")
    return f"{words}: {found.removesuffix('.')}" if found else words


def _failed(o: Observed, f: Facts, a: Agenda) -> str | None:
    if f.phase not in RUNNING or f.phase is Phase.REVERTING:
        return None
    if _gate_fails(o, f) and f.approved != "full":
        return (o.verdict.sentence if o.verdict else "") or "the gate fails"
    if is_.subset_lost(o, f):
        return _no_way(o)
    if is_.pods_lost(o, f):
        return f"{_LOST}{is_.trouble(o)}"
    if f.shortages > MAX_SHORTAGES:
        words = f"canary pods keep failing: {f.shortages} times fewer were ready than the share needs"
        return f"{words}{is_.trouble(o)}"
    if _unclear_for_too_long(o, f, "Revert", a):
        return _unclear_words(o)
    if _deadline_passed(o, f, a):
        wanted = is_.next_pods(o, f) if f.lowered_to is None else f.granted
        count = f"{is_.ready(o)} of {wanted} ready{is_.trouble(o)}{sides.missing(o, wanted)}"
        return f"canary pods were not ready within progressDeadline: {count}"
    return None


def _gate_fails(o: Observed, f: Facts) -> bool:
    """Whether the verdict of this run, whatever its stage, is a fail; one of a run before is none."""
    if o.verdict is None or o.verdict.result != "fail" or o.verdict.key.canary != f.canary:
        return False
    return f.started is None or o.verdict.key.since >= f.started


def _deadline_passed(o: Observed, f: Facts, a: Agenda) -> bool:
    """Whether pods are still missing after the deadline.

    Waiting for more pods than were granted counts only while the release progresses. Pods that came while
    nobody looked are there, and pods that could not be read are not missing.
    """
    if o.policy is None or f.waiting_since is None or o.unread:
        return False
    if f.lowered_to is None:
        there = is_.ready(o) >= is_.next_pods(o, f) and (f.stage >= 0 or is_.way_laid(o, f))
        if f.phase is not Phase.PROGRESSING or there:
            return False
    return a.due(f.waiting_since + o.policy.progress_deadline)


def _stable_gone(o: Observed, f: Facts, _a: Agenda) -> str | None:
    """The roll took stable's place: there is nothing to take it back to."""
    w, rolled = o.workload, is_.native_roll(o)
    if w is None or rolled is None or not rolled.spec or Part.PODS in o.unread or f.phase not in RUNNING:
        return None
    given_up = w.stable is None or w.stable.spec == 0
    if not given_up and (w.paused or is_.stable_ready(o)):
        return None
    return f"{_rolled_by(o)}, and stable has no ready endpoint: the roll goes on"


def _native_roll(o: Observed, f: Facts, _a: Agenda) -> str | None:
    w = o.workload
    if w is None or not is_.deployment_present(o) or not w.synced:
        return None
    rolled = is_.native_roll(o)
    if f.phase in RUNNING:
        rolls = w.target != f.stable and rolled is not None and rolled.spec > 0
    else:
        rolls = is_.stable_replaced(o) or (w.target != f.stable and not w.paused)
    return f"NativeRoll: {_rolled_by(o)}" if rolls else None


def _half_rolled(o: Observed, f: Facts, _a: Agenda) -> str | None:
    w, rolled = o.workload, is_.half_rolled(o, f)
    if w is None or not rolled or not w.paused or o.unread:
        return None
    count = sum(p.existing for p in rolled)
    return f"the Deployment rolled by itself before it was paused again: {count} pods of it serve"


def _rolled_by(o: Observed) -> str:
    w = o.workload
    who = f' by field manager "{w.changed_by}"' if w is not None and not w.paused and w.changed_by else ""
    return f"the Deployment was un-paused{who} and rolls by itself"


def _error(o: Observed, f: Facts, _a: Agenda) -> str | None:
    """Without memory not before all is taken back: what is Invalid writes nothing more."""
    if o.error is None or (f.phase is Phase.INITIALIZING and not o.owner and _may_be_left(o)):
        return None
    return str(o.error)


def _may_be_left(o: Observed) -> bool:
    """Whether users may be on the canary of a release that no status tells of.

    With a spec that does not say where to look there is nothing to wait for.
    """
    return o.unread != frozenset(Part) if o.unread else not is_.nothing_left(o)


def _disowned(o: Observed, f: Facts, a: Agenda) -> str | None:
    return _error(o, f, a) if o.owner else None


def _cured(o: Observed, _f: Facts, _a: Agenda) -> str | None:
    return None if o.error is not None or o.unread else "what was wrong is cured"


def _template_stable(o: Observed, f: Facts, _a: Agenda) -> str | None:
    if o.workload is None or not is_.deployment_present(o) or o.workload.target != f.stable:
        return None
    two = o.workload.sides
    if two is not None:
        return f"the template of {two.idle.name} is the one before again"
    return "the Deployment's template is stable's again"


def _template_new(o: Observed, f: Facts, _a: Agenda) -> str | None:
    w = o.workload
    if w is None or not is_.deployment_present(o) or w.target in {f.stable, f.canary}:
        return None
    waits = bool(o.holder) or Part.ROLLOUTS in o.unread or not w.paused or not w.target or o.policy is None
    if f.phase not in RUNNING and waits:
        return None
    return sides.new_template(w.sides) if w.sides is not None else f"new revision {w.target}"


def _hold(o: Observed, f: Facts, a: Agenda) -> str | None:
    command = _verb(o, f, "pause")
    if command is not None:
        return command.value if command.value not in {"", "true"} else "paused by command"
    if f.phase is not Phase.PROGRESSING:
        return None
    found = hold_by_itself(o, f, a)
    return found[1] if found else None


def hold_by_itself(o: Observed, f: Facts, a: Agenda) -> tuple[PausedBy, str] | None:
    """What pauses a progressing release without anybody's command, and the words for it."""
    if o.policy is None:
        return None
    if o.policy.paused:
        return PausedBy.SPEC, "spec.paused is true"
    stage = f.at
    if stage is None or f.since is None or f.approved is not None or is_.share_withheld(o, f):
        return None
    if _unclear_for_too_long(o, f, "Pause", a):
        return PausedBy.INCONCLUSIVE, _unclear_words(o)
    begun = f.since + o.timing.settle + stage.min_duration
    if a.due(begun + o.policy.max_duration) and not is_.leaving(o, f, a) and f.waiting_since is None:
        return (
            PausedBy.MAX_DURATION,
            f"the {called(stage, pinned=bool(f.header_pins))} took longer than maxDuration",
        )
    return None


def _unclear_for_too_long(o: Observed, f: Facts, then: str, a: Agenda) -> bool:
    """Whether a progressing release had no clear answer for as long as the policy allows, and wants `then`.

    A stage that a person promoted does not wait for an answer.
    """
    stage = f.at
    if o.policy is None or o.policy.inconclusive_then != then or f.phase is not Phase.PROGRESSING:
        return False
    if stage is None or not stage.gate or f.since is None or f.approved is not None:
        return False
    if f.gate == "pass" or is_.gate_passes(o, f) or is_.share_withheld(o, f):
        return False
    begun = f.since + o.timing.settle
    if f.gate == "inconclusive" and f.gate_since is not None:
        begun = max(begun, f.gate_since)
    if then == "Revert":
        # Time in which nobody looked, as while the controller was down, says nothing against the canary.
        if o.verdict is None or o.verdict.key != f.key:
            return False
        begun = max(begun, o.verdict.since)
    return a.due(begun + o.policy.inconclusive_after)


def _unclear_words(o: Observed) -> str:
    sentence = o.verdict.sentence if o.verdict is not None else ""
    return f"no clear verdict: {sentence}" if sentence else "no clear verdict: the gate has no answer yet"


def _resume(o: Observed, f: Facts, _a: Agenda) -> str | None:
    return "resumed by command" if _verb(o, f, "resume") is not None else None


def _cause_gone(o: Observed, f: Facts, _a: Agenda) -> str | None:
    if f.paused_by is PausedBy.SPEC and o.policy is not None and not o.policy.paused:
        return "spec.paused is no longer true"
    if f.paused_by is PausedBy.FINDING and o.error is None and not o.unread:
        return "the finding is cured"
    if f.paused_by is PausedBy.INCONCLUSIVE and is_.gate_passes(o, f):
        return "the gate passes"
    return None


def _promote(o: Observed, f: Facts, _a: Agenda) -> str | None:
    command = _verb(o, f, "promote")
    return None if command is None or command.value == "full" else "promoted by command"


def _promote_full(o: Observed, f: Facts, _a: Agenda) -> str | None:
    command = _verb(o, f, "promote")
    return "promoted to 100 % by command" if command is not None and command.value == "full" else None


def _retry(o: Observed, f: Facts, _a: Agenda) -> str | None:
    if o.unread:
        return None
    return "retried by command" if _verb(o, f, "retry") is not None else None


def _approval(o: Observed, f: Facts, a: Agenda) -> str | None:
    stage = f.at
    if stage is None or not stage.approval or f.approved is not None or not is_.exit_held(o, f, a):
        return None
    passed = "passed its gate and " if stage.gate else ""
    return f"{called(stage, pinned=bool(f.header_pins))} {passed}waits for approval"


def _advance(o: Observed, f: Facts, a: Agenda) -> str | None:
    w = o.workload
    if w is None or o.unread or not is_.deployment_present(o) or not w.replicas or not w.synced:
        return None
    if f.stage < 0 and not (is_.way_laid(o, f) and is_.pins_settled(o, a)):
        return None
    enough = 0 < is_.ready(o) >= is_.next_pods(o, f)
    if not enough or not is_.leaving(o, f, a):
        return None
    return "the canary's pods are ready" if f.stage < 0 else "step passed"


def _empty(o: Observed, _f: Facts, a: Agenda) -> str | None:
    w = o.workload
    if w is None or o.unread or not is_.deployment_present(o) or w.replicas or w.canary is None:
        return None
    return "the Deployment has 0 replicas" if is_.pins_settled(o, a) else None


def _home(o: Observed, f: Facts, a: Agenda) -> str | None:
    if o.unread or not is_.at_rest(o):
        return None
    if f.phase is Phase.REVERTING:
        home = o.traffic is None or o.traffic.home
        if sides.of(o) is not None and not is_.drained(o, f.canary or "", a):
            return None  # its pods stay, but requests that still come are somebody's mistake
        return "home" if home and is_.native_roll(o) is None and not is_.half_rolled(o, f) else None
    w = o.workload
    if w is None or not w.synced or not w.labelled or o.holder or is_.stable_candidate(o) is None:
        return None
    return "adopted" if sides.adoptable(o) else None


def _finished(o: Observed, f: Facts, _a: Agenda) -> str | None:
    w = o.workload
    if w is not None and w.sides is not None:
        at_home = o.traffic is not None and o.traffic.canary_weight == (100, 100) and not o.traffic.fed
        return f"everybody is on {w.sides.idle.name}" if at_home and not o.unread else None
    if o.unread or w is None or (w.stable is not None and (w.stable.existing or w.stable.spec)):
        return None
    if o.traffic is not None and (o.traffic.pinned or not o.traffic.home):
        return None
    if is_.held_for_nothing(o, f):
        return None
    return "the Deployment runs the new version"


DETECTORS: dict[Event, Detector] = {
    Event.DELETED: _deleted,
    Event.ABORT: _abort,
    Event.FAILED: _failed,
    Event.STABLE_GONE: _stable_gone,
    Event.NATIVE_ROLL: _native_roll,
    Event.HALF_ROLLED: _half_rolled,
    Event.ERROR: _error,
    Event.DISOWNED: _disowned,
    Event.CURED: _cured,
    Event.TEMPLATE_STABLE: _template_stable,
    Event.TEMPLATE_NEW: _template_new,
    Event.HOLD: _hold,
    Event.RESUME: _resume,
    Event.CAUSE_GONE: _cause_gone,
    Event.PROMOTE: _promote,
    Event.PROMOTE_FULL: _promote_full,
    Event.RETRY: _retry,
    Event.APPROVAL: _approval,
    Event.ADVANCE: _advance,
    Event.EMPTY: _empty,
    Event.HOME: _home,
    Event.FINISHED: _finished,
}
