"""Tools that write what is in git: known by their field managers, and what each must be told to ignore.

Such a tool takes a weight or a label of ours for drift and puts back what git says, at every sync.
`spec.http` and `spec.subsets` are atomic lists for the API server: who writes one of them owns all of it, so
no tool can keep the rest of a route and leave us the weight, unless it is told to ignore that field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Field = Literal["weights", "tls weights", "tcp weights", "routes", "labels", "selector"]
"""What of an object is ours to write: the weights of its http routes (or of tls and tcp routes), its http
routes as a whole where we add some, the labels of subsets, a Service's selector."""

DOCS: Final = "docs/traffic.md"

_GROUPS: Final[Mapping[str, str]] = {
    "VirtualService": "networking.istio.io",
    "DestinationRule": "networking.istio.io",
    "Deployment": "apps",
    "Service": '""',
}
_JQ: Final[Mapping[Field, str]] = {
    # A route that redirects has no destinations: without the question marks jq fails there, ignoring nothing.
    "weights": ".spec.http[]?.route[]?.weight",
    "tls weights": ".spec.tls[]?.route[]?.weight",
    "tcp weights": ".spec.tcp[]?.route[]?.weight",
    "routes": ".spec.http",
    "labels": '.spec.subsets[]?.labels["pod-template-hash"]',
    "selector": '.spec.selector["pod-template-hash"]',
}
_POINTERS: Final[Mapping[Field, str]] = {
    # JSON pointers know no wildcard, so the whole list is the least that Flux can be told of.
    "weights": "/spec/http",
    "tls weights": "/spec/tls",
    "tcp weights": "/spec/tcp",
    "routes": "/spec/http",
    "labels": "/spec/subsets",
    "selector": "/spec/selector/pod-template-hash",
}


@dataclass(frozen=True, slots=True)
class Target:
    """The object that a tool resets, and which fields of it are ours."""

    kind: str
    fields: tuple[Field, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as people call it, and what to say to its owner about an object."""

    name: str
    say: Callable[[Target], str]


def _argo_cd(target: Target) -> str:
    paths = _listed(f"'{_JQ[field]}'" for field in target.fields)
    name = f", name: {target.name}" if target.name else ""
    rule = f"group: {_group(target)}, kind: {target.kind}{name}, jqPathExpressions: [{paths}]"
    return (
        f"Let its Application ignore ours: ignoreDifferences: [{{{rule}}}],"
        " syncPolicy.syncOptions: [RespectIgnoreDifferences=true]"
    )


def _flux(target: Target) -> str:
    return (
        f"Let its Kustomization ignore ours: spec.ignore: [{_rule(target)}] (Flux 2.9 or newer; before that"
        f" annotate the {target.kind} in git with kustomize.toolkit.fluxcd.io/ssa: IfNotPresent)"
    )


def _flux_helm(target: Target) -> str:
    return f"Let its HelmRelease ignore ours: spec.driftDetection.ignore: [{_rule(target)}]"


def _helm(target: Target) -> str:
    return f"Upgrade the chart while no release runs, or take the {target.kind} out of it"


def _kubectl_apply(target: Target) -> str:
    return (
        f"Apply the {target.kind} with kubectl apply --server-side: during a release it is then refused with"
        " a conflict, instead of taking the traffic away"
    )


def _kubectl_server_side(target: Target) -> str:
    return f"Apply the {target.kind} without --force-conflicts: during a release it is then refused"


_EXACT: Final[Mapping[str, Tool]] = {
    "kustomize-controller": Tool("Flux", _flux),
    "helm-controller": Tool("Flux", _flux_helm),
    "helm": Tool("Helm", _helm),
    "kubectl-client-side-apply": Tool("kubectl apply", _kubectl_apply),
    "kubectl": Tool("kubectl apply --server-side", _kubectl_server_side),
}
_PREFIXES: Final[Mapping[str, Tool]] = {"argocd": Tool("Argo CD", _argo_cd), "flux": Tool("Flux", _flux)}


def tool_of(manager: str) -> Tool | None:
    """The tool that writes as this field manager, None if it is not one that applies manifests."""
    found = _EXACT.get(manager)
    return found or next((tool for prefix, tool in _PREFIXES.items() if manager.startswith(prefix)), None)


def known_as(manager: str) -> str:
    """A field manager in words: `Argo CD (field manager "argocd-controller")`."""
    tool = tool_of(manager)
    return f'{tool.name} (field manager "{manager}")' if tool else f'field manager "{manager}"'


def advice(manager: str, kind: str, fields: Iterable[Field], name: str = "") -> str | None:
    """What the owner of this tool has to set so that it leaves our fields of such an object alone.

    One sentence without a full stop, short enough for an Event (350 bytes and the object's name); None if
    the manager is no tool that we know.
    """
    tool = tool_of(manager)
    return f"{tool.say(Target(kind, tuple(fields), name))} (see {DOCS})" if tool else None


def _group(target: Target) -> str:
    return _GROUPS.get(target.kind, '"*"')


def _rule(target: Target) -> str:
    """An ignore rule as kustomize-controller and helm-controller read them."""
    paths = _listed(_POINTERS[field] for field in target.fields)
    name = f", name: {target.name}" if target.name else ""
    return f"{{paths: [{paths}], target: {{kind: {target.kind}{name}}}}}"


def _listed(items: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(items))
