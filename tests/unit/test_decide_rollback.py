"""The way back: which earlier version is gone back to at once, and what remembers it."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.api.schema import structural_schema
from rollout_controller.api.spec import RolloutSpec
from rollout_controller.controller.status import facts_of, status_of
from rollout_controller.core.decide import decide
from rollout_controller.core.display import display
from rollout_controller.core.effects import Delete, Finalizer, MakeCanary, Pin, Scale, SetTraffic
from rollout_controller.core.model import Decision, Observed
from rollout_controller.core.release import Facts, PausedBy, Phase, Stage
from rollout_controller.core.rollback import REMEMBERED, ROLLBACK, previous, straight_back
from tests.builders import (
    AT_100,
    NOW,
    PLAN,
    REPLICAS,
    at_step,
    but,
    command,
    initializing,
    new_template,
    pods,
    policy,
    preparing,
    reverted,
    reverting,
    seconds,
    stage,
    verdict,
)
from tests.toy import Set, Toy

STRAIGHT = (stage(100, name=ROLLBACK, min_duration=seconds(120)),)
QUICK = policy(stages=(PLAN[0], PLAN[1], PLAN[3]), rollback_window=3)
"""Without the step that wants approval."""


def known(*before: str, window: int = 3, twin: str = "new") -> Observed:
    """`new` is asked for while these were stable before `old`; the ReplicaSet `twin` has its template."""
    old_set = pods(twin, 0, current=True)
    facts = {"previous": before}
    return but(
        new_template(), facts=facts, workload={"others": (old_set,)}, policy={"rollback_window": window}
    )


def toy(**changes: Any) -> Toy:
    return Toy(**{"policy": QUICK, **changes})


# -- which release goes back ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("o", "goes_back"),
    [
        (known("new"), True),
        (known("a", "b", "new"), True),
        (known("a", "b", "c", "new"), False),
        (known("new", window=1), True),
        (known("a", "new", window=1), False),
        (known("new", window=0), False),
        (known(), False),
        (known("a", "b"), False),
        # The Deployment controller named it otherwise when it was adopted: templates tell, not names.
        (known("6444769cf", twin="6444769cf"), True),
        # Its ReplicaSet is gone, or bears its name and has another template.
        (but(known("new"), workload={"others": ()}), False),
        (but(known("new"), workload={"others": (pods("new", 0),)}), False),
        # A ReplicaSet with this template that never was stable: reverted, or rolled and given up.
        (known("a", twin="native"), False),
        # A canary of ours left from before is no ReplicaSet of the Deployment's.
        (but(known("new"), workload={"others": (pods("new", 0, "us", current=True),)}), False),
    ],
)
def test_a_template_of_one_of_the_last_stables_goes_straight_to_all(o: Observed, goes_back: bool) -> None:
    d = decide(o)
    assert d.facts.phase is Phase.PROGRESSING
    assert d.facts.plan == (STRAIGHT if goes_back else PLAN)


def told(d: Decision) -> str:
    (notice,) = (n for n in d.notices if n.reason == "Started")
    return notice.message


def test_the_event_says_where_a_release_goes_back_to() -> None:
    assert told(decide(known("6444769cf", twin="6444769cf"))) == (
        "release of new beside old: the Deployment has a new template, back to 6444769cf,"
        " which was stable before: straight to 100 %"
    )
    assert told(decide(known())) == "release of new beside old: the Deployment has a new template"


@pytest.mark.parametrize(
    ("stages", "straight"),
    [
        (PLAN, STRAIGHT),
        ((), ()),
        ((stage(50), stage(100, approval=True, scale=100)), (stage(100, name=ROLLBACK),)),
        (
            (stage(0, name="preview", scale=100, approval=True), stage(100, name="live", min_pods=1)),
            (stage(100, name=ROLLBACK, min_pods=1),),
        ),
        (
            (stage(5), stage(100, gate=False, min_pods=4, min_duration=seconds(7))),
            (stage(100, name=ROLLBACK, gate=False, min_pods=4, min_duration=seconds(7)),),
        ),
    ],
)
def test_the_plan_is_the_last_stage_alone_and_asks_nobody(
    stages: tuple[Stage, ...], straight: tuple[Stage, ...]
) -> None:
    assert straight_back(stages) == straight


def test_a_window_that_is_edited_counts_from_the_next_release() -> None:
    runs = but(preparing(), facts={"plan": STRAIGHT, "previous": ("new",)}, policy={"rollback_window": 0})
    assert decide(runs).facts.plan == STRAIGHT


def test_a_third_template_that_was_stable_before_is_gone_back_to_when_the_second_is_gone() -> None:
    home = but(
        reverting(),
        facts={"previous": ("third",)},
        policy={"rollback_window": 3},
        workload={"target": "third", "canary": None, "others": (pods("third", 0, current=True),)},
        traffic={"subsets": (None, None)},
    )
    d = decide(home)
    assert (d.facts.phase, d.facts.canary, d.facts.plan) == (Phase.PROGRESSING, "third", STRAIGHT)


def test_a_retry_goes_straight_only_while_nothing_was_tried_yet() -> None:
    retried = but(reverted(), command=command("retry"), policy={"rollback_window": 3})
    retried = but(retried, facts={"previous": ("new",)})
    assert decide(retried).facts.plan == PLAN
    untouched = but(retried, workload={"canary": pods("new", 0, current=True)})
    assert decide(untouched).facts.plan == STRAIGHT


# -- how it goes ----------------------------------------------------------------------------------------


def test_back_to_the_version_before_takes_all_pods_and_then_all_traffic_in_one_write() -> None:
    world = toy().ask("new").run()
    world.log.clear()
    world.ask("old").run()
    assert world.log[:5] == [
        Finalizer(present=True),
        Delete("web-old"),
        Pin("new", "old"),
        MakeCanary("old", REPLICAS),
        SetTraffic(100),
    ]
    assert [e for e in world.log if isinstance(e, SetTraffic)] == [SetTraffic(100), SetTraffic(0)]
    assert not any(isinstance(e, Scale) for e in world.log)
    assert (world.facts.phase, world.facts.stable) == (Phase.HEALTHY, "old")
    assert [(line.revision, line.outcome, line.reason) for line in world.facts.history] == [
        ("new", "Promoted", ""),
        ("old", "Promoted", ""),
    ]


def test_back_takes_as_long_as_pins_settling_and_the_bake() -> None:
    world = toy().ask("new").run()
    began = world.now
    world.ask("old").run()
    pinned, bake, graduation = 10, 120 + 3, 10 + 3
    assert world.now - began == seconds(pinned + bake + graduation)


def test_there_and_back_and_there_again_each_goes_straight() -> None:
    adopted = (Set("6444769cf", "old", "deployment", 10),)
    world = toy(sets=adopted, facts=Facts(phase=Phase.HEALTHY, stable="6444769cf")).ask("new").run()
    for template, before in (("old", ("new", "6444769cf")), ("new", ("old", "6444769cf"))):
        world.log.clear()
        world.ask(template).run()
        assert [e for e in world.log if isinstance(e, SetTraffic)] == [SetTraffic(100), SetTraffic(0)]
        assert world.facts.stable == template
        assert world.facts.previous == before


def test_a_failing_gate_takes_a_way_back_back_and_then_every_step_is_asked() -> None:
    world = toy().ask("new").run()
    world.answer = "fail"
    world.ask("old").run()
    assert (world.facts.phase, world.facts.stable, world.facts.canary) == (Phase.REVERTED, "new", "old")
    assert world.facts.previous == ("old",)
    world.answer = "pass"
    world.command = command("retry")
    world.run()
    assert (world.facts.phase, world.facts.stable) == (Phase.HEALTHY, "old")
    assert [e.weight for e in world.log if isinstance(e, SetTraffic)][-4:] == [5, 25, 100, 0]


def test_without_a_verdict_a_way_back_holds_at_all_and_promote_full_ends_it() -> None:
    world = toy().ask("new").run()
    world.answer = None
    world.ask("old").run()
    assert (world.facts.paused_by, world.facts.at, world.weight) == (
        PausedBy.INCONCLUSIVE,
        STRAIGHT[0],
        100,
    )
    world.command = command("promote", "full")
    world.run()
    assert (world.facts.phase, world.facts.stable) == (Phase.HEALTHY, "old")


def test_no_step_of_a_way_back_waits_for_an_approval() -> None:
    asking = policy(stages=(stage(5, approval=True), stage(100, approval=True)), rollback_window=3)
    world = toy().ask("new").run()
    world.policy = asking
    world.ask("old").run()
    assert (world.facts.phase, world.facts.stable) == (Phase.HEALTHY, "old")


def test_spec_paused_holds_a_way_back_before_anything_moves() -> None:
    d = decide(but(preparing(), facts={"plan": STRAIGHT}, policy={"paused": True}))
    assert (d.facts.phase, d.facts.paused_by, d.effects) == (Phase.PAUSED, PausedBy.SPEC, ())


def test_pods_that_are_missing_hold_a_way_back_at_0() -> None:
    short = but(preparing(), facts={"plan": STRAIGHT})
    d = decide(short)
    assert (d.facts.stage, d.effects) == (-1, (Scale("web-new", REPLICAS),))


def test_a_stable_without_a_ready_pod_does_not_hold_up_the_way_back() -> None:
    ready = but(
        preparing(),
        facts={"plan": STRAIGHT},
        workload={"canary": pods("new", REPLICAS, "us", current=True), "stable": {"ready_endpoints": 0}},
    )
    entered = but(ready, facts=decide(ready).facts)
    assert (entered.facts.stage, decide(entered).effects) == (0, (SetTraffic(100),))


# -- what remembers it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "stable", "before"),
    [
        (Facts(stable="a"), "b", ("a",)),
        (Facts(stable="c", previous=("b", "a")), "d", ("c", "b", "a")),
        (Facts(stable="b", previous=("a",)), "a", ("b",)),
        (Facts(stable="b", previous=("a", "b")), "c", ("b", "a")),
        (Facts(stable=None, previous=("b", "a")), "b", ("a",)),
        (Facts(stable="a"), None, ("a",)),
        (Facts(), "a", ()),
        (Facts(stable="new", previous=tuple(map(str, range(10)))), "newer", ("new", *map(str, range(9)))),
    ],
)
def test_each_earlier_stable_is_kept_once_the_newest_first(
    facts: Facts, stable: str | None, before: tuple[str, ...]
) -> None:
    assert previous(facts, stable) == before


def test_a_window_asks_for_no_more_than_is_remembered() -> None:
    assert structural_schema(RolloutSpec)["properties"]["rollbackWindow"]["maximum"] == REMEMBERED


def test_a_promoted_version_is_remembered_and_a_reverted_one_is_not() -> None:
    world, remembered = toy(), []
    for template, answer in (("new", "pass"), ("third", "fail"), ("fourth", "pass")):
        world.answer = "fail" if answer == "fail" else "pass"
        remembered.append(world.ask(template).run().facts.previous)
    assert remembered == [("old",), ("old",), ("new", "old")]


def test_a_version_that_rolled_by_itself_is_adopted_and_the_one_before_is_remembered() -> None:
    world = toy()
    world.labelled = False
    world.ask("new").run()
    assert (world.facts.stable, world.facts.previous) == ("native-new", ("old",))
    world.labelled = True
    world.ask("old")
    world.log.clear()
    world.run()
    assert [e.weight for e in world.log if isinstance(e, SetTraffic)] == [100, 0]


def test_a_rollout_without_memory_adopts_what_runs_and_knows_of_none_before() -> None:
    d = decide(initializing())
    assert (d.facts.stable, d.facts.previous) == ("old", ())


def test_what_is_remembered_outlives_a_status_that_makes_no_sense() -> None:
    broken = but(at_step(0), facts={"previous": ("a",), "stable": None})
    assert decide(broken).facts.previous == ("a",)


def test_the_status_keeps_what_is_remembered_and_one_from_before_has_none() -> None:
    facts = Facts(phase=Phase.HEALTHY, stable="c", previous=("b", "a"))
    raw = status_of(facts, display(new_template(), facts), {}, NOW, 1)
    assert raw["previous"] == ["b", "a"]
    assert facts_of(raw) == facts
    del raw["previous"]
    assert facts_of(raw) == but(facts, previous=())


# -- what is shown --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("o", "sentence"),
    [
        (preparing(), "going back to a version that was stable before, as new: 2 of 10 canary pods ready"),
        (
            but(at_step(AT_100, "pass"), facts={"stage": 0}, verdict=verdict("pass", 0)),
            "step 1/1 at 100 %, back to a version that was stable before, as new: error rate 0.1 %"
            " (limit 1 %)",
        ),
    ],
)
def test_a_person_reads_that_it_goes_back(o: Observed, sentence: str) -> None:
    o = but(o, facts={"plan": STRAIGHT})
    assert display(o, o.facts).message == sentence
