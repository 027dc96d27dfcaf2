"""The spec, compiled into what decisions are made of: strategies are stages, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.strategy import BlueGreen, Canary, HeaderValue, Pin
from rollout_controller.core.release import HeaderMatch, HeaderPin, Policy, Stage


def compile_policy(spec: RolloutSpec) -> Policy:
    """The stages of the strategy, its header pins, and what counts at once."""
    canary, blue_green = spec.strategy.canary, spec.strategy.blue_green
    if canary is not None:
        stages, pins = _steps(spec, canary), canary.pin
    else:
        assert blue_green is not None  # noqa: S101 - the spec has exactly one of them
        stages, pins = _preview_and_live(spec, blue_green), blue_green.preview
    return Policy(
        stages=stages,
        max_duration=spec.max_duration,
        drain=spec.drain,
        progress_deadline=spec.progress_deadline,
        inconclusive_after=spec.analysis.inconclusive.after,
        inconclusive_then=spec.analysis.inconclusive.then,
        paused=spec.paused,
        header_pins=tuple(map(_pin, pins)),
        rollback_window=spec.rollback_window,
    )


def _steps(spec: RolloutSpec, canary: Canary) -> tuple[Stage, ...]:
    """One stage for each step. A step without weight keeps that of the one before it."""
    stages: list[Stage] = []
    for step in canary.steps:
        weight = step.weight if step.weight is not None else (stages[-1].weight if stages else 0)
        mirror = step.mirror or 0
        stages.append(
            Stage(
                name=f"{weight}%" if not mirror else f"{weight}%, mirror {mirror}%",
                weight=weight,
                scale=max(weight, mirror) if step.scale is None else step.scale,
                min_pods=canary.min_pods,
                min_duration=_duration(spec, step.min_duration, last=step is canary.steps[-1]),
                approval=step.approval,
                mirror=mirror,
            )
        )
    return tuple(stages)


def _preview_and_live(spec: RolloutSpec, blue_green: BlueGreen) -> tuple[Stage, ...]:
    """A preview without a share, then everybody at once, held for `bake`."""
    preview = Stage(
        name="preview",
        weight=0,
        scale=blue_green.scale,
        min_pods=1,
        min_duration=_duration(spec, blue_green.min_duration, last=False),
        approval=blue_green.approval,
        mirror=blue_green.mirror,
    )
    live = Stage("live", weight=100, scale=100, min_pods=1, min_duration=spec.bake)
    return preview, live


def _duration(spec: RolloutSpec, own: timedelta | None, *, last: bool) -> timedelta:
    """The last stage is held for `bake`, or longer if its step says so."""
    if not last:
        return spec.min_duration if own is None else own
    return spec.bake if own is None else max(spec.bake, own)


def _pin(pin: Pin) -> HeaderPin:
    return tuple(_matches(pin.headers.items()))


def _matches(headers: Iterable[tuple[str, HeaderValue]]) -> Iterable[HeaderMatch]:
    for name, value in headers:
        if value.exact is not None:
            yield HeaderMatch(name, "exact", value.exact)
        elif value.prefix is not None:
            yield HeaderMatch(name, "prefix", value.prefix)
        elif value.regex is not None:
            yield HeaderMatch(name, "regex", value.regex)
