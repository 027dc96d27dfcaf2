"""Http routes that never get a request, because routes above them take all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import VIRTUAL_SERVICE, error, named_route, titled, warning
from rollout_controller.istio.gateway_findings import gateways_of
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.matches import taker, takers
from rollout_controller.istio.pins import Unjoinable, join
from rollout_controller.istio.routing import http_routes, is_own

SHADOWED_ROUTE: Final = "ShadowedRoute"
UNREACHABLE_ROUTE: Final = "UnreachableRoute"
SHADOWED_PIN: Final = "ShadowedPin"


def shadow_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """An error where a managed route's requests go to one that is not managed: its weights move nobody.

    Other routes that are never reached are told; they harm no release.
    """
    http = [route for _, route in http_routes(service)]
    managed = {route.index for route in known.managed_http(service)}
    bound = gateways_of(service, known.routing.namespace)
    for index, route in enumerate(http):
        above = [] if is_own(route) else takers(http, index, bound)
        if not above:
            continue
        obj, path = titled(VIRTUAL_SERVICE, service), f"spec.http[{index}]"
        who = " and ".join(named_route(i, http[i]) for i in above)
        verb = "takes" if len(above) == 1 else "take"
        fix = _fix(http, index, above, bound)
        if index in managed and not managed.issuperset(above):
            sentence = f"{who} {verb} all requests of this route, so its weights move nobody"
            yield error(SHADOWED_ROUTE, obj, path, sentence, fix)
        else:
            sentence = f"{who} {verb} all requests of this route, so it is never reached"
            yield warning(UNREACHABLE_ROUTE, obj, path, sentence, fix)


def pin_shadow_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """Routes of others above a managed one that take requests which a header pin sends to the canary.

    A pinned route stands directly before the route that it refines, so below those. A managed route above has
    a pinned route of its own.
    """
    http = [route for _, route in http_routes(service)]
    managed = {route.index for route in known.managed_http(service) if route.splits}
    bound = gateways_of(service, known.routing.namespace)
    for index in sorted(managed):
        if takers(http, index, bound):
            continue  # a finding about the route itself says more
        above = {taker(http, index, match, bound) for match in _pinned(known, http[index])} - {None, *managed}
        for first in sorted(i for i in above if i is not None):
            yield warning(
                SHADOWED_PIN,
                titled(VIRTUAL_SERVICE, service),
                f"spec.http[{index}]",
                f"{named_route(first, http[first])} takes requests that the Rollout's header pins send to the"
                " canary here, so they do not reach it",
                f"{_pin_fix(known, http, index, first, bound)}, or pin another header.",
            )


def _fix(http: Sequence[Json], index: int, above: Sequence[int], bound: Sequence[str]) -> str:
    if _may_move(http, index, above[0], bound):
        return (
            f"Move {named_route(index, http[index])} above spec.http[{above[0]}], or narrow the match there."
        )
    who = " and ".join(named_route(i, http[i]) for i in above)
    them, their = ("it", "its") if len(above) == 1 else ("them", "their")
    return f"Narrow the match of {who}: above {them} this route would take all of {their} requests."


def _pin_fix(known: Inventory, http: Sequence[Json], index: int, first: int, bound: Sequence[str]) -> str:
    if _may_move(http, index, first, bound):
        return f"Move {named_route(index, http[index])} above spec.http[{first}]"
    headers = dict.fromkeys(match.name for pin in known.header_pins for match in pin)
    return f"Exclude {', '.join(headers)} in the match of {named_route(first, http[first])} by withoutHeaders"


def _may_move(http: Sequence[Json], index: int, to: int, bound: Sequence[str]) -> bool:
    """Whether every route that gets requests now still gets some with the one at `index` moved up to `to`."""
    moved = [*http[:to], http[index], *http[to:index], *http[index + 1 :]]
    before = [bool(takers(http, i, bound)) for i in range(to, index) if not is_own(http[i])]
    after = [bool(takers(moved, i + 1, bound)) for i in range(to, index) if not is_own(http[i])]
    return before == after


def _pinned(known: Inventory, route: Json) -> list[Json]:
    """The matches of the pinned route before this one; none where there cannot be one, which is told."""
    try:
        return join(route.get("match") or [], known.header_pins)
    except Unjoinable:
        return []
