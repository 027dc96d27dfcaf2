"""One check on one stretch of time: every outcome, and where one ends and the next begins."""

from math import inf

import pytest

from rollout_controller.core.judge_checks import Check, ErrorRate, Latency, Outcome, exceeds, judge_check
from rollout_controller.core.judge_counts import Buckets, Counts, Sides

ONE_PERCENT = ErrorRate(0.01)
P99 = Latency(0.99, 500)
BETWEEN = Latency(0.99, 300)
"""A limit between two bounds of the histogram."""


def histogram(fast: float, slow: float, beyond: float = 0) -> Buckets:
    """Requests below 250 ms, between 500 and 1000 ms, and beyond the last bound."""
    return ((250.0, fast), (500.0, fast), (1000.0, fast + slow), (inf, fast + slow + beyond))


def outcome(check: Check, canary: Counts | None, stable: Counts | None = None) -> Outcome:
    return judge_check(check, Sides(canary, stable), 20).outcome


def latency(check: Check, fast: float, slow: float, beyond: float = 0) -> Outcome:
    return outcome(check, Counts(fast + slow + beyond, 0, histogram(fast, slow, beyond)))


@pytest.mark.parametrize(
    ("errors", "requests", "expected"),
    [
        (0, 20, Outcome.WITHIN),
        (0, 19, Outcome.LACKING),
        (19, 19, Outcome.LACKING),
        (20, 20, Outcome.FAIL),
        (1, 20, Outcome.ABOVE),
        (1, 60, Outcome.ABOVE),
        (1, 100, Outcome.WITHIN),
        (2, 55, Outcome.FAIL),
        (2, 56, Outcome.ABOVE),
        (10, 1000, Outcome.WITHIN),
        (11, 1000, Outcome.ABOVE),
        (18, 1000, Outcome.FAIL),
        (0, 0, Outcome.LACKING),
        (3, 0, Outcome.BROKEN),
        (30, 25, Outcome.BROKEN),
    ],
)
def test_an_error_rate_fails_only_beyond_chance(errors: int, requests: int, expected: Outcome) -> None:
    assert outcome(ONE_PERCENT, Counts(requests, errors)) is expected


def test_no_series_is_no_data_and_no_errors_in_many_requests_are_none() -> None:
    nothing = judge_check(ONE_PERCENT, Sides(None), 20)
    assert (nothing.outcome, nothing.needed, nothing.reading.value) == (Outcome.LACKING, 20, None)
    good = judge_check(ONE_PERCENT, Sides(Counts(50)), 20)
    assert (good.outcome, good.needed, good.reading.value) == (Outcome.WITHIN, 0, 0.0)


def test_nothing_but_errors_is_a_rate_of_one() -> None:
    assert judge_check(ONE_PERCENT, Sides(Counts(50, 50)), 20).reading.value == 1.0


def test_a_limit_of_zero_takes_the_first_error_for_a_failure() -> None:
    assert outcome(ErrorRate(0), Counts(10_000, 1)) is Outcome.FAIL
    assert outcome(ErrorRate(0), Counts(10_000, 0)) is Outcome.WITHIN


@pytest.mark.parametrize(
    ("stable", "expected"),
    [
        (Counts(1000, 50), Outcome.BOTH),
        (Counts(1000, 15), Outcome.FAIL),  # above the limit, but not beyond chance: no excuse
        (Counts(19, 19), Outcome.FAIL),  # too few to accuse stable
        (Counts(1000, 0), Outcome.FAIL),
        (None, Outcome.FAIL),
    ],
)
def test_a_canary_is_not_blamed_for_what_stable_does_as_well(
    stable: Counts | None, expected: Outcome
) -> None:
    assert outcome(ONE_PERCENT, Counts(100, 50), stable) is expected


@pytest.mark.parametrize(
    ("fast", "slow", "expected"),
    [
        (20, 0, Outcome.WITHIN),
        (19, 0, Outcome.LACKING),
        (99, 1, Outcome.WITHIN),  # exactly one percent
        (98, 2, Outcome.ABOVE),
        (97, 3, Outcome.FAIL),
        (18, 2, Outcome.FAIL),
    ],
)
def test_a_limit_on_a_bucket_bound_is_counted(fast: int, slow: int, expected: Outcome) -> None:
    assert latency(P99, fast, slow) is expected


@pytest.mark.parametrize(
    ("fast", "slow", "expected"),
    [
        (90, 0, Outcome.LACKING),
        (80, 19, Outcome.LACKING),
        (100, 0, Outcome.WITHIN),
        (98, 2, Outcome.ABOVE),
        (90, 10, Outcome.FAIL),
    ],
)
def test_a_limit_between_bounds_needs_a_hundred_requests(fast: int, slow: int, expected: Outcome) -> None:
    assert latency(BETWEEN, fast, slow) is expected


def test_a_limit_beyond_the_last_bound_cannot_be_told_if_too_many_are_there() -> None:
    assert latency(Latency(0.99, 5000), 95, 0, 5) is Outcome.BEYOND
    assert latency(Latency(0.99, 5000), 999, 0, 1) is Outcome.WITHIN


def test_requests_without_a_histogram_are_unmeasured_and_want_no_more_requests() -> None:
    judged = judge_check(P99, Sides(Counts(500)), 20)
    assert (judged.outcome, judged.needed) == (Outcome.UNMEASURED, 0)


def test_latency_is_not_blamed_on_the_canary_if_stable_is_as_slow() -> None:
    slow = Counts(1000, 0, histogram(900, 100))
    assert outcome(P99, Counts(100, 0, histogram(80, 20)), slow) is Outcome.BOTH


def test_a_reading_shows_both_sides_in_the_unit_of_the_limit() -> None:
    judged = judge_check(P99, Sides(Counts(100, 0, histogram(50, 50)), Counts(9, 0, histogram(9, 0))), 20)
    assert judged.reading.check == "latency p99"
    assert judged.reading.value == pytest.approx(990)
    assert judged.reading.limit == 500
    assert judged.reading.stable == pytest.approx(247.5)
    assert judged.reading.requests == 100


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(100, 2), True),
        (Counts(100, 1), False),
        (Counts(50, 1), True),
        (Counts(19, 19), False),
        (Counts(0, 0), False),
        (Counts(0, 5), False),
        (None, False),
    ],
)
def test_fresh_requests_speak_for_themselves_only_if_enough_and_above(
    counts: Counts | None, expected: bool
) -> None:
    assert exceeds(ONE_PERCENT, counts, 20) is expected
