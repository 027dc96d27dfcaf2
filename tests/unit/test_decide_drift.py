"""What is told of others who change weights and subsets: who, what, how and when, and what was done."""

from __future__ import annotations

from typing import Any

import pytest

from rollout_controller.core.decide import decide
from rollout_controller.core.model import Decision, Observed
from rollout_controller.core.release import PausedBy, Phase
from rollout_controller.core.world import ForeignWrite
from tests.builders import AT_25, at_step, but, command, failing, paused, reverting, traffic

IGNORE = "Let its Application ignore ours"


def argo_cd(kind: str, at: str = "2030-01-01T12:00:05Z") -> ForeignWrite:
    who = 'Argo CD (field manager "argocd-controller")'
    return ForeignWrite(who, "Apply", at, f"{kind} shop/web", f"{IGNORE} ({kind})")


def raised(o: Observed, weight: int = 60, **more: Any) -> Observed:
    seen = {"canary_weight": (25, weight), "version": "2", "changed_by": argo_cd("VirtualService"), **more}
    return but(o, traffic=seen)


def relabelled(o: Observed, stable: str | None, canary: str | None) -> Observed:
    seen = {
        "subsets": (stable, canary),
        "version": "3",
        "changed_by": argo_cd("VirtualService", "2030-01-01T11:00:00Z"),
        "relabelled_by": argo_cd("DestinationRule"),
    }
    return but(o, traffic=seen)


def told(d: Decision) -> list[str]:
    return [f"{n.type} {n.reason}: {n.message}" for n in d.notices]


def test_a_raise_is_told_with_who_and_how_and_how_often_it_was_put_back() -> None:
    d = decide(raised(at_step(AT_25), 60))
    words = (
        'Argo CD (field manager "argocd-controller") raised the canary\'s share from 25 % to 60 %'
        " (Apply of VirtualService shop/web at 2030-01-01T12:00:05Z); put back, 1 of 3 times in a release."
        f" {IGNORE} (VirtualService)"
    )
    assert told(d) == [f"Warning Corrected: {words}"]
    assert d.display.message == f"step 2/4 at 25 %: waiting for the first readings; {words}"


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        ((None, None), "to stable: every pod, canary: every pod"),
        (("old", None), "to stable: old, canary: every pod"),
        (("third", "new"), "to stable: third, canary: new"),
    ],
)
def test_a_relabel_is_told_with_what_the_subsets_select_and_who_wrote_the_rule(
    pins: tuple[str | None, str | None], said: str
) -> None:
    d = decide(relabelled(at_step(AT_25), *pins))
    assert told(d) == [
        'Warning Corrected: Argo CD (field manager "argocd-controller") relabelled the subsets,'
        f" {said} (Apply of DestinationRule shop/web at 2030-01-01T12:00:05Z);"
        f" put back, 1 of 3 times in a release. {IGNORE} (DestinationRule)"
    ]


def test_two_services_in_the_place_of_subsets_are_called_so() -> None:
    (notice,) = decide(but(relabelled(at_step(AT_25), None, None), traffic={"services": True})).notices
    assert "changed the selectors of the Services, to stable: every pod, canary: every pod" in notice.message


def test_a_raise_and_a_relabel_at_once_are_told_together() -> None:
    both = relabelled(raised(at_step(AT_25), 60), None, None)
    (only,) = decide(both).notices
    assert "raised the canary's share from 25 % to 60 %" in only.message
    assert " and Argo CD" in only.message
    assert "relabelled the subsets" in only.message


def test_it_stays_in_the_status_after_it_was_put_back_and_nobody_else_is_seen_any_more() -> None:
    first = decide(raised(at_step(AT_25), 60))
    after = but(at_step(AT_25), facts=first.facts, traffic=traffic(25))
    assert decide(after).notices == ()
    assert "put back, 1 of 3 times in a release" in decide(after).display.message
    held = but(after, facts={"phase": Phase.PAUSED, "paused_by": PausedBy.COMMAND, "reason": "lunch"})
    assert "put back, 1 of 3 times in a release" in decide(held).display.message


def test_each_time_is_counted_and_the_last_one_is_told() -> None:
    o = raised(but(paused(), facts={"corrections": 2, "corrected": "1"}))
    d = decide(o)
    assert "put back, 3 of 3 times in a release" in d.notices[0].message


def test_the_time_after_the_last_is_an_abort_and_not_told_as_put_back() -> None:
    d = decide(raised(but(at_step(AT_25), facts={"corrections": 3})))
    assert [n.reason for n in d.notices] == ["Reverting"]
    assert d.facts.reason == (
        'Argo CD (field manager "argocd-controller") keeps changing the weights or subsets (4 times;'
        " last Apply of VirtualService shop/web at 2030-01-01T12:00:05Z), which counts as an abort"
    )
    assert d.notices[0].message.endswith(f". {IGNORE} (VirtualService)")


def lowered(o: Observed) -> Observed:
    return but(o, traffic={"canary_weight": (0, 0), "changed_by": argo_cd("VirtualService")})


def test_a_tool_that_resets_the_weights_is_told_off_until_the_release_is_over() -> None:
    d = decide(lowered(at_step(AT_25)))
    assert d.facts.reason == (
        'Argo CD (field manager "argocd-controller") lowered the canary\'s share from 25 % to 0 %'
        " (Apply of VirtualService shop/web at 2030-01-01T12:00:05Z), which counts as an abort"
    )
    assert d.notices[0].message == (
        f"everybody goes back to old: {d.facts.reason}. {IGNORE} (VirtualService)"
    )
    home = but(
        reverting(),
        facts=d.facts,
        workload={"canary": None},
        traffic={"subsets": (None, None), "changed_by": None},
    )
    end = decide(home)
    assert end.facts.phase is Phase.REVERTED
    assert end.display.message.endswith(f". {IGNORE} (VirtualService)")
    assert end.facts.history[-1].reason == d.facts.reason


def test_what_ends_a_release_for_another_reason_says_nothing_of_tools() -> None:
    once = but(at_step(AT_25), facts=decide(raised(at_step(AT_25))).facts)
    assert once.facts.advice
    assert decide(but(once, verdict=failing())).facts.advice == ""
    stopped = decide(raised(but(once, command=command("abort", "bad"))))
    assert (stopped.facts.phase, stopped.facts.advice) == (Phase.REVERTING, "")


def test_without_anybody_to_name_it_is_somebody_else() -> None:
    d = decide(raised(at_step(AT_25), changed_by=None))
    assert d.notices[0].message.startswith(
        "somebody else raised the canary's share from 25 % to 60 %; put back"
    )


def test_a_manager_that_is_no_known_tool_is_named_without_advice() -> None:
    by = ForeignWrite('field manager "kiali"', "Update", "2030-01-01T12:00:05Z", "VirtualService shop/web")
    d = decide(raised(at_step(AT_25), changed_by=by))
    assert d.notices[0].message.endswith("put back, 1 of 3 times in a release")
