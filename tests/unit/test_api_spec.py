"""The spec as it is read back from the API server, which may have stored it under older rules."""

from datetime import timedelta
from typing import Any

import pytest

from e2e.tests.crd_objects import MINIMAL, UNKNOWN, WRONG, Wrong, rollout
from rollout_controller.api import RolloutSpec, SpecError, parse_places, parse_spec
from rollout_controller.api.strategy import Step


def test_a_minimal_spec_gets_the_documented_defaults() -> None:
    spec = parse_spec(MINIMAL["spec"])
    canary, analysis = spec.strategy.canary, spec.analysis
    assert canary is not None
    assert [step.weight for step in canary.steps] == [5, 10, 25, 50, 100]
    assert canary.min_pods == 2
    assert (analysis.interval, analysis.window) == (timedelta(seconds=10), timedelta(seconds=60))
    assert (analysis.warmup, analysis.min_requests, analysis.failure_limit) == (timedelta(seconds=30), 20, 2)
    assert (analysis.inconclusive.after, analysis.inconclusive.then) == (timedelta(minutes=5), "Pause")
    assert (spec.min_duration, spec.max_duration) == (timedelta(seconds=60), timedelta(minutes=30))
    assert (spec.bake, spec.drain) == (timedelta(minutes=5), timedelta(seconds=30))
    assert (spec.progress_deadline, spec.paused) == (timedelta(minutes=10), False)
    assert spec.rollback_window == 3


def test_a_spec_is_read_as_values() -> None:
    changes = {
        "strategy.canary.steps": [
            {"weight": 10, "scale": 50, "approval": True, "minDuration": "5m"},
            {"weight": 100},
        ],
        "paused": True,
    }
    spec = parse_spec(rollout(changes)["spec"])
    assert spec.strategy.canary is not None
    first, last = spec.strategy.canary.steps
    assert first == Step(weight=10, scale=50, approval=True, min_duration=timedelta(minutes=5))
    assert (last.scale, last.approval, last.min_duration) == (None, False, None)
    assert spec.paused
    assert [check.error_rate.max for check in spec.analysis.checks if check.error_rate] == [0.01]
    assert [(c.latency.quantile, c.latency.max) for c in spec.analysis.checks if c.latency] == [
        (0.99, timedelta(milliseconds=500))
    ]


def test_a_spec_that_is_written_is_read_back_the_same() -> None:
    spec = parse_spec(rollout({"strategy.canary.steps": [{"weight": 0}, {"weight": 100}]})["spec"])
    assert parse_spec(spec.model_dump(by_alias=True, exclude_none=True, mode="json")) == spec


def test_a_spec_is_a_value_that_can_be_compared_and_hashed() -> None:
    assert hash(parse_spec(MINIMAL["spec"])) == hash(parse_spec(rollout()["spec"]))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.what)
def test_a_wrong_spec_is_told_field_expectation_and_finding(wrong: Wrong) -> None:
    with pytest.raises(SpecError) as error:
        parse_spec(rollout(wrong.changes)["spec"])
    assert [str(problem) for problem in error.value.problems] == [wrong.parsed]


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_field_is_told(path: str) -> None:
    with pytest.raises(SpecError, match=rf"spec\.{path}: expected no such field"):
        parse_spec(rollout({path: {}})["spec"])


def test_every_wrong_field_is_told_at_once() -> None:
    with pytest.raises(SpecError) as error:
        parse_spec(rollout({"bake": "x", "drain": "y", "strategy.canary.minPods": 0})["spec"])
    assert [problem.path for problem in error.value.problems] == [
        "spec.strategy.canary.minPods",
        "spec.bake",
        "spec.drain",
    ]


@pytest.mark.parametrize("raw", [None, [], "spec", {}])
def test_what_is_no_spec_at_all_is_a_spec_error(raw: object) -> None:
    with pytest.raises(SpecError, match=r"^spec"):
        parse_spec(raw)  # type: ignore[arg-type] # what was stored may be anything
    assert parse_places(raw) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{"minDuration": "soon"}, {"typo": 1}, {"strategy.canary.steps": []}, {"analysis.checks": []}],
    ids=str,
)
def test_where_a_release_takes_place_is_known_of_a_spec_that_is_wrong_elsewhere(changes: Any) -> None:
    raw, right = rollout(changes)["spec"], parse_spec(MINIMAL["spec"])
    with pytest.raises(SpecError):
        parse_spec(raw)
    places = parse_places(raw)
    assert places is not None
    assert (places.workload, places.traffic) == (right.workload, right.traffic)
    assert places.analysis == (None if "analysis.checks" in changes else right.analysis)


@pytest.mark.parametrize("changes", [{"workload": {}}, {"traffic.istio.virtualServices": []}], ids=str)
def test_places_that_are_wrong_themselves_are_not_guessed(changes: Any) -> None:
    assert parse_places(rollout(changes)["spec"]) is None


def test_a_spec_cannot_be_changed() -> None:
    spec = RolloutSpec.model_validate(MINIMAL["spec"])
    with pytest.raises(ValueError, match="frozen"):
        spec.paused = True  # type: ignore[misc] # that is the point
