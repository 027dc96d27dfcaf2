"""Law 15: of two Rollouts that claim the same the older owns it, and nobody fights."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.api import names
from rollout_controller.controller.memory import GATE_RETRY, GATE_RETRY_LONGEST, Gate
from rollout_controller.core.release import Phase
from rollout_controller.ports import Json, Kind, Ref
from tests.support import scene
from tests.support.play import Run
from tests.support.releases import assert_mesh_is_as_in_git, serving, weights
from tests.support.rivals import Rivals
from tests.support.simulation import KEY, TICK

OTHER_ROUTES = {
    "istio": {
        "virtualServices": [{"name": "web", "routes": ["other"]}],
        "destinationRule": {"name": "other", "stableSubset": "stable", "canarySubset": "canary"},
    }
}


def ref(name: str) -> Ref:
    return Ref(Kind.ROLLOUT, KEY.namespace, name)


def label(rivals: Rivals) -> str | None:
    metadata: Json = rivals.world.need(scene.DEPLOYMENT)["metadata"]
    return (metadata.get("labels") or {}).get(names.LABEL)


def edit(rivals: Rivals, name: str, **fields: Any) -> None:
    """Other values for fields of a Rollout's spec."""
    rollout = rivals.world.need(ref(name))
    rivals.world.update(ref(name), {**rollout, "spec": {**rollout["spec"], **fields}}, scene.KUBECTL)


def annotate(rivals: Rivals, name: str, verb: str) -> None:
    rollout = rivals.world.need(ref(name))
    annotations = {**(rollout["metadata"].get("annotations") or {}), f"{names.GROUP}/{verb}": "true"}
    metadata = {**rollout["metadata"], "annotations": annotations}
    rivals.world.update(ref(name), {**rollout, "metadata": metadata}, scene.KUBECTL)


def beside(name: str, **more: Any) -> Rivals:
    """`web` at rest, and later a second Rollout of the same Deployment."""
    rivals = Rivals(scene.shop()).to_rest()
    rivals.world.now += TICK
    rivals.writes.clear()
    scene.another_rollout(rivals.world, name, **more)
    return rivals


def assert_only_wrote(rivals: Rivals, name: str) -> None:
    """Nobody but this Rollout wrote to mesh or workload."""
    assert {who for who, _ in rivals.writes} <= {name}, [
        (w, str(c.target)) for w, c in rivals.writes if w != name
    ]


@pytest.mark.parametrize("name", ["web2", "alpha"])
def test_the_newer_one_is_invalid_says_who_owns_and_what_to_do_and_writes_nothing(name: str) -> None:
    rivals = beside(name).to_rest()
    assert rivals.phases() == {"web": Phase.HEALTHY, name: Phase.INVALID}
    assert rivals.message(name) == (
        f"Rollout shop/{name} spec.workload.deployment: Deployment web belongs to Rollout web, which claims"
        " it as well and is older. Delete one of the two, or name another Deployment; this one begins once"
        " web has let go."
    )
    assert rivals.message("web").startswith("stable ")
    assert rivals.writes == []
    assert label(rivals) == "web"


def test_the_owner_releases_as_if_nobody_else_were_there() -> None:
    rivals = beside("web2").to_rest()
    scene.set_image(rivals.world, scene.V2)
    rivals.to_rest()
    assert rivals.phases() == {"web": Phase.HEALTHY, "web2": Phase.INVALID}
    assert serving(rivals.world) == {scene.V2: 3}
    assert_only_wrote(rivals, "web")
    assert set(rivals.labels) <= {"web"}


@pytest.mark.parametrize("foreground", [False, True])
def test_the_newer_one_takes_over_when_the_owner_is_deleted(foreground: bool) -> None:
    rivals = beside("web2").to_rest()
    rivals.world.delete(ref("web"), scene.KUBECTL, foreground=foreground)
    rivals.to_rest()
    assert rivals.phases() == {"web2": Phase.HEALTHY}
    assert label(rivals) == "web2"
    scene.set_image(rivals.world, scene.V2)
    rivals.to_rest()
    assert serving(rivals.world) == {scene.V2: 3}
    assert rivals.phases() == {"web2": Phase.HEALTHY}


