"""Two Deployments that serve in turn: which one serves, and what is wrong with how they are told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.sides import SERVING_ROLLS
from rollout_controller.core.world import Part
from rollout_controller.istio.finding import (
    DEPLOYMENT,
    DESTINATION_RULE,
    SERVICE,
    VIRTUAL_SERVICE,
    error,
    title,
    warning,
)
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.reading import read_traffic
from rollout_controller.istio.routing import Routing, Side

MISSING_DEPLOYMENT: Final = "MissingDeployment"
SIDE_WITHOUT_PODS: Final = "SideWithoutPods"
SIDES_MIXED: Final = "SidesMixed"
SERVICE_LEAVES_OUT: Final = "ServiceLeavesOut"
SPLIT_AT_REST: Final = "SplitAtRest"
IDLE_PAUSED: Final = "IdlePaused"

SIDES: Final[tuple[Side, Side]] = ("stable", "canary")

Pair = tuple[Json | None, Json | None]
"""The serving and the idle Deployment; None: does not exist."""


def oriented(
    routing: Routing,
    serving: str | None,
    virtual_services: Mapping[str, Json],
    destination_rule: Json | None,
) -> Routing:
    """The routing with the side that serves as its stable one: the Deployment of this name or, as long as
    none is remembered, the one that all routes send to. Where they do not agree it stays as in the spec.
    """
    if routing.deployments is None:
        return routing
    if serving not in routing.deployments:
        reading = read_traffic(routing, virtual_services, destination_rule)
        return routing.turned() if reading.canary_weight == (100, 100) else routing
    return routing if serving == routing.deployments[0] else routing.turned()


def split_findings(known: Inventory) -> Iterator[Finding]:
    """While no release runs one side serves everybody."""
    routing = known.routing
    if routing.deployments is None or known.host is None or not known.at_rest:
        return
    low, high = read_traffic(routing, known.virtual_services, known.destination_rule).canary_weight
    if low == high and low in {0, 100}:
        return
    share = f"{low} %" if low == high else f"{low} to {high} %"
    serving, idle = routing.deployments
    named = ", ".join(one.name for one in routing.virtual_services)
    yield error(
        SPLIT_AT_REST,
        title(VIRTUAL_SERVICE, routing, named),
        "spec",
        f"{idle} is sent {share} of the requests although no release runs, so neither serves everybody",
        f"Give {serving} or {idle} the weight 100 on every managed route, and the other one 0.",
    )


def sides_findings(known: Inventory) -> Iterator[Finding]:
    """What is wrong with the two Deployments, and with the labels that tell their pods apart."""
    routing = known.routing
    if routing.deployments is None:
        return
    for side, name, deployment in zip(SIDES, routing.deployments, known.sides, strict=True):
        if deployment is None and Part.DEPLOYMENT not in known.unread:
            fix = f"Create it, or correct spec.workload.{routing.named(side)}.deployment in the Rollout."
            yield error(MISSING_DEPLOYMENT, title(DEPLOYMENT, routing, name), "", "does not exist", fix)
    serving, idle = known.sides
    if serving is None or idle is None:
        return
    pair = ((routing.deployments[0], serving), (routing.deployments[1], idle))
    services = known.services.within(routing.namespace)
    for number, (obj, path, labels) in enumerate(_selectors(routing, known.destination_rule, services)):
        if labels is not None:
            yield from _labels_findings(obj, path, labels, pair[number], pair[1 - number])
    if routing.services is None:
        for service in known.our_services:
            yield from _service_findings(routing, service, pair)


def serving_findings(known: Inventory) -> Iterator[Finding]:
    """The serving Deployment rolls by itself, which is not ours to hold."""
    routing, serving = known.routing, known.sides[0]
    if routing.deployments is None or serving is None:
        return
    status = serving.get("status") or {}
    if status.get("updatedReplicas", 0) < status.get("replicas", 0):
        yield warning(
            SERVING_ROLLS,
            title(DEPLOYMENT, routing, routing.deployments[0]),
            "spec.template",
            "it rolls a new template while it serves, which no step or gate holds",
            f"Release new versions with {routing.deployments[1]};"
            f" kubectl rollout undo deployment/{routing.deployments[0]} takes this one back.",
        )


def idle_findings(routing: Routing, idle: Json | None) -> Iterator[Finding]:
    """The idle Deployment is paused; to be asked where it has a new template and no ReplicaSet of it.

    That takes the ReplicaSets, which an `Inventory` does not have.
    """
    if routing.deployments is not None and idle is not None and idle["spec"].get("paused", False):
        yield warning(
            IDLE_PAUSED,
            title(DEPLOYMENT, routing, routing.deployments[1]),
            "spec.paused",
            "it is paused, so a new template there does not roll, and its release does not begin",
            f"kubectl rollout resume deployment/{routing.deployments[1]} lets it roll.",
        )


def side_labels(routing: Routing, destination_rule: Json | None, services: Iterable[Json]) -> Pair:
    """The labels by which the pods of the serving and of the idle side are found; None: not known."""
    found = [labels for _, _, labels in _selectors(routing, destination_rule, tuple(services))]
    return found[0], found[1]


def _selectors(
    routing: Routing, destination_rule: Json | None, services: tuple[Json, ...]
) -> list[tuple[str, str, Json | None]]:
    """By side: the object that selects its pods, the field, and the labels (None: there is no such thing)."""
    if routing.services is not None:
        known = {service["metadata"]["name"]: service for service in services}
        return [
            (
                title(SERVICE, routing, name),
                "spec.selector",
                (known[name].get("spec") or {}).get("selector") or {} if name in known else None,
            )
            for name in routing.services
        ]
    subsets = ((destination_rule or {}).get("spec") or {}).get("subsets") or []
    names = [subset.get("name") for subset in subsets]
    found: list[tuple[str, str, Json | None]] = []
    for name in (routing.stable_subset, routing.canary_subset):
        index = names.index(name) if name in names else -1
        labels = (subsets[index].get("labels") or {}) if index >= 0 else None
        path = f"spec.subsets[{index}].labels"
        found.append((title(DESTINATION_RULE, routing, routing.destination_rule), path, labels))
    return found


def _labels_findings(
    obj: str, path: str, labels: Json, own: tuple[str, Json], other: tuple[str, Json]
) -> Iterator[Finding]:
    fix = (
        f"Give it the labels that all pods of {own[0]} have and none of {other[0]} has, like version: v1;"
        " if the two are the wrong way round, exchange them in spec.workload of the Rollout."
    )
    words = ", ".join(f"{key}: {value}" for key, value in sorted(labels.items())) or "no label at all"
    if not labels.items() <= _pod_labels(own[1]).items():
        yield error(
            SIDE_WITHOUT_PODS, obj, path, f"it selects {words}, which the pods of {own[0]} do not have", fix
        )
    if labels.items() <= _pod_labels(other[1]).items():
        yield error(SIDES_MIXED, obj, path, f"it selects {words}, which the pods of {other[0]} have", fix)


def _service_findings(
    routing: Routing, service: Json, pair: tuple[tuple[str, Json], tuple[str, Json]]
) -> Iterator[Finding]:
    """Subsets choose among the pods of their host's Service: it has to select those of both."""
    selector = (service.get("spec") or {}).get("selector") or {}
    for deployment, raw in pair:
        missed = selector.items() - _pod_labels(raw).items()
        if missed:
            words = ", ".join(f"{key}: {value}" for key, value in sorted(missed))
            yield error(
                SERVICE_LEAVES_OUT,
                title(SERVICE, routing, service["metadata"]["name"]),
                "spec.selector",
                f"it selects {words}, which the pods of {deployment} do not have",
                "Let it select what the pods of both have, like app: web.",
            )


def _pod_labels(deployment: Json) -> dict[str, str]:
    template = deployment["spec"].get("template") or {}
    labels: dict[str, str] = (template.get("metadata") or {}).get("labels") or {}
    return labels
