"""Long times between a status and the share that it grants: a step is held and judged for what it is."""

from datetime import timedelta
from typing import Any

from rollout_controller.controller.memory import Memory
from rollout_controller.core.release import Phase
from rollout_controller.ports import Kind, Unavailable
from tests.support import environment, releases, scene
from tests.support.laws import Laws
from tests.support.play import Run
from tests.support.simulation import Call, Crashed, Evidence, Hook, Pass

DOWN = timedelta(minutes=10)
THREE = ({"weight": 10}, {"weight": 50}, {"weight": 100})


def _releasing(**spec: Any) -> Run:
    """Version 2 on its way by three steps of five minutes, under the laws."""
    run = releases.releasing(steps=THREE, minDuration="5m", bake="5m", **spec)
    laws = Laws(run.evidence, run.timing)
    laws.look(run.world)
    run.world.on_write = laws.watch
    return run


class _Crash(Hook):
    """The controller ends right before the n-th write of a release, from 0, which is right after the last."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.struck = False

    def __call__(self, run: Pass, call: Call) -> Any:
        if not call.writes or self.struck:
            return run.make(call)
        self._left -= 1
        if self._left >= 0:
            return run.make(call)
        self.struck = True
        raise Crashed


def test_each_step_has_its_time_whenever_nobody_ran_for_long() -> None:
    for at in range(100):
        run, crash = _releasing(), _Crash(at)
        while run.advance(crash) and not crash.struck:
            pass
        if not crash.struck:
            assert at > 15, "a release has more writes"
            return
        run.world.now += DOWN
        environment.settle(run.world)
        run.memory = Memory()
        run.to_rest()
        assert (run.facts.phase, releases.stable_version(run)) == (Phase.HEALTHY, scene.V2)


class _NoRaise(Hook):
    """No VirtualService can be written; counts what is written to the Rollout meanwhile."""

    def __init__(self) -> None:
        self.statuses = 0

    def __call__(self, run: Pass, call: Call) -> Any:
        if call.writes and call.target.kind is Kind.VIRTUAL_SERVICE:
            raise Unavailable(call.target, call.verb, "no answer in time")
        self.statuses += call.writes and call.status
        return run.make(call)


def _entering(stage: int, **spec: Any) -> tuple[Run, _NoRaise]:
    """A stage was just entered, and for ten minutes nobody can give it its share."""
    run, hook = _releasing(**spec), _NoRaise()
    run.until(lambda now: now.facts.stage == stage - 1).until(lambda now: now.facts.reached > 0)
    while run.facts.stage < stage:
        run.advance(hook)
    hook.statuses = 0
    for _ in range(120):
        run.advance(hook)
        run.world.now += timedelta(seconds=5)
    return run, hook


def test_a_step_whose_share_could_not_be_written_for_long_has_its_time_from_then_on() -> None:
    run, hook = _entering(1)
    assert (run.facts.stage, releases.weights(run.world)[0]["canary"]) == (1, 10)
    assert hook.statuses <= 3, "a share that cannot be written is no reason to write the status over and over"
    run.until(lambda now: now.facts.reached == 50)
    given = run.world.now
    run.until(lambda now: now.facts.stage == 2)
    assert run.world.now - given >= timedelta(minutes=5)


def test_a_step_that_never_had_its_share_is_neither_paused_nor_blamed_for_the_time_it_took() -> None:
    run, _ = _entering(1, maxDuration="60s", analysis=scene.unclear("60s", "Revert"))
    assert (run.facts.phase, run.facts.stage) == (Phase.PROGRESSING, 1)
    run.to_rest()
    assert (run.facts.phase, releases.stable_version(run)) == (Phase.HEALTHY, scene.V2)


def test_requests_count_for_a_step_from_when_its_share_was_there() -> None:
    run, _ = _entering(1)
    key = run.facts.key
    run.until(lambda now: now.facts.reached == 50)
    assert run.facts.key != key
    assert run.facts.since == run.world.now
    assert Evidence().due(run.world, run.timing) == run.world.now + run.timing.settle + Evidence().after
