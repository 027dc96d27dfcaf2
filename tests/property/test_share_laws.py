"""How often chance alone calls a split off: computed exactly, from binomials, and drawn at random."""

from __future__ import annotations

import random
from math import exp, lgamma, log

from hypothesis import given
from hypothesis import strategies as st

from rollout_controller.core.judge_counts import Counts, Sides
from rollout_controller.core.share import Bypass, Routed, Split, split_of

SHARES = range(1, 51)
TOTALS = (*range(1, 400), *range(400, 5001, 50))
"""Requests of both sides together; the verdict changes slowly beyond the first few hundred."""
RIGHT = 1e-4
"""What a split that is right may be called off with; it is far less."""
BORDER = 3e-4
"""What a canary with exactly half or three times its share may be called off with: beyond four standard
deviations lie 3e-5 of a normal distribution, and small counts are skewed upwards."""


def split(canary: int, total: int, share: int) -> Split:
    return split_of(Sides(Counts(canary), Counts(total - canary)), Routed(share), 20)


def probability(count: int, total: int, chance: float) -> float:
    """Exactly `count` of `total`, each with this chance."""
    ways = lgamma(total + 1) - lgamma(count + 1) - lgamma(total - count + 1)
    return exp(ways + count * log(chance) + (total - count) * log(1 - chance))


def tail(count: int, total: int, chance: float, step: int) -> float:
    """`count` or fewer (step -1), or more (step 1): summed from there, until nothing is added any more."""
    summed = 0.0
    while 0 <= count <= total:
        summed += (term := probability(count, total, chance))
        if term < summed * 1e-9 or term == 0:
            break
        count += step
    return summed


def most_of_too_few(total: int, share: int) -> int:
    """The largest count that is called too few, -1 if none is. Fewer are too few as well."""
    low, high = -1, total * share // 100
    while low < high:
        middle = (low + high + 1) // 2
        if split(middle, total, share) in {Split.FEW, Split.NONE}:
            low = middle
        else:
            high = middle - 1
    return low


def least_of_too_many(total: int, share: int) -> int:
    """The smallest count that is called too many, total + 1 if none is."""
    low, high = total * share // 100, total + 1
    while low < high:
        middle = (low + high) // 2
        if split(middle, total, share) is Split.MANY:
            high = middle
        else:
            low = middle + 1
    return low


def false_alarm(total: int, share: int, chance: float) -> float:
    """How likely one look at so many requests calls the split off, if each goes to the canary by `chance`."""
    few = tail(most_of_too_few(total, share), total, chance, -1)
    return few + tail(least_of_too_many(total, share), total, chance, 1)


def test_a_split_that_is_right_is_called_off_in_less_than_one_of_ten_thousand_looks() -> None:
    worst = max(
        (false_alarm(total, share, share / 100), share, total) for share in SHARES for total in TOTALS
    )
    assert worst[0] < RIGHT
    # and in fact never: this is the figure to be quoted
    assert worst[0] < 1e-10, f"{worst[0]:.1e} at {worst[1]} % of {worst[2]} requests"


def test_a_canary_with_half_its_share_or_three_times_as_much_is_hardly_ever_called_off() -> None:
    for share in (1, 5, 10, 25, 33):
        for total in (400, 1000, 2500, 5000):
            assert false_alarm(total, share, share / 200) < BORDER
            assert false_alarm(total, share, share * 3 / 100 - 1e-9) < BORDER


def test_a_canary_that_gets_none_is_found_before_its_gate_would_fail_it() -> None:
    for share in SHARES:
        total = next(t for t in range(1, 10_000) if split(0, t, share) is Split.NONE)
        assert total * share / (100 - share) < 3 * 20 + 5, f"{share} %: after {total} requests"


@given(st.integers(1, 100), st.integers(1, 5000), st.integers(0, 2**32))
def test_no_draw_of_a_right_split_is_called_off(share: int, total: int, seed: int) -> None:
    dice = random.Random(seed)
    canary = sum(dice.random() * 100 < share for _ in range(total))
    assert not split(canary, total, share).off


@given(
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.integers(0, 100),
    st.integers(1, 100),
    st.builds(Bypass, st.booleans(), st.booleans()),
)
def test_other_ways_to_the_pods_only_ever_take_an_alarm_away(
    canary: int, stable: int, share: int, least: int, bypass: Bypass
) -> None:
    counts = Sides(Counts(canary), Counts(stable))
    alone = split_of(counts, Routed(share), least)
    beside = split_of(counts, Routed(share, bypass=bypass), least)
    assert beside is alone or (alone.off and beside is Split.UNKNOWN)


@given(st.integers(0, 2000), st.integers(0, 5000), st.integers(1, 100))
def test_fewer_requests_of_the_canary_never_make_too_few_right(canary: int, stable: int, share: int) -> None:
    if split(canary, canary + stable, share) is Split.FEW:
        assert split(max(canary - 1, 0), max(canary - 1, 0) + stable, share) in {Split.FEW, Split.NONE}
