"""What a person is told while something cannot be read: the cause and the cure, and no weight made up."""

from datetime import timedelta
from typing import Any

from rollout_controller.ports import Json, Kind, Refused
from tests.support import scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Call, Evidence, Hook, Pass


class Forbids(Hook):
    """The API server shows no live object of this kind."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def __call__(self, run: Pass, call: Call) -> Any:
        if call.live and call.verb == "get" and call.target.kind is self._kind:
            raise Refused(call.target, call.verb, 'User "rollout-controller" cannot get it')
        return run.make(call)


def _at_50() -> Run:
    run = Run(scene.shop(), Evidence(silent_at=frozenset({0}))).to_rest()
    scene.set_image(run.world, scene.V2)
    return run.until(lambda now: now.facts.stage == 0).wait(timedelta(minutes=1))


def _status(run: Run) -> Json:
    status: Json = run.world.need(ROLLOUT)["status"]
    return status


def _spoil_the_spec(run: Run) -> None:
    """What an older CRD let through and today's rules refuse."""
    rollout = run.world.need(ROLLOUT)
    run.world.update(ROLLOUT, {**rollout, "spec": {**rollout["spec"], "bake": "soon"}}, scene.KUBECTL)


def test_a_spec_that_cannot_be_used_is_told_of_by_its_field() -> None:
    run = Run(scene.shop()).to_rest()
    _spoil_the_spec(run)
    run.to_rest()
    assert _status(run)["message"].startswith("Rollout shop/web spec.bake: expected a duration like")
    assert "cannot read" not in _status(run)["message"]


def test_a_spec_that_cannot_be_used_in_a_release_does_not_hide_what_the_canary_gets() -> None:
    run = _at_50()
    _spoil_the_spec(run)
    run.wait(timedelta(minutes=1))
    assert "spec.bake" in _status(run)["message"]
    assert _status(run)["weight"] == 50


def test_a_missing_right_is_told_with_its_cure() -> None:
    run = _at_50()
    scene.annotate(run.world, pause="lunch")
    run.advance(Forbids(Kind.VIRTUAL_SERVICE))
    assert "cannot read VirtualService just now" in _status(run)["message"]
    assert "Grant the controller's ServiceAccount the rights in deploy/" in _status(run)["message"]
    assert _status(run)["weight"] == 50
