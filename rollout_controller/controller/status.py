"""Facts and display to the Rollout's status, and the facts back: nothing is remembered anywhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError

from rollout_controller.api import status as api
from rollout_controller.api.quantities import format_percentage
from rollout_controller.controller.status_conditions import TRAFFIC_VERIFIED, conditions_of
from rollout_controller.core.display import UNREAD
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Display
from rollout_controller.core.release import (
    RUNNING,
    Facts,
    HeaderMatch,
    HeaderPin,
    Outcome,
    PausedBy,
    Phase,
    Stage,
)
from rollout_controller.core.verdict import Reading

_ZERO = timedelta(0)


def facts_of(raw: Mapping[str, Any]) -> Facts:
    """The facts in a status; those of a new Rollout if there are none, or none usable."""
    try:
        status = api.RolloutStatus.model_validate(raw)
        phase = Phase(status.phase or Phase.INITIALIZING)
    except (ValidationError, ValueError):
        return Facts()
    stage = status.stage or api.StageStatus()
    verdict = status.verdict or api.VerdictStatus()
    paused_by = next((p for p in PausedBy if p == status.paused_by), None)
    return Facts(
        phase=phase,
        stable=status.stable,
        canary=status.canary,
        stage=-1 if stage.index is None else stage.index,
        since=stage.since,
        started=stage.started,
        plan=tuple(_stage(s) for s in status.plan),
        reached=stage.reached or 0,
        granted=stage.granted or 0,
        gate=_one_of(verdict.result, "pass", "fail", "inconclusive"),
        gate_since=verdict.since,
        failures=verdict.failures or 0,
        approved=_one_of(stage.approved, "step", "full"),
        paused_by=paused_by,
        reason=status.reason or "",
        token=status.command or "",
        waiting_since=stage.waiting_since,
        lowered_to=stage.lowered_to,
        shortages=stage.shortages or 0,
        corrections=stage.corrections or 0,
        corrected=stage.corrected or "",
        header_pins=tuple(_header_pin(p) for p in status.pins),
        fed=stage.fed is True,
        interference=stage.interference or "",
        advice=stage.advice or "",
        strayed=stage.strayed is True,
        history=tuple(_outcome(r) for r in reversed(status.history)),
        previous=status.previous,
        accepted=tuple((one.deployment or "", one.revision or "") for one in status.accepted),
    )


def findings_of(raw: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings in a status."""
    return tuple(
        Finding(
            code=f.get("code", ""),
            severity="error" if f.get("severity") == "error" else "warning",
            object=f.get("object", ""),
            path=f.get("path", ""),
            sentence=f.get("sentence", ""),
            fix=f.get("fix", ""),
        )
        for f in raw.get("findings") or ()
    )


def status_of(
    facts: Facts,
    display: Display,
    before: Mapping[str, Any],
    now: datetime,
    deployment_generation: int | None,
) -> dict[str, Any]:
    """The whole status to write. `before` is the present one: conditions keep their transition times."""
    running = facts.canary is not None and (facts.phase in RUNNING or facts.phase is Phase.REVERTED)
    verdict = None
    if facts.gate is not None:
        verdict = api.VerdictStatus(
            result=facts.gate,
            since=facts.gate_since,
            failures=facts.failures,
            sentence=display.sentence or None,
        )
    status = api.RolloutStatus(
        observed_generation=display.observed_generation,
        workload=api.WorkloadStatus(observed_generation=deployment_generation, image=display.image or None),
        phase=facts.phase.value,
        message=display.message,
        step=display.step or None,
        weight=display.weight if running else None,
        stable=facts.stable,
        canary=facts.canary,
        stage=_stage_status(facts) if facts.canary is not None else None,
        plan=tuple(_planned(s) for s in facts.plan),
        pins=tuple(_pin_status(p) for p in facts.header_pins),
        verdict=verdict,
        reason=facts.reason or None,
        readings=tuple(_reading(r) for r in display.readings),
        paused_by=facts.paused_by.value if facts.paused_by else None,
        command=facts.token or None,
        findings=tuple(_finding(f) for f in display.findings),
        history=tuple(_release(o) for o in reversed(facts.history)),
        previous=facts.previous,
        accepted=tuple(api.AcceptedStatus(deployment=name, revision=rev) for name, rev in facts.accepted),
        conditions=conditions_of(facts, display, before, now),
    )
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")


def worth_writing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Literal["now", "later", "no"]:
    """Whether a status differs in what is written at once, only in numbers that may wait, or not at all.

    The first readings of a stage do not wait: somebody looks at it now.
    """
    if _comparable(before) == _comparable(after):
        return "no"
    if _comparable(before, numbers=False) != _comparable(after, numbers=False):
        return "now"
    return "now" if _unread(before) and not _unread(after) else "later"


