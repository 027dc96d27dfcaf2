"""An API server that gives no answer to some calls: the way back still fits into one pass.

A call that hangs takes 5 s and a pass ends after 10: two of them would end it before any weight moved.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.ports import Kind, Unavailable
from tests.support import scene
from tests.support.play import Run
from tests.support.simulation import Call, Evidence, Hook, Pass

CALL, PASS = timedelta(seconds=5), timedelta(seconds=10)


class Hangs(Hook):
    """Calls that meet the condition take 5 s and have no answer; the others take no time."""

    def __init__(self, hangs: Callable[[Call], bool]) -> None:
        self._hangs = hangs
        self.moved: timedelta | None = None
        self._taken = timedelta()

    def __call__(self, run: Pass, call: Call) -> Any:
        if self._hangs(call):
            self._taken += CALL
            run.world.now += CALL
            raise Unavailable(call.target, call.verb, "no answer within 5 s")
        if call.writes and call.target.kind is Kind.VIRTUAL_SERVICE and self.moved is None:
            self.moved = self._taken
        return run.make(call)


def _aborted() -> Run:
    """At 50 %, and somebody just said abort."""
    run = Run(scene.shop(), Evidence(silent_at=frozenset({0}))).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.stage == 0).wait(timedelta(seconds=60))
    scene.annotate(run.world, abort="too many complaints")
    return run


def _reads(*kinds: Kind) -> Callable[[Call], bool]:
    return lambda call: call.live and call.verb in {"get", "list"} and call.target.kind in kinds


@pytest.mark.parametrize(
    "hangs",
    [
        pytest.param(lambda call: call.writes and call.target.kind is Kind.ROLLOUT, id="writes to Rollout"),
        pytest.param(_reads(Kind.DESTINATION_RULE), id="the DestinationRule"),
        pytest.param(_reads(Kind.REPLICA_SET, Kind.POD), id="long lists"),
        pytest.param(_reads(Kind.DEPLOYMENT, Kind.REPLICA_SET, Kind.POD), id="the whole workload"),
    ],
)
def test_an_abort_moves_the_weights_within_the_pass_whatever_hangs(hangs: Callable[[Call], bool]) -> None:
    run, trouble = _aborted(), Hangs(hangs)
    run.advance(trouble)
    assert trouble.moved is not None
    assert trouble.moved < PASS
    weights = [d["weight"] for d in run.world.need(scene.MESH)["spec"]["http"][0]["route"]]
    assert weights == [100, 0]


def test_a_dry_run_that_hangs_takes_the_time_of_one_call_in_a_pass() -> None:
    run, trouble = _aborted(), Hangs(lambda call: call.dry_run)
    run.memory.gate = None  # as after a start
    run.advance(trouble)
    assert trouble.moved == CALL


def test_after_hanging_calls_the_abort_ends_as_ever() -> None:
    run = _aborted()
    run.advance(Hangs(lambda call: call.writes and call.target.kind is Kind.ROLLOUT))
    run.to_rest()
    assert run.facts.phase.value == "Reverted"
    assert "too many complaints" in run.facts.reason
