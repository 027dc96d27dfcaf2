"""Which Rollouts to wake when an object changes: found from what their specs name, and what that names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

from rollout_controller.api.names import LABEL
from rollout_controller.core.ownership import bears_marks
from rollout_controller.istio.gateway_findings import full_hosts, gateways_of
from rollout_controller.istio.mtls_findings import ROOT_NAMESPACE
from rollout_controller.istio.routing import CLUSTER_DOMAIN
from rollout_controller.istio.rule_conflict_findings import covers_host, rule_host
from rollout_controller.kube.store import Change
from rollout_controller.ports import Json, Key, Kind, Ref

_OF_NAMESPACE: Final = frozenset({Kind.SERVICE, Kind.SERVICE_ENTRY, Kind.PEER_AUTHENTICATION, Kind.NAMESPACE})
"""A change of one of these may concern every Rollout of its namespace."""


class Index:
    """Kept from the specs of the Rollouts, and the hosts of VirtualServices and DestinationRules.

    The cache is asked for the rest. A Service is not named in a spec: a change of one wakes the Rollouts of
    its namespace, and so does one of the other kinds that findings are made from. What is kept of them hardly
    ever changes.
    """

    def __init__(self, cached: Callable[[Kind, str, str], Json | None]) -> None:
        self._cached = cached
        self._named: dict[Ref, set[Key]] = defaultdict(set)
        self._rollouts: dict[str, set[Key]] = defaultdict(set)
        self._routing: dict[str, set[Ref]] = defaultdict(set)
        self._ruling: dict[str, set[Ref]] = defaultdict(set)

    def woken_by(self, kind: Kind, change: Change) -> set[Key]:
        """The Rollouts whose decision may rest on the object that changed, as it was and as it is."""
        if kind is Kind.ROLLOUT:
            before = self._rivals(change)
            key = self._indexed(change)
            return {key, *before, *self._rivals(change)} if _moves_others(change) else {key}
        keys = {key for obj in change if obj is not None for key in self._keys(kind, obj)}
        if kind is Kind.VIRTUAL_SERVICE:
            return keys | self._of_same_hosts(change)
        return keys | self._of_same_rules(change) if kind is Kind.DESTINATION_RULE else keys

    def _indexed(self, change: Change) -> Key:
        present = change.new or change.old
        assert present is not None, "a change is of something"  # noqa: S101
        key = Key(present["metadata"]["namespace"], present["metadata"]["name"])
        if change.old is not None:
            self._rollouts[key.namespace].discard(key)
            for ref in references(change.old):
                self._named[ref].discard(key)
                if not self._named[ref]:
                    del self._named[ref]
        if change.new is not None:
            self._rollouts[key.namespace].add(key)
            for ref in references(change.new):
                self._named[ref].add(key)
        return key

    def _rivals(self, change: Change) -> set[Key]:
        """The Rollouts that name an object which this one names, as it was or as it is."""
        named = {ref for rollout in change if rollout is not None for ref in references(rollout)}
        return {key for ref in named for key in self._named.get(ref, ())}

    def _keys(self, kind: Kind, obj: Json) -> Iterator[Key]:
        namespace = obj["metadata"]["namespace"]
        if kind is Kind.PEER_AUTHENTICATION and namespace == ROOT_NAMESPACE:
            yield from (key for keys in self._rollouts.values() for key in keys)
        elif kind in _OF_NAMESPACE:
            yield from self._rollouts.get(namespace, ())
        elif kind is Kind.GATEWAY:
            yield from self._bound_to(obj)
        elif kind is Kind.AUTOSCALER:
            target = _at(obj.get("spec"), "scaleTargetRef", "name")
            yield from self._of_deployment(namespace, str(target))
        elif kind is Kind.ENDPOINT_SLICE:
            yield from self._of_endpoint_slice(obj)
        elif kind is Kind.REPLICA_SET:
            yield from self._of_replica_set(obj)
        elif kind is Kind.POD:
            yield from self._of_pod(obj)
        else:
            yield from self._named.get(Ref(kind, namespace, obj["metadata"]["name"]), ())
            yield from self._labelled(obj, known=kind is not Kind.DEPLOYMENT)

    def _of_same_hosts(self, change: Change) -> set[Key]:
        """Those with a VirtualService for a host for which another one comes, goes or claims other requests.

        Weights are moved all the time and are no such change.
        """
        old, new = (None if obj is None else _claims(obj) for obj in change)
        present = change.new or change.old
        assert present is not None, "a change is of something"  # noqa: S101
        own = Ref(Kind.VIRTUAL_SERVICE, present["metadata"]["namespace"], present["metadata"]["name"])
        for host in _hosts(change.old):
            self._routing[host].discard(own)
        for host in _hosts(change.new):
            self._routing[host].add(own)
        if old == new:
            return set()
        others = {ref for host in _hosts(change.old) | _hosts(change.new) for ref in self._routing[host]}
        return {key for ref in others - {own} for key in self._named.get(ref, ())}

    def _of_same_rules(self, change: Change) -> set[Key]:
        """Those with a DestinationRule for a host for which another one comes, goes or has other subsets.

        The labels of our subsets are moved in every release and are no such change.
        """
        old, new = (None if obj is None else rule_host(obj, CLUSTER_DOMAIN) for obj in change)
        present = change.new or change.old
        assert present is not None, "a change is of something"  # noqa: S101
        own = Ref(Kind.DESTINATION_RULE, present["metadata"]["namespace"], present["metadata"]["name"])
        if old is not None:
            self._ruling[old].discard(own)
        if new is not None:
            self._ruling[new].add(own)
        if change.old is not None and change.new is not None and _rules(change.old) == _rules(change.new):
            return set()
        hosts = {host for host in (old, new) if host}
        wide = any(host.startswith("*") for host in hosts)
        met = [h for h in self._ruling if any(covers_host(host, h) for host in hosts)] if wide else hosts
        others = {ref for host in met for ref in self._ruling.get(host, ())}
        return {key for ref in others - {own} for key in self._named.get(ref, ())}

    def _bound_to(self, gateway: Json) -> Iterator[Key]:
        """Those with a VirtualService that is bound to this Gateway."""
        name = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
        for ref, keys in self._named.items():
            service = self._cached(*ref) if ref.kind is Kind.VIRTUAL_SERVICE else None
            if service is not None and name in gateways_of(service, ref.namespace):
                yield from keys

    def _labelled(self, obj: Json, *, known: bool = True) -> Iterator[Key]:
        """The Rollout that a label names; a Deployment's is held by the gate even if there is none."""
        name = (obj["metadata"].get("labels") or {}).get(LABEL)
        key = Key(obj["metadata"]["namespace"], name or "")
        if name and (not known or key in self._rollouts.get(key.namespace, ())):
            yield key

    def _of_endpoint_slice(self, endpoint_slice: Json) -> Iterator[Key]:
        """Those that name the slice's Service, or whose DestinationRule is, or may be, for it."""
        metadata = endpoint_slice["metadata"]
        service = (metadata.get("labels") or {}).get("kubernetes.io/service-name", "")
        yield from self._named.get(Ref(Kind.SERVICE, metadata["namespace"], service), ())
        for ref, keys in self._named.items():
            if ref.kind is Kind.DESTINATION_RULE and ref.namespace == metadata["namespace"]:
                host = _at(self._cached(*ref), "spec", "host") or service
                if str(host).partition(".")[0] == service:
                    yield from keys

    def _of_replica_set(self, replica_set: Json) -> Iterator[Key]:
        owner = controller_of(replica_set, "Deployment")
        if owner:
            yield from self._of_deployment(replica_set["metadata"]["namespace"], owner)
        yield from self._labelled(replica_set)

    def _of_pod(self, pod: Json) -> Iterator[Key]:
        namespace = pod["metadata"]["namespace"]
        owner = controller_of(pod, "ReplicaSet")
        hash_ = (pod["metadata"].get("labels") or {}).get("pod-template-hash", "")
        if not owner:
            # Left behind by a ReplicaSet that was deleted without its pods: whose it was is not known.
            yield from self._rollouts.get(namespace, ()) if hash_ else ()
            return
        replica_set = self._cached(Kind.REPLICA_SET, namespace, owner)
        if replica_set is not None:
            yield from self._of_replica_set(replica_set)
            return
        # The ReplicaSet may be gone already, or not be seen yet: all of ours are named <deployment>-<hash>.
        if hash_ and owner.endswith(f"-{hash_}"):
            yield from self._of_deployment(namespace, owner.removesuffix(f"-{hash_}"))

    def _of_deployment(self, namespace: str, name: str) -> Iterator[Key]:
        yield from self._named.get(Ref(Kind.DEPLOYMENT, namespace, name), ())