def _unread(status: Mapping[str, Any]) -> bool:
    return (status.get("verdict", {}).get("sentence") or UNREAD) == UNREAD


def _comparable(status: Mapping[str, Any], *, numbers: bool = True) -> dict[str, Any]:
    """What two statuses are compared by; without `numbers`, sentences lose theirs and the verdict's own, and
    readings go. Verified traffic is good news that may wait as well; facts that follow from it are written at
    once."""
    plain = dict(status)
    plain["conditions"] = [
        {k: v for k, v in c.items() if k not in ("lastTransitionTime", "observedGeneration")}
        for c in status.get("conditions", ())
    ]
    if numbers:
        return plain
    plain.pop("readings", None)
    verdict = status.get("verdict", {})
    judged = verdict.get("sentence") or UNREAD
    plain["message"] = _words(status.get("message", ""), judged)
    plain["verdict"] = {k: v for k, v in verdict.items() if k not in {"sentence", "since"}}
    plain["conditions"] = [
        {**c, "message": _words(c.get("message", ""), judged)}
        for c in plain["conditions"]
        if c.get("type") != TRAFFIC_VERIFIED or c.get("status") == "False"
    ]
    return plain


def _words(sentence: str, judged: str) -> str:
    return re.sub(r"[\d.]+", "#", sentence.replace(judged, UNREAD))


def _one_of(value: str | None, *allowed: str) -> Any:
    return value if value in allowed else None


def _stage(raw: api.PlannedStage) -> Stage:
    return Stage(
        name=raw.name or "",
        weight=raw.weight or 0,
        scale=raw.scale or 0,
        min_pods=raw.min_pods or 0,
        min_duration=raw.min_duration or _ZERO,
        gate=raw.gate is not False,
        approval=raw.approval is True,
        mirror=raw.mirror or 0,
    )


def _header_pin(raw: api.PinStatus) -> HeaderPin:
    return tuple(HeaderMatch(h.name or "", _how(h.how), h.value or "") for h in raw.headers)


def _how(raw: str | None) -> Literal["exact", "prefix", "regex"]:
    how: Literal["exact", "prefix", "regex"] = _one_of(raw, "exact", "prefix", "regex") or "exact"
    return how


def _pin_status(pin: HeaderPin) -> api.PinStatus:
    headers = tuple(api.PinnedHeader(name=h.name, how=h.how, value=h.value) for h in pin)
    return api.PinStatus(headers=headers)


def _planned(stage: Stage) -> api.PlannedStage:
    return api.PlannedStage(
        name=stage.name,
        weight=stage.weight,
        scale=stage.scale,
        min_pods=stage.min_pods,
        min_duration=stage.min_duration,
        gate=stage.gate,
        approval=stage.approval,
        mirror=stage.mirror or None,
    )


def _stage_status(facts: Facts) -> api.StageStatus:
    at = facts.at
    return api.StageStatus(
        index=facts.stage,
        name=at.name if at else None,
        since=facts.since,
        reached=facts.reached,
        granted=facts.granted,
        approved=facts.approved,
        waiting_since=facts.waiting_since,
        started=facts.started,
        lowered_to=facts.lowered_to,
        shortages=facts.shortages or None,
        corrections=facts.corrections or None,
        corrected=facts.corrected or None,
        fed=facts.fed or None,
        interference=facts.interference or None,
        advice=facts.advice or None,
        strayed=facts.strayed or None,
    )


def _outcome(raw: api.Release) -> Outcome:
    epoch = datetime.fromtimestamp(0).astimezone()
    outcome: Literal["Promoted", "Reverted"] = "Promoted" if raw.outcome == "Promoted" else "Reverted"
    return Outcome(raw.revision or "", outcome, raw.reason or "", raw.ended or epoch, raw.duration or _ZERO)


def _release(line: Outcome) -> api.Release:
    return api.Release(
        revision=line.revision,
        outcome=line.outcome,
        reason=line.reason or None,
        ended=line.ended,
        duration=line.duration,
    )


def _finding(f: Finding) -> api.Finding:
    return api.Finding(
        severity=f.severity, code=f.code, object=f.object, path=f.path, sentence=f.sentence, fix=f.fix
    )


def _reading(r: Reading) -> api.Reading:
    return api.Reading(
        check=r.check,
        value=_quantity(r.check, r.value),
        stable=_quantity(r.check, r.stable),
        limit=_quantity(r.check, r.limit),
        requests=r.requests,
    )


def _quantity(check: str, value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.0f}ms" if check.startswith("latency") else format_percentage(round(value, 5))
