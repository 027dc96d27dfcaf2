"""What multiplies the load on a canary that fails, or takes all of its pods away at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.stages import need
from rollout_controller.istio.finding import DESTINATION_RULE, VIRTUAL_SERVICE, guess, title, titled, warning
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.routing import http_routes

RETRIES_MULTIPLY_LOAD: Final = "RetriesMultiplyLoad"
UNKNOWN_RETRY_CONDITION: Final = "UnknownRetryCondition"
CANARY_MAY_BE_EJECTED: Final = "CanaryMayBeEjected"

USUAL_ATTEMPTS: Final = 2
"""How often Istio repeats a request where a route says nothing of retries: that goes without saying."""
_UNSEEN: Final = frozenset({"connect-failure", "refused-stream"})
"""Conditions of `retryOn` under which the pod that failed has not worked on the request."""
_CONDITIONS: Final = _UNSEEN | {
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "retriable-4xx",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
}
"""The conditions that Istio knows, beside status codes."""


def retry_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """Managed routes that repeat requests more often than Istio does by itself."""
    http = dict(http_routes(service))
    for route in known.managed_http(service):
        retries = http[route.index].get("retries") or {}
        yield from _condition_findings(service, route.index, retries)
        attempts = retries.get("attempts") or 0
        if attempts > USUAL_ATTEMPTS and not _only_unseen(retries.get("retryOn") or ""):
            yield warning(
                RETRIES_MULTIPLY_LOAD,
                titled(VIRTUAL_SERVICE, service),
                f"spec.http[{route.index}].retries.attempts",
                f"a canary that fails gets up to {attempts + 1} times the requests of each step"
                f"{_at_largest(known, attempts)}",
                f"Set it to {USUAL_ATTEMPTS} or less, or let retryOn be connect-failure,refused-stream: these"
                " requests the canary has not seen yet.",
            )


def _condition_findings(service: Json, index: int, retries: Json) -> Iterator[Finding]:
    """Conditions of `retryOn` that Istio does not know; an older one than today's may let them pass."""
    for condition in str(retries.get("retryOn") or "").split(","):
        name = condition.strip()
        if name and name not in _CONDITIONS and not (name.isdigit() and len(name) == 3):
            yield warning(
                UNKNOWN_RETRY_CONDITION,
                titled(VIRTUAL_SERVICE, service),
                f"spec.http[{index}].retries.retryOn",
                f'there is no condition "{name}", so nothing is repeated for it',
                f"{guess(name, sorted(_CONDITIONS))}Correct or remove it.",
            )


def _only_unseen(retry_on: str) -> bool:
    conditions = {condition.strip() for condition in retry_on.split(",")}
    return conditions <= _UNSEEN


def _at_largest(known: Inventory, attempts: int) -> str:
    """What that comes to in the largest step that does not give everybody to the canary."""
    weights = [stage.weight for stage in known.stages if 0 < stage.weight < 100]
    if not weights:
        return ""
    largest = max(weights)
    return f" (at {largest} % as many as {largest * (attempts + 1)} % of all)"


def outlier_findings(known: Inventory, rule: Json) -> Iterator[Finding]:
    """An outlierDetection that may take every canary pod out of the balance: its share then gets 503."""
    found = _detection(known, rule)
    if found is None:
        return
    path, detection = found
    percent = detection.get("maxEjectionPercent")
    if not _ejects(detection) or (detection.get("minHealthPercent") or 0) > 0:
        return  # below that percentage of healthy pods Envoy ejects nobody
    name = title(DESTINATION_RULE, known.routing, known.routing.destination_rule)
    if percent is not None and percent >= 100:
        yield warning(
            CANARY_MAY_BE_EJECTED,
            name,
            f"{path}.maxEjectionPercent",
            f"{percent} lets Envoy take all canary pods out at once, and their share of requests gets 503",
            "Set it to 50 or less, or minHealthPercent to 50.",
        )
    elif _smallest(known) == 1:
        yield warning(
            CANARY_MAY_BE_EJECTED,
            name,
            path,
            "the smallest step has one canary pod, and Envoy before 1.31 takes one out whatever the"
            " percentage: its share of requests gets 503",
            "Have 2 pods or more in each step (minPods of the Rollout, replicas of the Deployment), or set"
            " minHealthPercent to 50.",
        )


def _detection(known: Inventory, rule: Json) -> tuple[str, Json] | None:
    """Path and value of the outlierDetection that counts for the canary: the subset's own, or the rule's."""
    spec = rule.get("spec") or {}
    policies = [
        (f"spec.subsets[{index}].trafficPolicy", subset.get("trafficPolicy") or {})
        for index, subset in enumerate(spec.get("subsets") or [])
        if known.routing.side(subset.get("name")) == "canary"
    ]
    policies.append(("spec.trafficPolicy", spec.get("trafficPolicy") or {}))
    return next(
        (
            (f"{path}.outlierDetection", policy["outlierDetection"])
            for path, policy in policies
            if policy.get("outlierDetection") is not None
        ),
        None,
    )


def _ejects(detection: Json) -> bool:
    """Whether it ejects for errors at all; five in a row do so unless it says otherwise."""
    errors = detection.get("consecutive5xxErrors")
    others = ("consecutiveGatewayErrors", "consecutiveLocalOriginFailures")
    return errors != 0 or any(detection.get(field) for field in others)


def _smallest(known: Inventory) -> int | None:
    """The canary pods of the smallest step with a share, None if replicas or steps are not known."""
    if known.deployment is None:
        return None
    replicas = known.deployment["spec"].get("replicas")
    replicas = 1 if replicas is None else replicas
    return min((need(stage, replicas) for stage in known.stages if stage.weight), default=None)
