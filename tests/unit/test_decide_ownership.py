"""A Rollout whose claims another one owns, and an owner while a newer one has not let go."""

from __future__ import annotations

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import Adopt, Finalizer, Pin, SetTraffic, Unpause
from rollout_controller.core.model import Observed
from rollout_controller.core.release import PausedBy, Phase
from rollout_controller.core.world import Part
from tests.builders import (
    AT_25,
    ERROR,
    at_step,
    but,
    command,
    handed_over,
    healthy,
    initializing,
    invalid,
    new_template,
    of_kind,
    paused,
    pods,
    promoting,
    reverted,
    reverting,
    traffic,
)

AT_REST = [initializing(), healthy(), new_template(), reverted(), invalid()]


def owned(o: Observed, holder: str = "") -> Observed:
    """An older Rollout claims the same; `holder` has marks in the cluster."""
    return but(o, findings=(ERROR,), owner="older", holder=holder)


def kept_waiting(o: Observed) -> Observed:
    """A newer Rollout claims the same and has not taken its release back."""
    return but(o, holder="newer")


@pytest.mark.parametrize("o", AT_REST)
def test_at_rest_it_is_invalid_and_writes_nothing(o: Observed) -> None:
    d = decide(but(owned(o), finalizer=False))
    assert (d.facts.phase, d.effects) == (Phase.INVALID, ())
    assert d.display.message == str(ERROR)


def test_it_does_not_put_its_label_back() -> None:
    bare = {"workload": {"labelled": False}}
    assert decide(but(owned(healthy()), **bare)).effects == ()
    assert decide(but(owned(reverted()), finalizer=True, **bare)).effects == (Finalizer(present=False),)


@pytest.mark.parametrize("o", [at_step(AT_25, "pass"), paused()])
def test_with_a_canary_it_holds_its_share_and_waits_for_a_person(o: Observed) -> None:
    d = decide(owned(o))
    assert (d.facts.phase, d.facts.stage, d.effects) == (Phase.PAUSED, AT_25, ())
    back = decide(but(owned(o), command=command("abort", "bad")))
    assert back.facts.phase is Phase.REVERTING
    assert of_kind(back.effects, SetTraffic) == (SetTraffic(0),)


@pytest.mark.parametrize("o", [promoting(), handed_over(), reverting()])
def test_what_is_nearly_over_is_finished(o: Observed) -> None:
    assert decide(owned(o)).facts.phase is o.facts.phase
    assert decide(owned(o)).effects == decide(o).effects


def test_after_its_release_it_takes_the_pause_off_that_rolls_nothing_and_lets_go() -> None:
    promoted = but(healthy(), workload={"paused": True, "held": True}, finalizer=True)
    d = decide(owned(promoted))
    assert (d.facts.phase, d.effects) == (Phase.INVALID, (Unpause("old"), Finalizer(present=False)))


def test_a_pause_that_holds_a_template_back_stays_for_the_owner() -> None:
    assert decide(owned(reverted())).effects == (Finalizer(present=False),)


def test_a_pause_is_not_its_own_while_another_one_releases() -> None:
    promoted = but(healthy(), workload={"paused": True, "held": True}, finalizer=True)
    assert decide(owned(promoted, holder="older")).effects == (Finalizer(present=False),)


def test_what_it_left_in_the_mesh_is_taken_back_first() -> None:
    left = but(invalid(), finalizer=True, traffic=traffic(25, "old", "new"))
    assert decide(owned(left)).effects == (SetTraffic(0),)
    home = but(left, traffic=traffic(0, "old", "new"))
    assert decide(owned(home)).effects == (Pin(None, None),)


def test_what_is_pinned_while_the_owner_releases_is_the_owners() -> None:
    left = but(invalid(), finalizer=True, traffic=traffic(25, "old", "new"))
    assert decide(owned(left, holder="older")).effects == (Finalizer(present=False),)
    gone = decide(but(owned(left, holder="older"), deleting=True))
    assert gone.gone
    assert Pin(None, None) not in gone.effects


def test_its_own_canary_is_taken_back_even_then_before_it_goes() -> None:
    left = but(invalid(), finalizer=True, workload={"others": (pods("new", 2, "us"),)})
    d = decide(but(owned(left, holder="older"), deleting=True))
    assert not d.gone
    assert Finalizer(present=False) not in d.effects


def test_it_does_not_unpause_a_deployment_that_another_one_holds_when_it_goes() -> None:
    held = but(healthy(), workload={"paused": True, "held": True}, finalizer=True)
    alone = decide(but(held, deleting=True))
    assert Unpause("old") in alone.effects
    d = decide(but(owned(held, holder="older"), deleting=True))
    assert d.gone
    assert d.effects == (Adopt(present=False), Finalizer(present=False))


def test_a_third_template_on_the_way_back_is_left_to_the_owner() -> None:
    home = but(
        reverting(),
        workload={"canary": None, "target": "third"},
        traffic={"subsets": (None, None)},
    )
    assert decide(home).facts.phase is Phase.PROGRESSING
    d = decide(owned(home))
    assert (d.facts.phase, d.facts.history[-1].outcome) == (Phase.INVALID, "Reverted")


def test_once_the_owner_is_gone_it_begins_anew() -> None:
    assert decide(but(healthy(), facts={"phase": Phase.INVALID})).facts.phase is Phase.INITIALIZING


# -- the owner, while a newer one has not let go ---------------------------------------------------------


@pytest.mark.parametrize("o", [initializing(), healthy(), new_template(), reverted()])
def test_the_owner_waits_and_writes_nothing(o: Observed) -> None:
    bare = but(kept_waiting(o), workload={"labelled": False})
    d = decide(bare)
    assert (d.facts.phase, d.effects) == (o.facts.phase, ())


def test_the_owner_says_for_whom_it_waits() -> None:
    assert decide(kept_waiting(initializing())).display.message == (
        "waiting until Rollout newer has let go of what both claim"
    )


def test_a_retry_is_refused_meanwhile() -> None:
    d = decide(but(kept_waiting(reverted()), command=command("retry")))
    assert d.facts.phase is Phase.REVERTED
    assert [n.reason for n in d.notices] == ["CommandRefused"]
    assert "Rollout newer claims the same and has not taken its release back" in d.notices[0].message


@pytest.mark.parametrize("o", [at_step(AT_25, "pass"), paused(PausedBy.COMMAND), promoting(), reverting()])
def test_a_release_of_the_owner_goes_on(o: Observed) -> None:
    assert decide(kept_waiting(o)).effects == decide(o).effects
    assert decide(kept_waiting(o)).facts == decide(o).facts


def test_an_owner_that_has_nothing_goes_without_touching_what_is_anothers() -> None:
    d = decide(but(kept_waiting(initializing()), deleting=True, traffic=traffic(25), finalizer=True))
    assert d.gone
    assert d.effects == (Adopt(present=False), Finalizer(present=False))


def test_nothing_begins_while_it_is_not_known_who_else_there_is() -> None:
    blind = frozenset({Part.ROLLOUTS})
    assert decide(but(new_template(), unread=blind)).facts.phase is Phase.HEALTHY
    assert decide(but(initializing(), unread=blind)).facts.phase is Phase.INITIALIZING
    unowned = but(healthy(), facts={"phase": Phase.INVALID}, unread=blind)
    assert decide(unowned).facts.phase is Phase.INVALID
