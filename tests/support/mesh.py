"""What the proxies of the simulated world may be doing: an oracle that shares nothing with the controller.

A proxy follows VirtualServices within `ROUTES_LAG` and DestinationRules within `SUBSETS_LAG`, each in order
but independently of the other: any pair of versions inside those windows may be in force somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from rollout_controller.ports import Json, Kind
from tests.support.replicasets import TEMPLATE_HASH, is_ready, selects
from tests.support.world import World

ROUTES_LAG: Final = timedelta(seconds=4.9)
SUBSETS_LAG: Final = timedelta(seconds=9.9)
HOST: Final = "web"
ROUTE: Final = "primary"

Share = tuple[int, int]


def route_weights(service: Json) -> dict[str, int]:
    """The weights by subset of the route that the Rollout manages; its total is what it says."""
    for route in service["spec"]["http"]:
        if route.get("name") == ROUTE:
            return {d["destination"]["subset"]: d["weight"] for d in route["route"] if _ours(d)}
    return {}


def _ours(destination: Json) -> bool:
    target = destination["destination"]
    return target["host"] == HOST and "subset" in target


def pins(rule: Json) -> dict[str, str | None]:
    """The revision that each subset is pinned to."""
    return {s["name"]: (s.get("labels") or {}).get(TEMPLATE_HASH) for s in rule["spec"]["subsets"]}


def shares(services: Iterable[Json], rules: Iterable[Json]) -> dict[str, Share]:
    """Lowest and highest percent of requests that each pinned revision gets over the managed routes."""
    pinned: dict[str, str | None] = {}
    for rule in rules:
        pinned |= pins(rule)
    rows = [weights for service in services if (weights := route_weights(service))]
    revisions = {revision for revision in pinned.values() if revision}
    found = {}
    for revision in revisions:
        sums = [
            100 * sum(w for s, w in row.items() if pinned.get(s) == revision) // sum(row.values())
            for row in rows
        ]
        found[revision] = (min(sums), max(sums))
    return found


def shares_now(world: World) -> dict[str, Share]:
    """What the objects say now."""
    return shares(world.every(Kind.VIRTUAL_SERVICE), world.every(Kind.DESTINATION_RULE))


def in_force(world: World, lag: timedelta, of: str) -> list[tuple[datetime, tuple[Json, ...]]]:
    """The versions of "services" or "rules" that some proxy may still follow, and since when they were.

    Those of the last `lag`, and the one before.
    """
    versions: list[tuple[datetime, tuple[Json, ...]]] = []
    for push in reversed(world.pushes):
        version: tuple[Json, ...] = getattr(push, of)
        if versions and versions[-1][1] == version:
            versions[-1] = (push.at, version)
            continue
        if versions and versions[-1][0] <= world.now - lag:
            break
        versions.append((push.at, version))
    return versions


def believed(world: World) -> Iterator[tuple[tuple[Json, ...], tuple[Json, ...]]]:
    """Every pair of VirtualServices and DestinationRules that some proxy may follow now."""
    rules = in_force(world, SUBSETS_LAG, "rules")
    for _, services in in_force(world, ROUTES_LAG, "services"):
        for _, rule in rules:
            yield services, rule


def highest_share(world: World, revision: str) -> int:
    """The largest share that any proxy may still be giving a revision."""
    return max((shares(*pair).get(revision, (0, 0))[1] for pair in believed(world)), default=0)


def ready_pods(world: World, revision: str | None = None) -> int:
    """Endpoints: pods that are ready and not ending, of one revision or of all."""
    return sum(
        is_ready(pod) and revision in {None, pod["metadata"]["labels"].get(TEMPLATE_HASH)}
        for pod in world.every(Kind.POD)
    )


def lost(world: World) -> dict[str, int]:
    """By VirtualService, the percent of requests that some proxy may send to a subset without endpoint."""
    endpoints = [pod["metadata"]["labels"] for pod in world.every(Kind.POD) if is_ready(pod)]
    found: dict[str, int] = {}
    for services, rules in believed(world):
        labels = {s["name"]: s.get("labels") for rule in rules for s in rule["spec"]["subsets"]}
        answered = {
            subset: any(selects({"matchLabels": wanted}, own) for own in endpoints)
            for subset, wanted in labels.items()
        }
        for service in services:
            name, weights = service["metadata"]["name"], route_weights(service)
            percent = sum(weight for subset, weight in weights.items() if not answered.get(subset))
            found[name] = max(found.get(name, 0), percent)
    return found
