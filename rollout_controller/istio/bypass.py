"""What else sends requests to the pods of a release: routes and mirrors beside the managed split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rollout_controller.core.patch import Json
from rollout_controller.core.share import Bypass
from rollout_controller.istio.routing import Routing, managed_routes, our_host, routes_of

_BOTH = frozenset({"stable", "canary"})


def bypass_of(
    routing: Routing, virtual_services: Mapping[str, Json], destination_rule: Json | None
) -> Bypass:
    """Which sides the VirtualServices of the Rollout, by name, send to past its split.

    That is every route to our host that is not managed, or not split between both sides (pinned ones of ours
    too), and every mirror. A destination without a subset, or with another one, may be any of our pods.
    """
    services = virtual_services.values()
    host = our_host(routing, services, destination_rule)
    sides = {side for service in services for side in _sides(routing, service, host)} if host else set()
    return Bypass(stable="stable" in sides, canary="canary" in sides)


def _sides(routing: Routing, service: Json, host: str | None) -> Iterator[str]:
    managed = managed_routes(routing, service, host)
    split = {(route.section, route.index) for route in managed if route.splits}
    for section, index, route in routes_of(service):
        targets = [mirror.get("destination") for mirror in route.get("mirrors") or []]
        targets.append(route.get("mirror"))
        if (section, index) not in split:
            entries = route.get("route") or []
            targets += [one.get("destination") for one in entries if len(entries) == 1 or one.get("weight")]
        for target in filter(None, targets):
            yield from _reached(routing, target, host)


def _reached(routing: Routing, target: Json, host: str | None) -> Iterable[str]:
    side = routing.side_of(target, host)
    if side is not None:
        return {side}
    anyone = routing.services is None and routing.resolve(target.get("host") or "") == host
    return _BOTH if anyone else ()
