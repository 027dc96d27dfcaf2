"""Whole releases in the toy world: what is written, in which order, and where it ends."""

from __future__ import annotations

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import (
    Delete,
    Finalizer,
    HandOver,
    MakeCanary,
    Pin,
    Scale,
    SetTraffic,
    Unpause,
)
from rollout_controller.core.release import Facts, PausedBy, Phase
from tests.builders import AT_25, AT_100, NOW, PLAN, at_step, but, command, policy, seconds, stage
from tests.toy import Set, Toy

QUICK = policy(stages=(PLAN[0], PLAN[1], PLAN[3]))
"""Without the step that wants approval."""

PREPARED = [Finalizer(present=True), Pin("old", "new"), MakeCanary("new", 2)]
GRADUATED = [
    Pin("new", "new"),
    SetTraffic(0),
    HandOver("web-new", 10, 3),
    Pin(None, None),
    Unpause("new"),
    Finalizer(present=False),
]
TAKEN_BACK = [SetTraffic(0), Scale("web-new", 0), Delete("web-new"), Pin(None, None)]


def test_a_good_version_goes_from_healthy_to_healthy_with_no_write_too_many() -> None:
    toy = Toy(policy=QUICK).ask("new").run()
    assert toy.log == [
        *PREPARED,
        SetTraffic(5),
        Scale("web-new", 3),
        SetTraffic(25),
        Scale("web-new", 10),
        SetTraffic(100),
        *GRADUATED,
    ]
    assert (toy.facts.phase, toy.facts.stable, toy.facts.canary) == (Phase.HEALTHY, "new", None)
    assert [(line.revision, line.outcome) for line in toy.facts.history] == [("new", "Promoted")]
    assert toy.events == ["Started", "StepStarted", "StepStarted", "StepStarted", "Promoting", "Promoted"]


def test_the_event_of_a_step_says_what_the_one_before_passed_with() -> None:
    (passed,) = decide(at_step(AT_25, "pass")).notices
    assert passed.message == (
        "step 3/4: canary new gets 50 %, as step 2/4 passed (error rate 0.1 % (limit 1 %))"
    )
    (by_command,) = decide(but(at_step(AT_25), facts={"approved": "step"})).notices
    assert by_command.message == "step 3/4: canary new gets 50 %, as step 2/4 was promoted by command"
    (last,) = decide(at_step(AT_100, "pass")).notices
    assert last.message == "step 4/4 passed (error rate 0.1 % (limit 1 %)): the new version is handed over"


def test_at_rest_nothing_of_ours_is_left() -> None:
    toy = Toy(policy=QUICK).ask("new").run()
    assert (toy.paused, toy.held, toy.finalizer, toy.pins, toy.weight) == (
        False,
        False,
        False,
        (None, None),
        0,
    )
    assert [(s.hash, s.of, s.count) for s in toy.sets] == [
        ("old", "deployment", 0),
        ("new", "deployment", 10),
    ]


def test_a_release_takes_as_long_as_its_steps_and_settling() -> None:
    toy = Toy(policy=QUICK)
    began = toy.now
    toy.ask("new").run()
    pinned, steps, graduation = 10, (60 + 3) * 2 + 120 + 3, 10 + 3
    assert toy.now - began == seconds(pinned + steps + graduation)


def test_each_version_after_the_other_is_released_the_same_way_and_back() -> None:
    toy = Toy(policy=QUICK)
    for template in ("new", "old", "new"):
        toy.ask(template).run()
        assert toy.facts.phase is Phase.HEALTHY
        assert toy.count(toy.facts.stable or "") == 10
    assert [line.outcome for line in toy.facts.history] == ["Promoted"] * 3


def test_a_replica_set_with_the_new_template_that_has_no_pods_is_deleted_first() -> None:
    twin = Set("older", "new", "deployment", 0)
    toy = Toy(policy=QUICK, sets=(twin, *Toy().sets)).ask("new").run()
    assert toy.log[:2] == [Finalizer(present=True), Delete("web-older")]
    assert toy.facts.stable == "new"


@pytest.mark.parametrize("replicas", [10, 0])
def test_a_version_that_was_the_deployments_own_before_is_made_anew_even_after_a_crash(replicas: int) -> None:
    again = Facts(Phase.PROGRESSING, "old", "new", plan=QUICK.stages, started=NOW, waiting_since=NOW)
    sets = (Set("new", "new", "deployment", 0), Set("old", "old", "deployment", replicas))
    toy = Toy(policy=QUICK, sets=sets, facts=again, replicas=replicas).ask("new").run()
    assert toy.log[:2] == [Finalizer(present=True), Delete("web-new")]
    assert MakeCanary("new", min(replicas, 2)) in toy.log
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "new")


