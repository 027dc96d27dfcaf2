"""What the routes and subsets in force say, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rollout_controller.core.patch import Json
from rollout_controller.core.release import Hash, HeaderPin
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.core.world import ForeignWrite
from rollout_controller.istio.edits import split
from rollout_controller.istio.managers import last_stranger
from rollout_controller.istio.mirrors import mirrored, mirrors_by_route
from rollout_controller.istio.pins import in_place, own_routes, wanted_routes
from rollout_controller.istio.routing import SECTIONS, Route, Routing, managed_routes, our_host


@dataclass(frozen=True, slots=True)
class TrafficReading:
    """`canary_weight` is the lowest and highest percent of *our* traffic that the canary subset gets over the
    managed routes, (0, 0) where no route sends to us; `subsets` the revisions to which the stable and the
    canary side are pinned; `changed_by` is who wrote routes after us, `relabelled_by` who wrote subsets or
    selectors, None if nobody did; `pinned_routes`, `mirror`, `routed` and `lacks` are as in
    `core.world.Traffic`.
    """

    canary_weight: tuple[int, int]
    subsets: tuple[Hash | None, Hash | None]
    changed_by: ForeignWrite | None = None
    relabelled_by: ForeignWrite | None = None
    pinned_routes: Literal["none", "ours", "other"] = "none"
    mirror: tuple[int, int] = (0, 0)
    routed: bool = True
    lacks: tuple[bool, bool] = (False, False)


def read_traffic(
    routing: Routing,
    virtual_services: Mapping[str, Json],
    destination_rule: Json | None,
    expected: int | None = None,
    reached: int | None = None,
    *,
    header_pins: Sequence[HeaderPin] = (),
    selectors: tuple[Json | None, Json | None] = (None, None),
    whole_routes: bool = False,
) -> TrafficReading:
    """Read the traffic back. `virtual_services` are those that exist, by name; `selectors` the Services of
    the stable and the canary side in host mode; `whole_routes` says that the release writes more of routes
    than weights.

    Beside foreign destinations a percentage cannot be met exactly (2 % of 70 is 1, which is 1 %): a route
    that says just what `set_traffic` writes for `expected` is read as that, else one that says what it wrote
    for `reached`, the share that was last there: it would else look as if somebody had lowered it.
    """
    services = [
        virtual_services[service.name]
        for service in routing.virtual_services
        if service.name in virtual_services
    ]
    host = our_host(routing, services, destination_rule)
    managed = [(service, managed_routes(routing, service, host)) for service in services]
    asked = [percent for percent in (expected, reached) if percent is not None]
    percents = [_percent(route, asked) for _, routes in managed for route in routes if route.ours > 0]
    copies = [
        mirrored(routing, service["spec"]["http"][route.index], host)
        for service, routes in managed
        for route in routes
        if route.section == "http" and route.splits and route.ours > 0
    ]
    return TrafficReading(
        canary_weight=(min(percents, default=0), max(percents, default=0)),
        subsets=_pinned(routing, destination_rule, selectors),
        changed_by=last_stranger(_routes_written(services), whole_routes=whole_routes),
        relabelled_by=last_stranger(_pins_written(routing, destination_rule, selectors)),
        pinned_routes=_pinned_routes(routing, managed, host, header_pins),
        mirror=(min(copies, default=0), max(copies, default=0)),
        routed=bool(services),
        lacks=_lacking(routing, destination_rule),
    )


def _pinned(
    routing: Routing, destination_rule: Json | None, selectors: tuple[Json | None, Json | None]
) -> tuple[Hash | None, Hash | None]:
    """The revisions that the stable and the canary side are pinned to."""
    if routing.services is not None:
        stable, canary = selectors
        return selected_by(stable), selected_by(canary)
    return (
        pinned_to(destination_rule, routing.stable_subset),
        pinned_to(destination_rule, routing.canary_subset),
    )


def _lacking(routing: Routing, destination_rule: Json | None) -> tuple[bool, bool]:
    """Whether the DestinationRule, where there is one, has no stable and no canary subset."""
    if routing.services is not None or destination_rule is None:
        return False, False
    subsets = (destination_rule.get("spec") or {}).get("subsets") or []
    names = {entry.get("name") for entry in subsets}
    return routing.stable_subset not in names, routing.canary_subset not in names


def _pinned_routes(
    routing: Routing,
    managed: Iterable[tuple[Json, tuple[Route, ...]]],
    host: str | None,
    header_pins: Sequence[HeaderPin],
) -> Literal["none", "ours", "other"]:
    """Whether the routes that we added are all there, in place, and as the pins make them."""
    found: set[Literal["none", "ours", "other"]] = set()
    for service, routes in managed:
        mirrors = mirrors_by_route(routing, service, routes, host)
        wanted = wanted_routes(routing, service, routes, header_pins, mirrors)
        present = own_routes(routing, service)
        if present or wanted:
            as_wanted = in_place(routing, service, wanted)
            found.add("ours" if as_wanted else "other" if present else "none")
    if not found:  # there is no route that a pin could refine
        return "ours" if header_pins else "none"
    return found.pop() if len(found) == 1 else "other"


def _routes_written(services: Iterable[Json]) -> list[tuple[Json, str]]:
    """The lists of routes whose writers are asked about, each with its object."""
    return [
        (service, section)
        for service in services
        for section in SECTIONS
        if section in (service.get("spec") or {})
    ]


def _pins_written(
    routing: Routing, destination_rule: Json | None, selectors: tuple[Json | None, Json | None]
) -> list[tuple[Json, str]]:
    """The fields that pin the two sides, each with its object."""
    if routing.services is not None:
        return [(one, "selector") for one in selectors if one is not None]
    return [(destination_rule, "subsets")] if destination_rule is not None else []


def selected_by(service: Json | None) -> Hash | None:
    """The revision that this Service selects, None if it selects every pod or does not exist."""
    selector = ((service or {}).get("spec") or {}).get("selector") or {}
    return selector.get(HASH_LABEL)


def pinned_to(destination_rule: Json | None, subset: str) -> Hash | None:
    """The revision that this subset selects, None if it selects every pod or does not exist."""
    subsets = ((destination_rule or {}).get("spec") or {}).get("subsets") or []
    labels = next((entry.get("labels") for entry in subsets if entry.get("name") == subset), None)
    return (labels or {}).get(HASH_LABEL)


def _percent(route: Route, asked: Sequence[int]) -> int:
    total, canary = route.ours, route.weight("canary")
    written = next((percent for percent in asked if canary == split(total, percent)), None)
    if written is not None:
        return written
    if canary <= 0 or canary >= total:
        return 0 if canary <= 0 else 100
    return min(max((200 * canary + total) // (2 * total), 1), 99)
