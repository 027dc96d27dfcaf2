"""Other DestinationRules for our host, whose subsets callers follow instead of ours.

A proxy looks for rules in its own namespace first, then in that of the Service; an exact host comes before
one with `*`. Rules of one namespace for one host are merged if their `exportTo` are the same, and of two
subsets of a name the older rule's is kept; if not, the youngest rule that the caller sees is followed alone.
One with a `workloadSelector` is for the callers that it chooses, and seen in its own namespace only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import Json
from rollout_controller.istio.conflict_findings import exported_to
from rollout_controller.istio.finding import DESTINATION_RULE, error, titled, warning
from rollout_controller.istio.gateway_findings import MESH, gateways_of
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.mtls_findings import ROOT_NAMESPACE

CONFLICTING_DESTINATION_RULE: Final = "ConflictingDestinationRule"
_FIX: Final = "Remove these subsets there, or the whole rule."
_ASTRAY: Final = "weights and a way back do not decide who gets which version"


@dataclass(frozen=True, slots=True)
class _Conflict:
    """What another rule does to callers: `harmful` if they may get the wrong version of it."""

    harmful: bool
    sentence: str
    fix: str


def rule_conflict_findings(known: Inventory, rule: Json) -> Iterator[Finding]:
    """An error where callers may follow another rule's subsets of our names, whatever the weights; a warning
    where ours come first only by their age, or where callers have no such subsets, at rest as well."""
    home = known.routing.namespace
    for other in known.rules.objects:
        place = other["metadata"].get("namespace") or home
        if place == home and other["metadata"]["name"] == known.routing.destination_rule:
            continue
        conflict = _beside(known, rule, other) if place == home else _elsewhere(known, rule, other, place)
        if conflict is not None:
            tell = error if conflict.harmful else warning
            obj = titled(DESTINATION_RULE, rule)
            yield tell(CONFLICTING_DESTINATION_RULE, obj, "spec.host", conflict.sentence, conflict.fix)


def rule_host(rule: Json, domain: str) -> str:
    """The full host of a DestinationRule, which may begin with `*`; a short one is a Service beside it."""
    host = str((rule.get("spec") or {}).get("host") or "").rstrip(".").lower()
    namespace = rule["metadata"].get("namespace")
    return host if not host or "." in host or "*" in host else f"{host}.{namespace}.svc.{domain}"


def covers_host(general: str, host: str) -> bool:
    """Whether a rule for `general` is one for this host as well."""
    return general == host or (general.startswith("*") and host.endswith(general[1:]))


def _beside(known: Inventory, rule: Json, other: Json) -> _Conflict | None:
    """What another rule of our own namespace does."""
    domain, home = known.routing.cluster_domain, known.routing.namespace
    host, shared, name = rule_host(rule, domain), _shared(known, rule, other), titled(DESTINATION_RULE, other)
    if rule_host(other, domain) != host or not _meet(_exports(rule), _exports(other), home):
        return None
    alike = _exports(rule) == _exports(other)
    if alike and not shared:
        return None
    if _selects(rule):
        return _followed(known, shared, f"callers that spec.workloadSelector does not choose follow {name}")
    if _selects(other):
        return _followed(known, shared, f"callers that its workloadSelector chooses follow {name}")
    order = _order(rule, other)
    if alike:
        how = f"{name} defines {_words(shared)} of {host} as well, and Istio takes those of the older rule"
        return _Conflict(order != "older", f"{how}: {_consequence(order, 'older')}", _FIX)
    how = (
        f"{name} is for {host} as well, with another exportTo, and callers that see both follow the younger"
        " rule alone"
    )
    fix = "Join the two in one rule, or give them the same exportTo and each subset to one of them."
    return _Conflict(order != "younger", f"{how}: {_consequence(order, 'younger')}", fix)


def _consequence(order: str, first: str) -> str:
    """What follows if ours is the `order` one of the two, and the `first` one is followed."""
    if order == first:
        return f"this one, until one of them is made anew; then {_ASTRAY}"
    return f"the other one, so {_ASTRAY}" if order else f"if that is the other one, {_ASTRAY}"


def _elsewhere(known: Inventory, rule: Json, other: Json, place: str) -> _Conflict | None:
    """What a rule of another namespace does to the callers there, if our routes reach them."""
    domain = known.routing.cluster_domain
    exports = _exports(other)
    here = bool(not exports or exports & {"*", ".", place})
    if place == ROOT_NAMESPACE:
        here = exports <= {".", place} and bool(exports)  # others are for callers that nobody else is for
    if not (
        here and covers_host(rule_host(other, domain), rule_host(rule, domain)) and _reaches(known, place)
    ):
        return None
    chosen = " that its workloadSelector chooses" if _selects(other) else ""
    followed = (
        f"callers in namespace {place}{chosen} follow {titled(DESTINATION_RULE, other)} and not this one"
    )
    return _followed(known, _shared(known, rule, other), followed)


def _followed(known: Inventory, shared: list[str], followed: str) -> _Conflict:
    if shared:
        return _Conflict(True, f"{followed}, with its own {_words(shared)}: there {_ASTRAY}", _FIX)
    ours = f"{known.routing.stable_subset} or {known.routing.canary_subset}"
    lost = f"it has no subset {ours}, so their requests to these get 503"
    return _Conflict(False, f"{followed}: {lost}", "Remove that rule, or narrow its host or exportTo.")


def _shared(known: Inventory, rule: Json, other: Json) -> list[str]:
    """Our subsets that the other rule defines too. Of two Deployments nothing is pinned: there subsets of the
    same labels are the same."""
    ours = {s.get("name"): s.get("labels") or {} for s in _subsets(rule)}
    theirs = {s.get("name"): s.get("labels") or {} for s in _subsets(other)}
    names = (known.routing.stable_subset, known.routing.canary_subset)
    pinned = known.routing.deployments is None
    return [n for n in names if n in theirs and (pinned or ours.get(n) != theirs[n])]


def _subsets(rule: Json) -> list[Json]:
    return (rule.get("spec") or {}).get("subsets") or []


def _selects(rule: Json) -> bool:
    return (rule.get("spec") or {}).get("workloadSelector") is not None


def _exports(rule: Json) -> frozenset[str]:
    """As Istio compares them: none is another value than `*`."""
    return frozenset({"."} if _selects(rule) else (rule.get("spec") or {}).get("exportTo") or ())


def _meet(one: frozenset[str], other: frozenset[str], home: str) -> bool:
    """Whether some caller sees rules of one namespace with both of these `exportTo`."""
    first, second = ({home if place == "." else place for place in e or {"*"}} for e in (one, other))
    return "*" in first | second or bool(first & second)


def _order(rule: Json, other: Json) -> str:
    """Whether ours is the `older` or the `younger` one, "" if that is not known; a name decides a tie."""
    ours, theirs = (r["metadata"].get("creationTimestamp") or "" for r in (rule, other))
    if not ours or not theirs:
        return ""
    older = (ours, rule["metadata"]["name"]) < (theirs, other["metadata"]["name"])
    return "older" if older else "younger"


def _reaches(known: Inventory, place: str) -> bool:
    """Whether callers of another namespace come by one of our VirtualServices."""
    home = known.routing.namespace
    for service in known.virtual_services.values():
        bound = gateways_of(service, home)
        at = MESH in bound or place in {name.partition("/")[0] for name in bound}
        if at and exported_to(service, home, place):
            return True
    return False


def _words(names: list[str]) -> str:
    return f"subset{'s' if len(names) > 1 else ''} {' and '.join(names)}"
