"""The raw objects of one look, and what of them could not be had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollout_controller.api import names
from rollout_controller.api.parse import Places
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.core.finding import Finding
from rollout_controller.core.world import Part
from rollout_controller.istio.routing import Routing, our_host
from rollout_controller.istio.sides import oriented
from rollout_controller.ports import Cluster, Json, Kind, NotFound, Ref, Refused, Unavailable


@dataclass(slots=True)
class Snapshot:
    """What an `Observed` was made from; effects are compiled against the same objects.

    `absent` parts do not exist (404), `unread` ones could not be read; `findings` tell of refusals. An unread
    DestinationRule is the one last seen: writes to it test its version. `endpoints` are, by Service, the pods
    that its EndpointSlices call ready, None if there are no slices to go by. `selectors` are the Services of
    the two sides in host mode, `rollouts` all of the namespace, `routes` all VirtualServices that the watches
    know, of every namespace. Where two Deployments serve in turn, `sides` are the serving and the idle one,
    and there is no `deployment`.
    """

    rollout: Json
    spec: RolloutSpec | Places
    routing: Routing
    deployment: Json | None = None
    replica_sets: dict[str, Json] = field(default_factory=dict)
    pods: list[Json] = field(default_factory=list)
    virtual_services: dict[str, Json] = field(default_factory=dict)
    destination_rule: Json | None = None
    services: list[Json] = field(default_factory=list)
    selectors: dict[str, Json] = field(default_factory=dict)
    rollouts: list[Json] = field(default_factory=list)
    routes: Sequence[Json] = ()
    sides: tuple[Json | None, Json | None] = (None, None)
    endpoints: Mapping[str, frozenset[str]] | None = None
    absent: set[Part] = field(default_factory=set)
    unread: set[Part] = field(default_factory=set)
    findings: tuple[Finding, ...] = ()

    @property
    def namespace(self) -> str:
        return str(self.rollout["metadata"]["namespace"])

    @property
    def released(self) -> Json | None:
        """The Deployment whose next template is released."""
        return self.deployment if self.routing.deployments is None else self.sides[1]

    @property
    def deployments(self) -> list[Json]:
        """All Deployments of this Rollout that exist."""
        return [one for one in (self.deployment, *self.sides) if one is not None]

    @property
    def name(self) -> str:
        return str(self.rollout["metadata"]["name"])


async def take(cluster: Cluster, rollout: Json, spec: RolloutSpec | Places, *, live: bool) -> Snapshot:
    """Read every part that this Rollout names; what cannot be read is noted, never raised."""
    metadata = rollout["metadata"]
    taken = Snapshot(rollout, spec, Routing.of(metadata["namespace"], metadata["name"], spec))
    reader = _Reader(cluster, taken, live)
    for service in taken.routing.virtual_services:
        found = await reader.get(Part.VIRTUAL_SERVICE, Kind.VIRTUAL_SERVICE, service.name)
        if found is not None:
            taken.virtual_services[service.name] = found
    rule = taken.routing.destination_rule
    if rule:
        taken.destination_rule = await reader.get(Part.DESTINATION_RULE, Kind.DESTINATION_RULE, rule)
    if Part.DESTINATION_RULE in taken.unread:
        taken.destination_rule = await reader.last_seen(Kind.DESTINATION_RULE, rule)
    for side in taken.routing.services or ():
        selector = await reader.get(Part.SERVICE, Kind.SERVICE, side)
        if selector is not None:
            taken.selectors[side] = selector
    if taken.routing.deployments is None:
        await _read_workload(reader, taken)
    else:
        await _read_sides(reader, taken)
    taken.services = await reader.services()
    taken.rollouts = await reader.rollouts()
    taken.endpoints = await reader.endpoints()
    taken.routes = cluster.known(Kind.VIRTUAL_SERVICE) or ()
    return taken


async def _read_workload(reader: _Reader, taken: Snapshot) -> None:
    taken.deployment = await reader.get(Part.DEPLOYMENT, Kind.DEPLOYMENT, taken.routing.deployment)
    # A namespace may have thousands, with their templates: only those of the Deployment, and ours.
    sets = await reader.all(Part.REPLICA_SETS, Kind.REPLICA_SET, f"{names.LABEL}={taken.name}")
    if taken.deployment is not None:
        sets += await reader.all(Part.REPLICA_SETS, Kind.REPLICA_SET, _selector(taken.deployment))
    taken.replica_sets = {s["metadata"]["name"]: s for s in sets if _belongs(s, taken)}
    taken.pods = await reader.all(Part.PODS, Kind.POD, _selector(taken.deployment))


async def _read_sides(reader: _Reader, taken: Snapshot) -> None:
    """Both Deployments, seen from the one that serves: without that one there is nothing to go home to."""
    serving = (taken.rollout.get("status") or {}).get("stable")
    routing = oriented(taken.routing, serving, taken.virtual_services, taken.destination_rule)
    taken.routing = routing
    absent: list[bool] = []
    found: list[Json | None] = []
    for name in routing.deployments or ():
        deployment = await reader.get(Part.DEPLOYMENT, Kind.DEPLOYMENT, name)
        absent.append(Part.DEPLOYMENT in taken.absent)
        found.append(deployment)
        taken.absent.discard(Part.DEPLOYMENT)
        if deployment is not None:
            sets = await reader.all(Part.REPLICA_SETS, Kind.REPLICA_SET, _selector(deployment))
            taken.replica_sets |= {s["metadata"]["name"]: s for s in sets if _owned(s, deployment)}
            taken.pods += await reader.all(Part.PODS, Kind.POD, _selector(deployment))
    taken.sides = (found[0], found[1])
    if absent[0]:
        taken.absent.add(Part.DEPLOYMENT)


@dataclass(slots=True)
class _Reader:
    """Asks for one part after the other. What an API server that gave no answer was to be asked next is
    unread as well: the pass would else be over before it came to sending anybody back."""

    cluster: Cluster
    taken: Snapshot
    live: bool
    unanswered: bool = False

    async def get(self, part: Part, kind: Kind, name: str) -> Json | None:
        ref = Ref(kind, self.taken.namespace, name)
        if self._spared(part):
            return None
        try:
            found = await self.cluster.get(ref, live=self.live)
        except NotFound:
            found = None
        except (Unavailable, Refused) as problem:
            self._could_not(part, str(ref), problem)
            return None
        if found is None:
            self.taken.absent.add(part)
        return found

    async def all(self, part: Part, kind: Kind, labels: str = "") -> list[Json]:
        if self._spared(part):
            return []
        try:
            return await self.cluster.list(kind, self.taken.namespace, live=self.live, labels=labels)
        except NotFound:
            return []
        except (Unavailable, Refused) as problem:
            self._could_not(part, f"{kind.title}s of {self.taken.namespace}", problem)
            return []

    async def services(self) -> list[Json]:
        """Services only feed findings: what the watches know of them is enough."""
        try:
            return await self.cluster.list(Kind.SERVICE, self.taken.namespace, live=False)
        except (NotFound, Unavailable, Refused):
            return []

    async def rollouts(self) -> list[Json]:
        """What the watches know of others that may claim the same: those that come later wake this one."""
        try:
            return await self.cluster.list(Kind.ROLLOUT, self.taken.namespace, live=False)
        except (NotFound, Unavailable, Refused):
            self.taken.unread.add(Part.ROLLOUTS)
            return []

    async def endpoints(self) -> Mapping[str, frozenset[str]] | None:
        """The proxies know a pod by its EndpointSlice, which may follow the pod's own status a second later.

        What the watches know is enough: what they do not know yet only makes the share wait.
        """
        found: dict[str, frozenset[str]] = {}
        for name in self._serving():
            chosen = f"kubernetes.io/service-name={name}"
            try:
                slices = await self.cluster.list(
                    Kind.ENDPOINT_SLICE, self.taken.namespace, live=False, labels=chosen
                )
            except (NotFound, Unavailable, Refused):
                return None
            if slices:
                found[name] = frozenset(_ready_pods(slices))
        return found or None

    def _serving(self) -> list[str]:
        """The Services through whose EndpointSlices the proxies know our pods."""
        taken = self.taken
        if taken.routing.services is not None:
            return list(taken.selectors)
        host = our_host(taken.routing, taken.virtual_services.values(), taken.destination_rule)
        return [
            service["metadata"]["name"]
            for service in taken.services
            if (service.get("spec") or {}).get("selector")
            and taken.routing.resolve(service["metadata"]["name"]) == host
        ]

    async def last_seen(self, kind: Kind, name: str) -> Json | None:
        """What the watches know of a part that is unread: weights towards stable need no more."""
        try:
            return await self.cluster.get(Ref(kind, self.taken.namespace, name), live=False)
        except (NotFound, Unavailable, Refused):
            return None

    def _spared(self, part: Part) -> bool:
        if self.unanswered:
            self.taken.unread.add(part)
        return self.unanswered

    def _could_not(self, part: Part, what: str, problem: Unavailable | Refused) -> None:
        self.taken.unread.add(part)
        self.unanswered = self.live and isinstance(problem, Unavailable)
        if isinstance(problem, Refused):
            sentence = f"the API server refused to show it: {problem.message}"
            fix = "Grant the controller's ServiceAccount the rights in deploy/."
            self.taken.findings += (Finding("AccessDenied", "warning", what, "", sentence, fix),)


def _ready_pods(slices: Iterable[Json]) -> Iterator[str]:
    for one in slices:
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                yield str((endpoint.get("targetRef") or {}).get("name"))


def _selector(deployment: Json | None) -> str:
    chosen = (deployment or {}).get("spec", {}).get("selector", {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(chosen.items()))


def _belongs(replica_set: Json, taken: Snapshot) -> bool:
    """Whether a ReplicaSet is the Deployment's, or a canary of this Rollout."""
    metadata = replica_set["metadata"]
    if any(o.get("controller") for o in metadata.get("ownerReferences") or []):
        return taken.deployment is not None and _owned(replica_set, taken.deployment)
    return bool((metadata.get("labels") or {}).get(names.LABEL) == taken.name)


def _owned(replica_set: Json, deployment: Json) -> bool:
    owners = replica_set["metadata"].get("ownerReferences") or []
    return any(o.get("controller") and o.get("uid") == deployment["metadata"]["uid"] for o in owners)
