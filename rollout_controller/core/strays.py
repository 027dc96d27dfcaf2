"""Requests that still reach a canary although everybody was sent back: from when on, what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rollout_controller.core import conditions as is_
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Notice, Observed
from rollout_controller.core.release import Facts, Phase

CODE = "StrayRequests"
_FIX = (
    "Look for another route or VirtualService that sends there, for callers that reach the pods past the"
    " managed routes, and for proxies that lost their connection to istiod."
)


def stray_from(o: Observed, facts: Facts) -> datetime | None:
    """From when on a request that begins at the canary is one that nothing should send there.

    None while something may: before all that was sent to it is read back as gone, and where stable's subset
    selects others.
    """
    t = o.traffic
    if t is None or facts.phase is not Phase.REVERTING or facts.canary is None or is_.handed_over(o):
        return None
    if not t.home or t.subsets[0] != facts.stable:
        return None
    return is_.known_to_proxies(t, o.timing) + o.timing.stray


def note(o: Observed, facts: Facts) -> Facts:
    """The facts with whether requests strayed in this release."""
    return replace(facts, strayed=True) if _who(o, facts) is not None and not facts.strayed else facts


def tell(o: Observed, facts: Facts) -> Observed:
    """The world with a warning about such requests, for as long as there are any."""
    who = _who(o, facts)
    if who is None:
        return o
    w = o.workload
    reached = f"Deployment {w.namespace}/{w.name}" if w is not None else "Deployment"
    found = Finding(CODE, "warning", reached, "", _sentence(facts, who), _FIX)
    return replace(o, findings=(*o.findings, found))


def told(o: Observed) -> bool:
    """Whether this world was told of such requests."""
    return any(finding.code == CODE for finding in o.findings)


def notice(o: Observed, facts: Facts) -> Notice | None:
    """The Event, for the decision that notes them first."""
    who = _who(o, facts)
    if who is None or o.facts.strayed or not facts.strayed:
        return None
    return Notice("Warning", CODE, f"{_sentence(facts, who)}. {_FIX}")


def _who(o: Observed, facts: Facts) -> str | None:
    """What is known of who sends them, None if there are none."""
    if facts.phase is not Phase.REVERTING or facts.canary is None:
        return None
    return o.strays.get(facts.canary)


def _sentence(facts: Facts, who: str) -> str:
    told = f": {who}" if who else ""
    return (
        f"requests still reach canary {facts.canary}, though everybody was sent back to {facts.stable}{told}"
    )
