"""Which routes and destinations of a VirtualService are ours to edit.

A destination is ours when it is the stable or the canary side: a subset of the DestinationRule's host or, in
host mode, a Service of its own. A route is managed when the Rollout names it or, if it names none, when it
sends to a destination of ours. Routes that we added bear `OWN` in their name and are never managed.
Everything else is somebody else's and is only ever looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from rollout_controller.api.parse import Places
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.traffic import IstioTraffic, VirtualServiceRef
from rollout_controller.core.patch import Json

CLUSTER_DOMAIN: Final = "cluster.local"
OWN: Final = "rollout-controller/"
"""How the names of routes begin that we add."""

Side = Literal["stable", "canary"]
Section = Literal["http", "tls", "tcp"]
SECTIONS: Final[tuple[Section, ...]] = ("http", "tls", "tcp")


@dataclass(frozen=True, slots=True)
class ManagedService:
    """A VirtualService whose weights we move: all routes that send to us, or only the chosen ones.

    `routes` are names of http routes. A tls route is chosen by a port (None: any) and the SNI hosts of one of
    its matches, a tcp route by the port of one of its matches; neither has a name in Istio.
    """

    name: str
    routes: tuple[str, ...] | None = None
    tls: tuple[tuple[int | None, frozenset[str]], ...] = ()
    tcp: tuple[int, ...] = ()

    @classmethod
    def of(cls, ref: VirtualServiceRef) -> Self:
        """What a Rollout says of one VirtualService."""
        tls = tuple((one.port, frozenset(one.sni_hosts)) for one in ref.tls_routes)
        return cls(ref.name, ref.routes, tls, tuple(one.port for one in ref.tcp_routes))

    @property
    def chooses(self) -> bool:
        """Whether routes are chosen, instead of found by where they send to."""
        return self.routes is not None or bool(self.tls or self.tcp)

    def chosen(self, section: Section, raw: Json) -> bool:
        """Whether this route is one of those that are chosen."""
        matches = raw.get("match") or []
        if section == "http":
            return self.routes is not None and raw.get("name") in self.routes
        if section == "tcp":
            return any(match.get("port") in self.tcp for match in matches)
        return any(
            hosts == set(match.get("sniHosts") or ()) and port in {None, match.get("port")}
            for match in matches
            for port, hosts in self.tls
        )


@dataclass(frozen=True, slots=True)
class Routing:
    """What a Rollout says of its traffic: all that is needed to find what is ours in Istio's objects.

    `services` are the Services of the stable and the canary side in host mode, where there is neither
    DestinationRule nor subset; `rollout` names the routes that we add, as one VirtualService may carry routes
    of several Rollouts. `deployments` are the serving and the idle one where two serve in turn: then
    `deployment` is the serving one, the stable subset or Service the one that selects its pods, and
    `turned_round` tells that the spec calls these canary.
    """

    namespace: str
    deployment: str
    virtual_services: tuple[ManagedService, ...]
    destination_rule: str
    stable_subset: str
    canary_subset: str
    cluster_domain: str = CLUSTER_DOMAIN
    services: tuple[str, str] | None = None
    rollout: str = ""
    deployments: tuple[str, str] | None = None
    turned_round: bool = False

    @classmethod
    def of(cls, namespace: str, name: str, spec: RolloutSpec | Places) -> Self:
        """The routing of the Rollout of this namespace and name."""
        istio: IstioTraffic = spec.traffic.istio
        rule, services, workload = istio.destination_rule, istio.services, spec.workload
        pair = None
        if workload.stable is not None and workload.canary is not None:
            pair = (workload.stable.deployment, workload.canary.deployment)
        return cls(
            namespace=namespace,
            deployment=pair[0] if pair is not None else workload.deployment or "",
            virtual_services=tuple(map(ManagedService.of, istio.virtual_services)),
            destination_rule=rule.name if rule is not None else "",
            stable_subset=rule.stable_subset if rule is not None else "",
            canary_subset=rule.canary_subset if rule is not None else "",
            services=(services.stable, services.canary) if services is not None else None,
            rollout=name,
            deployments=pair,
        )

    def turned(self) -> Routing:
        """The same with stable and canary in each other's place."""
        pair, services = self.deployments, self.services
        return replace(
            self,
            deployment=pair[1] if pair is not None else self.deployment,
            deployments=pair[::-1] if pair is not None else None,
            services=services[::-1] if services is not None else None,
            stable_subset=self.canary_subset,
            canary_subset=self.stable_subset,
            turned_round=not self.turned_round,
        )

    def named(self, side: Side) -> Side:
        """What the spec calls this side."""
        return side if not self.turned_round else "canary" if side == "stable" else "stable"

    @property
    def own(self) -> str:
        """How the names of routes begin that this Rollout adds."""
        return f"{OWN}{self.rollout}/"

    def side(self, subset: str | None) -> Side | None:
        """Which of our two subsets this is."""
        if self.services is not None:
            return None
        if subset == self.stable_subset:
            return "stable"
        return "canary" if subset == self.canary_subset else None

    def side_of(self, target: Json, host: str | None) -> Side | None:
        """Which side a destination is: `target` is its `destination`, `host` the host of our subsets."""
        to = self.resolve(target.get("host") or "")
        if self.services is None:
            return self.side(target.get("subset")) if host is not None and to == host else None
        if target.get("subset"):
            return None
        if to == self.resolve(self.services[0]):
            return "stable"
        return "canary" if to == self.resolve(self.services[1]) else None

    def managed(self, virtual_service: Json) -> ManagedService:
        """What the Rollout says of this VirtualService."""
        name = virtual_service["metadata"]["name"]
        return next((one for one in self.virtual_services if one.name == name), ManagedService(name, ()))

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
    """One route that we manage."""

    index: int
    name: str
    destinations: tuple[Destination, ...]
    section: Section = "http"

    def of(self, side: Side) -> tuple[Destination, ...]:
        """The destinations of one side: one, unless there is a finding about it."""
        return tuple(d for d in self.destinations if d.side == side)

    def weight(self, side: Side) -> int:
        """The sum of the weights of one side."""
        return sum(d.weight for d in self.of(side))

    @property
    def path(self) -> str:
        """Where it stands, like `spec.http[2]`."""
        return f"spec.{self.section}[{self.index}]"

    @property
    def splits(self) -> bool:
        """Whether it sends to both of our sides."""
        return bool(self.of("stable") and self.of("canary"))

    @property
    def ours(self) -> int:
        """What stable and canary have together: 100, or less beside foreign destinations."""
        return self.weight("stable") + self.weight("canary")

    @property
    def due(self) -> int:
        """What they should have together, so that all weights total 100; what they have, where others leave
        nothing."""
        left = 100 - sum(d.weight for d in self.destinations if d.side is None)
        return left if left > 0 else self.ours