def _moves_others(change: Change) -> bool:
    """Whether a change of a Rollout may say who owns what: its claims, its being there, its marks."""
    old, new = change
    if old is None or new is None:
        return True
    return old.get("spec") != new.get("spec") or bears_marks(old) != bears_marks(new)


def references(rollout: Json) -> set[Ref]:
    """The objects that a Rollout's spec names; whatever is not of the right shape names nothing."""
    namespace = rollout["metadata"]["namespace"]
    spec = rollout.get("spec")
    istio = _at(spec, "traffic", "istio")
    services = _at(istio, "virtualServices")
    named = [
        (Kind.DEPLOYMENT, _at(spec, "workload", "deployment")),
        (Kind.DEPLOYMENT, _at(spec, "workload", "stable", "deployment")),
        (Kind.DEPLOYMENT, _at(spec, "workload", "canary", "deployment")),
        (Kind.DESTINATION_RULE, _at(istio, "destinationRule", "name")),
        (Kind.SERVICE, _at(istio, "services", "stable")),
        (Kind.SERVICE, _at(istio, "services", "canary")),
        *((Kind.VIRTUAL_SERVICE, _at(s, "name")) for s in (services if isinstance(services, list) else ())),
    ]
    return {Ref(kind, namespace, name) for kind, name in named if isinstance(name, str)}


def _claims(service: Json) -> Any:
    """What says which requests a VirtualService is for."""
    spec = service.get("spec") or {}
    http = spec.get("http") or ()
    matches = [route.get("match") for route in http]
    return [spec.get(field) for field in ("hosts", "gateways", "exportTo")], matches


def _rules(rule: Json) -> Any:
    """What says which callers follow a DestinationRule, and to which subsets."""
    spec = rule.get("spec") or {}
    subsets = [subset.get("name") for subset in spec.get("subsets") or ()]
    return [spec.get(field) for field in ("host", "exportTo", "workloadSelector")], subsets


def _hosts(service: Json | None) -> frozenset[str]:
    if service is None:
        return frozenset()
    return full_hosts(service, service["metadata"]["namespace"], CLUSTER_DOMAIN)


def controller_of(obj: Json, kind: str) -> str:
    """The name of the owner of this kind that controls an object, "" if there is none."""
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((o["name"] for o in owners if o.get("controller") and o.get("kind") == kind), "")


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
