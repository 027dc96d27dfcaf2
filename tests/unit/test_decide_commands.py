"""Commands are claimed, done, dropped: exactly once each, and never silently."""

from __future__ import annotations

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import Claim, Drop, SetTraffic
from rollout_controller.core.model import Observed
from rollout_controller.core.release import PausedBy, Phase
from tests.builders import (
    AT_5,
    AT_25,
    AT_50,
    AT_100,
    ERROR,
    at_step,
    but,
    command,
    handed_over,
    healthy,
    of_kind,
    paused,
    preparing,
    promoting,
    reverted,
    reverting,
    seconds,
    verdict,
)


def refusals(o: Observed) -> list[str]:
    return [n.message for n in decide(o).notices if n.reason == "CommandRefused"]


def test_a_command_is_claimed_before_it_is_carried_out() -> None:
    asked = command("pause", claimed=False)
    d = decide(but(at_step(AT_25), command=asked))
    assert d.effects == (Claim(asked),)
    assert d.facts == at_step(AT_25).facts


def test_a_claimed_command_is_carried_out_remembered_and_dropped() -> None:
    asked = command("pause", "lunch")
    d = decide(but(at_step(AT_25), command=asked))
    assert (d.facts.phase, d.facts.paused_by, d.facts.reason) == (Phase.PAUSED, PausedBy.COMMAND, "lunch")
    assert d.facts.token == asked.token
    assert Drop(asked.token) in d.effects


def test_a_command_that_was_carried_out_is_only_dropped() -> None:
    done = but(at_step(AT_25), command=command("pause"), facts={"token": command("pause").token})
    d = decide(done)
    assert (d.facts, d.effects) == (done.facts, (Drop("pause=true@7"),))


def test_a_command_that_is_not_the_one_carried_out_is_not_dropped() -> None:
    busy = but(at_step(AT_25), command=command("pause"), deleting=True)
    assert of_kind(decide(busy).effects, Drop) == ()


@pytest.mark.parametrize("claimed", [True, False])
def test_an_abort_acts_in_the_pass_that_sees_it_in_either_form(claimed: bool) -> None:
    asked = command("abort", "too slow", claimed=claimed)
    d = decide(but(at_step(AT_25), command=asked))
    assert d.facts.phase is Phase.REVERTING
    assert d.facts.reason == "aborted by command: too slow"
    assert d.facts.token == asked.token
    assert d.effects == (Drop(asked.token) if claimed else Claim(asked), SetTraffic(0))


def test_verbs_that_came_with_a_more_important_one_are_told() -> None:
    asked = but(command("pause", claimed=False), ignored=("promote", "resume"))
    assert refusals(but(at_step(AT_25), command=asked)) == ["promote, resume dropped: pause came with it"]


@pytest.mark.parametrize("o", [at_step(AT_25), healthy(), promoting()])
def test_of_several_that_make_no_sense_each_is_refused_with_the_reason(o: Observed) -> None:
    asked = but(command("retry", claimed=False), ignored=("resume",))
    words = f"is dropped: it has no meaning while the Rollout is {o.facts.phase.value}"
    assert refusals(but(o, command=asked)) == [f"resume {words}"]
    assert refusals(but(o, command=command("retry"))) == [f"retry {words}"]


def test_what_came_with_a_refused_command_and_would_have_made_sense_is_told_of_as_such() -> None:
    asked = but(command("pause", claimed=False), ignored=("retry", "resume"))
    assert refusals(but(paused(), command=asked)) == [
        "retry is dropped: it has no meaning while the Rollout is Paused",
        "resume dropped: pause came with it",
    ]


