"""The edits that a release makes, as JSON patches: weights of our destinations, copies to the canary, routes
of our own for header pins, and hashes in our subsets or Services.

Every patch begins with a test of the resourceVersion of the object it was computed from, and is empty when
the object already says so. Fields that are not ours are not in any patch.

Some forms mean the same to Istio, and an edit there and back ends in the first of each: a subset without
`labels`, or with an empty map; a destination with `weight: 0`, or without a weight beside others; a route
without `mirrors`, or with an empty list.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout_controller.core.patch import Json, add, remove, unchanged
from rollout_controller.core.release import Hash, HeaderPin
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio.mirrors import mirror_ops, mirrors_by_route
from rollout_controller.istio.pins import in_place, own_routes, wanted_routes
from rollout_controller.istio.routing import Route, Routing, Side, http_routes, managed_routes, our_host


def split(total: int, percent: int) -> int:
    """The canary's weight where stable and canary have `total` together.

    Rounded, but for 0 < percent < 100 both sides keep at least 1: a step must reach somebody, and must not
    reach everybody.
    """
    if not 0 < percent < 100:
        return total if percent >= 100 else 0
    return max(min(max((total * percent + 50) // 100, 1), total - 1), 0)


def set_traffic(
    routing: Routing,
    virtual_service: Json,
    percent: int,
    destination_rule: Json | None = None,
    *,
    mirror: int = 0,
    header_pins: Sequence[HeaderPin] = (),
) -> list[Json]:
    """The patch that gives the canary `percent` of our share on each managed route of this VirtualService,
    copies of `mirror` percent of the requests, and the requests that `header_pins` choose.

    A route's weights total 100 afterwards, and others keep theirs. A route with only one of our two
    destinations is left alone, for there is nothing to shift between; `preflight` has told. The
    DestinationRule says which host is ours; without it, see `our_host`.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"expected a weight from 0 to 100, found {percent}")
    host = our_host(routing, [virtual_service], destination_rule)
    routes = [r for r in managed_routes(routing, virtual_service, host) if r.splits and r.ours > 0]
    raws = dict(http_routes(virtual_service))
    ours = mirrors_by_route(routing, virtual_service, routes, host)
    wanted = wanted_routes(routing, virtual_service, routes, header_pins, ours)
    present = [index for index, _ in own_routes(routing, virtual_service)]
    moved = not in_place(routing, virtual_service, wanted)
    ops = _own_routes_replaced(present, wanted) if moved else []
    for route in routes:
        at = _place(present, wanted, route.index) if moved and route.section == "http" else route.index
        ops += _weight_ops(route, percent, at)
        if route.section == "http":
            ops += mirror_ops(routing, route, raws[route.index], host, mirror, at)
    return [unchanged(virtual_service), *ops] if ops else []


def _weight_ops(route: Route, percent: int, at: int) -> list[Json]:
    stable, canary, total = route.of("stable"), route.of("canary"), route.due
    share = split(total, percent)
    wanted = {canary[0].index: share, stable[0].index: total - share}
    return [
        add(weight, "spec", route.section, at, "route", destination.index, "weight")
        for destination in (*stable, *canary)
        if (weight := wanted.get(destination.index, 0)) != destination.weight
    ]


def _own_routes_replaced(present: Sequence[int], wanted: Sequence[tuple[int, Json]]) -> list[Json]:
    """The operations that take our routes away and put the wanted ones before the routes they refine."""
    ops = [remove("spec", "http", index) for index in reversed(present)]
    return ops + [
        add(raw, "spec", "http", _place(present, wanted[:number], base))
        for number, (base, raw) in enumerate(wanted)
    ]


def _place(present: Sequence[int], wanted: Sequence[tuple[int, Json]], index: int) -> int:
    """Where the route of this index stands once ours at `present` are gone and the wanted ones are there."""
    return index - sum(own < index for own in present) + sum(base <= index for base, _ in wanted)


def pin(routing: Routing, destination_rule: Json, stable: Hash | None, canary: Hash | None) -> list[Json]:
    """The patch that pins our two subsets to these revisions; None lets a subset select every pod again.

    A subset that does not exist is left out: nothing of ours is in it. One that is there twice is pinned
    twice, for either may be the one in force.
    """
    wanted: dict[Side, Hash | None] = {"stable": stable, "canary": canary}
    ops: list[Json] = []
    for index, subset in enumerate((destination_rule.get("spec") or {}).get("subsets") or []):
        side = routing.side(subset.get("name"))
        if side is not None:
            ops += _pin_labels(("spec", "subsets", index, "labels"), subset.get("labels"), wanted[side])
    return [unchanged(destination_rule), *ops] if ops else []


def pin_service(service: Json, revision: Hash | None) -> list[Json]:
    """The patch that lets a Service select the pods of this revision only; None: of every one, as in git."""
    ops = _pin_labels(("spec", "selector"), (service.get("spec") or {}).get("selector"), revision)
    return [unchanged(service), *ops] if ops else []


def _pin_labels(
    where: tuple[str | int, ...], labels: dict[str, str] | None, revision: Hash | None
) -> list[Json]:
    present = (labels or {}).get(HASH_LABEL)
    if revision == present:
        return []
    if revision is None:
        only = set(labels or {}) == {HASH_LABEL}
        return [remove(*where) if only else remove(*where, HASH_LABEL)]
    return [add(revision, *where, HASH_LABEL) if labels else add({HASH_LABEL: revision}, *where)]
