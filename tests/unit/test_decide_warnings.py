"""Warnings: an Event when one first appears, and never because of one that is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.finding import Finding
from rollout_controller.core.model import Notice, Observed
from rollout_controller.core.release import Phase
from rollout_controller.core.world import Part
from tests.builders import ERROR, at_step, but, healthy, invalid, reverted, reverting

WARNING = Finding("RetriesMultiplyLoad", "warning", "VirtualService shop/web", "spec.http[0]", "why", "cure")
SECOND = replace(WARNING, path="spec.http[1]")


@pytest.mark.parametrize("o", [healthy(), at_step(1), reverting()])
def test_a_warning_that_appears_is_told_with_its_code_and_changes_nothing_else(o: Observed) -> None:
    plain, warned = decide(o), decide(but(o, findings=(WARNING,)))
    words = "VirtualService shop/web spec.http[0]: why. cure"
    assert warned.notices == (Notice("Warning", "RetriesMultiplyLoad", words), *plain.notices)
    assert (warned.facts, warned.effects, warned.wake_at) == (plain.facts, plain.effects, plain.wake_at)


def test_a_warning_that_the_status_has_is_not_told_again_even_if_its_numbers_moved() -> None:
    moved = replace(WARNING, sentence="why, 3 times")
    o = but(healthy(), findings=(moved, SECOND), told=frozenset({WARNING.key}))
    assert [notice.message for notice in decide(o).notices] == [str(SECOND)]


def test_a_warning_that_came_back_is_told_again() -> None:
    gone = decide(but(healthy(), told=frozenset({WARNING.key})))
    assert (gone.notices, gone.display.findings) == ((), ())
    assert len(decide(but(healthy(), findings=(WARNING,))).notices) == 1


def test_errors_are_told_by_what_they_do() -> None:
    reasons = [notice.reason for notice in decide(but(healthy(), findings=(ERROR, WARNING))).notices]
    assert reasons == ["RetriesMultiplyLoad", "Invalid"]


def test_each_other_reason_for_which_a_rollout_is_invalid_is_told_once() -> None:
    o = but(invalid(), facts={"reason": str(ERROR)})
    assert (decide(o).notices, decide(o).facts) == ((), o.facts)
    other = replace(ERROR, sentence="another one")
    d = decide(but(o, findings=(other,)))
    assert d.notices == (Notice("Warning", "Invalid", str(other)),)
    assert (d.facts, d.effects) == (replace(o.facts, reason=str(other)), ())
    assert decide(but(o, findings=(other,), facts=d.facts)).notices == ()


def test_an_error_that_stands_while_another_cannot_be_looked_for_is_no_news() -> None:
    o = but(invalid(), facts={"reason": "not known just now"}, unread=frozenset({Part.DEPLOYMENT}))
    assert decide(o).notices == ()
    unusable = but(o, policy=None, workload=None, traffic=None, unread=frozenset(Part))
    assert [notice.reason for notice in decide(unusable).notices] == ["Invalid"]


def test_after_a_revert_an_error_is_told_once_and_the_message_does_not_deny_it() -> None:
    told = decide(but(reverted(), findings=(ERROR,)))
    assert told.facts.phase is Phase.REVERTED
    assert told.notices == (Notice("Warning", ERROR.code, str(ERROR)),)
    assert told.display.message == f"canary new was taken back: {reverted().facts.reason}; {ERROR}"
    assert decide(but(reverted(), findings=(ERROR,), told=frozenset({ERROR.key}))).notices == ()
