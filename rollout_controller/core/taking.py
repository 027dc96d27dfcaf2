"""What taking a row of the table changes: new facts, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from rollout_controller.core import conditions as is_
from rollout_controller.core import drift, events, sides
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.bookkeeping import begin_stretch, note_verdict
from rollout_controller.core.model import Notice, Observed
from rollout_controller.core.release import Command, Facts, Outcome, PausedBy, Phase
from rollout_controller.core.rollback import goes_back_to, previous, straight_back
from rollout_controller.core.stages import sent
from rollout_controller.core.table import Cell, Event, To
from rollout_controller.core.world import Part

HISTORY = 10
"""How many releases that ended are remembered."""


@dataclass(slots=True)
class Step:
    """What came of one look at the table."""

    facts: Facts
    notices: list[Notice] = field(default_factory=list)
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Taken:
    """The row that was taken: the event, its words, and the command that caused it, if one did."""

    event: Event
    reason: str
    command: Command | None


def take(step: Step, o: Observed, taken: Taken, cell: To) -> None:
    """Change `step` by what this cell says of the row that was taken."""
    event, reason = taken.event, taken.reason
    if cell is Cell.GONE:
        _go(step, o)
    elif cell is Cell.NOTE:
        step.facts = _approve(step.facts, event)
        step.notices.append(Notice("Normal", "Approved", reason))
    elif cell is Cell.NEXT:
        _next(step, o)
    elif cell is Cell.BY_TEMPLATE:
        _come_home(step, o)
    elif cell is Phase.REVERTING:
        _revert(step, o, reason, _advice(o, step.facts, taken))
    elif cell is Phase.PAUSED:
        _pause(step, o, taken)
    elif cell is Phase.PROGRESSING:
        _progress(step, o, taken)
    elif cell is Phase.HEALTHY:
        _be_healthy(step, o, taken)
    elif cell is Phase.PROMOTING:
        step.facts = replace(step.facts, phase=Phase.PROMOTING, waiting_since=None)
        step.notices.append(Notice("Normal", "Promoting", reason))
    elif isinstance(cell, Phase):
        _start_over(step, cell, taken)


def _go(step: Step, o: Observed) -> None:
    """Nothing is forgotten while it could not be read, and what is left is taken back before."""
    if o.unread:
        return
    if is_.nothing_left(o):
        step.gone = True
        w = o.workload
        if w is not None and is_.stays_paused(o, step.facts) and not o.holder:
            words = (
                "the Deployment stays paused, as its template was never released: kubectl rollout resume"
                f" deployment/{w.name} -n {w.namespace} lets it roll, past every step and gate"
            )
            step.notices.append(Notice("Warning", "LeftPaused", words))
    elif step.facts.phase is not Phase.INITIALIZING:
        step.facts = _forget(step.facts, Phase.INITIALIZING)


def _approve(f: Facts, event: Event) -> Facts:
    """What a promote allows; one step is less than all that was allowed before."""
    return replace(f, approved="full" if event is Event.PROMOTE_FULL or f.approved == "full" else "step")


def _next(step: Step, o: Observed) -> None:
    """Enter the next stage, or leave the last one for the graduation."""
    f = step.facts
    following = is_.next_stage(f)
    if following is None:
        f = note_verdict(o, f)
        step.facts = replace(f, phase=Phase.PROMOTING, waiting_since=None, reason="")
        what = "the new version is handed over" if sides.of(o) is None else "everybody stays where they are"
        step.notices.append(Notice("Normal", "Promoting", f"{_why_left(o, f)}: {what}"))
        return
    index = f.last if f.approved == "full" else f.stage + 1
    entered = replace(
        f,
        stage=index,
        granted=is_.ready(o),
        failures=0,
        approved=None if f.approved == "step" else f.approved,
        waiting_since=None,
    )
    fed = o.traffic is not None and is_.feeds(o.traffic, is_.wanted(entered))
    step.facts = begin_stretch(replace(entered, fed=fed), o.now)
    gets = sent(following, pinned=bool(f.header_pins))
    words = f"step {index + 1}/{len(f.plan)}: canary {f.canary} gets {gets}"
    if f.stage >= 0:
        words = f"{words}, as {_why_left(o, f)}"
    step.notices.append(Notice("Normal", "StepStarted", words))


def _why_left(o: Observed, f: Facts) -> str:
    """What the present step was left on: a command, or its pass in the words of the gate."""
    left = f"step {f.stage + 1}/{len(f.plan)}"
    if f.approved is not None and not is_.exit_held(o, f, Agenda(o.now)):
        return f"{left} was promoted by command"
    judged = o.verdict.sentence if o.verdict is not None and o.verdict.key == f.key else ""
    return f"{left} passed ({judged})" if judged else f"{left} passed"


def _advice(o: Observed, f: Facts, taken: Taken) -> str:
    """What keeps the tool whose change counted as an abort from doing it again."""
    if taken.event is not Event.ABORT or taken.command is not None:
        return ""
    return drift.advice(o, f) or (f.advice if f.corrections > drift.MAX_CORRECTIONS else "")


def _revert(step: Step, o: Observed, reason: str, advice: str) -> None:
    f = step.facts
    words = f"everybody goes back to {f.stable}: {reason}"
    if Part.VIRTUAL_SERVICE in o.unread and f.stage >= 0:
        why = o.error if o.policy is None and o.error is not None else "the VirtualServices cannot be read"
        words = f"users still reach the canary until this is cured: {why}; then {words}"
    step.facts = replace(
        f,
        phase=Phase.REVERTING,
        reason=reason,
        advice=advice,
        paused_by=None,
        approved=None,
        waiting_since=None,
        lowered_to=None,
        reached=0,
    )
    words = drift.ended(words, step.facts)
    step.notices.append(Notice("Warning", "Reverting", words))


def _come_home(step: Step, o: Observed) -> None:
    """After everything was taken back: what the Deployment asks for now decides where to go."""
    f = step.facts
    if o.deleting:
        _go(step, o)
        return
    if f.canary is not None:
        step.facts = f = _remember(f, o, "Reverted")
    if o.workload is None or not is_.deployment_present(o):
        step.facts = _forget(f, Phase.INITIALIZING)
    elif o.workload.target in {f.stable, ""}:
        step.facts = _forget(f, Phase.HEALTHY)
        step.notices.append(Notice("Normal", "Healthy", f"stable {f.stable} serves everybody"))
    elif o.workload.target == f.canary:
        kept = _forget(f, Phase.REVERTED)
        step.facts = replace(kept, canary=f.canary, reason=f.reason, advice=f.advice)
        what = "is gone" if sides.of(o) is None else f"gets nothing any more, {f.stable} serves everybody"
        step.notices.append(Notice("Warning", "Reverted", f"canary {f.canary} {what}: {f.reason}"))
    elif o.owner:
        step.facts = replace(_forget(f, Phase.INVALID), reason=str(o.error or ""))
        step.notices.append(Notice("Warning", "Invalid", step.facts.reason))
    elif o.policy is None:
        step.facts = _forget(f, Phase.INITIALIZING)
    else:
        _begin(step, o, sides.asked_for(o))


def _begin(step: Step, o: Observed, reason: str) -> None:
    """Start a release of what the Deployment asks for, with the stages of this moment's spec.

    One that goes back to a version that was stable before gets a plan that leads there at once.
    """
    target = o.workload.target if o.workload else None
    plan = o.policy.stages if o.policy else ()
    back = goes_back_to(o, step.facts)
    if back is not None:
        plan = straight_back(plan)
        reason = f"{reason}, back to {back}, which was stable before: straight to 100 %"
    fresh = _forget(step.facts, Phase.PROGRESSING)
    pins = o.policy.header_pins if o.policy else ()
    step.facts = replace(
        fresh, canary=target, plan=plan, header_pins=pins, started=o.now, waiting_since=o.now
    )
    step.notices.append(Notice("Normal", "Started", f"release of {target} beside {fresh.stable}: {reason}"))


def _progress(step: Step, o: Observed, taken: Taken) -> None:
    f, event, reason = step.facts, taken.event, taken.reason
    if event in {Event.TEMPLATE_NEW, Event.RETRY}:
        _begin(step, o, sides.asked_for(o) if event is Event.TEMPLATE_NEW else reason)
        return
    held = _held_by(o) if event in {Event.PROMOTE, Event.PROMOTE_FULL} else None
    if held is not None:
        by, why, until = held
        kept = f.reason if f.paused_by is by else why
        step.facts = replace(_approve(f, event), paused_by=by, reason=kept)
        step.notices.append(Notice("Normal", "Approved", f"{reason}; it counts once {until}"))
        return
    go = replace(
        f, phase=Phase.PROGRESSING, paused_by=None, reason="", waiting_since=None if f.stage >= 0 else o.now
    )
    if event in {Event.PROMOTE, Event.PROMOTE_FULL}:
        go = _approve(go, event)
    elif f.paused_by is not PausedBy.INCONCLUSIVE or event is Event.RESUME:
        go = begin_stretch(go, o.now) if f.stage >= 0 else go
    if f.lowered_to is not None:
        go = replace(go, waiting_since=f.waiting_since)
    step.facts = go
    name = "Approved" if event in {Event.PROMOTE, Event.PROMOTE_FULL} else "Resumed"
    step.notices.append(Notice("Normal", name, reason))


def _held_by(o: Observed) -> tuple[PausedBy, str, str] | None:
    """What holds a release whatever a person allows: the cause, its words, and what ends it."""
    if o.policy is not None and o.policy.paused:
        return PausedBy.SPEC, "spec.paused is true", "spec.paused is no longer true"
    if o.error is not None:
        return PausedBy.FINDING, str(o.error), "what is wrong is cured"
    return None


def _pause(step: Step, o: Observed, taken: Taken) -> None:
    f, reason = step.facts, taken.reason
    by = {Event.ERROR: PausedBy.FINDING, Event.APPROVAL: PausedBy.APPROVAL}.get(taken.event, PausedBy.COMMAND)
    if taken.event is Event.HOLD and taken.command is None:
        found = events.hold_by_itself(o, f, Agenda(o.now))
        by = found[0] if found else PausedBy.SPEC
    waiting = f.waiting_since if f.lowered_to is not None else None
    f = note_verdict(o, f)
    step.facts = replace(f, phase=Phase.PAUSED, paused_by=by, reason=reason, waiting_since=waiting)
    wrong = by in {PausedBy.FINDING, PausedBy.INCONCLUSIVE, PausedBy.MAX_DURATION}
    step.notices.append(Notice("Warning" if wrong else "Normal", "Paused", reason))


def _be_healthy(step: Step, o: Observed, taken: Taken) -> None:
    f, event = step.facts, taken.event
    if event is Event.FINISHED:
        f = _remember(f, o, "Promoted")
        two = sides.of(o)
        if two is not None:
            step.facts = _forget(sides.promoted(o, f), Phase.HEALTHY)
            words = sides.who_serves(two, step.facts)
        else:
            step.facts = replace(_forget(f, Phase.HEALTHY), stable=f.canary, previous=previous(f, f.canary))
            words = f"{f.canary} is the Deployment's own version now"
        step.notices.append(Notice("Normal", "Promoted", words))
    elif event is Event.HOME:
        stable = is_.stable_candidate(o)
        before = previous(f, stable) if sides.of(o) is None else ()
        adopted = sides.adopted(o, f)
        step.facts = replace(_forget(f, Phase.HEALTHY), stable=stable, previous=before, accepted=adopted)
        step.notices.append(Notice("Normal", "Healthy", f"adopted: stable is {step.facts.stable}"))
    else:
        step.facts = _forget(f, Phase.HEALTHY)
        step.notices.append(Notice("Normal", "Healthy", taken.reason))


def _start_over(step: Step, phase: Phase, taken: Taken) -> None:
    """To Initializing or Invalid: what is stable is found out anew."""
    f, event, reason = step.facts, taken.event, taken.reason
    kept = f.stable if phase is Phase.INVALID or event is Event.CURED else None
    step.facts = replace(
        _forget(f, phase),
        stable=kept,
        previous=previous(f, kept),
        reason="" if event is Event.CURED else reason,
    )
    warn = event is not Event.CURED
    name = {Event.CURED: "Cured"}.get(event, "Invalid" if phase is Phase.INVALID else "NativeRoll")
    step.notices.append(Notice("Warning" if warn else "Normal", name, reason))


def _forget(f: Facts, phase: Phase) -> Facts:
    """The facts that outlive a release: stable and those before it, the last command's token, the history."""
    return Facts(
        phase=phase,
        stable=f.stable,
        token=f.token,
        history=f.history,
        previous=f.previous,
        accepted=f.accepted,
    )


def _remember(f: Facts, o: Observed, outcome: str) -> Facts:
    ended = o.now.replace(microsecond=0)
    took = timedelta(seconds=round((o.now - (f.started or o.now)).total_seconds()))
    line = Outcome(f.canary or "", "Promoted" if outcome == "Promoted" else "Reverted", f.reason, ended, took)
    return replace(f, history=(*f.history, line)[-HISTORY:])
