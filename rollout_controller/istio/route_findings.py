"""What is wrong with the http routes of a VirtualService."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.model import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import VIRTUAL_SERVICE, error, guess, host_findings, title
from rollout_controller.istio.routing import Route, Routing, http_routes, managed_routes

MISSING_ROUTE: Final = "MissingRoute"
NO_MANAGED_ROUTE: Final = "NoManagedRoute"
FOREIGN_ROUTE: Final = "ForeignRoute"
MISSING_DESTINATION: Final = "MissingDestination"
DUPLICATE_DESTINATION: Final = "DuplicateDestination"
WEIGHT_OUT_OF_RANGE: Final = "WeightOutOfRange"
WEIGHTS_NOT_100: Final = "WeightsNot100"


def virtual_service_findings(
    routing: Routing, service: Json, names: tuple[str, ...] | None, host: str | None, field: str
) -> Iterator[Finding]:
    """Findings about one VirtualService. `names` are the routes that the Rollout names at `field`.

    Without a host (the DestinationRule is not there) nothing is said about destinations.
    """
    obj = title(VIRTUAL_SERVICE, routing, service["metadata"]["name"])
    raw = dict(http_routes(service))
    present = [route.get("name") or "" for route in raw.values()]
    for name in names or ():
        if name not in present:
            yield error(
                MISSING_ROUTE,
                obj,
                "spec.http",
                f'there is no http route named "{name}"',
                f"{guess(name, present)}Name the route so, or correct {field}.routes in the Rollout.",
            )
    if host is None:
        return
    routes = managed_routes(routing, service, host)
    if names is None and not routes:
        yield error(
            NO_MANAGED_ROUTE,
            obj,
            "spec.http",
            f"no http route sends to {_ours(routing, host)}, so there is no traffic to shift",
            _add_fix(routing, host),
        )
    for route in routes:
        yield from _route_findings(routing, obj, route, raw[route.index], host, field)


def _route_findings(
    routing: Routing, obj: str, route: Route, raw: Json, host: str, field: str
) -> Iterator[Finding]:
    path = f"spec.http[{route.index}].route"
    if not any(d.side for d in route.destinations):
        yield error(
            FOREIGN_ROUTE,
            obj,
            path,
            f'the route "{route.name}" does not send to {_ours(routing, host)}{_instead(raw)}',
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
    path = f"spec.http[{route.index}].route"
    for side, subset in (("stable", routing.stable_subset), ("canary", routing.canary_subset)):
        found = [d for d in route.destinations if d.side == side]
        if not found:
            weight = "0 (Istio leaves it out until it has a weight)" if side == "canary" else "100"
            yield error(
                MISSING_DESTINATION,
                obj,
                path,
                f'the route has no destination with subset "{subset}", so nothing can be shifted on it',
                f"Add a destination with host {host}, subset {subset} and weight {weight}, or name the"
                f" routes to manage in {field}.routes of the Rollout.",
            )
        for extra in found[1:]:
            yield error(
                DUPLICATE_DESTINATION,
                obj,
                f"{path}[{extra.index}]",
                f'the route sends to subset "{subset}" more than once',
                "Keep one destination per subset.",
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


def _ours(routing: Routing, host: str) -> str:
    return f"subset {routing.stable_subset} or {routing.canary_subset} of {host}"


def _add_fix(routing: Routing, host: str) -> str:
    return (
        f"Let it send to host {host}: subset {routing.stable_subset} with weight 100 and subset"
        f" {routing.canary_subset} with weight 0."
    )


def _instead(raw: Json) -> str:
    targets = [entry.get("destination") or {} for entry in raw.get("route") or []]
    named = [
        f"{target.get('host')} subset {target['subset']}" if target.get("subset") else str(target.get("host"))
        for target in targets
    ]
    return f" but to {', '.join(named)}" if named else ""
