"""What is wrong with the routes of a VirtualService."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import VIRTUAL_SERVICE, error, guess, host_findings, title
from rollout_controller.istio.routing import (
    ManagedService,
    Route,
    Routing,
    Section,
    is_own,
    managed_routes,
    routes_of,
)

MISSING_ROUTE: Final = "MissingRoute"
NO_MANAGED_ROUTE: Final = "NoManagedRoute"
FOREIGN_ROUTE: Final = "ForeignRoute"
MISSING_DESTINATION: Final = "MissingDestination"
DUPLICATE_DESTINATION: Final = "DuplicateDestination"
WEIGHT_OUT_OF_RANGE: Final = "WeightOutOfRange"
WEIGHTS_NOT_100: Final = "WeightsNot100"


def virtual_service_findings(
    routing: Routing, service: Json, managed: ManagedService, host: str | None, field: str
) -> Iterator[Finding]:
    """Findings about one VirtualService. `managed` is what the Rollout says of it at `field`.

    Without a host (the DestinationRule is not there) nothing is said about destinations.
    """
    obj = title(VIRTUAL_SERVICE, routing, service["metadata"]["name"])
    raw = {(section, index): route for section, index, route in routes_of(service) if not is_own(route)}
    present = [route.get("name") or "" for (section, _), route in raw.items() if section == "http"]
    for name in managed.routes or ():
        if name not in present:
            yield error(
                MISSING_ROUTE,
                obj,
                "spec.http",
                f'there is no http route named "{name}"',
                f"{guess(name, present)}Name the route so, or correct {field}.routes in the Rollout.",
            )
    yield from _unnamed_findings(obj, managed, raw, field)
    if host is None:
        return
    routes = managed_routes(routing, service, host)
    if not managed.chooses and not routes:
        yield error(
            NO_MANAGED_ROUTE,
            obj,
            "spec.http",
            f"no route sends to {_ours(routing, host)}, so there is no traffic to shift",
            _add_fix(routing, host),
        )
    for route in routes:
        yield from _route_findings(routing, obj, route, raw[route.section, route.index], host, field)


def _unnamed_findings(
    obj: str, managed: ManagedService, raw: Mapping[tuple[Section, int], Json], field: str
) -> Iterator[Finding]:
    """Tls and tcp routes that the Rollout chooses and that are not there."""
    for index, (port, hosts) in enumerate(managed.tls):
        alone = replace(managed, tls=((port, hosts),))
        if not any(section == "tls" and alone.chosen("tls", route) for (section, _), route in raw.items()):
            at = "" if port is None else f" at port {port}"
            yield error(
                MISSING_ROUTE,
                obj,
                "spec.tls",
                f"there is no tls route whose match has exactly the SNI hosts {', '.join(sorted(hosts))}{at}",
                f"Add it, or correct {field}.tlsRoutes[{index}] in the Rollout.",
            )
    for index, tcp in enumerate(managed.tcp):
        alone = replace(managed, tcp=(tcp,))
        if not any(section == "tcp" and alone.chosen("tcp", route) for (section, _), route in raw.items()):
            yield error(
                MISSING_ROUTE,
                obj,
                "spec.tcp",
                f"there is no tcp route with a match for port {tcp}",
                f"Add it, or correct {field}.tcpRoutes[{index}] in the Rollout.",
            )


def _route_findings(
    routing: Routing, obj: str, route: Route, raw: Json, host: str, field: str
) -> Iterator[Finding]:
    path = f"{route.path}.route"
    if not any(d.side for d in route.destinations):
        yield error(
            FOREIGN_ROUTE,
            obj,
            path,
            f"{_the_route(route)} does not send to {_ours(routing, host)}{_instead(raw)}",
            _add_fix(routing, host),
        )
        return
    for d in route.destinations:
        if d.side is not None:
            target = raw["route"][d.index]["destination"]
            yield from host_findings(routing, obj, f"{path}[{d.index}].destination.host", target["host"])
    yield from _side_findings(routing, obj, route, host, field)
    yield from _weight_findings(obj, path, raw)


def _side_findings(routing: Routing, obj: str, route: Route, host: str, field: str) -> Iterator[Finding]:
    path = f"{route.path}.route"
    for side, target in zip(("stable", "canary"), _targets(routing, host), strict=True):
        found = [d for d in route.destinations if d.side == side]
        if not found:
            weight = "0 (Istio leaves it out until it has a weight)" if side == "canary" else "100"
            yield error(
                MISSING_DESTINATION,
                obj,
                path,
                f"the route has no destination with {target}, so nothing can be shifted on it",
                f"Add a destination with {target} and weight {weight}, or name the"
                f" routes to manage in {field}.routes of the Rollout.",
            )
        for extra in found[1:]:
            yield error(
                DUPLICATE_DESTINATION,
                obj,
                f"{path}[{extra.index}]",
                f"the route sends to {target} more than once",
                "Keep one destination of each version.",
            )


def _weight_findings(obj: str, path: str, raw: Json) -> Iterator[Finding]:
    entries = raw["route"]
    wrong = [(i, e["weight"]) for i, e in enumerate(entries) if not 0 <= (e.get("weight") or 0) <= 100]
    for index, weight in wrong:
        yield error(
            WEIGHT_OUT_OF_RANGE,
            obj,
            f"{path}[{index}].weight",
            f"{weight} is not a share in percent",
            "Set it to a number from 0 to 100.",
        )
    alone = len(entries) == 1 and entries[0].get("weight") is None
    total = sum(entry.get("weight") or 0 for entry in entries)
    if not wrong and not alone and total != 100:
        weights = " + ".join(str(entry.get("weight") or 0) for entry in entries)
        yield error(
            WEIGHTS_NOT_100,
            obj,
            path,
            f"the weights {weights} total {total}, so their shares are not what they say",
            "Make them total 100.",
        )


def _targets(routing: Routing, host: str) -> tuple[str, str]:
    """The destinations of the stable and the canary side, as a person writes them."""
    if routing.services is not None:
        stable, canary = (routing.resolve(name) for name in routing.services)
        return f"host {stable}", f"host {canary}"
    return f"host {host}, subset {routing.stable_subset}", f"host {host}, subset {routing.canary_subset}"


def _the_route(route: Route) -> str:
    return f'the route "{route.name}"' if route.name else "the route"


def _ours(routing: Routing, host: str) -> str:
    if routing.services is not None:
        return f"Service {routing.services[0]} or {routing.services[1]}"
    return f"subset {routing.stable_subset} or {routing.canary_subset} of {host}"


def _add_fix(routing: Routing, host: str) -> str:
    stable, canary = _targets(routing, host)
    return f"Let it send to {stable} with weight 100 and to {canary} with weight 0."


def _instead(raw: Json) -> str:
    targets = [entry.get("destination") or {} for entry in raw.get("route") or []]
    named = [
        f"{target.get('host')} subset {target['subset']}" if target.get("subset") else str(target.get("host"))
        for target in targets
    ]
    return f" but to {', '.join(named)}" if named else ""
