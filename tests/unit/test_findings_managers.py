"""Tools that apply what is in git, and what to tell them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rollout_controller.core.patch import Json
from rollout_controller.core.release import HeaderMatch, Stage
from rollout_controller.istio import Known
from tests.support.findings import codes, everywhere, routed, ruled, told
from tests.support.istio_objects import ROUTING, half
from tests.support.istio_objects import service as selecting

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


SERVICES = replace(ROUTING, virtual_services=(), destination_rule="", services=("web", "web-canary"))


def pair(*managers: str) -> Known:
    return everywhere(
        selecting({"app": "web"}), owned(selecting({"app": "web"}, "web-canary"), "selector", *managers)
    )


def test_a_tool_that_owns_the_selector_of_one_of_two_services_is_told_to_ignore_our_label() -> None:
    found = told(
        routing=SERVICES, destination_rule=None, virtual_services={}, services=pair("argocd-controller")
    )
    [finding] = [one for one in found if "OwnedByGitOps" in one]
    assert finding.startswith(f"warning OwnedByGitOps: Service shop/web-canary spec.selector: Argo CD {UNDO}")
    assert "kind: Service, name: web-canary" in finding
    assert "['.spec.selector[\"pod-template-hash\"]']" in finding
    subsets = told(services=everywhere(owned(selecting({"app": "web"}), "selector", "argocd-controller")))
    assert subsets == [], "of a Service behind subsets nothing is written"


def test_of_two_deployments_neither_selectors_nor_subsets_are_written_and_no_tool_is_told() -> None:
    for routing in (SERVICES, ROUTING):
        rule = owned(ruled(), "subsets", "argocd-controller")
        found = codes(
            routing=replace(routing, deployments=("web", "web-2")),
            deployment=None,
            destination_rule=rule,
            services=pair("argocd-controller"),
        )
        assert "warning OwnedByGitOps" not in found


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
