"""The form of an object in a file, whatever stands beside it: versions, names, fields and types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from rollout_controller.api.names import API_VERSION, GROUP, KIND
from rollout_controller.cli.manifests import Manifest
from rollout_controller.core.finding import Finding
from rollout_controller.core.spec_findings import UNKNOWN_FIELD
from rollout_controller.istio.finding import error, guess
from rollout_controller.istio.shapes import WRONG_TYPE, shape_findings

UNKNOWN_VERSION: Final = "UnknownVersion"
NAMELESS: Final = "Nameless"

GROUPS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "": frozenset({"Service", "Namespace"}),
        "apps": frozenset({"Deployment"}),
        "autoscaling": frozenset({"HorizontalPodAutoscaler"}),
        "networking.istio.io": frozenset({"VirtualService", "DestinationRule", "Gateway", "ServiceEntry"}),
        "security.istio.io": frozenset({"PeerAuthentication"}),
    }
)
"""The kinds that are looked at, by their API group."""
_BESIDE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "": frozenset({"ServiceAccount", "Node", "Pod", "Secret", "ConfigMap", "Endpoints"}),
        "apps": frozenset({"DaemonSet", "StatefulSet", "ReplicaSet", "ControllerRevision"}),
        "networking.istio.io": frozenset(
            {"EnvoyFilter", "ProxyConfig", "Sidecar", "WorkloadEntry", "WorkloadGroup"}
        ),
        "security.istio.io": frozenset({"AuthorizationPolicy", "RequestAuthentication"}),
    }
)
"""Other kinds of these groups: a name like theirs is no slip."""
_VERSIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "": ("v1",),
        "apps": ("apps/v1",),
        "autoscaling": ("autoscaling/v2", "autoscaling/v1"),
        "networking.istio.io": tuple(f"networking.istio.io/{v}" for v in ("v1", "v1beta1", "v1alpha3")),
        "security.istio.io": tuple(f"security.istio.io/{v}" for v in ("v1", "v1beta1")),
        GROUP: (API_VERSION,),
    }
)
"""What may be in `apiVersion`, by group."""
_CLOSE: Final = 0.8
"""How much alike two words are of which one is the other misspelt, and not somebody else's."""
_TOP: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


def is_rollout(manifest: Manifest) -> bool:
    return manifest.group == GROUP and manifest.kind == KIND


def title_of(manifest: Manifest, namespace: str) -> str:
    return f"{manifest.kind} {manifest.namespace or namespace}/{manifest.name}"


def form_findings(manifest: Manifest, namespace: str) -> Iterator[Finding]:
    """Findings about the form of an object, whatever stands beside it."""
    title, obj = title_of(manifest, namespace), manifest.obj
    ours = manifest.group == GROUP
    yield from _version_findings(manifest, title)
    if not ours and manifest.kind not in GROUPS.get(manifest.group, ()):
        return
    if not isinstance(obj.get("metadata") or {}, dict):
        found = f"expected a mapping, found {obj['metadata']!r}"
        yield error(WRONG_TYPE, title, "metadata", found, "Correct it.")
        return
    if not manifest.name and not manifest.metadata.get("generateName"):
        yield error(NAMELESS, title, "metadata.name", "there is no name", "Give it one.")
    for field in obj.keys() - _TOP:
        meant = guess(str(field), _TOP)
        if ours or meant:
            yield error(UNKNOWN_FIELD, title, str(field), "there is no such field", f"{meant}Remove it.")
    if not ours:
        yield from shape_findings(manifest.kind, title, obj)


def _version_findings(manifest: Manifest, title: str) -> Iterator[Finding]:
    """`apiVersion` and `kind` that do not exist; what may be somebody else's is left alone."""
    given, kind, group = str(manifest.obj["apiVersion"]), manifest.kind, manifest.group
    if group == GROUP:
        if (given, kind) != (API_VERSION, KIND):
            found = f"expected {API_VERSION} {KIND}, found {given} {kind}"
            yield error(UNKNOWN_VERSION, title, "apiVersion", found, "Correct apiVersion and kind.")
        return
    homes = [home for home, kinds in (*GROUPS.items(), (GROUP, {KIND})) if kind in kinds]
    known = [version for home in homes for version in _VERSIONS[home]]
    if known and given not in known and (group in homes or get_close_matches(given, known, 1, _CLOSE)):
        found = f"expected {' or '.join(known)}, found {given}"
        yield error(UNKNOWN_VERSION, title, "apiVersion", found, "Correct it.")
    close = get_close_matches(kind, GROUPS.get(group, ()), 1, _CLOSE)
    if not known and close and kind not in _BESIDE.get(group, ()):
        found = f"there is no {kind} in {given}"
        yield error(UNKNOWN_VERSION, title, "kind", found, f'Did you mean "{close[0]}"?')
