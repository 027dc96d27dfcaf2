"""A release that somebody turns round, at each of its moments and stopped at each write from there on."""

import pytest

from rollout_controller.api import names
from rollout_controller.core.release import Phase
from tests.support import scene
from tests.support.explore import explore, moments
from tests.support.play import Run
from tests.support.releases import (
    annotated,
    assert_at_rest,
    assert_mesh_is_as_in_git,
    finishing,
    in_stage,
    releasing,
    serving,
    stable_version,
    under_way,
)
from tests.support.simulation import ROLLOUT, Evidence
from tests.support.world import World


def second_release_in_stage(run: Run) -> bool:
    """From here on it is the release of a canary like any other, which is explored by itself."""
    return len(run.facts.history) == 1 and run.facts.stage == 0


def test_an_abort_takes_the_canary_back() -> None:
    starts = moments(releasing(), lambda world: scene.annotate(world, abort="bad"), under_way)
    end = explore(starts, restarts=False).the_end(at_least=2000)
    assert (end.facts.phase, end.facts.reason) == (Phase.REVERTED, "aborted by command: bad")
    assert annotated(end.world) == {}
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V1: 3}


def test_an_abort_after_the_hand_over_is_refused() -> None:
    starts = moments(releasing(), lambda world: scene.annotate(world, abort="bad"), finishing)
    end = explore(starts, restarts=False).the_end(at_least=300)
    assert annotated(end.world) == {}
    assert_at_rest(end, scene.V2)


def test_the_old_template_put_back_takes_the_canary_back() -> None:
    starts = moments(releasing(), lambda world: scene.set_image(world, scene.V1), under_way)
    end = explore(starts, restarts=False).the_end(at_least=1500)
    assert (end.facts.phase, stable_version(end)) == (Phase.HEALTHY, scene.V1)
    assert_at_rest(end, scene.V1)


def test_the_old_template_put_back_after_the_hand_over_is_a_release_of_its_own() -> None:
    starts = moments(releasing(), lambda world: scene.set_image(world, scene.V1), finishing)
    end = explore(starts, restarts=False, until=second_release_in_stage).the_end(at_least=200)
    assert [line.outcome for line in end.facts.history] == ["Promoted", "Promoted"]
    assert_at_rest(end, scene.V1)


def test_a_third_version_takes_the_place_of_the_second() -> None:
    starts = moments(releasing(), lambda world: scene.set_image(world, scene.V3), under_way)
    end = explore(starts, restarts=False, until=second_release_in_stage).the_end(at_least=200)
    assert [line.outcome for line in end.facts.history] == ["Reverted", "Promoted"]
    assert_at_rest(end, scene.V3)


def test_a_third_version_after_the_hand_over_comes_after_the_second() -> None:
    starts = moments(releasing(), lambda world: scene.set_image(world, scene.V3), finishing)
    end = explore(starts, restarts=False, until=second_release_in_stage).the_end(at_least=200)
    assert [line.outcome for line in end.facts.history] == ["Promoted", "Promoted"]
    assert_at_rest(end, scene.V3)


def delete_beside_another_finalizer(world: World) -> None:
    rollout = world.need(ROLLOUT)
    finalizers = [*rollout["metadata"].get("finalizers", ()), "example.com/archive"]
    world.update(
        ROLLOUT, {**rollout, "metadata": {**rollout["metadata"], "finalizers": finalizers}}, "archiver"
    )
    scene.delete(world)


def delete_in_foreground(world: World) -> None:
    scene.delete(world, foreground=True)


@pytest.mark.parametrize("delete", [scene.delete, delete_in_foreground])
def test_a_deleted_rollout_takes_its_canary_back_and_gives_the_deployment_back(delete: object) -> None:
    assert callable(delete)
    starts = moments(releasing(), delete, under_way)
    end = explore(starts, restarts=False).the_end(at_least=1000)
    deployment = end.world.need(scene.DEPLOYMENT)
    assert end.world.get(ROLLOUT) is None
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V1: 3}
    assert deployment["spec"]["paused"] is True, "version 2 would roll to everybody"
    assert names.LABEL not in deployment["metadata"]["labels"]
    assert names.HELD_BY not in deployment["metadata"]["annotations"]


def test_a_rollout_that_somebody_else_holds_on_to_is_let_go_by_us() -> None:
    for start in moments(releasing(), delete_beside_another_finalizer, in_stage)[::3]:
        end = explore([start], restarts=False).the_end(at_least=150)
        assert end.world.need(ROLLOUT)["metadata"]["finalizers"] == ["example.com/archive"]
        assert_mesh_is_as_in_git(end.world)
        assert serving(end.world) == {scene.V1: 3}


def test_a_rollout_deleted_after_the_hand_over_is_finished() -> None:
    end = explore(moments(releasing(), scene.delete, finishing), restarts=False).the_end(at_least=150)
    assert end.world.get(ROLLOUT) is None
    assert_at_rest(end, scene.V2)
    assert names.LABEL not in end.world.need(scene.DEPLOYMENT)["metadata"]["labels"]


@pytest.mark.parametrize("silent", [frozenset[int](), frozenset({0, 1})])
def test_promote_full_goes_to_the_end_with_and_without_metrics(silent: frozenset[int]) -> None:
    run = releasing(Evidence(silent_at=silent))
    starts = moments(run, lambda world: scene.annotate(world, promote="full"), under_way)
    end = explore(starts[::2], restarts=False).the_end(at_least=1000)
    assert annotated(end.world) == {}
    assert_at_rest(end, scene.V2)


LOST = {
    "all canary pods are lost: none is ready",
    "canary pods were not ready within progressDeadline: 0 of 2 ready",
    "canary pods were not ready within progressDeadline: 0 of 3 ready",
}


def test_lost_canary_pods_take_the_canary_back() -> None:
    run = releasing(progressDeadline="20s")
    starts = moments(run, lambda world: scene.break_pods(world, scene.V2), in_stage)
    for end in explore(starts, restarts=False).all_ends(at_least=500):
        assert end.facts.phase is Phase.REVERTED
        assert end.facts.reason in LOST
        assert_mesh_is_as_in_git(end.world)
        assert serving(end.world) == {scene.V1: 3}


@pytest.mark.parametrize("replicas", [2, 4])
def test_a_release_ends_with_the_replicas_that_are_asked_for_meanwhile(replicas: int) -> None:
    starts = moments(releasing(), lambda world: scene.scale(world, replicas), under_way)
    end = explore(starts[::2], restarts=False).the_end(at_least=1500)
    assert_at_rest(end, scene.V2, replicas)
