"""The world, as the controller's coroutines see it: five protocols and one tree of errors.

Objects travel as raw JSON dicts, because typed models drop the fields that they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

Json = dict[str, Any]


class Kind(Enum):
    """A resource that we read or write: (group, version, plural, kind)."""

    ROLLOUT = ("rollout-controller.dev", "v1alpha1", "rollouts", "Rollout")
    DEPLOYMENT = ("apps", "v1", "deployments", "Deployment")
    REPLICA_SET = ("apps", "v1", "replicasets", "ReplicaSet")
    POD = ("", "v1", "pods", "Pod")
    VIRTUAL_SERVICE = ("networking.istio.io", "v1", "virtualservices", "VirtualService")
    DESTINATION_RULE = ("networking.istio.io", "v1", "destinationrules", "DestinationRule")
    SERVICE = ("", "v1", "services", "Service")
    ENDPOINT_SLICE = ("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
    GATEWAY = ("networking.istio.io", "v1", "gateways", "Gateway")
    SERVICE_ENTRY = ("networking.istio.io", "v1", "serviceentries", "ServiceEntry")
    PEER_AUTHENTICATION = ("security.istio.io", "v1", "peerauthentications", "PeerAuthentication")
    AUTOSCALER = ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
    NAMESPACE = ("", "v1", "namespaces", "Namespace")

    @property
    def group(self) -> str:
        return self.value[0]

    @property
    def version(self) -> str:
        return self.value[1]

    @property
    def plural(self) -> str:
        return self.value[2]

    @property
    def title(self) -> str:
        """The kind as it is written in `kind:`."""
        return self.value[3]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def optional(self) -> bool:
        """Whether findings alone are made from it: without its CRD, or the right to read it, all else goes on
        and nothing is said about it."""
        return self in _FINDINGS_ONLY


_FINDINGS_ONLY: Final = frozenset(
    {Kind.GATEWAY, Kind.SERVICE_ENTRY, Kind.PEER_AUTHENTICATION, Kind.AUTOSCALER, Kind.NAMESPACE}
)


class Ref(NamedTuple):
    """An object's address. A Namespace is one in itself: (NAMESPACE, "shop", "shop")."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.title} {self.namespace}/{self.name}"


class Key(NamedTuple):
    """A Rollout's address; the unit of queueing."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ClusterError(Exception):
    """A call to the API server that did not do what was asked. `ref` and `verb` say which.

    Conflict      the object is not as the write demands: 409 Conflict, or the 422 of a JSON patch whose
                  `test` failed or whose path is not there
    AlreadyExists a create met an object of that name
    NotFound      the object (or its kind) does not exist
    Refused       the API server understood and said no for good (400, 401, 403, 422); the message is its own
    Unavailable   no answer in time, no connection, 429 or 5xx: whether it was done is not known
    """

    def __init__(self, ref: Ref | str, verb: str, message: str) -> None:
        super().__init__(f"{verb} {ref}: {message}")
        self.ref = ref
        self.verb = verb
        self.message = message


class Conflict(ClusterError):
    """The object moved on."""


class AlreadyExists(ClusterError):
    """There is one of that name."""


class NotFound(ClusterError):
    """There is none."""


class Refused(ClusterError):
    """The API server said no."""


class Unavailable(ClusterError):
    """No answer; the write may or may not have been done."""


class Cluster(Protocol):
    """The API server.

    `live=False` is answered from watches: it never touches the network, the objects are shared (do not
    change them) and some are trimmed (Pods, Services: what the controller reads; ReplicaSets: no
    managedFields). It raises Unavailable while the kind was never read.
    """

    @property
    def watched(self) -> frozenset[str]:
        """The namespaces that are watched; "" among them stands for every one."""

    def known(self, kind: Kind, namespace: str = "") -> Sequence[Json] | None:
        """What the watches know now of a kind in a namespace ("": in all that are watched), as `live=False`
        would tell it; None while it was never read, or if the namespace is not watched."""

    async def get(self, ref: Ref, *, live: bool) -> Json | None:
        """The object, None if it does not exist.

        Raises Unavailable or Refused; NotFound only if the API server does not know the kind.
        """

    async def list(self, kind: Kind, namespace: str, *, live: bool, labels: str = "") -> list[Json]:
        """The objects of a kind in a namespace ("": everywhere), unordered.

        `labels` narrows them: `app=web,tier=front` (equality) and bare keys (existence), joined by commas.
        Raises Unavailable or Refused; a kind that the API server does not know is NotFound.
        """

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """The object as the server stored it. Raises AlreadyExists, Refused, Unavailable."""

    async def patch(
        self, ref: Ref, ops: Sequence[Json], *, status: bool = False, dry_run: bool = False, manager: str = ""
    ) -> Json:
        """Apply a JSON patch (RFC 6902); the object afterwards. A failed `test` raises Conflict.

        `manager` is the field manager that a dry run is made for, if not ours. Raises Conflict, NotFound,
        Refused, Unavailable.
        """

    async def delete(self, ref: Ref, *, uid: str, resource_version: str | None = None) -> None:
        """Delete in the background, only if uid (and resourceVersion) still are these.

        Raises Conflict, NotFound, Unavailable.
        """


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Aware, UTC."""


class Sample(NamedTuple):
    """One number of an instant query's vector: label set and value; NaN and infinities are possible."""

    labels: dict[str, str]
    value: float
    at: float


class Series(NamedTuple):
    """One series of a range selector's matrix: label set and raw samples as (Unix time, value), ascending."""

    labels: dict[str, str]
    samples: tuple[tuple[float, float], ...]


class MetricsError(Exception):
    """Prometheus gave no usable answer: unreachable, slow, an error status, or not JSON of its API."""


class Metrics(Protocol):
    """Prometheus."""

    async def query(self, promql: str, *, at: datetime | None = None) -> list[Sample]:
        """An instant query's vector, empty if no series matches. Raises MetricsError, in bounded time."""

    async def series(self, selector: str, *, at: datetime | None = None) -> list[Series]:
        """The raw samples of a range selector like `up[1m]`. Raises MetricsError, in bounded time."""


class Subset(NamedTuple):
    """A destination as proxies know it: the full name of the host, and the subset ("": all of the host)."""

    host: str
    subset: str


class Sender(NamedTuple):
    """A proxy that may still send to a subset, and why it may: a phrase that goes on from its name."""

    proxy: str
    why: str


class ProxiesError(Exception):
    """istiod gave no usable answer: unreachable, slow, an error status, too much, or something else."""


class Proxies(Protocol):
    """What istiod knows of the proxies that are connected to it."""

    async def senders(self, subset: Subset, namespace: str) -> list[Sender]:
        """Proxies whose routes are not the newest, or else some whose newest routes name the subset.

        `namespace` is where to look first. Raises ProxiesError, in bounded time.
        """


class Notifier(Protocol):
    """Where Events go: at most once, never awaited by a decision."""

    def notify(self, rollout: Json, type_: str, reason: str, message: str) -> None:
        """Queue one Event on this Rollout; never blocks and never raises."""
