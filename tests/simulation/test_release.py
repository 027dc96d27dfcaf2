"""Whole releases in the simulated world, without trouble."""

from datetime import timedelta

from rollout_controller.core.release import Phase
from rollout_controller.ports import Kind
from tests.support import scene
from tests.support.play import Run
from tests.support.simulation import Evidence


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


def test_a_release_that_waits_looks_again_but_not_at_once() -> None:
    run = Run(scene.shop(), Evidence(silent_at=frozenset({0}))).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.stage == 0).wait(timedelta(minutes=10), limit=60)
    assert run.facts.phase is Phase.PROGRESSING


def test_a_release_never_asks_for_the_replica_sets_of_a_whole_namespace() -> None:
    """They carry their templates: in a large namespace a list of all would take longer than a pass may."""
    run, asked = Run(scene.shop()).to_rest(), []
    scene.set_image(run.world, scene.V2)
    while run.advance(made=lambda attempt: asked.extend(attempt.calls)):
        pass
    lists = [call.labels for call in asked if call.verb == "list" and call.target.kind is Kind.REPLICA_SET]
    assert [line.outcome for line in run.facts.history] == ["Promoted"]
    assert set(lists) == {"app=web", "rollout-controller.dev/rollout=web"}
