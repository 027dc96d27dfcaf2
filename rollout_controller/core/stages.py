"""What a stage asks for: how many canary pods, and what share so many pods can carry."""

from __future__ import annotations

from rollout_controller.core.release import Stage


def place(stage: Stage, *, pinned: bool) -> str:
    """`at 25 %`, or `with pinned requests only` where `pinned` ones (by headers) are all that users feel."""
    return f"with {sent(stage, pinned=True)}" if pinned and not stage.weight else f"at {stage.words}"


def sent(stage: Stage, *, pinned: bool) -> str:
    """What the canary is sent, as people say it: `25 %`, `pinned requests only`."""
    if not pinned or stage.weight:
        return stage.words
    return f"pinned requests and {stage.words}" if stage.mirror else "pinned requests only"


def called(stage: Stage, *, pinned: bool) -> str:
    """A stage in a sentence: `step preview`, `step at 25 %`."""
    return f"step {place(stage, pinned=pinned)}" if stage.name[:1].isdigit() else f"step {stage.name}"


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
