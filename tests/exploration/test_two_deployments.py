"""Releases between two Deployments that serve in turn, stopped at each write, any number of times."""

import pytest

from rollout_controller.core.release import Phase
from rollout_controller.ports import Ref
from tests.support import scene
from tests.support.explore import Exploration, explore, moments
from tests.support.play import Pace, Run
from tests.support.releases import annotated
from tests.support.simulation import ROLLOUT, Evidence
from tests.support.two_deployments import (
    BLUE,
    GREEN,
    GREY,
    RED,
    WEB_1,
    WEB_2,
    TwoDeploymentLaws,
    at_rest,
    everybody_on,
    image,
    releasing,
    set_image,
    shop,
    unlabelled,
    weigh,
)


def explored(*starts: Run, restarts: bool = True) -> Exploration:
    return explore(starts, restarts=restarts, laws=TwoDeploymentLaws)


def assert_serves(end: Run, serving: Ref, subset: str) -> None:
    """Everybody is on this side; nothing of ours is on any Deployment, and no finalizer holds the Rollout."""
    assert (end.facts.phase, end.facts.stable, end.facts.canary) == (Phase.HEALTHY, serving.name, None)
    assert everybody_on(end.world) == subset
    assert_free(end)


def assert_free(end: Run) -> None:
    """Nothing of ours is on any Deployment, and no finalizer holds the Rollout."""
    assert unlabelled(end.world)
    assert not end.world.need(ROLLOUT)["metadata"].get("finalizers")


def before_promotion(run: Run) -> bool:
    return run.facts.phase is Phase.PROGRESSING


def test_the_side_that_everybody_is_sent_to_is_adopted_as_the_one_that_serves() -> None:
    assert_serves(explored(Run(shop())).the_end(at_least=5), WEB_1, "v1")
    assert_serves(explored(Run(shop(weights=(0, 100)))).the_end(at_least=5), WEB_2, "v2")


@pytest.mark.parametrize("pace", ["prompt", "slow"])
def test_a_good_version_on_the_idle_side_makes_it_the_one_that_serves(pace: Pace) -> None:
    end = explored(releasing(pace=pace)).the_end(at_least=150)
    assert_serves(end, WEB_2, "v2")
    assert (image(end.world, WEB_1), image(end.world, WEB_2)) == (RED, GREEN)
    assert [line.outcome for line in end.facts.history] == ["Promoted"]


def test_the_next_version_goes_to_the_other_side() -> None:
    run = releasing().to_rest()
    set_image(run.world, WEB_1, GREY)
    end = explored(run).the_end(at_least=150)
    assert_serves(end, WEB_1, "v1")
    assert [line.outcome for line in end.facts.history] == ["Promoted", "Promoted"]


@pytest.mark.parametrize("stage", [0, 1])
def test_a_bad_version_is_taken_back_and_stays_where_it_is(stage: int) -> None:
    end = explored(releasing(Evidence(fails_at=frozenset({stage})))).the_end(at_least=100)
    assert (end.facts.phase, end.facts.reason) == (Phase.REVERTED, "error rate 5 % (limit 1 %)")
    assert (end.facts.stable, everybody_on(end.world)) == ("web-v1", "v1")
    assert image(end.world, WEB_2) == GREEN
    assert_free(end)


def test_after_a_revert_another_template_of_the_idle_side_is_released() -> None:
    run = releasing(Evidence(fails_at=frozenset({1}))).to_rest()
    run.evidence = Evidence()
    set_image(run.world, WEB_2, GREY)
    end = explored(run).the_end(at_least=150)
    assert_serves(end, WEB_2, "v2")
    assert [line.outcome for line in end.facts.history] == ["Reverted", "Promoted"]


def test_a_retry_releases_the_same_template_again() -> None:
    run = releasing(Evidence(fails_at=frozenset({0}))).to_rest()
    run.evidence = Evidence()
    scene.annotate(run.world, retry="true")
    end = explored(run).the_end(at_least=150)
    assert_serves(end, WEB_2, "v2")
    assert annotated(end.world) == {}


