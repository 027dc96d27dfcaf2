"""docs/reference.md leaves nothing out, and says of each field what the schema says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rollout_controller
from docs.reference import (
    COMMANDS,
    CONDITIONS,
    EVENTS,
    TABLES,
    Row,
    allowed,
    default_of,
    phases_of,
    rows,
    type_of,
)
from rollout_controller.api import COMMANDS as ANNOTATIONS
from rollout_controller.api.schema import structural_schema
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.api.status import RolloutStatus
from rollout_controller.app.settings import Settings
from rollout_controller.core.finding import WRITE_FAILS
from rollout_controller.core.strays import CODE

CORE = Path(rollout_controller.__file__).parent / "core"
SPEC = {row.path: row for row in rows(structural_schema(RolloutSpec))}


def reasons() -> Iterator[str]:
    """The reasons of Events that core spells out where it makes a Notice, and in `_start_over`."""
    for path in CORE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Notice":
                yield from _words(node.args[1])
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "name":
                yield from _words(node.value)


def _words(node: ast.expr) -> list[str]:
    texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
    return [text for text in texts if isinstance(text, str)]


def test_every_event_is_explained() -> None:
    assert set(reasons()) | {CODE, WRITE_FAILS} == set(EVENTS)


def test_every_command_is_explained_in_the_order_that_decides_between_them() -> None:
    assert tuple(COMMANDS) == ANNOTATIONS


def test_a_command_is_shown_with_the_phases_in_which_it_is_carried_out() -> None:
    shown = {name.rpartition("/")[2]: phases_of(event) for name, (event, _, _) in COMMANDS.items()}
    assert shown == {
        "abort": ["Progressing", "Paused", "Promoting"],
        "pause": ["Progressing"],
        "retry": ["Reverted"],
        "promote": ["Progressing", "Paused"],
        "resume": ["Paused"],
    }


@pytest.mark.parametrize(
    ("path", "kind", "default", "values"),
    [
        ("minDuration", "duration", "`1m`", ""),
        ("rollbackWindow", "integer", "`3`", "0 to 10"),
        ("workload", "object", "required", "either deployment, or both stable and canary"),
        ("analysis.inconclusive", "object", "see below", ""),
        ("analysis.inconclusive.then", "string", "`Pause`", "`Pause`, `Revert`"),
        (
            "analysis.checks[].errorRate.max",
            "percentage",
            "required",
            "below 100%, or the check can never fail",
        ),
        (
            "analysis.checks",
            "list of objects",
            "required",
            "1 to 20 entries; each exactly one of errorRate and latency",
        ),
        ("strategy.canary.steps[].approval", "boolean", "", ""),
        ("strategy.canary.pin[].headers.<name>.exact", "string", "", "1 to 1024 characters"),
    ],
)
def test_a_field_is_told_with_type_default_and_values(
    path: str, kind: str, default: str, values: str
) -> None:
    row: Row = SPEC[path]
    assert (type_of(row.schema), default_of(row), allowed(row)) == (kind, default, values)


@pytest.mark.parametrize("model", [RolloutSpec, RolloutStatus])
def test_no_field_is_left_out(model: type[RolloutSpec] | type[RolloutStatus]) -> None:
    shown = TABLES["spec"]() + TABLES["status"]()
    for name in structural_schema(model)["properties"]:
        assert f"| `{name}` |" in shown


def test_every_condition_and_setting_is_there() -> None:
    described = str(RolloutStatus.model_fields["conditions"].description)
    assert set(re.findall(r"\b(?:Ready|Reconciling|Stalled|Paused|TrafficVerified)\b", described)) == set(
        CONDITIONS
    )
    assert TABLES["settings"]().count("ROLLOUT_CONTROLLER_") == len(Settings.model_fields)