def test_weights_go_home_and_settle_before_anything_is_pinned() -> None:
    toy = Toy(policy=QUICK, weight=10).ask("new").run()
    assert toy.log[:3] == [Finalizer(present=True), SetTraffic(0), Pin("old", "new")]
    assert toy.facts.phase is Phase.HEALTHY


def test_a_bad_version_is_taken_back_and_stays_away() -> None:
    toy = Toy(answer="fail").ask("new").run()
    assert toy.log == [*PREPARED, SetTraffic(5), *TAKEN_BACK]
    assert (toy.facts.phase, toy.facts.canary, toy.facts.reason) == (Phase.REVERTED, "new", "the gate fails")
    assert (toy.paused, toy.held, toy.finalizer) == (True, True, True)
    assert toy.events == ["Started", "StepStarted", "Reverting", "Reverted"]


def test_the_next_version_after_a_bad_one_is_released_at_once() -> None:
    toy = Toy(policy=QUICK, answer="fail").ask("new").run()
    toy.answer = "pass"
    toy.ask("third").run()
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "third")


def test_a_template_that_is_stables_again_ends_everything_in_healthy() -> None:
    for answer in ("pass", "fail"):
        toy = Toy(answer=answer).ask("new").run().ask("old").run()
        assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "old")
        assert toy.log[-2:] == [Unpause("old"), Finalizer(present=False)]
        assert (toy.paused, toy.count("new")) == (False, 0)


def test_a_third_version_begins_only_when_the_second_is_gone() -> None:
    toy = Toy().ask("new").run()
    assert toy.facts.paused_by is PausedBy.APPROVAL
    toy.log.clear()
    toy.ask("third").run(until=Phase.PROGRESSING)
    assert toy.log == [*TAKEN_BACK, Pin("old", "third")]
    assert (toy.facts.canary, toy.facts.stage) == ("third", -1)
    assert [line.revision for line in toy.facts.history] == ["new"]


def test_an_approval_is_waited_for_and_then_the_release_goes_on() -> None:
    toy = Toy().ask("new").run()
    assert (toy.facts.phase, toy.weight) == (Phase.PAUSED, 50)
    assert toy.facts.reason == "step at 50 % passed its gate and waits for approval"
    toy.command = command("promote", "new/3")
    toy.run()
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "new")


def test_promote_full_goes_straight_to_all_and_through_without_any_verdict() -> None:
    toy = Toy(answer=None).ask("new")
    toy.look()
    toy.command = command("promote", "full")
    toy.run()
    assert [e for e in toy.log if isinstance(e, SetTraffic)] == [SetTraffic(100), SetTraffic(0)]
    assert toy.facts.stable == "new"


def test_without_a_verdict_a_release_pauses_in_its_first_step() -> None:
    toy = Toy(answer=None).ask("new").run()
    assert (toy.facts.phase, toy.facts.paused_by, toy.facts.stage) == (Phase.PAUSED, PausedBy.INCONCLUSIVE, 0)
    toy.answer = "pass"
    toy.run()
    assert toy.facts.stage == 2


def test_no_replicas_are_graduated_at_once() -> None:
    toy = Toy(replicas=0, sets=(Set("old", "old", "deployment", 0),)).ask("new").run()
    assert [e for e in toy.log if isinstance(e, SetTraffic)] == []
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "new")


@pytest.mark.parametrize("looks", range(1, 8))
def test_replicas_that_come_back_while_graduating_without_any_stop_nothing(looks: int) -> None:
    toy = Toy(replicas=0, sets=(Set("old", "old", "deployment", 0),), policy=QUICK).ask("new")
    for _ in range(looks):
        decision = toy.look()
        if not decision.effects and decision.wake_at is not None:
            toy.now = max(toy.now, decision.wake_at)
    toy.replicas = 4
    toy.run()
    assert (toy.facts.phase, toy.facts.stable, toy.count("new")) == (Phase.HEALTHY, "new", 4)


def test_replicas_raised_while_it_graduates_are_waited_for_and_revert_nothing() -> None:
    toy = Toy(policy=QUICK).ask("new").run(until=Phase.PROMOTING)
    toy.replicas = 14
    toy.run()
    assert (toy.facts.stable, toy.count("new")) == ("new", 14)


def test_the_plan_of_a_release_does_not_change_with_the_spec() -> None:
    toy = Toy(policy=QUICK).ask("new").run(until=Phase.PROGRESSING)
    toy.policy = policy(stages=(stage(100),))
    toy.run()
    assert [e.weight for e in toy.log if isinstance(e, SetTraffic)] == [5, 25, 100, 0]
