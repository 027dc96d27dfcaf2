"""Two Deployments that serve in turn: what people do to them, and what the Rollout makes of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.api import names
from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Ref
from tests.support import environment, scene
from tests.support.play import Run
from tests.support.simulation import KEY, ROLLOUT, Evidence
from tests.support.two_deployments import (
    BLUE,
    GREEN,
    GREY,
    WEB_1,
    WEB_2,
    TwoDeploymentLaws,
    at_rest,
    everybody_on,
    releasing,
    scale,
    set_image,
    shop,
    unlabelled,
    weigh,
    weights,
)
from tests.support.world import World


def message(run: Run) -> str:
    return str(run.world.need(ROLLOUT)["status"]["message"])


def events(run: Run, reason: str) -> list[str]:
    return [text for _, why, text in run.told.notices if why == reason]


def codes(run: Run) -> list[str]:
    return [one["code"] for one in run.world.need(ROLLOUT)["status"].get("findings", ())]


def lawful(run: Run) -> Run:
    """The same run, watched by the laws."""
    laws = TwoDeploymentLaws(run.evidence, run.timing)
    laws.look(run.world)
    run.world.on_write = laws.watch
    return run


def edited(world: World, ref: Ref, **spec: Any) -> None:
    """Somebody changes fields of an object's spec."""
    found = world.need(ref)
    world.update(ref, {**found, "spec": {**found["spec"], **spec}}, scene.KUBECTL)


def in_stage(run: Run, index: int) -> Run:
    return run.until(lambda now: now.facts.stage == index and weights(now.world)[0]["v2"] > 0)


def test_the_status_names_the_side_that_serves_and_what_the_other_one_is_for() -> None:
    run = lawful(at_rest())
    assert message(run) == ("web-v1 serves everybody; web-v2 is idle: release the next version there")
    set_image(run.world, WEB_2, GREEN)
    run.until(lambda now: now.facts.stable == "web-v2")
    assert message(run) == ("web-v2 serves everybody; web-v1 is idle: release the next version there")
    assert events(run, "Promoted") == [message(run)]
    assert run.world.need(ROLLOUT)["status"]["stable"] == "web-v2"


def test_versions_go_back_and_forth_between_the_sides() -> None:
    run = lawful(at_rest())
    for number, (ref, subset) in enumerate(((WEB_2, "v2"), (WEB_1, "v1"), (WEB_2, "v2")), start=1):
        set_image(run.world, ref, f"shop/web:{number}")
        run.to_rest()
        assert (run.facts.phase, run.facts.stable) == (Phase.HEALTHY, ref.name)
        assert everybody_on(run.world) == subset
    assert [line.outcome for line in run.facts.history] == ["Promoted"] * 3


def test_no_write_but_of_weights_and_of_the_rollout_is_made() -> None:
    run = lawful(releasing())
    run.to_rest()
    assert unlabelled(run.world)
    for ref in (WEB_1, WEB_2):
        assert run.world.need(ref)["spec"]["replicas"] == 2


def test_a_template_of_the_serving_side_is_told_of_once_and_released_by_nobody() -> None:
    run = lawful(at_rest())
    set_image(run.world, WEB_1, GREY)
    run.to_rest()
    (told,) = events(run, "UngatedChange")
    assert "web-v1 was changed while it serves" in told
    assert "with web-v2" in told
    assert "kubectl rollout undo deployment/web-v1" in told
    assert events(run, "ServingRolls") == [], "one Event of one change is enough"
    assert (run.facts.phase, run.facts.stable, everybody_on(run.world)) == (Phase.HEALTHY, "web-v1", "v1")


def test_while_the_serving_side_rolls_by_itself_the_status_says_so() -> None:
    run = at_rest()
    set_image(run.world, WEB_1, GREY)
    run.until(lambda now: "ServingRolls" in codes(now))
    assert "which no step or gate holds" in message(run)
    assert codes(run.to_rest()) == []


def test_a_release_goes_on_while_the_serving_side_is_changed() -> None:
    run = in_stage(lawful(releasing()), 0)
    set_image(run.world, WEB_1, GREY)
    run.to_rest()
    assert len(events(run, "UngatedChange")) == 1
    assert (run.facts.phase, run.facts.stable) == (Phase.HEALTHY, "web-v2")
    assert len(run.facts.history) == 1, "what web-v1 rolled while it served is no release of its own later"


