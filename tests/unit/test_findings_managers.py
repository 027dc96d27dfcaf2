"""Tools that apply what is in git, and what to tell them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout_controller.core.model import HeaderMatch, Stage
from rollout_controller.core.patch import Json
from tests.support.findings import codes, routed, ruled, told
from tests.support.istio_objects import half

PINS = ((HeaderMatch("x-canary", "exact", "true"),),)
MIRROR = Stage("mirror", 0, 20, 2, timedelta(seconds=60), mirror=20)


def owned(obj: Json, field: str, *managers: str, **metadata: dict[str, str]) -> Json:
    entries = [{"manager": manager, "fieldsV1": {"f:spec": {f"f:{field}": {}}}} for manager in managers]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries, **metadata}}


def service(*managers: str, **metadata: dict[str, str]) -> dict[str, Json]:
    return {"web": owned(routed(half(100, 0))["web"], "http", *managers, **metadata)}


WHERE = "warning OwnedByGitOps: VirtualService shop/web spec.http:"
UNDO = "applies it from git and may undo what a release writes here."


@pytest.mark.parametrize(
    ("manager", "tool", "what"),
    [
        ("argocd-controller", "Argo CD", "jqPathExpressions: ['.spec.http[]?.route[]?.weight']"),
        ("kustomize-controller", "Flux", "spec.ignore: [{paths: [/spec/http], target: {kind: VirtualService"),
        ("helm-controller", "Flux", "spec.driftDetection.ignore: [{paths: [/spec/http]"),
        ("helm", "Helm", "Upgrade the chart while no release runs"),
    ],
)
def test_a_tool_that_owns_the_routes_is_told_with_what_it_has_to_ignore(
    manager: str, tool: str, what: str
) -> None:
    [finding] = told(virtual_services=service(manager))
    assert finding.startswith(f"{WHERE} {tool} {UNDO} ")
    assert what in finding
    assert finding.endswith("(see docs/traffic.md).")


def test_with_pins_or_mirrors_the_routes_as_a_whole_are_to_be_ignored() -> None:
    pinned = told(virtual_services=service("argocd-controller"), header_pins=PINS)
    mirrored = told(virtual_services=service("argocd-controller"), stages=(MIRROR,))
    for [finding] in (pinned, mirrored):
        assert "jqPathExpressions: ['.spec.http']" in finding


def test_a_tool_that_owns_tcp_routes_is_told_if_they_are_managed() -> None:
    tcp = [{"match": [{"port": 5432}], "route": half(100, 0)["route"]}]
    ours = routed(half(100, 0), tcp=tcp)["web"]
    [finding] = told(virtual_services={"web": owned(ours, "tcp", "argocd-controller")})
    assert "VirtualService shop/web spec.tcp: Argo CD" in finding
    assert "'.spec.tcp[]?.route[]?.weight'" in finding
    others = routed(half(100, 0), tcp=[{"route": [{"destination": {"host": "db.example"}}]}])["web"]
    assert codes(virtual_services={"web": owned(others, "tcp", "argocd-controller")}) == []


def test_a_tool_that_owns_the_subsets_is_told_to_ignore_our_label() -> None:
    [finding] = told(destination_rule=owned(ruled(), "subsets", "argocd-controller"))
    assert finding.startswith("warning OwnedByGitOps: DestinationRule shop/web spec.subsets: Argo CD")
    assert "['.spec.subsets[]?.labels[\"pod-template-hash\"]']" in finding


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
