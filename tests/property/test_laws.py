"""The laws of the design, over any world: what a decision may never do, whatever it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from rollout_controller.core.bookkeeping import tell_apart
from rollout_controller.core.decide import decide
from rollout_controller.core.display import display
from rollout_controller.core.effects import (
    Delete,
    Effect,
    HandOver,
    MakeCanary,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
)
from rollout_controller.core.model import Decision, Observed
from rollout_controller.core.release import RUNNING, Facts, Phase, Stage, StageKey
from rollout_controller.core.stages import carried
from rollout_controller.core.verdict import Verdict
from rollout_controller.core.world import Part, Pods, Traffic
from tests.builders import NOW, but, pods, policy
from tests.property.worlds import BACK, PLANS, anything, near, passed, toys
from tests.toy import Toy

IN_STAGE = (Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING)


def writes(o: Observed, d: Decision) -> Iterator[tuple[Traffic, Effect, Traffic]]:
    """Each write to the mesh in its order, with what it was before and after."""
    seen = o.traffic
    for effect in d.effects:
        if seen is None:
            return
        match effect:
            case SetTraffic(weight, mirror, header_pins):
                routes: Literal["none", "ours", "other"] = "none"
                if header_pins:
                    routes = "ours" if header_pins == d.facts.header_pins else "other"
                after = replace(
                    seen, canary_weight=(weight, weight), mirror=(mirror, mirror), pinned_routes=routes
                )
            case Pin(stable, canary):
                after = replace(seen, subsets=(stable, canary))
            case _:
                continue
        yield seen, effect, after
        seen = after


def replica_sets(o: Observed) -> dict[str, Pods]:
    w = o.workload
    known = (w.stable, w.canary, *w.others) if w is not None else ()
    return {p.name: p for p in known if p is not None}


def ready(o: Observed, side: str) -> int:
    found: Pods | None = getattr(o.workload, side, None)
    return found.ready_endpoints if found is not None else 0


def handed_over(o: Observed) -> bool:
    return o.workload is not None and o.workload.canary is not None and o.workload.canary.of == "deployment"


def misled(o: Observed) -> bool:
    """Whether somebody else made stable's subset select others: from there every way leads over others."""
    if o.traffic is None or o.traffic.subsets == (o.facts.canary, o.facts.canary):
        return False
    return o.traffic.subsets[0] not in {None, o.facts.stable}


def whole(facts: Facts) -> bool:
    """Whether this status is one that we wrote."""
    begun = facts.since is not None or facts.stage < 0
    return facts.stable is not None and facts.stage < len(facts.plan) and begun


# -- laws of every decision -----------------------------------------------------------------------------


def law_3_a_share_rises_only_in_a_stage_that_began_and_onto_pins_that_settled(
    o: Observed, d: Decision
) -> None:
    canary = d.facts.canary or ""
    if misled(o):
        return
    for before, effect, after in writes(o, d):
        if isinstance(effect, SetTraffic) and after.share(canary)[1] > before.share(canary)[1]:
            event("a share rises")
            assert before.subsets == (d.facts.stable, canary) or d.facts.phase is Phase.REVERTING
            if d.facts.phase is not Phase.REVERTING:
                assert d.facts.since is not None
                assert before.subsets_since + o.timing.settle_relabel <= o.now


def law_3_a_stage_is_left_only_from_a_world_that_is_read_and_as_it_should_be(
    o: Observed, d: Decision
) -> None:
    if d.facts.stage <= o.facts.stage or d.facts.phase not in RUNNING:
        return
    event("a stage is left")
    weight = o.facts.at.weight if o.facts.at is not None else 0
    assert (d.facts.since, d.facts.granted) == (o.now, ready(o, "canary"))
    assert not o.unread
    assert o.traffic is not None
    assert (o.traffic.subsets, o.traffic.canary_weight) == (
        (o.facts.stable, o.facts.canary),
        (weight, weight),
    )
    mirror = o.facts.at.mirror if o.facts.at is not None else 0
    pinned = "ours" if o.facts.header_pins and o.facts.stage >= 0 else "none"
    assert (o.traffic.mirror, o.traffic.pinned_routes) == ((mirror, mirror), pinned)
    assert o.traffic.subsets_since + o.timing.settle_relabel <= o.now
    assert o.facts.stage < 0 or o.traffic.weights_since + o.timing.settle <= o.now


