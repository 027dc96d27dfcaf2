"""What others do to routes and subsets, and what cannot be read of them."""

from __future__ import annotations

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import Pin, SetTraffic
from rollout_controller.core.model import Observed
from rollout_controller.core.release import PausedBy, Phase
from rollout_controller.core.world import ForeignWrite, Part
from tests.builders import (
    AT_5,
    AT_25,
    AT_50,
    ERROR,
    NOW,
    at_step,
    but,
    healthy,
    new_template,
    of_kind,
    paused,
    preparing,
    promoting,
    seconds,
    traffic,
)

IN_STAGE = [at_step(AT_25), paused()]


def by(who: str, *weight: int, pins: tuple[str | None, str | None] = ("old", "new")) -> dict[str, object]:
    """Somebody wrote both the routes and the subsets."""

    def wrote(kind: str) -> ForeignWrite:
        named, at = f'field manager "{who}"', "2030-01-01T11:59:58Z"
        return ForeignWrite(named, "Update", at, f"{kind} shop/web", f"Tell {who} of the {kind}")

    return {
        "canary_weight": weight,
        "subsets": pins,
        "version": "2",
        "changed_by": wrote("VirtualService"),
        "relabelled_by": wrote("DestinationRule"),
    }


ROUTED = "(Update of VirtualService shop/web at 2030-01-01T11:59:58Z)"
RULED = "(Update of DestinationRule shop/web at 2030-01-01T11:59:58Z)"


# -- lowered: somebody's abort --------------------------------------------------------------------------


@pytest.mark.parametrize("o", IN_STAGE)
@pytest.mark.parametrize("weight", [(0, 0), (24, 24), (0, 25)])
def test_a_share_below_what_was_reached_is_an_abort_told_with_who(
    o: Observed, weight: tuple[int, int]
) -> None:
    d = decide(but(o, traffic=by("kubectl-edit", *weight)))
    assert d.facts.phase is Phase.REVERTING
    assert d.facts.reason == (
        f'field manager "kubectl-edit" lowered the canary\'s share from 25 % to {weight[0]} % {ROUTED},'
        " which counts as an abort"
    )
    assert d.notices[-1].message.endswith(". Tell kubectl-edit of the VirtualService")
    assert d.display.message.endswith(". Tell kubectl-edit of the VirtualService")
    assert of_kind(d.effects, SetTraffic) == (() if weight == (0, 0) else (SetTraffic(0),))


def test_a_shortage_in_the_same_moment_does_not_hide_an_abort() -> None:
    few = {"canary": {"ready_endpoints": 1}}
    d = decide(but(at_step(AT_25), facts={"granted": 3}, traffic=by("x", 12, 12), workload=few))
    assert (d.facts.phase, d.effects) == (Phase.REVERTING, (SetTraffic(0),))


def test_a_share_that_was_never_reached_was_not_lowered() -> None:
    begun = but(at_step(AT_25), facts={"reached": 5}, traffic=traffic(5))
    d = decide(begun)
    assert (d.facts.phase, d.effects) == (Phase.PROGRESSING, (SetTraffic(25),))


def test_routes_of_which_only_some_were_raised_are_completed() -> None:
    half = but(at_step(AT_25), facts={"reached": 5}, traffic={"canary_weight": (5, 25)})
    assert decide(half).effects == (SetTraffic(25),)


def test_what_was_reached_is_noted_when_it_is_read_back_and_no_more_than_was_granted() -> None:
    begun = but(at_step(AT_25), facts={"reached": 5})
    assert decide(begun).facts.reached == 25
    assert decide(but(begun, traffic=by("x", 60, 60))).facts.reached == 25


def test_after_the_weight_went_home_for_graduation_it_is_no_abort() -> None:
    o = but(promoting(), traffic=traffic(0, "new", "new"))
    assert decide(o).facts.phase is Phase.PROMOTING
    assert decide(but(o, traffic=traffic(99))).facts.phase is Phase.REVERTING


# -- raised or relabelled: put back ---------------------------------------------------------------------


