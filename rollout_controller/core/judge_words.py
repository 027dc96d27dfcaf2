"""A reading as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence

from rollout_controller.core.judge_checks import Check, ErrorRate, Judged, Latency, Outcome


def percent(share: float) -> str:
    """A share from 0 to 1 in three significant digits: `0.2 %`, `16.7 %`, `100 %`."""
    value = share * 100
    if 0 < value < 0.01:
        return "below 0.01 %"
    return f"{value:.3g} %"


def milliseconds(value: float) -> str:
    """`0.42 ms`, `182 ms`."""
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def title(check: Check) -> str:
    """`error rate`, `p99`."""
    return "error rate" if isinstance(check, ErrorRate) else check.name.removeprefix("latency ")


def _amount(check: Check, value: float | None) -> str:
    if value is None:
        return "unknown"
    return milliseconds(value) if isinstance(check, Latency) else percent(value)


def limit(check: Check) -> str:
    """The limit as it was set."""
    return f"{check.max:g} ms" if isinstance(check, Latency) else f"{check.max * 100:.6g} %"


def describe(judged: Judged) -> str:
    """`error rate 0.2 % (limit 1 %)`."""
    check = judged.check
    return f"{title(check)} {_amount(check, judged.reading.value)} (limit {limit(check)})"


def remark(judged: Judged) -> str:
    """What a person should know about this outcome, empty if the numbers say it all."""
    check, reading = judged.check, judged.reading
    if judged.outcome is Outcome.ABOVE:
        return f"{title(check)} is above its limit, but {judged.bad:.0f} of {reading.requests} may be chance"
    if judged.outcome is Outcome.BOTH:
        return f"stable breaches the limit of {title(check)} too, with {_amount(check, reading.stable)}"
    if judged.outcome is Outcome.BEYOND:
        return f"{title(check)} cannot be told: the histogram ends at {_amount(check, reading.value)}"
    if judged.outcome is Outcome.UNMEASURED:
        return (
            f"{title(check)} cannot be told: Prometheus has requests of the canary, but no histogram of them"
        )
    if judged.outcome is Outcome.BROKEN:
        return (
            f"{title(check)} cannot be told: {judged.bad:.0f} failed requests, but {reading.requests} in all"
        )
    return ""


def wanting(count: int) -> str:
    """`40 more canary requests needed`."""
    return f"{count} more canary request{'s' if count != 1 else ''} needed"


def sentence(judged: Sequence[Judged], *remarks: str) -> str:
    """The checks, those that fail first, what is remarkable about them, and what else there is to say."""
    judged = sorted(judged, key=lambda one: one.outcome is not Outcome.FAIL)
    needed = max((j.needed for j in judged), default=0)
    parts = [
        ", ".join(describe(j) for j in judged),
        *(remark(j) for j in judged),
        *remarks,
        wanting(needed) if needed else "",
    ]
    return "; ".join(part for part in parts if part)
