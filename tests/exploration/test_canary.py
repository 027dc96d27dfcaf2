"""A release that nobody disturbs, stopped at each of its writes, any number of times."""

import pytest

from rollout_controller.api import names
from rollout_controller.core.release import PausedBy, Phase
from rollout_controller.ports import Kind, Ref
from tests.support import scene
from tests.support.explore import explore
from tests.support.play import Pace, Run
from tests.support.releases import (
    annotated,
    assert_at_rest,
    assert_mesh_is_as_in_git,
    at_rest,
    releasing,
    serving,
    stable_version,
)
from tests.support.simulation import ROLLOUT, Evidence


def test_a_deployment_is_adopted() -> None:
    end = explore([Run(scene.shop())]).the_end(at_least=20)
    assert end.facts.phase is Phase.HEALTHY
    assert_at_rest(end, scene.V1)
    assert end.world.need(scene.DEPLOYMENT)["metadata"]["labels"] == {"team": "front", names.LABEL: "web"}


@pytest.mark.parametrize("pace", ["prompt", "slow"])
def test_a_good_version_becomes_the_deployments_own(pace: Pace) -> None:
    end = explore([releasing(pace=pace)]).the_end(at_least=1500)
    assert end.facts.phase is Phase.HEALTHY
    assert stable_version(end) == scene.V2
    assert_at_rest(end, scene.V2)


@pytest.mark.parametrize("stage", [0, 1])
def test_a_bad_version_is_taken_back(stage: int) -> None:
    end = explore([releasing(Evidence(fails_at=frozenset({stage})))], restarts=False).the_end(at_least=500)
    assert (end.facts.phase, end.facts.reason) == (Phase.REVERTED, "error rate 5 % (limit 1 %)")
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V1: 3}
    assert end.world.need(scene.DEPLOYMENT)["spec"]["paused"] is True


def test_a_version_that_never_starts_is_taken_back() -> None:
    run = releasing(progressDeadline="20s")
    scene.break_pods(run.world, scene.V2)
    end = explore([run]).the_end(at_least=150)
    assert end.facts.phase is Phase.REVERTED
    assert "progressDeadline" in end.facts.reason
    assert serving(end.world) == {scene.V1: 3}


def test_a_deployment_without_replicas_is_graduated_at_once() -> None:
    end = explore([releasing(replicas=0)]).the_end(at_least=300)
    assert end.facts.phase is Phase.HEALTHY
    assert_at_rest_empty(end)


def assert_at_rest_empty(end: Run) -> None:
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {}
    assert stable_version(end) == scene.V2
    assert not end.world.need(scene.DEPLOYMENT)["spec"].get("paused", False)


APPROVALS = ({"weight": 50, "approval": True}, {"weight": 100, "approval": True})


def test_one_promote_leaves_one_step() -> None:
    run = releasing(steps=APPROVALS).until(lambda now: now.facts.paused_by is PausedBy.APPROVAL)
    scene.annotate(run.world, promote="true")
    end = explore([run]).the_end(at_least=400)
    assert (end.facts.phase, end.facts.stage, end.facts.paused_by) == (Phase.PAUSED, 1, PausedBy.APPROVAL)
    assert annotated(end.world) == {}


def test_a_retry_starts_the_same_version_once_more() -> None:
    run = releasing(Evidence(fails_at=frozenset({0}))).to_rest()
    scene.annotate(run.world, retry="true")
    end = explore([run], until=lambda now: now.facts.stage == 0).the_end(at_least=300)
    assert [line.outcome for line in end.facts.history] == ["Reverted", "Reverted"]
    assert annotated(end.world) == {}


def test_a_pause_holds_and_a_resume_goes_on() -> None:
    run = releasing().until(lambda now: now.facts.stage == 0)
    scene.annotate(run.world, pause="lunch")
    held = explore([run]).the_end(at_least=20)
    assert (held.facts.phase, held.facts.paused_by) == (Phase.PAUSED, PausedBy.COMMAND)
    scene.annotate(held.world, resume="true")
    end = explore([held], until=lambda now: now.facts.stage == 1).the_end(at_least=200)
    assert_at_rest(end, scene.V2)
    assert annotated(end.world) == {}


def test_the_way_there_and_back_and_there_again_ends() -> None:
    run = releasing().to_rest()
    scene.set_image(run.world, scene.V1)
    back = run.to_rest()
    assert stable_version(back) == scene.V1
    scene.set_image(back.world, scene.V2)
    promoting = back.until(lambda now: now.facts.phase is Phase.PROMOTING)
    end = explore([promoting]).the_end(at_least=300)
    assert_at_rest(end, scene.V2)
    assert len(end.facts.history) == 3


def test_a_status_of_before_the_release_beside_an_error_leaves_nobody_on_the_canary() -> None:
    run = at_rest()
    before = run.world.need(ROLLOUT)["status"]
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.reached == 50)
    run.world.delete(Ref(Kind.SERVICE, "shop", "web"), scene.KUBECTL)
    run.world.update(ROLLOUT, {**run.world.need(ROLLOUT), "status": before}, scene.KUBECTL, status=True)
    end = explore([run]).the_end(at_least=50)
    assert end.facts.phase is Phase.INVALID
    assert_mesh_is_as_in_git(end.world)
    assert serving(end.world) == {scene.V1: 3}
