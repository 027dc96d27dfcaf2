"""What else sends requests to the pods of a release: routes and mirrors beside the managed split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from rollout_controller.core.patch import Json
from rollout_controller.core.share import Bypass
from rollout_controller.istio.routing import Routing, managed_routes, our_host, routes_of

_BOTH = frozenset({"stable", "canary"})


def bypass_of(
    routing: Routing,
    virtual_services: Mapping[str, Json],
    destination_rule: Json | None,
    known: Iterable[Json] = (),
) -> Bypass:
    """Which sides the VirtualServices of the Rollout, by name, and all others `known` send to past its split.

    That is every route to our host that is not managed, or not split between both sides (pinned ones of ours
    too), and every mirror. A destination without a subset, or with another one, may be any of our pods. Whose
    proxies follow another VirtualService does not matter: they send to the same pods.
    """
    services = virtual_services.values()
    host = our_host(routing, services, destination_rule)
    if host is None:
        return Bypass()
    targets = [target for service in services for target in _past_split(routing, service, host)]
    sides = {side for target in targets for side in _reached(routing, routing, target, host)}
    others = {
        side
        for there, target in _elsewhere(routing, known)
        for side in _reached(routing, there, target, host)
    }
    return Bypass("stable" in sides, "canary" in sides, elsewhere="stable" in others)


def _elsewhere(routing: Routing, known: Iterable[Json]) -> Iterator[tuple[Routing, Json]]:
    """The destinations of VirtualServices that the Rollout does not name, each with where it is written."""
    named = {one.name for one in routing.virtual_services}
    for service in known:
        home = service["metadata"].get("namespace") or routing.namespace
        if home != routing.namespace or service["metadata"]["name"] not in named:
            there = replace(routing, namespace=home)
            yield from ((there, target) for route in routes_of(service) for target in _targets(route[2]))


def _past_split(routing: Routing, service: Json, host: str) -> Iterator[Json]:
    """The destinations of a VirtualService of ours, but for those of its managed splits."""
    managed = managed_routes(routing, service, host)
    split = {(route.section, route.index) for route in managed if route.splits}
    for section, index, route in routes_of(service):
        yield from _copied(route) if (section, index) in split else _targets(route)


def _targets(route: Json) -> Iterator[Json]:
    """Where a route sends requests, or copies of them."""
    yield from _copied(route)
    entries = route.get("route") or []
    yield from (one.get("destination") or {} for one in entries if len(entries) == 1 or one.get("weight"))


def _copied(route: Json) -> Iterator[Json]:
    mirrors = [mirror.get("destination") for mirror in route.get("mirrors") or []]
    yield from filter(None, [*mirrors, route.get("mirror")])


def _reached(routing: Routing, there: Routing, target: Json, host: str) -> Iterable[str]:
    """The sides that a destination may be, its host read as `there`, where it is written."""
    full = {**target, "host": there.resolve(target.get("host") or "")}
    side = routing.side_of(full, host)
    if side is not None:
        return {side}
    return _BOTH if routing.services is None and full["host"] == host else ()
