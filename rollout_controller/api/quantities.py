"""Durations and percentages as a person writes them, and back.

A duration is whole hours, minutes, seconds, milliseconds and microseconds, in this order, each at most once:
`90s`, `5m`, `1h30m`, `500ms`. A percentage is a number from 0 to 100 with at most four decimals and a sign:
`1%`, `0.5%`.
The two patterns are also the CEL rules of the CRD, so both sides refuse the same strings.
"""

import re
from datetime import timedelta
from typing import Final

DURATION_PATTERN: Final = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?([0-9]{1,6}us)?$"
DURATION_FORM: Final = 'a duration like "90s", "5m" or "1h30m" (units h, m, s, ms, us, in this order)'
DURATION_MAX_LENGTH: Final = 37

PERCENTAGE_PATTERN: Final = "^(100([.]0{1,4})?|[0-9]{1,2}([.][0-9]{1,4})?)%$"
PERCENTAGE_FORM: Final = 'a percentage like "1%" or "0.5%", from 0% to 100% with at most four decimals'
PERCENTAGE_MAX_LENGTH: Final = 9

_DURATION = re.compile(DURATION_PATTERN.replace("$", r"\Z"))
_PERCENTAGE = re.compile(PERCENTAGE_PATTERN.replace("$", r"\Z"))
_UNITS = (("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))
_MICROSECOND = timedelta(microseconds=1)


class QuantityError(ValueError):
    """A string that is no duration or percentage; `expected` shows the right form."""

    def __init__(self, expected: str, found: object) -> None:
        super().__init__(f"expected {expected}, found {found!r}")
        self.expected = expected
        self.found = found


def parse_duration(text: str) -> timedelta:
    """`"1h30m"` as a timedelta. Raises QuantityError."""
    match = _DURATION.match(text) if text else None
    if match is None:
        raise QuantityError(DURATION_FORM, text)
    hours, minutes, seconds, milliseconds, microseconds = (
        int(re.sub("[a-z]", "", part or "0")) for part in match.groups()
    )
    return timedelta(
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        milliseconds=milliseconds,
        microseconds=microseconds,
    )


def format_duration(value: timedelta) -> str:
    """A timedelta as the string that `parse_duration` reads back, without loss: `1h30m`, `1m30s`, `0s`.

    A negative value is a ValueError.
    """
    if value < timedelta(0):
        raise ValueError(f"expected a duration of at least 0s, found {value!r}")
    rest = value // _MICROSECOND
    text = ""
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        text += f"{number}{unit}" if number else ""
    return text or "0s"


def parse_percentage(text: str) -> float:
    """`"0.5%"` as a fraction, 0.005. Raises QuantityError."""
    if _PERCENTAGE.match(text) is None:
        raise QuantityError(PERCENTAGE_FORM, text)
    # Division by a power of ten of the decimal digits gives the float nearest to the written number.
    return float(f"{text[:-1]}e-2")


def format_percentage(fraction: float) -> str:
    """A fraction from 0 to 1 as a string that `parse_percentage` reads: 0.005 is `0.5%`.

    Rounded to four decimals of a percent. Outside 0 to 1 it is a ValueError.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"expected a fraction from 0 to 1, found {fraction!r}")
    digits = f"{fraction * 100:.4f}".rstrip("0").rstrip(".")
    return f"{digits}%"
