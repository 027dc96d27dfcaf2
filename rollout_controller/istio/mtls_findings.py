"""Mutual TLS: what the pods insist on, and what the DestinationRule makes callers do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.finding import DESTINATION_RULE, PEER_AUTHENTICATION, error, title, titled
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.proxy_findings import meshed

MTLS_CONFLICT: Final = "MtlsConflict"

ROOT_NAMESPACE: Final = "istio-system"
"""Where a PeerAuthentication without selector speaks for the whole mesh."""
_CLIENT_MODES: Final = frozenset({"DISABLE", "SIMPLE", "MUTUAL"})
"""What a DestinationRule may say that is not Istio's mutual TLS. Without a word Istio finds out by itself."""


def mtls_findings(known: Inventory, rule: Json) -> Iterator[Finding]:
    """A DestinationRule by which callers cannot reach pods that take nothing but mutual TLS."""
    strict = _strict(known)
    if strict is None or meshed(known) is False:
        return
    for path, mode in _client_modes(known, rule):
        yield error(
            MTLS_CONFLICT,
            title(DESTINATION_RULE, known.routing, known.routing.destination_rule),
            path,
            f"{mode} is no mutual TLS of Istio's, but {titled(PEER_AUTHENTICATION, strict)} lets the pods"
            " take nothing else: callers get 503",
            "Set it to ISTIO_MUTUAL, or remove it: Istio then finds out by itself.",
        )


def _strict(known: Inventory) -> Json | None:
    """The PeerAuthentication by which our pods are strict, None if they are not, or if it is not certain.

    One with a selector for our pods counts before the namespace's, that before the mesh's. Where one for
    single ports, or several that disagree, come into it, nothing is certain; nor where there are selectors
    and the labels of our pods are not known.
    """
    home = known.peer_authentications.within(known.routing.namespace)
    if known.deployment is None and any(map(_selector, home)):
        return None
    for level in _levels(known):
        modes = {_mode(policy) for policy in level} - {"UNSET"}
        if any((policy.get("spec") or {}).get("portLevelMtls") for policy in level) or len(modes) > 1:
            return None
        if modes:
            return level[0] if modes == {"STRICT"} else None
    return None


def _levels(known: Inventory) -> tuple[list[Json], list[Json], list[Json]]:
    """The PeerAuthentications that speak for our pods, the most specific level first."""
    policies = known.peer_authentications
    home = policies.within(known.routing.namespace)
    own = [p for p in home if _selector(p) and _selector(p).items() <= known.pod_labels.items()]
    return (
        own,
        [p for p in home if not _selector(p)],
        [p for p in policies.within(ROOT_NAMESPACE) if not _selector(p)],
    )


def _mode(policy: Json) -> str:
    return ((policy.get("spec") or {}).get("mtls") or {}).get("mode") or "UNSET"


def _selector(policy: Json) -> dict[str, str]:
    return ((policy.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}


def _client_modes(known: Inventory, rule: Json) -> Iterator[tuple[str, str]]:
    """Where the rule makes callers of our subsets do something else than mutual TLS: path and mode.

    A subset's own word counts before the rule's, and what is said for single ports before both.
    """
    spec = rule.get("spec") or {}
    policies = [("spec.trafficPolicy", spec.get("trafficPolicy") or {})]
    policies += [
        (f"spec.subsets[{index}].trafficPolicy", subset.get("trafficPolicy") or {})
        for index, subset in enumerate(spec.get("subsets") or [])
        if known.routing.side(subset.get("name")) is not None
    ]
    for path, policy in policies:
        ports = policy.get("portLevelSettings") or []
        if not ports:
            yield from _told(f"{path}.tls.mode", policy)
        for index, port in enumerate(ports):
            yield from _told(f"{path}.portLevelSettings[{index}].tls.mode", port)


def _told(path: str, policy: Json) -> Iterator[tuple[str, str]]:
    mode = (policy.get("tls") or {}).get("mode")
    if mode in _CLIENT_MODES:
        yield path, mode
