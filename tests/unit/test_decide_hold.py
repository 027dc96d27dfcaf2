"""What leaves a stage, and what holds it: verdicts, time, approval, findings, spec.paused."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import SetTraffic
from rollout_controller.core.model import Observed
from rollout_controller.core.release import PausedBy, Phase, StageKey
from rollout_controller.core.verdict import Verdict
from tests.builders import (
    AT_5,
    AT_25,
    AT_50,
    AT_100,
    ERROR,
    NOW,
    SINCE,
    at_step,
    but,
    failing,
    later,
    of_kind,
    paused,
    policy,
    preparing,
    promoting,
    seconds,
    stage,
    traffic,
    verdict,
)

UNCLEAR = policy().inconclusive_after
SETTLE = seconds(3)


def held_by(o: Observed) -> tuple[Phase, PausedBy | None]:
    facts = decide(o).facts
    return facts.phase, facts.paused_by


# -- the exit -------------------------------------------------------------------------------------------


def test_a_stage_is_left_with_its_time_its_pods_and_its_pass() -> None:
    d = decide(at_step(AT_25, "pass"))
    assert (d.facts.stage, d.facts.since, d.effects) == (AT_50, NOW, (SetTraffic(50),))
    assert (d.facts.gate, d.facts.gate_since, d.facts.granted) == ("inconclusive", d.facts.since, 5)


@pytest.mark.parametrize("index", [AT_5, AT_100])
def test_a_stage_lasts_as_long_as_it_should_from_when_it_settled(index: int) -> None:
    o = at_step(index, "pass")
    length = o.facts.plan[index].min_duration
    fresh = but(o, facts={"since": NOW}, verdict={"key": StageKey("new", index, NOW)})
    d = decide(fresh)
    assert (d.facts.stage, d.wake_at) == (index, NOW + SETTLE + length)
    there = later(fresh, SETTLE + length)
    assert (
        decide(there).facts.stage == AT_25 if index == AT_5 else decide(there).facts.phase is Phase.PROMOTING
    )


def test_a_stage_begins_once_its_share_was_read_back_however_late_that_is() -> None:
    written_late = but(at_step(AT_25, "pass"), facts={"reached": 5})
    d = decide(written_late)
    assert (d.facts.stage, d.facts.reached, d.facts.since) == (AT_25, 25, NOW)
    assert (d.facts.gate, d.facts.gate_since) == ("inconclusive", NOW)


def test_a_stage_of_copies_begins_once_they_were_read_back() -> None:
    plan = (stage(0, mirror=20), stage(100))
    o = but(
        at_step(AT_5),
        facts={"plan": plan, "reached": 0, "fed": False},
        traffic=but(traffic(0), mirror=(20, 20)),
    )
    d = decide(o)
    assert (d.facts.stage, d.facts.fed, d.facts.since) == (0, True, NOW)


@pytest.mark.parametrize("then", ["Pause", "Revert"])
def test_a_stage_without_its_share_has_no_limits(then: Any) -> None:
    refused = but(at_step(AT_25, "inconclusive"), traffic=traffic(5), facts={"reached": 5})
    refused = but(refused, policy={"inconclusive_then": then, "max_duration": seconds(1)})
    assert held_by(later(refused, 9 * UNCLEAR)) == (Phase.PROGRESSING, None)


@pytest.mark.parametrize(
    "key",
    [StageKey("new", AT_5, SINCE), StageKey("new", AT_25, SINCE - SETTLE), StageKey("third", AT_25, SINCE)],
)
def test_a_pass_counts_for_its_exact_stretch_only(key: StageKey) -> None:
    o = but(at_step(AT_25, "pass"), verdict=Verdict(key, "pass", SINCE))
    assert decide(o).facts.stage == AT_25


def test_a_pass_that_is_only_remembered_does_not_count() -> None:
    assert decide(but(at_step(AT_25, "pass"), verdict=None)).facts.stage == AT_25


def test_a_stage_without_gate_needs_no_verdict() -> None:
    plan = tuple(but(s, gate=False) for s in at_step(AT_25).facts.plan)
    assert decide(but(at_step(AT_25), facts={"plan": plan})).facts.stage == AT_50


def test_stages_of_equal_weight_are_each_held() -> None:
    plan = (stage(25), stage(25), stage(100))
    first = but(
        at_step(AT_25, "pass"), facts={"plan": plan, "stage": 0}, verdict={"key": StageKey("new", 0, SINCE)}
    )
    entered = decide(first)
    assert (entered.facts.stage, entered.effects) == (1, ())
    assert decide(but(first, facts=entered.facts)).facts.stage == 1


# -- the gate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [StageKey("new", AT_5, SINCE), StageKey("new", AT_25, NOW)])
def test_a_fail_counts_for_its_canary_whatever_the_stage(key: StageKey) -> None:
    d = decide(but(at_step(AT_25), verdict=Verdict(key, "fail", NOW, sentence="too slow")))
    assert (d.facts.phase, d.facts.reason) == (Phase.REVERTING, "too slow")


def test_a_fail_of_another_canary_does_not_count() -> None:
    other = Verdict(StageKey("third", AT_25, SINCE), "fail", NOW)
    assert decide(but(at_step(AT_25), verdict=other)).facts.phase is Phase.PROGRESSING


@pytest.mark.parametrize("by", list(PausedBy))
@pytest.mark.parametrize("findings", [(), (ERROR,)])
def test_the_gate_judges_whatever_holds_the_release(by: PausedBy, findings: tuple[Any, ...]) -> None:
    o = but(paused(by), verdict=failing(), findings=findings)
    assert decide(o).facts.phase is Phase.REVERTING


def test_the_gate_judges_until_the_hand_over() -> None:
    assert decide(but(promoting(), verdict=failing(AT_100))).facts.phase is Phase.REVERTING


def test_failing_readings_are_counted_in_the_facts() -> None:
    once = but(verdict("inconclusive", AT_25), failures=1)
    facts = decide(but(at_step(AT_25), verdict=once)).facts
    assert (facts.gate, facts.failures, facts.stage) == ("inconclusive", 1, AT_25)


# -- no answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, "inconclusive"])
def test_no_answer_is_neither_pass_nor_fail_and_pauses_after_its_limit(answer: Any) -> None:
    o = but(at_step(AT_25, answer), facts={"since": NOW, "gate_since": NOW})
    o = but(o, verdict={"key": StageKey("new", AT_25, NOW), "since": NOW}) if answer else o
    limit = SETTLE + UNCLEAR
    assert held_by(later(o, limit - seconds(1))) == (Phase.PROGRESSING, None)
    assert held_by(later(o, limit)) == (Phase.PAUSED, PausedBy.INCONCLUSIVE)


def test_the_limit_counts_from_the_last_clear_answer() -> None:
    long_ago = but(at_step(AT_25), facts={"since": SINCE - UNCLEAR})
    unclear = but(verdict("inconclusive", AT_25), key=StageKey("new", AT_25, SINCE - UNCLEAR), since=NOW)
    assert held_by(but(long_ago, verdict=unclear)) == (Phase.PROGRESSING, None)
    assert held_by(long_ago) == (Phase.PAUSED, PausedBy.INCONCLUSIVE)


def test_a_pass_is_a_clear_answer_even_if_nobody_knows_since_when() -> None:
    o = but(at_step(AT_25, "pass"), facts={"gate_since": None, "since": SINCE - UNCLEAR})
    o = but(o, verdict={"key": o.facts.key}, workload={"synced": False})
    assert held_by(o) == (Phase.PROGRESSING, None)


def test_a_restart_does_not_begin_the_limit_anew() -> None:
    known = but(
        at_step(AT_25, "inconclusive"), facts={"gate_since": NOW - UNCLEAR, "since": NOW - 2 * UNCLEAR}
    )
    restarted = but(known, verdict={"key": known.facts.key, "since": NOW})
    assert held_by(restarted) == (Phase.PAUSED, PausedBy.INCONCLUSIVE)


def test_no_answer_reverts_a_progressing_release_where_that_is_wanted() -> None:
    o = but(at_step(AT_25, "inconclusive"), policy={"inconclusive_then": "Revert"})
    assert decide(later(o, UNCLEAR)).facts.phase is Phase.REVERTING


def test_time_in_which_nobody_looked_reverts_nobody() -> None:
    o = but(
        at_step(AT_25, "inconclusive"),
        policy={"inconclusive_then": "Revert"},
        facts={"since": SINCE - UNCLEAR},
    )
    down_for_long = later(o, 4 * UNCLEAR)
    assert decide(but(down_for_long, verdict=None)).facts.phase is Phase.PROGRESSING
    began_again = {"key": down_for_long.facts.key, "since": down_for_long.now}
    assert decide(but(down_for_long, verdict=began_again)).facts.phase is Phase.PROGRESSING


@pytest.mark.parametrize("o", [paused(PausedBy.APPROVAL), paused(), promoting()])
def test_no_answer_never_reverts_what_is_held_or_promoted(o: Observed) -> None:
    o = but(o, policy={"inconclusive_then": "Revert"}, verdict=None, facts={"gate": None})
    assert decide(later(o, 9 * UNCLEAR)).facts.phase is o.facts.phase


def test_the_first_pass_ends_a_pause_for_want_of_answers_without_beginning_the_stage_anew() -> None:
    o = but(paused(PausedBy.INCONCLUSIVE), verdict=verdict("pass", AT_25))
    facts = decide(o).facts
    assert (facts.phase, facts.since, facts.gate) == (Phase.PROGRESSING, SINCE, "pass")


# -- time, people, findings -----------------------------------------------------------------------------


def test_a_step_that_takes_too_long_pauses() -> None:
    limit = SETTLE + seconds(60) + policy().max_duration
    o = but(at_step(AT_25), policy={"inconclusive_after": seconds(99999)})
    assert decide(o).wake_at == SINCE + limit
    assert held_by(but(o, now=SINCE + limit - seconds(1))) == (Phase.PROGRESSING, None)
    assert held_by(but(o, now=SINCE + limit)) == (Phase.PAUSED, PausedBy.MAX_DURATION)


def test_a_passed_step_is_left_however_late_it_is_looked_at() -> None:
    assert decide(later(at_step(AT_25, "pass"), seconds(99999))).facts.stage == AT_50


def test_an_approval_is_asked_for_only_once_the_step_passed() -> None:
    assert held_by(at_step(AT_50)) == (Phase.PROGRESSING, None)
    assert held_by(at_step(AT_50, "pass")) == (Phase.PAUSED, PausedBy.APPROVAL)


def test_spec_paused_holds_a_release_that_progresses_and_counts_at_once() -> None:
    for o in (preparing(), at_step(AT_25, "pass"), but(at_step(AT_25), facts={"approved": "full"})):
        d = decide(but(o, policy={"paused": True}))
        assert (d.facts.phase, d.facts.paused_by) == (Phase.PAUSED, PausedBy.SPEC)
        assert of_kind(d.effects, SetTraffic) == ()


def test_an_error_finding_holds_a_release_and_its_cure_lets_it_go_on_with_a_new_stretch() -> None:
    d = decide(but(at_step(AT_25, "pass"), findings=(ERROR,)))
    assert (d.facts.phase, d.facts.paused_by, d.facts.reason) == (Phase.PAUSED, PausedBy.FINDING, str(ERROR))
    cured = decide(but(at_step(AT_25, "pass"), facts=d.facts))
    assert (cured.facts.phase, cured.facts.stage, cured.facts.since) == (Phase.PROGRESSING, AT_25, NOW)


def test_a_warning_holds_nothing() -> None:
    o = but(at_step(AT_25, "pass"), findings=(but(ERROR, severity="warning"),))
    assert decide(o).facts.stage == AT_50


def test_held_while_it_is_prepared_nothing_more_is_made_and_pods_get_their_whole_time_afterwards() -> None:
    bare = but(preparing(), workload={"canary": None}, policy={"paused": True})
    held = decide(bare)
    assert (held.effects, held.facts.waiting_since) == ((), None)
    freed = decide(but(bare, facts=held.facts, policy={"paused": False}))
    assert freed.facts.waiting_since == NOW


@pytest.mark.parametrize("o", [at_step(AT_25), paused(), promoting()])
def test_a_held_or_running_release_keeps_what_it_has(o: Observed) -> None:
    quiet = but(o, workload={"synced": False}, verdict=None)
    assert decide(quiet).effects == ()


@pytest.mark.parametrize(
    ("left", "noted"),
    [(300, "pass"), (11, "pass"), (10, "inconclusive"), (-9, "inconclusive"), (-10, "pass")],
)
def test_a_pass_with_which_the_stage_is_about_to_end_is_noted_only_if_it_then_lasts(
    left: int, noted: str
) -> None:
    length = stage(25).min_duration
    begun = but(
        at_step(AT_25, "pass"),
        facts={"gate": "inconclusive", "gate_since": None, "since": NOW + seconds(left) - SETTLE - length},
        traffic={"weights_since": NOW},
    )
    key = but(begun.facts.key) if begun.facts.key else None
    d = decide(but(begun, verdict={"key": key, "since": NOW - seconds(60)}))
    assert (d.facts.gate, d.display.verdict) == (noted, "pass")


def test_a_pass_is_noted_with_the_write_that_leaves_the_steps() -> None:
    early = {"gate": "inconclusive", "gate_since": NOW - seconds(10)}
    for o in (but(at_step(AT_100, "pass"), facts=early), but(at_step(AT_50, "pass"), facts=early)):
        d = decide(o)
        assert d.facts.phase in {Phase.PROMOTING, Phase.PAUSED}
        assert d.facts.gate == "pass"
        assert decide(but(o, facts=d.facts)).facts == d.facts, "nothing is left for a write of its own"


def test_a_pass_that_is_not_noted_yet_ends_the_wait_for_an_answer() -> None:
    o = but(
        at_step(AT_25, "pass"),
        facts={"gate": "inconclusive", "gate_since": SINCE},
        policy={"inconclusive_after": seconds(1)},
        traffic={"weights_since": NOW},
    )
    assert decide(o).facts.phase is Phase.PROGRESSING


def test_a_pass_after_failing_readings_is_noted_at_once() -> None:
    o = but(at_step(AT_25, "pass"), facts={"gate": "inconclusive", "gate_since": NOW, "failures": 1})
    assert decide(but(o, traffic={"weights_since": NOW})).facts.failures == 0
