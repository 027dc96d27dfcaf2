"""Destinations that no Service has.

Only hosts of our own namespace are judged: a Service of another one may be in another cluster of the mesh.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import (
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    error,
    guess,
    title,
    titled,
    warning,
)
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.routing import http_routes, is_own

UNKNOWN_HOST: Final = "UnknownHost"


def our_host_findings(known: Inventory, rule: Json) -> Iterator[Finding]:
    """The host whose subsets we move: without its Service nobody reaches any version."""
    host = (rule.get("spec") or {}).get("host") or ""
    if _missing(known, host):
        yield error(
            UNKNOWN_HOST,
            title(DESTINATION_RULE, known.routing, known.routing.destination_rule),
            "spec.host",
            f'no Service of namespace {known.routing.namespace} is called "{_short(known, host)}", so no pod'
            " is reached by this host",
            f"{_guess(known, host)}Create the Service, or correct the host.",
        )


def missing_services(known: Inventory) -> list[str]:
    """The Services of ours of which it is said that they are not there."""
    home = known.routing.namespace
    if known.routing.services is not None:
        there = known.services.names(home)
        return [n for n in known.routing.services if known.services.complete(home) and n not in there]
    return [_short(known, host) for host in known.our_hosts if _missing(known, host)]


def destination_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """Other hosts that routes and mirrors of a VirtualService send to."""
    for index, route in http_routes(service):
        if is_own(route):
            continue
        for path, host in _hosts(route):
            if known.routing.resolve(host) not in known.our_hosts and _missing(known, host):
                yield warning(
                    UNKNOWN_HOST,
                    titled(VIRTUAL_SERVICE, service),
                    f"spec.http[{index}].{path}.host",
                    f'no Service of namespace {known.routing.namespace} is called "{_short(known, host)}", so'
                    " these requests get 503",
                    f"{_guess(known, host)}Create the Service, or correct the host.",
                )


def _hosts(route: Json) -> Iterator[tuple[str, str]]:
    for position, entry in enumerate(route.get("route") or []):
        yield f"route[{position}].destination", (entry.get("destination") or {}).get("host") or ""
    if route.get("mirror"):
        yield "mirror", route["mirror"].get("host") or ""
    for position, entry in enumerate(route.get("mirrors") or []):
        yield f"mirrors[{position}].destination", (entry.get("destination") or {}).get("host") or ""


def _missing(known: Inventory, host: str) -> bool:
    """Whether this is certainly the name of no Service, as neither Kubernetes nor a ServiceEntry has one."""
    routing = known.routing
    full = routing.resolve(host)
    short = _short(known, host)
    if not short or not (known.services.complete(routing.namespace) and known.service_entries.places):
        return False
    entries = (h for e in known.service_entries.objects for h in (e.get("spec") or {}).get("hosts") or ())
    return short not in known.services.names(routing.namespace) and full not in entries


def _short(known: Inventory, host: str) -> str:
    """The name of the Service of our namespace that this host means, "" for any other host."""
    name, _, rest = known.routing.resolve(host).partition(".")
    return name if rest == f"{known.routing.namespace}.svc.{known.routing.cluster_domain}" else ""


def _guess(known: Inventory, host: str) -> str:
    return guess(_short(known, host), known.services.names(known.routing.namespace))
