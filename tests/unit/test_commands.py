"""Which command counts: precedence, claims, and promotes that are bound to a step."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rollout_controller.core.commands import (
    CLAIM,
    PREFIX,
    VERBS,
    annotate,
    bound_to,
    parse,
    strangers,
    waiting,
)
from rollout_controller.core.release import Command, Facts, Outcome, Phase
from tests.builders import (
    AT_25,
    NOW,
    at_step,
    but,
    handed_over,
    healthy,
    paused,
    preparing,
    reverted,
    seconds,
)

IN_STEP_2 = at_step(AT_25).facts
NEXT = "6f7b9d4c58"
"""A revision that nobody knows yet."""


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


@pytest.mark.parametrize(
    ("facts", "verbs", "first"),
    [
        (reverted().facts, ("retry", "promote", "resume"), "retry"),
        (paused().facts, ("retry", "resume"), "resume"),
        (paused().facts, ("retry", "promote", "resume"), "promote"),
        (IN_STEP_2, ("retry", "promote"), "promote"),
        (IN_STEP_2, ("retry", "resume"), "retry"),  # neither has a meaning
        (reverted().facts, ("pause", "retry"), "pause"),
    ],
)
def test_a_retry_that_has_no_meaning_stands_in_nobodys_way(
    facts: Facts, verbs: tuple[str, ...], first: str
) -> None:
    asked = given(facts, **dict.fromkeys(verbs, "true"))
    assert asked is not None
    assert (asked.verb, {asked.verb, *asked.ignored}) == (first, set(verbs))


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
        ("new/0", IN_STEP_2, "never"),
        ("new/x", IN_STEP_2, "never"),
        ("new/-1", IN_STEP_2, "never"),
        ("new/" + 5000 * "9", IN_STEP_2, "never"),
        ("old/2", IN_STEP_2, "past"),
        (f"{NEXT}/2", IN_STEP_2, "future"),
        (f"{NEXT}/x", IN_STEP_2, "never"),
        (NEXT, IN_STEP_2, "future"),
        (NEXT, healthy().facts, "future"),
        ("qvxz24", healthy().facts, "future"),
        ("qvxz2", healthy().facts, "never"),  # no pod-template-hash is as short
        (NEXT + "4", healthy().facts, "never"),
        ("True", IN_STEP_2, "now"),
        ("FULL", healthy().facts, "now"),
        ("yes", IN_STEP_2, "never"),
        ("yes", healthy().facts, "never"),
        ("foo/2", healthy().facts, "never"),
        ("wrong/1", reverted().facts, "never"),
        ("new", preparing().facts, "future"),
        ("new/1", preparing().facts, "future"),
        (f"{NEXT}/1", healthy().facts, "future"),
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


@pytest.mark.parametrize(("value", "meant"), [("TRUE", "true"), ("Full", "full"), (" true ", "true")])
def test_a_promote_is_understood_however_it_is_written(value: str, meant: str) -> None:
    asked = given(promote=value)
    assert asked is not None
    assert (asked.value, asked.token) == (meant, f"promote={value}@7")
    assert given(claim=asked.token) == but(asked, claimed=True)


@pytest.mark.parametrize("facts", [IN_STEP_2, healthy().facts, reverted().facts, Facts()])
def test_a_promote_that_never_makes_sense_does_not_wait(facts: Facts) -> None:
    asked = given(facts, promote="yes")
    assert asked is not None
    assert asked.verb == "promote"
    assert waiting({PREFIX + "promote": "yes"}, facts) == ""


@pytest.mark.parametrize(
    ("value", "facts", "words"),
    [
        (NEXT, healthy().facts, f"promote={NEXT} waits until {NEXT} is released"),
        (f"{NEXT}/2", IN_STEP_2, f"promote={NEXT}/2 waits until {NEXT} is released"),
        ("new/3", IN_STEP_2, "promote=new/3 waits for step 3"),
        ("new/1", preparing().facts, "promote=new/1 waits for step 1"),
        ("new", preparing().facts, "promote=new waits for step 1"),
        ("new/2", IN_STEP_2, ""),
        ("old/2", IN_STEP_2, ""),
    ],
)
def test_it_is_told_what_a_promote_waits_for(value: str, facts: Facts, words: str) -> None:
    assert waiting({PREFIX + "promote": value}, facts) == words


def test_nothing_is_told_of_a_promote_that_nobody_gave() -> None:
    assert waiting({}, IN_STEP_2) == ""


@pytest.mark.parametrize("name", [*VERBS, "command", "rollout", "held-by"])
def test_annotations_of_ours_are_no_strangers(name: str) -> None:
    assert strangers("Rollout shop/web", {PREFIX + name: "true"}) == ()


def test_annotations_of_others_are_not_looked_at() -> None:
    assert strangers("Rollout shop/web", {"other.example/promot": "true", "rollout": "x"}) == ()


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("promot", f"Did you mean {PREFIX}promote? Else remove it."),
        ("Abort", f"Did you mean {PREFIX}abort? Else remove it."),
        ("weight", f"Remove it; commands are {PREFIX}abort, pause, retry, promote and resume."),
    ],
)
def test_an_annotation_with_our_prefix_that_is_no_command_is_a_warning(name: str, fix: str) -> None:
    (found,) = strangers("Rollout shop/web", {PREFIX + name: "true"})
    where = ("UnknownCommand", "Rollout shop/web", f"metadata.annotations[{PREFIX}{name}]")
    assert (found.key, found.severity, found.fix) == (where, "warning", fix)
    assert found.sentence == "there is no such command, and nothing is done"


def test_the_first_annotation_is_named_in_full_so_that_it_can_be_copied() -> None:
    assert annotate("retry=true") == "annotate rollout-controller.dev/retry=true"
    assert (
        annotate("resume=true", "promote=true", "abort=true")
        == "annotate rollout-controller.dev/resume=true, …/promote=true or …/abort=true"
    )
