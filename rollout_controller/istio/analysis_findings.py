"""Whether the readings that the Rollout asks for can be taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.api.names import PROMOTE
from rollout_controller.core.finding import Finding
from rollout_controller.core.judge import SCRAPES
from rollout_controller.istio.finding import warning
from rollout_controller.istio.inventory import Inventory

WINDOW_TOO_SHORT: Final = "WindowTooShort"
NEVER_JUDGED: Final = "NeverJudged"


def window_findings(known: Inventory) -> Iterator[Finding]:
    """A window in which there are too few samples; the evaluator looks back further, and this says so."""
    if known.window is None or known.scrape is None or known.window >= SCRAPES * known.scrape:
        return
    seconds, least = known.scrape.total_seconds(), (SCRAPES * known.scrape).total_seconds()
    yield warning(
        WINDOW_TOO_SHORT,
        f"Rollout {known.routing.namespace}/{known.rollout}",
        "spec.analysis.window",
        f"{known.window.total_seconds():g} s hold fewer than {SCRAPES} scrapes of Prometheus, one every"
        f" {seconds:g} s, so readings look back {least:g} s",
        f"Set it to {least:g}s or more, or let Prometheus scrape more often.",
    )


def judged_findings(known: Inventory) -> Iterator[Finding]:
    """Managed VirtualServices without any http route: tls and tcp have no requests that could be counted."""
    specs = [service.get("spec") or {} for service in known.virtual_services.values()]
    complete = len(specs) == len(known.routing.virtual_services)
    if not specs or not complete or any(spec.get("http") for spec in specs):
        return
    if any(spec.get("tls") or spec.get("tcp") for spec in specs):
        yield warning(
            NEVER_JUDGED,
            f"Rollout {known.routing.namespace}/{known.rollout}",
            "spec.analysis.checks",
            "only tls and tcp routes are managed, which have no requests to judge: without http requests from"
            " elsewhere each step is left by promote alone",
            f"Annotate {PROMOTE}=true at each step, or let http requests reach the pods beside it.",
        )
