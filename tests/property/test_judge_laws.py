"""What holds for every sequence of looks: no data decides nothing, and evidence counts once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from rollout_controller.core.judge import Judgement, Look, Nothing, Thresholds, begin, fold
from rollout_controller.core.judge_checks import ErrorRate, Latency, Outcome, exceeds, judge_check
from rollout_controller.core.judge_counts import Counts, Sides, wilson_low
from rollout_controller.core.release import StageKey

START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = StageKey("7d9f", 0, START)
BOUNDS = (100.0, 250.0, 500.0, inf)


@st.composite
def counts(draw: st.DrawFn, least: int = 0) -> Counts:
    """What a side may have counted, histogram included; errors at most as many as requests."""
    steps = draw(st.lists(st.integers(0, 200), min_size=len(BOUNDS), max_size=len(BOUNDS)))
    steps[0] += least
    cumulative = [float(sum(steps[: i + 1])) for i in range(len(steps))]
    errors = draw(st.integers(0, int(cumulative[-1])))
    return Counts(cumulative[-1], errors, tuple(zip(BOUNDS, cumulative, strict=True)))


checks = st.lists(
    st.one_of(
        st.builds(ErrorRate, st.sampled_from([0.0, 0.001, 0.01, 0.2])),
        st.builds(Latency, st.sampled_from([0.5, 0.9, 0.99]), st.sampled_from([100.0, 300.0, 500.0, 900.0])),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
thresholds = st.builds(
    Thresholds,
    checks,
    min_requests=st.integers(1, 100),
    failure_limit=st.integers(1, 4),
    weight=st.integers(1, 100),
    share=st.integers(0, 100),
)
sides = st.builds(Sides, st.none() | counts(), st.none() | counts())
looks = st.builds(Look, sides, st.none() | sides, scraped=st.booleans(), judged=st.booleans())
faults = st.builds(Nothing, st.just("no answer"))
histories = st.lists(st.one_of(looks, looks, faults), max_size=8)


def play(history: list[Look | Nothing], limits: Thresholds) -> list[Judgement]:
    """The states after each look, every one with samples of its own."""
    state, states = begin(KEY, START), []
    for number, look in enumerate(history, start=1):
        look = replace(look, newest=float(number)) if isinstance(look, Look) else look
        state = fold(state, look, limits, START + timedelta(seconds=number))
        states.append(state)
    return states


@given(histories, thresholds)
def test_without_requests_nothing_passes_and_nothing_fails(
    history: list[Look | Nothing], limits: Thresholds
) -> None:
    empty: list[Look | Nothing] = [
        Look(Sides(None), judged=look.judged) if isinstance(look, Look) else look for look in history
    ]
    for state in play(empty, limits):
        assert state.verdict.result == "inconclusive"
        assert state.verdict.failures == 0


@given(histories, faults, thresholds)
def test_a_fault_never_passes_never_fails_and_keeps_the_count(
    history: list[Look | Nothing], fault: Nothing, limits: Thresholds
) -> None:
    before, after = ([begin(KEY, START), *play([*history, fault], limits)])[-2:]
    assert after.verdict.failures == before.verdict.failures
    assert after.verdict.result == ("fail" if before.failed else "inconclusive")


@given(histories, thresholds)
def test_failures_grow_by_one_on_a_failing_look_and_end_only_with_a_pass(
    history: list[Look | Nothing], limits: Thresholds
) -> None:
    failures = 0
    for state in play(history, limits):
        verdict = state.verdict
        assert verdict.failures in {failures, failures + 1} or (verdict.failures, verdict.result) == (
            0,
            "pass",
        )
        assert (verdict.result == "fail") == (verdict.failures >= limits.failure_limit)
        failures = verdict.failures


@given(histories, thresholds)
def test_a_pass_means_that_every_check_was_within_its_limit(
    history: list[Look | Nothing], limits: Thresholds
) -> None:
    for look, state in zip(history, play(history, limits), strict=True):
        if state.verdict.result == "pass":
            assert isinstance(look, Look)
            for check in limits.checks:
                assert judge_check(check, look.sides, limits.min_requests).outcome is Outcome.WITHIN


@given(histories, looks, thresholds)
def test_a_second_failure_is_never_counted_without_fresh_evidence(
    history: list[Look | Nothing], look: Look, limits: Thresholds
) -> None:
    states = [begin(KEY, START), *play([*history, replace(look, fresh=None)], limits)]
    before, after = states[-2:]
    if before.counted is not None:
        assert after.verdict.failures in {before.verdict.failures, 0}


@given(looks, thresholds)
def test_the_same_samples_are_looked_at_once(look: Look, limits: Thresholds) -> None:
    look = replace(look, newest=1.0, judged=True)
    once = fold(begin(KEY, START), look, limits, START)
    assert fold(once, replace(look, fresh=look.sides), limits, START + timedelta(seconds=10)) is once


@given(counts(least=1), st.integers(1, 100), st.sampled_from([0.0, 0.001, 0.01, 0.2]))
def test_what_fails_is_above_the_limit_and_what_passes_is_not(
    canary: Counts, min_requests: int, limit: float
) -> None:
    check = ErrorRate(limit)
    judged = judge_check(check, Sides(canary), min_requests)
    rate = canary.errors / canary.requests
    if judged.outcome is Outcome.FAIL:
        assert rate > limit
        assert exceeds(check, canary, min_requests)
    if judged.outcome is Outcome.WITHIN:
        assert rate <= limit + 1e-6
    assert (judged.needed > 0) == (judged.outcome is Outcome.LACKING)


@given(counts(least=1), st.integers(1, 100))
def test_more_errors_never_make_it_better(canary: Counts, min_requests: int) -> None:
    order = [Outcome.LACKING, Outcome.WITHIN, Outcome.ABOVE, Outcome.FAIL]
    worse = replace(canary, errors=min(canary.requests, canary.errors + 1))
    ranks = [
        order.index(judge_check(ErrorRate(0.01), Sides(c), min_requests).outcome) for c in (canary, worse)
    ]
    assert ranks == sorted(ranks)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_the_interval_begins_at_or_below_the_share(bad: int, more: int) -> None:
    total = bad + more
    low = wilson_low(bad, total)
    assert 0 <= low <= bad / total
    # Solving (p - low)^2 = z^2 low (1 - low) / n for the lower end is what Wilson's interval is.
    assert abs((bad / total - low) ** 2 - 1.959963984540054**2 * low * (1 - low) / total) < 1e-9
