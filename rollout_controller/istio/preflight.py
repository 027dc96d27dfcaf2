"""What is wrong with the objects that a Rollout rests on, told before anything is written.

Istio's API accepts weights that do not total 100, subsets that no rule defines and labels that no pod has,
and answers 503. Each finding names the object, the field, what is wrong and what to do; it is computed anew
from what was just read, so it heals with its cause.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from rollout_controller.core.model import Finding, Part
from rollout_controller.core.patch import Json
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio.coverage import share_findings, unrouted_findings
from rollout_controller.istio.finding import (
    DEPLOYMENT,
    DESTINATION_RULE,
    SERVICE,
    VIRTUAL_SERVICE,
    error,
    guess,
    host_findings,
    member,
    title,
)
from rollout_controller.istio.route_findings import virtual_service_findings
from rollout_controller.istio.routing import Routing, our_host

MISSING_DEPLOYMENT: Final = "MissingDeployment"
MISSING_VIRTUAL_SERVICE: Final = "MissingVirtualService"
MISSING_DESTINATION_RULE: Final = "MissingDestinationRule"
MISSING_SUBSET: Final = "MissingSubset"
DUPLICATE_SUBSET: Final = "DuplicateSubset"
LABEL_OUTSIDE_SELECTOR: Final = "LabelOutsideSelector"
LABEL_WITHOUT_PODS: Final = "LabelWithoutPods"
MISSING_SERVICE: Final = "MissingService"
NO_SELECTOR: Final = "NoSelector"
RECREATE_STRATEGY: Final = "RecreateStrategy"


def preflight(
    routing: Routing,
    *,
    deployment: Json | None,
    virtual_services: Mapping[str, Json],
    destination_rule: Json | None,
    services: Iterable[Json] = (),
    unread: Collection[Part] = (),
) -> tuple[Finding, ...]:
    """All that is wrong, in the order in which a person would look; warnings come last.

    None, or a VirtualService that is not in the mapping, means that the object does not exist, unless its
    part is in `unread`: what could not be read is not missing, and nothing is said about it. `services`
    are the Services of the namespace, as far as they are known.
    """
    return tuple(
        _findings(routing, deployment, virtual_services, destination_rule, tuple(services), frozenset(unread))
    )


def _findings(
    routing: Routing,
    deployment: Json | None,
    virtual_services: Mapping[str, Json],
    destination_rule: Json | None,
    services: tuple[Json, ...],
    unread: frozenset[Part],
) -> Iterator[Finding]:
    if deployment is not None:
        yield from _deployment_findings(routing, deployment)
    elif Part.DEPLOYMENT not in unread:
        yield _missing(
            MISSING_DEPLOYMENT, routing, DEPLOYMENT, routing.deployment, "spec.workload.deployment"
        )
    host = None
    if routing.services is not None:
        host = our_host(routing, (), None)
        yield from _pair_findings(routing, services, deployment, unread)
    elif destination_rule is not None:
        host = our_host(routing, virtual_services.values(), destination_rule)
        yield from _rule_findings(routing, destination_rule, deployment)
    elif routing.services is None and Part.DESTINATION_RULE not in unread:
        yield _missing(
            MISSING_DESTINATION_RULE,
            routing,
            DESTINATION_RULE,
            routing.destination_rule,
            "spec.traffic.istio.destinationRule.name",
        )
    if routing.services is None and deployment is not None and host is not None:
        yield from _service_findings(routing, services, host, deployment)
    for index, managed in enumerate(routing.virtual_services):
        field = f"spec.traffic.istio.virtualServices[{index}]"
        service = virtual_services.get(managed.name)
        if service is not None:
            yield from virtual_service_findings(routing, service, managed, host, field)
        elif Part.VIRTUAL_SERVICE not in unread:
            yield _missing(MISSING_VIRTUAL_SERVICE, routing, VIRTUAL_SERVICE, managed.name, f"{field}.name")
    if host is not None:
        yield from share_findings(routing, virtual_services, host)
    if deployment is not None:
        yield from unrouted_findings(routing, virtual_services.values(), services, deployment)


def _missing(code: str, routing: Routing, kind: str, name: str, field: str) -> Finding:
    fix = f"Create it, or correct {field} in the Rollout."
    return error(code, title(kind, routing, name), "", "does not exist", fix)


def _deployment_findings(routing: Routing, deployment: Json) -> Iterator[Finding]:
    strategy = (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate")
    if strategy == "Recreate":
        yield error(
            RECREATE_STRATEGY,
            title(DEPLOYMENT, routing, routing.deployment),
            "spec.strategy.type",
            "Recreate stops every old pod before a new one starts, so two versions never serve side by side",
            "Set it to RollingUpdate.",
        )


def _rule_findings(routing: Routing, rule: Json, deployment: Json | None) -> Iterator[Finding]:
    name = title(DESTINATION_RULE, routing, routing.destination_rule)
    spec = rule.get("spec") or {}
    subsets = spec.get("subsets") or []
    names = [subset.get("name") or "" for subset in subsets]
    yield from host_findings(routing, name, "spec.host", spec.get("host") or "")
    for field, wanted in (("stableSubset", routing.stable_subset), ("canarySubset", routing.canary_subset)):
        if wanted not in names:
            yield error(
                MISSING_SUBSET,
                name,
                "spec.subsets",
                f'there is no subset named "{wanted}"',
                f"{guess(wanted, names)}Add it, or correct spec.traffic.istio.destinationRule.{field}"
                " in the Rollout.",
            )
    seen: set[str] = set()
    for index, subset in enumerate(subsets):
        if routing.side(names[index]) is None:
            continue
        path = f"spec.subsets[{index}]"
        if names[index] in seen:
            yield error(
                DUPLICATE_SUBSET,
                name,
                f"{path}.name",
                f'there is more than one subset named "{names[index]}"',
                "Keep one of them.",
            )
        seen.add(names[index])
        if deployment is not None:
            labels = {k: v for k, v in (subset.get("labels") or {}).items() if k != HASH_LABEL}
            yield from _label_findings(routing, name, f"{path}.labels", labels, deployment)


def _service_findings(
    routing: Routing, services: Iterable[Json], host: str, deployment: Json
) -> Iterator[Finding]:
    for service in services:
        name = service["metadata"]["name"]
        if routing.resolve(name) == host:
            selector = (service.get("spec") or {}).get("selector") or {}
            obj = title(SERVICE, routing, name)
            yield from _label_findings(routing, obj, "spec.selector", selector, deployment)


def _pair_findings(
    routing: Routing, services: tuple[Json, ...], deployment: Json | None, unread: frozenset[Part]
) -> Iterator[Finding]:
    """The two Services of host mode: each is there, and selects the pods of every version."""
    known = {service["metadata"]["name"]: service for service in services}
    for side, name in zip(("stable", "canary"), routing.services or (), strict=True):
        service = known.get(name)
        if service is None:
            if Part.SERVICE not in unread:
                yield _missing(MISSING_SERVICE, routing, SERVICE, name, f"spec.traffic.istio.services.{side}")
        elif deployment is not None:
            selector = (service.get("spec") or {}).get("selector") or {}
            labels = {key: value for key, value in selector.items() if key != HASH_LABEL}
            obj = title(SERVICE, routing, name)
            if not labels:
                yield error(
                    NO_SELECTOR,
                    obj,
                    "spec.selector",
                    "the Service selects no pods, so no version can be told to it",
                    "Give it the labels of the Deployment's selector.",
                )
            yield from _label_findings(routing, obj, "spec.selector", labels, deployment)


def _label_findings(
    routing: Routing, obj: str, path: str, labels: Mapping[str, str], deployment: Json
) -> Iterator[Finding]:
    """Only the labels of the Deployment's selector are on the pods of every version."""
    owner = title(DEPLOYMENT, routing, routing.deployment)
    fixed = _fixed_labels(deployment["spec"].get("selector") or {})
    template = deployment["spec"].get("template") or {}
    pods = (template.get("metadata") or {}).get("labels") or {}
    for key, value in labels.items():
        if fixed.get(key) == value:
            continue
        if pods.get(key) == value:
            yield error(
                LABEL_OUTSIDE_SELECTOR,
                obj,
                member(path, key),
                f"{value} is not in the selector of {owner}, so a version without it gets no traffic",
                "Remove it; the versions are told apart by pod-template-hash.",
            )
        else:
            found = f"has {key}={pods[key]}" if key in pods else "has no such label"
            yield error(
                LABEL_WITHOUT_PODS,
                obj,
                member(path, key),
                f"{value} selects no new pod: the template of {owner} {found}",
                "Remove it; the versions are told apart by pod-template-hash.",
            )


def _fixed_labels(selector: Json) -> dict[str, str]:
    """The labels that the selector fixes to one value, by matchLabels or by `In` with that value alone."""
    fixed = {
        expression["key"]: expression["values"][0]
        for expression in selector.get("matchExpressions") or []
        if expression.get("operator") == "In" and len(expression.get("values") or []) == 1
    }
    return {**fixed, **(selector.get("matchLabels") or {})}
