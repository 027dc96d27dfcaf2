"""Whether the readings that the Rollout asks for can be taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.judge import SCRAPES
from rollout_controller.core.model import Finding
from rollout_controller.istio.finding import warning
from rollout_controller.istio.inventory import Inventory

WINDOW_TOO_SHORT: Final = "WindowTooShort"


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