def test_an_owner_that_is_deleted_in_a_release_takes_everything_back_before_the_newer_one_begins() -> None:
    rivals = beside("web2").to_rest()
    scene.set_image(rivals.world, scene.V2)
    rivals.until("web", Phase.PROGRESSING, stage=0)
    rivals.world.delete(ref("web"), scene.KUBECTL)
    while rivals.world.get(ref("web")) is not None:
        assert rivals.phases()["web2"] is Phase.INVALID
        assert rivals.advance()
    assert_only_wrote(rivals, "web")
    rivals.to_rest()
    # The Deployment still asks for version 2, which nobody ever took back from it.
    assert rivals.phases() == {"web2": Phase.HEALTHY}
    assert serving(rivals.world) == {scene.V2: 3}


def test_the_newer_one_takes_over_when_the_owner_claims_something_else() -> None:
    rivals = beside("web2").to_rest()
    edit(rivals, "web", workload={"deployment": "elsewhere"}, traffic=OTHER_ROUTES)
    rivals.to_rest()
    assert rivals.phases() == {"web": Phase.INVALID, "web2": Phase.HEALTHY}
    assert label(rivals) == "web2"
    assert "does not exist" in rivals.message("web")


def test_the_newer_one_works_when_it_claims_something_else() -> None:
    rivals = beside("web2").to_rest()
    edit(rivals, "web2", workload={"deployment": "elsewhere"}, traffic=OTHER_ROUTES)
    rivals.to_rest()
    assert "belongs to" not in rivals.message("web2")


def test_a_route_alone_is_enough_to_be_kept_out() -> None:
    rivals = beside("web2", workload={"deployment": "elsewhere"}).to_rest()
    assert rivals.phases()["web2"] is Phase.INVALID
    assert "subset stable of DestinationRule web belongs to Rollout web" in rivals.message("web2")
    traffic = {"istio": {**OTHER_ROUTES["istio"], "virtualServices": [{"name": "web-mesh"}]}}
    edit(rivals, "web2", traffic=traffic)
    rivals.to_rest()
    assert "VirtualService web-mesh belongs to Rollout web" in rivals.message("web2")
    assert "spec.traffic.istio.virtualServices[0]" in rivals.message("web2")


# -- the owner comes later: created in the same second, of an earlier name --------------------------------


def test_an_owner_that_comes_later_takes_the_label_and_the_other_one_lets_go() -> None:
    rivals = beside("alpha", like="web").to_rest()
    assert rivals.phases() == {"alpha": Phase.HEALTHY, "web": Phase.INVALID}
    assert rivals.labels[-2:] == ["web", "alpha"]
    assert label(rivals) == "alpha"
    scene.set_image(rivals.world, scene.V2)
    rivals.to_rest()
    assert rivals.phases() == {"alpha": Phase.HEALTHY, "web": Phase.INVALID}
    assert serving(rivals.world) == {scene.V2: 3}
    assert rivals.labels.count("alpha") == 1


def running(stage: int = 0, **more: Any) -> Rivals:
    """`web` releases version 2 and is at this stage, when an owner of everything it claims is seen."""
    rivals = Rivals(scene.shop(**more)).to_rest()
    scene.set_image(rivals.world, scene.V2)
    rivals.until("web", Phase.PROGRESSING, stage)
    rivals.writes.clear()
    scene.another_rollout(rivals.world, "alpha", like="web")
    return rivals


def test_a_release_of_the_newer_one_is_held_with_its_share_and_the_owner_waits_for_it() -> None:
    rivals = running().until("web", Phase.PROGRESSING, 0)
    rivals.to_rest()
    assert rivals.phases() == {"alpha": Phase.INITIALIZING, "web": Phase.PAUSED}
    assert "Deployment web belongs to Rollout alpha" in rivals.message("web")
    assert rivals.message("alpha") == (
        "waiting until Rollout web has let go of what both claim (Rollout shop/web: is newer and claims the"
        f" same, but has not taken its release back. Abort it (annotate {names.ABORT}) or delete it: nothing"
        " is begun here before that.)"
    )
    assert_only_wrote(rivals, "web")
    assert set(rivals.labels) == {"web"}
    assert {row["canary"] for row in weights(rivals.world)} == {50}


@pytest.mark.parametrize("how", ["abort", "delete"])
@pytest.mark.parametrize("stage", [-1, 0])
def test_once_it_is_taken_back_the_owner_begins(how: str, stage: int) -> None:
    rivals = running(stage).to_rest()
    if how == "abort":
        annotate(rivals, "web", "abort")
    else:
        rivals.world.delete(ref("web"), scene.KUBECTL)
    while not any(who == "alpha" for who, _ in rivals.writes):
        assert rivals.advance()
    assert_mesh_is_as_in_git(rivals.world)
    rivals.to_rest()
    left = {"web": Phase.INVALID} if how == "abort" else {}
    assert rivals.phases() == {"alpha": Phase.HEALTHY, **left}
    assert names.FINALIZER not in str(rivals.world.every(Kind.ROLLOUT))
    assert rivals.labels[-1] == "alpha"
    # The Deployment asked for version 2 all the time: the owner released it, by its own gate.
    assert serving(rivals.world) == {scene.V2: 3}


