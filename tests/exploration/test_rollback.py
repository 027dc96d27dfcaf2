"""A release that goes back to the version before, stopped at each write and turned round at each moment."""

from collections.abc import Callable

import pytest

from rollout_controller.core.release import RUNNING, Phase
from rollout_controller.core.rollback import ROLLBACK
from rollout_controller.ports import Kind
from tests.support import environment, scene
from tests.support.explore import explore, moments
from tests.support.play import Pace, Run
from tests.support.releases import (
    assert_at_rest,
    assert_mesh_is_as_in_git,
    releasing,
    serving,
    stable_version,
    weights,
)
from tests.support.replicasets import TEMPLATE_HASH, controller_of
from tests.support.simulation import Evidence
from tests.support.world import World

PASSES = Evidence()


def going_back(evidence: Evidence = PASSES, pace: Pace = "prompt") -> Run:
    """Version 2 was promoted, and version 1 was just asked for again."""
    run = releasing(pace=pace).to_rest()
    assert stable_version(run) == scene.V2
    run.evidence = evidence
    scene.set_image(run.world, scene.V1)
    environment.settle(run.world)
    return run


def straight(run: Run) -> bool:
    """Asserts, wherever a run comes to, that nobody but all is ever moved; never the end of a run."""
    assert {stage.name for stage in run.facts.plan} <= {ROLLBACK}
    assert {weight["canary"] for weight in weights(run.world)} <= {0, 100}
    return False


@pytest.mark.parametrize("pace", ["prompt", "slow"])
def test_the_version_before_becomes_the_deployments_own_in_one_step(pace: Pace) -> None:
    end = explore([going_back(pace=pace)], until=straight).the_end(at_least=1000)
    assert (end.facts.phase, stable_version(end)) == (Phase.HEALTHY, scene.V1)
    assert [line.outcome for line in end.facts.history] == ["Promoted", "Promoted"]
    assert len(end.facts.previous) == 2
    assert_at_rest(end, scene.V1)


def test_forth_again_is_a_way_back_too() -> None:
    """Version 2 is named as it was when it was stable: its old ReplicaSet bears the new one's name."""
    run = going_back().to_rest()
    scene.set_image(run.world, scene.V2)
    environment.settle(run.world)
    end = explore([run], until=straight).the_end(at_least=500)
    assert (end.facts.phase, stable_version(end)) == (Phase.HEALTHY, scene.V2)
    assert_at_rest(end, scene.V2)


def test_a_version_before_that_is_bad_today_is_taken_back() -> None:
    end = explore([going_back(Evidence(fails_at=frozenset({0})))], until=straight).the_end(at_least=500)
    assert (end.facts.phase, end.facts.reason) == (Phase.REVERTED, "error rate 5 % (limit 1 %)")
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V2: 3}


def can_turn(run: Run) -> bool:
    """Whether the way back runs and was not handed over yet; version 2 once was."""
    sets = run.world.every(Kind.REPLICA_SET)
    canary = [rs for rs in sets if rs["metadata"]["labels"].get(TEMPLATE_HASH) == run.facts.canary]
    return run.facts.phase in RUNNING and not any(controller_of(rs) for rs in canary)


def abort(world: World) -> None:
    scene.annotate(world, abort="bad")


def forth_again(world: World) -> None:
    scene.set_image(world, scene.V2)


@pytest.mark.parametrize(
    ("turn", "phase"), [(abort, Phase.REVERTED), (forth_again, Phase.HEALTHY)], ids=["abort", "forth again"]
)
def test_a_way_back_that_is_turned_round_leaves_the_version_that_was_left(
    turn: Callable[[World], None], phase: Phase
) -> None:
    starts = moments(going_back(), turn, can_turn)
    end = explore(starts, restarts=False, until=straight).the_end(at_least=1000)
    assert end.facts.phase is phase
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V2: 3}


def test_a_third_version_takes_all_its_steps() -> None:
    def third_in_stage(run: Run) -> bool:
        return len(run.facts.history) == 2 and run.facts.stage == 0

    starts = moments(going_back(), lambda world: scene.set_image(world, scene.V3), can_turn)
    found = explore(starts, restarts=False, until=third_in_stage)
    end = found.the_end(at_least=200)
    assert [line.outcome for line in end.facts.history] == ["Promoted", "Reverted", "Promoted"]
    assert_at_rest(end, scene.V3)
