"""What a history of changes says about capacity: was every version always large enough for its share?

The API server numbers the changes of all objects from one counter (resourceVersion), so changes that came
through several watches can be put in the order in which they happened, and looked at one after the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Any, Literal

Object = dict[str, Any]
HASH = "pod-template-hash"


@dataclass(frozen=True, slots=True)
class Change:
    """A change that a watch told of. `seen` is time.monotonic() when it arrived, `wall` the Unix time."""

    kind: str
    """Plural: `pods`."""
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    item: Object
    seen: float
    wall: float

    @property
    def name(self) -> str:
        return str(self.item["metadata"]["name"])

    @property
    def version(self) -> int:
        return int(self.item["metadata"]["resourceVersion"])


@dataclass(frozen=True)
class Capacity:
    """The worst moments of a history, each with what the world looked like in it."""

    min_ready_ratio: float = inf
    worst_ready: str = ""
    max_pods_ratio: float = 0.0
    worst_pods: str = ""
    moments: int = 0
    """States that were looked at."""


@dataclass
class _World:
    deployment: Object | None = None
    service: Object | None = None
    """The VirtualService."""
    rule: Object | None = None
    pods: dict[str, Object] = field(default_factory=dict)
    slices: dict[str, Object] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        gone = change.type == "DELETED"
        if change.kind in ("pods", "endpointslices"):
            known = self.pods if change.kind == "pods" else self.slices
            if gone:
                known.pop(change.name, None)
            else:
                known[change.name] = change.item
            return
        item = None if gone else change.item
        if change.kind == "deployments":
            self.deployment = item
        elif change.kind == "virtualservices":
            self.service = item
        elif change.kind == "destinationrules":
            self.rule = item


def capacity(changes: Iterable[Change], since: int = 0) -> Capacity:
    """The worst ratios of a history of one Deployment with its VirtualService, DestinationRule, pods and
    EndpointSlices, looked at after every change with a resourceVersion above `since`.

    The ready ratio is the number of ready endpoints of a revision ÷ ceil(its share × spec.replicas), for each
    revision that has a share. While the subsets are not pinned to revisions, all pods are one. The pods ratio
    counts every pod that exists, terminating ones included.
    """
    world, worst = _World(), Capacity()
    for change in sorted(changes, key=lambda one: one.version):
        world.apply(change)
        if change.version > since:
            worst = _worse(worst, world, change.version)
    return worst


def _worse(worst: Capacity, world: _World, version: int) -> Capacity:
    if world.deployment is None or world.service is None or world.rule is None:
        return worst
    replicas = int(world.deployment["spec"]["replicas"])
    lowest, lowest_says = worst.min_ready_ratio, worst.worst_ready
    ready = ready_by_revision(world.slices.values(), world.pods)
    for revision, share in shares(world.service, world.rule).items():
        have = sum(ready.values()) if revision == "" else ready.get(revision, 0)
        wanted = ceil(share * replicas / 100)
        if wanted and have / wanted < lowest:
            lowest = have / wanted
            lowest_says = (
                f"{have} ready of {wanted} for {share} % of {revision or 'all pods'} (change {version};"
                f" pods that exist and are not ready: {', '.join(_unready(world, revision)) or 'none'})"
            )
    most, most_says = worst.max_pods_ratio, worst.worst_pods
    if replicas and len(world.pods) / replicas > most:
        most = len(world.pods) / replicas
        most_says = f"{len(world.pods)} pods at {replicas} replicas (change {version})"
    return Capacity(lowest, lowest_says, most, most_says, worst.moments + 1)


def _unready(world: _World, revision: str) -> list[str]:
    return sorted(
        name
        for name, pod in world.pods.items()
        if revision in ("", pod["metadata"]["labels"].get(HASH))
        and not any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod.get("status", {}).get("conditions") or ()
        )
    )


def shares(service: Object, rule: Object) -> dict[str, int]:
    """Percent of requests per revision, by the first route; "" stands for a subset that is not pinned."""
    pins = {
        subset["name"]: subset.get("labels", {}).get(HASH, "") for subset in rule["spec"].get("subsets", ())
    }
    found: dict[str, int] = {}
    destinations = service["spec"]["http"][0]["route"]
    for one in destinations:
        weight = int(one.get("weight", 100 if len(destinations) == 1 else 0))
        if weight:
            revision = pins.get(one["destination"].get("subset", ""), "")
            found[revision] = found.get(revision, 0) + weight
    return found


def ready_by_revision(slices: Iterable[Object], pods: dict[str, Object]) -> dict[str, int]:
    """Ready endpoints per revision of the pods behind them; those whose pod is unknown count under "?"."""
    found: dict[str, int] = {}
    names = {
        endpoint.get("targetRef", {}).get("name", "?")
        for one in slices
        for endpoint in one.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready")
    }
    for name in names:
        labels = pods.get(name, {}).get("metadata", {}).get("labels", {})
        revision = labels.get(HASH, "?")
        found[revision] = found.get(revision, 0) + 1
    return found
