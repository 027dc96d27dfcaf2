"""The conditions in a Rollout's status: for kstatus, for people, and for `kubectl wait`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from rollout_controller.api import status as api
from rollout_controller.core.model import Display
from rollout_controller.core.release import RUNNING, Facts, Phase
from rollout_controller.core.verdict import Verification

TRAFFIC_VERIFIED = "TrafficVerified"


def conditions_of(
    facts: Facts, display: Display, before: Mapping[str, Any], now: datetime
) -> tuple[api.Condition, ...]:
    """kstatus reads Ready, Reconciling and Stalled; the others are for people and `kubectl wait`."""
    phase = facts.phase
    stalled = phase in {Phase.INVALID, Phase.REVERTED}
    held = facts.paused_by.value if facts.paused_by else "NotPaused"
    past = {c.get("type"): c for c in before.get("conditions", ())}
    known = (
        ("Ready", phase is Phase.HEALTHY, phase.value),
        ("Reconciling", phase is not Phase.HEALTHY and not stalled, phase.value),
        ("Stalled", stalled, phase.value),
        ("Paused", phase is Phase.PAUSED, held),
    )
    wanted = [(kind, _truth(holds), reason, display.message) for kind, holds, reason in known]
    traffic = _traffic(facts, display, past.get(TRAFFIC_VERIFIED))
    wanted.append((TRAFFIC_VERIFIED, traffic.status, traffic.reason, traffic.sentence))
    return tuple(
        api.Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_transition_time=_since(past.get(kind), status, now),
            observed_generation=display.observed_generation,
        )
        for kind, status, reason, message in wanted
    )


def _truth(holds: bool) -> Literal["True", "False", "Unknown"]:
    return "True" if holds else "False"


def _traffic(facts: Facts, display: Display, past: Mapping[str, Any] | None) -> Verification:
    """What is told of the traffic: where nothing is counted yet or any more, what was found before.

    A stage inherits it from the stage before, a revert from the release.
    """
    if facts.phase not in RUNNING | {Phase.REVERTED}:
        return Verification(reason="NoRelease", sentence="no release runs whose requests could be counted")
    found, before = display.traffic or Verification(), _found_before(past)
    inherits = facts.stage > 0 or facts.phase in {Phase.REVERTING, Phase.REVERTED}
    return before if found == Verification() and inherits else found


def _found_before(past: Mapping[str, Any] | None) -> Verification:
    if past is None:
        return Verification()
    status = past.get("status")
    known: Literal["True", "False", "Unknown"] = status if status in {"True", "False"} else "Unknown"
    return Verification(known, past.get("reason") or "", past.get("message") or "")


def _since(past: Mapping[str, Any] | None, status: str, now: datetime) -> datetime:
    if past is not None and past.get("status") == status and past.get("lastTransitionTime"):
        return datetime.fromisoformat(past["lastTransitionTime"].replace("Z", "+00:00"))
    return now
