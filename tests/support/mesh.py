"""What the proxies of the simulated world may be doing: an oracle that shares nothing with the controller.

A proxy follows VirtualServices within `ROUTES_LAG` and DestinationRules within `SUBSETS_LAG`, each in order
but independently of the other: any pair of versions inside those windows may be in force somewhere. In host
mode the selectors of the two Services are what DestinationRules are else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from rollout_controller.ports import Json, Kind
from tests.support.replicasets import TEMPLATE_HASH, is_ready, selects
from tests.support.world import World

ROUTES_LAG: Final = timedelta(seconds=4.9)
SUBSETS_LAG: Final = timedelta(seconds=9.9)
HOST: Final = "web"
CANARY_HOST: Final = "web-canary"
"""In host mode the Service of the canary; the other one is `HOST`."""
ROUTE: Final = "primary"
OWN: Final = "rollout-controller/web/"
"""How the names of routes begin that the Rollout adds."""

Share = tuple[int, int]


def managed_route(service: Json) -> Json:
    """The route that the Rollout manages, {} where there is none."""
    return next((route for route in service["spec"]["http"] if route.get("name") == ROUTE), {})


def route_weights(service: Json) -> dict[str, int]:
    """The weights by side of the route that the Rollout manages; its total is what it says."""
    route = managed_route(service).get("route") or []
    return {side: d["weight"] for d in route if (side := side_of(d["destination"]))}


def side_of(target: Json) -> str | None:
    """Which side a destination is: the subset of our host, or in host mode the Service."""
    if target["host"] == CANARY_HOST:
        return "canary"
    return target.get("subset", "stable") if target["host"] == HOST else None


def own_routes(service: Json) -> list[Json]:
    """The routes that the Rollout added."""
    return [route for route in service["spec"]["http"] if route.get("name", "").startswith(OWN)]


def copied(service: Json) -> float:
    """The percent of the managed route's requests of which the canary gets a copy."""
    mirrors = managed_route(service).get("mirrors") or []
    ours = [entry for entry in mirrors if side_of(entry["destination"]) == "canary"]
    return float(sum(entry.get("percentage", {}).get("value", 100) for entry in ours))


def is_fed(service: Json) -> bool:
    """Whether the canary is sent anything beside its share."""
    return bool(own_routes(service)) or copied(service) > 0


def sides(rules: Iterable[Json]) -> dict[str, dict[str, str]]:
    """The labels by which each side selects its pods; a DestinationRule's subsets before the Services."""
    found: dict[str, dict[str, str]] = {}
    for rule in rules:
        if rule["kind"] == Kind.SERVICE.title:
            found["canary" if rule["metadata"]["name"] == CANARY_HOST else "stable"] = _selector(rule)
        else:
            found |= {subset["name"]: subset.get("labels") or {} for subset in rule["spec"]["subsets"]}
    return found


def _selector(service: Json) -> dict[str, str]:
    return dict(service["spec"].get("selector") or {})


def pins(rules: Iterable[Json]) -> dict[str, str | None]:
    """The revision that each side is pinned to."""
    return {side: labels.get(TEMPLATE_HASH) for side, labels in sides(rules).items()}


def rules_now(world: World) -> list[Json]:
    """All that tells pods apart now."""
    return [*world.every(Kind.SERVICE), *world.every(Kind.DESTINATION_RULE)]


def is_ours(destination: Json) -> bool:
    """Whether a destination is one of those that the Rollout moves weights between."""
    return side_of(destination["destination"]) is not None


def clamped(total: int, percent: int) -> int:
    """What law 4 gives the canary where stable and canary have `total` together."""
    if percent in {0, 100}:
        return total * percent // 100
    return max(0, min(max(1, math.floor(total * percent / 100 + 0.5)), total - 1))


def percent_of(weight: int, total: int) -> int:
    """The least percentage for which law 4 gives this weight: beside foreign shares several may."""
    return next(percent for percent in range(101) if clamped(total, percent) >= weight)


def shares(services: Iterable[Json], rules: Iterable[Json]) -> dict[str, Share]:
    """Lowest and highest percent of requests that each pinned revision gets over the managed routes."""
    pinned = pins(rules)
    rows = [weights for service in services if sum((weights := route_weights(service)).values())]
    revisions = {revision for revision in pinned.values() if revision}
    found = {}
    for revision in revisions:
        sums = [
            percent_of(sum(w for s, w in row.items() if pinned.get(s) == revision), sum(row.values()))
            for row in rows
        ]
        found[revision] = (min(sums), max(sums))
    return found


def gives(world: World, revision: str, percent: int) -> bool:
    """Whether each managed route gives a pinned revision what law 4 says for this percentage."""
    pinned = pins(rules_now(world))
    return all(
        sum(w for subset, w in row.items() if pinned.get(subset) == revision)
        == clamped(sum(row.values()), percent)
        for row in map(route_weights, world.every(Kind.VIRTUAL_SERVICE))
        if sum(row.values())
    )


def shares_now(world: World) -> dict[str, Share]:
    """What the objects say now."""
    return shares(world.every(Kind.VIRTUAL_SERVICE), rules_now(world))


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


def feeds(services: Iterable[Json], rules: Iterable[Json], revision: str) -> bool:
    """Whether a revision is sent pinned requests or copies."""
    return pins(rules).get("canary") == revision and any(map(is_fed, services))


def may_be_fed(world: World, revision: str) -> bool:
    """Whether any proxy may still be sending a revision pinned requests or copies."""
    return any(feeds(*pair, revision) for pair in believed(world))


def ready_pods(world: World, revision: str | None = None) -> int:
    """Endpoints: pods that are ready and not ending, of one revision or of all."""
    return sum(
        is_ready(pod) and revision in {None, pod["metadata"]["labels"].get(TEMPLATE_HASH)}
        for pod in world.every(Kind.POD)
    )


def lost(world: World) -> dict[str, int]:
    """By VirtualService, the percent of requests that some proxy may send to a side without endpoint.

    Requests that are pinned count by themselves, and copies not at all: nobody waits for their answers.
    """
    endpoints = [pod["metadata"]["labels"] for pod in world.every(Kind.POD) if is_ready(pod)]
    found: dict[str, int] = {}
    for services, rules in believed(world):
        answered = {
            side: any(selects({"matchLabels": wanted}, own) for own in endpoints)
            for side, wanted in sides(rules).items()
        }
        for service in services:
            name, weights = service["metadata"]["name"], route_weights(service)
            percent = sum(weight for side, weight in weights.items() if not answered.get(side))
            found[name] = max(found.get(name, 0), percent)
            to = {side_of(d["destination"]) for route in own_routes(service) for d in route["route"]}
            astray = 100 if any(not answered.get(side or "") for side in to) else 0
            found[f"{name}, pinned"] = max(found.get(f"{name}, pinned", 0), astray)
    return found
