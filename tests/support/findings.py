"""A world without findings, and what is told of it once something in it is different."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.release import Stage
from rollout_controller.istio import Inventory, Known, preflight
from rollout_controller.istio.coverage import UNROUTED_PATH
from tests.support.istio_objects import ROUTING, deployment, destination_rule, half, service, virtual_service

EVERYWHERE: Final = frozenset({""})
HERE: Final = frozenset({"shop"})
LABELS: Final = {"app": "web", "version": "v1"}


def everywhere(*objects: Json) -> Known:
    """These objects, and there are no others in any namespace."""
    return Known(objects, EVERYWHERE)


def some(*objects: Json) -> Known:
    """These objects; there may be others."""
    return Known(objects)


def stages(*weights: int, min_pods: int = 2) -> tuple[Stage, ...]:
    """A plan with these steps."""
    return tuple(Stage(f"{w}%", w, w, min_pods, timedelta(seconds=60)) for w in weights)


def named(kind: str, name: str, namespace: str = "shop", **spec: Any) -> Json:
    """Any object."""
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def namespace(labels: dict[str, str] | None = None) -> Json:
    """Namespace shop with these labels."""
    return {"kind": "Namespace", "metadata": {"name": "shop", "namespace": "shop", "labels": labels or {}}}


def pod(name: str, *containers: str, labels: dict[str, str] | None = None, **more: Any) -> Json:
    """A pod with these containers; `more` are `init` containers, or further members of it."""
    spec = {
        "containers": [{"name": container} for container in ("web", *containers)],
        "initContainers": [{"name": container} for container in more.pop("init", ())],
    }
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": LABELS if labels is None else labels},
        "spec": spec,
        **more,
    }


GOOD: Final = Inventory(
    routing=ROUTING,
    rollout="web",
    stages=stages(5, 25, 50, 100),
    window=timedelta(seconds=60),
    scrape=timedelta(seconds=15),
    deployment=deployment(),
    virtual_services={"web": virtual_service(half(100, 0))},
    destination_rule=destination_rule(),
    namespace=namespace(),
    pods=(pod("web-1"),),
    serving=(pod("web-1"),),
    services=everywhere(service({"app": "web"})),
    service_entries=everywhere(),
    gateways=everywhere(),
    routes=everywhere(virtual_service(half(100, 0))),
    rules=everywhere(destination_rule()),
    peer_authentications=everywhere(),
    autoscalers=everywhere(),
)


def found(**changes: Any) -> list[Finding]:
    """The findings about the good world with these fields changed.

    But for callers that pass the routes by: hosts and gateways are changed here for other reasons.
    """
    return [f for f in preflight(replace(GOOD, **changes)) if f.code != UNROUTED_PATH]


def told(**changes: Any) -> list[str]:
    """Severity, code, and the words of each."""
    return [f"{f.severity} {f.code}: {f}" for f in found(**changes)]


def codes(**changes: Any) -> list[str]:
    """The same without the words."""
    return [f"{f.severity} {f.code}" for f in found(**changes)]


def routed(*routes: Json, **spec: Any) -> dict[str, Json]:
    """The VirtualService `web` with these routes, and other fields of its spec."""
    made = virtual_service(*routes)
    return {"web": {**made, "spec": {**made["spec"], **spec}}}


def ruled(*subsets: Json, **spec: Any) -> Json:
    """The DestinationRule `web` with these subsets, and other fields of its spec."""
    made = destination_rule(*subsets)
    return {**made, "spec": {**made["spec"], **spec}}
