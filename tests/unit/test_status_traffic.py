"""The condition TrafficVerified: what is known in each phase, and since when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rollout_controller.controller.status import facts_of, status_of, worth_writing
from rollout_controller.core.decide import decide
from rollout_controller.core.model import Observed
from rollout_controller.core.verdict import Verification
from rollout_controller.ports import Json
from tests.builders import (
    AT_25,
    NOW,
    at_step,
    but,
    healthy,
    invalid,
    new_template,
    paused,
    preparing,
    reverted,
    reverting,
    verdict,
)

RIGHT = Verification("True", "AsRouted", "the canary got 25 % of 1000 requests; the routes give it 25 %")
NONE = Verification("False", "NoRequests", "no request reached the canary")


def judged(o: Observed, traffic: Verification, result: Any = "pass") -> Observed:
    return but(o, verdict=but(verdict(result, AT_25), traffic=traffic))


def condition(o: Observed, before: Json | None = None) -> Json:
    """The condition in the status that a pass over this world writes."""
    d = decide(o)
    status = status_of(d.facts, d.display, before or {}, o.now, 1)
    (found,) = [one for one in status["conditions"] if one["type"] == "TrafficVerified"]
    return dict(found)


def brief(found: Json) -> tuple[str, str]:
    return found["status"], found["reason"]


@pytest.mark.parametrize("o", [at_step(AT_25), paused()])
@pytest.mark.parametrize("traffic", [RIGHT, NONE, Verification()])
def test_while_a_release_runs_it_is_what_the_evaluator_found(o: Observed, traffic: Verification) -> None:
    found = condition(judged(o, traffic))
    assert (found["status"], found["reason"], found["message"]) == (
        traffic.status,
        traffic.reason,
        traffic.sentence,
    )


@pytest.mark.parametrize("o", [preparing(), at_step(AT_25), new_template()])
def test_a_release_without_a_verdict_is_not_verified_yet(o: Observed) -> None:
    assert brief(condition(o)) == ("Unknown", "NotYet")


@pytest.mark.parametrize("o", [healthy(), invalid()])
def test_without_a_release_there_is_nothing_to_verify(o: Observed) -> None:
    assert brief(condition(o)) == ("Unknown", "NoRelease")


def test_the_pass_that_reverts_tells_why_and_it_stays_until_the_next_release() -> None:
    failing = judged(at_step(AT_25), NONE, "fail")
    d = decide(failing)
    status = status_of(d.facts, d.display, {}, NOW, 1)
    assert d.facts.phase == "Reverting"
    assert brief(condition(failing)) == ("False", "NoRequests")
    assert brief(condition(but(reverting(), verdict=None), status)) == ("False", "NoRequests")
    assert brief(condition(reverted(), status)) == ("False", "NoRequests")
    assert condition(reverted(), status)["message"] == NONE.sentence
    assert brief(condition(preparing(), status)) == ("Unknown", "NotYet")


def test_what_was_found_in_a_stage_stays_until_the_next_one_is_counted() -> None:
    o = judged(at_step(AT_25), RIGHT)
    status = status_of(o.facts, decide(o).display, {}, NOW, 1)
    begun = judged(at_step(AT_25), Verification())
    assert condition(begun, status)["message"] == RIGHT.sentence
    assert brief(condition(judged(begun, NONE), status)) == ("False", "NoRequests")
    assert brief(condition(preparing(), status)) == ("Unknown", "NotYet"), "this is another release"


def test_a_verdict_on_another_canary_says_nothing() -> None:
    other = but(judged(at_step(AT_25), NONE), verdict={"key": {"canary": "newer"}})
    assert brief(condition(other)) == ("Unknown", "NotYet")


def test_verified_traffic_is_told_with_the_next_write() -> None:
    o = judged(at_step(AT_25), RIGHT)
    unknown = judged(at_step(AT_25), Verification("Unknown", "NotKnown", "too few requests to tell"))
    before = status_of(o.facts, decide(unknown).display, {}, NOW, 1)
    assert worth_writing(before, status_of(o.facts, decide(o).display, before, NOW, 1)) == "later"


def test_numbers_in_its_message_wait_and_a_change_of_status_does_not() -> None:
    def written(traffic: Verification, before: Json | None = None, later: int = 0) -> Json:
        o = judged(at_step(AT_25), traffic)
        d = decide(o)
        return status_of(d.facts, d.display, before or {}, NOW + timedelta(seconds=later), 1)

    first = written(RIGHT)
    more = Verification("True", "AsRouted", RIGHT.sentence.replace("1000", "1700"))
    assert worth_writing(first, written(RIGHT, first, 60)) == "no"
    assert worth_writing(first, written(more, first, 60)) == "later"
    assert worth_writing(first, written(NONE, first, 60)) == "now"
    conditions = {one["type"]: one for one in written(more, first, 60)["conditions"]}
    assert conditions["TrafficVerified"]["lastTransitionTime"] == "2030-01-01T12:00:00Z"


def test_that_requests_strayed_is_remembered() -> None:
    o = but(reverting(), facts={"strayed": True})
    d = decide(o)
    assert facts_of(status_of(d.facts, d.display, {}, NOW, 1)).strayed
