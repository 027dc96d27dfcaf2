"""What the canary is sent beside its share: requests that headers pin to it, and copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import Pin, Scale, SetTraffic
from rollout_controller.core.model import Observed
from rollout_controller.core.release import HeaderMatch, Phase, StageKey
from rollout_controller.core.verdict import Verdict
from rollout_controller.core.world import ForeignWrite, Part
from tests.builders import (
    AT_5,
    AT_25,
    AT_ALL,
    AT_BOTH,
    AT_MIRROR,
    AT_PIN,
    AT_SHARE,
    FED_PLAN,
    NOW,
    PIN,
    PLAN,
    SINCE,
    at_step,
    but,
    command,
    failing,
    fed_step,
    of_kind,
    paused,
    policy,
    preparing,
    promoting,
    seconds,
    stage,
    traffic,
)
from tests.toy import Toy

FED = [AT_PIN, AT_MIRROR, AT_BOTH, AT_SHARE, AT_ALL]
OTHER_PIN = (HeaderMatch("x-beta", "prefix", "eu-"),)


def sent(index: int, **changes: Any) -> SetTraffic:
    """What a stage of `FED_PLAN` sends."""
    at = FED_PLAN[index]
    return replace(SetTraffic(at.weight, at.mirror, (PIN,)), **changes)


def begun(index: int, *, ready: int = 2, **world: Any) -> Observed:
    """The stage has just begun: the status says so, and nothing was written yet."""
    before = but(traffic(0), pinned_routes="none") if index == AT_PIN else fed_step(index - 1).traffic
    facts = {"since": NOW, "granted": ready, "fed": False, "reached": before.canary_weight[0]}  # type: ignore[union-attr]
    canary = {"canary": {"ready_endpoints": ready, "available": ready}}
    return but(fed_step(index), facts=facts, workload=canary, traffic=before, **world)


# -- entered, and left ----------------------------------------------------------------------------------


def test_a_step_that_only_pins_users_is_entered_with_a_ready_pod() -> None:
    ready = but(preparing(), facts={"plan": FED_PLAN, "header_pins": (PIN,)})
    assert decide(ready).facts.stage == AT_PIN
    assert decide(but(ready, workload={"canary": {"ready_endpoints": 0}})).facts.stage == -1


@pytest.mark.parametrize("ready", [0, 1])
def test_nothing_is_sent_beside_a_share_before_somebody_can_answer(ready: int) -> None:
    effects = decide(begun(AT_PIN, ready=ready)).effects
    assert of_kind(effects, SetTraffic) == ((sent(AT_PIN),) if ready else ())


@pytest.mark.parametrize(("ready", "lower"), [(0, None), (1, 10), (2, 20)])
def test_copies_are_no_more_than_the_ready_pods_can_answer(ready: int, lower: int | None) -> None:
    copies = at_step(0, plan=FED_PLAN[1:])
    copies = but(copies, facts={"fed": False}, traffic={"mirror": (0, 0)})
    effects = decide(but(copies, workload={"canary": {"ready_endpoints": ready}})).effects
    assert of_kind(effects, SetTraffic) == (() if lower is None else (SetTraffic(0, lower),))


def test_nothing_is_sent_beside_a_share_before_the_proxies_know_the_subsets() -> None:
    fresh = but(begun(AT_PIN), traffic={"subsets_since": NOW - seconds(9)})
    assert decide(fresh).effects == ()
    assert decide(but(fresh, traffic={"subsets_since": NOW - seconds(10)})).effects == (sent(AT_PIN),)


@pytest.mark.parametrize(("ready", "enough"), [(2, False), (3, True)])
def test_copies_and_a_share_in_one_step_wait_for_the_pods_of_the_share(ready: int, enough: bool) -> None:
    o = but(begun(AT_BOTH, ready=ready), facts={"granted": 2})
    assert of_kind(decide(o).effects, SetTraffic) == ((sent(AT_BOTH),) if enough else ())


@pytest.mark.parametrize(
    ("index", "mesh"),
    [
        (AT_PIN, {"pinned_routes": "none"}),
        (AT_PIN, {"pinned_routes": "other"}),
        (AT_MIRROR, {"mirror": (0, 20)}),
        (AT_BOTH, {"mirror": (0, 0)}),
        (AT_SHARE, {"mirror": (0, 20)}),
    ],
)
def test_a_step_is_left_only_once_what_it_sends_was_read_back(index: int, mesh: dict[str, Any]) -> None:
    o = fed_step(index, "pass")
    assert decide(o).facts.stage == index + 1
    held = decide(but(o, facts={"fed": False}, traffic=mesh))
    assert (held.facts.stage, of_kind(held.effects, SetTraffic)) == (index, (sent(index),))


def test_what_was_read_back_is_remembered_for_its_stage() -> None:
    o = but(fed_step(AT_MIRROR), facts={"fed": False})
    assert decide(o).facts.fed
    assert not decide(but(o, traffic={"mirror": (0, 20)})).facts.fed
    assert not decide(but(o, traffic={"pinned_routes": "other"})).facts.fed


@pytest.mark.parametrize("index", [AT_PIN, AT_BOTH])
def test_a_step_that_sends_something_else_beside_the_share_begins_unread(index: int) -> None:
    d = decide(fed_step(index, "pass"))
    assert (d.facts.stage, d.facts.fed) == (index + 1, False)


def test_a_step_that_sends_the_same_beside_another_share_begins_with_what_is_there() -> None:
    d = decide(fed_step(AT_MIRROR, "pass"))
    assert (d.facts.stage, d.facts.fed) == (AT_BOTH, True)
    plain = decide(at_step(AT_5, "pass")).facts
    assert (plain.stage, plain.fed) == (AT_25, True)


@pytest.mark.parametrize("index", [AT_MIRROR, AT_BOTH, AT_SHARE, AT_ALL])
def test_from_step_to_step_there_is_one_write_with_all_that_changes(index: int) -> None:
    assert of_kind(decide(begun(index, ready=10)).effects, SetTraffic) == (sent(index),)


def test_a_whole_release_with_pins_and_copies_makes_one_write_a_step_and_one_that_ends_all() -> None:
    plan = (*FED_PLAN[:2], FED_PLAN[AT_SHARE], FED_PLAN[AT_ALL])
    toy = Toy(policy=policy(stages=plan, header_pins=(PIN,))).ask("new").run()
    assert [e for e in toy.log if isinstance(e, SetTraffic | Pin)] == [
        Pin("old", "new"),
        SetTraffic(0, 0, (PIN,)),
        SetTraffic(0, 20, (PIN,)),
        SetTraffic(25, 0, (PIN,)),
        SetTraffic(100, 0, (PIN,)),
        Pin("new", "new"),
        SetTraffic(0),
        Pin(None, None),
    ]
    assert (toy.facts.phase, toy.header_pins, toy.mirror) == (Phase.HEALTHY, (), 0)


def test_pins_of_a_release_are_those_of_its_beginning() -> None:
    toy = Toy(policy=policy(stages=FED_PLAN, header_pins=(PIN,))).ask("new")
    toy.run(until=Phase.PROGRESSING)
    toy.policy = policy(stages=FED_PLAN, header_pins=(OTHER_PIN,))
    toy.run()
    assert {e.header_pins for e in toy.log if isinstance(e, SetTraffic)} == {(PIN,), ()}


# -- changed by somebody else ---------------------------------------------------------------------------


@pytest.mark.parametrize("index", FED)
def test_pinned_routes_that_are_not_what_they_should_be_are_put_right_and_count_for_nothing(
    index: int,
) -> None:
    d = decide(but(fed_step(index), traffic={"pinned_routes": "other", "version": "2"}))
    assert of_kind(d.effects, SetTraffic) == (sent(index),)
    assert (d.facts.phase, d.facts.corrections) == (Phase.PROGRESSING, 0)


@pytest.mark.parametrize(
    ("index", "mesh"),
    [
        (AT_PIN, {"pinned_routes": "none"}),
        (AT_ALL, {"pinned_routes": "none"}),
        (AT_MIRROR, {"mirror": (0, 0)}),
        (AT_MIRROR, {"mirror": (5, 20)}),
        (AT_BOTH, {"mirror": (0, 20)}),
    ],
)
@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PAUSED])
def test_what_was_read_back_and_is_taken_away_is_an_abort_told_with_who(
    phase: Phase, index: int, mesh: dict[str, Any]
) -> None:
    taken = but(
        fed_step(index),
        facts={"phase": phase},
        traffic={**mesh, "changed_by": ForeignWrite('field manager "kubectl-edit"')},
    )
    d = decide(taken)
    assert d.facts.phase is Phase.REVERTING
    assert 'field manager "kubectl-edit" took away what the canary is sent' in d.facts.reason
    nobody = decide(but(taken, traffic={"changed_by": None}))
    assert "took away" in nobody.facts.reason


def test_what_was_never_read_back_was_not_taken_away() -> None:
    d = decide(but(fed_step(AT_MIRROR), facts={"fed": False}, traffic={"mirror": (0, 0)}))
    assert (d.facts.phase, d.effects) == (Phase.PROGRESSING, (sent(AT_MIRROR),))


def test_a_way_back_that_no_status_was_told_of_is_told_by_its_cause() -> None:
    gone = {"pinned_routes": "none", "mirror": (0, 0)}
    bad = Verdict(StageKey("new", AT_MIRROR, SINCE), "fail", SINCE, sentence="error rate 5 % (limit 1 %)")
    d = decide(but(fed_step(AT_MIRROR), traffic=gone, verdict=bad))
    assert (d.facts.phase, d.facts.reason) == (Phase.REVERTING, "error rate 5 % (limit 1 %)")
    back = decide(but(fed_step(AT_MIRROR), traffic=gone, workload={"target": "old"}))
    assert back.facts.reason == "the Deployment's template is stable's again"


@pytest.mark.parametrize("index", FED)
def test_more_copies_than_the_step_grants_are_put_back_and_told(index: int) -> None:
    d = decide(
        but(
            fed_step(index),
            traffic={"mirror": (20, 60), "version": "2", "changed_by": ForeignWrite('field manager "helm"')},
        )
    )
    assert of_kind(d.effects, SetTraffic) == (sent(index),)
    assert d.facts.corrections == 1
    assert 'field manager "helm"' in d.notices[0].message


def test_copies_in_a_step_that_grants_none_count_whatever_else_it_sends() -> None:
    plain = but(at_step(AT_25), traffic={"mirror": (0, 60), "version": "2"})
    d = decide(plain)
    assert (d.facts.corrections, of_kind(d.effects, SetTraffic)) == (1, (SetTraffic(25),))
    assert decide(but(plain, facts={"corrections": 3})).facts.phase is Phase.REVERTING


def test_too_many_copies_are_taken_back_whoever_is_missing() -> None:
    few = {"canary": {"ready_endpoints": 0, "available": 0}}
    mesh = {"mirror": (60, 60), "pinned_routes": "none"}
    unread = but(fed_step(AT_MIRROR), facts={"fed": False}, workload=few, traffic=mesh)
    d = decide(but(unread, unread=frozenset({Part.PODS})))
    assert of_kind(d.effects, SetTraffic) == (SetTraffic(0, 20),)


def test_a_raised_share_is_put_back_with_no_pinned_route_that_was_not_there() -> None:
    o = but(begun(AT_SHARE, ready=10), traffic={"canary_weight": (80, 80), "pinned_routes": "none"})
    d = decide(o)
    assert of_kind(d.effects, SetTraffic) == (SetTraffic(25),)


# -- pods -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", FED)
@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PAUSED])
def test_without_any_ready_pod_nobody_is_left_pinned_to_the_canary(phase: Phase, index: int) -> None:
    lost = but(fed_step(index), facts={"phase": phase}, workload={"canary": {"ready_endpoints": 0}})
    d = decide(lost)
    assert (d.facts.phase, d.facts.reason) == (Phase.REVERTING, "all canary pods are lost: none is ready")
    assert of_kind(d.effects, SetTraffic) == (SetTraffic(0),)


def test_a_step_that_sends_nothing_loses_nothing_with_its_pods() -> None:
    empty = at_step(0, plan=(stage(0), *PLAN))
    d = decide(but(empty, workload={"canary": {"ready_endpoints": 0}}))
    assert d.facts.phase is Phase.PROGRESSING


def test_a_shortage_lowers_share_and_copies_and_leaves_pins() -> None:
    short = but(fed_step(AT_BOTH), facts={"granted": 3}, workload={"canary": {"ready_endpoints": 1}})
    d = decide(short)
    assert (d.facts.lowered_to, d.facts.fed, d.facts.phase) == (10, False, Phase.PROGRESSING)
    assert of_kind(d.effects, SetTraffic) == (sent(AT_BOTH, weight=10, mirror=10),)


def test_copies_that_were_lowered_for_want_of_pods_come_back_with_them_and_are_nobodys_abort() -> None:
    lowered = but(
        fed_step(AT_BOTH),
        facts={"granted": 3, "lowered_to": 10, "reached": 10, "shortages": 1, "waiting_since": NOW},
        traffic={"canary_weight": (10, 10), "mirror": (10, 10)},
    )
    d = decide(lowered)
    assert (d.facts.lowered_to, d.facts.phase) == (None, Phase.PROGRESSING)
    assert of_kind(d.effects, SetTraffic) == (sent(AT_BOTH),)


def test_copies_that_many_pods_answered_are_not_left_to_one() -> None:
    plan = (stage(5, mirror=50), stage(100))
    o = but(at_step(0), facts={"plan": plan, "granted": 5, "fed": True}, traffic={"mirror": (50, 50)})
    d = decide(but(o, workload={"canary": {"ready_endpoints": 1}}))
    assert of_kind(d.effects, SetTraffic) == (SetTraffic(5, 10),)


# -- the ways out ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", FED)
def test_an_abort_takes_share_pins_and_copies_away_in_one_write(index: int) -> None:
    for reason in ({"command": command("abort")}, {"verdict": failing(index)}, {"deleting": True}):
        d = decide(but(fed_step(index), **reason))
        assert d.facts.phase is Phase.REVERTING
        assert of_kind(d.effects, SetTraffic) == (SetTraffic(0),)


def test_nobody_counts_as_home_while_anything_of_ours_is_sent_to_the_canary() -> None:
    home = but(
        fed_step(AT_PIN), facts={"phase": Phase.REVERTING}, traffic={"weights_since": NOW - seconds(600)}
    )
    for mesh in ({"pinned_routes": "ours"}, {"pinned_routes": "other"}, {"mirror": (0, 20)}):
        fed = but(home, traffic={"pinned_routes": "none", **mesh})
        assert decide(fed).effects == (SetTraffic(0),)


def test_the_canary_keeps_its_pods_while_nobody_else_could_answer_its_pinned_users() -> None:
    alone = but(fed_step(AT_PIN), facts={"phase": Phase.REVERTING, "reached": 0}, busy={"new": False})
    alone = but(alone, workload={"stable": {"ready_endpoints": 0}})
    assert decide(alone).effects == ()
    assert decide(but(alone, traffic={"pinned_routes": "none"})).effects == (Scale("web-new", 0),)


def test_pins_stay_through_the_bake_and_until_the_subset_has_another_name() -> None:
    over = but(promoting(), facts={"plan": FED_PLAN, "stage": AT_ALL, "header_pins": (PIN,), "fed": True})
    over = but(over, traffic={"pinned_routes": "ours"})
    assert decide(over).effects == (Pin("new", "new"),)
    renamed = but(over, traffic={"subsets": ("new", "new")})
    assert decide(renamed).effects == (SetTraffic(0),)
    assert decide(but(renamed, traffic={"canary_weight": (0, 0)})).effects == (SetTraffic(0),)


def test_promote_full_sends_all_with_the_pins_and_no_copies() -> None:
    o = but(
        begun(AT_ALL, ready=10),
        facts={"approved": "full", "reached": 0},
        traffic=but(traffic(0), mirror=(20, 20)),
    )
    assert of_kind(decide(o).effects, SetTraffic) == (sent(AT_ALL),)
    toy = Toy(policy=policy(stages=FED_PLAN, header_pins=(PIN,)), answer=None).ask("new")
    toy.command = command("promote", "full")
    toy.run()
    assert [e for e in toy.log if isinstance(e, SetTraffic)] == [SetTraffic(100, 0, (PIN,)), SetTraffic(0)]


def test_a_step_without_share_is_held_where_it_is_while_paused() -> None:
    held = but(
        fed_step(AT_MIRROR, "pass"), facts={"phase": Phase.PAUSED, "paused_by": paused().facts.paused_by}
    )
    assert (decide(held).facts, decide(held).effects) == (held.facts, ())


def test_before_the_first_step_routes_left_over_go_home_first() -> None:
    left = but(preparing(), traffic={"pinned_routes": "other", "subsets": (None, None)})
    assert decide(left).effects == (SetTraffic(0),)
    copies = but(preparing(), traffic={"mirror": (0, 30), "subsets": (None, None)})
    assert decide(copies).effects == (SetTraffic(0),)