def test_the_release_waits_for_the_idle_side_to_have_pods_enough() -> None:
    run = at_rest()
    scale(run.world, WEB_2, 0)
    run.to_rest()
    set_image(run.world, WEB_2, GREEN)
    environment.settle(run.world)
    lawful(run).wait(timedelta(seconds=60))
    assert (run.facts.phase, run.facts.stage, everybody_on(run.world)) == (Phase.PROGRESSING, -1, "v1")
    words = "; scale web-v2 to {} at least, as its replicas are left to you"
    assert message(run).endswith(f"0 of 1 canary pods ready{words.format(1)}")
    scale(run.world, WEB_2, 1)
    run.until(lambda now: now.facts.waiting_since is not None and now.facts.stage == 0)
    assert message(run).endswith(f"1 of 2 ready{words.format(2)}")
    scale(run.world, WEB_2, 2)
    run.to_rest()
    assert run.facts.stable == "web-v2"


def test_pods_that_do_not_come_within_the_deadline_end_the_release() -> None:
    run = at_rest(progressDeadline="20s")
    scale(run.world, WEB_2, 0)
    set_image(run.world, WEB_2, GREEN)
    lawful(run).to_rest()
    assert run.facts.phase is Phase.REVERTED
    words = "0 of 1 ready; scale web-v2 to 1 at least, as its replicas are left to you"
    assert run.facts.reason.endswith(words)
    assert message(run).endswith("of web-v2, or annotate rollout-controller.dev/retry=true")


def test_requests_wait_until_the_idle_side_has_only_pods_of_its_new_template() -> None:
    run = at_rest()
    run.world.broken = frozenset({GREEN})
    set_image(run.world, WEB_2, GREEN)
    environment.settle(run.world)
    run.wait(timedelta(seconds=60))
    assert (run.facts.stage, everybody_on(run.world)) == (-1, "v1")
    assert "as 2 pods of web-v2 still have another template" in message(run)


def test_an_idle_side_that_loses_its_pods_in_a_release_sends_everybody_back() -> None:
    run = in_stage(releasing(), 0)
    run.world.broken = frozenset({GREEN})
    run.to_rest()
    assert (run.facts.phase, everybody_on(run.world)) == (Phase.REVERTED, "v1")
    assert "all canary pods are lost" in run.facts.reason


def test_an_idle_side_that_is_deleted_in_a_release_sends_everybody_back() -> None:
    run = in_stage(releasing(), 0)
    run.world.delete(WEB_2, scene.KUBECTL)
    run.to_rest()
    assert everybody_on(run.world) == "v1"
    assert (run.facts.phase, run.facts.stable) == (Phase.INVALID, "web-v1")
    assert codes(run) == ["MissingDeployment"]


def test_a_serving_side_that_is_deleted_holds_the_release() -> None:
    run = in_stage(releasing(), 0)
    run.world.delete(WEB_1, scene.KUBECTL)
    run.wait(timedelta(minutes=2))
    assert (run.facts.phase, codes(run)) == (Phase.PAUSED, ["MissingDeployment"])


def test_a_template_that_a_paused_idle_side_does_not_roll_is_no_release_yet() -> None:
    run = at_rest()
    edited(run.world, WEB_2, paused=True)
    set_image(run.world, WEB_2, GREEN)
    run.to_rest()
    assert (run.facts.phase, codes(run)) == (Phase.HEALTHY, ["IdlePaused"])
    edited(run.world, WEB_2, paused=False)
    run.to_rest()
    assert (run.facts.stable, len(run.facts.history)) == ("web-v2", 1)


def test_after_a_revert_the_rollout_may_go_while_no_controller_runs() -> None:
    run = releasing(Evidence(fails_at=frozenset({0}))).to_rest()
    assert (run.facts.phase, codes(run)) == (Phase.REVERTED, [])
    run.world.delete(ROLLOUT, scene.KUBECTL)
    assert run.world.get(ROLLOUT) is None


def test_a_paused_idle_side_after_a_release_holds_no_finalizer() -> None:
    run = in_stage(lawful(releasing()), 0)
    edited(run.world, WEB_2, paused=True)
    set_image(run.world, WEB_2, GREY)
    run.to_rest()
    assert (run.facts.phase, codes(run)) == (Phase.HEALTHY, ["IdlePaused"])
    assert not run.world.need(ROLLOUT)["metadata"].get("finalizers")


def test_a_template_put_back_before_anybody_looked_is_no_release() -> None:
    run = at_rest()
    for image in (GREEN, BLUE):
        set_image(run.world, WEB_2, image)
        environment.settle(run.world)
    run.to_rest()
    assert (run.facts.phase, run.facts.history) == (Phase.HEALTHY, ())


def test_a_field_that_a_newer_api_server_fills_in_is_no_release() -> None:
    run = at_rest()
    for kind in (Kind.DEPLOYMENT, Kind.REPLICA_SET):
        for obj in run.world.every(kind):
            defaulted(run.world, kind, obj)
    run.to_rest()
    assert (run.facts.phase, run.facts.stable, run.facts.history) == (Phase.HEALTHY, "web-v1", ())
    assert events(run, "UngatedChange") == []


