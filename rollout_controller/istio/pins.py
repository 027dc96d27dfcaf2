"""Routes that we add for header pins: each stands directly before the route that it refines.

Istio takes the first route whose match holds. A pinned route joins its base route's matches with the pins
(path AND header; several on either side are multiplied out), copies every other field of it, and sends to the
canary alone. It is made from the base route as it stands, so that it follows when that is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch, HeaderPin
from rollout_controller.istio.routing import Route, Routing, http_routes, is_own


class Unjoinable(ValueError):
    """A header that route and pin both ask for, where no single match says the same as both: `header`."""

    def __init__(self, header: str) -> None:
        super().__init__(header)
        self.header = header


def pinned_route(
    base: Json, canary: int, pins: Sequence[HeaderPin], name: str, is_ours: Sequence[int] = ()
) -> Json | None:
    """The route before `base` that sends what `pins` choose to its destination number `canary`.

    None where no request matches both. `is_ours` are the indexes of mirrors that we added to the base.
    Raises Unjoinable.
    """
    matches = join(base.get("match") or [], pins)
    if not matches:
        return None
    target = {key: deepcopy(value) for key, value in base["route"][canary].items() if key != "weight"}
    kept = {key: deepcopy(value) for key, value in base.items() if key not in {"name", "match", "route"}}
    mirrors = [one for index, one in enumerate(kept.pop("mirrors", None) or []) if index not in is_ours]
    if mirrors:
        kept["mirrors"] = mirrors
    return {"name": name, "match": matches, **kept, "route": [target]}


def join(matches: Sequence[Json], pins: Sequence[HeaderPin]) -> list[Json]:
    """All matches that hold where one of `matches` (none: always) and one of `pins` hold.

    Raises Unjoinable.
    """
    joined = (_both(match, pin) for match in (matches or [{}]) for pin in pins)
    return [one for one in joined if one is not None]


def _both(match: Json, pin: HeaderPin) -> Json | None:
    headers: dict[str, Any] = dict(match.get("headers") or {})
    present = {name.lower(): name for name in headers}
    for wanted in pin:
        name = present.get(wanted.name, wanted.name)
        both = _either_value(headers.get(name), wanted)
        if both is None:
            return None
        headers[name] = both
    return {**deepcopy(match), "headers": headers}


def _either_value(there: Json | None, wanted: HeaderMatch) -> Json | None:
    """The value that satisfies both, None if there is none. Raises Unjoinable."""
    value: Json = {wanted.how: wanted.value}
    if not there or there == value:  # an empty match asks only that the header is there
        return value
    ((how, text),) = there.items() if len(there) == 1 else (("", ""),)
    if wanted.how == "exact" and how in {"exact", "prefix"}:
        holds = wanted.value == text if how == "exact" else wanted.value.startswith(text)
        return value if holds else None
    if wanted.how == "prefix" and how in {"exact", "prefix"}:
        if text.startswith(wanted.value):
            return there
        return value if how == "prefix" and wanted.value.startswith(text) else None
    raise Unjoinable(wanted.name)


def own_routes(routing: Routing, virtual_service: Json) -> list[tuple[int, Json]]:
    """The routes that this Rollout added, with their indexes."""
    return [
        (index, raw)
        for index, raw in http_routes(virtual_service)
        if str(raw.get("name") or "").startswith(routing.own)
    ]


def wanted_routes(
    routing: Routing,
    virtual_service: Json,
    routes: Iterable[Route],
    pins: Sequence[HeaderPin],
    mirrors: Mapping[int, Sequence[int]],
) -> list[tuple[int, Json]]:
    """The routes that are to stand there for these pins, each with the index of the route that it refines.

    `mirrors` are, by route index, the indexes of the mirrors that are ours. Where pins and a route cannot be
    joined there is none: preflight has told.
    """
    found: list[tuple[int, Json]] = []
    if not pins:
        return found
    raws = dict(http_routes(virtual_service))
    for route in routes:
        if route.section != "http" or not route.splits or route.ours <= 0:
            continue
        name, canary = _name(routing, virtual_service, route), route.of("canary")[0].index
        try:
            pinned = pinned_route(raws[route.index], canary, pins, name, mirrors.get(route.index, ()))
        except Unjoinable:
            continue
        if pinned is not None:
            found.append((route.index, pinned))
    return found


def _name(routing: Routing, virtual_service: Json, route: Route) -> str:
    """After the name of the route that is refined or, if it has none, its place in git."""
    before = sum(1 for index, raw in http_routes(virtual_service) if index < route.index and is_own(raw))
    return f"{routing.own}pin/" + (route.name or f"http-{route.index - before}")


def in_place(routing: Routing, virtual_service: Json, wanted: Sequence[tuple[int, Json]]) -> bool:
    """Whether exactly the wanted routes stand there, each directly before its base."""
    return own_routes(routing, virtual_service) == [(base - 1, raw) for base, raw in wanted]
