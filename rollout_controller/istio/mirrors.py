"""Copies of requests for the canary: one entry of ours in a route's `mirrors`, beside those of others."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from rollout_controller.core.patch import Json, add, remove
from rollout_controller.istio.routing import Route, Routing, http_routes


def mirrors_of_ours(routing: Routing, raw: Json, host: str | None) -> list[int]:
    """The indexes of the entries that copy to the canary."""
    return [
        index
        for index, entry in enumerate(raw.get("mirrors") or [])
        if routing.side_of(entry.get("destination") or {}, host) == "canary"
    ]


def mirrors_by_route(
    routing: Routing, virtual_service: Json, routes: Iterable[Route], host: str | None
) -> dict[int, list[int]]:
    """The same for each of these http routes, by its index."""
    raws = dict(http_routes(virtual_service))
    return {
        route.index: mirrors_of_ours(routing, raws[route.index], host)
        for route in routes
        if route.section == "http"
    }


def mirrored(routing: Routing, raw: Json, host: str | None) -> int:
    """The percent of requests that are copied to the canary. Without percentage Istio copies all."""
    ours = mirrors_of_ours(routing, raw, host)
    return min(round(sum(_percent(raw["mirrors"][index]) for index in ours)), 100)


def _percent(entry: Json) -> float:
    percentage: Any = entry.get("percentage")
    return 100.0 if percentage is None else float(percentage.get("value") or 0)


def mirror_ops(
    routing: Routing, route: Route, raw: Json, host: str | None, percent: int, at: int
) -> list[Json]:
    """The operations that copy `percent` of this route's requests to the canary. `at` is its index then."""
    where = ("spec", "http", at, "mirrors")
    present, ours = raw.get("mirrors") or [], mirrors_of_ours(routing, raw, host)
    if not percent:
        if not ours:
            return []
        if len(ours) == len(present):
            return [remove(*where)]
        return [remove(*where, index) for index in reversed(ours)]
    more = [remove(*where, index) for index in reversed(ours[1:])]
    if ours:
        same = _percent(present[ours[0]]) == percent
        return more if same else [*more, add({"value": percent}, *where, ours[0], "percentage")]
    target = deepcopy(raw["route"][route.of("canary")[0].index]["destination"])
    entry = {"destination": target, "percentage": {"value": percent}}
    return [add(entry, *where, len(present)) if present else add([entry], *where)]
