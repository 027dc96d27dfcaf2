"""From stored objects to models, with errors that name the field.

The API server has checked an object when it was applied, but perhaps by an older CRD: a spec that the rules
of today refuse must become a finding, never an exception out of nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rollout_controller.api.analysis import Analysis
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.traffic import Traffic
from rollout_controller.api.workload import Workload

_FOUND_LENGTH: Final = 80


@dataclass(frozen=True)
class Problem:
    """One field that is wrong."""

    path: str
    """As kubectl writes it: `spec.strategy.canary.steps[0].weight`."""
    expected: str
    found: str
    unknown: bool = False
    """Whether there is no such field."""

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, found {self.found}"


class SpecError(ValueError):
    """A spec that cannot be used; `problems` has every field that is wrong."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Places:
    """Where a release takes place, of a spec that is wrong elsewhere; `analysis` if that part is right."""

    workload: Workload
    traffic: Traffic
    analysis: Analysis | None = None


def parse_places(raw: Mapping[str, Any]) -> Places | None:
    """What a way back needs to know of a spec that parse_spec refuses, None if that part is wrong itself."""
    if not isinstance(raw, Mapping):
        return None
    try:
        workload = Workload.model_validate(raw.get("workload"))
        traffic = Traffic.model_validate(raw.get("traffic"))
    except ValidationError:
        return None
    try:
        return Places(workload, traffic, Analysis.model_validate(raw.get("analysis")))
    except ValidationError:
        return Places(workload, traffic)


def parse_spec(raw: Mapping[str, Any]) -> RolloutSpec:
    """The spec of a Rollout from its `spec` mapping. Raises SpecError."""
    try:
        return RolloutSpec.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise SpecError(tuple(_problem(detail) for detail in details if not _spurious(detail))) from error


def _spurious(detail: ErrorDetails) -> bool:
    # pydantic counts only the valid items of a list: a list of one wrong item is also "too short".
    return detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]


def _problem(detail: ErrorDetails) -> Problem:
    context = detail.get("ctx", {})
    path = _path(detail["loc"]) + str(context.get("field", ""))
    if detail["type"] == "missing":
        return Problem(path, "a value", "none")
    if detail["type"] == "too_long":
        return Problem(path, _expected(detail, context), str(len(detail["input"])))
    found = context.get("found") or _found(detail["input"])
    return Problem(path, _expected(detail, context), found, unknown=detail["type"] == "extra_forbidden")


def _path(location: tuple[str | int, ...]) -> str:
    named = (part for part in location if part != "[key]")  # pydantic's mark of a wrong key, after the key
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)
    return "spec" + "".join(parts)


_EXPECTED: Final = {
    "extra_forbidden": "no such field (remove it, or check its spelling)",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "too_short": "{min_length} or more items",
    "too_long": "at most {max_length} items",
    "literal_error": "{expected}",
    "rollout": "{expected}",
}
"""By type of pydantic error; the braces are its context."""


def _expected(detail: ErrorDetails, context: Mapping[str, Any]) -> str:
    form = _EXPECTED.get(detail["type"])
    return detail["msg"] if form is None else form.format(**context)


def _found(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _FOUND_LENGTH else text[: _FOUND_LENGTH - 1] + "…"
