"""Deployments that bear the gate's label although no Rollout releases them are given back."""

from rollout_controller.api import names
from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Ref
from tests.support import scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Pass

OTHER = Ref(Kind.DEPLOYMENT, "shop", "web2")


def _copied(run: Run) -> None:
    """A second Deployment made from the first one's manifest, labels and all."""
    deployment = run.world.need(scene.DEPLOYMENT)
    template = {**deployment["spec"]["template"], "metadata": {"labels": {"app": "web2"}}}
    spec = {**deployment["spec"], "selector": {"matchLabels": {"app": "web2"}}, "template": template}
    labels = dict(deployment["metadata"]["labels"])
    body = {"metadata": {"name": OTHER.name, "namespace": OTHER.namespace, "labels": labels}, "spec": spec}
    run.world.create(Kind.DEPLOYMENT, body, scene.KUBECTL)


def _label(run: Run, ref: Ref) -> str | None:
    metadata: Json = run.world.need(ref)["metadata"]
    return (metadata.get("labels") or {}).get(names.LABEL)


def test_a_copy_of_a_deployment_is_not_held_for_ever() -> None:
    run = Run(scene.shop()).to_rest()
    _copied(run)
    assert _label(run, OTHER) == "web"
    run.to_rest()
    assert _label(run, OTHER) is None
    assert _label(run, scene.DEPLOYMENT) == "web"


def test_a_copy_is_given_back_while_a_release_runs_and_the_release_goes_on() -> None:
    run = Run(scene.shop()).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.stage == 0)
    _copied(run)
    run.to_rest()
    assert _label(run, OTHER) is None
    assert [line.outcome for line in run.facts.history] == ["Promoted"]


def test_a_rollout_that_is_pointed_at_another_deployment_lets_go_of_the_first() -> None:
    run = Run(scene.shop()).to_rest()
    _copied(run)
    rollout = run.world.need(ROLLOUT)
    spec = {**rollout["spec"], "workload": {"deployment": OTHER.name}}
    run.world.update(ROLLOUT, {**rollout, "spec": spec}, scene.KUBECTL)
    run.to_rest()
    assert _label(run, scene.DEPLOYMENT) is None
    assert _label(run, OTHER) == "web"
    scene.set_image(run.world, scene.V2)
    run.to_rest()
    assert not run.world.need(scene.DEPLOYMENT)["spec"].get("paused", False)


def test_a_rollout_that_was_made_anew_keeps_its_deployment() -> None:
    """The watch still says that it is gone; the Deployment's label is its successor's."""
    run = Run(scene.shop()).to_rest()
    old = run.world.need(ROLLOUT)
    stale = run.world.fork()
    del stale.objects[Kind.ROLLOUT][(ROLLOUT.namespace, ROLLOUT.name)]
    attempt = Pass(run.world, run.memory, run.evidence, run.timing, cached=stale)
    result = attempt.run()
    assert result is not None
    assert result.failed
    assert attempt.writes == []
    assert run.world.need(ROLLOUT) == old
    assert run.facts.phase is Phase.HEALTHY
