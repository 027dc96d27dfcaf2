"""Whole releases in the simulated world, without trouble."""

from rollout_controller.core.model import Phase
from tests.support import scene
from tests.support.play import Run


def test_a_new_rollout_adopts_the_version_that_runs() -> None:
    run = Run(scene.shop()).to_rest()
    assert run.facts.phase is Phase.HEALTHY
    assert run.facts.stable is not None


def test_a_good_version_becomes_the_deployments_own() -> None:
    run = Run(scene.shop()).to_rest()
    scene.set_image(run.world, scene.V2)
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY
    assert [line.outcome for line in run.facts.history] == ["Promoted"]
    deployment = run.world.need(scene.DEPLOYMENT)
    assert not deployment["spec"].get("paused", False)
    assert deployment["status"]["updatedReplicas"] == deployment["status"]["availableReplicas"] == 3