def laws_4_and_12_only_ours_is_written_and_weights_are_percents(o: Observed, d: Decision) -> None:
    ours = {o.facts.stable, o.facts.canary, d.facts.stable, d.facts.canary, None}
    sets = replica_sets(o)
    for effect in d.effects:
        match effect:
            case SetTraffic(weight, mirror, header_pins):
                assert 0 <= weight <= 100
                assert 0 <= mirror <= 100
                assert header_pins in {(), d.facts.header_pins}
            case Pin(stable, canary):
                assert {stable, canary} <= ours
                assert (stable is None) == (canary is None)
            case MakeCanary(canary, replicas):
                assert canary == d.facts.canary
                assert o.workload is not None
                assert replicas <= o.workload.replicas
            case Scale(name, replicas) if sets[name].of == "deployment":
                old_after_hand_over = handed_over(o) and sets[name].hash == o.facts.stable
                nobody_is_sent_there = d.facts.phase is Phase.REVERTING or d.facts.stage < 0
                rolled_by_itself = sets[name].hash != d.facts.stable and d.facts.phase in RUNNING
                assert old_after_hand_over or (rolled_by_itself and nobody_is_sent_there)
                assert replicas == 0
            case Delete(name):
                assert sets[name].of == "us" or sets[name].current
            case HandOver(name):
                assert sets[name].hash == d.facts.canary


def law_5_at_most_one_write_gives_the_canary_more_and_only_what_its_ready_pods_carry(
    o: Observed, d: Decision
) -> None:
    canary = d.facts.canary
    if canary is None or handed_over(o) or misled(o):
        return
    steps = list(writes(o, d))
    if d.facts.phase is Phase.REVERTING and steps:  # foreign pins: what counts is where one pass leads
        steps = [(steps[0][0], steps[-1][1], steps[-1][2])]
    raises = [after for before, _, after in steps if after.share(canary)[1] > before.share(canary)[1]]
    assert len(raises) <= 1
    for after in raises:
        assert o.workload is not None
        assert ready(o, "canary") >= carried(after.share(canary)[1], o.workload.replicas)


def law_5_pins_and_copies_come_only_in_a_stage_that_grants_them_and_onto_ready_pods(
    o: Observed, d: Decision
) -> None:
    if handed_over(o):
        return
    for before, effect, after in writes(o, d):
        more = after.mirror[1] > before.mirror[1] or (after.fed and not before.fed)
        if not isinstance(effect, SetTraffic) or not more:
            continue
        event("the canary is sent more beside its share")
        at = d.facts.at
        assert at is not None
        assert after.mirror[1] <= at.mirror
        assert d.facts.phase in {Phase.PROGRESSING, Phase.PAUSED, Phase.PROMOTING}
        assert o.workload is not None
        assert ready(o, "canary") > 0 or not o.workload.replicas
        known = before.subsets == (d.facts.stable, d.facts.canary) or misled(o)
        assert known or before.subsets == (d.facts.canary, d.facts.canary)


def law_6_the_way_back_is_written_in_the_pass_that_decides_it(o: Observed, d: Decision) -> None:
    if d.facts.phase is not Phase.REVERTING or o.traffic is None or handed_over(o) or o.absent:
        return
    unknown = o.workload is None or Part.PODS in o.unread
    if unknown or ready(o, "stable") or not ready(o, "canary"):
        event("everybody goes home")
        seen = [o.traffic, *(after for _, _, after in writes(o, d))]
        assert seen[-1].share(d.facts.canary or "") == (0, 0)
        assert not seen[-1].fed


def law_6_nobody_is_moved_to_a_stable_without_ready_pods_while_the_canary_has_some(
    o: Observed, d: Decision
) -> None:
    if o.workload is None or Part.PODS in o.unread or handed_over(o) or d.facts.stage < 0:
        return
    if ready(o, "stable") or not ready(o, "canary") or (o.deleting and Part.DEPLOYMENT in o.absent):
        return
    event("stable is dead")
    stable = d.facts.stable or ""
    for before, _, after in writes(o, d):
        assert after.share(stable)[1] <= before.share(stable)[1]


def law_7_nothing_is_scaled_below_its_share_nor_deleted_with_pods(o: Observed, d: Decision) -> None:
    for effect in d.effects:
        if not isinstance(effect, Scale | Delete):
            continue
        assert o.workload is not None
        pods = replica_sets(o)[effect.name]
        share = o.traffic.share(pods.hash)[1] if o.traffic is not None else 0
        if isinstance(effect, Delete):
            event("deleted")
            assert (pods.spec, pods.existing) == (0, 0)
        elif effect.replicas < pods.spec:
            event("scaled down")
            assert effect.replicas >= carried(share, o.workload.replicas)
            reached = o.traffic is not None and o.traffic.reaches(pods.hash)
            assert effect.replicas or not reached or not o.workload.replicas
            assert effect.replicas == o.workload.replicas or not o.unread


