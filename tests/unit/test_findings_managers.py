"""Tools that apply what is in git, and what to tell them."""

from __future__ import annotations

import pytest

from rollout_controller.core.patch import Json
from tests.support.findings import codes, routed, ruled, told
from tests.support.istio_objects import half


def owned(obj: Json, field: str, *managers: str, **metadata: dict[str, str]) -> Json:
    entries = [{"manager": manager, "fieldsV1": {"f:spec": {f"f:{field}": {}}}} for manager in managers]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries, **metadata}}


def service(*managers: str, **metadata: dict[str, str]) -> dict[str, Json]:
    return {"web": owned(routed(half(100, 0))["web"], "http", *managers, **metadata)}


WHERE = "warning OwnedByGitOps: VirtualService shop/web spec.http:"
UNDO = "applies it from git and may undo what a release writes here."
TARGET = "[{paths: [/spec/http], target: {kind: VirtualService, name: web}}]"


@pytest.mark.parametrize(
    ("manager", "words"),
    [
        (
            "argocd-controller",
            f"{WHERE} Argo CD {UNDO} In the Application set spec.ignoreDifferences to [{{group:"
            " networking.istio.io, kind: VirtualService, name: web, jqPathExpressions:"
            " ['.spec.http[].route[].weight']}] (or, instead of the expressions, managedFieldsManagers:"
            " [rollout-controller]) and add RespectIgnoreDifferences=true to spec.syncPolicy.syncOptions.",
        ),
        (
            "kustomize-controller",
            f"{WHERE} Flux (kustomize-controller) {UNDO} In the Flux Kustomization set spec.ignore to"
            f" {TARGET}; with a Flux that does not know it, annotate the object with"
            " kustomize.toolkit.fluxcd.io/ssa: IfNotPresent.",
        ),
        (
            "helm-controller",
            f"{WHERE} Flux (helm-controller) {UNDO} In the HelmRelease set spec.driftDetection.ignore to"
            f" {TARGET}.",
        ),
        (
            "helm",
            f"{WHERE} Helm {UNDO} Upgrade the chart only while no release runs: an upgrade writes the chart's"
            " own values here.",
        ),
    ],
)
def test_a_tool_that_owns_the_routes_is_told_with_what_it_has_to_ignore(manager: str, words: str) -> None:
    assert told(virtual_services=service(manager)) == [words]


def test_a_tool_that_owns_the_subsets_is_told_to_ignore_our_label() -> None:
    [finding] = told(destination_rule=owned(ruled(), "subsets", "argocd-controller"))
    assert finding.startswith("warning OwnedByGitOps: DestinationRule shop/web spec.subsets: Argo CD")
    assert "jqPathExpressions: ['.spec.subsets[].labels[\"pod-template-hash\"]']" in finding
    [finding] = told(destination_rule=owned(ruled(), "subsets", "kustomize-controller"))
    assert "[{paths: [/spec/subsets], target: {kind: DestinationRule, name: web}}]" in finding


@pytest.mark.parametrize("manager", ["kubectl", "kubectl-client-side-apply", "rollout-controller", "", "e2e"])
def test_people_and_we_ourselves_are_no_tool(manager: str) -> None:
    assert codes(virtual_services=service(manager)) == []


def test_a_tool_that_owns_other_fields_is_fine() -> None:
    tags = owned(routed(half(100, 0))["web"], "exportTo", "argocd-controller")
    assert codes(virtual_services={"web": tags}) == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}},
        {"annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}},
        {"labels": {"helm.toolkit.fluxcd.io/driftDetection": "disabled"}},
    ],
)
def test_flux_that_was_told_to_leave_the_object_alone_is_fine(metadata: dict[str, dict[str, str]]) -> None:
    assert codes(virtual_services=service("kustomize-controller", **metadata)) == []
