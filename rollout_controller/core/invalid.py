"""Why a Rollout is Invalid today: each other reason is noted, and told once."""

from __future__ import annotations

from dataclasses import replace

from rollout_controller.core.model import Notice, Observed
from rollout_controller.core.release import Facts, Phase


def note(o: Observed, facts: Facts) -> Facts:
    """The facts with what is wrong now in the place of what was wrong when it became Invalid.

    What cannot be read hides an error and cures none, but for a spec that does not say what to read.
    """
    if facts.phase is not Phase.INVALID or o.error is None or (o.unread and o.policy is not None):
        return facts
    return replace(facts, reason=str(o.error))


def notice(o: Observed, facts: Facts) -> Notice | None:
    """The Event, for the decision that notes another reason; the first one is told by the transition."""
    if facts.phase is not Phase.INVALID or o.facts.phase is not Phase.INVALID:
        return None
    if o.error is None or facts.reason in {o.facts.reason, ""}:
        return None
    return Notice("Warning", "Invalid", facts.reason)