def defaulted(world: World, kind: Kind, obj: Json) -> None:
    template = obj["spec"]["template"]
    filled = {**template, "spec": {**template["spec"], "hostUsers": True}}
    edited(world, Ref(kind, "shop", obj["metadata"]["name"]), template=filled)


def test_who_moves_everybody_by_hand_makes_that_side_the_one_that_serves() -> None:
    run = at_rest()
    weigh(run.world, 100)
    lawful(run).to_rest()
    assert (run.facts.phase, run.facts.stable, everybody_on(run.world)) == (Phase.HEALTHY, "web-v2", "v2")
    (told,) = events(run, "ServingSideChanged")
    assert told.startswith(
        'Argo CD (field manager "argocd-controller") moved everybody from web-v1 to web-v2'
    )
    assert "ignoreDifferences" in told, "what keeps the tool from doing so at each sync"
    set_image(run.world, WEB_1, GREY)
    run.to_rest()
    assert (run.facts.stable, everybody_on(run.world)) == ("web-v1", "v1")


def taken_back() -> Run:
    run = releasing(Evidence(fails_at=frozenset({0}))).to_rest()
    assert (run.facts.phase, everybody_on(run.world)) == (Phase.REVERTED, "v1")
    return run


def test_who_moves_everybody_to_the_version_that_was_taken_back_is_believed() -> None:
    run = taken_back()
    run.evidence = Evidence()
    weigh(run.world, 100)
    lawful(run).to_rest()
    assert (run.facts.phase, run.facts.stable, everybody_on(run.world)) == (Phase.HEALTHY, "web-v2", "v2")
    (told,) = events(run, "ServingSideChanged")
    assert told.startswith(
        'Argo CD (field manager "argocd-controller") moved everybody from web-v1 to web-v2'
    )
    assert message(run).startswith("web-v2 serves everybody; web-v1 is idle: release the next version there")
    assert events(run, "UngatedChange") == [], "it was moved there, and nothing rolled"
    set_image(run.world, WEB_1, GREY)
    run.to_rest()
    assert (run.facts.stable, everybody_on(run.world)) == ("web-v1", "v1")


def test_a_side_with_a_template_of_its_own_that_serves_by_hand_has_not_rolled() -> None:
    run = at_rest()
    set_image(run.world, WEB_2, GREEN)
    environment.settle(run.world)
    weigh(run.world, 100)
    run.to_rest()
    assert (run.facts.phase, run.facts.stable) == (Phase.HEALTHY, "web-v2")
    assert (events(run, "UngatedChange"), len(events(run, "ServingSideChanged"))) == ([], 1)


def test_users_on_both_sides_after_a_revert_are_told_and_nothing_is_begun() -> None:
    run = taken_back()
    weigh(run.world, 40)
    lawful(run).to_rest()
    split = "web-v2 is sent 40 % of the requests although no release runs, so neither serves everybody"
    assert run.facts.phase is Phase.REVERTED
    assert "SplitAtRest" in codes(run)
    assert split in message(run)
    assert "serves everybody. Change" not in message(run)
    (told,) = events(run, "SplitAtRest")
    assert split in told
    weigh(run.world, 0)
    run.to_rest()
    assert (run.facts.phase, len(run.facts.history)) == (Phase.REVERTED, 1)
    assert "SplitAtRest" not in codes(run)
    assert "web-v1 serves everybody. Change the template of web-v2" in message(run)
    assert len(events(run, "SplitAtRest")) == 1


def test_users_on_both_sides_without_a_release_are_a_finding_until_one_side_serves() -> None:
    run = Run(shop(weights=(70, 30))).to_rest()
    assert (run.facts.phase, run.facts.stable, codes(run)) == (Phase.INVALID, None, ["SplitAtRest"])
    assert "web-v2 is sent 30 % of the requests although no release runs" in message(run)
    weigh(run.world, 100)
    run.to_rest()
    assert (run.facts.phase, run.facts.stable) == (Phase.HEALTHY, "web-v2")
    weigh(run.world, 50)
    assert run.to_rest().facts.phase is Phase.INVALID
    weigh(run.world, 0)
    assert (run.to_rest().facts.phase, run.facts.stable) == (Phase.HEALTHY, "web-v1")


def test_a_template_that_came_while_the_rollout_was_invalid_is_released_once_it_is_cured() -> None:
    run = at_rest()
    weigh(run.world, 50)
    run.to_rest()
    set_image(run.world, WEB_2, GREEN)
    assert run.to_rest().facts.phase is Phase.INVALID
    weigh(run.world, 0)
    assert lawful(run).to_rest().facts.stable == "web-v2"