@pytest.mark.parametrize("o", IN_STAGE)
@pytest.mark.parametrize("weight", [(26, 26), (25, 100)])
def test_a_raised_share_is_put_back_and_told(o: Observed, weight: tuple[int, int]) -> None:
    d = decide(but(o, traffic=by("argocd", *weight)))
    assert (d.facts.phase, d.facts.corrections, d.effects) == (o.facts.phase, 1, (SetTraffic(25),))
    words = (
        f'field manager "argocd" raised the canary\'s share from 25 % to {weight[1]} % {ROUTED};'
        " put back, 1 of 3 times in a release. Tell argocd of the VirtualService"
    )
    assert [(n.reason, n.message) for n in d.notices] == [("Corrected", words)]
    assert d.display.message.endswith(f"; {words}")


@pytest.mark.parametrize("o", IN_STAGE)
@pytest.mark.parametrize("pins", [(None, None), ("old", None), ("new", "new"), ("third", "new")])
def test_relabelled_subsets_are_put_back(o: Observed, pins: tuple[str | None, str | None]) -> None:
    d = decide(but(o, traffic=by("argocd", 25, 25, pins=pins)))
    assert (d.facts.phase, d.facts.corrections, d.effects) == (o.facts.phase, 1, (Pin("old", "new"),))


def test_raised_and_relabelled_at_once_the_weight_is_put_back_first() -> None:
    d = decide(but(at_step(AT_25), traffic=by("x", 80, 80, pins=(None, None))))
    assert d.effects == (SetTraffic(25), Pin("old", "new"))


def test_the_same_change_counts_once_however_often_it_is_seen() -> None:
    o = but(at_step(AT_25), traffic=by("x", 80, 80))
    again = but(o, facts=decide(o).facts)
    assert (decide(again).facts.corrections, decide(again).notices) == (1, ())


def test_the_fourth_change_counts_as_an_abort() -> None:
    o = but(at_step(AT_25), facts={"corrections": 2}, traffic=by("argocd", 80, 80))
    assert decide(o).facts.phase is Phase.PROGRESSING
    d = decide(but(o, facts={"corrections": 3}))
    assert (d.facts.phase, d.effects) == (Phase.REVERTING, (SetTraffic(0),))
    assert d.facts.reason == (
        'field manager "argocd" keeps changing the weights or subsets (4 times; last'
        f" {ROUTED.strip('()')}), which counts as an abort"
    )
    assert [n.reason for n in d.notices] == ["Reverting"]
    assert d.facts.advice == "Tell argocd of the VirtualService"


def test_nothing_is_put_back_onto_a_stable_without_ready_pods() -> None:
    o = but(at_step(AT_25), workload={"stable": {"ready_endpoints": 0}})
    assert decide(but(o, traffic=by("x", 80, 80))).effects == ()
    assert decide(but(o, traffic=by("x", 25, 25, pins=(None, None)))).effects == ()


def test_after_a_relabel_was_put_back_the_stage_settles_anew_before_it_is_left() -> None:
    o = but(at_step(AT_25, "pass"), traffic={"subsets_since": NOW})
    d = decide(o)
    assert (d.facts.stage, d.wake_at) == (AT_25, NOW + seconds(10))


def test_routes_must_agree_and_settle_before_a_stage_is_left() -> None:
    o = at_step(AT_25, "pass")
    assert decide(but(o, traffic={"weights_since": NOW})).facts.stage == AT_25
    assert decide(but(o, traffic={"weights_since": NOW - seconds(3)})).facts.stage == AT_50
    assert decide(but(o, traffic={"canary_weight": (25, 26)})).facts.stage == AT_25


def test_at_rest_weights_are_the_users_own() -> None:
    assert decide(but(healthy(), traffic=traffic(30, None, None))).effects == ()


# -- absent and unread ----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", list(Part))
def test_no_stage_is_left_while_anything_cannot_be_read(part: Part) -> None:
    o = but(at_step(AT_25, "pass"), unread=frozenset({part}))
    d = decide(o)
    assert (d.facts.stage, d.effects, d.wake_at) == (AT_25, (), NOW + seconds(3))
    assert d.display.message == f"cannot read {part} just now: a release does not go on before that"
    assert decide(but(o, workload=None, traffic=None)).facts.stage == AT_25


@pytest.mark.parametrize("part", list(Part))
def test_nothing_is_prepared_while_anything_cannot_be_read(part: Part) -> None:
    begun = but(preparing(), traffic=traffic(0, None, None), workload={"canary": None})
    assert decide(begun).effects == (Pin("old", "new"),)
    assert decide(but(begun, unread=frozenset({part}))).effects == ()


