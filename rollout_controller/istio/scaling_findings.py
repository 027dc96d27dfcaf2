"""Autoscalers that take canary pods for the Deployment's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.istio.finding import AUTOSCALER, titled, warning
from rollout_controller.istio.inventory import Inventory

AUTOSCALER_COUNTS_CANARY: Final = "AutoscalerCountsCanary"

_OF_PODS: Final = frozenset({"Resource", "ContainerResource", "Pods"})
"""Types of metrics that are averages over the pods that the target's selector matches."""


def scaling_findings(known: Inventory) -> Iterator[Finding]:
    """An autoscaler of our Deployment whose metric is one of pods.

    It reckons with all pods that the Deployment's selector matches, and canary pods bear its labels too.
    """
    for autoscaler in known.autoscalers.within(known.routing.namespace):
        spec = autoscaler.get("spec") or {}
        target = spec.get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) != ("Deployment", known.routing.deployment):
            continue
        metrics = spec.get("metrics") or [{"type": "Resource"}]
        index = next((i for i, metric in enumerate(metrics) if metric.get("type") in _OF_PODS), None)
        if index is not None:
            yield warning(
                AUTOSCALER_COUNTS_CANARY,
                titled(AUTOSCALER, autoscaler),
                f"spec.metrics[{index}]",
                "this metric is taken over canary pods as well, as the Deployment's selector matches them: a"
                " release may be answered with more replicas than the load needs",
                "Use a metric of type Object or External, such as the requests of the Service, or let"
                " maxReplicas bound it.",
            )
