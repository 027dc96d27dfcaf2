"""What is ours on other people's objects: finalizer, label, pause; and what is absent or cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import (
    Adopt,
    Finalizer,
    HandOver,
    PauseDeployment,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
)
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Phase
from rollout_controller.core.world import Part
from tests.builders import (
    AT_5,
    AT_25,
    AT_50,
    NOW,
    SINCE,
    at_step,
    but,
    handed_over,
    healthy,
    new_template,
    of_kind,
    paused,
    pods,
    preparing,
    promoting,
    reverted,
    reverting,
    seconds,
    traffic,
)

NO_DEPLOYMENT = {"replicas": 0, "target": "", "held": False, "labelled": False, "stable": None}
GONE = frozenset({Part.DEPLOYMENT})


def without_deployment(o: Observed, **workload: Any) -> Observed:
    return but(o, workload={**NO_DEPLOYMENT, **workload}, absent=GONE)


# -- at rest --------------------------------------------------------------------------------------------


def test_at_rest_the_label_is_put_on_and_pause_and_finalizer_are_taken_off() -> None:
    assert decide(healthy()).effects == ()
    assert decide(but(healthy(), workload={"labelled": False})).effects == (Adopt(present=True),)
    ours = but(healthy(), workload={"paused": True, "held": True}, finalizer=True)
    assert decide(ours).effects == (Unpause("old"), Finalizer(present=False))


def test_a_pause_that_is_the_users_own_stays() -> None:
    assert decide(but(healthy(), workload={"paused": True})).effects == ()


def test_a_template_that_is_not_stables_is_not_un_paused() -> None:
    held = but(new_template(), policy=None, finalizer=True)
    assert decide(held).effects == ()


def test_without_deployment_only_the_finalizer_is_taken_off_at_rest() -> None:
    gone = without_deployment(but(healthy(), finalizer=True))
    assert decide(gone).effects == (Finalizer(present=False),)
    assert decide(but(gone, finalizer=False)).effects == ()
    assert decide(but(gone, workload=None)).effects == (Finalizer(present=False),)
    assert decide(but(gone, unread=frozenset({Part.PODS}))).effects == ()


# -- while a release runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("o", [preparing(), at_step(AT_25), paused(), promoting(), reverted()])
def test_finalizer_label_and_pause_are_put_back_whenever_they_are_missing(o: Observed) -> None:
    bare = but(o, finalizer=False, workload={"labelled": False, "held": False})
    marks = of_kind(decide(bare).effects, Finalizer, Adopt, PauseDeployment)
    assert marks == (Finalizer(present=True), Adopt(present=True), PauseDeployment())


def test_a_deployment_whose_template_is_stables_is_not_paused() -> None:
    back = but(reverting(), workload={"target": "old", "paused": False, "held": False})
    assert of_kind(decide(back).effects, PauseDeployment) == ()


def test_the_finalizer_is_there_before_the_first_pin() -> None:
    begun = decide(new_template()).effects
    assert begun == (Finalizer(present=True), Pin("old", "new"))


@pytest.mark.parametrize(
    "o", [preparing(), but(preparing(), workload={"canary": None}), at_step(AT_25), paused(), promoting()]
)
def test_without_deployment_a_release_writes_nothing_but_its_finalizer(o: Observed) -> None:
    gone = without_deployment(but(o, finalizer=False))
    assert decide(gone).effects == (Finalizer(present=True),)
    assert decide(but(gone, workload=None, finalizer=True)).effects == ()


def test_held_before_the_first_step_nothing_is_pinned() -> None:
    held = but(preparing(), facts={"phase": Phase.PAUSED}, traffic=traffic(0, None, None))
    assert decide(held).effects == ()


def test_weights_settle_at_home_before_the_first_pin() -> None:
    o = but(preparing(), traffic=but(traffic(0, None, None), weights_since=NOW))
    d = decide(o)
    assert (d.effects, d.wake_at) == ((), NOW + seconds(3))


@pytest.mark.parametrize("o", [but(at_step(AT_25), workload={"canary": {"spec": 1}}), paused()])
def test_nothing_is_scaled_while_pods_cannot_be_read(o: Observed) -> None:
    few = but(o, workload={"canary": {"spec": 1}})
    assert decide(few).effects == (Scale("web-new", 3),)
    assert decide(but(few, unread=frozenset({Part.PODS}))).effects == ()


def test_a_held_release_makes_no_pods_for_the_next_stage() -> None:
    enough = pods("new", 3, "us", current=True)
    assert decide(but(paused(index=AT_25), workload={"canary": enough})).effects == ()


def test_subsets_are_not_put_back_onto_too_few_pods_nor_raised_with_them_in_one_go() -> None:
    foreign = but(at_step(AT_25), traffic=traffic(25, "old", None), workload={"replicas": 20})
    few = but(foreign, workload={"canary": pods("new", 3, "us", current=True)}, facts={"granted": 3})
    assert of_kind(decide(few).effects, Pin) == ()
    low = but(at_step(AT_25), traffic=traffic(5, "old", None), facts={"reached": 5})
    assert decide(low).effects == (Pin("old", "new"),)


def test_a_stage_without_share_needs_no_ready_pod_to_be_put_right() -> None:
    plan = (but(at_step(AT_5).facts.plan[0], weight=0), *at_step(AT_5).facts.plan[1:])
    o = but(at_step(AT_5), facts={"plan": plan, "reached": 0}, traffic=traffic(0, "old", None))
    assert decide(but(o, workload={"canary": {"ready_endpoints": 0}})).effects == (Pin("old", "new"),)


# -- graduation -----------------------------------------------------------------------------------------

READY = but(promoting(), traffic=traffic(0, "new", "new"), busy={"old": False})


@pytest.mark.parametrize("part", list(Part))
def test_nothing_is_graduated_while_anything_cannot_be_read(part: Part) -> None:
    assert decide(READY).effects == (HandOver("web-new", 10, 3),)
    assert decide(but(READY, unread=frozenset({part}))).effects == ()
    assert decide(but(READY, unread=frozenset({part}), traffic=None)).effects == ()


def test_a_graduation_without_routes_or_canary_waits() -> None:
    assert decide(but(READY, traffic=None, absent=frozenset({Part.VIRTUAL_SERVICE}))).effects == ()


def test_the_old_pods_are_drained_from_when_the_last_stage_settled() -> None:
    drained = SINCE + seconds(3 + 30)
    late = but(READY, traffic={"weights_since": SINCE, "subsets_since": SINCE})
    assert decide(but(late, now=drained - seconds(1))).effects == ()
    assert decide(but(late, now=drained)).effects == (HandOver("web-new", 10, 3),)


def test_a_version_that_was_handed_over_is_finished_only_from_what_can_be_read() -> None:
    over = but(handed_over(), workload={"stable": {"existing": 0}})
    for part in Part:
        assert decide(but(over, unread=frozenset({part}))).effects == ()
    assert decide(without_deployment(over)).effects == ()


def test_a_template_that_changed_in_the_instant_of_the_hand_over_is_held_and_the_old_pods_go() -> None:
    changed = but(handed_over(), workload={"target": "third"})
    assert decide(changed).effects == ()
    for loose in ({"paused": False}, {"held": False}):
        assert decide(but(changed, workload=loose)).effects == (PauseDeployment(),)
    both = but(changed, workload={"stable": {"spec": 4, "existing": 4}})
    assert decide(both).effects == (Scale("web-old", 0),)
    assert decide(but(changed, workload={"stable": None})).effects == (Pin(None, None),)


def test_after_the_hand_over_foreign_weights_go_home_before_the_pins() -> None:
    over = but(handed_over(), workload={"stable": None}, traffic=traffic(20, "new", "new"))
    assert decide(over).effects == (SetTraffic(0), Pin(None, None))
    assert decide(but(over, traffic=traffic(20, None, None))).effects == (SetTraffic(0),)


def test_a_stable_subset_that_selects_the_old_version_again_is_put_right_while_it_ends() -> None:
    wrong = but(handed_over(), traffic=traffic(0, "old", "new"))
    assert decide(wrong).effects == (Pin("new", "new"),)
    assert decide(but(wrong, workload={"canary": {"ready_endpoints": 0}})).effects == ()


def test_a_stage_ends_where_it_is_with_fifty_percent_of_a_single_pod() -> None:
    alone = but(at_step(AT_50), workload={"replicas": 1, "canary": pods("new", 1, "us", current=True)})
    assert decide(alone).effects == ()
