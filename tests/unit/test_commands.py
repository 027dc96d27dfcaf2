"""Which command counts: precedence, claims, and promotes that are bound to a step."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rollout_controller.core.commands import CLAIM, PREFIX, bound_to, parse
from rollout_controller.core.model import Command, Facts, Outcome, Phase
from tests.builders import AT_25, NOW, at_step, but, handed_over, healthy, preparing, reverted, seconds

IN_STEP_2 = at_step(AT_25).facts


def given(facts: Facts = IN_STEP_2, claim: str = "", **verbs: str) -> Command | None:
    annotations: Mapping[str, str] = {PREFIX + verb: value for verb, value in verbs.items()}
    return parse({**annotations, CLAIM: claim} if claim else annotations, "7", facts)


def test_without_annotation_there_is_no_command() -> None:
    assert parse({"other.example/abort": "true"}, "7", IN_STEP_2) is None


def test_the_token_names_verb_value_and_the_version_that_bore_it() -> None:
    asked = Command("pause", "lunch=now@noon", "pause=lunch=now@noon@7", claimed=False)
    assert given(pause="lunch=now@noon") == asked


def test_a_claim_reads_back_as_the_same_command() -> None:
    asked = given(pause="lunch=now@noon")
    assert asked is not None
    assert given(claim=asked.token) == but(asked, claimed=True)


def test_of_several_the_first_in_order_counts_and_the_others_are_named() -> None:
    asked = given(resume="true", promote="true", retry="true", pause="wait", abort="bad")
    assert asked is not None
    assert (asked.verb, asked.value) == ("abort", "bad")
    assert asked.ignored == ("pause", "retry", "promote", "resume")


def test_a_claim_is_finished_before_anything_else_is_looked_at() -> None:
    asked = given(claim="promote=true@3", pause="wait")
    assert asked == Command("promote", "true", "promote=true@3", claimed=True)


def test_an_abort_does_not_wait_for_another_claim_and_names_it() -> None:
    asked = given(claim="promote=true@3", abort="bad", resume="true")
    assert asked == Command("abort", "bad", "abort=bad@7", claimed=False, ignored=("resume", "promote"))


def test_an_abort_displaces_nothing_that_is_done() -> None:
    done = but(IN_STEP_2, token="promote=true@3")
    assert given(done, claim="promote=true@3", abort="bad") == Command("abort", "bad", "abort=bad@7", False)


def test_a_second_abort_waits_for_the_first() -> None:
    assert given(claim="abort=first@3", abort="second") == Command("abort", "first", "abort=first@3", True)


@pytest.mark.parametrize("claim", ["", "nonsense", "jump=3@7", "@7", "abort"])
def test_a_claim_that_is_none_of_ours_is_overlooked(claim: str) -> None:
    assert given(claim=claim) is None
    asked = given(claim=claim, pause="wait")
    assert asked is not None
    assert asked.verb == "pause"


def test_a_promote_for_a_coming_step_waits_and_does_not_block_others() -> None:
    assert given(promote="new/3") is None
    asked = given(promote="new/3", pause="wait")
    assert asked is not None
    assert (asked.verb, asked.ignored) == ("pause", ())


@pytest.mark.parametrize(
    ("value", "facts", "when"),
    [
        ("", IN_STEP_2, "now"),
        ("true", IN_STEP_2, "now"),
        ("full", IN_STEP_2, "now"),
        ("new", IN_STEP_2, "now"),
        ("new/1", IN_STEP_2, "past"),
        ("new/2", IN_STEP_2, "now"),
        ("new/3", IN_STEP_2, "future"),
        ("new/4", IN_STEP_2, "future"),
        ("new/5", IN_STEP_2, "past"),  # the plan has 4 steps
        ("new/0", IN_STEP_2, "past"),
        ("new/x", IN_STEP_2, "past"),
        ("later/x", IN_STEP_2, "past"),
        ("new/-1", IN_STEP_2, "past"),
        ("old/2", IN_STEP_2, "past"),
        ("later/2", IN_STEP_2, "future"),
        ("new", preparing().facts, "future"),
        ("new/1", preparing().facts, "future"),
        ("new/1", healthy().facts, "future"),
        ("old", healthy().facts, "past"),
        ("new/2", reverted().facts, "past"),
        ("new/4", handed_over().facts, "now"),
    ],
)
def test_a_promote_belongs_to_a_step(value: str, facts: Facts, when: str) -> None:
    assert bound_to(value, facts) == when


def test_a_promote_for_a_revision_that_is_over_is_past() -> None:
    over = Outcome("before", "Reverted", "bad", NOW, seconds(60))
    assert bound_to("before/2", Facts(phase=Phase.HEALTHY, stable="old", history=(over,))) == "past"
