"""What else sends requests to the pods of a release: routes and mirrors beside the managed split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rollout_controller.core.patch import Json
from rollout_controller.core.share import Bypass
from rollout_controller.istio.routing import Routing, http_routes, managed_routes, our_host

_BOTH = frozenset({"stable", "canary"})


def bypass_of(
    routing: Routing, virtual_services: Mapping[str, Json], destination_rule: Json | None
) -> Bypass:
    """Which sides the VirtualServices of the Rollout, by name, send to past its split.

    That is every http route to our host that is not managed, or not split between both subsets, and every
    mirror. A destination without a subset, or with another one, may be any of our pods.
    """
    services = virtual_services.values()
    host = our_host(routing, services, destination_rule)
    sides = {side for service in services for side in _sides(routing, service, host)} if host else set()
    return Bypass(stable="stable" in sides, canary="canary" in sides)


def _sides(routing: Routing, service: Json, host: str | None) -> Iterator[str]:
    split = {route.index for route in managed_routes(routing, service, host) if route.splits}
    for index, route in http_routes(service):
        targets = [mirror.get("destination") for mirror in route.get("mirrors") or []]
        targets.append(route.get("mirror"))
        if index not in split:
            entries = route.get("route") or []
            targets += [one.get("destination") for one in entries if len(entries) == 1 or one.get("weight")]
        for target in filter(None, targets):
            if routing.resolve(target.get("host") or "") == host:
                yield from _reached(routing, target)


def _reached(routing: Routing, target: Json) -> Iterable[str]:
    side = routing.side(target.get("subset"))
    return _BOTH if side is None else {side}