def a_release_begins_with_the_specs_steps_or_goes_back_in_one_stage(o: Observed, d: Decision) -> None:
    begins = d.facts.started == o.now != o.facts.started and d.facts.phase is Phase.PROGRESSING
    if not begins or o.policy is None or o.workload is None:
        return
    window = o.facts.previous[: o.policy.rollback_window]
    back = any(p.of == "deployment" and p.current and p.hash in window for p in o.workload.others)
    event("goes back" if back else "goes on")
    if not back:
        assert d.facts.plan == o.policy.stages
        return
    (only,) = d.facts.plan
    assert (only.weight, only.scale, only.approval) == (100, 100, False)
    assert (only.gate, only.min_duration) == (o.policy.stages[-1].gate, o.policy.stages[-1].min_duration)


def a_stable_that_another_follows_is_remembered(o: Observed, d: Decision) -> None:
    if o.facts.stable is None or not whole(o.facts) or d.facts.stable in {None, o.facts.stable}:
        return
    event("another stable")
    assert d.facts.previous[0] == o.facts.stable
    assert d.facts.stable not in d.facts.previous


def law_13_nothing_that_was_released_becomes_invalid(o: Observed, d: Decision) -> None:
    if o.facts.phase in RUNNING | {Phase.REVERTED} and whole(o.facts):
        assert d.facts.phase is not Phase.INVALID


def the_deployment_is_un_paused_only_with_a_template_that_was_released(o: Observed, d: Decision) -> None:
    for effect in d.effects:
        if isinstance(effect, Unpause):
            event("un-paused")
            assert o.workload is not None
            assert effect.stable == o.workload.target or effect.stable in {
                p.hash for p in replica_sets(o).values() if p.current
            }


def there_is_always_something_to_read(_o: Observed, d: Decision) -> None:
    assert d.display.message


LAWS: list[Callable[[Observed, Decision], None]] = [
    law_3_a_share_rises_only_in_a_stage_that_began_and_onto_pins_that_settled,
    law_3_a_stage_is_left_only_from_a_world_that_is_read_and_as_it_should_be,
    laws_4_and_12_only_ours_is_written_and_weights_are_percents,
    law_5_at_most_one_write_gives_the_canary_more_and_only_what_its_ready_pods_carry,
    law_5_pins_and_copies_come_only_in_a_stage_that_grants_them_and_onto_ready_pods,
    law_6_the_way_back_is_written_in_the_pass_that_decides_it,
    law_6_nobody_is_moved_to_a_stable_without_ready_pods_while_the_canary_has_some,
    law_7_nothing_is_scaled_below_its_share_nor_deleted_with_pods,
    a_release_begins_with_the_specs_steps_or_goes_back_in_one_stage,
    a_stable_that_another_follows_is_remembered,
    law_13_nothing_that_was_released_becomes_invalid,
    the_deployment_is_un_paused_only_with_a_template_that_was_released,
    there_is_always_something_to_read,
]


def obey(o: Observed, d: Decision) -> None:
    o = tell_apart(o)
    for law in LAWS:
        law(o, d)


@settings(max_examples=700)
@given(near())
def test_no_decision_breaks_a_law(o: Observed) -> None:
    obey(o, decide(o))


@settings(max_examples=150)
@given(anything())
def test_law_13_every_world_gets_a_decision_even_from_a_status_that_makes_no_sense(o: Observed) -> None:
    d = decide(o)
    there_is_always_something_to_read(o, d)
    assert d.wake_at is None or d.wake_at >= o.now


@settings(max_examples=150)
@given(st.permutations("abcdefghijkl"), st.integers(0, 10), st.sampled_from(PLANS))
def test_a_way_back_has_one_stage_and_leads_no_further_than_the_window(
    before: list[str], window: int, stages: tuple[Stage, ...]
) -> None:
    twin = pods("f", 0, current=True)
    facts = {"previous": tuple(before)}
    o = but(
        BACK, facts=facts, workload={"others": (twin,)}, policy=policy(stages=stages, rollback_window=window)
    )
    d = decide(o)
    obey(o, d)
    assert len(d.facts.plan) == (1 if before.index("f") < window else len(stages))


