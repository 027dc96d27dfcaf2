"""What docs/traffic.md shows of the objects: made by the edits themselves, so never out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

import yaml

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch, HeaderPin
from rollout_controller.istio import ManagedService, Routing, pin, pin_service, set_traffic

STABLE, CANARY = "5d9c7b6f4", "7f8b6c9d5"
PINS: Final[tuple[HeaderPin, ...]] = ((HeaderMatch("x-canary", "exact", "true"),),)
ROUTING: Final = Routing(
    namespace="shop",
    deployment="web",
    virtual_services=(ManagedService("web"),),
    destination_rule="web",
    stable_subset="stable",
    canary_subset="canary",
    rollout="web",
)
HOSTS: Final = Routing(
    namespace="shop",
    deployment="web",
    virtual_services=(ManagedService("web"),),
    destination_rule="",
    stable_subset="",
    canary_subset="",
    services=("web", "web-canary"),
    rollout="web",
)


def _route() -> Json:
    return {
        "name": "primary",
        "match": [{"uri": {"prefix": "/shop"}}],
        "timeout": "5s",
        "retries": {"attempts": 2},
        "route": [
            {"destination": {"host": "web", "subset": "stable"}, "weight": 100},
            {"destination": {"host": "web", "subset": "canary"}, "weight": 0},
        ],
    }


def _virtual_service(*routes: Json, section: str = "http") -> Json:
    return {
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"},
        "spec": {section: list(routes)},
    }


def _rule() -> Json:
    return {
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"},
        "spec": {
            "host": "web",
            "subsets": [
                {"name": "stable", "labels": {"app": "web"}},
                {"name": "canary", "labels": {"app": "web"}},
            ],
        },
    }


def _service(name: str) -> Json:
    return {
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "1"},
        "spec": {"selector": {"app": "web"}},
    }


def _patched(obj: Json, ops: Iterable[Json]) -> Json:
    """The spec after these operations (add and remove; the test of the version says nothing here)."""
    for op in ops:
        if op["op"] != "test":
            _apply(obj, op)
    spec: Json = obj["spec"]
    return spec


def _apply(obj: Json, op: Json) -> None:
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in op["path"].split("/")[1:]]
    at = obj
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if isinstance(at, list):
        at.insert(int(last), op["value"]) if op["op"] == "add" else at.pop(int(last))
    elif op["op"] == "add":
        at[last] = op["value"]
    else:
        del at[last]


def _weights() -> Json:
    service = _virtual_service(_route())
    return _patched(service, set_traffic(ROUTING, service, 5, _rule()))


def _back() -> Json:
    service = _virtual_service(_route())
    return _patched(service, set_traffic(ROUTING, service, 100, _rule()))


def _subsets() -> Json:
    rule = _rule()
    return _patched(rule, pin(ROUTING, rule, STABLE, CANARY))


def _pinned() -> Json:
    service = _virtual_service(_route())
    return _patched(service, set_traffic(ROUTING, service, 0, _rule(), header_pins=PINS))


def _mirrored() -> Json:
    service = _virtual_service(_route())
    return _patched(service, set_traffic(ROUTING, service, 0, _rule(), mirror=20))


def _selectors() -> Mapping[str, Json]:
    pair = dict(zip(("web", "web-canary"), (STABLE, CANARY), strict=True))
    return {name: _patched(service := _service(name), pin_service(service, to)) for name, to in pair.items()}


def _sides() -> Json:
    route = {
        "name": "primary",
        "route": [
            {"destination": {"host": "web", "subset": "v1"}, "weight": 100},
            {"destination": {"host": "web", "subset": "v2"}, "weight": 0},
        ],
    }
    routing = replace(ROUTING, stable_subset="v1", canary_subset="v2", deployments=("web-v1", "web-v2"))
    service = _virtual_service(route)
    return _patched(service, set_traffic(routing, service, 100, _rule()))


def _foreign() -> Json:
    route = _route()
    route["route"] = [
        {"destination": {"host": "web", "subset": "stable"}, "weight": 70},
        {"destination": {"host": "web", "subset": "canary"}, "weight": 0},
        {"destination": {"host": "web-legacy"}, "weight": 30},
    ]
    service = _virtual_service(route)
    return _patched(service, set_traffic(ROUTING, service, 25, _rule()))


def _tcp() -> Json:
    route = {"match": [{"port": 5432}], "route": _route()["route"]}
    service = _virtual_service(route, section="tcp")
    return _patched(service, set_traffic(ROUTING, service, 10, _rule()))


EXAMPLES: Final[Mapping[str, Callable[[], object]]] = {
    "weights": _weights,
    "subsets": _subsets,
    "pins": _pinned,
    "mirror": _mirrored,
    "back": _back,
    "services": _selectors,
    "sides": _sides,
    "foreign": _foreign,
    "tcp": _tcp,
}


def rendered(name: str) -> str:
    """One example as YAML."""
    return yaml.safe_dump(EXAMPLES[name](), sort_keys=False, default_flow_style=False)
