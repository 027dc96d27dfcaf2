"""Whether the gate works: a dry run of a template change must come back paused."""

from __future__ import annotations

from datetime import datetime

from rollout_controller.api import names
from rollout_controller.controller.memory import GATE_UNANSWERED, Gate, Memory
from rollout_controller.core.model import Finding
from rollout_controller.core.patch import add
from rollout_controller.ports import Cluster, ClusterError, Json, Key, Kind, Ref, Unavailable

_PROBE = f"{names.GROUP}/gate-check"


async def check_gate(
    cluster: Cluster, deployment: Json | None, key: Key, memory: Memory, now: datetime
) -> tuple[Finding, ...]:
    """A finding unless the gate is known to hold this Deployment; asked once, and again while it does not.

    Nothing is asked before the Deployment bears the gate's label, which is what the gate selects by. An API
    server that does not answer is asked again later and is no finding.
    """
    if deployment is None or (deployment["metadata"].get("labels") or {}).get(names.LABEL) != key.name:
        return ()
    uid = deployment["metadata"]["uid"]
    gate = memory.gate if memory.gate is not None and memory.gate.uid == uid else Gate(uid)
    if not gate.holds and (gate.ask_at is None or gate.ask_at <= now):
        gate = await _ask(cluster, deployment, gate, now)
        memory.gate = gate
    if gate.holds or not gate.problem:
        return ()
    return (
        Finding(
            code="GateNotInForce",
            severity="error",
            object=f"Deployment {key.namespace}/{deployment['metadata']['name']}",
            path="spec.paused",
            sentence=gate.problem,
            fix="Apply deploy/gate (kubectl apply -k deploy/gate); it works about a second later.",
        ),
    )


async def _ask(cluster: Cluster, deployment: Json, gate: Gate, now: datetime) -> Gate:
    ref = Ref(Kind.DEPLOYMENT, deployment["metadata"]["namespace"], deployment["metadata"]["name"])
    template = deployment["spec"]["template"].get("metadata") or {}
    annotations = {**(template.get("annotations") or {}), _PROBE: "dry-run"}
    ops: list[Json] = [add(False, "spec", "paused")]
    if not template:
        ops.append(add({"annotations": annotations}, "spec", "template", "metadata"))
    else:
        ops.append(add(annotations, "spec", "template", "metadata", "annotations"))
    try:
        answer = await cluster.patch(ref, ops, dry_run=True)
    except Unavailable:
        return Gate(gate.uid, problem=gate.problem, ask_at=now + GATE_UNANSWERED)
    except ClusterError as refused:
        problem = f"a dry run of a template change was refused: {refused.message}"
        return gate.refused(problem, now)
    if answer["spec"].get("paused") is True:
        return Gate(gate.uid, holds=True)
    problem = "a dry run of a template change did not come back paused: the gate's policies are not in force"
    return gate.refused(problem, now)
