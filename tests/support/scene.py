"""The shop: a Deployment `web` behind two VirtualServices and a DestinationRule, and its Rollout."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from rollout_controller.ports import Json, Kind, Ref
from tests.support import environment, mesh
from tests.support.simulation import KEY, ROLLOUT
from tests.support.world import World

DEPLOYMENT: Final = Ref(Kind.DEPLOYMENT, "shop", "web")
GATEWAY: Final = Ref(Kind.VIRTUAL_SERVICE, "shop", "web")
MESH: Final = Ref(Kind.VIRTUAL_SERVICE, "shop", "web-mesh")
RULE: Final = Ref(Kind.DESTINATION_RULE, "shop", "web")
KUBECTL: Final = "kubectl"
Foreign = tuple[tuple[str, int], ...]
"""Hosts that are not ours, with their weights."""
V1, V2, V3 = "shop/web:1", "shop/web:2", "shop/web:3"


def shop(
    replicas: int = 3,
    steps: tuple[Json, ...] = ({"weight": 50}, {"weight": 100}),
    *,
    hosts: bool = False,
    **spec: Any,
) -> World:
    """Version 1 runs and is ready; the Rollout was just applied. `spec` are further fields of its spec.

    With `hosts` two Services take the place of the DestinationRule and its subsets.
    """
    world = World(slices=hosts)
    primary = _primary(*(_HOSTS if hosts else _SUBSETS))
    mirrored = {
        **primary,
        "mirrors": [{"destination": {"host": "audit.example"}, "percentage": {"value": 5}}],
    }
    world.create(Kind.SERVICE, service("web"), KUBECTL)
    world.create(Kind.DEPLOYMENT, _deployment(replicas), KUBECTL)
    world.create(
        Kind.VIRTUAL_SERVICE, _virtual_service("web", ["shop.example"], [_pinned(), mirrored]), KUBECTL
    )
    world.create(Kind.VIRTUAL_SERVICE, _virtual_service("web-mesh", ["web"], [primary]), KUBECTL)
    if hosts:
        world.create(Kind.SERVICE, service("web-canary"), KUBECTL)
        spec = {"traffic": _by_hosts(), **spec}
    else:
        world.create(Kind.DESTINATION_RULE, _rule(), KUBECTL)
    environment.settle(world)
    world.now += world.readying
    environment.settle(world)
    world.create(Kind.ROLLOUT, _rollout(steps, spec), KUBECTL)
    return world


def another_rollout(world: World, name: str, like: str = "", **spec: Any) -> None:
    """A second Rollout of the same Deployment and routes, as the first but for these fields of its spec.

    With `like` it was created in the same second as the Rollout of that name, though it is only seen now.
    """
    body = _rollout(({"weight": 50}, {"weight": 100}), spec)
    made = world.create(Kind.ROLLOUT, {**body, "metadata": {**body["metadata"], "name": name}}, KUBECTL)
    if like:
        born = world.need(Ref(Kind.ROLLOUT, KEY.namespace, like))["metadata"]["creationTimestamp"]
        metadata = {**made["metadata"], "creationTimestamp": born}
        world.objects[Kind.ROLLOUT][KEY.namespace, name] = {**made, "metadata": metadata}


def usual_claims() -> Json:
    """Deployment and routes as the usual Rollout names them."""
    spec: Json = _rollout((), {})["spec"]
    return {"workload": spec["workload"], "traffic": spec["traffic"]}


def template(image: str) -> Json:
    """The pod template with this image."""
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": image, "ports": [{"containerPort": 8080}]}]},
    }


def _deployment(replicas: int) -> Json:
    return {
        "metadata": {"name": "web", "namespace": "shop", "labels": {"team": "front"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "template": template(V1),
        },
    }


def service(name: str) -> Json:
    """A Service of this name for the shop's pods."""
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }


_SUBSETS: Final = ({"host": "web", "subset": "stable"}, {"host": "web", "subset": "canary"})
_HOSTS: Final = ({"host": "web"}, {"host": "web-canary"})


def _primary(stable: Json, canary: Json) -> Json:
    return {
        "name": "primary",
        "retries": {"attempts": 2},
        "timeout": "3s",
        "route": [{"destination": stable, "weight": 100}, {"destination": canary, "weight": 0}],
    }


