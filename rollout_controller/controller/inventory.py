"""What findings are made from: the objects of one look, and beside them what the watches know.

What no watch has read is not known, and nothing is said about it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from rollout_controller.controller.snapshot import Snapshot
from rollout_controller.core.release import RUNNING, Facts, HeaderPin, Policy, Stage
from rollout_controller.core.world import Traffic
from rollout_controller.istio.gateway_findings import missing_gateways
from rollout_controller.istio.host_findings import missing_services
from rollout_controller.istio.inventory import Inventory, Known
from rollout_controller.ports import Cluster, Json, Kind, NotFound, Ref, Refused, Unavailable


def take_inventory(
    cluster: Cluster,
    snapshot: Snapshot,
    facts: Facts,
    policy: Policy | None,
    scrape: timedelta | None,
    traffic: Traffic | None = None,
) -> Inventory:
    """The snapshot's objects and those around them. `scrape` is the interval of Prometheus' scrapes.

    Where `traffic` bears marks of ours, a release runs that no status tells of.
    """
    home, analysis = snapshot.namespace, snapshot.spec.analysis
    stages, header_pins, at_rest = in_force(facts, policy)
    at_rest = at_rest and (traffic is None or traffic.unmarked)
    return Inventory(
        routing=snapshot.routing,
        rollout=snapshot.name,
        stages=stages,
        header_pins=header_pins,
        at_rest=at_rest,
        rollback_window=policy.rollback_window if policy is not None else 0,
        window=analysis.window if analysis is not None else None,
        scrape=scrape,
        deployment=snapshot.deployment,
        sides=snapshot.sides,
        virtual_services=snapshot.virtual_services,
        destination_rule=snapshot.destination_rule,
        unread=frozenset(snapshot.unread),
        namespace=next(iter(cluster.known(Kind.NAMESPACE, home) or ()), None),
        pods=tuple(snapshot.pods),
        serving=_serving(cluster, home, snapshot.endpoints or {}),
        services=_within(cluster, Kind.SERVICE, home),
        service_entries=_all(cluster, Kind.SERVICE_ENTRY),
        gateways=_all(cluster, Kind.GATEWAY),
        routes=_all(cluster, Kind.VIRTUAL_SERVICE),
        rules=_all(cluster, Kind.DESTINATION_RULE),
        peer_authentications=_all(cluster, Kind.PEER_AUTHENTICATION),
        autoscalers=_within(cluster, Kind.AUTOSCALER, home),
    )


def in_force(facts: Facts, policy: Policy | None) -> tuple[tuple[Stage, ...], tuple[HeaderPin, ...], bool]:
    """The stages and pins that count, and whether the Rollout is at rest.

    A release that runs keeps those that it began with; without a policy, as the spec is wrong somewhere,
    there are no others.
    """
    at_rest = facts.phase not in RUNNING
    if policy is None or not at_rest:
        return facts.plan, facts.header_pins, at_rest
    return policy.stages, policy.header_pins, at_rest


async def confirmed(cluster: Cluster, known: Inventory) -> Inventory:
    """The inventory with what was made a moment ago, which a watch may tell of only after the Rollout.

    Only what would be called missing is asked for; what cannot be read is not known.
    """
    for name in missing_services(known):
        ref = Ref(Kind.SERVICE, known.routing.namespace, name)
        known = replace(known, services=await _asked(cluster, known.services, ref))
    for place, name in missing_gateways(known):
        ref = Ref(Kind.GATEWAY, place, name)
        known = replace(known, gateways=await _asked(cluster, known.gateways, ref))
    return known


async def _asked(cluster: Cluster, known: Known, ref: Ref) -> Known:
    """What is known once an object was asked for that was not."""
    try:
        found = await cluster.get(ref, live=True)
    except (NotFound, Refused, Unavailable):
        return Known(known.objects)
    return known if found is None else Known((*known.objects, found), known.places)


def _all(cluster: Cluster, kind: Kind) -> Known:
    objects = cluster.known(kind)
    return Known() if objects is None else Known(tuple(objects), cluster.watched)


def _within(cluster: Cluster, kind: Kind, namespace: str) -> Known:
    objects = cluster.known(kind, namespace)
    return Known() if objects is None else Known(tuple(objects), frozenset({namespace}))


def _serving(
    cluster: Cluster, namespace: str, endpoints: Mapping[str, Collection[str]]
) -> tuple[Json, ...] | None:
    """The pods behind these Services, None unless all are known: only Deployments' pods are watched."""
    names = {name for ready in endpoints.values() for name in ready}
    if not names:
        return None
    pods = {pod["metadata"]["name"]: pod for pod in cluster.known(Kind.POD, namespace) or ()}
    return tuple(pods[name] for name in names) if pods.keys() >= names else None
