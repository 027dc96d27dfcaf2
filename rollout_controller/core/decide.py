"""The decision: one pure function from an observed world to what to remember, show, do and tell."""

from __future__ import annotations

from typing import Final

from rollout_controller.core import bookkeeping, drift, invalid, sides, strays, transitions
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.display import display
from rollout_controller.core.effects import Claim, Drop, Effect, PauseDeployment
from rollout_controller.core.finding import WRITE_FAILS
from rollout_controller.core.model import Decision, Notice, Observed
from rollout_controller.core.plan import plan
from rollout_controller.core.release import RUNNING, Facts, Phase
from rollout_controller.core.world import Part


def decide(o: Observed) -> Decision:
    """What this world calls for. Total: every `Observed` gets an answer, none raises.

    Facts change first, then effects follow from the new facts, so that a crash between the two leaves
    something that the next look continues.
    """
    o = bookkeeping.tell_apart(o)
    agenda = Agenda(o.now)
    learnt = strays.note(o, bookkeeping.learn(o, o.facts, agenda))
    step = transitions.advance(o, invalid.note(o, learnt), agenda)
    facts = bookkeeping.note_waiting(o, step.facts, agenda)
    effects = _command_effects(o, facts) + plan(o, facts, agenda, gone=step.gone)
    if facts != o.facts:
        agenda.ask_again(o.now)  # what follows from new facts is seen with them, not before
    elif o.unread and (o.policy is not None or o.unread != frozenset(Part)):
        agenda.ask_again(o.now + o.timing.settle)  # nothing tells when a part can be read again
    return Decision(
        facts=facts,
        display=display(strays.tell(o, facts), facts),
        effects=tuple(effects),
        notices=(*sides.told(o, learnt), *_told(o, facts, effects), *step.notices),
        wake_at=agenda.next,
        gone=step.gone,
    )


def _command_effects(o: Observed, facts: Facts) -> list[Effect]:
    """Claim what was asked for; drop the claim whose token the facts hold."""
    command = o.command
    if command is None:
        return []
    if not command.claimed:
        return [Claim(command)]
    return [Drop(command.token)] if command.token == facts.token else []


_TOLD_OTHERWISE: Final = frozenset({WRITE_FAILS, sides.SERVING_ROLLS})
"""Warnings that have another Event."""


def _told(o: Observed, facts: Facts, effects: list[Effect]) -> list[Notice]:
    """What is worth an Event although the phase stays: warnings, shortage, interference, edits, commands."""
    before = o.facts
    reverted = before.phase is facts.phase is Phase.REVERTED  # where an error changes nothing else
    told = [
        Notice("Warning", f.code, str(f))
        for f in o.findings
        if (f.severity == "warning" or reverted) and f.key not in o.told and f.code not in _TOLD_OTHERWISE
    ]
    if facts.shortages > before.shortages and facts.lowered_to is not None:
        words = f"canary pods are missing: its share is lowered to {facts.lowered_to} %"
        told.append(Notice("Warning", "PodsShort", words))
    told += drift.corrected(before, facts)
    if PauseDeployment() in effects and o.workload is not None and not o.workload.paused:
        who = f'field manager "{o.workload.changed_by}"' if o.workload.changed_by else "somebody"
        told.append(Notice("Warning", "PausedAgain", f"{who} un-paused the Deployment while a release runs"))
    if o.edited and facts.phase in RUNNING and facts.phase is not Phase.REVERTING:
        words = (
            "this release goes on with the steps that it began with; the edit counts from the next release"
        )
        told.append(Notice("Normal", "StrategyEdited", words))
    told += [one for one in (strays.notice(o, facts), invalid.notice(o, facts)) if one is not None]
    told += transitions.came_along(o)
    if facts.gate == "fail" and before.gate != "fail" and facts.approved == "full" and o.verdict is not None:
        words = f"told only, as promote full was asked for: {o.verdict.sentence}"
        told.append(Notice("Warning", "GateFailing", words))
    return told
