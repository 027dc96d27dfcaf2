"""How a release ends or begins otherwise: deletion, lost status, findings, rolls that nobody asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import (
    Adopt,
    Delete,
    Finalizer,
    HandOver,
    PauseDeployment,
    Pin,
    Scale,
    SetTraffic,
)
from rollout_controller.core.release import Facts, Phase
from rollout_controller.core.world import Part
from tests.builders import ERROR, PLAN, but, initializing, pods, policy, reverted, seconds
from tests.toy import Set, Toy, waited

QUICK = policy(stages=(PLAN[0], PLAN[1], PLAN[3]))
"""Without the step that wants approval."""

TAKEN_BACK = [SetTraffic(0), Scale("web-new", 0), Delete("web-new"), Pin(None, None)]

# -- deletion -------------------------------------------------------------------------------------------


def test_deleted_at_rest_the_rollout_just_goes() -> None:
    toy = Toy(deleting=True)
    toy.look()
    assert (toy.gone, toy.log) == (True, [Adopt(present=False)])


def test_deleted_in_the_middle_everything_is_taken_back_first_and_the_pause_stays_with_a_warning() -> None:
    toy = Toy().ask("new").run()
    toy.log.clear()
    toy.deleting = True
    toy.run()
    assert toy.log == [*TAKEN_BACK, Adopt(present=False), Finalizer(present=False)]
    assert (toy.gone, toy.paused, toy.held) == (True, True, False)
    assert toy.events[-1] == "LeftPaused"


def test_deleted_after_a_revert_the_deployment_stays_paused_with_a_warning() -> None:
    toy = Toy(answer="fail").ask("new").run()
    toy.deleting = True
    toy.run()
    assert (toy.gone, toy.paused, toy.finalizer, toy.events[-1]) == (True, True, False, "LeftPaused")


def test_who_is_left_with_a_paused_deployment_is_told_how_to_let_it_roll_and_what_that_means() -> None:
    (notice,) = decide(but(reverted(), deleting=True, finalizer=False)).notices
    assert notice.message == (
        "the Deployment stays paused, as its template was never released: kubectl rollout resume"
        " deployment/web -n shop lets it roll, past every step and gate"
    )


def test_deleted_with_the_template_back_at_stables_the_deployment_is_un_paused() -> None:
    toy = Toy().ask("new").run()
    toy.deleting = True
    toy.ask("old").run()
    assert (toy.gone, toy.paused, toy.count("new")) == (True, False, 0)
    assert "LeftPaused" not in toy.events


def test_deleted_after_the_hand_over_the_release_is_finished_first() -> None:
    toy = Toy(policy=QUICK).ask("new").run(until=Phase.PROMOTING)
    while HandOver("web-new", 10, 3) not in toy.log:
        waited(toy, seconds(1)).look()
    toy.deleting = True
    toy.run()
    assert (toy.gone, toy.facts.stable, toy.pins, toy.paused) == (True, "new", (None, None), False)


# -- beginnings -----------------------------------------------------------------------------------------


def test_a_new_rollout_labels_the_deployment_and_adopts_what_runs() -> None:
    toy = Toy(facts=Facts(), labelled=False).run()
    assert toy.log == [Adopt(present=True)]
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "old")


@pytest.mark.parametrize("pins", [("old", "new"), ("new", "new"), (None, "new"), (None, None)])
@pytest.mark.parametrize("weight", [0, 25, 100])
def test_a_lost_status_takes_back_what_is_left_and_releases_anew(
    pins: tuple[str | None, str | None], weight: int
) -> None:
    toy = Toy(facts=Facts(), pins=pins, weight=weight, policy=QUICK, finalizer=True)
    toy.sets += (Set("new", "new", "us", 10),)
    toy.ask("new").run(until=Phase.HEALTHY)
    assert (toy.pins, toy.facts.stable, toy.count("new")) == ((None, None), "old", 0)
    toy.run()
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "new")


@pytest.mark.parametrize("weight", [0, 25, 100])
def test_a_lost_status_takes_back_what_is_left_before_a_finding_makes_it_invalid(weight: int) -> None:
    toy = Toy(facts=Facts(), pins=("old", "new"), weight=weight, finalizer=True, findings=(ERROR,))
    toy.sets += (Set("new", "new", "us", 10),)
    toy.ask("new").look()
    assert toy.facts.phase is Phase.INITIALIZING
    toy.run(until=Phase.INVALID)
    assert (toy.weight, toy.pins, toy.count("new")) == (0, (None, None), 0)


@pytest.mark.parametrize("weight", [0, 25, 100])
def test_a_status_of_before_the_release_takes_back_what_is_left_although_a_finding_makes_it_invalid(
    weight: int,
) -> None:
    toy = Toy(pins=("old", "new"), weight=weight, finalizer=True, findings=(ERROR,))
    toy.sets += (Set("new", "new", "us", 10),)
    toy.ask("new").look()
    assert toy.facts.phase is Phase.INVALID
    toy.run()
    assert (toy.facts.phase, toy.weight, toy.pins, toy.count("new")) == (Phase.INVALID, 0, (None, None), 0)


def test_what_is_invalid_writes_nothing_where_nothing_is_left() -> None:
    toy = Toy(labelled=False, finalizer=True, findings=(ERROR,)).run()
    assert (toy.facts.phase, toy.log) == (Phase.INVALID, [])


def test_a_lost_status_becomes_invalid_only_once_it_is_read_that_nothing_is_left() -> None:
    found = but(initializing(), findings=(ERROR,))
    assert decide(found).facts.phase is Phase.INVALID
    blind = but(found, traffic=None, unread=frozenset({Part.VIRTUAL_SERVICE}))
    assert decide(blind).facts.phase is Phase.INITIALIZING


def test_while_the_deployment_rolls_by_itself_nothing_is_adopted() -> None:
    toy = Toy(facts=Facts(), template="new")
    toy.sets = (Set("old", "old", "deployment", 4), Set("new", "new", "deployment", 6))
    toy.look()
    assert toy.facts.phase is Phase.INITIALIZING


@pytest.mark.parametrize(
    ("known", "sets"),
    [
        ("old", {"stable": pods("old", 0), "others": (pods("older", 0),)}),
        (None, {"stable": None, "others": (pods("old", 0),)}),
    ],
)
def test_without_replicas_a_held_template_leaves_stable_what_it_was(
    known: str | None, sets: dict[str, object]
) -> None:
    held = {"replicas": 0, "paused": True, "held": True, "target": "new", **sets}
    facts = decide(but(initializing(), facts={"stable": known}, workload=held)).facts
    assert (facts.phase, facts.stable) == (Phase.HEALTHY, "old")


def test_without_replicas_nothing_is_adopted_while_nobody_knows_which_version_was_stable() -> None:
    sets = (pods("old", 0), pods("older", 0))
    held = {"replicas": 0, "paused": True, "target": "new", "stable": None, "others": sets}
    assert decide(but(initializing(), workload=held)).facts.phase is Phase.INITIALIZING


def test_a_finding_makes_a_rollout_at_rest_invalid_writes_nothing_and_heals() -> None:
    toy = Toy(findings=(ERROR,)).ask("new").run()
    assert (toy.facts.phase, toy.log) == (Phase.INVALID, [])
    toy.findings = ()
    toy.run(until=Phase.PROGRESSING)
    assert (toy.facts.stable, toy.facts.canary) == ("old", "new")


@pytest.mark.parametrize(
    "lost",
    [
        {"stable": None},
        {"canary": None},
        {"canary": "old"},
        {"plan": ()},
        {"stage": 7},
        {"stage": -4},
        {"since": None},
    ],
)
def test_a_status_that_lost_what_its_phase_rests_on_is_no_memory(lost: dict[str, object]) -> None:
    good = Toy().ask("new").run()
    toy = replace(good, facts=but(good.facts, **lost), log=[], events=[])
    toy.run(until=Phase.HEALTHY)
    assert (toy.weight, toy.pins, toy.count("new")) == (0, (None, None), 0)


# -- rolls that nobody asked for ------------------------------------------------------------------------


def test_a_native_roll_at_rest_is_waited_for_and_adopted() -> None:
    toy = Toy(labelled=False).ask("new")
    toy.labelled = True
    toy.run()
    assert (toy.facts.phase, toy.facts.stable) == (Phase.HEALTHY, "native-new")
    assert toy.events == ["NativeRoll", "Healthy"]


def test_a_native_roll_that_nobody_saw_is_adopted_before_the_next_version_is_released() -> None:
    toy = Toy(labelled=False).ask("unseen")
    toy.labelled = True
    toy.policy = QUICK
    toy.ask("new").run(until=Phase.PROGRESSING)
    assert (toy.facts.stable, toy.facts.canary) == ("native-unseen", "new")


def test_un_paused_in_the_middle_without_any_native_pod_it_is_paused_again_and_told() -> None:
    toy = Toy().ask("new").run()
    toy.paused = toy.held = False
    toy.look()
    assert toy.log[-1] == PauseDeployment()
    assert toy.events[-1] == "PausedAgain"
    assert toy.facts.phase is Phase.PAUSED


def test_a_native_roll_in_the_middle_is_taken_back_together_with_the_release() -> None:
    toy = Toy().ask("new").run()
    toy.paused = toy.held = False
    native = Set("native", "new", "deployment", 4)
    toy.sets = (Set("old", "old", "deployment", 6), native, toy.sets[1])
    toy.log.clear()
    toy.run()
    assert toy.log[:3] == [SetTraffic(0), PauseDeployment(), Scale("web-native", 0)]
    assert Delete("web-native") in toy.log
    assert (toy.facts.phase, toy.count("old"), toy.count("new")) == (Phase.REVERTED, 10, 0)


@pytest.mark.parametrize("paused", [True, False])
def test_a_native_roll_that_left_no_stable_pod_is_let_through(paused: bool) -> None:
    toy = Toy().ask("new").run()
    toy.paused = toy.held = paused
    toy.sets = (Set("old", "old", "deployment", 0), Set("native", "new", "deployment", 10), toy.sets[1])
    toy.log.clear()
    toy.run()
    assert toy.log[0] == Pin(None, None)
    assert PauseDeployment() not in toy.log
    assert (toy.facts.phase, toy.facts.stable, toy.paused) == (Phase.HEALTHY, "native", False)