def test_the_template_before_put_back_takes_the_release_back_at_any_moment() -> None:
    starts = moments(releasing(), lambda world: set_image(world, WEB_2, BLUE), before_promotion)
    ends = explored(*starts, restarts=False).all_ends(at_least=300)
    for end in ends:
        assert_serves(end, WEB_1, "v1")


def test_an_abort_sends_everybody_back_at_any_moment() -> None:
    starts = moments(releasing(), lambda world: scene.annotate(world, abort="bad"), before_promotion)
    end = explored(*starts, restarts=False).the_end(at_least=300)
    assert (end.facts.phase, end.facts.reason) == (Phase.REVERTED, "aborted by command: bad")
    assert everybody_on(end.world) == "v1"
    assert_free(end)


def test_a_third_template_takes_the_place_of_the_second() -> None:
    starts = moments(releasing(), lambda world: set_image(world, WEB_2, GREY), before_promotion)
    end = explored(*starts, restarts=False).the_end(at_least=500)
    assert_serves(end, WEB_2, "v2")
    assert image(end.world, WEB_2) == GREY
    assert [line.outcome for line in end.facts.history] == ["Reverted", "Promoted"]


def test_a_deleted_rollout_sends_everybody_back_to_the_side_that_serves() -> None:
    starts = moments(releasing(), scene.delete, before_promotion)
    end = explored(*starts, restarts=False).the_end(at_least=150)
    assert end.world.get(ROLLOUT) is None
    assert everybody_on(end.world) == "v1"
    assert unlabelled(end.world)


PINNED = {
    "canary": {
        "minPods": 1,
        "pin": [{"headers": {"x-canary": {"exact": "true"}}}],
        "steps": [{"weight": 0}, {"weight": 0, "mirror": 50}, {"weight": 100}],
    }
}


def test_pinned_routes_and_copies_go_before_the_other_side_is_home() -> None:
    end = explored(releasing(strategy=PINNED)).the_end(at_least=200)
    assert_serves(end, WEB_2, "v2")
    for service in end.world.need(ROLLOUT)["spec"]["traffic"]["istio"]["virtualServices"]:
        ref = Ref(scene.GATEWAY.kind, "shop", service["name"])
        (route,) = end.world.need(ref)["spec"]["http"]
        assert not route.get("mirrors")


def test_promote_full_goes_to_the_other_side_without_metrics() -> None:
    run = releasing(Evidence(silent_at=frozenset({0, 1})))
    starts = moments(run, lambda world: scene.annotate(world, promote="full"), before_promotion)
    end = explored(*starts, restarts=False).the_end(at_least=200)
    assert_serves(end, WEB_2, "v2")
    assert annotated(end.world) == {}


def promoting(run: Run) -> bool:
    return run.facts.phase is Phase.PROMOTING


def test_what_was_decided_is_finished_whatever_is_asked_for_then() -> None:
    aborted = moments(releasing(), lambda world: scene.annotate(world, abort="late"), promoting)
    end = explored(*aborted).the_end(at_least=10)
    assert_serves(end, WEB_2, "v2")
    assert annotated(end.world) == {}
    deleted = moments(releasing(), scene.delete, promoting)
    gone = explored(*deleted).the_end(at_least=10)
    assert gone.world.get(ROLLOUT) is None
    assert everybody_on(gone.world) == "v2"


def test_a_template_of_the_serving_side_changes_nothing_about_the_release_at_any_moment() -> None:
    starts = moments(releasing(), lambda world: set_image(world, WEB_1, GREY), before_promotion)
    for end in explored(*starts, restarts=False).all_ends(at_least=500):
        assert_serves(end, WEB_2, "v2")
        assert [line.outcome for line in end.facts.history] == ["Promoted"]


def test_who_moves_everybody_by_hand_at_rest_is_followed() -> None:
    run = at_rest()
    weigh(run.world, 100)
    assert_serves(explored(run).the_end(at_least=8), WEB_2, "v2")


def test_a_version_that_never_starts_is_taken_back() -> None:
    run = releasing(progressDeadline="20s")
    scene.break_pods(run.world, GREEN)
    end = explored(run).the_end(at_least=20)
    assert end.facts.phase is Phase.REVERTED
    assert "progressDeadline" in end.facts.reason
    assert everybody_on(end.world) == "v1"