def test_somebody_who_sends_everybody_back_in_a_release_aborts_it() -> None:
    run = releasing().until(lambda now: now.facts.reached == 50)
    weigh(run.world, 0)
    run.to_rest()
    assert run.facts.phase is Phase.REVERTED
    assert 'Argo CD (field manager "argocd-controller") lowered' in run.facts.reason


def test_a_release_between_two_services() -> None:
    run = at_rest()
    for name, version in (("web-v1", "v1"), ("web-v2", "v2")):
        spec = {"selector": {"app": "web", "version": version}, "ports": [{"port": 80}]}
        body = {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}
        run.world.create(Kind.SERVICE, body, scene.KUBECTL)
    for service in run.world.every(Kind.VIRTUAL_SERVICE):
        route = [
            {"destination": {"host": name}, "weight": weight}
            for name, weight in (("web-v1", 100), ("web-v2", 0))
        ]
        ref = Ref(Kind.VIRTUAL_SERVICE, "shop", service["metadata"]["name"])
        edited(run.world, ref, http=[{"name": "primary", "route": route}])
    rollout = run.world.need(ROLLOUT)
    istio = {
        "virtualServices": [{"name": "web"}, {"name": "web-mesh"}],
        "services": {"stable": "web-v1", "canary": "web-v2"},
    }
    edited(run.world, ROLLOUT, **{**rollout["spec"], "traffic": {"istio": istio}})
    run.to_rest()
    set_image(run.world, WEB_2, GREEN)
    run.to_rest()
    assert (run.facts.phase, run.facts.stable) == (Phase.HEALTHY, "web-v2")
    routes = [one["spec"]["http"][0]["route"] for one in run.world.every(Kind.VIRTUAL_SERVICE)]
    assert [[one["weight"] for one in route] for route in routes] == [[0, 100]] * 2
    for name in ("web-v1", "web-v2"):
        assert "pod-template-hash" not in run.world.need(Ref(Kind.SERVICE, "shop", name))["spec"]["selector"]


def test_a_subset_that_is_missing_is_told_by_the_name_that_the_spec_has_for_it() -> None:
    run = releasing().to_rest()
    edited(run.world, scene.RULE, subsets=[{"name": "v1", "labels": {"version": "v1"}}])
    run.to_rest()
    assert "destinationRule.canarySubset" in message(run), "v2 serves, and is canarySubset in the spec"


def test_one_deployment_in_the_place_of_two_is_adopted_anew() -> None:
    run = at_rest()
    selectorless = [{"name": name} for name in ("v1", "v2")]
    edited(run.world, scene.RULE, subsets=selectorless)
    service = Ref(Kind.SERVICE, "shop", "web")
    edited(run.world, service, selector={"app": "web", "version": "v1"})
    edited(run.world, ROLLOUT, workload={"deployment": "web-v1"})
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY
    assert run.facts.stable not in {None, "web-v1"}
    assert run.facts.accepted == ()
    assert not events(run, "NativeRoll")


@pytest.mark.parametrize("first", ["one", "two"])
def test_a_rollout_that_is_pointed_to_another_workload_forgets_the_one_before(first: str) -> None:
    run = Run(scene.shop()) if first == "one" else at_rest()
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY
    world = shop()
    world.now, world.version = run.world.now, run.world.version
    rollout = run.world.need(ROLLOUT)
    if first == "one":
        wanted = world.need(ROLLOUT)["spec"]
        run = replace(run, world=world)
        moved = {**rollout, "spec": wanted}
        world.objects[Kind.ROLLOUT][KEY.namespace, KEY.name] = moved
        labelled(world, WEB_1)
    else:
        edited(
            run.world, ROLLOUT, workload={"stable": {"deployment": "other"}, "canary": {"deployment": "b"}}
        )
        assert codes(run.to_rest()) == ["MissingDeployment", "MissingDeployment"]
        assert run.facts.stable is None
        edited(run.world, ROLLOUT, workload=world.need(ROLLOUT)["spec"]["workload"])
    run.to_rest()
    assert (run.facts.phase, run.facts.stable) == (Phase.HEALTHY, "web-v1")
    assert unlabelled(run.world)


def labelled(world: World, ref: Ref) -> None:
    """The gate's label of a time when one Deployment was released."""
    found = world.need(ref)
    labels = {**(found["metadata"].get("labels") or {}), names.LABEL: KEY.name}
    world.update(ref, {**found, "metadata": {**found["metadata"], "labels": labels}}, scene.KUBECTL)


def test_a_failing_version_in_the_bake_is_sent_back_by_weights_alone() -> None:
    run = lawful(releasing(Evidence(fails_at=frozenset({1}))))
    run.to_rest()
    assert (run.facts.phase, everybody_on(run.world)) == (Phase.REVERTED, "v1")
    assert message(run).startswith("revision ")
    assert "of web-v2 was taken back: error rate 5 % (limit 1 %); web-v1 serves everybody" in message(run)
