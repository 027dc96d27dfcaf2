"""What a stage asks for: how many canary pods, and what share so many pods can carry."""

from __future__ import annotations

from rollout_controller.core.model import Stage


def carried(percent: int, replicas: int) -> int:
    """ceil(percent % of replicas): the pods that this share of requests needs."""
    return -(-percent * replicas // 100)


def need(stage: Stage, replicas: int) -> int:
    """The canary pods that a stage wants: for its share, its scale, its `min_pods`; at most `replicas`."""
    wanted = max(carried(stage.weight, replicas), carried(stage.scale, replicas), stage.min_pods)
    return min(wanted, replicas)


def affordable(ready: int, replicas: int) -> int:
    """The highest share in percent for which `ready` pods are enough (the inverse of `carried`)."""
    return min(100, 100 * ready // replicas) if replicas else 100
