"""What is wrong with subsets and with the labels by which they, and the Service, select pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rollout_controller.core.finding import MISSING_SUBSET, Finding
from rollout_controller.core.patch import Json
from rollout_controller.core.template import HASH_LABEL
from rollout_controller.istio.finding import (
    DEPLOYMENT,
    DESTINATION_RULE,
    SERVICE,
    VIRTUAL_SERVICE,
    error,
    guess,
    host_findings,
    member,
    nearest,
    title,
    titled,
    warning,
)
from rollout_controller.istio.inventory import Inventory
from rollout_controller.istio.routing import Side, http_routes, is_own

DUPLICATE_SUBSET: Final = "DuplicateSubset"
LABEL_OUTSIDE_SELECTOR: Final = "LabelOutsideSelector"
LABEL_WITHOUT_PODS: Final = "LabelWithoutPods"
NO_SELECTOR: Final = "NoSelector"
UNKNOWN_SUBSET: Final = "UnknownSubset"
SUBSET_WITHOUT_PODS: Final = "SubsetWithoutPods"


def rule_findings(known: Inventory, rule: Json) -> Iterator[Finding]:
    """Findings about the DestinationRule: its host, our two subsets and their labels."""
    routing = known.routing
    name = title(DESTINATION_RULE, routing, routing.destination_rule)
    spec = rule.get("spec") or {}
    subsets = spec.get("subsets") or []
    names = [subset.get("name") or "" for subset in subsets]
    yield from host_findings(routing, name, "spec.host", spec.get("host") or "")
    sides: tuple[tuple[Side, str], ...] = (
        ("stable", routing.stable_subset),
        ("canary", routing.canary_subset),
    )
    for side, wanted in sides:
        field = f"{routing.named(side)}Subset"
        if wanted not in names:
            yield error(
                MISSING_SUBSET,
                name,
                "spec.subsets",
                f'there is no subset named "{wanted}"',
                f"{guess(wanted, names)}Add it, or correct spec.traffic.istio.destinationRule.{field}"
                " in the Rollout.",
            )
    seen: set[str] = set()
    for index, subset in enumerate(subsets):
        if routing.side(names[index]) is None:
            continue
        path = f"spec.subsets[{index}]"
        if names[index] in seen:
            yield error(
                DUPLICATE_SUBSET,
                name,
                f"{path}.name",
                f'there is more than one subset named "{names[index]}"',
                "Keep one of them.",
            )
        seen.add(names[index])
        labels = {k: v for k, v in (subset.get("labels") or {}).items() if k != HASH_LABEL}
        yield from _label_findings(known, name, f"{path}.labels", labels)


def service_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """Findings about a Service of ours; in host mode its selector bears the pin."""
    selector = (service.get("spec") or {}).get("selector") or {}
    labels = {key: value for key, value in selector.items() if key != HASH_LABEL}
    obj = titled(SERVICE, service)
    if known.routing.services is not None and known.deployment is not None and not labels:
        yield error(
            NO_SELECTOR,
            obj,
            "spec.selector",
            "the Service selects no pods, so no version can be told to it",
            "Give it the labels of the Deployment's selector.",
        )
    yield from _label_findings(known, obj, "spec.selector", labels)


def other_subset_findings(known: Inventory, service: Json) -> Iterator[Finding]:
    """Findings about other subsets of our host that routes of a VirtualService send to: who meets them gets
    503, today as well as during a release."""
    subsets = {s.get("name"): s.get("labels") or {} for s in _subsets(known)}
    obj = titled(VIRTUAL_SERVICE, service)
    for index, position, target in _destinations(known, service):
        name = target["subset"]
        path = f"spec.http[{index}].route[{position}].destination.subset"
        rule = title(DESTINATION_RULE, known.routing, known.routing.destination_rule)
        if name not in subsets:
            meant = guess(name, [str(subset) for subset in subsets])
            yield warning(
                UNKNOWN_SUBSET,
                obj,
                path,
                f'{rule} has no subset named "{name}", so these requests get 503',
                f"{meant}Add it, or correct the name.",
            )
        elif known.serving and not any(
            subsets[name].items() <= _labels(pod).items() for pod in known.serving
        ):
            yield warning(
                SUBSET_WITHOUT_PODS,
                obj,
                path,
                f'no ready pod has the labels of subset "{name}", so these requests get 503',
                f"Correct its labels in {rule}, or remove the destination.",
            )


def _subsets(known: Inventory) -> list[Json]:
    return ((known.destination_rule or {}).get("spec") or {}).get("subsets") or []


def _labels(pod: Json) -> Mapping[str, str]:
    return pod["metadata"].get("labels") or {}


def _destinations(known: Inventory, service: Json) -> Iterator[tuple[int, int, Json]]:
    """Destinations at our host with another subset than ours and a share: route, position, destination."""
    host = known.host
    for index, route in http_routes(service):
        entries = [] if is_own(route) else route.get("route") or []
        for position, entry in enumerate(entries):
            target = entry.get("destination") or {}
            ours = host is not None and known.routing.services is None
            at_our_host = ours and known.routing.resolve(target.get("host") or "") == host
            named = target.get("subset") and known.routing.side(target["subset"]) is None
            if at_our_host and named and (len(entries) == 1 or entry.get("weight")):
                yield index, position, target


def _label_findings(known: Inventory, obj: str, path: str, labels: Mapping[str, str]) -> Iterator[Finding]:
    """Only the labels of the Deployment's selector are on the pods of every version."""
    if known.deployment is None:
        return
    owner = title(DEPLOYMENT, known.routing, known.routing.deployment)
    fixed = _fixed_labels(known.deployment["spec"].get("selector") or {})
    pods = known.pod_labels
    for key, value in labels.items():
        if fixed.get(key) == value:
            continue
        if pods.get(key) == value:
            without = any(_lacks(pod, key, value) for pod in known.pods)
            tell = error if without else warning
            lost = "pods that are without it get" if without else "a version without it would get"
            yield tell(
                LABEL_OUTSIDE_SELECTOR,
                obj,
                member(path, key),
                f"{value} is not in the selector of {owner}, so {lost} no traffic",
                "Remove it; the versions are told apart by pod-template-hash.",
            )
        else:
            found = f"has {key}={pods[key]}" if key in pods else "has no such label"
            meant = _meant(key, value, fixed)
            yield error(
                LABEL_WITHOUT_PODS,
                obj,
                member(path, key),
                f"{value} selects no new pod: the template of {owner} {found}",
                f"{f'Did you mean {meant}? Else remove' if meant else 'Remove'} it; the versions are told"
                " apart by pod-template-hash.",
            )


def _lacks(pod: Json, key: str, value: str) -> bool:
    return _labels(pod).get(key) != value and not pod["metadata"].get("deletionTimestamp")


def _meant(key: str, value: str, fixed: Mapping[str, str]) -> str | None:
    """The label of the selector that was probably meant: another value, or another key with that value."""
    if key in fixed:
        return f"{key}: {fixed[key]}" if nearest(value, [fixed[key]]) else None
    close = nearest(key, [k for k, v in fixed.items() if nearest(value, [v])])
    same = next((k for k, v in fixed.items() if v == value), None)
    found = close or same
    return f"{found}: {fixed[found]}" if found else None


def _fixed_labels(selector: Json) -> dict[str, str]:
    """The labels that the selector fixes to one value, by matchLabels or by `In` with that value alone."""
    fixed = {
        expression["key"]: expression["values"][0]
        for expression in selector.get("matchExpressions") or []
        if expression.get("operator") == "In" and len(expression.get("values") or []) == 1
    }
    return {**fixed, **(selector.get("matchLabels") or {})}
