"""Whole releases whose requests do not go where the routes send them."""

from __future__ import annotations

from datetime import timedelta

from rollout_controller.core.release import PausedBy, Phase
from rollout_controller.ports import Json
from tests.support import scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Evidence

FEW = "the canary got 1 % of 5000 requests, but the routes give it 50 %"
GATEWAY = "proxy gw-0.istio-system is behind"


def condition(run: Run) -> Json:
    """TrafficVerified as the status has it."""
    conditions = run.world.need(ROLLOUT)["status"]["conditions"]
    (found,) = [one for one in conditions if one["type"] == "TrafficVerified"]
    return dict(found)


def strayed(run: Run) -> list[str]:
    return [message for kind, reason, message in run.told.notices if reason == "StrayRequests"]


def test_a_share_that_is_off_holds_the_step_and_then_pauses_the_release_with_its_cause() -> None:
    inconclusive = {"after": "60s", "then": "Pause"}
    analysis = {"checks": [{"errorRate": {"max": "1%"}}], "inconclusive": inconclusive}
    run = Run(scene.shop(analysis=analysis), Evidence(off_at=frozenset({0}), off=FEW)).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.phase is Phase.PAUSED)
    assert (run.facts.paused_by, run.facts.stage) == (PausedBy.INCONCLUSIVE, 0)
    assert FEW in run.facts.reason
    found = condition(run)
    assert (found["status"], found["message"]) == ("False", FEW)
    run.evidence = Evidence()
    run.to_rest()
    assert [line.outcome for line in run.facts.history] == ["Promoted"]
    assert condition(run)["reason"] == "NoRelease"


def test_a_good_release_is_verified_at_each_step() -> None:
    run = Run(scene.shop()).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.stage == 0)
    assert condition(run)["status"] == "Unknown"
    run.until(lambda now: now.facts.stage == 1)
    assert condition(run)["status"] == "True"
    run.until(lambda now: now.facts.phase is Phase.PROMOTING)
    assert condition(run)["status"] == "True"


def test_requests_that_stray_after_a_revert_are_told_once_also_by_a_controller_that_was_restarted() -> None:
    run = Run(scene.shop(), Evidence(fails_at=frozenset({0}), strays=GATEWAY, busy=True)).to_rest()
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.strayed)
    assert len(strayed(run)) == 1
    assert GATEWAY in strayed(run)[0]
    status = run.world.need(ROLLOUT)["status"]
    found = [(one["code"], one["object"]) for one in status["findings"]]
    assert found == [("StrayRequests", "Deployment shop/web")]
    again = Run(run.world, run.evidence, told=run.told)
    again.wait(timedelta(seconds=10))
    assert len(strayed(again)) == 1
    again.evidence = Evidence(fails_at=frozenset({0}))
    again.to_rest()
    assert again.facts.phase is Phase.REVERTED
    assert "findings" not in again.world.need(ROLLOUT)["status"]
    assert not again.facts.strayed
