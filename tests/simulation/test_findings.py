"""Findings in the life of a Rollout: told once, healed by themselves, and never in the way of reading."""

from typing import Any

import pytest

from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Ref, Unavailable
from tests.support import releases, scene
from tests.support.play import Run
from tests.support.simulation import ROLLOUT, Call, Hook, Pass
from tests.support.world import World


def edit(world: World, ref: Ref, **spec: Any) -> None:
    """`kubectl edit`: other values for fields of an object's spec."""
    seen = world.need(ref)
    world.update(ref, {**seen, "spec": {**seen["spec"], **spec}}, scene.KUBECTL)


def retry(world: World, attempts: int) -> None:
    http = world.need(scene.MESH)["spec"]["http"]
    edit(world, scene.MESH, http=[{**http[0], "retries": {"attempts": attempts}}, *http[1:]])


def status(run: Run) -> Json:
    found: Json = run.world.need(ROLLOUT)["status"]
    return found


def codes(run: Run) -> list[str]:
    return [finding["code"] for finding in status(run).get("findings", ())]


def told(run: Run, reason: str) -> int:
    return sum(notice[1] == reason for notice in run.told.notices)


def test_a_warning_is_told_once_stands_in_the_status_and_goes_with_its_cause() -> None:
    run = releases.at_rest()
    retry(run.world, 3)
    run.to_rest()
    assert codes(run) == ["RetriesMultiplyLoad"]
    assert run.facts.phase is Phase.HEALTHY
    assert "up to 4 times the requests" in status(run)["message"]
    run.memory = type(run.memory)()  # a restart
    scene.set_image(run.world, scene.V2)
    run.to_rest()
    assert (run.facts.phase, told(run, "Promoted"), told(run, "RetriesMultiplyLoad")) == (Phase.HEALTHY, 1, 1)
    retry(run.world, 2)
    run.to_rest()
    assert codes(run) == []
    retry(run.world, 3)
    run.to_rest()
    assert told(run, "RetriesMultiplyLoad") == 2


def test_a_settled_world_with_warnings_gives_no_call() -> None:
    run = releases.at_rest()
    retry(run.world, 3)
    run.to_rest()
    made: list[Pass] = []
    run.advance(made=made.append)
    assert [call for call in made[0].calls if call.live] == []


def test_an_error_makes_the_rollout_invalid_and_heals_by_itself() -> None:
    run = releases.at_rest()
    service = Ref(Kind.SERVICE, "shop", "web")
    run.world.delete(service, scene.KUBECTL)
    run.to_rest()
    assert (run.facts.phase, codes(run)) == (Phase.INVALID, ["UnknownHost"])
    run.world.create(Kind.SERVICE, scene.service("web"), scene.KUBECTL)
    run.to_rest()
    assert (run.facts.phase, codes(run)) == (Phase.HEALTHY, [])


def test_an_error_in_the_middle_of_a_release_pauses_it_until_it_is_cured() -> None:
    run = releases.releasing()
    run.until(lambda now: now.facts.stage == 0)
    other = {
        "metadata": {"name": "other", "namespace": "shop"},
        "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "beta.example"}}]}]},
    }
    run.world.create(Kind.VIRTUAL_SERVICE, other, scene.KUBECTL)
    run.until(lambda now: now.facts.phase is Phase.PAUSED)
    assert (run.facts.paused_by, codes(run)) == ("Finding", ["ConflictingVirtualService"])
    run.world.delete(Ref(Kind.VIRTUAL_SERVICE, "shop", "other"), scene.KUBECTL)
    run.to_rest()
    assert (run.facts.phase, told(run, "Promoted")) == (Phase.HEALTHY, 1)


def test_virtual_services_that_are_deleted_and_made_anew_as_in_git_go_on_with_the_release() -> None:
    run = releases.releasing()
    in_git = {vs["metadata"]["name"]: vs["spec"] for vs in run.world.every(Kind.VIRTUAL_SERVICE)}
    run.until(lambda now: now.facts.stage == 0 and now.facts.reached > 0)
    for name in in_git:
        run.world.delete(Ref(Kind.VIRTUAL_SERVICE, "shop", name), scene.KUBECTL)
    run.until(lambda now: now.facts.phase is Phase.PAUSED)
    assert set(codes(run)) == {"MissingVirtualService"}
    for name, spec in in_git.items():
        anew = {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}
        run.world.create(Kind.VIRTUAL_SERVICE, anew, scene.KUBECTL)
    run.to_rest()
    assert (run.facts.phase, told(run, "Promoted")) == (Phase.HEALTHY, 1)


def subsets_without(world: World, name: str) -> list[Json]:
    """Take a subset away from the DestinationRule; all that it had, to be put back."""
    had: list[Json] = world.need(scene.RULE)["spec"]["subsets"]
    edit(world, scene.RULE, subsets=[one for one in had if one["name"] != name])
    return had


def test_a_canary_whose_subset_is_taken_away_is_taken_back_and_goes_whole() -> None:
    run = releases.releasing().until(lambda now: now.facts.stage == 0 and now.facts.reached > 0)
    subsets_without(run.world, "canary")
    run.to_rest()
    assert (run.facts.phase, told(run, "Corrected"), told(run, "Reverted")) == (Phase.REVERTED, 0, 1)
    assert {weights["canary"] for weights in releases.weights(run.world)} == {0}
    assert releases.serving(run.world) == {scene.V1: 3}
    run.world.delete(ROLLOUT, scene.KUBECTL)
    run.to_rest()
    assert run.world.get(ROLLOUT) is None


