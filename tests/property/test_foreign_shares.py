"""Law 4: beside foreign destinations, over several VirtualServices, whatever their shares and their order."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from hypothesis import event, given
from hypothesis import strategies as st

from rollout_controller.core.patch import Json
from rollout_controller.istio import ManagedService, Routing, read_traffic, set_traffic
from tests.support.istio_objects import destination_rule, route, to, virtual_service
from tests.support.jsonpatch import apply

NAMES = ("web", "mesh", "partner")
ROUTING = Routing("shop", "web", tuple(map(ManagedService, NAMES)), "web", "stable", "canary")
RULE = destination_rule()
PERCENTS = st.integers(0, 100)
THEIRS = ("legacy", "beta", "ratings")


@st.composite
def split_routes(draw: st.DrawFn) -> Json:
    """A route of total 100 to both our subsets, with 0 to 3 foreign destinations anywhere between them."""
    foreign = draw(st.lists(st.integers(0, 33), max_size=3))
    ours = 100 - sum(foreign)
    canary = draw(st.sampled_from([0, 0, ours, ours // 3]))
    others = [to(None, weight, host=host) for host, weight in zip(THEIRS, foreign, strict=False)]
    entries = [to("stable", ours - canary), to("canary", canary), *others]
    return route(*draw(st.permutations(entries)))


@st.composite
def named(draw: st.DrawFn, name: str) -> Json:
    return virtual_service(*draw(st.lists(split_routes(), min_size=1, max_size=3)), name=name)


services = st.fixed_dictionaries({name: named(name) for name in NAMES})


def law(total: int, percent: int) -> int:
    """clamp(round(total x w / 100), 1, total - 1) for 0 < w < 100, said in decimals."""
    exact = Decimal(total * percent) / 100
    rounded = int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return rounded if percent in {0, 100} else min(max(rounded, 1), total - 1)


def written(before: dict[str, Json], percent: int) -> dict[str, Json]:
    return {name: apply(obj, set_traffic(ROUTING, obj, percent, RULE)) for name, obj in before.items()}


def routes(objects: dict[str, Json]) -> list[list[Json]]:
    return [one["route"] for obj in objects.values() for one in obj["spec"]["http"]]


def ours(entries: list[Json]) -> dict[str, int]:
    return {
        entry["destination"]["subset"]: entry["weight"]
        for entry in entries
        if "subset" in entry["destination"]
    }


@given(services, PERCENTS)
def test_each_route_gives_the_canary_its_part_of_what_is_ours(before: dict[str, Json], percent: int) -> None:
    for entries in routes(written(before, percent)):
        weights = ours(entries)
        event(f"foreign: {len(entries) - 2}")
        assert weights["canary"] == law(sum(weights.values()), percent)


@given(services, PERCENTS)
def test_totals_stay_and_so_does_every_foreign_destination(before: dict[str, Json], percent: int) -> None:
    for was, now in zip(routes(before), routes(written(before, percent)), strict=True):
        assert sum(entry["weight"] for entry in now) == 100
        assert sum(ours(now).values()) == sum(ours(was).values())
        assert [e for e in now if "subset" not in e["destination"]] == [
            e for e in was if "subset" not in e["destination"]
        ]


@given(services, PERCENTS)
def test_all_of_them_are_read_back_as_what_was_asked_for(before: dict[str, Json], percent: int) -> None:
    after = written(before, percent)
    assert read_traffic(ROUTING, after, RULE, expected=percent).canary_weight == (percent, percent)


@given(services, PERCENTS, PERCENTS)
def test_what_was_reached_is_never_read_as_less_while_more_is_asked_for(
    before: dict[str, Json], one: int, other: int
) -> None:
    reached, expected = sorted((one, other))
    reading = read_traffic(ROUTING, written(before, reached), RULE, expected, reached)
    assert reading.canary_weight[0] >= reached


@given(services, st.sets(st.sampled_from(NAMES)), PERCENTS, PERCENTS)
def test_a_raise_that_came_only_to_some_of_them_is_seen_as_such(
    before: dict[str, Json], done: set[str], one: int, other: int
) -> None:
    reached, expected = sorted((one, other))
    first, second = written(before, reached), written(before, expected)
    half = {name: (second if name in done else first)[name] for name in NAMES}
    low, high = read_traffic(ROUTING, half, RULE, expected, reached).canary_weight
    assert reached <= low <= high <= expected


@given(services, PERCENTS, PERCENTS)
def test_what_anybody_took_from_the_canary_is_seen(before: dict[str, Json], asked: int, taken: int) -> None:
    """One weight of one route less than what was asked for: less, if that is what no other share is."""
    after = written(before, asked)
    entries = routes(after)[0]
    weights = {entry["destination"].get("subset"): entry for entry in entries}
    part = min(taken % 100 + 1, weights["canary"]["weight"])
    weights["canary"]["weight"] -= part
    weights["stable"]["weight"] += part
    reading = read_traffic(ROUTING, after, RULE, asked, asked)
    event(f"taken: {part > 0}")
    assert (reading.canary_weight[0] < asked) == (part > 0)
