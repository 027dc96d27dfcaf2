"""Which routes and destinations of a VirtualService are ours to edit.

A destination is ours when its host is the DestinationRule's and its subset is the stable or the canary one.
A route is managed when the Rollout names it or, if it names none, when it sends to a destination of ours.
Everything else is somebody else's and is only ever looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, Self

from rollout_controller.api.spec import RolloutSpec
from rollout_controller.core.patch import Json

CLUSTER_DOMAIN: Final = "cluster.local"

Side = Literal["stable", "canary"]


@dataclass(frozen=True, slots=True)
class ManagedService:
    """A VirtualService whose weights we move: all http routes that send to us, or only the named ones."""

    name: str
    routes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """What a Rollout says of its traffic: all that is needed to find what is ours in Istio's objects."""

    namespace: str
    deployment: str
    virtual_services: tuple[ManagedService, ...]
    destination_rule: str
    stable_subset: str
    canary_subset: str
    cluster_domain: str = CLUSTER_DOMAIN

    @classmethod
    def of(cls, namespace: str, spec: RolloutSpec) -> Self:
        """The routing of a Rollout in this namespace."""
        istio = spec.traffic.istio
        return cls(
            namespace=namespace,
            deployment=spec.workload.deployment,
            virtual_services=tuple(ManagedService(ref.name, ref.routes) for ref in istio.virtual_services),
            destination_rule=istio.destination_rule.name,
            stable_subset=istio.destination_rule.stable_subset,
            canary_subset=istio.destination_rule.canary_subset,
        )

    def side(self, subset: str | None) -> Side | None:
        """Which of our two subsets this is."""
        if subset == self.stable_subset:
            return "stable"
        return "canary" if subset == self.canary_subset else None

    def resolve(self, host: str) -> str:
        """The full name of a host that an object of our namespace names: `web` is a Service beside it.

        Istio completes only names without a dot. `web.shop` and `web.shop.svc` in namespace shop are
        completed here as well, so that they are recognised; that Istio does not is a finding.
        """
        name = host.rstrip(".").lower()
        if "." not in name:
            return f"{name}.{self.namespace}.svc.{self.cluster_domain}" if name else ""
        for short in (f".{self.namespace}", f".{self.namespace}.svc"):
            if name.endswith(short) and "." not in name.removesuffix(short):
                return self.resolve(name.removesuffix(short))
        return name


@dataclass(frozen=True, slots=True)
class Destination:
    """One destination of a route. `weight` is as Istio reads it: alone 100, else 0 where there is none."""

    index: int
    side: Side | None
    weight: int


@dataclass(frozen=True, slots=True)
class Route:
    """One http route that we manage."""

    index: int
    name: str
    destinations: tuple[Destination, ...]

    def of(self, side: Side) -> tuple[Destination, ...]:
        """The destinations of one side: one, unless there is a finding about it."""
        return tuple(d for d in self.destinations if d.side == side)

    def weight(self, side: Side) -> int:
        """The sum of the weights of one side."""
        return sum(d.weight for d in self.of(side))

    @property
    def splits(self) -> bool:
        """Whether it sends to both of our subsets."""
        return bool(self.of("stable") and self.of("canary"))

    @property
    def ours(self) -> int:
        """What stable and canary have together: 100, or less beside foreign destinations."""
        return self.weight("stable") + self.weight("canary")


def managed_routes(routing: Routing, virtual_service: Json, host: str | None) -> tuple[Route, ...]:
    """The routes of this VirtualService that the Rollout manages, for destinations of ours at `host`.

    Where a named route is missing, those that split between our two subsets stand in for it: a route that is
    renamed in the middle of a release still sends to the canary, and must be found on the way back.
    """
    names = _names(routing, virtual_service)
    routes = [_route(routing, index, raw, host) for index, raw in http_routes(virtual_service)]
    if names is None:
        return tuple(route for route in routes if any(d.side for d in route.destinations))
    lost = not {*names} <= {route.name for route in routes}
    return tuple(route for route in routes if route.name in names or (lost and route.splits))


def our_host(routing: Routing, virtual_services: Iterable[Json], destination_rule: Json | None) -> str | None:
    """The full name of the host whose subsets we move.

    Without the DestinationRule it is the one host that managed routes split between our two subsets, so
    that traffic can go home while the rule cannot be read; None when there is no such host, or several.
    """
    if destination_rule is not None:
        return routing.resolve(destination_rule.get("spec", {}).get("host") or "") or None
    split: set[str] = set()
    for service in virtual_services:
        names = _names(routing, service)
        for _, route in http_routes(service):
            if names is None or route.get("name") in names:
                split |= _hosts(routing, route, "stable") & _hosts(routing, route, "canary")
    return split.pop() if len(split) == 1 else None


def http_routes(virtual_service: Json) -> Iterable[tuple[int, Json]]:
    """The raw http routes with their indexes."""
    return enumerate((virtual_service.get("spec") or {}).get("http") or [])


def _names(routing: Routing, virtual_service: Json) -> tuple[str, ...] | None:
    name = virtual_service["metadata"]["name"]
    return next((service.routes for service in routing.virtual_services if service.name == name), ())


def _hosts(routing: Routing, route: Json, side: Side) -> set[str]:
    targets = (entry.get("destination") or {} for entry in route.get("route") or [])
    return {routing.resolve(t.get("host") or "") for t in targets if routing.side(t.get("subset")) == side}


def _route(routing: Routing, index: int, raw: Json, host: str | None) -> Route:
    entries = raw.get("route") or []
    destinations = []
    for position, entry in enumerate(entries):
        target = entry.get("destination") or {}
        ours = host is not None and routing.resolve(target.get("host") or "") == host
        side = routing.side(target.get("subset")) if ours else None
        weight = 100 if len(entries) == 1 else entry.get("weight") or 0
        destinations.append(Destination(position, side, weight))
    return Route(index, raw.get("name") or "", tuple(destinations))
