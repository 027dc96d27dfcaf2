"""Releases with pins, copies, blue-green plans and two Services, stopped at each of their writes."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.release import Phase
from rollout_controller.ports import Json
from tests.support import scene
from tests.support.explore import explore, moments
from tests.support.play import Pace, Run
from tests.support.releases import (
    annotated,
    assert_at_rest,
    assert_mesh_is_as_in_git,
    in_stage,
    releasing,
    serving,
    stable_version,
    under_way,
)
from tests.support.simulation import Evidence

HEADER: Json = {"headers": {"x-canary": {"exact": "true"}}}
CANARY: Json = {"canary": {"minPods": 1, "pin": [HEADER], "steps": [{"mirror": 40}, {"weight": 100}]}}
BLUE_GREEN: Json = {"blueGreen": {"preview": [HEADER], "mirror": 20}}


def two(evidence: Evidence | None = None, **spec: Any) -> Run:
    """Version 2 was just asked for, where two pods serve."""
    return releasing(evidence or Evidence(), replicas=2, **spec)


def assert_promoted(end: Run) -> None:
    assert (end.facts.phase, stable_version(end)) == (Phase.HEALTHY, scene.V2)
    assert_at_rest(end, scene.V2, 2)


def assert_taken_back(end: Run, reason: str = "error rate 5 % (limit 1 %)") -> None:
    assert (end.facts.phase, end.facts.reason) == (Phase.REVERTED, reason)
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V1: 2}


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN])
def test_a_good_version_becomes_the_deployments_own(strategy: Json) -> None:
    assert_promoted(explore([two(strategy=strategy)]).the_end(at_least=700))


@pytest.mark.parametrize("stage", [0, 1])
def test_a_bad_version_is_taken_back_from_preview_and_from_live(stage: int) -> None:
    bad = two(Evidence(fails_at=frozenset({stage})), strategy=BLUE_GREEN)
    assert_taken_back(explore([bad], restarts=False).the_end(at_least=300))


def test_a_bad_version_is_taken_back_from_its_copies() -> None:
    bad = two(Evidence(fails_at=frozenset({0})), strategy=CANARY)
    assert_taken_back(explore([bad], restarts=False).the_end(at_least=300))


def test_an_abort_in_preview_takes_pins_and_copies_away() -> None:
    run = two(strategy=BLUE_GREEN)
    previews = moments(
        run,
        lambda world: scene.annotate(world, abort="bad"),
        lambda now: in_stage(now) and now.facts.stage == 0,
    )
    end = explore(previews, restarts=False).the_end(at_least=300)
    assert_taken_back(end, "aborted by command: bad")
    assert annotated(end.world) == {}


@pytest.mark.parametrize("pace", ["prompt", "slow"])
def test_two_services_tell_a_good_version_apart_as_subsets_do(pace: Pace) -> None:
    good = two(pace=pace, hosts=True, steps=({"weight": 50}, {"weight": 100}))
    assert_promoted(explore([good], restarts=pace == "prompt").the_end(at_least=500))


@pytest.mark.parametrize("pace", ["prompt", "slow"])
def test_an_abort_just_before_the_hand_over_takes_back_with_two_services(pace: Pace) -> None:
    moved = moments(
        two(pace=pace, hosts=True, steps=({"weight": 100},)),
        lambda world: scene.annotate(world, abort="bad"),
        lambda now: now.facts.phase is Phase.PROMOTING and under_way(now),
    )
    assert len(moved) >= 2
    assert_taken_back(explore(moved, restarts=False).the_end(at_least=50), "aborted by command: bad")


@pytest.mark.parametrize("stage", [0, 1])
def test_a_bad_version_is_taken_back_with_two_services(stage: int) -> None:
    bad = two(Evidence(fails_at=frozenset({stage})), hosts=True)
    assert_taken_back(explore([bad], restarts=False).the_end(at_least=300))


def test_blue_green_with_two_services() -> None:
    assert_promoted(explore([two(hosts=True, strategy=BLUE_GREEN)], restarts=False).the_end(at_least=300))
