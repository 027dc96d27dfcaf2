"""Mistakes around a Rollout: how the usual manifests are spoilt, and what is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from e2e.localcluster.kube import Object

Manifests = dict[str, Object]


def without(kind: str) -> Callable[[Manifests], None]:
    def change(manifests: Manifests) -> None:
        del manifests[kind]

    return change


def having(kind: str, path: str, value: Any) -> Callable[[Manifests], None]:
    """A field of one of the manifests is another: `spec.http.0.name`."""

    def change(manifests: Manifests) -> None:
        target: Any = manifests[kind]
        *parents, last = path.split(".")
        for part in parents:
            target = target[int(part) if isinstance(target, list) else part]
        target[int(last) if isinstance(target, list) else last] = value

    return change


def elsewhere(manifests: Manifests) -> None:
    (only,) = manifests["VirtualService"]["spec"]["http"]
    only["route"] = [{"destination": {"host": "other.example.com"}}]


def shadowed(manifests: Manifests) -> None:
    routes = manifests["VirtualService"]["spec"]["http"]
    routes.insert(0, {"name": "all", "route": [{"destination": {"host": "other.example.com"}}]})


@dataclass(frozen=True)
class Case:
    """A mistake, and what is told of it: words of the message, which holds object, field, reason and cure."""

    name: str
    change: Callable[[Manifests], None]
    code: str
    says: tuple[str, ...]


CASES = (
    Case(
        "no-deployment",
        without("Deployment"),
        "MissingDeployment",
        ("Deployment {ns}/{name}: does not exist", "Create it, or correct spec.workload.deployment"),
    ),
    Case(
        "no-virtual-service",
        without("VirtualService"),
        "MissingVirtualService",
        ("VirtualService {ns}/{name}: does not exist", "spec.traffic.istio.virtualServices[0].name"),
    ),
    Case(
        "no-rule",
        without("DestinationRule"),
        "MissingDestinationRule",
        ("DestinationRule {ns}/{name}: does not exist", "spec.traffic.istio.destinationRule.name"),
    ),
    Case(
        "no-subset",
        having("DestinationRule", "spec.subsets.1.name", "canari"),
        "MissingSubset",
        (
            'DestinationRule {ns}/{name} spec.subsets: there is no subset named "canary"',
            'Did you mean "canari"?',
        ),
    ),
    Case(
        "no-route",
        having("VirtualService", "spec.http.0.name", "primry"),
        "MissingRoute",
        (
            'VirtualService {ns}/{name} spec.http: there is no http route named "primary"',
            'Did you mean "primry"?',
        ),
    ),
    Case(
        "foreign-route",
        elsewhere,
        "ForeignRoute",
        (
            "VirtualService {ns}/{name} spec.http[0].route",
            "does not send to subset stable or canary",
            "other.example.com",
        ),
    ),
    Case(
        "no-canary-destination",
        having(
            "VirtualService",
            "spec.http.0.route",
            [{"destination": {"host": "{name}.{ns}.svc.cluster.local", "subset": "stable"}}],
        ),
        "MissingDestination",
        ("spec.http[0].route", "no destination with host", "weight 0"),
    ),
    Case(
        "not-100",
        having("VirtualService", "spec.http.0.route.0.weight", 90),
        "WeightsNot100",
        (
            "VirtualService {ns}/{name} spec.http[0].route",
            "the weights 90 + 0 total 90",
            "Make them total 100",
        ),
    ),
    Case(
        "service-label-outside",
        having("Service", "spec.selector.version", "v1"),
        "LabelWithoutPods",
        ("Service {ns}/{name} spec.selector.version", "v1 selects no new pod"),
    ),
    Case(
        "no-service",
        without("Service"),
        "UnknownHost",
        (
            "DestinationRule {ns}/{name} spec.host: no Service of namespace {ns} is called",
            "Create the Service",
        ),
    ),
    Case(
        "shadowed-route",
        shadowed,
        "ShadowedRoute",
        ("VirtualService {ns}/{name} spec.http[1]", 'spec.http[0] ("all") takes all requests of this route'),
    ),
    Case(
        "no-gateway",
        having("VirtualService", "spec.gateways", ["nowhere"]),
        "MissingGateway",
        ("VirtualService {ns}/{name} spec.gateways[0]: there is no Gateway {ns}/nowhere", "Create it"),
    ),
    Case(
        "recreate",
        having("Deployment", "spec.strategy", {"type": "Recreate"}),
        "RecreateStrategy",
        ("Deployment {ns}/{name} spec.strategy.type", "Set it to RollingUpdate"),
    ),
)