def test_a_canary_whose_service_is_deleted_is_taken_back() -> None:
    run = releases.releasing(hosts=True).until(lambda now: now.facts.stage == 0 and now.facts.reached > 0)
    run.world.delete(Ref(Kind.SERVICE, "shop", "web-canary"), scene.KUBECTL)
    run.to_rest()
    assert (run.facts.phase, told(run, "Corrected"), told(run, "Reverted")) == (Phase.REVERTED, 0, 1)
    assert "its Service does not exist" in run.facts.reason
    assert releases.serving(run.world) == {scene.V1: 3}


def test_a_promotion_whose_stable_subset_is_taken_away_keeps_everybody_where_they_get_answers() -> None:
    run = releases.releasing().until(lambda now: now.facts.phase is Phase.PROMOTING)
    had = subsets_without(run.world, "stable")
    for _ in range(50):
        run.advance()
    assert (run.facts.phase, codes(run)[:1]) == (Phase.PROMOTING, ["MissingSubset"])
    assert "the hand-over waits until this is cured: DestinationRule" in status(run)["message"]
    assert {weights["canary"] for weights in releases.weights(run.world)} == {100}
    edit(run.world, scene.RULE, subsets=had)
    run.to_rest()
    assert (run.facts.phase, told(run, "Promoted")) == (Phase.HEALTHY, 1)


@pytest.mark.parametrize("step", [{"mirror": 20}, {"weight": 50}])
def test_a_status_lost_beside_an_error_leaves_nothing_of_the_release_behind(step: Json) -> None:
    run = releases.releasing(steps=(step, {"weight": 100}))
    run.until(lambda now: now.facts.stage == 0 and bool(now.facts.fed or now.facts.reached))
    run.world.delete(Ref(Kind.SERVICE, "shop", "web"), scene.KUBECTL)
    run.world.update(ROLLOUT, {**run.world.need(ROLLOUT), "status": {}}, scene.KUBECTL, status=True)
    run.to_rest()
    assert (run.facts.phase, codes(run)) == (Phase.INVALID, ["UnknownHost"])
    releases.assert_mesh_is_as_in_git(run.world)
    assert releases.serving(run.world) == {scene.V1: 3}


@pytest.mark.parametrize("step", [{"mirror": 20}, {"weight": 50}])
def test_a_status_of_before_the_release_beside_an_error_leaves_nothing_of_it_behind(step: Json) -> None:
    run = releases.at_rest(steps=(step, {"weight": 100}))
    before = status(run)
    scene.set_image(run.world, scene.V2)
    run.until(lambda now: now.facts.stage == 0 and bool(now.facts.fed or now.facts.reached))
    run.world.delete(Ref(Kind.SERVICE, "shop", "web"), scene.KUBECTL)
    run.world.update(ROLLOUT, {**run.world.need(ROLLOUT), "status": before}, scene.KUBECTL, status=True)
    run.to_rest()
    assert (run.facts.phase, codes(run)) == (Phase.INVALID, ["UnknownHost"])
    releases.assert_mesh_is_as_in_git(run.world)
    assert releases.serving(run.world) == {scene.V1: 3}
    made: list[Pass] = []
    run.advance(made=made.append)
    assert [call for call in made[0].calls if call.writes] == [], "what is Invalid writes nothing more"
    run.world.create(Kind.SERVICE, scene.service("web"), scene.KUBECTL)
    assert run.to_rest().facts.history[-1].outcome == "Promoted"


def test_copies_of_ours_do_not_stand_in_the_way_of_a_rollout_that_lost_its_status() -> None:
    run = releases.releasing(steps=({"mirror": 20}, {"weight": 100}))
    run.until(lambda now: now.facts.stage == 0 and now.facts.fed)
    run.world.update(ROLLOUT, {**run.world.need(ROLLOUT), "status": {}}, scene.KUBECTL, status=True)
    seen = list[str]()
    while run.facts.phase is Phase.INITIALIZING:
        assert run.advance()
        seen += codes(run)
    assert seen == []
    assert run.to_rest().facts.history[-1].outcome == "Promoted"


class _Unread(Hook):
    """The VirtualServices cannot be read live."""

    def __call__(self, run: Pass, call: Call) -> Any:
        if call.live and call.verb == "get" and call.target.kind is Kind.VIRTUAL_SERVICE:
            raise Unavailable(call.target, call.verb, "no answer in time")
        return run.make(call)


def test_a_warning_stands_while_its_object_cannot_be_read_and_is_not_told_again() -> None:
    run = releases.at_rest()
    retry(run.world, 3)
    run.to_rest()
    scene.set_image(run.world, scene.V2)
    for _ in range(5):
        run.advance(_Unread())
    assert codes(run) == ["RetriesMultiplyLoad"]
    run.to_rest()
    assert told(run, "RetriesMultiplyLoad") == 1


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_canary_of_one_pod_behind_outlier_detection_is_told_when_the_deployment_is_scaled(
    replicas: int,
) -> None:
    run = releases.at_rest()
    assert codes(run) == []
    scene.scale(run.world, replicas)
    run.to_rest()
    assert codes(run) == ["CanaryMayBeEjected"]
