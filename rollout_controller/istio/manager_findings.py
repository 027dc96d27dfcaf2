"""Tools that apply what is in git again and again, and so may undo the weights and labels of a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rollout_controller.core.model import Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio.finding import DESTINATION_RULE, VIRTUAL_SERVICE, titled, warning

OWNED_BY_GITOPS: Final = "OwnedByGitOps"

_LEFT_ALONE: Final[Mapping[str, frozenset[str]]] = {
    "kustomize.toolkit.fluxcd.io/ssa": frozenset({"ifnotpresent", "ignore"}),
    "kustomize.toolkit.fluxcd.io/reconcile": frozenset({"disabled"}),
    "helm.toolkit.fluxcd.io/driftdetection": frozenset({"disabled"}),
}
"""Annotations, or labels, by which Flux is told to leave an object as it is."""


def manager_findings(kind: str, obj: Json) -> Iterator[Finding]:
    """A GitOps tool that owns `spec.http` of a VirtualService, or `spec.subsets` of a DestinationRule.

    Both are atomic lists, so who wrote a part owns the whole. The tool loses it with our first write, unless
    it takes it back: then it was not told to leave it, and the warning stays.
    """
    field = "http" if kind == VIRTUAL_SERVICE else "subsets"
    owners = {
        entry.get("manager") or ""
        for entry in obj["metadata"].get("managedFields") or []
        if f"f:{field}" in (entry.get("fieldsV1") or {}).get("f:spec", {})
    }
    for manager in sorted(owners):
        tool = tool_of(manager)
        if tool is not None and not (tool.startswith("Flux") and _left_alone(obj)):
            yield warning(
                OWNED_BY_GITOPS,
                titled(kind, obj),
                f"spec.{field}",
                f"{tool} applies it from git and may undo what a release writes here",
                what_to_ignore(manager, kind, obj["metadata"]["name"]),
            )


def tool_of(manager: str) -> str | None:
    """The GitOps tool that writes under this name of a field manager, None for anybody else."""
    if manager.startswith("argocd"):
        return "Argo CD"
    return {
        "kustomize-controller": "Flux (kustomize-controller)",
        "helm-controller": "Flux (helm-controller)",
        "helm": "Helm",
    }.get(manager)


def what_to_ignore(manager: str, kind: str, name: str) -> str:
    """What to tell the tool of this field manager, so that it leaves alone what a release writes."""
    expression = (
        ".spec.http[].route[].weight"
        if kind == VIRTUAL_SERVICE
        else f'.spec.subsets[].labels["{HASH_LABEL}"]'
    )
    rule = f"[{{paths: [/spec/{_field(kind)}], target: {{kind: {kind}, name: {name}}}}}]"
    if manager.startswith("argocd"):
        return (
            "In the Application set spec.ignoreDifferences to [{group: networking.istio.io,"
            f" kind: {kind}, name: {name}, jqPathExpressions: ['{expression}']}}] (or, instead of the"
            " expressions, managedFieldsManagers: [rollout-controller]) and add RespectIgnoreDifferences=true"
            " to spec.syncPolicy.syncOptions."
        )
    if manager == "kustomize-controller":
        return (
            f"In the Flux Kustomization set spec.ignore to {rule}; with a Flux that does not know it,"
            " annotate the object with kustomize.toolkit.fluxcd.io/ssa: IfNotPresent."
        )
    if manager == "helm-controller":
        return f"In the HelmRelease set spec.driftDetection.ignore to {rule}."
    return "Upgrade the chart only while no release runs: an upgrade writes the chart's own values here."


def _field(kind: str) -> str:
    return {VIRTUAL_SERVICE: "http", DESTINATION_RULE: "subsets"}[kind]


def _left_alone(obj: Json) -> bool:
    metadata = obj["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    return any(str(value).lower() in _LEFT_ALONE.get(key.lower(), ()) for key, value in marks.items())
