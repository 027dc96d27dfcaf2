"""What is known of the world around a Rollout: the raw objects that findings are made from, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderPin, Stage
from rollout_controller.core.world import Part
from rollout_controller.istio.routing import Route, Routing, managed_routes, our_host


@dataclass(frozen=True, slots=True)
class Known:
    """Objects of one kind.

    `places` are the namespaces of which all objects are among them, "" stands for every one: only there does
    an object not exist that is not here. By default nothing is known, and nothing is missing.
    """

    objects: tuple[Json, ...] = ()
    places: frozenset[str] = frozenset()

    def complete(self, namespace: str) -> bool:
        """Whether all objects of this namespace are here."""
        return "" in self.places or namespace in self.places

    def within(self, namespace: str) -> tuple[Json, ...]:
        """The objects of a namespace."""
        return tuple(obj for obj in self.objects if obj["metadata"].get("namespace") == namespace)

    def get(self, namespace: str, name: str) -> Json | None:
        """The object of that name, None if it is not here."""
        return next((obj for obj in self.within(namespace) if obj["metadata"]["name"] == name), None)

    def names(self, namespace: str) -> list[str]:
        """The names of the objects of a namespace."""
        return [obj["metadata"]["name"] for obj in self.within(namespace)]


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that `preflight` looks at.

    `deployment`, `virtual_services` (by name) and `destination_rule` are those that the Rollout names; one
    that is not there does not exist, unless its part is in `unread`. Of the other kinds only what is known is
    judged. `pods` are the Deployment's, of every version; `serving` the ready pods behind our Service,
    whosever they are, None unless all of them are known. `stages`, `header_pins` and `window` are the
    Rollout's or, of a release that runs, those it began with; `at_rest` says that none runs;
    `rollback_window` is how many earlier versions the Rollout would know again. `scrape` is the
    interval of Prometheus' scrapes, None while it is not known. Where two Deployments serve in turn, `sides`
    are the serving and the idle one, and there is no `deployment`.
    """

    routing: Routing
    rollout: str = ""
    stages: tuple[Stage, ...] = ()
    header_pins: tuple[HeaderPin, ...] = ()
    at_rest: bool = True
    rollback_window: int = 0
    window: timedelta | None = None
    scrape: timedelta | None = None
    deployment: Json | None = None
    sides: tuple[Json | None, Json | None] = (None, None)
    virtual_services: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
    destination_rule: Json | None = None
    unread: frozenset[Part] = frozenset()
    namespace: Json | None = None
    pods: tuple[Json, ...] = ()
    serving: tuple[Json, ...] | None = None
    services: Known = Known()
    service_entries: Known = Known()
    gateways: Known = Known()
    routes: Known = Known()
    rules: Known = Known()
    peer_authentications: Known = Known()
    autoscalers: Known = Known()

    @property
    def host(self) -> str | None:
        """The full name of the host whose subsets we move, in host mode that of the stable Service; None
        without the DestinationRule."""
        if self.destination_rule is None and self.routing.services is None:
            return None
        return our_host(self.routing, self.virtual_services.values(), self.destination_rule)

    @property
    def our_hosts(self) -> frozenset[str]:
        """That host, in host mode those of both Services."""
        if self.routing.services is not None:
            return frozenset(map(self.routing.resolve, self.routing.services))
        return frozenset() if self.host is None else frozenset({self.host})

    @property
    def our_services(self) -> tuple[Json, ...]:
        """The Services behind these hosts, as far as they are known."""
        hosts, found = self.our_hosts, self.services.within(self.routing.namespace)
        return tuple(s for s in found if self.routing.resolve(s["metadata"]["name"]) in hosts)

    def managed_http(self, service: Json) -> tuple[Route, ...]:
        """The http routes of a VirtualService that the Rollout manages."""
        routes = managed_routes(self.routing, service, self.host)
        return tuple(route for route in routes if route.section == "http")

    @property
    def template(self) -> Json:
        """The Deployment's pod template, empty without Deployment."""
        template: Json = ((self.deployment or {}).get("spec") or {}).get("template") or {}
        return template

    @property
    def pod_labels(self) -> dict[str, str]:
        """The labels of the pods that the Deployment's template makes."""
        return (self.template.get("metadata") or {}).get("labels") or {}
