"""A Deployment has one Rollout; a second one that names it says so and writes nothing."""

from rollout_controller.api import names
from rollout_controller.controller.memory import GATE_RETRY, GATE_RETRY_LONGEST, Gate
from rollout_controller.core.model import Phase
from tests.support import scene
from tests.support.play import Run


def _label(run: Run, rollout: str) -> None:
    """The Deployment is labelled for this Rollout by somebody else's controller."""
    deployment = run.world.need(scene.DEPLOYMENT)
    labels = {**(deployment["metadata"].get("labels") or {}), names.LABEL: rollout}
    metadata = {**deployment["metadata"], "labels": labels}
    run.world.update(scene.DEPLOYMENT, {**deployment, "metadata": metadata}, scene.KUBECTL)


def test_a_deployment_of_another_rollout_is_left_alone_and_told_of() -> None:
    run = Run(scene.shop())
    _label(run, "other")
    run.to_rest()
    assert run.facts.phase is Phase.INVALID
    assert "released by Rollout other already" in run.facts.reason
    assert run.world.need(scene.DEPLOYMENT)["metadata"]["labels"][names.LABEL] == "other"


def test_it_heals_when_the_other_rollout_lets_go() -> None:
    run = Run(scene.shop())
    _label(run, "other")
    run.to_rest()
    _label(run, "web")
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY


def test_a_gate_that_does_not_hold_is_asked_less_and_less_often() -> None:
    gate, now = Gate("uid"), scene.shop().now
    pauses = []
    for _ in range(8):
        gate = gate.unproven("not in force", now)
        assert gate.ask_at is not None
        pauses.append(gate.ask_at - now)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (GATE_RETRY, GATE_RETRY_LONGEST)
