"""The decision: one pure function from an observed world to what to remember, show, do and tell."""

from __future__ import annotations

from rollout_controller.core import bookkeeping, transitions
from rollout_controller.core.agenda import Agenda
from rollout_controller.core.display import display
from rollout_controller.core.model import Claim, Decision, Drop, Effect, Facts, Notice, Observed
from rollout_controller.core.plan import plan


def decide(o: Observed) -> Decision:
    """What this world calls for. Total: every `Observed` gets an answer, none raises.

    Facts change first, then effects follow from the new facts, so that a crash between the two leaves
    something that the next look continues.
    """
    agenda = Agenda(o.now)
    learnt = bookkeeping.learn(o, o.facts)
    step = transitions.advance(o, learnt, agenda)
    facts = bookkeeping.note_waiting(o, step.facts, agenda)
    effects = _command_effects(o, facts) + plan(o, facts, agenda, gone=step.gone)
    return Decision(
        facts=facts,
        display=display(o, facts),
        effects=tuple(effects),
        notices=(*_told(o, facts), *step.notices),
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


def _told(o: Observed, facts: Facts) -> tuple[Notice, ...]:
    """What is worth an Event although the phase stays: shortage, interference, ignored commands."""
    before, told = o.facts, []
    if facts.shortages > before.shortages and facts.lowered_to is not None:
        told.append(
            Notice(
                "Warning",
                "PodsShort",
                f"canary pods are missing: its share is lowered to {facts.lowered_to} %",
            )
        )
    if facts.corrections > before.corrections and o.traffic is not None:
        who = o.traffic.changed_by or "somebody else"
        told.append(Notice("Warning", "Corrected", f'"{who}" changed weights or subsets; they are put back'))
    command = o.command
    if command is not None and not command.claimed and command.ignored:
        told.append(
            Notice(
                "Warning",
                "CommandRefused",
                f"{', '.join(command.ignored)} dropped: {command.verb} came with it",
            )
        )
    if facts.gate == "fail" and before.gate != "fail" and facts.approved == "full" and o.verdict is not None:
        told.append(
            Notice(
                "Warning", "GateFailing", f"told only, as promote full was asked for: {o.verdict.sentence}"
            )
        )
    return tuple(told)