def share_with(world: World, service: Ref, *foreign: tuple[str, int]) -> None:
    """The route that is managed sends a part of its requests elsewhere: hosts with their weights.

    The first stands before our destinations, the others behind.
    """
    old = world.need(service)
    spec = deepcopy(old["spec"])
    others = [{"destination": {"host": host}, "weight": weight} for host, weight in foreign]
    for route in spec["http"]:
        if route.get("name") == "primary":
            stable, canary = (d for d in route["route"] if mesh.is_ours(d))
            stable["weight"], canary["weight"] = 100 - sum(weight for _, weight in foreign), 0
            route["route"] = [*others[:1], stable, canary, *others[1:]]
    world.update(service, {**old, "spec": spec}, KUBECTL)


def _pinned() -> Json:
    """Somebody else's route, above ours."""
    return {
        "name": "beta",
        "match": [{"headers": {"x-beta": {"exact": "true"}}}],
        "route": [{"destination": {"host": "beta.example"}}],
    }


def _virtual_service(name: str, hosts: list[str], http: list[Json]) -> Json:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"hosts": hosts, "http": http}}


def _rule() -> Json:
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "host": "web",
            "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 5}},
            "subsets": [
                {"name": "stable", "labels": {"app": "web"}},
                {"name": "canary"},
                {"name": "everything", "labels": {"app": "web"}},
            ],
        },
    }


_VIRTUAL_SERVICES: Final = [{"name": "web", "routes": ["primary"]}, {"name": "web-mesh"}]


def _by_hosts() -> Json:
    services = {"stable": "web", "canary": "web-canary"}
    return {"istio": {"virtualServices": _VIRTUAL_SERVICES, "services": services}}


def _rollout(steps: tuple[Json, ...], spec: Json) -> Json:
    wanted = {
        "workload": {"deployment": "web"},
        "traffic": {
            "istio": {
                "virtualServices": _VIRTUAL_SERVICES,
                "destinationRule": {"name": "web", "stableSubset": "stable", "canarySubset": "canary"},
            }
        },
        "strategy": {"canary": {"minPods": 1, "steps": list(steps)}},
        "analysis": {
            "checks": [{"errorRate": {"max": "1%"}}],
            "inconclusive": {"after": "24h", "then": "Pause"},
        },
        "minDuration": "5s",
        "maxDuration": "24h",
        "bake": "5s",
        "drain": "5s",
        "progressDeadline": "24h",
        **spec,
    }
    return {"metadata": {"name": KEY.name, "namespace": KEY.namespace}, "spec": deepcopy(wanted)}


def set_image(world: World, image: str, manager: str = KUBECTL) -> None:
    """`kubectl set image`."""
    deployment = world.need(DEPLOYMENT)
    spec = {**deployment["spec"], "template": template(image)}
    world.update(DEPLOYMENT, {**deployment, "spec": spec}, manager)


def scale(world: World, replicas: int) -> None:
    """`kubectl scale`."""
    deployment = world.need(DEPLOYMENT)
    world.update(DEPLOYMENT, {**deployment, "spec": {**deployment["spec"], "replicas": replicas}}, KUBECTL)


def annotate(world: World, **commands: str) -> None:
    """`kubectl annotate rlt web rollout-controller.dev/<verb>=<value>`."""
    rollout = world.need(ROLLOUT)
    given = {f"rollout-controller.dev/{verb}": value for verb, value in commands.items()}
    metadata = {
        **rollout["metadata"],
        "annotations": {**(rollout["metadata"].get("annotations") or {}), **given},
    }
    world.update(ROLLOUT, {**rollout, "metadata": metadata}, KUBECTL)


def delete(world: World, *, foreground: bool = False) -> None:
    """`kubectl delete rlt web`, in the foreground if asked."""
    world.delete(ROLLOUT, KUBECTL, foreground=foreground)


def break_pods(world: World, *images: str) -> None:
    """From now on no pod of these versions is ready."""
    world.broken = frozenset(images)


def edit_spec(world: World, **fields: Any) -> None:
    """`kubectl patch rlt web`: other values for fields of its spec."""
    rollout = world.need(ROLLOUT)
    world.update(ROLLOUT, {**rollout, "spec": {**rollout["spec"], **fields}}, KUBECTL)


def unclear(after: str, then: str) -> Json:
    """An analysis that is unclear for at most so long, and what follows then."""
    return {"checks": [{"errorRate": {"max": "1%"}}], "inconclusive": {"after": after, "then": then}}
