"""Deployments that bear the label of a Rollout that is gone, or that names another Deployment.

The gate would hold each new template of theirs, and nobody would ever release it. The label gets there by a
Rollout that goes or is pointed elsewhere, and by copying a Deployment, into another namespace too.
"""

from __future__ import annotations

from rollout_controller.api import names
from rollout_controller.core.patch import pointer, remove
from rollout_controller.ports import Cluster, Json, Key, Kind, NotFound, Ref


async def strays(cluster: Cluster, key: Key, *, owned: str = "", live: bool = False) -> list[Json]:
    """Deployments that bear this Rollout's label and are not `owned`. Raises the port's errors."""
    chosen = f"{names.LABEL}={key.name}"
    labelled = await cluster.list(Kind.DEPLOYMENT, key.namespace, live=live, labels=chosen)
    return [deployment for deployment in labelled if deployment["metadata"]["name"] != owned]


async def release(cluster: Cluster, key: Key, deployments: list[Json]) -> None:
    """Take label and held-by mark off. Raises the port's errors.

    A Deployment that the gate paused in between stays paused: only its owner knows whether the new template
    may roll, and without the label nobody keeps him from saying so.
    """
    for deployment in deployments:
        metadata = deployment["metadata"]
        where = ("metadata", "labels", names.LABEL)
        ops = [{"op": "test", "path": pointer(*where), "value": key.name}, remove(*where)]
        if names.HELD_BY in (metadata.get("annotations") or {}):
            ops.append(remove("metadata", "annotations", names.HELD_BY))
        try:
            await cluster.patch(Ref(Kind.DEPLOYMENT, key.namespace, metadata["name"]), ops)
        except NotFound:
            continue
