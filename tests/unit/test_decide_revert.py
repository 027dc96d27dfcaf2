"""The way back: from wherever a release stands, in the pass that sees the reason."""

from __future__ import annotations

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import Delete, Effect, PauseDeployment, Pin, Scale, SetTraffic
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Phase
from rollout_controller.core.world import Part
from tests.builders import (
    AT_25,
    AT_100,
    NOW,
    at_step,
    but,
    command,
    failing,
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

ABORT = command("abort")
HOME: list[Effect] = [SetTraffic(0)]
PIN_BACK, UNPIN = Pin("old", "new"), Pin(None, None)


def towards_home(o: Observed) -> list[Effect]:
    return list(of_kind(decide(o).effects, SetTraffic, Pin))


@pytest.mark.parametrize(
    ("pins", "weight", "writes"),
    [
        (("old", "new"), 0, []),
        (("old", "new"), 25, HOME),
        (("old", "new"), 100, HOME),
        (("new", "new"), 100, [PIN_BACK, SetTraffic(0)]),
        (("new", "new"), 0, [PIN_BACK]),
        (("third", "new"), 25, [PIN_BACK, SetTraffic(0)]),
        ((None, "new"), 25, [PIN_BACK, SetTraffic(0)]),
        (("old", "third"), 25, [SetTraffic(0), PIN_BACK]),
        ((None, None), 25, [SetTraffic(0), PIN_BACK]),
        ((None, None), 0, [PIN_BACK]),
    ],
)
def test_everybody_goes_home_from_any_pins_and_weight_in_one_pass(
    pins: tuple[str | None, str | None], weight: int, writes: list[Effect]
) -> None:
    o = but(promoting(), traffic=traffic(weight, *pins), command=ABORT)
    d = decide(o)
    assert d.facts.phase is Phase.REVERTING
    assert list(of_kind(d.effects, SetTraffic, Pin)) == writes


@pytest.mark.parametrize("o", [at_step(AT_25), paused(), promoting()])
@pytest.mark.parametrize(
    "reason",
    [{"verdict": failing()}, {"command": ABORT}, {"workload": {"target": "old"}}, {"deleting": True}],
)
def test_the_same_pass_that_sees_the_reason_writes_the_weight(o: Observed, reason: dict[str, object]) -> None:
    assert towards_home(but(o, **reason)) == HOME


def test_routes_that_disagree_all_go_home() -> None:
    assert towards_home(but(at_step(AT_25), traffic={"canary_weight": (25, 50)}, command=ABORT)) == HOME


@pytest.mark.parametrize("part", [Part.PODS, Part.REPLICA_SETS, Part.DEPLOYMENT])
def test_the_way_back_does_not_wait_for_what_cannot_be_read(part: Part) -> None:
    o = but(at_step(AT_25), command=ABORT, unread=frozenset({part}))
    assert towards_home(o) == HOME
    assert towards_home(but(o, workload=None)) == HOME


def test_the_way_back_does_not_wait_for_stable_to_be_whole() -> None:
    assert (
        towards_home(but(at_step(AT_25), command=ABORT, workload={"stable": {"ready_endpoints": 1}})) == HOME
    )


def test_nobody_is_sent_to_a_stable_that_has_no_ready_pod_while_the_canary_has() -> None:
    o = but(at_step(AT_25), command=ABORT, workload={"stable": {"ready_endpoints": 0}})
    d = decide(o)
    assert (d.facts.phase, towards_home(o)) == (Phase.REVERTING, [])
    assert "has no ready pod to go back to" in d.display.message
    back = but(o, facts=d.facts, workload={"stable": {"ready_endpoints": 1}})
    assert towards_home(back) == HOME


def test_if_nobody_serves_everybody_goes_home_all_the_same() -> None:
    nobody = {"stable": {"ready_endpoints": 0}, "canary": {"ready_endpoints": 0}}
    assert towards_home(but(at_step(AT_25), workload=nobody)) == HOME


def test_with_the_deployment_gone_its_canary_keeps_what_it_serves_until_the_rollout_goes_too() -> None:
    alone = but(at_step(AT_25), workload={"stable": None, "target": "", "replicas": 0, "held": False})
    alone = but(alone, absent=frozenset({Part.DEPLOYMENT}), command=ABORT)
    assert towards_home(alone) == []
    assert towards_home(but(alone, deleting=True)) == HOME


def test_pins_are_not_written_into_a_destination_rule_that_is_not_there() -> None:
    gone = but(
        promoting(),
        traffic=traffic(100, None, None),
        command=ABORT,
        absent=frozenset({Part.DESTINATION_RULE}),
    )
    assert towards_home(gone) == HOME


@pytest.mark.parametrize(
    ("part", "pins"), [(Part.DESTINATION_RULE, (None, None)), (Part.SERVICE, ("old", None))]
)
def test_the_canary_goes_although_what_tells_it_apart_is_not_there(
    part: Part, pins: tuple[str | None, str | None]
) -> None:
    gone = but(reverting(), traffic=traffic(0, *pins), busy={"new": False}, absent=frozenset({part}))
    assert decide(gone).effects == (Scale("web-new", 0),)


def test_one_service_keeps_no_pin_when_the_other_is_not_there() -> None:
    gone = but(reverting(), traffic=traffic(0, "old", None), absent=frozenset({Part.SERVICE}))
    assert decide(but(gone, workload={"canary": None})).effects == (UNPIN,)
    held = but(at_step(AT_25), traffic=traffic(25, "old", None), absent=gone.absent)
    assert of_kind(decide(held).effects, Pin) == ()


def test_a_stable_subset_that_selects_a_canary_without_pods_is_put_right_at_once() -> None:
    black_hole = but(promoting(), traffic=traffic(0, "new", "new"), workload={"canary": None}, command=ABORT)
    assert towards_home(black_hole) == [PIN_BACK]


def test_a_revert_forgets_what_held_and_lowered_the_release() -> None:
    held = but(paused(), facts={"approved": "step", "lowered_to": 10, "waiting_since": NOW})
    facts = decide(but(held, command=ABORT)).facts
    assert (facts.paused_by, facts.approved, facts.lowered_to, facts.waiting_since, facts.reached) == (
        None,
        None,
        None,
        None,
        0,
    )


# -- after traffic: drain, pods, marks -------------------------------------------------------------------

DRAINED = but(reverting(), busy={"new": False})
EMPTY = but(DRAINED, workload={"canary": {"spec": 0, "existing": 0, "ready_endpoints": 0}})


def test_the_canary_keeps_its_pods_until_its_share_was_read_back_as_none() -> None:
    assert decide(but(DRAINED, traffic=traffic(25))).effects == (SetTraffic(0),)
    assert decide(DRAINED).effects == (Scale("web-new", 0),)


def test_the_canary_is_drained_before_its_pods_go() -> None:
    fresh = but(DRAINED, traffic={"weights_since": NOW})
    d = decide(fresh)
    assert (d.effects, d.wake_at) == ((), NOW + seconds(3 + 30))
    assert decide(but(fresh, now=NOW + seconds(33))).effects == (Scale("web-new", 0),)


def test_a_relabel_takes_longer_to_settle_than_a_weight() -> None:
    assert decide(but(DRAINED, traffic={"subsets_since": NOW})).wake_at == NOW + seconds(10 + 30)


@pytest.mark.parametrize(
    ("busy", "waits"), [({}, True), ({"new": True}, True), ({"new": None}, False), ({"new": False}, False)]
)
def test_pods_that_are_still_sent_requests_are_waited_for_but_not_for_ever(
    busy: dict[str, bool | None], waits: bool
) -> None:
    o = but(
        DRAINED, busy=busy, traffic={"weights_since": NOW - seconds(33), "subsets_since": NOW - seconds(40)}
    )
    assert decide(o).effects == (() if waits else (Scale("web-new", 0),))
    o = but(o, now=NOW - seconds(30) + seconds(600))
    assert decide(o).effects == (Scale("web-new", 0),)


def test_pods_go_before_their_replica_set_and_pins_go_last() -> None:
    ending = but(EMPTY, workload={"canary": {"existing": 2}})
    assert decide(ending).effects == ()
    assert decide(EMPTY).effects == (Delete("web-new"), Pin(None, None))
    assert decide(but(EMPTY, workload={"canary": None})).effects == (Pin(None, None),)


def test_pins_stay_while_there_are_canary_pods_although_their_replica_set_is_gone() -> None:
    bereft = but(EMPTY, workload={"canary": None, "bereft": 2})
    d = decide(bereft)
    assert (d.effects, d.facts.phase) == ((), Phase.REVERTING)
    assert "2 canary pods without a ReplicaSet" in d.display.message
    stripped = but(bereft, traffic=traffic(0, None, None))
    assert decide(stripped).effects == (Pin("old", "new"),)


@pytest.mark.parametrize("part", list(Part))
def test_no_pod_and_no_mark_goes_while_anything_cannot_be_read(part: Part) -> None:
    unread = frozenset({part})
    for o in (DRAINED, EMPTY):
        assert decide(but(o, unread=unread)).effects == ()
        assert decide(but(o, unread=unread, traffic=None)).effects == ()
    home = but(EMPTY, workload={"canary": None}, traffic=traffic(0, None, None), unread=unread)
    assert decide(home).facts.phase is Phase.REVERTING


def test_leftovers_of_earlier_releases_go_too_but_never_while_a_subset_selects_them() -> None:
    left = pods("left", 2, "us")
    o = but(DRAINED, workload={"canary": None, "others": (left,)}, busy={"left": False})
    assert decide(o).effects == (Scale("web-left", 0),)
    assert decide(but(o, traffic=traffic(0, "left", "new"))).effects == (PIN_BACK,)


def test_an_absent_virtual_service_needs_no_taking_back() -> None:
    gone = but(DRAINED, traffic=None, absent=frozenset({Part.VIRTUAL_SERVICE}))
    assert decide(gone).effects == (Scale("web-new", 0),)
    rest = but(gone, workload={"canary": None})
    assert decide(rest).facts.phase is Phase.REVERTED


def test_a_deployment_that_was_un_paused_is_paused_again_after_the_weight() -> None:
    o = but(at_step(AT_100), command=ABORT, workload={"paused": False})
    assert decide(o).effects[1:] == (SetTraffic(0), PauseDeployment())


def test_a_native_roll_keeps_its_pods_while_stable_has_no_ready_one() -> None:
    native = pods("native", 3, current=True)
    o = but(DRAINED, workload={"others": (native,), "stable": {"ready_endpoints": 0}})
    assert decide(o).effects == ()
    assert decide(but(o, workload={"stable": {"ready_endpoints": 1}})).effects == (Scale("web-native", 0),)


def test_a_version_that_was_taken_back_and_rolls_halfway_is_taken_back_once_more() -> None:
    half = pods("new", 1, current=True)
    d = decide(but(reverted(), workload={"others": (half,)}))
    assert d.facts.phase is Phase.REVERTING
    assert d.facts.reason == "the Deployment rolled by itself before it was paused again: 1 pods of it serve"
    assert d.effects == (Scale("web-new", 0),)
    ended = pods("new", 0, current=True)
    over = decide(but(reverted(), facts=d.facts, workload={"others": (but(ended, existing=0),)}))
    assert over.facts.phase is Phase.REVERTED


@pytest.mark.parametrize("synced", [False, True])
def test_a_version_that_was_taken_back_and_is_let_roll_is_not_stopped_halfway(synced: bool) -> None:
    loose = but(reverted(), workload={"paused": False, "synced": synced})
    d = decide(loose)
    assert PauseDeployment() not in d.effects
    assert d.facts.phase is (Phase.INITIALIZING if synced else Phase.REVERTED)


def test_what_was_handed_over_is_finished_even_if_everybody_was_on_the_way_back() -> None:
    owned = {"of": "deployment", "spec": 10, "available": 10, "ready_endpoints": 10, "existing": 10}
    late = but(reverting(), workload={"canary": owned, "stable": {"spec": 0, "ready_endpoints": 0}})
    assert decide(late).effects == (Pin("new", "new"),)
    freed = {"stable": None, "paused": False, "held": False}
    over = but(late, workload=freed, traffic=traffic(0, None, None))
    assert (decide(over).facts.phase, decide(over).facts.stable) == (Phase.HEALTHY, "new")


def test_a_canary_that_somebody_made_the_deployment_adopt_is_taken_back_as_a_native_roll() -> None:
    adopted = but(at_step(AT_25), workload={"canary": {"of": "deployment"}})
    d = decide(adopted)
    assert d.facts.phase is Phase.REVERTING
    assert d.effects == (SetTraffic(0),)
    home = but(adopted, facts=d.facts, traffic=traffic(0))
    assert decide(home).effects == (Scale("web-new", 0),)


def test_a_revert_in_preparation_has_no_traffic_to_move() -> None:
    o = but(preparing(), command=ABORT, traffic=traffic(0, None, None), workload={"canary": None})
    assert towards_home(o) == []
    assert decide(but(o, facts=decide(o).facts)).facts.phase is Phase.REVERTED
