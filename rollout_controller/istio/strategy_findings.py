"""Where a strategy wants what a route cannot give, or something of the user's stands in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderPin
from rollout_controller.istio.finding import VIRTUAL_SERVICE, error, title
from rollout_controller.istio.mirrors import mirrors_of_ours
from rollout_controller.istio.pins import Unjoinable, join
from rollout_controller.istio.routing import Route, Routing, http_routes, managed_routes, our_host

NO_HTTP_ROUTE: Final = "NoHttpRoute"
PIN_NOT_JOINABLE: Final = "PinNotJoinable"
MIRROR_FIELD: Final = "MirrorField"
MIRROR_TO_CANARY: Final = "MirrorToCanary"


def strategy_findings(
    routing: Routing,
    virtual_services: Iterable[Json],
    destination_rule: Json | None,
    *,
    header_pins: Sequence[HeaderPin],
    mirrors: bool,
    at_rest: bool,
) -> Iterator[Finding]:
    """What is wrong with the managed http routes for these pins, and for `mirrors` if there are any.

    `at_rest`: no release runs, so that a copy to the canary is not ours.
    """
    services = list(virtual_services)
    host = our_host(routing, services, destination_rule)
    managed = [
        (service, [r for r in managed_routes(routing, service, host) if r.section == "http" and r.splits])
        for service in services
    ]
    if services and (header_pins or mirrors) and not any(routes for _, routes in managed):
        what = "header pins" if header_pins else "mirrors"
        yield error(
            NO_HTTP_ROUTE,
            title(VIRTUAL_SERVICE, routing, services[0]["metadata"]["name"]),
            "spec.http",
            f"no http route is managed, and {what} need one: tls and tcp routes have neither",
            "Manage an http route, or take pins and mirrors out of spec.strategy of the Rollout.",
        )
    for service, routes in managed:
        obj, raws = title(VIRTUAL_SERVICE, routing, service["metadata"]["name"]), dict(http_routes(service))
        for route in routes:
            yield from _pin_findings(obj, route, raws[route.index], header_pins)
            if mirrors:
                yield from _mirror_findings(routing, obj, route, raws[route.index], host, at_rest)


def _pin_findings(obj: str, route: Route, raw: Json, pins: Sequence[HeaderPin]) -> Iterator[Finding]:
    for index, match in enumerate(raw.get("match") or [{}]):
        try:
            join([match], pins)
        except Unjoinable as problem:
            yield error(
                PIN_NOT_JOINABLE,
                obj,
                f'{route.path}.match[{index}].headers["{problem.header}"]',
                "the route asks for this header too, and no single match can say both what it says and what"
                " the pin says",
                "Pin another header, or write both as exact values or prefixes.",
            )


def _mirror_findings(
    routing: Routing, obj: str, route: Route, raw: Json, host: str | None, at_rest: bool
) -> Iterator[Finding]:
    if raw.get("mirror"):
        yield error(
            MIRROR_FIELD,
            obj,
            f"{route.path}.mirror",
            "Istio takes either mirror or mirrors, so the copies for the canary cannot stand beside it",
            "Write it as an entry of mirrors, which says the same.",
        )
    if at_rest and mirrors_of_ours(routing, raw, host):
        yield error(
            MIRROR_TO_CANARY,
            obj,
            f"{route.path}.mirrors",
            "the route copies requests to the canary already, where the copies of a release go",
            "Remove the entry: the steps of the Rollout say how much is copied, and when.",
        )
