"""Deployments that still bear the label of a Rollout that is gone."""

from __future__ import annotations

from rollout_controller.api import names
from rollout_controller.core.patch import pointer, remove
from rollout_controller.ports import Cluster, Key, Kind, NotFound, Ref


async def release_orphans(cluster: Cluster, key: Key) -> None:
    """Take label and held-by mark off every Deployment that names this Rollout, which does not exist.

    A Deployment that the gate paused in between stays paused: only its owner knows whether the new template
    may roll, and without the label nobody keeps him from saying so. Raises the port's errors.
    """
    chosen = f"{names.LABEL}={key.name}"
    for deployment in await cluster.list(Kind.DEPLOYMENT, key.namespace, live=False, labels=chosen):
        metadata = deployment["metadata"]
        where = ("metadata", "labels", names.LABEL)
        ops = [{"op": "test", "path": pointer(*where), "value": key.name}, remove(*where)]
        if names.HELD_BY in (metadata.get("annotations") or {}):
            ops.append(remove("metadata", "annotations", names.HELD_BY))
        try:
            await cluster.patch(Ref(Kind.DEPLOYMENT, key.namespace, metadata["name"]), ops)
        except NotFound:
            continue
