"""A Deployment without any label or annotation: what somebody puts on it while we do is not lost."""

from typing import Any

import pytest

from rollout_controller.api import names
from rollout_controller.core.release import Phase
from rollout_controller.ports import Kind
from tests.support import scene
from tests.support.play import Run
from tests.support.simulation import Call, Hook, Pass

TEAM = {"team": "checkout"}


class Meanwhile(Hook):
    """Somebody else puts a label and an annotation on the Deployment just before our first write to it."""

    def __init__(self) -> None:
        self.done = False

    def __call__(self, run: Pass, call: Call) -> Any:
        if call.writes and call.target.kind is Kind.DEPLOYMENT and not self.done:
            self.done = True
            seen = run.world.need(scene.DEPLOYMENT)
            metadata = {
                **seen["metadata"],
                "labels": {**(seen["metadata"].get("labels") or {}), **TEAM},
                "annotations": {**(seen["metadata"].get("annotations") or {}), **TEAM},
            }
            run.world.update(scene.DEPLOYMENT, {**seen, "metadata": metadata}, scene.KUBECTL)
        return run.make(call)


def _strip(run: Run, field: str) -> None:
    seen = run.world.need(scene.DEPLOYMENT)
    metadata = {name: value for name, value in seen["metadata"].items() if name != field}
    run.world.update(scene.DEPLOYMENT, {**seen, "metadata": metadata}, scene.KUBECTL)


def test_a_label_that_comes_with_the_adoption_stays() -> None:
    run = Run(scene.shop())
    _strip(run, "labels")
    trouble = Meanwhile()
    for _ in range(20):
        run.advance(trouble)
    assert trouble.done
    assert run.facts.phase is Phase.HEALTHY
    assert run.world.need(scene.DEPLOYMENT)["metadata"]["labels"] == {names.LABEL: "web", **TEAM}


@pytest.mark.parametrize("bare", [True, False])
def test_an_annotation_that_comes_with_the_pause_stays(bare: bool) -> None:
    run = Run(scene.shop()).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.stage == 0)
    seen = run.world.need(scene.DEPLOYMENT)
    rolling = {**seen, "spec": {**seen["spec"], "paused": False}}
    run.world.update(scene.DEPLOYMENT, rolling, names.FIELD_MANAGER)
    if bare:
        _strip(run, "annotations")
    trouble = Meanwhile()
    for _ in range(20):
        run.advance(trouble)
    deployment = run.world.need(scene.DEPLOYMENT)
    assert trouble.done
    assert deployment["spec"]["paused"] is True
    assert deployment["metadata"]["annotations"]["team"] == "checkout"
    assert deployment["metadata"]["annotations"][names.HELD_BY] == "web"