@pytest.mark.parametrize(
    ("o", "verb", "value", "words"),
    [
        (healthy(), "abort", "", "abort is dropped: it has no meaning while the Rollout is Healthy"),
        (reverted(), "abort", "", "abort is dropped: it has no meaning while the Rollout is Reverted"),
        (handed_over(), "abort", "", "go back with kubectl rollout undo"),
        (paused(), "pause", "", "the Rollout is Paused already"),
        (promoting(), "pause", "", "it cannot hold while Promoting"),
        (
            paused(PausedBy.APPROVAL, AT_50),
            "resume",
            "",
            "this step waits for an approval: annotate rollout-controller.dev/promote=new/3",
        ),
        (paused(PausedBy.SPEC), "resume", "", "spec.paused holds it: set it to false"),
        (paused(PausedBy.FINDING), "resume", "", "a finding holds it: cure it and it goes on by itself"),
        (preparing(), "promote", "true", "no step has begun yet; use full to go straight to 100 %"),
        (at_step(AT_25), "promote", "new/1", "new/1 is not the present step of this release"),
        (at_step(AT_25), "promote", "new/4", "new/4 is not the present step of this release"),
        (at_step(AT_25), "promote", "old/2", "old/2 is not the present step of this release"),
        (at_step(AT_25), "promote", "gone/2", "gone/2 is none of true, full and <canary>/<step>, as new/2"),
        (at_step(AT_25), "promote", 500 * "9", f"{57 * '9'}... is none of true"),
        (at_step(AT_25), "promote", "yes", "yes is none of true, full and <canary>/<step>, as new/2"),
        (preparing(), "promote", "new/x", "new/x is none of true, full and <canary>/<step>, as new/1"),
        (healthy(), "promote", "yes", "yes is none of true, full and <canary>/<step>"),
        (reverted(), "promote", "wrong/1", "wrong/1 is none of true, full and <canary>/<step>"),
        (healthy(), "promote", "full", "it has no meaning while the Rollout is Healthy"),
        (at_step(AT_25), "retry", "", "it has no meaning while the Rollout is Progressing"),
        (but(reverted(), absent=frozenset({"Deployment"})), "retry", "", "there is no Deployment"),
    ],
)
def test_a_command_that_makes_no_sense_now_is_dropped_with_the_reason(
    o: Observed, verb: str, value: str, words: str
) -> None:
    asked = command(verb, value)  # type: ignore[arg-type]  # the table spells verbs right
    o = but(o, command=asked)
    (message,) = refusals(o)
    assert words in message
    d = decide(o)
    assert d.facts.phase is o.facts.phase
    assert d.effects[0] == Drop(asked.token)


@pytest.mark.parametrize("by", [PausedBy.COMMAND, PausedBy.INCONCLUSIVE, PausedBy.MAX_DURATION])
def test_resume_goes_on_as_a_new_stretch_of_the_same_step(by: PausedBy) -> None:
    o = paused(by)
    facts = decide(but(o, command=command("resume"))).facts
    assert (facts.phase, facts.paused_by, facts.reason) == (Phase.PROGRESSING, None, "")
    assert (facts.stage, facts.since, facts.gate) == (AT_25, o.now, "inconclusive")


def test_a_release_that_was_resumed_needs_a_new_verdict() -> None:
    resumed = but(paused(), facts=decide(but(paused(), command=command("resume"))).facts)
    assert decide(but(resumed, now=resumed.now + resumed.policy.max_duration)).facts.stage == AT_25  # type: ignore[union-attr]


def test_resume_while_the_first_step_is_prepared_gives_pods_their_whole_time() -> None:
    o = but(preparing(), facts={"phase": Phase.PAUSED, "paused_by": PausedBy.COMMAND, "waiting_since": None})
    facts = decide(but(o, command=command("resume"))).facts
    assert (facts.phase, facts.since, facts.waiting_since) == (Phase.PROGRESSING, None, o.now)


@pytest.mark.parametrize("value", ["true", "", "new", "new/2"])
def test_promote_leaves_the_present_step_without_verdict(value: str) -> None:
    o = at_step(AT_25)
    approved = decide(but(o, command=command("promote", value))).facts
    assert approved.approved == "step"
    left = decide(but(o, facts=approved))
    assert (left.facts.stage, left.facts.approved, left.facts.since) == (AT_50, None, o.now)
    assert left.effects == (SetTraffic(50),)


