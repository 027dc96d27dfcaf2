"""Law 15 over any number of Rollouts with any claims, in any order."""

from __future__ import annotations

from itertools import combinations

from hypothesis import event, given
from hypothesis import strategies as st

from rollout_controller.api.names import FINALIZER
from rollout_controller.core.ownership import Ownership, claims_of, ownership
from rollout_controller.core.patch import Json

NAMES = ("alpha", "beta", "gamma", "delta")
SECONDS = st.integers(0, 2).map(lambda second: f"2030-01-01T12:00:0{second}Z")
FEW = st.sampled_from(["a", "b", "c"])


@st.composite
def services(draw: st.DrawFn) -> list[Json]:
    chosen = draw(st.lists(FEW, min_size=1, max_size=2, unique=True))
    return [
        {
            "name": name,
            **({"routes": sorted(routes)} if (routes := draw(st.none() | st.sets(FEW, min_size=1))) else {}),
        }
        for name in chosen
    ]


@st.composite
def rollouts(draw: st.DrawFn) -> list[Json]:
    """One to four Rollouts of few objects, so that they meet often."""
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        rule = {"name": draw(FEW), "stableSubset": draw(FEW), "canarySubset": draw(FEW)}
        metadata = {"name": name, "namespace": "shop", "creationTimestamp": draw(SECONDS)}
        if draw(st.booleans()):
            metadata["finalizers"] = ["other/finalizer", FINALIZER]  # type: ignore[assignment]
        spec = {
            "workload": {"deployment": draw(FEW)},
            "traffic": {"istio": {"virtualServices": draw(services()), "destinationRule": rule}},
        }
        found.append({"metadata": metadata, "spec": spec})
    return found


def name(one: Json) -> str:
    return str(one["metadata"]["name"])


def age(one: Json) -> tuple[str, str]:
    return one["metadata"]["creationTimestamp"], name(one)


def meet(one: Json, other: Json) -> bool:
    """Said once more in the plainest way: Deployment, a subset, or a route that either may choose."""
    mine, theirs = one["spec"], other["spec"]
    if mine["workload"] == theirs["workload"]:
        return True
    rules = [spec["traffic"]["istio"]["destinationRule"] for spec in (mine, theirs)]
    pairs = [{(r["name"], r["stableSubset"]), (r["name"], r["canarySubset"])} for r in rules]
    if pairs[0] & pairs[1]:
        return True
    return any(
        a["name"] == b["name"]
        and ("routes" not in a or "routes" not in b or set(a["routes"]) & set(b["routes"]))
        for a in mine["traffic"]["istio"]["virtualServices"]
        for b in theirs["traffic"]["istio"]["virtualServices"]
    )


def of(every: list[Json]) -> dict[str, Ownership]:
    return {name(one): ownership(one, every) for one in every}


@given(rollouts())
def test_of_two_that_meet_exactly_the_newer_is_told_that_the_older_owns(every: list[Json]) -> None:
    found = of(every)
    for one, other in combinations(every, 2):
        older, newer = sorted((one, other), key=age)
        told = [
            f
            for f in found[name(newer)].findings
            if f.severity == "error" and f"Rollout {name(older)}," in f.sentence
        ]
        event(f"meet: {meet(one, other)}")
        assert len(told) == meet(one, other)
        errors = [f for f in found[name(older)].findings if f.severity == "error"]
        assert not any(f"Rollout {name(newer)}," in f.sentence for f in errors)


@given(rollouts())
def test_whoever_has_no_older_one_to_meet_works_and_so_somebody_always_does(every: list[Json]) -> None:
    found = of(every)
    for one in every:
        older = [other for other in every if age(other) < age(one) and meet(one, other)]
        assert found[name(one)].owner == (name(min(older, key=age)) if older else "")
    assert found[name(min(every, key=age))].owner == ""


@given(rollouts(), st.randoms(use_true_random=False))
def test_the_order_in_which_they_are_listed_says_nothing(every: list[Json], random: object) -> None:
    shuffled = list(every)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert of(shuffled) == of(every)


@given(rollouts())
def test_that_one_goes_hinders_nobody(every: list[Json]) -> None:
    before = of(every)
    for gone in every:
        after = of([one for one in every if one is not gone])
        for who, now in after.items():
            assert not now.owner or before[who].owner
            assert len(now.findings) <= len(before[who].findings) or (before[who].owner and not now.owner)


@given(rollouts())
def test_a_holder_is_one_that_has_marks_and_meets(every: list[Json]) -> None:
    for one in every:
        marked = {
            name(other)
            for other in every
            if other is not one and FINALIZER in other["metadata"].get("finalizers", ()) and meet(one, other)
        }
        holder = ownership(one, every).holder
        assert holder in marked if marked else holder == ""


@given(rollouts())
def test_to_share_is_mutual(every: list[Json]) -> None:
    for one, other in combinations(every, 2):
        mine, theirs = claims_of(one), claims_of(other)
        assert (
            (mine.shared_with(theirs) is None) == (theirs.shared_with(mine) is None) == (not meet(one, other))
        )
