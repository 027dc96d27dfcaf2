"""Durations and percentages: what is written is what is meant, and anything else shows the right form."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_controller.api import (
    QuantityError,
    format_duration,
    format_percentage,
    parse_duration,
    parse_percentage,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("0s", 0),
        ("1m30s250ms", 90.25),
        ("24h", 86400),
    ],
)
def test_a_duration_means_what_it_says(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "5min", "1.5h", "-5s", "30s5m", "5m5m", "1d", "5M", "5m\n", "٥m"]
)
def test_what_is_no_duration_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(QuantityError, match='expected a duration like "90s", "5m" or "1h30m"') as error:
        parse_duration(text)
    assert error.value.found == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=999_999)))
def test_a_duration_is_read_back_without_loss(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(days=2), "48h"),
        (timedelta(hours=1, seconds=1), "1h1s"),
        (timedelta(milliseconds=182), "182ms"),
    ],
)
def test_a_duration_is_written_without_parts_of_nothing(value: timedelta, text: str) -> None:
    assert format_duration(value) == text


def test_a_negative_duration_is_not_written() -> None:
    with pytest.raises(ValueError, match="at least 0s"):
        format_duration(timedelta(seconds=-1))


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("1%", 0.01), ("0.5%", 0.005), ("0%", 0.0), ("100%", 1.0), ("0.1%", 0.001), ("99.9999%", 0.999999)],
)
def test_a_percentage_is_the_nearest_fraction(text: str, fraction: float) -> None:
    assert parse_percentage(text) == fraction


@pytest.mark.parametrize(
    "text", ["", "1", "0.01", "%", "101%", "100.1%", "-1%", "1 %", "1.23456%", "1e1%", "1%\n"]
)
def test_what_is_no_percentage_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(QuantityError, match=r'expected a percentage like "1%" or "0.5%"') as error:
        parse_percentage(text)
    assert error.value.found == text


@given(st.integers(min_value=0, max_value=1_000_000))
def test_a_percentage_is_read_back_without_loss(ten_thousandths: int) -> None:
    fraction = float(f"{ten_thousandths}e-6")
    assert parse_percentage(format_percentage(fraction)) == fraction


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan")])
def test_what_is_no_fraction_is_not_written(fraction: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        format_percentage(fraction)
