"""The two edits that a release makes, as JSON patches: weights of our destinations, hashes in our subsets.

Every patch begins with a test of the resourceVersion of the object it was computed from, and is empty when
the object already says so. Fields that are not ours are not in any patch.

Two forms mean the same to Istio, and an edit there and back ends in the first of each: a subset without
`labels`, or with an empty map; a destination with `weight: 0`, or without a weight beside others.
"""

from __future__ import annotations

from rollout_controller.core.model import Hash
from rollout_controller.core.patch import Json, add, remove, unchanged
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio.routing import Routing, Side, managed_routes, our_host


def split(total: int, percent: int) -> int:
    """The canary's weight where stable and canary have `total` together.

    Rounded, but for 0 < percent < 100 both sides keep at least 1: a step must reach somebody, and must not
    reach everybody.
    """
    if not 0 < percent < 100:
        return total if percent >= 100 else 0
    return max(min(max((total * percent + 50) // 100, 1), total - 1), 0)


def set_weight(
    routing: Routing, virtual_service: Json, percent: int, destination_rule: Json | None = None
) -> list[Json]:
    """The patch that gives the canary `percent` of our share on each managed route of this VirtualService.

    A route's total stays what it is. A route with only one of our two destinations is left alone, for
    there is nothing to shift between; `preflight` has told. The DestinationRule says which host is ours;
    without it, see `our_host`.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"expected a weight from 0 to 100, found {percent}")
    host = our_host(routing, [virtual_service], destination_rule)
    ops: list[Json] = []
    for route in managed_routes(routing, virtual_service, host):
        stable, canary, total = route.of("stable"), route.of("canary"), route.ours
        if not stable or not canary or total <= 0:
            continue
        share = split(total, percent)
        wanted = {canary[0].index: share, stable[0].index: total - share}
        for destination in (*stable, *canary):
            weight = wanted.get(destination.index, 0)
            if weight != destination.weight:
                ops.append(add(weight, "spec", "http", route.index, "route", destination.index, "weight"))
    return [unchanged(virtual_service), *ops] if ops else []


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
            ops += _pin_subset(index, subset.get("labels"), wanted[side])
    return [unchanged(destination_rule), *ops] if ops else []


def _pin_subset(index: int, labels: dict[str, str] | None, revision: Hash | None) -> list[Json]:
    where = ("spec", "subsets", index, "labels")
    present = (labels or {}).get(HASH_LABEL)
    if revision == present:
        return []
    if revision is None:
        only = set(labels or {}) == {HASH_LABEL}
        return [remove(*where) if only else remove(*where, HASH_LABEL)]
    return [add(revision, *where, HASH_LABEL) if labels else add({HASH_LABEL: revision}, *where)]
