"""Shares and the pods that carry them: enough before a raise, fewer lower it, none end the release."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.bookkeeping import SOON
from rollout_controller.core.decide import decide
from rollout_controller.core.effects import HandOver, MakeCanary, Pin, Scale, SetTraffic
from rollout_controller.core.model import Decision, Observed
from rollout_controller.core.release import Phase
from rollout_controller.core.world import Part, Pods
from tests.builders import (
    AT_5,
    AT_25,
    AT_50,
    AT_100,
    NOW,
    SINCE,
    at_step,
    but,
    handed_over,
    later,
    of_kind,
    paused,
    pods,
    policy,
    preparing,
    promoting,
    seconds,
    traffic,
)

DEADLINE = policy().progress_deadline


def ready(o: Observed, count: int, **workload: Any) -> Observed:
    return but(o, workload={"canary": {"ready_endpoints": count, "available": count}, **workload})


def reasons(d: Decision) -> list[str]:
    return [notice.reason for notice in d.notices]


# -- before a raise -------------------------------------------------------------------------------------


def test_a_stage_is_not_entered_before_its_pods_are_ready() -> None:
    passed = but(at_step(AT_5, "pass"), workload={"canary": pods("new", 2, "us", current=True)})
    d = decide(passed)
    assert (d.facts.stage, d.effects) == (AT_5, (Scale("web-new", 3),))
    assert d.facts.waiting_since == NOW
    assert decide(ready(passed, 3)).effects == (SetTraffic(25), Scale("web-new", 3))


def test_pods_that_come_soon_are_waited_for_without_a_word() -> None:
    passed = but(at_step(AT_5, "pass"), workload={"canary": pods("new", 2, "us", current=True)})
    passed = but(passed, verdict={"since": NOW})
    d = decide(passed)
    assert (d.facts, d.effects) == (passed.facts, (Scale("web-new", 3),))
    assert d.wake_at == NOW + SOON
    assert decide(later(passed, SOON)).facts.waiting_since == NOW + SOON
    hurried = but(passed, policy={"progress_deadline": seconds(2)})
    assert decide(later(hurried, seconds(2))).facts.waiting_since == NOW + seconds(2)
    assert decide(but(passed, facts={"approved": "step"})).facts.waiting_since == NOW


def test_pods_for_the_next_stage_are_made_only_once_nothing_else_is_wanting() -> None:
    judged = but(at_step(AT_5), workload={"canary": pods("new", 2, "us", current=True)})
    assert decide(judged).effects == ()
    waits = but(judged, verdict=at_step(AT_5, "pass").verdict, facts={"since": NOW})
    assert decide(waits).effects == ()


def test_pods_that_were_made_are_not_taken_away_when_the_gate_wavers() -> None:
    assert decide(but(at_step(AT_5, "inconclusive"), workload={"canary": {"spec": 3}})).effects == ()


def test_a_share_is_granted_on_the_pods_that_are_ready() -> None:
    assert decide(ready(at_step(AT_5, "pass"), 4)).facts.granted == 4


def test_a_share_that_was_granted_but_not_written_waits_for_its_pods_all_the_same() -> None:
    three = {"replicas": 20, "canary": pods("new", 3, "us", current=True)}
    granted = but(at_step(AT_25), traffic=traffic(5), facts={"reached": 5, "granted": 3}, workload=three)
    assert decide(granted).effects == (Scale("web-new", 5),)
    assert decide(ready(granted, 5)).effects[0] == SetTraffic(25)


def test_a_share_is_raised_only_onto_pins_that_settled() -> None:
    relabelled = but(at_step(AT_25), traffic=but(traffic(5), subsets_since=NOW), facts={"reached": 5})
    d = decide(relabelled)
    assert (of_kind(d.effects, SetTraffic), d.wake_at) == ((), NOW + seconds(10))


def test_canary_pods_that_never_come_end_the_release_by_the_deadline() -> None:
    coming = ready(preparing(), 1)
    assert decide(coming).wake_at == SINCE + DEADLINE
    d = decide(but(coming, now=SINCE + DEADLINE))
    assert d.facts.phase is Phase.REVERTING
    assert d.facts.reason == "canary pods were not ready within progressDeadline: 1 of 2 ready"


def test_what_keeps_the_pods_from_coming_is_told_with_the_deadline() -> None:
    coming = but(
        ready(preparing(), 1), workload={"canary": {"trouble": "container web ended with exit code 1"}}
    )
    d = decide(but(coming, now=SINCE + DEADLINE))
    assert d.facts.reason.endswith("1 of 2 ready: container web ended with exit code 1")


def test_pods_that_came_while_nobody_looked_are_not_late() -> None:
    assert decide(later(preparing(), DEADLINE)).facts.stage == AT_5


def test_a_restart_after_the_deadline_waits_for_settling_and_not_for_a_revert() -> None:
    seen_anew = but(preparing(), now=SINCE + DEADLINE, traffic={"subsets_since": SINCE + DEADLINE})
    d = decide(seen_anew)
    assert (d.facts.phase, d.facts.stage) == (Phase.PROGRESSING, -1)


def test_pods_that_cannot_be_read_are_not_late() -> None:
    o = ready(but(preparing(), now=SINCE + DEADLINE, unread=frozenset({Part.PODS})), 0)
    assert decide(o).facts.phase is Phase.PROGRESSING


def test_a_release_that_is_held_has_no_deadline() -> None:
    o = ready(but(preparing(), facts={"phase": Phase.PAUSED}), 1)
    assert decide(later(o, 2 * DEADLINE)).facts.phase is Phase.PAUSED


def test_pods_for_the_next_stage_have_their_deadline_too() -> None:
    waits = but(ready(at_step(AT_5, "pass"), 2), facts={"waiting_since": SINCE})
    assert decide(but(waits, now=SINCE + DEADLINE)).facts.phase is Phase.REVERTING


def test_while_pods_are_waited_for_the_limit_of_a_step_does_not_pause_it() -> None:
    waits = but(ready(at_step(AT_5, "pass"), 2), policy={"progress_deadline": seconds(99999)})
    waits = but(waits, facts={"waiting_since": SINCE})
    assert decide(later(waits, seconds(9999))).facts.phase is Phase.PROGRESSING


def test_the_canary_is_made_once_everything_else_of_the_release_is_there() -> None:
    bare = but(preparing(), workload={"canary": None})
    assert decide(bare).effects == (MakeCanary("new", 2),)
    assert decide(but(bare, traffic={"subsets_since": NOW})).effects == ()
    left = pods("left", 2, "us")
    assert MakeCanary("new", 2) not in decide(but(bare, workload={"others": (left,)})).effects
    ending = but(pods("older", 0, current=True), existing=1)
    assert decide(but(bare, workload={"others": (ending,)})).effects == ()


def test_a_stable_subset_that_selects_others_is_un_pinned_before_anybody_is_sent_to_it() -> None:
    o = but(preparing(), traffic=traffic(5, "left", "new"))
    assert decide(o).effects == (Pin(None, None),)
    assert decide(but(o, traffic=traffic(5, None, None))).effects == (SetTraffic(0),)
    assert decide(but(o, traffic=traffic(0, None, None))).effects == (Pin("old", "new"),)


def test_leftovers_keep_their_pods_until_the_pins_no_longer_select_them() -> None:
    left = pods("left", 2, "us")
    o = but(preparing(), workload={"others": (left,), "canary": None}, traffic=traffic(0, "old", "left"))
    assert decide(o).effects == (Pin("old", "new"),)
    drained = but(o, traffic=traffic(0), busy={"left": False})
    assert decide(drained).effects == (Scale("web-left", 0),)
    ending = but(drained, workload={"others": (but(left, spec=0),)})
    assert decide(ending).effects == ()


# -- fewer pods than the share needs --------------------------------------------------------------------


@pytest.mark.parametrize("o", [at_step(AT_50), paused(index=AT_50)])
def test_a_share_falls_to_what_its_ready_pods_carry_and_the_fact_comes_first(o: Observed) -> None:
    d = decide(ready(but(o, facts={"granted": 5}), 4))
    assert d.effects == (SetTraffic(40),)
    assert (d.facts.lowered_to, d.facts.reached, d.facts.shortages) == (40, 40, 1)
    assert (d.facts.waiting_since, d.facts.phase) == (NOW, o.facts.phase)
    assert reasons(d) == ["PodsShort"]


def short(count: int = 4) -> Observed:
    """At 50 %, lowered to 40 % a minute ago for want of one pod."""
    lowered = {
        "granted": 5,
        "lowered_to": 40,
        "reached": 40,
        "shortages": 1,
        "waiting_since": NOW - seconds(60),
    }
    return ready(but(at_step(AT_50), facts=lowered, traffic=traffic(40)), count)


def test_a_lowered_share_stays_as_it_is_while_nothing_changes() -> None:
    d = decide(short())
    assert (d.facts, d.effects, d.notices) == (short().facts, (), ())


def test_a_lowered_share_falls_further_as_the_same_shortage() -> None:
    d = decide(short(3))
    assert (d.facts.lowered_to, d.facts.shortages, d.facts.waiting_since) == (30, 1, NOW - seconds(60))
    assert d.effects == (SetTraffic(30),)


def test_some_pods_back_are_not_enough() -> None:
    assert decide(but(short(3), facts={"lowered_to": 20, "reached": 20}, traffic=traffic(20))).effects == ()


def test_all_pods_back_bring_the_share_back_as_a_new_stretch_of_the_stage() -> None:
    d = decide(but(short(5), facts={"gate": "pass", "gate_since": SINCE}))
    assert d.effects == (SetTraffic(50),)
    assert (d.facts.lowered_to, d.facts.waiting_since) == (None, None)
    assert (d.facts.since, d.facts.gate) == (NOW, "inconclusive")


def test_pods_that_cannot_be_read_are_neither_back_nor_gone() -> None:
    for o in (short(5), short(0), at_step(AT_50)):
        unread = ready(but(o, unread=frozenset({Part.PODS})), 0)
        d = decide(unread)
        assert (d.facts, d.effects) == (unread.facts, ())


def test_no_stage_is_left_while_its_share_is_lowered() -> None:
    o = but(short(), facts={"approved": "full"})
    assert decide(o).facts.stage == AT_50


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING])
def test_pods_that_do_not_come_back_by_the_deadline_end_the_release(phase: Phase) -> None:
    o = but(short(), facts={"phase": phase}, now=NOW - seconds(60) + DEADLINE)
    d = decide(o)
    assert d.facts.phase is Phase.REVERTING
    assert "4 of 5 ready" in d.facts.reason


def test_a_fourth_shortage_ends_the_release() -> None:
    often = but(at_step(AT_50), facts={"granted": 5, "shortages": 3})
    assert decide(ready(but(often, facts={"shortages": 2}), 4)).facts.phase is Phase.PROGRESSING
    assert decide(ready(often, 4)).facts.phase is Phase.REVERTING


def test_raised_replicas_are_no_shortage() -> None:
    five = {"replicas": 20, "canary": pods("new", 5, "us", current=True)}
    d = decide(but(at_step(AT_50), facts={"granted": 5}, workload=five))
    assert (d.facts.lowered_to, d.effects) == (None, (Scale("web-new", 10),))


def test_lowered_replicas_take_the_canary_down_with_them() -> None:
    fewer = but(at_step(AT_50), workload={"replicas": 4})
    assert decide(fewer).effects == (Scale("web-new", 4),)


def test_nothing_is_lowered_onto_a_stable_without_ready_pods() -> None:
    o = ready(at_step(AT_50), 4, stable={"ready_endpoints": 0})
    assert of_kind(decide(o).effects, SetTraffic) == ()


@pytest.mark.parametrize("o", [at_step(AT_5), at_step(AT_100), paused(), promoting()])
def test_no_ready_canary_pod_ends_the_release_at_once(o: Observed) -> None:
    d = decide(ready(o, 0))
    assert (d.facts.phase, d.facts.reason) == (Phase.REVERTING, "all canary pods are lost: none is ready")
    assert d.effects[0] == SetTraffic(0)
    assert decide(but(o, workload={"canary": None})).facts.phase is Phase.REVERTING


# -- graduation -----------------------------------------------------------------------------------------


def test_the_last_stage_passes_into_promoting_whatever_replicas_are_asked_for_now() -> None:
    more = but(at_step(AT_100, "pass"), workload={"replicas": 12})
    d = decide(more)
    assert (d.facts.phase, d.effects) == (Phase.PROMOTING, (Scale("web-new", 12),))


@pytest.mark.parametrize("missing", [{"available": 9}, {"ready_endpoints": 9}, {"spec": 9}])
def test_nothing_is_graduated_before_all_pods_are_there_and_that_has_no_deadline(
    missing: dict[str, int],
) -> None:
    o = but(promoting(), facts={"granted": 9}, workload={"canary": missing})
    d = decide(later(o, 3 * DEADLINE))
    assert d.facts.phase is Phase.PROMOTING
    assert of_kind(d.effects, Pin, SetTraffic, HandOver) == ()


def graduating(*pins: str, weight: int = 0, **changes: Any) -> Observed:
    return but(promoting(), traffic=traffic(weight, *pins), busy={"old": False}, **changes)


def test_graduation_waits_for_pins_then_weights_then_silence() -> None:
    both = ("new", "new")
    assert decide(promoting()).effects == (Pin("new", "new"),)
    pinned = graduating(*both, weight=100)
    assert decide(but(pinned, traffic={"subsets_since": NOW})).effects == ()
    assert decide(pinned).effects == (SetTraffic(0),)
    home = graduating(*both)
    assert decide(but(home, traffic={"weights_since": NOW})).effects == ()
    assert decide(but(home, facts={"since": NOW})).effects == ()
    assert decide(but(home, busy={"old": True})).effects == ()
    assert decide(home).effects == (HandOver("web-new", 10, 3),)


@pytest.mark.parametrize(
    "unready", [{"paused": False}, {"held": False}, {"synced": False}, {"labelled": False}]
)
def test_nothing_is_handed_over_to_a_deployment_that_is_not_held(unready: dict[str, bool]) -> None:
    assert of_kind(decide(graduating("new", "new", workload=unready)).effects, HandOver) == ()


def test_a_shortage_while_graduating_takes_a_part_home_without_touching_the_other() -> None:
    o = ready(graduating("new", "new"), 6)
    assert decide(o).effects == (SetTraffic(60), Pin("old", "new"))


def test_a_shortage_that_is_over_graduates_again_and_waits_for_the_old_pods_to_be_quiet_again() -> None:
    o = but(graduating("old", "new", weight=60), facts={"lowered_to": 60, "reached": 60, "shortages": 1})
    d = decide(o)
    assert (d.facts.lowered_to, d.facts.since, d.effects) == (None, NOW, (Pin("new", "new"),))


def test_a_template_that_changed_in_the_instant_of_the_hand_over_sends_the_old_pods_away_first() -> None:
    old: Pods = pods("old", 10)
    o = but(handed_over(), workload={"target": "third", "stable": old})
    d = decide(o)
    assert (d.facts.phase, d.effects) == (Phase.PROMOTING, (Scale("web-old", 0),))


def test_the_pins_go_when_the_last_old_pod_is_gone() -> None:
    assert decide(handed_over()).effects == ()
    gone = but(handed_over(), workload={"stable": {"existing": 0}})
    assert decide(gone).effects == (Pin(None, None),)
    assert decide(but(gone, unread=frozenset({Part.PODS}))).effects == ()
