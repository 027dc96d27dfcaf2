"""How a world's traffic is laid out: the objects of Istio, and what the Rollout says of them.

A layout is a function from (name, namespace, host) to a `Mesh`; `subsets` is the usual one.

world = await World.begin(namespace, controller, mesh=two_services)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from e2e.localcluster.kube import Object
from e2e.tests.support import destination_rule, route, service, virtual_service

AT_REST: Final[Mapping[str, int]] = {"stable": 100, "canary": 0}
"""The weights in git."""
PIN: Final[Object] = {"headers": {"x-canary": {"exact": "true"}}}
"""A header pin, and beside it the headers of a request that it chooses."""
PINNED: Final[Mapping[str, str]] = {"x-canary": "true"}


@dataclass(frozen=True)
class Place:
    """Where a world is: the name of all its objects, their namespace, and the host that Envoy serves."""

    name: str
    namespace: str
    host: str

    @property
    def service(self) -> str:
        """The full host name of the Service of that name."""
        return self.service_of(self.name)

    def service_of(self, name: str) -> str:
        return f"{name}.{self.namespace}.svc.cluster.local"


@dataclass(frozen=True)
class Mesh:
    """`istio` is the Rollout's spec.traffic.istio; `objects` are as git has them, Services included; `env` is
    what every version of the application is told beside its name."""

    istio: Object
    objects: Sequence[Object]
    env: Mapping[str, str] = field(default_factory=dict)


Layout = Callable[[Place], Mesh]


def subsets(place: Place) -> Mesh:
    """One Service, two subsets, one VirtualService with one route, which is named."""
    return with_routes(lambda at: [route(AT_REST, host=at.service)], routes=["primary"])(place)


def with_routes(
    routes_at: Callable[[Place], list[Object]], *, routes: Sequence[str] | None = None, **ref: Any
) -> Layout:
    """As `subsets`, with these http routes. `routes` are those that the Rollout names, by default none."""

    def lay(place: Place) -> Mesh:
        named = {} if routes is None else {"routes": list(routes)}
        made = virtual_service(place.host, routes_at(place), place.name, mesh=place.service)
        return _on_subsets(place, [made], [{"name": place.name, **named, **ref}])

    return lay


def with_services(*virtual_services: Callable[[Place], Object], unmanaged: int = 0) -> Layout:
    """Several VirtualServices for the two subsets; of the last `unmanaged` the Rollout says nothing."""

    def lay(place: Place) -> Mesh:
        made = [make(place) for make in virtual_services]
        managed = made[: len(made) - unmanaged]
        return _on_subsets(place, made, [{"name": one["metadata"]["name"]} for one in managed])

    return lay


def _on_subsets(place: Place, made: list[Object], refs: list[Object]) -> Mesh:
    labels = {"app": place.name}
    rule = destination_rule(place.service, {"stable": labels, "canary": labels}, place.name)
    ref = {"name": place.name, "stableSubset": "stable", "canarySubset": "canary"}
    istio = {"virtualServices": refs, "destinationRule": ref}
    return Mesh(istio, [service(place.name), *made, rule])


def two_services(place: Place) -> Mesh:
    """Host mode: a Service for each side, both of them selecting every pod at rest; no DestinationRule."""
    stable, canary = place.name, f"{place.name}-canary"
    weighted = [
        {"destination": {"host": place.service_of(name)}, "weight": weight}
        for name, weight in ((stable, 100), (canary, 0))
    ]
    split = {"name": "primary", "retries": {"attempts": 0}, "route": weighted}
    istio = {
        "virtualServices": [{"name": place.name, "routes": ["primary"]}],
        "services": {"stable": stable, "canary": canary},
    }
    selector = {"app": place.name}
    made = [service(stable, selector), service(canary, selector)]
    return Mesh(istio, [*made, virtual_service(place.host, [split], place.name, mesh=place.service)])