# -- laws that compare worlds ---------------------------------------------------------------------------


@settings(max_examples=200)
@given(near(*IN_STAGE), st.integers(1, 100), st.integers(0, 99))
def test_law_5_a_share_lowered_from_outside_is_an_abort(o: Observed, reached: int, low: int) -> None:
    if o.facts.stage < 0 or o.traffic is None or handed_over(tell_apart(o)) or not whole(o.facts):
        return
    if Part.VIRTUAL_SERVICE in o.absent:
        return  # a VirtualService that is gone is a finding, nobody's lower weight
    low = min(low, reached - 1)
    weight = (low, max(low, o.traffic.canary_weight[1]))
    lowered = replace(o.traffic, subsets=("old", "new"), canary_weight=weight)
    o = replace(o, traffic=lowered, facts=replace(o.facts, reached=reached, lowered_to=None))
    assert decide(o).facts.phase is Phase.REVERTING


@settings(max_examples=200)
@given(near(Phase.PROGRESSING, Phase.PAUSED))
def test_law_9_without_a_verdict_no_gated_stage_is_left(o: Observed) -> None:
    stage = o.facts.at
    if stage is None or not stage.gate or o.facts.approved is not None or o.command is not None:
        return
    for unclear in (None, Verdict(StageKey("new", o.facts.stage, NOW), "inconclusive", NOW)):
        d = decide(replace(o, verdict=unclear))
        empty = o.workload is not None and o.workload.replicas == 0
        assert d.facts.stage == o.facts.stage or d.facts.phase not in RUNNING
        assert d.facts.phase is not Phase.PROMOTING or empty


@settings(max_examples=200)
@given(near(*IN_STAGE))
def test_law_9_the_lack_of_a_verdict_never_fails_a_canary(o: Observed) -> None:
    key = o.facts.key
    if o.policy is None or key is None:
        return
    o = replace(o, policy=replace(o.policy, inconclusive_then="Pause"), verdict=None)
    if decide(o).facts.phase is Phase.REVERTING:
        passing = replace(o, verdict=Verdict(key, "pass", NOW))
        assert decide(passing).facts.phase is Phase.REVERTING


@settings(max_examples=200)
@given(near(*IN_STAGE))
def test_law_14_a_failing_gate_reverts_whatever_holds_the_release(o: Observed) -> None:
    if o.facts.approved == "full" or handed_over(tell_apart(o)) or not whole(o.facts):
        return
    failing = Verdict(StageKey("new", max(o.facts.stage, 0), NOW), "fail", NOW)
    assert decide(replace(o, verdict=failing)).facts.phase is Phase.REVERTING


@settings(max_examples=100)
@given(near(), st.integers(1, 10**7))
def test_what_is_shown_does_not_move_with_the_clock(o: Observed, seconds: int) -> None:
    d = decide(o)
    assert d.display == display(tell_apart(passed(o, timedelta(seconds=seconds))), d.facts)


@settings(max_examples=300)
@given(near(), st.integers(0, 999))
def test_between_now_and_the_next_look_there_is_nothing_to_do(o: Observed, part: int) -> None:
    d = decide(o)
    if d.facts != o.facts:
        assert d.wake_at == o.now
    if d.facts != o.facts or d.effects:
        return
    assert d.wake_at is None or d.wake_at > o.now
    event("waits" if d.wake_at else "rests")
    wait = (d.wake_at - o.now) if d.wake_at else timedelta(days=900)
    early = decide(passed(o, wait * part / 1000))
    assert (early.facts, early.effects) == (d.facts, ())


# -- laws of what follows -------------------------------------------------------------------------------


@settings(max_examples=150)
@given(toys())
def test_law_10_every_world_comes_to_rest_lawfully_and_then_asks_for_nothing(toy: Toy) -> None:
    toy.witness = obey
    toy.run()
    event(f"{toy.facts.phase}{', gone' if toy.gone else ''}")
    if toy.gone:
        assert not toy.finalizer
        return
    d = decide(toy.observe())
    assert (d.facts, d.effects, d.notices, d.wake_at) == (toy.facts, (), (), None)


@settings(max_examples=150)
@given(toys())
def test_facts_settle_while_the_world_stands_still(toy: Toy) -> None:
    seen: list[Facts] = []
    while toy.facts not in seen:
        seen.append(toy.facts)
        assert len(seen) < 9, [f.phase for f in seen]
        toy.facts = decide(toy.observe()).facts
    assert toy.facts == seen[-1], "facts go round in a circle"
