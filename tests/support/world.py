"""A simulated API server: raw objects, their versions, and the time.

Objects are values. A write puts a new dict in an old one's place and changes none, so a world is forked by
copying its index, and two worlds share what they have in common. What is modelled is what a controller can
see: uid, resourceVersion (one growing number), generation, finalizers and deletionTimestamp, the status
subresource, JSON patches, preconditions, managedFields as far as anybody asks for them, and the admission
policies of `deploy/gate`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from rollout_controller.api import names
from rollout_controller.ports import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Json,
    Kind,
    NotFound,
    Ref,
    Refused,
)
from tests.support import admission, jsonpatch

START: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
FOREGROUND: Final = "foregroundDeletion"
_WITH_STATUS: Final = frozenset({Kind.ROLLOUT, Kind.DEPLOYMENT, Kind.REPLICA_SET, Kind.POD})
_WITH_GENERATION: Final = frozenset(Kind) - {Kind.POD, Kind.SERVICE, Kind.ENDPOINT_SLICE}
_SERVERS_OWN: Final = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")

Write = Callable[["World", Ref, "Json | None", "Json | None", str], None]
"""Told of every stored change: the world after it, the object before and after, and who wrote."""


def stamp(at: datetime) -> str:
    """A time as Kubernetes writes it, with microseconds, so that nothing is lost."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def when(text: str) -> datetime:
    """The time that a stamp tells."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def ref_of(kind: Kind, obj: Json) -> Ref:
    """The address of an object."""
    return Ref(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])


@dataclass(slots=True)
class World:
    """All that exists. `broken` are images whose pods are not (or no longer) ready; without `keep` the gate
    lacks the policy that keeps a held Deployment held.

    Pods take `readying` to become ready, and `ending` to be gone once deleted. `pushes` is what proxies were
    told, `on_write` is told of every write, `calm` the moment at which native controllers had nothing to do.
    With `slices` there are EndpointSlices as well, which only host mode asks for.
    """

    now: datetime = START
    objects: dict[Kind, dict[tuple[str, str], Json]] = field(default_factory=lambda: {k: {} for k in Kind})
    version: int = 100
    gate: bool = True
    keep: bool = True
    broken: frozenset[str] = frozenset()
    readying: timedelta = timedelta(seconds=5)
    ending: timedelta = timedelta(seconds=5)
    pushes: tuple[Push, ...] = ()
    on_write: Write | None = None
    calm: Hashable = None
    slices: bool = False

    def fork(self) -> World:
        """A world that is the same now and goes its own way."""
        return replace(self, objects={kind: dict(of) for kind, of in self.objects.items()})

    # -- reading

    def get(self, ref: Ref) -> Json | None:
        return self.objects[ref.kind].get((ref.namespace, ref.name))

    def need(self, ref: Ref) -> Json:
        """The object, which is known to exist."""
        found = self.get(ref)
        assert found is not None, f"{ref} does not exist"
        return found

    def every(self, kind: Kind, namespace: str = "", labels: str = "") -> list[Json]:
        """All objects of a kind, narrowed like `Cluster.list`."""
        wanted = [part.partition("=") for part in labels.split(",") if part]

        def selected(obj: Json) -> bool:
            own = obj["metadata"].get("labels") or {}
            return all(key in own and (not equals or own[key] == value) for key, equals, value in wanted)

        return [
            obj
            for (space, _), obj in self.objects[kind].items()
            if namespace in {"", space} and (not wanted or selected(obj))
        ]

    # -- writing

    def create(self, kind: Kind, body: Json, manager: str) -> Json:
        """Store a new object. Raises AlreadyExists."""
        ref = ref_of(kind, body)
        if self.get(ref) is not None:
            raise AlreadyExists(ref, "create", "already exists")
        metadata = {
            **body["metadata"],
            "uid": f"uid-{self.version + 1}",
            "creationTimestamp": stamp(self.now),
            **({"generation": 1} if kind in _WITH_GENERATION else {}),
        }
        obj = {**body, "apiVersion": kind.api_version, "kind": kind.title, "metadata": metadata}
        if kind is Kind.REPLICA_SET and not metadata.get("labels"):
            obj["metadata"]["labels"] = dict(obj["spec"]["template"]["metadata"].get("labels") or {})
        return self._store(ref, None, obj, manager)

    def patch(
        self, ref: Ref, ops: Sequence[Json], manager: str, *, status: bool = False, dry_run: bool = False
    ) -> Json:
        """Apply a JSON patch. Raises Conflict, NotFound or Refused."""
        old = self.get(ref)
        if old is None:
            raise NotFound(ref, "patch", "does not exist")
        try:
            new = jsonpatch.apply(old, ops)
        except jsonpatch.PatchError as problem:
            raise Conflict(ref, "patch", str(problem)) from problem
        return self.update(ref, new, manager, status=status, dry_run=dry_run)

    def update(
        self, ref: Ref, new: Json, manager: str, *, status: bool = False, dry_run: bool = False
    ) -> Json:
        """Put an object in the place of the one that is there, as the API server would take it."""
        old = self.need(ref)
        keeps = _kept(old, new, status=status and ref.kind in _WITH_STATUS, kind=ref.kind)
        if ref.kind is Kind.DEPLOYMENT and not status and self.gate:
            try:
                keeps = admission.admit(old, keeps, manager, keep=self.keep)
            except PermissionError as denied:
                raise Refused(ref, "patch", str(denied)) from denied
        if keeps == old or dry_run:
            return keeps
        if keeps.get("spec") != old.get("spec") and ref.kind in _WITH_GENERATION:
            keeps = _with_metadata(keeps, generation=old["metadata"]["generation"] + 1)
        if "deletionTimestamp" in keeps["metadata"] and not keeps["metadata"].get("finalizers"):
            self._remove(ref, old, manager)
            return keeps
        return self._store(ref, old, keeps, manager)

    def delete(
        self,
        ref: Ref,
        manager: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        foreground: bool = False,
    ) -> None:
        """Delete an object: at once, or when its finalizers are gone; a pod when it has ended."""
        old = self.get(ref)
        if old is None:
            raise NotFound(ref, "delete", "does not exist")
        metadata = old["metadata"]
        if (uid or metadata["uid"]) != metadata["uid"]:
            raise Conflict(ref, "delete", f"the uid in the precondition is {uid}, not {metadata['uid']}")
        if (resource_version or metadata["resourceVersion"]) != metadata["resourceVersion"]:
            raise Conflict(ref, "delete", f"the resourceVersion is not {resource_version}")
        if "deletionTimestamp" in metadata:
            return
        finalizers = [*metadata.get("finalizers", ()), *([FOREGROUND] if foreground else [])]
        ends = self.now + self.ending if ref.kind is Kind.POD else self.now
        if not finalizers and ref.kind is not Kind.POD:
            self._remove(ref, old, manager)
            return
        marked = _with_metadata(old, deletionTimestamp=stamp(ends), finalizers=finalizers)
        if ref.kind in _WITH_GENERATION:
            marked["metadata"]["generation"] = metadata["generation"] + 1
        self._store(ref, old, marked, manager)

    def end(self, ref: Ref) -> None:
        """A pod whose processes have ended is gone."""
        self._remove(ref, self.need(ref), "kubelet")

    def _store(self, ref: Ref, old: Json | None, new: Json, manager: str) -> Json:
        self.version += 1
        managed = _managed(old, new, manager, stamp(self.now))
        stored = _with_metadata(new, resourceVersion=str(self.version), managedFields=managed)
        self.objects[ref.kind][ref.namespace, ref.name] = stored
        self._written(ref, old, stored, manager)
        return stored

    def _remove(self, ref: Ref, old: Json, manager: str) -> None:
        self.version += 1
        del self.objects[ref.kind][ref.namespace, ref.name]
        self._written(ref, old, None, manager)

    def _written(self, ref: Ref, old: Json | None, new: Json | None, manager: str) -> None:
        if ref.kind in {Kind.VIRTUAL_SERVICE, Kind.DESTINATION_RULE, Kind.SERVICE}:
            push = Push(
                self.now,
                tuple(self.objects[Kind.VIRTUAL_SERVICE].values()),
                (*self.objects[Kind.SERVICE].values(), *self.objects[Kind.DESTINATION_RULE].values()),
            )
            self.pushes = (*self.pushes, push)
        if self.on_write is not None:
            self.on_write(self, ref, old, new, manager)


@dataclass(frozen=True, slots=True)
class Push:
    """What istiod told the proxies after a write: they learn of it within a delay, in this order.

    `services` are VirtualServices, `rules` what tells pods apart: Services and, after them, DestinationRules.
    """

    at: datetime
    services: tuple[Json, ...]
    rules: tuple[Json, ...]


def perform(world: World, call: Callable[[World], object]) -> object:
    """Make a call; a ClusterError that it raises is its answer."""
    try:
        return call(world)
    except ClusterError as error:
        return error


def _kept(old: Json, new: Json, *, status: bool, kind: Kind) -> Json:
    """The new object without what this endpoint does not take."""
    if status:
        return {**old, "status": new["status"]} if "status" in new else old
    own = {key: old["metadata"][key] for key in _SERVERS_OWN if key in old["metadata"]}
    metadata = {**new["metadata"], **own}
    if "managedFields" in old["metadata"]:
        metadata["managedFields"] = old["metadata"]["managedFields"]
    kept = {**new, "metadata": metadata}
    if kind in _WITH_STATUS:
        kept.pop("status", None)
        if "status" in old:
            kept["status"] = old["status"]
    return kept


def _with_metadata(obj: Json, **values: object) -> Json:
    return {**obj, "metadata": {**obj["metadata"], **values}}


_WATCHED_FIELDS: Final = ("http", "paused", "template", "replicas", "subsets")


def _managed(old: Json | None, new: Json, manager: str, at: str) -> list[Json]:
    """Who wrote which of the fields of spec that somebody asks about."""
    before, after = (old or {}).get("spec") or {}, new.get("spec") or {}
    changed = {f"f:{key}" for key in _WATCHED_FIELDS if before.get(key) != after.get(key)}
    entries = list((old or new)["metadata"].get("managedFields") or [])
    if not changed:
        return entries
    mine = {key for entry in entries if entry["manager"] == manager for key in entry["fieldsV1"]["f:spec"]}
    rest = list(_without(entries, changed, manager))
    there = {f"f:{key}" for key in after}  # what is removed belongs to nobody
    fields: Json = {key: {} for key in sorted((mine | changed) & there)}
    if not fields:
        return rest
    return [*rest, {"manager": manager, "operation": "Update", "time": at, "fieldsV1": {"f:spec": fields}}]


def _without(entries: Sequence[Json], changed: set[str], manager: str) -> Iterator[Json]:
    for entry in entries:
        kept: Json = {key: {} for key in entry["fieldsV1"]["f:spec"] if key not in changed}
        if kept and entry["manager"] != manager:
            yield {**entry, "fieldsV1": {"f:spec": kept}}


def finalizers_of(obj: Json) -> tuple[str, ...]:
    """The finalizers of an object."""
    return tuple(obj["metadata"].get("finalizers") or ())


def is_labelled(deployment: Json) -> bool:
    """Whether the gate selects this Deployment."""
    return names.LABEL in (deployment["metadata"].get("labels") or {})