def test_a_release_that_only_waits_to_be_handed_over_is_finished_and_then_let_go() -> None:
    rivals = Rivals(scene.shop()).to_rest()
    scene.set_image(rivals.world, scene.V2)
    rivals.until("web", Phase.PROMOTING)
    scene.another_rollout(rivals.world, "alpha", like="web")
    rivals.to_rest()
    assert rivals.phases() == {"alpha": Phase.HEALTHY, "web": Phase.INVALID}
    assert serving(rivals.world) == {scene.V2: 3}
    assert not rivals.world.need(scene.DEPLOYMENT)["spec"].get("paused", False)
    assert rivals.facts("web").history[-1].outcome == "Promoted"


def test_a_paused_newer_release_goes_on_when_the_owner_is_deleted() -> None:
    rivals = running().to_rest()
    rivals.world.delete(ref("alpha"), scene.KUBECTL)
    rivals.to_rest()
    assert rivals.phases() == {"web": Phase.HEALTHY}
    assert serving(rivals.world) == {scene.V2: 3}


def test_a_reverted_newer_one_lets_go_and_does_not_begin_again_with_another_template() -> None:
    rivals = Rivals(scene.shop()).to_rest()
    scene.set_image(rivals.world, scene.V2)
    rivals.until("web", Phase.PROGRESSING, 0)
    annotate(rivals, "web", "abort")
    rivals.to_rest()
    assert rivals.phases() == {"web": Phase.REVERTED}
    scene.another_rollout(rivals.world, "alpha", like="web", paused=True)
    rivals.to_rest()
    assert rivals.phases()["web"] is Phase.INVALID
    assert label(rivals) == "alpha"
    scene.set_image(rivals.world, scene.V3)
    rivals.to_rest()
    assert rivals.phases()["web"] is Phase.INVALID


def test_a_newer_one_that_is_deleted_in_the_foreground_leaves_the_owners_release_alone() -> None:
    rivals = beside("web2").to_rest()
    scene.set_image(rivals.world, scene.V2)
    rivals.until("web", Phase.PROGRESSING, 0)
    before = len(rivals.writes)
    rivals.world.delete(ref("web2"), scene.KUBECTL, foreground=True)
    while (
        any(who == "web2" for who, _ in rivals.writes[before:]) or rivals.world.get(ref("web2")) is not None
    ):
        assert_only_wrote(rivals, "web")
        if not rivals.advance():
            break
    rivals.to_rest()
    assert_only_wrote(rivals, "web")
    assert serving(rivals.world) == {scene.V2: 3}


def test_a_third_one_is_kept_out_by_one_that_is_kept_out_itself() -> None:
    """Or it would have to give way in the middle of a release when the first one goes."""
    rivals = beside("second", traffic=OTHER_ROUTES)
    rivals.world.now += TICK
    scene.another_rollout(rivals.world, "third", workload={"deployment": "elsewhere"}, traffic=OTHER_ROUTES)
    rivals.to_rest()
    assert "belongs to Rollout web" in rivals.message("second")
    assert "belongs to Rollout second" in rivals.message("third")


# -- the label ------------------------------------------------------------------------------------------


def test_a_label_of_a_rollout_that_does_not_exist_is_replaced() -> None:
    run = Run(scene.shop())
    deployment = run.world.need(scene.DEPLOYMENT)
    metadata = {**deployment["metadata"], "labels": {names.LABEL: "gone"}}
    run.world.update(scene.DEPLOYMENT, {**deployment, "metadata": metadata}, scene.KUBECTL)
    run.to_rest()
    assert run.facts.phase is Phase.HEALTHY
    assert run.world.need(scene.DEPLOYMENT)["metadata"]["labels"][names.LABEL] == "web"


def test_a_gate_that_does_not_hold_is_asked_less_and_less_often() -> None:
    gate, now = Gate("uid"), scene.shop().now
    pauses = []
    for _ in range(8):
        gate = gate.unproven("not in force", now)
        assert gate.ask_at is not None
        pauses.append(gate.ask_at - now)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (GATE_RETRY, GATE_RETRY_LONGEST)
