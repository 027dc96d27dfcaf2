"""The canary's subset goes in the middle of a release: whoever is sent there gets no answer."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import HandOver, Pin, Scale, SetTraffic
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Observed
from rollout_controller.core.release import PausedBy, Phase
from rollout_controller.core.world import Part
from tests.builders import (
    AT_25,
    AT_50,
    at_step,
    but,
    command,
    of_kind,
    paused,
    preparing,
    promoting,
    reverting,
    seconds,
)

RULE = Part.DESTINATION_RULE
MISSING = Finding(
    "MissingSubset",
    "error",
    "DestinationRule shop/web",
    "spec.subsets",
    'there is no subset named "canary"',
    "Add it.",
)


def without_subset(o: Observed, **traffic: Any) -> Observed:
    """As if somebody had renamed the canary's subset."""
    stable = o.traffic.subsets[0] if o.traffic is not None else None
    seen = {"subsets": (stable, None), "lacks": (False, True), "version": "9", **traffic}
    return but(o, findings=(MISSING,), traffic=seen)


@pytest.mark.parametrize("o", [at_step(AT_25), at_step(AT_50), paused(), paused(PausedBy.FINDING)])
def test_a_canary_whose_subset_is_gone_is_taken_back_at_once_and_the_reason_says_why(o: Observed) -> None:
    d = decide(without_subset(o))
    assert d.facts.phase is Phase.REVERTING
    assert of_kind(d.effects, SetTraffic, Pin) == (SetTraffic(0),)
    words = "nobody answers requests for the canary, as its subset does not exist any more: "
    assert d.facts.reason.startswith(words)
    assert str(MISSING).removesuffix(".") in d.facts.reason
    assert [n.reason for n in d.notices] == ["Reverting"], "nothing was relabelled, and nothing is put back"
    assert d.facts.corrections == 0


def test_what_is_shown_is_the_weight_that_the_routes_say() -> None:
    d = decide(without_subset(at_step(AT_25)))
    assert d.display.weight == 25


def test_a_subset_that_is_gone_while_it_is_sent_nothing_holds_the_release() -> None:
    d = decide(without_subset(preparing()))
    assert (d.facts.phase, d.facts.paused_by) == (Phase.PAUSED, PausedBy.FINDING)
    assert of_kind(d.effects, SetTraffic, Pin) == ()


def test_where_stables_subset_is_gone_too_no_weight_helps_and_the_release_is_held() -> None:
    d = decide(without_subset(at_step(AT_25), subsets=(None, None), lacks=(True, True)))
    assert (d.facts.phase, d.facts.paused_by) == (Phase.PAUSED, PausedBy.FINDING)
    assert of_kind(d.effects, SetTraffic, Pin) == ()


def test_the_way_back_does_not_wait_for_a_subset_that_cannot_be_pinned() -> None:
    home = without_subset(reverting(), canary_weight=(0, 0))
    assert of_kind(decide(home).effects, Pin) == ()
    drained = but(home, now=home.now + seconds(600), busy={"new": False})
    assert of_kind(decide(drained).effects, Pin, Scale) == (Scale("web-new", 0),)


def test_a_promotion_does_not_wait_for_a_subset_that_cannot_be_pinned() -> None:
    o = promoting()
    canary = o.facts.canary
    d = decide(without_subset(o, subsets=(canary, None), canary_weight=(0, 0)))
    assert d.facts.phase is Phase.PROMOTING
    assert Pin(canary, canary) not in d.effects


def test_a_message_has_no_full_stop_before_what_follows() -> None:
    held = but(paused(PausedBy.FINDING), findings=(MISSING,), facts={"reason": str(MISSING)})
    assert ".;" not in decide(held).display.message


@pytest.mark.parametrize("o", [at_step(AT_25), promoting()])
def test_a_rule_that_is_deleted_is_no_relabelling_and_nothing_is_handed_over(
    o: Observed,
) -> None:
    gone = but(without_subset(o, subsets=(None, None), lacks=(True, True)), absent=frozenset({RULE}))
    d = decide(gone)
    assert (d.facts.corrections, d.facts.interference) == (0, "")
    assert d.facts.phase is (Phase.PROMOTING if o.facts.phase is Phase.PROMOTING else Phase.PAUSED)
    assert of_kind(d.effects, Pin, SetTraffic, HandOver) == ()
    assert d.display.weight == o.facts.reached


@pytest.mark.parametrize(
    "o", [promoting(), at_step(AT_25, "fail"), but(at_step(AT_25), command=command("abort")), reverting()]
)
def test_nobody_is_sent_to_a_stable_subset_that_does_not_exist_while_the_canary_answers(o: Observed) -> None:
    weight = o.traffic.canary_weight if o.facts.phase is not Phase.REVERTING and o.traffic else (25, 25)
    gone = but(
        o, findings=(MISSING,), traffic={"subsets": (None, "new"), "lacks": (True, False), "version": "9"}
    )
    d = decide(but(gone, traffic={"canary_weight": weight}))
    assert of_kind(d.effects, SetTraffic, Scale) == ()
    if d.facts.phase is Phase.REVERTING:
        assert "the subset of stable old does not exist, so the canary keeps its share" in d.display.message


def test_a_way_back_that_no_status_tells_of_is_not_called_somebody_elses() -> None:
    d = decide(without_subset(at_step(AT_25), canary_weight=(0, 0), changed_by=None))
    assert d.facts.phase is Phase.REVERTING
    assert d.facts.reason.startswith("nobody answers requests for the canary")


def test_a_service_that_is_gone_is_called_one() -> None:
    d = decide(without_subset(at_step(AT_25), services=True))
    assert d.facts.reason.startswith("nobody answers requests for the canary, as its Service does not exist")


def test_of_several_errors_the_reason_names_that_of_the_subset() -> None:
    other = Finding(
        "RecreateStrategy", "error", "Deployment shop/web", "spec.strategy", "it stops all", "Cure."
    )
    o = without_subset(at_step(AT_25))
    assert "no subset named" in decide(but(o, findings=(other, MISSING))).facts.reason


def test_without_the_rule_routes_that_are_not_known_as_ours_are_no_abort() -> None:
    seen = {"subsets": (None, None), "canary_weight": (0, 0), "version": "9"}
    o = but(at_step(AT_25), findings=(MISSING,), absent=frozenset({RULE}), traffic=seen)
    assert (decide(o).facts.phase, decide(o).facts.paused_by) == (Phase.PAUSED, PausedBy.FINDING)


def test_a_canary_without_subset_keeps_its_pods_while_routes_still_lead_to_it() -> None:
    o = without_subset(reverting(), canary_weight=(25, 25))
    stuck = but(o, now=o.now + seconds(600), busy={"new": False}, workload={"stable": {"ready_endpoints": 0}})
    assert Scale("web-new", 0) not in decide(stuck).effects


def test_until_the_weight_is_written_nobody_is_called_back() -> None:
    d = decide(without_subset(reverting(), canary_weight=(25, 25)))
    assert d.display.message.startswith("sending everybody back to stable old")
