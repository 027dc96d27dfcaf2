"""From an observed world to new facts: the table's rows tried in order, and commands that are dropped."""

from __future__ import annotations

from dataclasses import replace

from rollout_controller.core import conditions as is_
from rollout_controller.core import events, refusals, sides
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.model import Notice, Observed
from rollout_controller.core.release import Command, Facts, Phase
from rollout_controller.core.table import TABLE, Cell, Event, State, To
from rollout_controller.core.taking import Step, Taken, take

_COMMANDS = {
    Event.ABORT: "abort",
    Event.HOLD: "pause",
    Event.RESUME: "resume",
    Event.PROMOTE: "promote",
    Event.PROMOTE_FULL: "promote",
    Event.RETRY: "retry",
}


def state_of(o: Observed, facts: Facts) -> State:
    """The table's column for this world."""
    if facts.phase in {Phase.PROMOTING, Phase.REVERTING} and is_.handed_over(o):
        return State.HANDED_OVER
    return State(facts.phase.value)


def advance(o: Observed, facts: Facts, agenda: Agenda) -> Step:
    """Take the first row of the table that leads somewhere."""
    step = Step(facts)
    state = state_of(o, facts)
    for event, detect in events.DETECTORS.items():
        reason = detect(o, step.facts, agenda)
        if reason is None:
            continue
        cell = TABLE[event, state]
        command = _command(o, step.facts, event)
        refusal = _refusal(o, step.facts, event, cell, command)
        if refusal is not None and command is not None:
            step.facts = replace(step.facts, token=command.token)
            step.notices.append(Notice("Warning", "CommandRefused", f"{command.verb} is dropped: {refusal}"))
            continue
        if command is not None:
            step.facts = replace(step.facts, token=command.token)
        if cell not in {Cell.NOTHING, Cell.STAY, Cell.REFUSE}:
            take(step, o, Taken(event, reason, command), cell)
            break
    return step


def came_along(o: Observed) -> list[Notice]:
    """What is told of the commands that were given together with a more important one.

    Where that one is refused as well, each is dropped for a reason of its own, if it has one.
    """
    command = o.command
    if command is None or command.claimed:
        return []
    refused = _against(o, command) is not None
    own = {verb: _against(o, Command(verb, "", "", claimed=False)) for verb in command.ignored if refused}
    told = [f"{verb} is dropped: {why}" for verb, why in own.items() if why is not None]
    others = [verb for verb in command.ignored if own.get(verb) is None]
    if others:
        told.append(f"{', '.join(others)} dropped: {command.verb} came with it")
    return [Notice("Warning", "CommandRefused", words) for words in told]


def _against(o: Observed, command: Command) -> str | None:
    """Why this command would be dropped now, None if it would be carried out."""
    event = next(event for event, verb in _COMMANDS.items() if verb == command.verb)
    return _refusal(o, o.facts, event, TABLE[event, state_of(o, o.facts)], command)


def _command(o: Observed, facts: Facts, event: Event) -> Command | None:
    command = events.command_of(o, facts)
    return command if command is not None and command.verb == _COMMANDS.get(event) else None


def _refusal(o: Observed, facts: Facts, event: Event, cell: To, command: Command | None) -> str | None:
    """Why the command of this row is dropped, None if it is carried out (or there is none)."""
    if command is None:
        return None
    phase, senseless = facts.phase.value, refusals.senseless(facts, command)
    if senseless is not None:
        return senseless
    if cell is Cell.REFUSE or cell is Cell.NOTHING:
        if event is Event.ABORT and facts.phase is Phase.PROMOTING:
            if sides.of(o) is not None:
                return "the new version serves everybody, and is home now"
            return "the new version was handed over to the Deployment; go back with kubectl rollout undo"
        return f"it has no meaning while the Rollout is {phase}"
    if cell is Cell.STAY and event is Event.HOLD:
        return (
            f"the Rollout is {phase} already"
            if facts.phase is Phase.PAUSED
            else f"it cannot hold while {phase}"
        )
    if event in {Event.PROMOTE, Event.PROMOTE_FULL}:
        return refusals.promote_refusal(facts, command)
    if event is Event.RETRY:
        return refusals.retry_refusal(o)
    return refusals.resume_refusal(facts) if event is Event.RESUME else None
