"""Rows of Prometheus, read as counts: sums, the newest sample, and rows that are no counts."""

import math
from datetime import datetime, timedelta

import pytest

from rollout_controller.core.judge_counts import Counts, Sides
from rollout_controller.ports import MetricsError, Sample, Series
from rollout_controller.prometheus.evidence import Scrapes, read_evidence, read_scrapes
from rollout_controller.prometheus.promql import ROW, SIDE, Labels, Scope

SCOPE = Scope.of("shop", "web", canary="7d9f", stable="66f7")
POD, OTHER, STABLE = "web-7d9f-aaaaa", "web-7d9f-bbbbb", "web-66f7-ccccc"
SPAN = timedelta(seconds=30)


class Canned:
    """Answers the same to every query of a kind."""

    def __init__(self, *rows: Sample, bounds: tuple[Sample, ...] = (), up: tuple[Series, ...] = ()) -> None:
        self._rows, self._bounds, self._up = list(rows), list(bounds), list(up)

    async def query(self, promql: str, *, at: datetime | None = None) -> list[Sample]:
        return self._bounds if "duration" in promql else self._rows

    async def series(self, selector: str, *, at: datetime | None = None) -> list[Series]:
        return self._up


def row(value: float, side: str = "canary", **labels: str) -> Sample:
    return Sample({**({SIDE: side} if side else {}), **labels}, value, at=1000.0)


def newest(at: float, side: str = "canary") -> Sample:
    return row(at, side, **{ROW: "newest"})


def up(pod: str, *samples: tuple[float, float]) -> Series:
    return Series({"pod": pod}, samples)


async def sides(*rows: Sample, bounds: tuple[Sample, ...] = ()) -> Sides:
    histogram = bool(bounds)
    return (
        await read_evidence(Canned(*rows, bounds=bounds), Labels(), SCOPE, SPAN, histogram=histogram)
    ).sides


async def test_rows_are_summed_by_side_and_errors_among_them() -> None:
    rows = (
        row(90, response_code="200"),
        row(4, response_code="503"),
        row(1, response_code="200", grpc_response_status="14"),
        row(500, "", response_code="200"),
        row(2, "", response_code="500"),
    )
    assert await sides(*rows) == Sides(Counts(95, 5), Counts(502, 2))


async def test_no_rows_of_a_side_are_no_data_and_a_count_of_none_is_data() -> None:
    assert await sides() == Sides(None, None)
    assert await sides(row(0, response_code="200")) == Sides(Counts(0), None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
async def test_what_is_no_count_is_an_error_and_no_zero(value: float) -> None:
    with pytest.raises(MetricsError, match="which is no count"):
        await sides(row(value, response_code="200"))


async def test_a_bound_that_is_no_number_is_an_error() -> None:
    with pytest.raises(MetricsError, match="bound 'many' of a histogram"):
        await sides(row(1, response_code="200"), bounds=(row(1, le="many"),))


async def test_the_histogram_is_ordered_by_its_bounds() -> None:
    bounds = (row(9, le="+Inf"), row(5, le="100"), row(8, le="1000"), row(7, "", le="+Inf"))
    both = await sides(row(9, response_code="200"), bounds=bounds)
    assert both.canary == Counts(9, 0, ((100, 5), (1000, 8), (math.inf, 9)))


async def test_the_newest_sample_is_the_canarys_or_stables_if_the_canary_has_none() -> None:
    async def read(*rows: Sample) -> tuple[float | None, float | None]:
        evidence = await read_evidence(Canned(*rows), Labels(), SCOPE, SPAN, histogram=False)
        return evidence.newest, evidence.age

    assert await read(newest(990), newest(999, "")) == (990, 10)
    assert await read(newest(999, "")) == (999, 1)
    assert await read() == (None, None)


async def test_up_tells_interval_and_pods() -> None:
    rows = (
        up(POD, (0, 1), (15, 1), (30, 1)),
        up(OTHER, (20, 0), (35, 1)),
        up(STABLE, (5, 1), (20, 1), (35, 1)),
        up("api-7d9f-aaaaa", (5, 1), (20, 1)),
    )
    scrapes = await read_scrapes(Canned(up=rows), Labels(), SCOPE, SPAN)
    assert scrapes == Scrapes(15.0, frozenset({POD, OTHER}), frozenset({POD}), stable_throughout=True)


@pytest.mark.parametrize(
    ("stable", "throughout"),
    [
        ((up(STABLE, (0, 1), (15, 1), (30, 1), (45, 1), (60, 1)),), True),
        ((up(STABLE, (15, 1), (45, 1)),), True),  # the first and the last scrape may be those that failed
        ((up(STABLE, (45, 1), (60, 1)),), False),
        ((up(STABLE, (0, 1), (60, 1)), up("web-66f7-zzzzz", (45, 1), (60, 1))), False),
        ((), False),
    ],
)
async def test_stable_is_known_throughout_if_none_of_its_pods_came_or_went(
    stable: tuple[Series, ...], throughout: bool
) -> None:
    rows = (up(POD, (0, 1), (15, 1), (30, 1), (45, 1), (60, 1)), *stable)
    scrapes = await read_scrapes(Canned(up=rows), Labels(), SCOPE, timedelta(seconds=75))
    assert scrapes.stable_throughout is throughout


async def test_one_gap_between_scrapes_is_no_interval() -> None:
    scrapes = await read_scrapes(Canned(up=(up(POD, (0, 1), (15, 0)),)), Labels(), SCOPE, SPAN)
    assert scrapes == Scrapes(None, frozenset(), frozenset())
    assert await read_scrapes(Canned(), Labels(), SCOPE, SPAN) == Scrapes()
