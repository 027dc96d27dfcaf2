"""Writes that the API server does not take: told with their cure, and never held against the canary."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.controller.memory import PATIENCE, Memory
from rollout_controller.core.release import Phase
from rollout_controller.ports import ClusterError, Json, Kind, Refused, Unavailable
from tests.support import releases, scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Call, Evidence, Hook, Pass

RETRY = timedelta(seconds=5)
"""From a failed pass to the next: the queue's own tries."""
SHORT: dict[str, Any] = {"progressDeadline": "60s", "maxDuration": "60s"}


def denied(call: Call, number: int) -> ClusterError:
    words = f'admission webhook "freeze.corp" denied the request: frozen (request {number})'
    return Refused(call.target, call.verb, words)


def broken(call: Call, number: int) -> ClusterError:
    words = f'failed calling webhook "freeze.corp": connection refused (request {number})'
    return Unavailable(call.target, call.verb, words)


class Denies(Hook):
    """No object of this kind can be written; each refusal in other words. Counts status writes."""

    def __init__(self, kind: Kind, error: Callable[[Call, int], ClusterError] = denied) -> None:
        self._kind = kind
        self._error = error
        self.refused = 0
        self.statuses = 0

    def __call__(self, run: Pass, call: Call) -> Any:
        if call.writes and call.target.kind is self._kind:
            self.refused += 1
            raise self._error(call, self.refused)
        self.statuses += call.writes and call.status
        return run.make(call)


def endure(run: Run, hook: Hook, time: timedelta) -> None:
    """Passes for so long, with the queue's pauses after those that changed nothing."""
    until = run.world.now + time
    while run.world.now < until:
        version, now = run.world.version, run.world.now
        run.advance(hook)
        if (run.world.version, run.world.now) == (version, now):
            run.world.now += RETRY


def status(run: Run) -> Json:
    found: Json = run.world.need(ROLLOUT)["status"]
    return found


def told(run: Run) -> list[str]:
    return [message for _, reason, message in run.told.notices if reason == "WriteFails"]


def objects(run: Run) -> list[str]:
    return [f["object"] for f in status(run).get("findings", ()) if f["code"] == "WriteFails"]


@pytest.mark.parametrize("error", [denied, broken])
@pytest.mark.parametrize("kind", [Kind.DESTINATION_RULE, Kind.REPLICA_SET, Kind.VIRTUAL_SERVICE])
def test_a_release_that_cannot_be_written_waits_visibly_and_goes_on_once_it_can(
    kind: Kind, error: Callable[[Call, int], ClusterError]
) -> None:
    run, hook = releases.releasing(**SHORT), Denies(kind, error)
    endure(run, hook, timedelta(minutes=20))
    assert run.facts.phase is Phase.PROGRESSING
    assert kind.title in objects(run)[0]
    assert "freeze.corp" in status(run)["message"]
    assert len(told(run)) == 1
    assert hook.refused > 50
    assert hook.statuses < 12, "what stays as it is, is written once"
    assert releases.weights(run.world) == [{"stable": 100, "canary": 0}] * 2
    run.to_rest()
    assert (run.facts.phase, releases.stable_version(run)) == (Phase.HEALTHY, scene.V2)
    assert objects(run) == []


def test_a_call_without_an_answer_now_and_then_is_not_told() -> None:
    run, hook = releases.releasing(), Denies(Kind.DESTINATION_RULE, broken)
    while hook.refused < PATIENCE - 1:
        run.advance(hook)
    run.to_rest()
    assert told(run) == []


def test_pods_have_their_whole_deadline_once_they_can_be_asked_for() -> None:
    run = releases.releasing(**SHORT)
    scene.break_pods(run.world, scene.V2)
    endure(run, Denies(Kind.REPLICA_SET), timedelta(minutes=20))
    allowed = run.world.now
    run.until(lambda now: now.facts.phase is Phase.REVERTING)
    assert "progressDeadline" in run.facts.reason
    assert run.world.now - allowed >= timedelta(seconds=60)


def test_a_restart_holds_nothing_against_the_canary_either() -> None:
    run, hook = releases.releasing(**SHORT), Denies(Kind.REPLICA_SET)
    for _ in range(4):
        endure(run, hook, timedelta(minutes=5))
        run.memory = Memory()
    assert run.facts.phase is Phase.PROGRESSING
    assert run.to_rest().facts.phase is Phase.HEALTHY


def test_pods_for_the_next_step_that_cannot_be_asked_for_are_not_late() -> None:
    run, hook = releases.releasing(**SHORT), Denies(Kind.REPLICA_SET)
    run.until(lambda now: now.facts.stage == 0)
    endure(run, hook, timedelta(minutes=20))
    assert (run.facts.phase, run.facts.stage) == (Phase.PROGRESSING, 0)
    assert run.to_rest().facts.phase is Phase.HEALTHY


def _at_50() -> Run:
    run = releases.releasing(Evidence(silent_at=frozenset({0})))
    return run.until(lambda now: now.facts.reached == 50)


def test_a_way_back_that_is_refused_says_that_users_still_reach_the_canary() -> None:
    run, hook = _at_50(), Denies(Kind.VIRTUAL_SERVICE)
    scene.annotate(run.world, abort="too slow")
    endure(run, hook, timedelta(minutes=5))
    assert run.facts.phase is Phase.REVERTING
    assert status(run)["message"].startswith("users still reach the canary, as the way back is not written: ")
    assert status(run)["message"].count("freeze.corp") == 1
    (only,) = told(run)
    assert only.startswith("users still reach the canary")
    run.to_rest()
    assert (run.facts.phase, run.facts.reason) == (Phase.REVERTED, "aborted by command: too slow")
    releases.assert_mesh_is_as_in_git(run.world)


def test_a_way_back_is_told_although_the_same_write_was_refused_before() -> None:
    run, hook = releases.releasing(), Denies(Kind.VIRTUAL_SERVICE)
    run.until(lambda now: now.facts.reached == 50)
    while run.facts.stage < 1:
        run.advance(hook)
    endure(run, hook, timedelta(minutes=1))
    scene.annotate(run.world, abort="too slow")
    endure(run, hook, timedelta(minutes=1))
    first, second = told(run)
    assert not first.startswith("users")
    assert second.startswith("users still reach the canary")


def test_a_refused_write_that_nobody_wants_any_more_is_forgotten() -> None:
    run = releases.releasing()
    endure(run, Denies(Kind.REPLICA_SET), timedelta(minutes=1))
    assert objects(run) != []
    scene.set_image(run.world, scene.V1)
    run.to_rest()
    assert (run.facts.phase, objects(run)) == (Phase.HEALTHY, [])
    last: list[Pass] = []
    run.advance(made=last.append)
    assert not any(call.live for call in last[-1].calls), "an idle Rollout asks the API server nothing"
