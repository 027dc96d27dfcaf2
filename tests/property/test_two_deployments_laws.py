"""Two Deployments in any world at all: what is never done to them, and what never becomes of the facts."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollout_controller.core.decide import decide
from rollout_controller.core.effects import Claim, Drop, Finalizer, SetTraffic
from rollout_controller.core.model import Observed
from rollout_controller.core.release import Facts, Phase
from rollout_controller.core.stages import carried
from rollout_controller.core.world import Pods, Side, Sides
from tests.builders import but
from tests.property.worlds import anything, near

NAMES = ("old", "other")
REVISIONS = ("", "new", "before", "third")


@st.composite
def two_sided(draw: st.DrawFn) -> Observed:
    """Any world in which `old` serves and `other` is idle, or is being released."""
    o = draw(st.one_of(near(), anything()))
    f = but(o.facts, stable=draw(st.sampled_from([None, "old", "old", "old", "left"])))
    accepted = draw(st.sampled_from([(), (("old", "running"), ("other", "before"))]))
    o = but(o, facts=but(f, accepted=accepted))
    if o.traffic is not None:
        o = but(o, traffic={"subsets": (f.stable, f.canary), "fixed": True})
    if o.workload is None:
        return o
    sides = Sides(
        Side("old", draw(st.sampled_from(["running", "rolled", ""]))),
        Side("other", draw(st.sampled_from(REVISIONS)), draw(st.integers(0, 2))),
    )
    target = sides.idle.revision
    known = accepted and target == "before" and f.stable is not None
    changes: dict[str, Any] = {
        "sides": sides,
        "others": (),
        "bereft": 0,
        "paused": True,
        "held": False,
        "labelled": True,
        "replicas": max(o.workload.replicas, 1),
        "target": f.stable if known else target,
        "stable": _as(o.workload.stable, "deployment"),
        "canary": _as(o.workload.canary, "us") if f.canary is not None else None,
    }
    return but(o, workload=but(o.workload, **changes))


def _as(pods: Pods | None, of: str) -> Pods | None:
    return but(pods, of=of) if pods is not None else None


@given(two_sided())
def test_only_weights_and_the_rollout_itself_are_written(o: Observed) -> None:
    for effect in decide(o).effects:
        assert isinstance(effect, SetTraffic | Finalizer | Claim | Drop), effect


@given(two_sided())
def test_a_share_rises_only_onto_pods_enough_or_where_it_was_decided(o: Observed) -> None:
    if o.traffic is None or o.workload is None:
        return
    ready = o.workload.canary.ready_endpoints if o.workload.canary is not None else 0
    for effect in decide(o).effects:
        if isinstance(effect, SetTraffic) and effect.weight > o.traffic.canary_weight[1]:
            decided = o.facts.phase is Phase.PROMOTING and effect.weight == 100
            assert ready >= (1 if decided else max(1, carried(effect.weight, o.workload.replicas)))


@given(two_sided())
def test_nobody_is_sent_home_to_a_side_that_cannot_answer_while_the_other_one_can(o: Observed) -> None:
    if o.traffic is None or o.workload is None or o.unread or o.absent or o.facts.phase is Phase.INITIALIZING:
        return
    stable, canary = o.workload.stable, o.workload.canary
    if canary is None or not canary.ready_endpoints or (stable is not None and stable.ready_endpoints):
        return
    d = decide(o)
    forgot = o.facts.stable is None  # a status of before the release: what is left of it is taken back first
    if d.facts.phase is Phase.INITIALIZING or (d.facts.phase is Phase.INVALID and forgot):
        return
    for effect in d.effects:
        if isinstance(effect, SetTraffic):
            assert effect.weight >= o.traffic.canary_weight[0]


@given(two_sided())
def test_the_serving_side_changes_only_once_everybody_is_on_the_other_one(o: Observed) -> None:
    facts: Facts = decide(o).facts
    if o.facts.stable in NAMES and facts.stable in NAMES and facts.stable != o.facts.stable:
        assert o.traffic is not None
        assert o.traffic.canary_weight == (100, 100)
        assert not o.traffic.fed


@given(two_sided())
def test_nothing_is_released_that_has_no_name(o: Observed) -> None:
    d = decide(o)
    if o.workload is not None and d.facts.canary is not None and o.facts.canary != d.facts.canary:
        assert d.facts.canary == o.workload.sides.idle.revision != ""  # type: ignore[union-attr]
