"""What the routes and subsets in force say, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rollout_controller.api.names import FIELD_MANAGER
from rollout_controller.core.model import Hash
from rollout_controller.core.patch import Json
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio.edits import split
from rollout_controller.istio.routing import Route, Routing, managed_routes, our_host


@dataclass(frozen=True, slots=True)
class TrafficReading:
    """`canary_weight` is the lowest and highest percent of *our* traffic that the canary subset gets over the
    managed routes, (0, 0) where no route sends to us; `subsets` the revisions to which the stable and the
    canary subset are pinned; `changed_by` the field manager that wrote routes or subsets after us, "" if
    nobody did.
    """

    canary_weight: tuple[int, int]
    subsets: tuple[Hash | None, Hash | None]
    changed_by: str = ""


def read_traffic(
    routing: Routing,
    virtual_services: Mapping[str, Json],
    destination_rule: Json | None,
    expected: int | None = None,
) -> TrafficReading:
    """Read the traffic back. `virtual_services` are those that exist, by name.

    Beside foreign destinations a percentage cannot be met exactly (5 % of 70 is 4): a route that says just
    what `set_weight` writes for `expected` is read as that.
    """
    services = [
        virtual_services[service.name]
        for service in routing.virtual_services
        if service.name in virtual_services
    ]
    host = our_host(routing, services, destination_rule)
    routes = [route for service in services for route in managed_routes(routing, service, host)]
    percents = [_percent(route, expected) for route in routes if route.ours > 0] or [0]
    return TrafficReading(
        canary_weight=(min(percents), max(percents)),
        subsets=(
            pinned_to(destination_rule, routing.stable_subset),
            pinned_to(destination_rule, routing.canary_subset),
        ),
        changed_by=_last_stranger(
            [*((service, "http") for service in services), (destination_rule or {"metadata": {}}, "subsets")]
        ),
    )


def pinned_to(destination_rule: Json | None, subset: str) -> Hash | None:
    """The revision that this subset selects, None if it selects every pod or does not exist."""
    subsets = ((destination_rule or {}).get("spec") or {}).get("subsets") or []
    labels = next((entry.get("labels") for entry in subsets if entry.get("name") == subset), None)
    return (labels or {}).get(HASH_LABEL)


def _percent(route: Route, expected: int | None) -> int:
    total, canary = route.ours, route.weight("canary")
    if expected is not None and canary == split(total, expected):
        return expected
    if canary <= 0 or canary >= total:
        return 0 if canary <= 0 else 100
    return min(max((200 * canary + total) // (2 * total), 1), 99)


def _last_stranger(objects: Iterable[tuple[Json, str]]) -> str:
    """Who wrote after us: each object comes with the field of its spec that is asked about.

    `http` and `subsets` are atomic lists for the API server, so their managers wrote them as a whole.
    """
    last = [max(_writers(item, field), default=("", False, "")) for item, field in objects]
    return max((writer for writer in last if writer[1]), default=("", False, ""))[2]


def _writers(item: Json, field: str) -> Iterator[tuple[str, bool, str]]:
    """When, whether it was somebody else, who. Times are whole seconds: of two writes in the same second
    somebody else's came after ours, or we would not ask."""
    for entry in item["metadata"].get("managedFields") or []:
        if f"f:{field}" in (entry.get("fieldsV1") or {}).get("f:spec", {}):
            who = entry.get("manager") or ""
            yield entry.get("time") or "", who != FIELD_MANAGER, who
