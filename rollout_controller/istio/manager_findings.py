"""Tools that apply what is in git again and again, and so may undo the weights and labels of a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import DESTINATION_RULE, SERVICE, VIRTUAL_SERVICE, titled, warning
from rollout_controller.istio.gitops import Field, advice, tool_of
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.routing import managed_routes

OWNED_BY_GITOPS: Final = "OwnedByGitOps"

_BY_THEMSELVES: Final = frozenset({"Argo CD", "Flux", "Helm"})
"""Tools that apply without a person; who else owns a field wrote it once."""
_LEFT_ALONE: Final[Mapping[str, frozenset[str]]] = {
    "kustomize.toolkit.fluxcd.io/ssa": frozenset({"ifnotpresent", "ignore"}),
    "kustomize.toolkit.fluxcd.io/reconcile": frozenset({"disabled"}),
    "helm.toolkit.fluxcd.io/driftdetection": frozenset({"disabled"}),
}
"""Annotations, or labels, by which Flux is told to leave an object as it is."""


def route_manager_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """A GitOps tool that owns the routes of a VirtualService that we write."""
    whole = bool(known.header_pins) or any(stage.mirror for stage in known.stages)
    ours: dict[str, Field] = {
        "http": "routes" if whole else "weights",
        "tls": "tls weights",
        "tcp": "tcp weights",
    }
    managed = {route.section for route in managed_routes(known.routing, service, known.host)}
    yield from _owners(VIRTUAL_SERVICE, service, {field: ours[field] for field in ours if field in managed})


def rule_manager_findings(known: Inventory, rule: Json) -> Iterator[Finding]:
    """A GitOps tool that owns the subsets, in which a release of one Deployment writes labels."""
    if known.routing.deployments is None:
        yield from _owners(DESTINATION_RULE, rule, {"subsets": "labels"})


def selector_manager_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """The same of the selector of a Service that takes the place of a subset."""
    if known.routing.deployments is None:
        yield from _owners(SERVICE, service, {"selector": "selector"})


def _owners(kind: str, obj: Json, ours: Mapping[str, Field]) -> Iterator[Finding]:
    """A finding for each tool that owns any of these fields of `spec`.

    They are atomic: who wrote a part owns the whole. The tool loses it with our first write, unless it
    takes it back: then it was not told to leave it, and the warning stays.
    """
    owned: dict[str, list[str]] = {}
    for entry in obj["metadata"].get("managedFields") or []:
        theirs = (entry.get("fieldsV1") or {}).get("f:spec", {})
        fields = [field for field in ours if f"f:{field}" in theirs]
        if fields:
            owned.setdefault(entry.get("manager") or "", []).extend(fields)
    for manager, fields in sorted(owned.items()):
        tool = tool_of(manager)
        if tool is None or tool.name not in _BY_THEMSELVES or (tool.name == "Flux" and _left_alone(obj)):
            continue
        yield warning(
            OWNED_BY_GITOPS,
            titled(kind, obj),
            f"spec.{fields[0]}",
            f"{tool.name} applies it from git and may undo what a release writes here",
            f"{advice(manager, kind, [ours[field] for field in fields], obj['metadata']['name'])}.",
        )


def _left_alone(obj: Json) -> bool:
    metadata = obj["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    return any(str(value).lower() in _LEFT_ALONE.get(key.lower(), ()) for key, value in marks.items())
