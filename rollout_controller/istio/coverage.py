"""Which requests the managed routes carry: callers that pass them by, and routes with nothing of ours.

A caller whose request passes no managed route gets the canary by its share of pods, whatever the weight. In
the mesh that is everybody who calls a Service that selects the canary's pods by a host that no managed
VirtualService has for the gateway `mesh`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import SERVICE, VIRTUAL_SERVICE, error, title
from rollout_controller.istio.routing import Routing, managed_routes

NOTHING_TO_SHIFT: Final = "NothingToShift"
UNROUTED_PATH: Final = "UnroutedPath"
MESH: Final = "mesh"
"""The gateway that stands for all sidecars; what a VirtualService is bound to when it names none."""
WHOLE: Final = 100
LEAST_TO_SHARE: Final = 2
"""Percent of a route: what stable and canary must have together so that each of them can get any of it."""


def share_findings(routing: Routing, services: Mapping[str, Json], host: str) -> Iterator[Finding]:
    """An error where foreign destinations leave nothing to shift on any managed route."""
    routes = [route for service in services.values() for route in managed_routes(routing, service, host)]
    split = [route for route in routes if route.splits]
    shared = max((route.ours for route in split), default=LEAST_TO_SHARE)
    if shared < LEAST_TO_SHARE and all(sum(d.weight for d in route.destinations) == WHOLE for route in split):
        names = ", ".join(sorted(services))
        yield error(
            NOTHING_TO_SHIFT,
            title(VIRTUAL_SERVICE, routing, names),
            "spec.http",
            f"stable and canary have {shared} % together and the rest goes to others: nothing can be shifted",
            f"Give subset {routing.stable_subset} of {host} the weight that it is to share with the canary.",
        )


def unrouted_findings(
    routing: Routing,
    virtual_services: Collection[Json],
    services: Iterable[Json],
    deployment: Json,
) -> Iterator[Finding]:
    """One warning that names all Services through which callers in the mesh pass by the managed routes.

    Nothing is said where a managed VirtualService is not there, or has no hosts: it is a delegate, and
    whoever delegates to it is not known here. The two Services of host mode select one version each while
    there is a canary.
    """
    template = (deployment["spec"].get("template") or {}).get("metadata") or {}
    pods: dict[str, str] = template.get("labels") or {}
    if len(virtual_services) < len(routing.virtual_services) or not all(map(_hosts, virtual_services)):
        return
    passed_by = sorted(
        service["metadata"]["name"]
        for service in services
        if _selects(service, pods)
        and service["metadata"]["name"] not in (routing.services or ())
        and not _routed(routing, service, virtual_services)
    )
    if not passed_by:
        return
    hosts = ", ".join(passed_by)
    sentence = (
        "callers in the mesh get the canary by its share of pods, whatever the weight: no managed"
        f" VirtualService has the host {hosts} for the gateway mesh"
    )
    obj = f"{SERVICE} {', '.join(f'{routing.namespace}/{name}' for name in passed_by)}"
    yield Finding(UNROUTED_PATH, "warning", obj, "", sentence, _fix(routing, virtual_services, hosts))


def _fix(routing: Routing, virtual_services: Collection[Json], hosts: str) -> str:
    """What to edit: a VirtualService that is in the mesh already, else one that is only at a gateway."""
    meshed = [one for one in virtual_services if _in_mesh(one)]
    chosen = (meshed or list(virtual_services))[0]["metadata"]["name"]
    obj = title(VIRTUAL_SERVICE, routing, chosen)
    if meshed:
        return f"Add {hosts} to spec.hosts of {obj}."
    return (
        f"Add mesh to spec.gateways and {hosts} to spec.hosts of {obj}, or manage another VirtualService that"
        " has them."
    )


def _selects(service: Json, pods: Mapping[str, str]) -> bool:
    selector = (service.get("spec") or {}).get("selector") or {}
    return bool(selector) and selector.items() <= pods.items()


def _routed(routing: Routing, service: Json, virtual_services: Iterable[Json]) -> bool:
    full = routing.resolve(service["metadata"]["name"])
    hosts = [host for one in virtual_services if _in_mesh(one) for host in _hosts(one)]
    return any(_covers(host if "." in host else routing.resolve(host), full) for host in hosts)


def _in_mesh(virtual_service: Json) -> bool:
    gateways = (virtual_service.get("spec") or {}).get("gateways") or [MESH]
    return MESH in gateways


def _hosts(virtual_service: Json) -> list[str]:
    return [host.lower() for host in (virtual_service.get("spec") or {}).get("hosts") or ()]


def _covers(host: str, full: str) -> bool:
    """Whether a host of a VirtualService as Istio takes it, perhaps with a wildcard before, is this name."""
    return full.endswith(host[1:]) if host.startswith("*") else host == full
