"""What is wrong with the objects that a Rollout rests on, told before anything is written.

Istio's API accepts weights that do not total 100, subsets that no rule defines and labels that no pod has,
and answers 503. Each finding names the object, the field, what is wrong and what to do; it is computed anew
from what was just read, so it heals with its cause. Each theme has a file of its own, `*_findings.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rollout_controller.core.finding import MISSING_SERVICE, Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.world import Part
from rollout_controller.istio.analysis_findings import judged_findings, window_findings
from rollout_controller.istio.conflict_findings import conflict_findings
from rollout_controller.istio.coverage import share_findings, unrouted_findings
from rollout_controller.istio.finding import (
    DEPLOYMENT,
    DESTINATION_RULE,
    SERVICE,
    VIRTUAL_SERVICE,
    error,
    title,
)
from rollout_controller.istio.gateway_findings import gateway_findings
from rollout_controller.istio.host_findings import destination_findings, our_host_findings
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.load_findings import outlier_findings, retry_findings
from rollout_controller.istio.manager_findings import (
    route_manager_findings,
    rule_manager_findings,
    selector_manager_findings,
)
from rollout_controller.istio.mtls_findings import mtls_findings
from rollout_controller.istio.port_findings import port_findings
from rollout_controller.istio.proxy_findings import proxy_findings
from rollout_controller.istio.regex_findings import regex_findings
from rollout_controller.istio.rollback_findings import rollback_findings
from rollout_controller.istio.route_findings import virtual_service_findings
from rollout_controller.istio.routing import ManagedService, Side
from rollout_controller.istio.rule_conflict_findings import rule_conflict_findings
from rollout_controller.istio.scaling_findings import scaling_findings
from rollout_controller.istio.shadow_findings import pin_shadow_findings, shadow_findings
from rollout_controller.istio.sides import serving_findings, sides_findings, split_findings
from rollout_controller.istio.strategy_findings import strategy_findings
from rollout_controller.istio.subset_findings import other_subset_findings, rule_findings, service_findings

MISSING_DEPLOYMENT: Final = "MissingDeployment"
MISSING_VIRTUAL_SERVICE: Final = "MissingVirtualService"
MISSING_DESTINATION_RULE: Final = "MissingDestinationRule"
RECREATE_STRATEGY: Final = "RecreateStrategy"


def preflight(known: Inventory) -> tuple[Finding, ...]:
    """All that is wrong, in the order in which a person would look: the workload, the subsets, the routes."""
    return tuple(dict.fromkeys(_findings(known)))


def _findings(known: Inventory) -> Iterator[Finding]:
    routing = known.routing
    if known.deployment is not None:
        yield from _deployment_findings(known, known.deployment)
    elif routing.deployments is not None:
        yield from sides_findings(known)
        yield from serving_findings(known)
        for one in _by_deployment(known):
            yield from proxy_findings(one)
    elif Part.DEPLOYMENT not in known.unread:
        yield _missing(known, MISSING_DEPLOYMENT, DEPLOYMENT, routing.deployment, "spec.workload.deployment")
    if routing.services is not None:
        yield from _pair_findings(known)
    elif known.destination_rule is not None:
        yield from _subset_findings(known, known.destination_rule)
    elif Part.DESTINATION_RULE not in known.unread:
        field = "spec.traffic.istio.destinationRule.name"
        yield _missing(known, MISSING_DESTINATION_RULE, DESTINATION_RULE, routing.destination_rule, field)
    yield from port_findings(known)
    for index, managed in enumerate(routing.virtual_services):
        field = f"spec.traffic.istio.virtualServices[{index}]"
        service = known.virtual_services.get(managed.name)
        if service is not None:
            yield from _route_findings(known, service, managed, field)
        elif Part.VIRTUAL_SERVICE not in known.unread:
            yield _missing(known, MISSING_VIRTUAL_SERVICE, VIRTUAL_SERVICE, managed.name, f"{field}.name")
    if known.host is not None:
        yield from share_findings(routing, known.virtual_services, known.host)
    yield from split_findings(known)
    if known.deployment is not None:
        services = known.services.within(routing.namespace)
        yield from unrouted_findings(routing, known.virtual_services.values(), services, known.deployment)
    yield from strategy_findings(
        routing,
        known.virtual_services.values(),
        known.destination_rule,
        header_pins=known.header_pins,
        mirrors=any(stage.mirror for stage in known.stages),
        at_rest=known.at_rest,
    )
    yield from window_findings(known)
    yield from judged_findings(known)


def _by_deployment(known: Inventory) -> list[Inventory]:
    """What is known, for each Deployment by itself where two serve in turn; which pods are whose is not."""
    routing = known.routing
    if routing.deployments is None:
        return [known]
    return [
        replace(known, routing=replace(routing, deployment=name), deployment=deployment, pods=())
        for name, deployment in zip(routing.deployments, known.sides, strict=True)
        if deployment is not None
    ]


def _missing(known: Inventory, code: str, kind: str, name: str, field: str) -> Finding:
    fix = f"Create it, or correct {field} in the Rollout."
    return error(code, title(kind, known.routing, name), "", "does not exist", fix)


def _pair_findings(known: Inventory) -> Iterator[Finding]:
    """Host mode: the two Services take the place of the subsets."""
    sides: tuple[Side, Side] = ("stable", "canary")
    for side, name in zip(sides, known.routing.services or (), strict=True):
        service = known.services.get(known.routing.namespace, name)
        if service is not None:
            yield from service_findings(known, service)
            yield from selector_manager_findings(known, service)
        elif Part.SERVICE not in known.unread and known.services.complete(known.routing.namespace):
            field = f"spec.traffic.istio.services.{known.routing.named(side)}"
            yield _missing(known, MISSING_SERVICE, SERVICE, name, field)


def _deployment_findings(known: Inventory, deployment: Json) -> Iterator[Finding]:
    strategy = (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")
    if strategy == "Recreate":
        yield error(
            RECREATE_STRATEGY,
            title(DEPLOYMENT, known.routing, known.routing.deployment),
            "spec.strategy.type",
            "Recreate stops every old pod before a new one starts, so two versions never serve side by side",
            "Set it to RollingUpdate.",
        )
    yield from proxy_findings(known)
    yield from scaling_findings(known)
    yield from rollback_findings(known, deployment)


def _subset_findings(known: Inventory, rule: Json) -> Iterator[Finding]:
    yield from rule_findings(known, rule)
    yield from rule_conflict_findings(known, rule)
    for service in known.our_services:
        yield from service_findings(known, service)
    yield from our_host_findings(known, rule)
    for one in _by_deployment(known):
        yield from mtls_findings(one, rule)
    yield from outlier_findings(known, rule)
    yield from rule_manager_findings(known, rule)


def _route_findings(
    known: Inventory, service: Json, managed: ManagedService, field: str
) -> Iterator[Finding]:
    yield from virtual_service_findings(known.routing, service, managed, known.host, field)
    yield from regex_findings(service)
    yield from shadow_findings(known, service)
    yield from pin_shadow_findings(known, service)
    yield from destination_findings(known, service)
    yield from other_subset_findings(known, service)
    yield from gateway_findings(known, service)
    yield from conflict_findings(known, service)
    yield from retry_findings(known, service)
    yield from route_manager_findings(known, service)
