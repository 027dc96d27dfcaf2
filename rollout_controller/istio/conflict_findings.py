"""Other VirtualServices for the same host.

Proxies beside pods follow one VirtualService for a host and ignore the others; at a gateway their routes are
joined, those of the older one first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import VIRTUAL_SERVICE, error, named_route, titled, warning
from rollout_controller.istio.gateway_findings import MESH, full_hosts, gateways_of
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.matches import swallows
from rollout_controller.istio.routing import http_routes, is_own

CONFLICTING_VIRTUAL_SERVICE: Final = "ConflictingVirtualService"
ROUTE_TAKEN_AT_GATEWAY: Final = "RouteTakenAtGateway"


def conflict_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """Findings about a VirtualService of ours and others that our namespace's proxies know as well."""
    routing = known.routing
    hosts = full_hosts(service, routing.namespace, routing.cluster_domain)
    bound = frozenset(gateways_of(service, routing.namespace))
    for other in known.routes.objects if hosts else ():
        home = other["metadata"].get("namespace") or routing.namespace
        if home == routing.namespace and other["metadata"]["name"] in known.virtual_services:
            continue
        shared = hosts & full_hosts(other, home, routing.cluster_domain)
        both = bound & frozenset(gateways_of(other, home)) if shared else frozenset()
        if not both or not exported_to(other, home, routing.namespace):
            continue
        if MESH in both:
            yield error(
                CONFLICTING_VIRTUAL_SERVICE,
                titled(VIRTUAL_SERVICE, service),
                "spec.hosts",
                f"{titled(VIRTUAL_SERVICE, other)} routes {', '.join(sorted(shared))} in the mesh as well,"
                " and proxies follow only one of the two",
                "Join them in one VirtualService, or narrow hosts or exportTo of one of them.",
            )
        else:
            yield from _taken(known, service, other, sorted(both))


def exported_to(service: Json, home: str, namespace: str) -> bool:
    """Whether proxies of this namespace know the VirtualService; by default those of all namespaces do."""
    exported = (service.get("spec") or {}).get("exportTo") or ("*",)
    return any(place in {"*", namespace} or (place == "." and home == namespace) for place in exported)


def _taken(known: Inventory, service: Json, other: Json, gateways: list[str]) -> Iterator[Finding]:
    """Our managed routes of which an older VirtualService takes every request at the gateway they share."""
    ours, theirs = (s["metadata"].get("creationTimestamp") or "" for s in (service, other))
    if ours and theirs and ours < theirs:
        return
    http = dict(http_routes(service))
    for route in known.managed_http(service):
        blocks = http[route.index].get("match") or [{}]
        for index, above in http_routes(other):
            if not is_own(above) and all(swallows(above, block) for block in blocks):
                yield warning(
                    ROUTE_TAKEN_AT_GATEWAY,
                    titled(VIRTUAL_SERVICE, service),
                    f"spec.http[{route.index}]",
                    f"{named_route(index, above)} of {titled(VIRTUAL_SERVICE, other)}, for the same host at"
                    f" gateway {', '.join(gateways)}, takes all requests of this route if it comes first",
                    "Join them in one VirtualService, in the order that is meant.",
                )
                break
