"""What a person reads: one sentence for each situation, and the numbers beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.display import display
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Display, Observed
from rollout_controller.core.release import Facts, Outcome, PausedBy, Phase
from rollout_controller.core.verdict import Reading
from rollout_controller.core.world import Part
from tests.builders import (
    AT_5,
    AT_25,
    AT_50,
    AT_BOTH,
    AT_MIRROR,
    AT_PIN,
    AT_PREVIEW,
    ERROR,
    NOW,
    PLAN,
    SINCE,
    at_step,
    blue_green,
    but,
    fed_step,
    handed_over,
    healthy,
    initializing,
    invalid,
    later,
    paused,
    preparing,
    promoting,
    reverted,
    reverting,
    seconds,
    stage,
    traffic,
)


def shown(o: Observed) -> Display:
    return display(o, o.facts)


KEY = "rollout-controller.dev/"
WAY_OUT = f"annotate {KEY}resume=true, …/promote=true or …/abort=true"
PROMOTED = Outcome("old", "Promoted", "", NOW, seconds(600))
NO_CANARY = {"canary": None}
GOOD = "error rate 0.1 % (limit 1 %)"
BAD = "error rate 5 % (limit 1 %)"


@pytest.mark.parametrize(
    ("o", "sentence"),
    [
        (initializing(), "waiting until one version of the Deployment is ready and serves alone"),
        (
            but(initializing(), traffic=traffic(0)),
            "taking back what an earlier release left in the mesh",
        ),
        (
            but(initializing(), facts={"reason": "NativeRoll: somebody"}),
            "NativeRoll: somebody; waiting until the Deployment has come to rest",
        ),
        (invalid(), "DestinationRule shop/web spec.subsets: no subset canary. add it"),
        (healthy(), "stable old serves everybody"),
        (but(healthy(), facts={"history": (PROMOTED,)}), "stable old serves everybody; promoted from canary"),
        (
            but(preparing(), workload=NO_CANARY),
            "preparing the first step: pinning the subsets to stable old and canary new",
        ),
        (
            but(preparing(), workload=NO_CANARY, traffic={"services": True}),
            "preparing the first step: pinning the Services to stable old and canary new",
        ),
        (preparing(), "preparing the first step: 2 of 2 canary pods ready"),
        (
            but(preparing(), workload={"canary": {"ready_endpoints": 1, "trouble": "no node takes the pod"}}),
            "preparing the first step: 1 of 2 canary pods ready: no node takes the pod",
        ),
        (at_step(AT_25, "pass"), f"step 2/4 at 25 %: {GOOD}"),
        (at_step(AT_25), "step 2/4 at 25 %: waiting for the first readings"),
        (
            but(at_step(AT_5), facts={"waiting_since": SINCE}),
            "step 1/4 at 5 %: passed; waiting for canary pods, 3 of 3 ready",
        ),
        (
            but(
                at_step(AT_50),
                facts={"lowered_to": 40, "granted": 5},
                workload={"canary": {"ready_endpoints": 4}},
            ),
            "step 3/4 at 50 %: lowered to 40 % as only 4 of 5 canary pods are ready",
        ),
        (
            but(paused(), facts={"reason": "lunch"}),
            f"step 2/4 at 25 %, paused: lunch; {GOOD}; {WAY_OUT}",
        ),
        (
            paused(PausedBy.APPROVAL, AT_50),
            f"step 3/4 at 50 %, paused: Approval; {GOOD}; annotate {KEY}promote=new/3 or …/abort=true",
        ),
        (
            paused(PausedBy.SPEC),
            f"step 2/4 at 25 %, paused: Spec; {GOOD}; set spec.paused to false to go on",
        ),
        (paused(PausedBy.FINDING), f"step 2/4 at 25 %, paused: Finding; {GOOD}; goes on when cured"),
        (
            paused(PausedBy.INCONCLUSIVE),
            f"step 2/4 at 25 %, paused: Inconclusive; goes on with the first pass; or {WAY_OUT}",
        ),
        (fed_step(AT_MIRROR, "pass"), f"step 2/5 with pinned requests and copies of 20 %: {GOOD}"),
        (fed_step(AT_PIN, "pass"), f"step 1/5 with pinned requests only: {GOOD}"),
        (at_step(0, "pass", (stage(0), *PLAN)), f"step 1/5 at 0 %: {GOOD}"),
        (at_step(0, "pass", (stage(0, mirror=5), *PLAN)), f"step 1/5 at copies of 5 %: {GOOD}"),
        (fed_step(AT_BOTH, "pass"), f"step 3/5 at 25 % and copies of 20 %: {GOOD}"),
        (
            but(
                blue_green(AT_PREVIEW),
                facts={"phase": Phase.PAUSED, "paused_by": PausedBy.APPROVAL, "reason": "approval"},
            ),
            "step 1/2 with pinned requests and copies of 10 %, paused: approval;"
            f" waiting for the first readings; annotate {KEY}promote=new/1 or …/abort=true",
        ),
        (promoting(), "at 100 %: handing new over to the Deployment"),
        (
            but(promoting(), workload={"replicas": 12}),
            "at 100 %; waiting for canary pods before the hand-over, 10 of 12 ready",
        ),
        (
            but(promoting(), busy={"old": True}),
            "at 100 %; pods of old are still sent requests, the hand-over waits for their end",
        ),
        (handed_over(), "handed over to the Deployment; 3 old pods are ending"),
        (
            but(handed_over(), workload={"stable": {"existing": 0}}),
            "handed over to the Deployment; taking the pins off",
        ),
        (but(reverting(), traffic=traffic(25)), f"sending everybody back to stable old: {BAD}"),
        (
            but(reverting(), traffic={"pinned_routes": "ours"}),
            f"sending everybody back to stable old: {BAD}",
        ),
        (
            but(reverting(), traffic={"mirror": (0, 10)}, workload={"stable": None}),
            f"stable old has no ready pod to go back to, so the canary keeps its share: {BAD}",
        ),
        (reverting(), f"everybody is back on stable old, the canary is being drained: {BAD}"),
        (
            but(reverting(), traffic=traffic(25), workload={"stable": None}),
            f"stable old has no ready pod to go back to, so the canary keeps its share: {BAD}",
        ),
        (
            reverted(),
            f"canary new was taken back: {BAD}; stable old serves everybody. "
            f"Change the template, or annotate {KEY}retry=true",
        ),
    ],
)
def test_each_situation_has_its_sentence(o: Observed, sentence: str) -> None:
    assert shown(o).message == sentence


def test_a_warning_is_read_with_whatever_else_there_is_to_say() -> None:
    warning = replace(ERROR, severity="warning")
    message = "stable old serves everybody (DestinationRule shop/web spec.subsets: no subset canary. add it)"
    assert shown(but(healthy(), findings=(warning,))).message == message


def test_of_several_warnings_the_first_is_in_the_sentence_and_of_a_long_one_not_the_cure() -> None:
    first = replace(ERROR, severity="warning")
    second, third = replace(first, code="Second"), replace(first, path="spec.subsets[1]")
    words = "DestinationRule shop/web spec.subsets: no subset canary"
    several = shown(but(healthy(), findings=(first, second, third)))
    assert several.message == f"stable old serves everybody ({words}. add it; 2 more warnings)"
    assert several.findings == (first, second, third)
    long = replace(first, fix="do it " * 40)
    assert shown(but(healthy(), findings=(long,))).message == f"stable old serves everybody ({words})"
    two = shown(but(healthy(), findings=(long, second))).message
    assert two == f"stable old serves everybody ({words}; 1 more warning)"


def test_what_cannot_be_read_is_named() -> None:
    unread = frozenset({Part.VIRTUAL_SERVICE, Part.PODS})
    assert shown(but(healthy(), unread=unread)).message.startswith(
        "cannot read Pods, VirtualService just now"
    )


@pytest.mark.parametrize(
    ("o", "step", "weight"),
    [
        (healthy(), "", 0),
        (preparing(), "0/4", 0),
        (at_step(AT_25), "2/4", 25),
        (but(at_step(AT_25), traffic=traffic(5)), "2/4", 5),
        (but(at_step(AT_25), traffic={"canary_weight": (5, 25)}), "2/4", 5),
        (but(promoting(), traffic=traffic(0, "new", "new")), "4/4", 100),
        (reverted(), "", 0),
    ],
)
def test_the_weight_is_read_back_and_the_step_is_the_plans(o: Observed, step: str, weight: int) -> None:
    assert (shown(o).step, shown(o).weight) == (step, weight)


def test_readings_and_verdict_are_those_of_this_canary_while_it_is_released() -> None:
    reading = Reading("errorRate", 0.001, 0.01)
    o = but(at_step(AT_25, "pass"), verdict={"readings": (reading,)})
    assert (shown(o).verdict, shown(o).sentence, shown(o).readings) == ("pass", GOOD, (reading,))
    other = but(o, facts={"canary": "third"})
    assert (shown(other).verdict, shown(other).sentence, shown(other).readings) == (None, "", ())
    over = display(o, Facts(reverted().facts.phase, "old", "new"))
    assert (over.verdict, over.readings) == (None, ())


def test_findings_image_and_generation_are_shown_as_they_are() -> None:
    o = but(healthy(), findings=(ERROR,), generation=7)
    assert (shown(o).findings, shown(o).image, shown(o).observed_generation) == ((ERROR,), "web:1", 7)


def test_a_version_that_was_handed_over_has_everybody_when_the_subsets_are_unpinned() -> None:
    o = but(handed_over(), workload={"stable": None}, traffic=traffic(0, None, None))
    assert shown(o).weight == 100
    assert shown(but(preparing(), traffic=traffic(0, None, None))).weight == 0


def test_a_decision_shows_the_state_that_it_leads_to() -> None:
    d = decide(at_step(AT_25, "fail"))
    assert d.display.message == f"sending everybody back to stable old: {BAD}"
    assert d.display.verdict is None


def test_nothing_that_is_shown_moves_with_the_clock() -> None:
    for o in (at_step(AT_25), reverting(), handed_over(), paused()):
        assert display(later(o, seconds(1)), o.facts) == shown(o)


ADVICE = "Let its Application ignore ours (see docs/traffic.md)"
OWNED = Finding("OwnedByGitOps", "warning", "VirtualService shop/web", "spec.http", "owned", f"{ADVICE}.")


@pytest.mark.parametrize("o", [reverting(), reverted()])
def test_what_keeps_a_tool_from_doing_it_again_is_said_once(o: Observed) -> None:
    other = replace(OWNED, object="VirtualService shop/other", fix="another cure")
    told = but(o, facts={"advice": ADVICE}, findings=(OWNED, other))
    message = shown(told).message
    assert message.count(ADVICE) == 1
    assert "VirtualService shop/web" not in message
    assert message.endswith("(VirtualService shop/other spec.http: owned. another cure)")
    assert f"({OWNED}; 1 more warning)" in shown(but(told, facts={"advice": ""})).message
