"""Both policies of the gate are proven: that a new template is held, and that nobody else lets it go."""

from datetime import timedelta
from typing import Any

from rollout_controller.controller.memory import Memory
from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Refused
from tests.support import releases, scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Call, Hook, Pass


def status(run: Run) -> Json:
    found: Json = run.world.need(ROLLOUT)["status"]
    return found


class Counts(Hook):
    """Keeps the dry runs that were asked for; un-pausing is refused with `refusal`, if any is given."""

    def __init__(self, refusal: str = "") -> None:
        self.dry_runs: list[Call] = []
        self._refusal = refusal

    def __call__(self, run: Pass, call: Call) -> Any:
        if call.dry_run:
            self.dry_runs.append(call)
            if self._refusal and call.manager:
                raise Refused(call.target, call.verb, self._refusal)
        return run.make(call)


def test_without_the_policy_that_keeps_a_version_held_nothing_is_released_until_it_is_applied() -> None:
    run = releases.releasing()
    run.world.keep = False
    run.wait(timedelta(minutes=10))
    assert run.facts.phase is Phase.INVALID
    assert "un-pausing" in status(run)["message"]
    assert "kubectl apply -k deploy/gate" in status(run)["message"]
    assert releases.pinned(run.world) == set()
    assert releases.serving(run.world) == {scene.V1: 3}
    assert run.world.need(scene.DEPLOYMENT)["spec"]["paused"] is True
    run.world.keep = True
    run.to_rest()
    assert releases.stable_version(run) == scene.V2
    releases.assert_at_rest(run, scene.V2)


def test_a_version_taken_back_meanwhile_is_let_go_once_the_policy_is_applied() -> None:
    run = releases.releasing()
    run.world.keep = False
    run.wait(timedelta(minutes=2))
    scene.set_image(run.world, scene.V1)
    run.wait(timedelta(minutes=2))
    assert "un-pausing" in status(run)["message"]
    run.world.keep = True
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY
    releases.assert_at_rest(run, scene.V1)


def test_each_policy_is_asked_for_once_and_at_rest_nothing_is() -> None:
    run, asked = releases.at_rest(), Counts()
    scene.set_image(run.world, scene.V2)
    while run.advance(asked):
        pass
    assert [call.manager for call in asked.dry_runs] == ["rollout-controller-gate-check"]
    run.memory = Memory()
    while run.advance(asked):
        pass
    assert [call.manager for call in asked.dry_runs[1:]] == [""], "nothing is held, so nothing can be let go"


def test_a_refusal_by_somebody_else_proves_nothing() -> None:
    run = releases.releasing()
    run.advance(Counts('admission webhook "freeze.corp" denied the request'))
    assert run.facts.phase is Phase.INVALID
    assert "freeze.corp" in status(run)["message"]
    assert run.to_rest().facts.phase is Phase.HEALTHY


def test_the_gate_is_proven_before_anything_is_pinned() -> None:
    run, calls = releases.releasing(), list[Call]()
    while run.advance(made=lambda made: calls.extend(made.calls)):
        pass
    asked = next(n for n, call in enumerate(calls) if call.manager)
    pinned = next(
        n for n, call in enumerate(calls) if call.writes and call.target.kind is Kind.DESTINATION_RULE
    )
    assert asked < pinned
