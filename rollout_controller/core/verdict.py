"""What the evaluator makes of the canary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rollout_controller.core.release import StageKey


@dataclass(frozen=True, slots=True)
class Reading:
    """One check, as last read: values are in the unit of the limit (a fraction, or milliseconds)."""

    check: str
    value: float | None
    limit: float
    stable: float | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether requests go where the routes send them; `reason` is one word, `sentence` what people read."""

    status: Literal["True", "False", "Unknown"] = "Unknown"
    reason: str = "NotYet"
    sentence: str = "the requests of this step are not counted yet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evaluator makes of the canary: a pass counts for its exact key, a fail for its canary.

    `since` is when this result began; `failures` the number of consecutive failing readings; `sentence`
    what a person reads; `needed` how many more canary requests are wanted (0 if none); `traffic` whether
    requests reach it as routed.
    """

    key: StageKey
    result: Literal["pass", "fail", "inconclusive"]
    since: datetime
    failures: int = 0
    readings: tuple[Reading, ...] = ()
    sentence: str = ""
    needed: int = 0
    traffic: Verification = Verification()