def test_promote_waits_for_the_pods_of_the_next_step() -> None:
    o = but(at_step(AT_25), facts={"approved": "step"}, workload={"canary": {"ready_endpoints": 4}})
    assert decide(o).facts.stage == AT_25


def test_promote_gives_the_approval_that_a_step_waits_for() -> None:
    waiting = decide(at_step(AT_50, "pass")).facts
    o = but(at_step(AT_50, "pass"), facts=waiting, command=command("promote", "new/3"))
    d = decide(o)
    assert (d.facts.phase, d.facts.approved, d.facts.since) == (Phase.PROGRESSING, "step", waiting.since)


def test_promote_does_not_end_a_pause_by_spec_but_is_remembered() -> None:
    o = paused(PausedBy.SPEC)
    for _ in range(3):
        d = decide(but(o, command=command("promote")))
        assert of_kind(d.effects, SetTraffic) == ()
        o = but(o, facts=d.facts)
    assert (o.facts.phase, o.facts.paused_by, o.facts.approved) == (Phase.PAUSED, PausedBy.SPEC, "step")


@pytest.mark.parametrize("value", ["true", "full"])
@pytest.mark.parametrize(
    ("by", "words"),
    [
        (PausedBy.SPEC, "it counts once spec.paused is no longer true"),
        (PausedBy.FINDING, "it counts once what is wrong is cured"),
    ],
)
def test_a_promote_while_something_else_holds_is_kept_without_a_word_of_going_on(
    by: PausedBy, words: str, value: str
) -> None:
    d = decide(but(paused(by), command=command("promote", value)))
    assert (d.facts.phase, d.facts.paused_by) == (Phase.PAUSED, by)
    assert d.facts.approved == ("full" if value == "full" else "step")
    (only,) = d.notices
    assert only.reason == "Approved"
    assert only.message.endswith(f"by command; {words}")
    assert "promoted by command, which counts once it goes on" in d.display.message


def test_a_promote_that_ends_one_pause_while_another_cause_holds_changes_the_cause_alone() -> None:
    o = but(paused(PausedBy.COMMAND), policy={"paused": True}, command=command("promote"))
    d = decide(o)
    assert (d.facts.phase, d.facts.paused_by, d.facts.reason) == (
        Phase.PAUSED,
        PausedBy.SPEC,
        "spec.paused is true",
    )


def test_a_promote_that_ends_a_pause_is_an_approval() -> None:
    d = decide(but(paused(PausedBy.APPROVAL), command=command("promote")))
    assert [n.reason for n in d.notices] == ["Approved"]


def test_a_step_that_was_promoted_before_its_time_is_not_called_passed() -> None:
    o = but(at_step(AT_25, "pass"), facts={"approved": "step"})
    early = but(o, facts={"since": o.now - seconds(4)}, verdict={"key": {"since": o.now - seconds(4)}})
    (started,) = [n.message for n in decide(early).notices if n.reason == "StepStarted"]
    assert started.endswith("as step 2/4 was promoted by command")
    (after,) = [n.message for n in decide(o).notices if n.reason == "StepStarted"]
    assert "as step 2/4 passed" in after


def test_a_pause_before_the_first_step_names_only_what_would_be_obeyed() -> None:
    held = but(preparing(), facts={"phase": Phase.PAUSED, "paused_by": PausedBy.COMMAND, "reason": "early"})
    message = decide(held).display.message
    assert "promote=full" in message
    assert "promote=true" not in message


def test_a_promote_for_a_step_that_the_release_does_not_have_says_so() -> None:
    d = decide(but(at_step(AT_25), command=command("promote", "new/9")))
    (refused,) = [n.message for n in d.notices if n.reason == "CommandRefused"]
    assert refused == "promote is dropped: there is no step 9, as this release has 4"