def managed_routes(routing: Routing, virtual_service: Json, host: str | None) -> tuple[Route, ...]:
    """The routes of this VirtualService that the Rollout manages, for destinations of ours at `host`.

    Where a named route is missing, those that split between our two sides stand in for it: a route that is
    renamed in the middle of a release still sends to the canary, and must be found on the way back.
    """
    service = routing.managed(virtual_service)
    found = [
        (raw, _route(routing, section, index, raw, host))
        for section, index, raw in routes_of(virtual_service)
        if not is_own(raw)
    ]
    if not service.chooses:
        return tuple(route for _, route in found if any(d.side for d in route.destinations))
    chosen = [route for raw, route in found if service.chosen(route.section, raw)]
    lost = not set(service.routes or ()) <= {route.name for route in chosen}
    return tuple(route for _, route in found if route in chosen or (lost and route.splits))


def our_host(routing: Routing, virtual_services: Iterable[Json], destination_rule: Json | None) -> str | None:
    """The full name of the host whose subsets we move; in host mode that of the stable Service.

    Without the DestinationRule it is the one host that managed routes split between our two subsets, so
    that traffic can go home while the rule cannot be read; None when there is no such host, or several.
    """
    if routing.services is not None:
        return routing.resolve(routing.services[0])
    if destination_rule is not None:
        return routing.resolve(destination_rule.get("spec", {}).get("host") or "") or None
    split: set[str] = set()
    for virtual_service in virtual_services:
        service = routing.managed(virtual_service)
        for section, _, route in routes_of(virtual_service):
            if not is_own(route) and (not service.chooses or service.chosen(section, route)):
                split |= _hosts(routing, route, "stable") & _hosts(routing, route, "canary")
    return split.pop() if len(split) == 1 else None


def routes_of(virtual_service: Json) -> Iterator[tuple[Section, int, Json]]:
    """The raw routes of all kinds, each with its index in its list."""
    spec = virtual_service.get("spec") or {}
    for section in SECTIONS:
        for index, raw in enumerate(spec.get(section) or []):
            yield section, index, raw


def http_routes(virtual_service: Json) -> Iterable[tuple[int, Json]]:
    """The raw http routes with their indexes."""
    return enumerate((virtual_service.get("spec") or {}).get("http") or [])


def is_own(raw: Json) -> bool:
    """Whether we added this route, for whichever Rollout."""
    return str(raw.get("name") or "").startswith(OWN)


def _hosts(routing: Routing, route: Json, side: Side) -> set[str]:
    targets = (entry.get("destination") or {} for entry in route.get("route") or [])
    return {routing.resolve(t.get("host") or "") for t in targets if routing.side(t.get("subset")) == side}


def _route(routing: Routing, section: Section, index: int, raw: Json, host: str | None) -> Route:
    entries = raw.get("route") or []
    destinations = []
    for position, entry in enumerate(entries):
        side = routing.side_of(entry.get("destination") or {}, host)
        weight = 100 if len(entries) == 1 else entry.get("weight") or 0
        destinations.append(Destination(position, side, weight))
    return Route(index, raw.get("name") or "", tuple(destinations), section)
