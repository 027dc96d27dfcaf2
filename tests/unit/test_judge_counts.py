"""Intervals and quantiles against published numbers, and against PromQL's way of interpolating."""

from math import inf

import pytest

from rollout_controller.core.judge_counts import ascending, quantile, slower, total, wilson_low

HISTOGRAM = ((100.0, 50.0), (250.0, 90.0), (500.0, 98.0), (1000.0, 100.0), (inf, 100.0))


@pytest.mark.parametrize(
    ("bad", "of", "low"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29.
        (81, 263, 0.2553),
        (15, 148, 0.0624),
        (0, 20, 0.0),
        (1, 29, 0.0061),
        # One error in 60 requests is 1.7 %, and no reason to revert at a limit of 1 %.
        (1, 60, 0.002948),
        (100, 100, 0.963007),
        (0, 0, 0.0),
    ],
)
def test_the_lower_end_of_the_wilson_interval(bad: int, of: int, low: float) -> None:
    assert wilson_low(bad, of) == pytest.approx(low, abs=5e-5)


@pytest.mark.parametrize(
    ("share", "value"),
    [
        (0.25, 50.0),  # halfway through the first bucket, which begins at 0
        (0.5, 100.0),
        (0.7, 175.0),
        (0.99, 750.0),
        (1.0, 1000.0),
    ],
)
def test_quantiles_are_linear_within_a_bucket(share: float, value: float) -> None:
    assert quantile(HISTOGRAM, share) == pytest.approx(value)


def test_a_quantile_beyond_the_last_bound_is_that_bound() -> None:
    assert quantile(((100.0, 1.0), (inf, 10.0)), 0.9) == 100.0


@pytest.mark.parametrize("buckets", [(), ((100.0, 0.0), (inf, 0.0)), ((100.0, 5.0),)])
def test_without_requests_or_without_an_end_there_is_no_quantile(
    buckets: tuple[tuple[float, float], ...],
) -> None:
    assert quantile(buckets, 0.99) is None
    assert total(buckets) == 0


def test_at_a_bound_the_slower_ones_are_counted() -> None:
    over = slower(HISTOGRAM, 500)
    assert (over.count, over.exact, over.unknown) == (2, True, 0)


def test_between_two_bounds_they_are_interpolated() -> None:
    over = slower(HISTOGRAM, 300)
    assert over.count == pytest.approx(2 + 8 * 0.8)
    assert not over.exact


def test_beyond_the_last_finite_bound_they_are_unknown() -> None:
    over = slower(((100.0, 50.0), (250.0, 90.0), (inf, 100.0)), 300)
    assert (over.count, over.exact, over.unknown) == (0, False, 10)


def test_counts_that_fall_from_bucket_to_bucket_are_mended() -> None:
    torn = ((inf, 9.0), (250.0, 7.0), (100.0, 8.0))
    assert ascending(torn) == ((100.0, 8.0), (250.0, 8.0), (inf, 9.0))
