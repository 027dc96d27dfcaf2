"""The facts through a status and back: nothing is lost on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout_controller.controller.status import facts_of, status_of, worth_writing
from rollout_controller.core.display import display
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Facts, HeaderMatch
from tests.builders import (
    AT_BOTH,
    AT_LIVE,
    AT_MIRROR,
    AT_PIN,
    AT_PREVIEW,
    NOW,
    PIN,
    at_step,
    blue_green,
    but,
    fed_step,
    paused,
    promoting,
)
from tests.property.worlds import near

SEVERAL = (PIN, (HeaderMatch("x-region", "prefix", "eu-"), HeaderMatch("cookie", "regex", ".*b=(1|2).*")))


def read_back(o: Observed, facts: Facts) -> Facts:
    return facts_of(status_of(facts, display(o, facts), {}, o.now, 3))


@pytest.mark.parametrize(
    "o",
    [
        fed_step(AT_PIN),
        fed_step(AT_MIRROR, "fail"),
        fed_step(AT_BOTH, "pass"),
        but(fed_step(AT_BOTH), facts={"fed": False, "header_pins": SEVERAL, "lowered_to": 0}),
        blue_green(AT_PREVIEW),
        blue_green(AT_LIVE, "inconclusive"),
        paused(),
        promoting(),
    ],
)
def test_every_fact_of_a_release_survives_its_status(o: Observed) -> None:
    assert read_back(o, o.facts) == o.facts


@settings(max_examples=200, deadline=None)
@given(near(), st.sampled_from([(), (PIN,), SEVERAL]), st.booleans())
def test_whatever_a_release_remembers_survives_its_status(o: Observed, pins: tuple[()], fed: bool) -> None:
    facts = replace(o.facts, header_pins=pins, fed=fed)
    if facts.canary is None:
        facts = Facts(facts.phase, facts.stable, token=facts.token, history=facts.history)
    if facts.gate is None:
        facts = replace(facts, gate_since=None, failures=0)
    assert read_back(o, facts) == facts


def test_the_first_readings_of_a_stage_are_written_at_once() -> None:
    o = at_step(1, "inconclusive")
    waiting = status_of(o.facts, display(but(o, verdict=None), o.facts), {}, NOW, 3)
    assert worth_writing(waiting, status_of(o.facts, display(o, o.facts), waiting, NOW, 3)) == "now"


def test_the_sentence_of_a_pass_is_written_later_and_a_failing_reading_at_once() -> None:
    o = at_step(1, "pass")
    unclear = but(o.facts, gate="inconclusive")
    early = but(o, verdict={"result": "inconclusive", "sentence": "7 requests; 13 more needed"})
    waiting = status_of(unclear, display(early, unclear), {}, NOW, 3)
    passed = status_of(unclear, display(o, unclear), waiting, NOW, 3)
    assert passed["verdict"]["result"] == "inconclusive", "it is not noted yet"
    assert worth_writing(waiting, passed) == "later"
    failing = but(unclear, failures=1)
    assert worth_writing(waiting, status_of(failing, display(o, failing), waiting, NOW, 3)) == "now"


def test_a_step_whose_pins_were_read_back_is_written_at_once() -> None:
    o = fed_step(AT_PIN)
    unread = but(o, facts={"fed": False}).facts
    before, after = (status_of(f, display(o, f), {}, NOW, 3) for f in (unread, o.facts))
    assert worth_writing(before, after) == "now"


def test_a_status_of_before_there_were_pins_is_read_as_one_without() -> None:
    o = at_step(0)
    status = status_of(o.facts, display(o, o.facts), {}, NOW, 3)
    del status["stage"]["fed"]
    assert facts_of(status) == replace(o.facts, fed=False)
    assert "pins" not in status
