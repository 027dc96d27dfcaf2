"""Which tool resets what is ours, and what its owner is told to set."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout_controller.istio import gitops

PAGE = (Path(__file__).parents[2] / gitops.DOCS).read_text()
EVENT = 1024
"""Bytes that fit into an Event; the sentence before the advice wants its part of them."""


@pytest.mark.parametrize(
    ("manager", "tool"),
    [
        ("argocd-controller", "Argo CD"),
        ("argocd-application-controller", "Argo CD"),
        ("kustomize-controller", "Flux"),
        ("helm-controller", "Flux"),
        ("flux-client-side-apply", "Flux"),
        ("helm", "Helm"),
        ("kubectl-client-side-apply", "kubectl apply"),
        ("kubectl", "kubectl apply --server-side"),
    ],
)
def test_a_tool_is_known_by_its_field_manager(manager: str, tool: str) -> None:
    assert gitops.known_as(manager) == f'{tool} (field manager "{manager}")'


@pytest.mark.parametrize(
    "manager", ["kubectl-edit", "kubectl-patch", "kiali", "Mozilla", "pilot-discovery", "helmsman", ""]
)
def test_people_and_other_controllers_are_no_such_tool(manager: str) -> None:
    assert gitops.tool_of(manager) is None
    assert gitops.advice(manager, "VirtualService", ["weights"]) is None
    assert gitops.known_as(manager) == f'field manager "{manager}"'


def snippet(text: str, opening: str) -> Any:
    """The YAML that follows `opening` in a piece of advice, up to where its brackets close."""
    rest = text.partition(opening)[2]
    depth = 0
    for at, char in enumerate(rest):
        depth += {"[": 1, "]": -1}.get(char, 0)
        if depth == 0:
            return yaml.safe_load(rest[: at + 1])
    raise AssertionError(f"no {opening} in {text}")


def test_argo_cd_is_told_to_ignore_the_weights_and_to_respect_that_when_it_syncs() -> None:
    text = gitops.advice("argocd-controller", "VirtualService", ["weights"], "web")
    assert text is not None
    assert snippet(text, "ignoreDifferences: ") == [
        {
            "group": "networking.istio.io",
            "kind": "VirtualService",
            "name": "web",
            "jqPathExpressions": [".spec.http[]?.route[]?.weight"],
        }
    ]
    assert snippet(text, "syncOptions: ") == ["RespectIgnoreDifferences=true"]


def test_argo_cd_is_told_to_ignore_the_pins_of_a_destination_rule() -> None:
    text = gitops.advice("argocd-controller", "DestinationRule", ["labels"])
    assert text is not None
    (rule,) = snippet(text, "ignoreDifferences: ")
    assert rule == {
        "group": "networking.istio.io",
        "kind": "DestinationRule",
        "jqPathExpressions": ['.spec.subsets[]?.labels["pod-template-hash"]'],
    }


def test_flux_is_told_the_list_because_a_json_pointer_has_no_wildcard() -> None:
    text = gitops.advice("kustomize-controller", "VirtualService", ["weights", "routes"], "web")
    assert text is not None
    assert snippet(text, "spec.ignore: ") == [
        {"paths": ["/spec/http"], "target": {"kind": "VirtualService", "name": "web"}}
    ]
    assert "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent" in text


def test_a_helm_release_of_flux_has_a_place_of_its_own_for_that() -> None:
    text = gitops.advice("helm-controller", "DestinationRule", ["labels"])
    assert text is not None
    assert snippet(text, "spec.driftDetection.ignore: ") == [
        {"paths": ["/spec/subsets"], "target": {"kind": "DestinationRule"}}
    ]


@pytest.mark.parametrize("manager", ["helm", "kubectl-client-side-apply", "kubectl"])
def test_tools_without_a_list_of_exceptions_are_told_what_to_do_instead(manager: str) -> None:
    text = gitops.advice(manager, "VirtualService", ["weights"], "web")
    assert text is not None
    assert "VirtualService" in text


@pytest.mark.parametrize("manager", ["argocd-controller", "kustomize-controller", "helm-controller", "helm"])
@pytest.mark.parametrize("fields", [("weights", "tls weights", "tcp weights"), ("labels",), ("selector",)])
def test_advice_leaves_room_in_an_event_for_what_happened(
    manager: str, fields: tuple[gitops.Field, ...]
) -> None:
    text = gitops.advice(manager, "DestinationRule", fields, "n" * 63)
    assert text is not None
    assert len(text.encode()) < EVENT // 2
    assert gitops.DOCS in text


def shown(kind: str) -> Any:
    """The object of this kind in the page that the advice points to."""
    for block in PAGE.split("```yaml\n")[1:]:
        for document in yaml.safe_load_all(block.partition("```")[0]):
            if isinstance(document, dict) and document.get("kind") == kind:
                return document
    raise AssertionError(f"no {kind} in {gitops.DOCS}")


def test_the_page_shows_what_the_advice_says() -> None:
    argo = shown("Application")["spec"]
    for kind, field in (("VirtualService", "weights"), ("DestinationRule", "labels")):
        text = gitops.advice("argocd-controller", kind, [field], "web")  # type: ignore[list-item]
        (rule,) = snippet(text or "", "ignoreDifferences: ")
        assert rule in argo["ignoreDifferences"]
        text = gitops.advice("kustomize-controller", kind, [field], "web")  # type: ignore[list-item]
        (rule,) = snippet(text or "", "spec.ignore: ")
        assert rule in shown("Kustomization")["spec"]["ignore"]
    assert argo["syncPolicy"]["syncOptions"] == ["RespectIgnoreDifferences=true"]
