"""Whether the gate works: dry runs of what its two policies are there for.

A template change must come back paused: asked as soon as the Deployment bears the gate's label. Un-pausing by
anybody else must be refused while a new template is held: asked when a release begins, before anything is
pinned, for at rest there is nothing that could be let go.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from rollout_controller.api import names
from rollout_controller.controller.memory import GATE_RETRY_LONGEST, Gate, Memory
from rollout_controller.core.finding import Finding
from rollout_controller.core.patch import add
from rollout_controller.ports import Cluster, ClusterError, Json, Key, Kind, Ref, Unavailable

_PROBE: Final = f"{names.GROUP}/gate-check"
_STRANGER: Final = f"{names.FIELD_MANAGER}-gate-check"
LONGEST: Final = round(GATE_RETRY_LONGEST.total_seconds())
KEPT: Final = "is held by Rollout"
"""What the refusal by `keep.yaml` says; one by somebody else's policy proves nothing."""


async def check_gate(
    cluster: Cluster, deployment: Json | None, key: Key, memory: Memory, now: datetime
) -> tuple[Finding, ...]:
    """A finding unless the gate is known to work here; asked once, and again while it does not.

    Nothing is asked before the Deployment bears the gate's label, which is what the gate selects by. An API
    server that does not answer is asked again later and is no finding.
    """
    if deployment is None or (deployment["metadata"].get("labels") or {}).get(names.LABEL) != key.name:
        return ()
    uid = deployment["metadata"]["uid"]
    gate = memory.gate if memory.gate is not None and memory.gate.uid == uid else Gate(uid)
    if not gate.holds and _due(gate, now):
        gate = await _ask_to_hold(cluster, deployment, gate, now)
    if gate.holds and not _held(deployment):
        gate = gate.answered()
    elif gate.holds and not gate.keeps and _due(gate, now):
        gate = await _ask_to_keep(cluster, deployment, gate, now)
    memory.gate = gate
    if not gate.problem:
        return ()
    return (
        Finding(
            code="GateNotInForce",
            severity="error",
            object=f"Deployment {key.namespace}/{deployment['metadata']['name']}",
            path="spec.paused",
            sentence=gate.problem,
            fix=f"Apply deploy/gate (kubectl apply -k deploy/gate); it is noticed within {LONGEST} s.",
        ),
    )


def _due(gate: Gate, now: datetime) -> bool:
    return gate.ask_at is None or gate.ask_at <= now


def _held(deployment: Json) -> bool:
    marked = names.HELD_BY in (deployment["metadata"].get("annotations") or {})
    return marked and deployment["spec"].get("paused") is True


def _ref(deployment: Json) -> Ref:
    return Ref(Kind.DEPLOYMENT, deployment["metadata"]["namespace"], deployment["metadata"]["name"])


async def _ask_to_hold(cluster: Cluster, deployment: Json, gate: Gate, now: datetime) -> Gate:
    template = deployment["spec"]["template"].get("metadata") or {}
    annotations = {**(template.get("annotations") or {}), _PROBE: "dry-run"}
    ops: list[Json] = [add(False, "spec", "paused")]
    if not template:
        ops.append(add({"annotations": annotations}, "spec", "template", "metadata"))
    else:
        ops.append(add(annotations, "spec", "template", "metadata", "annotations"))
    try:
        answer = await cluster.patch(_ref(deployment), ops, dry_run=True)
    except Unavailable:
        return gate.unanswered(now)
    except ClusterError as refused:
        return gate.unproven(f"a dry run of a template change was refused: {refused.message}", now)
    if answer["spec"].get("paused") is True:
        return replace(gate.answered(), holds=True)
    problem = "a dry run of a template change did not come back paused: the gate's policies are not in force"
    return gate.unproven(problem, now)


async def _ask_to_keep(cluster: Cluster, deployment: Json, gate: Gate, now: datetime) -> Gate:
    try:
        await cluster.patch(_ref(deployment), [add(False, "spec", "paused")], dry_run=True, manager=_STRANGER)
    except Unavailable:
        return gate.unanswered(now)
    except ClusterError as refused:
        if KEPT in refused.message:
            return replace(gate.answered(), keeps=True)
        problem = f"a dry run of un-pausing was refused, but not by the gate: {refused.message}"
        return gate.unproven(problem, now)
    problem = (
        "a dry run of un-pausing by another field manager was not refused: the gate's policy keep.yaml is not"
        " in force, and anybody could let the new version roll"
    )
    return gate.unproven(problem, now)
