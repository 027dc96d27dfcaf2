"""Builders of raw objects: a Deployment `web` in namespace `shop` and what routes to it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from rollout_controller.core.patch import Json
from rollout_controller.istio import ManagedService, Routing

ROUTING = Routing(
    namespace="shop",
    deployment="web",
    virtual_services=(ManagedService("web"),),
    destination_rule="web",
    stable_subset="stable",
    canary_subset="canary",
)
NAMED = Routing(
    namespace="shop",
    deployment="web",
    virtual_services=(ManagedService("web", ("primary",)),),
    destination_rule="web",
    stable_subset="stable",
    canary_subset="canary",
)


def to(subset: str | None = None, weight: int | None = None, host: str = "web", **more: Any) -> Json:
    """A destination of a route; `more` are further fields beside the destination and its weight."""
    target = {"host": host} if subset is None else {"host": host, "subset": subset}
    return {"destination": target, **({} if weight is None else {"weight": weight}), **more}


def route(*destinations: Json, name: str | None = None, **more: Any) -> Json:
    """An http route."""
    return {**({} if name is None else {"name": name}), **more, "route": list(destinations)}


def half(stable: int, canary: int) -> Json:
    """The plain route of ours: stable and canary of `web` with these weights."""
    return route(to("stable", stable), to("canary", canary))


def virtual_service(*routes: Json, name: str = "web") -> Json:
    """A VirtualService with these http routes."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "7"},
        "spec": {"hosts": ["web"], "http": list(routes)},
    }


def destination_rule(*subsets: Json, host: str = "web") -> Json:
    """A DestinationRule; without arguments with the two subsets and no labels in them."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "8"},
        "spec": {"host": host, "subsets": list(subsets) or [{"name": "stable"}, {"name": "canary"}]},
    }


def deployment(**spec: Any) -> Json:
    """A Deployment as the API server shows it; `spec` replaces fields of its spec."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "9"},
        "spec": {
            "replicas": 10,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "template": template(),
            **deepcopy(spec),
        },
    }


def template(labels: dict[str, str] | None = None, image: str = "web:1", **container: Any) -> Json:
    """A pod template with one container."""
    return {
        "metadata": {"labels": {"app": "web", "version": "v1"} if labels is None else labels},
        "spec": {"containers": [{"name": "web", "image": image, **container}]},
    }


def service(selector: dict[str, str] | None, name: str = "web") -> Json:
    """A Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"ports": [{"port": 80}]} if selector is None else {"selector": selector},
    }
