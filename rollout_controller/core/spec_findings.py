"""What is wrong with the spec of a Rollout, as findings."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from rollout_controller.api.parse import Problem, SpecError
from rollout_controller.api.schema import structural_schema
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.core.finding import Finding

INVALID_SPEC: Final = "InvalidSpec"
UNKNOWN_FIELD: Final = "UnknownField"


def spec_findings(obj: str, wrong: SpecError) -> tuple[Finding, ...]:
    """A finding for each field that is wrong in the spec of this Rollout (`Rollout shop/web`)."""
    return tuple(_finding(obj, problem) for problem in wrong.problems)


def _finding(obj: str, problem: Problem) -> Finding:
    if problem.unknown:
        close = get_close_matches(problem.path.rpartition(".")[2], _siblings(problem.path), n=1)
        meant = f'Did you mean "{close[0]}"? Else remove it.' if close else "Remove it."
        return Finding(UNKNOWN_FIELD, "error", obj, problem.path, "there is no such field", meant)
    sentence = f"expected {problem.expected}, found {problem.found}"
    fix = "Correct the field and apply the Rollout again."
    return Finding(INVALID_SPEC, "error", obj, problem.path, sentence, fix)


def _siblings(path: str) -> list[str]:
    """The fields that there are where an unknown one stands."""
    level: dict[str, Any] = _schema()
    for part in path.split(".")[1:-1]:
        level = level.get("properties", {}).get(part.partition("[")[0], {})
        level = level.get("items", level)
    return list(level.get("properties", {}))


@cache
def _schema() -> dict[str, Any]:
    return structural_schema(RolloutSpec)
