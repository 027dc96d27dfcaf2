"""The split of requests: as routed, off for a reason that can be named, or not known."""

from __future__ import annotations

import pytest

from rollout_controller.core.judge_counts import Counts, Sides
from rollout_controller.core.share import Bypass, Routed, Split, split_of, verification

STABLE_TOO, CANARY_TOO = Bypass(stable=True), Bypass(canary=True)
AS_ROUTED, NONE, FEW, MANY, UNKNOWN = Split.AS_ROUTED, Split.NONE, Split.FEW, Split.MANY, Split.UNKNOWN


def sides(canary: float | None, stable: float | None, errors: float = 0) -> Sides:
    """So many requests of each side; None: no series of it."""
    return Sides(
        Counts(canary, errors) if canary is not None else None, Counts(stable) if stable is not None else None
    )


def split(canary: float | None, stable: float | None, share: int = 5, *, errors: float = 0) -> Split:
    return split_of(sides(canary, stable, errors), Routed(share), 20)


@pytest.mark.parametrize(
    ("canary", "stable", "share", "expected"),
    [
        (50, 950, 5, AS_ROUTED),
        (26, 974, 5, AS_ROUTED),  # a little above half of its share
        (150, 850, 5, AS_ROUTED),  # three times its share
        (500, 500, 50, AS_ROUTED),
        (20, 0, 100, AS_ROUTED),
        (100, None, 100, AS_ROUTED),
        (10, 90, 5, UNKNOWN),  # neither had 20 nor should have had
        (19, 10, 50, UNKNOWN),
        (0, 399, 5, UNKNOWN),
        (24, 976, 5, UNKNOWN),  # less than half, but chance may be why
        (0, 600, 5, UNKNOWN),  # 30 expected: still chance, at one in 30,000
        (0, 650, 5, NONE),
        (None, 650, 5, NONE),
        (0, 650, 100, NONE),
        (10, 1990, 5, FEW),
        (100, 900, 50, FEW),
        (300, 700, 100, FEW),
        (500, 500, 100, FEW),  # half of what should be all of them
        (700, 300, 100, UNKNOWN),
        (760, 240, 100, AS_ROUTED),  # late ones
        (600, 400, 90, FEW),  # stable has four times what is left to it
        (500, 500, 75, AS_ROUTED),
        (300, 700, 5, MANY),
        (1000, 0, 5, MANY),
        (40, 60, 5, MANY),
        (1000, 0, 34, AS_ROUTED),  # more than three times a third there cannot be
        (160, 840, 5, UNKNOWN),  # a little above three times: chance may be why
        (0, 0, 5, UNKNOWN),
        (None, None, 5, UNKNOWN),
        (40, None, 5, UNKNOWN),  # stable is not in Prometheus at all
        (0, None, 100, UNKNOWN),
        (0, 10_000, 0, Split.NO_SHARE),
        (10_000, 0, 0, Split.NO_SHARE),
    ],
)
def test_the_split_is_what_the_counts_show_beyond_chance(
    canary: float | None, stable: float | None, share: int, expected: Split
) -> None:
    assert split(canary, stable, share) is expected


def test_failed_requests_are_not_too_many_for_a_proxy_tries_them_again() -> None:
    assert split(300, 700) is MANY
    assert split(300, 700, errors=250) is not MANY
    assert split(300, 700, errors=300) is not MANY


@pytest.mark.parametrize(("failed", "expected"), [(0, FEW), (20_000, UNKNOWN), (28_500, UNKNOWN)])
def test_nor_are_those_of_a_stable_that_fails(failed: float, expected: Split) -> None:
    # 500 of 10,000 requests went to the canary, and each of the others was tried three times.
    tried = Sides(Counts(500), Counts(28_500, failed))
    assert split_of(tried, Routed(5), 20) is expected


@pytest.mark.parametrize(
    ("canary", "stable", "bypass", "expected"),
    [
        (10, 1990, STABLE_TOO, UNKNOWN),  # stable's other route explains it
        (0, 2000, STABLE_TOO, NONE),  # but nothing explains none
        (10, 1990, CANARY_TOO, FEW),
        (300, 700, CANARY_TOO, UNKNOWN),
        (300, 700, STABLE_TOO, MANY),
        (50, 950, Bypass(stable=True, canary=True), AS_ROUTED),
    ],
)
def test_other_ways_to_a_side_explain_more_requests_of_it(
    canary: float, stable: float, bypass: Bypass, expected: Split
) -> None:
    assert split_of(sides(canary, stable), Routed(5, bypass=bypass), 20) is expected


@pytest.mark.parametrize(
    ("canary", "stable", "routed", "expected"),
    [
        (200, 1000, Routed(0, mirror=20), AS_ROUTED),
        (250, 950, Routed(5, mirror=20), AS_ROUTED),
        (0, 1000, Routed(0, mirror=20), NONE),
        (30, 1000, Routed(0, mirror=20), FEW),
        (900, 100, Routed(5, mirror=20), UNKNOWN),  # never too many while there are copies
    ],
)
def test_copies_count_like_requests(canary: float, stable: float, routed: Routed, expected: Split) -> None:
    assert split_of(sides(canary, stable), routed, 20) is expected


def test_a_gate_that_wants_more_requests_wants_them_here_too() -> None:
    assert split_of(sides(50, 950), Routed(5), 60) is UNKNOWN
    assert split_of(sides(60, 1140), Routed(5), 60) is AS_ROUTED


@pytest.mark.parametrize(
    ("canary", "stable", "routed", "status", "reason", "words"),
    [
        (
            50,
            950,
            Routed(5),
            "True",
            "AsRouted",
            "the canary got 5 % of 1000 requests; the routes give it 5 %",
        ),
        (
            0,
            1140,
            Routed(5),
            "False",
            "NoRequests",
            "no request reached the canary, though its 5 % share makes about 60 expected: the route may be"
            " shadowed, the subset may select other pods, or the pods may have no sidecar",
        ),
        (
            0,
            1140,
            Routed(5, bypass=STABLE_TOO),
            "False",
            "NoRequests",
            "no request reached the canary, though its 5 % share makes about 60 expected: another route to"
            " stable may take them all before the managed one",
        ),
        (
            0,
            1000,
            Routed(100),
            "False",
            "NoRequests",
            "no request reached the canary, though its 100 % share makes all expected: the route may be"
            " shadowed, the subset may select other pods, or the pods may have no sidecar",
        ),
        (
            10,
            1990,
            Routed(5),
            "False",
            "FarTooFew",
            "the canary got 0.5 % of 2000 requests, but the routes give it 5 %: its pods may be ejected"
            " (outlierDetection), another VirtualService may serve this host, or callers go past the managed"
            " routes",
        ),
        (
            300,
            700,
            Routed(5),
            "False",
            "FarTooMany",
            "the canary got 30 % of 1000 requests, but the routes give it 5 %: callers may reach its pods"
            " past the managed routes",
        ),
        (0, 10, Routed(0), "Unknown", "NoShare", "the routes give the canary no share here"),
        (
            1,
            10,
            Routed(5),
            "Unknown",
            "NotKnown",
            "the requests so far do not tell whether they go as routed",
        ),
    ],
)
def test_it_is_told_with_its_likely_cause(
    canary: float, stable: float, routed: Routed, status: str, reason: str, words: str
) -> None:
    seen = sides(canary, stable)
    found = verification(split_of(seen, routed, 20), seen, routed)
    assert (found.status, found.reason, found.sentence) == (status, reason, words)
