"""The gate, look by look: what passes, what fails, what neither passes nor fails, and what is said of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from rollout_controller.core.judge import Judgement, Look, Nothing, Thresholds, begin, enough, failing, fold
from rollout_controller.core.judge_checks import ErrorRate, Latency
from rollout_controller.core.judge_counts import Counts, Sides
from rollout_controller.core.release import StageKey

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = StageKey("7d9f", 0, START)
LIMITS = Thresholds((ErrorRate(0.01),), min_requests=20, failure_limit=2, weight=5, share=5)
BOTH_CHECKS = replace(LIMITS, checks=(ErrorRate(0.01), Latency(0.99, 500)))

GOOD, BAD, CHANCE, FEW = Counts(100, 0), Counts(100, 10), Counts(60, 1), Counts(12, 0)


def at(look: int) -> datetime:
    return START + timedelta(seconds=10 * look)


def look(
    canary: Counts | None, stable: Counts | None = None, *, fresh: Counts | None = None, number: float = 0
) -> Look:
    """One look; `number` is the time of its newest sample."""
    return Look(Sides(canary, stable), Sides(fresh) if fresh is not None else None, newest=number)


def after(*looks: Look | Nothing, limits: Thresholds = LIMITS, failures: int = 0) -> Judgement:
    """The state after these looks, ten seconds apart, each with samples of its own."""
    state = begin(KEY, START, failures)
    for number, one in enumerate(looks, start=1):
        one = replace(one, newest=float(number)) if isinstance(one, Look) else one
        state = fold(state, one, limits, at(number))
    return state


def result(*looks: Look | Nothing, limits: Thresholds = LIMITS, failures: int = 0) -> tuple[str, int]:
    verdict = after(*looks, limits=limits, failures=failures).verdict
    return verdict.result, verdict.failures


def test_nothing_read_yet_is_inconclusive() -> None:
    assert result() == ("inconclusive", 0)


def test_a_canary_within_its_limits_passes() -> None:
    assert result(look(GOOD)) == ("pass", 0)


def test_one_failing_look_holds_and_the_second_on_evidence_of_its_own_fails() -> None:
    assert result(look(BAD)) == ("inconclusive", 1)
    assert result(look(BAD), look(BAD, fresh=BAD)) == ("fail", 2)


def test_with_a_limit_of_one_the_first_failing_look_fails() -> None:
    assert result(look(BAD), limits=replace(LIMITS, failure_limit=1)) == ("fail", 1)


@pytest.mark.parametrize("fresh", [None, Counts(0), Counts(19, 19), GOOD, Counts(100, 1)])
def test_the_same_errors_are_not_counted_twice(fresh: Counts | None) -> None:
    assert result(look(BAD), look(BAD, fresh=fresh), look(BAD, fresh=fresh)) == ("inconclusive", 1)


def test_a_look_without_a_newer_sample_is_not_a_look() -> None:
    first = fold(begin(KEY, START), look(BAD, number=7), LIMITS, at(1))
    assert fold(first, look(BAD, fresh=BAD, number=7), LIMITS, at(2)) is first
    assert fold(first, look(BAD, fresh=BAD, number=8), LIMITS, at(2)).failed


@pytest.mark.parametrize(
    "between",
    [
        look(CHANCE),
        look(FEW),
        look(None),
        look(BAD, BAD),
        look(Counts(5, 9)),
        Nothing("Prometheus gave no answer"),
        Look(Sides(GOOD), judged=False),
    ],
    ids=["chance", "few", "no series", "both breach", "broken", "fault", "warming up"],
)
def test_what_says_nothing_neither_breaks_nor_extends_a_run_of_failures(between: Look | Nothing) -> None:
    assert result(look(BAD), between) == ("inconclusive", 1)
    assert result(look(BAD), between, look(BAD, fresh=BAD)) == ("fail", 2)


def test_a_pass_breaks_a_run_of_failures() -> None:
    assert result(look(BAD), look(GOOD)) == ("pass", 0)
    assert result(look(BAD), look(GOOD), look(BAD)) == ("inconclusive", 1)


def test_a_failure_stays_one_whatever_comes() -> None:
    bad = (look(BAD), look(BAD, fresh=BAD))
    assert result(*bad, look(GOOD)) == ("fail", 2)
    assert result(*bad, Nothing("gone")) == ("fail", 2)


def test_a_pass_ends_with_the_first_look_that_has_none() -> None:
    assert result(look(GOOD), Nothing("Prometheus gave no answer")) == ("inconclusive", 0)
    assert result(look(GOOD), look(CHANCE)) == ("inconclusive", 0)


def test_a_run_goes_on_after_a_restart_and_on_fresh_evidence_only() -> None:
    assert result(failures=1) == ("inconclusive", 1)
    assert result(look(BAD), failures=1) == ("inconclusive", 1)
    assert result(look(BAD, fresh=BAD), failures=1) == ("fail", 2)


def test_since_is_when_the_result_began_and_not_the_last_look() -> None:
    assert after(look(GOOD), look(GOOD)).verdict.since == at(1)
    assert after(look(GOOD), look(BAD), look(FEW)).verdict.since == at(2)


def test_fresh_requests_must_be_bad_by_the_same_check() -> None:
    slow = ((250.0, 90.0), (500.0, 90.0), (inf, 100.0))
    quick = ((250.0, 100.0), (500.0, 100.0), (inf, 100.0))
    wrong = look(Counts(100, 10, quick), fresh=Counts(100, 0, slow))
    assert result(look(Counts(100, 10, quick)), wrong, limits=BOTH_CHECKS) == ("inconclusive", 1)


def test_one_failing_check_is_enough_and_all_must_pass() -> None:
    quick = ((500.0, 100.0), (inf, 100.0))
    slow = ((500.0, 80.0), (inf, 100.0))
    assert result(look(Counts(100, 0, quick)), limits=BOTH_CHECKS) == ("pass", 0)
    assert result(look(Counts(100, 0, slow)), limits=BOTH_CHECKS) == ("inconclusive", 1)
    assert result(look(Counts(100, 10, quick)), limits=BOTH_CHECKS) == ("inconclusive", 1)
    assert result(look(Counts(100, 1, slow), Counts(100, 0, slow)), limits=BOTH_CHECKS) == ("inconclusive", 0)


# -- stages without traffic, and traffic that does not arrive ------------------------------------------


def test_a_stage_that_gives_no_share_is_not_held_for_lack_of_requests() -> None:
    idle = replace(LIMITS, weight=0, share=0)
    assert result(look(None), limits=idle) == ("pass", 0)
    assert result(look(FEW), limits=idle) == ("pass", 0)
    verdict = after(look(None), limits=idle).verdict
    assert (verdict.needed, verdict.sentence) == (0, "this step gives the canary no share to be judged by")


def test_a_stage_that_gives_no_share_is_judged_by_the_requests_it_gets_all_the_same() -> None:
    idle = replace(LIMITS, weight=0, share=0)
    assert result(look(BAD), look(BAD, fresh=BAD), limits=idle) == ("fail", 2)
    assert result(look(CHANCE), limits=idle) == ("inconclusive", 0)
    assert result(Nothing("Prometheus gave no answer"), limits=idle) == ("inconclusive", 0)


def test_a_stage_that_gives_a_share_is_held_though_the_routes_give_none_yet() -> None:
    assert result(look(None), limits=replace(LIMITS, share=0)) == ("inconclusive", 0)


def test_a_stage_that_gives_copies_alone_is_held_for_lack_of_requests() -> None:
    copies = replace(LIMITS, weight=20, share=0, mirror=20)
    assert result(look(None), limits=copies) == ("inconclusive", 0)
    assert result(look(FEW), limits=copies) == ("inconclusive", 0)
    assert result(look(GOOD), limits=copies) == ("pass", 0)


@pytest.mark.parametrize(
    ("share", "mirror", "expected"),
    [(0, 0, 0), (0, 20, 200), (5, 0, 1000 * 5 / 95), (10, 20, 1000 * 30 / 90), (50, 100, 3000), (100, 50, 0)],
)
def test_copies_are_expected_of_all_requests_and_a_share_beside_stables(
    share: int, mirror: int, expected: float
) -> None:
    sides = Sides(None, Counts(1000))
    assert replace(LIMITS, share=share, mirror=mirror).expected(sides) == pytest.approx(expected)
    assert replace(LIMITS, share=share, mirror=mirror).expected(Sides(GOOD, None)) == 0


def test_copies_that_do_not_arrive_are_told_as_copies() -> None:
    copies = replace(LIMITS, weight=20, share=0, mirror=20)
    gone = after(silent(300), limits=copies)
    assert gone.verdict.failures == 1
    assert "its 20 % copies makes about 60 expected" in gone.verdict.sentence


def silent(stable: float, *, scraped: bool = True, fresh: float | None = None) -> Look:
    """No canary request beside so many of stable."""
    asked = Sides(None, Counts(fresh)) if fresh is not None else None
    return Look(Sides(None, Counts(stable)), asked, scraped=scraped)


@pytest.mark.parametrize(
    ("one", "share", "expected"),
    [
        (silent(1140), 5, 1),  # 60 expected, three times min_requests
        (silent(1139), 5, 0),
        (silent(10_000, scraped=False), 5, 0),
        (silent(10_000), 0, 0),
        (silent(0), 100, 0),
        (Look(Sides(Counts(1), Counts(10_000)), scraped=True), 5, 0),
        (Look(Sides(None, None), scraped=True), 5, 0),
        (Look(Sides(Counts(0), Counts(1140)), scraped=True), 5, 1),
    ],
)
def test_no_request_at_all_fails_once_many_should_have_come(one: Look, share: int, expected: int) -> None:
    assert result(one, limits=replace(LIMITS, share=share)) == ("inconclusive", expected)


def test_traffic_that_does_not_arrive_fails_once_more_should_have_come_since() -> None:
    assert result(silent(1140), silent(1500, fresh=360)) == ("inconclusive", 1)
    assert result(silent(1140), silent(1500, fresh=380)) == ("fail", 2)


# -- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (
            look(Counts(500, 1, ((250.0, 498.0), (500.0, 500.0), (inf, 500.0)))),
            "error rate 0.2 % (limit 1 %), p99 248 ms (limit 500 ms)",
        ),
        (
            look(Counts(15, 0, ((500.0, 15.0), (inf, 15.0)))),
            "error rate 0 % (limit 1 %), p99 495 ms (limit 500 ms); 5 more canary requests needed",
        ),
        (
            look(None),
            "error rate unknown (limit 1 %), p99 unknown (limit 500 ms); 20 more canary requests needed",
        ),
        (
            look(Counts(60, 1, ((500.0, 60.0), (inf, 60.0)))),
            "error rate 1.67 % (limit 1 %), p99 495 ms (limit 500 ms);"
            " error rate is above its limit, but 1 of 60 may be chance",
        ),
        (
            look(Counts(60, 1)),
            "error rate 1.67 % (limit 1 %), p99 unknown (limit 500 ms);"
            " error rate is above its limit, but 1 of 60 may be chance;"
            " p99 cannot be told: Prometheus has requests of the canary, but no histogram of them",
        ),
        (
            look(Counts(600, 0, ((1000.0, 600.0), (inf, 600.0)))),
            "p99 990 ms (limit 500 ms), error rate 0 % (limit 1 %); failing reading 1 of 2",
        ),
        (
            Nothing("Prometheus at http://p gave no answer within 5 s"),
            "Prometheus at http://p gave no answer within 5 s",
        ),
    ],
)
def test_a_verdict_says_what_a_person_needs_to_know(one: Look | Nothing, words: str) -> None:
    assert after(one, limits=BOTH_CHECKS).verdict.sentence == words


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ((look(BAD),), "error rate 10 % (limit 1 %); failing reading 1 of 2"),
        ((look(BAD), look(BAD, fresh=BAD)), "error rate 10 % (limit 1 %); 2 failing readings"),
        ((look(BAD), Nothing("no answer")), "failing reading 1 of 2; no answer"),
        (
            (look(BAD, BAD),),
            "error rate 10 % (limit 1 %); stable breaches the limit of error rate too, with 10 %",
        ),
        (
            (look(Counts(0, 4)),),
            "error rate unknown (limit 1 %); error rate cannot be told: 4 failed requests, but 0 in all",
        ),
        (
            (silent(1140),),
            "error rate unknown (limit 1 %);"
            " no request reached the canary, though its 5 % share makes about 60 expected:"
            " the route may be shadowed, the subset may select other pods, or the pods may have no sidecar;"
            " failing reading 1 of 2;"
            " 20 more canary requests needed",
        ),
    ],
)
def test_a_run_of_failures_is_told(looks: tuple[Look | Nothing, ...], words: str) -> None:
    assert after(*looks).verdict.sentence == words


def test_what_is_wanted_is_told_as_a_number_as_well() -> None:
    assert after(look(FEW)).verdict.needed == 8
    assert after(look(GOOD)).verdict.needed == 0


def test_a_look_far_enough_back_has_requests_for_every_check() -> None:
    between = replace(LIMITS, checks=(ErrorRate(0.01), Latency(0.99, 300)))
    fifty = Counts(50, 0, ((250.0, 50.0), (500.0, 50.0), (inf, 50.0)))
    hundred = Counts(100, 0, ((250.0, 100.0), (500.0, 100.0), (inf, 100.0)))
    assert enough(Sides(fifty), LIMITS)
    assert not enough(Sides(fifty), between)
    assert enough(Sides(hundred), between)
    assert not enough(Sides(None), LIMITS)


@pytest.mark.parametrize(
    ("one", "expected"),
    [(look(BAD), True), (silent(1140), True), (look(GOOD), False), (look(BAD, BAD), False)],
)
def test_fresh_evidence_is_asked_for_only_by_a_look_that_may_count(one: Look, expected: bool) -> None:
    assert failing(one, LIMITS) is expected
