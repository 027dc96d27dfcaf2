"""Why a command is dropped although the phase would allow it, in the words of its Warning."""

from __future__ import annotations

from typing import Final

from rollout_controller.core import conditions as is_
from rollout_controller.core.commands import annotate, bound_to
from rollout_controller.core.model import Observed
from rollout_controller.core.release import RUNNING, Command, Facts, PausedBy

LONG: Final = 60
"""Characters of a value that is shown whole."""


def senseless(f: Facts, command: Command) -> str | None:
    """Why this is no command in any phase, None if it is one."""
    if command.verb != "promote" or bound_to(command.value, f) != "never":
        return None
    example = f", as {f.canary}/{max(f.stage, 0) + 1}" if f.canary is not None and f.phase in RUNNING else ""
    value = command.value if len(command.value) <= LONG else f"{command.value[: LONG - 3]}..."
    return f"{value} is none of true, full and <canary>/<step>{example}"


def promote_refusal(f: Facts, command: Command) -> str | None:
    """Why a promote makes no sense here although the phase would allow it, None if it does."""
    revision, _, step = command.value.partition("/")
    if revision == f.canary and step.isdecimal() and int(step) > len(f.plan):
        return f"there is no step {step}, as this release has {len(f.plan)}"
    if bound_to(command.value, f) != "now":
        return f"{command.value} is not the present step of this release"
    if command.value != "full" and f.stage < 0:
        return "no step has begun yet; use full to go straight to 100 %"
    return None


def retry_refusal(o: Observed) -> str | None:
    """Why there is nothing to start again, None if there is."""
    if o.holder:
        return f"Rollout {o.holder} claims the same and has not taken its release back"
    startable = o.policy is not None and is_.deployment_present(o) and o.workload and o.workload.target
    return None if startable else "there is no Deployment, or no usable spec, to start it with"


def resume_refusal(f: Facts) -> str | None:
    """Why a resume does not end this pause, None if it does."""
    match f.paused_by:
        case PausedBy.APPROVAL:
            return f"this step waits for an approval: {annotate(f'promote={f.canary}/{f.stage + 1}')}"
        case PausedBy.SPEC:
            return "spec.paused holds it: set it to false"
        case PausedBy.FINDING:
            return "a finding holds it: cure it and it goes on by itself"
        case _:
            return None
