"""A strategy that is edited while a release runs counts from the next one, and somebody says so."""

from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.controller.memory import Memory
from rollout_controller.core.release import Phase
from tests.support import releases, scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Evidence

SLOWER = {"strategy": {"canary": {"minPods": 1, "steps": [{"weight": 20}, {"weight": 100}]}}}
PINNED = {"strategy": {"canary": {"minPods": 1, "pin": [{"headers": {"x-beta": {"exact": "1"}}}]}}}


def _at_50() -> Run:
    run = releases.releasing(Evidence(silent_at=frozenset({0})))
    return run.until(lambda now: now.facts.reached == 50)


def edit(run: Run, **fields: Any) -> None:
    scene.edit_spec(run.world, **fields)
    run.wait(timedelta(seconds=60))


def told(run: Run) -> list[tuple[str, str]]:
    return [(kind, words) for kind, reason, words in run.told.notices if reason == "StrategyEdited"]


@pytest.mark.parametrize("edited", [SLOWER, PINNED, {"minDuration": "1h"}], ids=["steps", "pins", "time"])
def test_an_edit_is_told_once_and_leaves_the_release_as_it_is(edited: dict[str, Any]) -> None:
    run = _at_50()
    plan = run.facts.plan
    edit(run, **edited)
    ((kind, words),) = told(run)
    assert kind == "Normal"
    assert "next release" in words
    assert (run.facts.phase, run.facts.stage, run.facts.plan) == (Phase.PROGRESSING, 0, plan)
    edit(run, paused=True)
    edit(run, paused=False)
    assert len(told(run)) == 1


def test_each_further_edit_is_told() -> None:
    run = _at_50()
    edit(run, **SLOWER)
    edit(run, minDuration="1h")
    assert len(told(run)) == 2


def test_other_edits_and_those_at_rest_are_not_told() -> None:
    run = _at_50()
    edit(run, paused=True, drain="10s")
    run.memory = Memory()
    edit(run, paused=False)
    assert told(run) == []
    rested = releases.at_rest()
    edit(rested, **SLOWER)
    scene.set_image(rested.world, scene.V2)
    rested.to_rest()
    assert told(rested) == []


def test_an_edit_that_is_taken_back_needs_no_word() -> None:
    run = _at_50()
    before = {"strategy": run.world.need(ROLLOUT)["spec"]["strategy"]}
    edit(run, **SLOWER)
    edit(run, **before)
    assert len(told(run)) == 1


def test_the_way_back_to_the_version_before_has_a_plan_of_its_own() -> None:
    run = releases.releasing().to_rest()
    run.evidence = Evidence(silent_at=frozenset({0}))
    scene.set_image(run.world, scene.V1)
    run.until(lambda now: now.facts.stage == 0)
    run.memory = Memory()
    edit(run, paused=True)
    assert told(run) == []


def test_no_edit_is_told_while_everybody_is_sent_back() -> None:
    run = _at_50()
    scene.annotate(run.world, abort="bad")
    scene.edit_spec(run.world, **SLOWER)
    run.to_rest()
    assert run.facts.phase is Phase.REVERTED
    assert told(run) == []


def test_after_an_edit_nothing_is_written_that_stays_as_it_is() -> None:
    run = _at_50()
    edit(run, **SLOWER)
    run.evidence = Evidence()
    run.to_rest()
    version = run.world.version
    assert not run.advance()
    assert run.world.version == version
    assert run.facts.phase is Phase.HEALTHY
