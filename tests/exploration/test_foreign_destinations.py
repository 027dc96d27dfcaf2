"""A release beside destinations of others, stopped at each of its writes."""

import pytest

from rollout_controller.core.release import Phase
from tests.support import environment, scene
from tests.support.explore import explore
from tests.support.play import Run
from tests.support.releases import assert_at_rest, assert_mesh_is_as_in_git, serving, stable_version
from tests.support.simulation import Evidence


def _beside(evidence: Evidence) -> Run:
    """Version 2 was just asked for; its shares cannot be met exactly, and one does not read as itself."""
    run = Run(scene.shop(steps=({"weight": 33}, {"weight": 50}, {"weight": 100})), evidence).to_rest()
    scene.share_with(run.world, scene.GATEWAY, ("legacy", 30))
    scene.share_with(run.world, scene.MESH, ("legacy", 12), ("beta", 78))
    scene.set_image(run.world, scene.V2)
    environment.settle(run.world)
    return run


def test_a_good_version_is_promoted_and_theirs_is_what_it_was() -> None:
    end = explore([_beside(Evidence())]).the_end(at_least=1500)
    assert end.facts.phase is Phase.HEALTHY
    assert stable_version(end) == scene.V2
    assert_at_rest(end, scene.V2)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_bad_version_is_taken_back(stage: int) -> None:
    end = explore([_beside(Evidence(fails_at=frozenset({stage})))], restarts=False).the_end(at_least=400)
    assert (end.facts.phase, end.facts.reason) == (Phase.REVERTED, "error rate 5 % (limit 1 %)")
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V1: 3}
