"""The spec, compiled into what decisions are made of."""

from __future__ import annotations

from datetime import timedelta

from rollout_controller.api.spec import RolloutSpec
from rollout_controller.core.model import Policy, Stage


def compile_policy(spec: RolloutSpec) -> Policy:
    """The stages of the strategy, one for each step, and what counts at once."""
    canary = spec.strategy.canary
    last = len(canary.steps) - 1
    stages = tuple(
        Stage(
            name=f"{step.weight}%",
            weight=step.weight,
            scale=step.weight if step.scale is None else step.scale,
            min_pods=canary.min_pods,
            min_duration=_duration(spec, index, last),
            gate=True,
            approval=step.approval,
        )
        for index, step in enumerate(canary.steps)
    )
    return Policy(
        stages=stages,
        max_duration=spec.max_duration,
        drain=spec.drain,
        progress_deadline=spec.progress_deadline,
        inconclusive_after=spec.analysis.inconclusive.after,
        inconclusive_then=spec.analysis.inconclusive.then,
        paused=spec.paused,
    )


def _duration(spec: RolloutSpec, index: int, last: int) -> timedelta:
    """The last stage is held for `bake`, or longer if its step says so."""
    own = spec.strategy.canary.steps[index].min_duration
    if index < last:
        return spec.min_duration if own is None else own
    return spec.bake if own is None else max(spec.bake, own)