@pytest.mark.parametrize("part", list(Part))
def test_a_rollout_at_rest_does_not_change_for_what_cannot_be_read(part: Part) -> None:
    unread = but(healthy(), unread=frozenset({part}), workload=None, traffic=None)
    d = decide(unread)
    assert (d.facts, d.effects) == (unread.facts, ())


def test_what_cannot_be_read_is_not_taken_for_nothing_when_the_rollout_is_deleted() -> None:
    o = but(healthy(), deleting=True, workload=None, traffic=None, finalizer=True)
    assert not decide(but(o, unread=frozenset({Part.DESTINATION_RULE}))).gone
    assert decide(but(o, absent=frozenset(Part))).gone


def test_a_destination_rule_that_is_gone_is_a_finding_and_no_endless_write() -> None:
    gone = but(
        at_step(AT_25),
        traffic=traffic(25, None, None),
        absent=frozenset({Part.DESTINATION_RULE}),
        findings=(ERROR,),
    )
    d = decide(gone)
    assert (d.facts.phase, d.effects) == (Phase.PAUSED, ())


def test_a_virtual_service_that_is_gone_is_no_abort_but_its_pins_are_taken_back() -> None:
    gone = but(at_step(AT_25), traffic=traffic(0), absent=frozenset({Part.VIRTUAL_SERVICE}))
    assert decide(but(gone, findings=(ERROR,))).facts.phase is Phase.PAUSED
    back = but(gone, facts={"phase": Phase.REVERTING, "reached": 0}, workload={"canary": None})
    assert decide(back).effects == (Pin(None, None),)


def test_a_virtual_service_that_is_made_anew_is_given_the_share_again_and_is_no_abort() -> None:
    away = frozenset({Part.VIRTUAL_SERVICE})
    gone = but(at_step(AT_25), traffic=but(traffic(0), routed=False), absent=away, findings=(ERROR,))
    held = decide(gone)
    assert (held.facts.phase, held.facts.paused_by, held.facts.reached) == (
        Phase.PAUSED,
        PausedBy.FINDING,
        0,
    )
    anew = decide(but(gone, facts=held.facts, traffic=traffic(0), absent=frozenset(), findings=()))
    assert (anew.facts.phase, anew.effects) == (Phase.PROGRESSING, (SetTraffic(25),))


def test_everybody_home_by_hand_is_an_abort_also_while_one_of_several_virtual_services_is_gone() -> None:
    gone = but(at_step(AT_25), absent=frozenset({Part.VIRTUAL_SERVICE}), findings=(ERROR,))
    low = but(gone, facts=decide(gone).facts, traffic=by("kubectl", 0, 0))
    cured = decide(but(low, facts=decide(low).facts, absent=frozenset(), findings=()))
    assert cured.facts.phase is Phase.REVERTING


def test_with_a_finding_no_share_is_raised_but_one_may_fall() -> None:
    begun = but(paused(), findings=(ERROR,), traffic=traffic(5), facts={"reached": 5})
    assert decide(begun).effects == ()
    assert decide(but(begun, traffic=by("x", 80, 80))).effects == (SetTraffic(25),)


def test_an_unusable_spec_starts_no_release() -> None:
    unusable = but(new_template(), policy=None)
    assert decide(unusable).facts.phase is Phase.HEALTHY
    assert decide(new_template()).facts.phase is Phase.PROGRESSING


def test_a_new_template_without_its_gate_is_no_release_of_ours() -> None:
    bypassed = but(new_template(), workload={"paused": False, "held": False})
    assert decide(bypassed).facts.phase is Phase.INITIALIZING
    assert decide(but(bypassed, workload={"synced": False})).facts.phase is Phase.HEALTHY


def test_a_release_begins_with_the_stages_of_that_moment() -> None:
    d = decide(new_template())
    assert (d.facts.canary, d.facts.stage, d.facts.plan) == ("new", -1, new_template().policy.stages)  # type: ignore[union-attr]
    assert (d.facts.started, d.facts.waiting_since, d.facts.since) == (NOW, NOW, None)
    assert [n.reason for n in d.notices] == ["Started"]
    assert at_step(AT_5).facts.plan == d.facts.plan