def test_a_failing_gate_reverts_a_promoted_step() -> None:
    o = but(at_step(AT_25, "fail"), facts={"approved": "step"})
    assert decide(o).facts.phase is Phase.REVERTING


def test_promote_full_goes_from_preparation_straight_to_the_last_step_once_all_pods_are_there() -> None:
    o = but(preparing(), facts={"approved": "full"})
    assert decide(o).facts.stage == -1
    ready = but(o, workload={"canary": {"spec": 10, "available": 10, "ready_endpoints": 10}})
    d = decide(ready)
    assert (d.facts.stage, d.facts.approved, d.effects) == (AT_100, "full", (SetTraffic(100),))


def test_promote_full_needs_neither_gate_nor_bake() -> None:
    o = but(at_step(AT_100), facts={"approved": "full", "since": at_step(AT_5).now})
    assert decide(o).facts.phase is Phase.PROMOTING


@pytest.mark.parametrize("then", ["Pause", "Revert"])
def test_promote_full_works_without_prometheus(then: str) -> None:
    o = but(at_step(AT_100), facts={"approved": "full"}, policy={"inconclusive_then": then})
    o = but(o, now=o.now + o.policy.max_duration, workload={"synced": False})  # type: ignore[union-attr]
    assert decide(o).facts.phase is Phase.PROGRESSING


def test_promote_full_only_tells_of_a_failing_gate() -> None:
    o = but(at_step(AT_25), facts={"approved": "full"}, verdict=verdict("fail", AT_25))
    d = decide(o)
    assert d.facts.phase is Phase.PROGRESSING
    assert [n.reason for n in d.notices] == ["GateFailing"]
    assert decide(but(o, facts=d.facts)).notices == ()


def test_a_plain_promote_takes_nothing_back_from_promote_full() -> None:
    o = but(at_step(AT_25), facts={"approved": "full"}, command=command("promote"))
    assert decide(o).facts.approved == "full"


def test_retry_starts_the_same_revision_again_with_the_stages_of_today() -> None:
    today = (at_step(AT_25).facts.plan[-1],)
    o = but(reverted(), command=command("retry"), policy={"stages": today})
    facts = decide(o).facts
    assert (facts.phase, facts.canary, facts.stage, facts.plan) == (Phase.PROGRESSING, "new", -1, today)
    assert (facts.started, facts.waiting_since) == (o.now, o.now)


def test_retry_waits_while_something_cannot_be_read() -> None:
    o = but(reverted(), command=command("retry"), workload=None, unread=frozenset({"Deployment"}))
    d = decide(o)
    assert (d.facts.phase, d.facts.token) == (Phase.REVERTED, "")


def test_the_verdict_of_the_run_before_does_not_revert_a_retry() -> None:
    before = verdict("fail", AT_25)
    o = but(preparing(), facts={"started": before.key.since + (preparing().now - before.key.since) / 2})
    assert decide(but(o, verdict=before)).facts.phase is Phase.PROGRESSING
    assert decide(but(preparing(), verdict=before)).facts.phase is Phase.REVERTING


def test_an_abort_while_everybody_is_already_going_home_is_taken_without_a_word() -> None:
    d = decide(but(reverting(), command=command("abort")))
    assert d.facts.token == "abort=true@7"
    assert d.notices == ()


@pytest.mark.parametrize("o", [healthy(), at_step(AT_25), paused(), reverted(), preparing()])
def test_a_promote_that_waits_is_told_in_the_status(o: Observed) -> None:
    waits = "promote=6f7b9d4c58/1 waits until 6f7b9d4c58 is released"
    before = decide(o).display.message
    assert decide(but(o, waits=waits)).display.message == f"{before} ({waits})"
    warned = but(o, waits=waits, findings=(but(ERROR, severity="warning"), *o.findings))
    assert f" ({waits}; {but(ERROR, severity='warning')}" in decide(warned).display.message
